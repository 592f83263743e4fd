/* What the index of answers costs: GB a second of results, bytes a request, for texts,
 * for many short answers, for JSON that is checked, alone and by a schema, and for
 * pictures; and how quickly answers.tsv is read, with results in an order of their own.
 *
 *     bench_answers [ROUNDS]
 *
 * The reference is reading the same bytes by pread alone. Medians. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "answers/index.h"
#include "provider/gemini/result_line.h"
#include "base/util.h"

static const char *const words = "The quick brown fox jumps over the lazy dog. ";

struct kind {
	const char *name;
	uint32_t n;
	size_t text;
	bool json, picture, schema, members;
};

#define SCHEMA                                                                         \
	"{\"type\":\"OBJECT\",\"properties\":{\"t\":{\"type\":\"STRING\"},\"items\":"      \
	"{\"type\":\"ARRAY\",\"items\":{\"type\":\"OBJECT\",\"properties\":{\"name\":"     \
	"{\"type\":\"STRING\"},\"price\":{\"type\":\"NUMBER\",\"minimum\":0},\"kind\":"    \
	"{\"type\":\"STRING\",\"enum\":[\"new\",\"used\"]}},\"required\":[\"name\","       \
	"\"price\"]}}}}"

/* A list of small objects. */
static void put_members(FILE *f, size_t len)
{
	fputs("{\\\"t\\\":\\\"x\\\",\\\"items\\\":[", f);
	for (size_t n = 0; n < len; n += 60)
		fprintf(f, "%s{\\\"name\\\":\\\"a thing\\\",\\\"price\\\":%zu.5,\\\"kind\\\":\\\"used\\\"}",
			n ? "," : "", n);
	fputs("]}", f);
}

static void put_text(FILE *f, size_t len, bool json)
{
	if (json)
		fputs("{\\\"t\\\":\\\"", f);
	for (size_t n = 0; n < len; n += strlen(words)) {
		fputs(words, f);
		if (!json && n % 5 == 0)
			fputs("\\n", f);
	}
	if (json)
		fputs("\\\"}", f);
}

static void put_picture(FILE *f, size_t len)
{
	for (size_t n = 0; n < len; n += 64)
		fputs("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", f);
}

static void fill(const struct kind *k, int results, int requests)
{
	FILE *f = fdopen(dup(results), "w"), *r = fdopen(dup(requests), "w");

	for (uint32_t i = 0; i < k->n; i++) {
		/* Results come in another order. */
		uint32_t key = (uint32_t)((uint64_t)i * 7919 % k->n);

		fprintf(r, "{\"key\":\"request-%06u\",\"request\":{\"contents\":[{\"parts\":"
			   "[{\"text\":\"%s\"}]}]%s%s%s}}\n", i, words,
			k->json ? ",\"generationConfig\":{\"responseMimeType\":"
				  "\"application/json\"" : "",
			k->schema ? ",\"responseSchema\":" SCHEMA : "", k->json ? "}" : "");
		fputs("{\"response\":{\"candidates\":[{\"content\":{\"parts\":[{", f);
		fputs(k->picture ? "\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\""
				 : "\"text\":\"", f);
		if (k->picture)
			put_picture(f, k->text);
		else if (k->members)
			put_members(f, k->text);
		else
			put_text(f, k->text, k->json);
		fprintf(f, "\"%s}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
			   "\"usageMetadata\":{\"promptTokenCount\":5,\"totalTokenCount\":12}},"
			   "\"key\":\"request-%06u\"}\n", k->picture ? "}" : "", key);
	}
	fclose(f);
	fclose(r);
}

static double read_all(int fd, uint64_t size)
{
	char *buf = malloc(256 << 10);
	double t = util_now();

	for (uint64_t at = 0; at < size; at += 256 << 10)
		if (pread(fd, buf, 256 << 10, (off_t)at) <= 0)
			abort();
	free(buf);
	return util_now() - t;
}

/* GB a second. */
static double read_tsv(const struct answers *a, struct text_source results)
{
	struct gather_spare spare = {NULL};
	struct answers_sources s = {.results = results, .spare = &spare};
	char *buf = malloc(1 << 20);
	double t = util_now();
	uint64_t off = 0;

	for (ssize_t n; (n = answers_read_tsv(a, &s, off, buf, 1 << 20)) > 0;)
		off += (uint64_t)n;
	t = util_now() - t;
	gather_spare_free(&spare);
	free(buf);
	return (double)off / t / 1e9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void run(const struct kind *k, int rounds)
{
	int results = memfd_create("results", 0), requests = memfd_create("requests", 0);
	struct text_source rs = text_from_fd(&results), qs = text_from_fd(&requests);
	double t[64], ref[64], tsv[64];
	struct answers *a = NULL;
	uint64_t disk;

	fill(k, results, requests);
	struct answers_input in = {.grammar = &gemini_results, .results = &rs, .requests = &qs,
		.stamp = {.results_size = lseek(results, 0, SEEK_END),
			.requests_size = lseek(requests, 0, SEEK_END)}};
	uint64_t size = (uint64_t)(in.stamp.results_size + in.stamp.requests_size);

	for (int i = 0; i < rounds; i++) {
		ref[i] = read_all(results, (uint64_t)in.stamp.results_size) +
			 read_all(requests, (uint64_t)in.stamp.requests_size);
		answers_unref(a);
		t[i] = util_now();
		if (answers_build(&in, &a))
			abort();
		t[i] = util_now() - t[i];
		tsv[i] = read_tsv(a, rs);
	}
	qsort(t, (size_t)rounds, sizeof *t, by_value);
	qsort(ref, (size_t)rounds, sizeof *ref, by_value);
	qsort(tsv, (size_t)rounds, sizeof *tsv, by_value);
	if (k->schema && a->head.counts[ANSWERED] != k->n)
		abort();
	disk = answers_saved_size(a);
	printf("%-14s %7u requests, %5.0f MB: %.2f s, %.2f GB/s (pread alone %.2f), "
	       "%.0f bytes a request, answers.tsv %.2f GB/s\n",
		k->name, k->n, (double)size / 1e6, t[rounds / 2],
		(double)size / t[rounds / 2] / 1e9, (double)size / ref[rounds / 2] / 1e9,
		(double)disk / k->n, tsv[rounds / 2]);
	answers_unref(a);
	close(results);
	close(requests);
}

int main(int argc, char **argv)
{
	static const struct kind kinds[] = {
		{"short texts", 200000, 300, false, false, false, false},
		{"long texts", 20000, 20000, false, false, false, false},
		{"JSON", 20000, 20000, true, false, false, false},
		{"and a schema", 20000, 20000, true, false, true, false},
		{"short JSON", 200000, 300, true, false, false, true},
		{"and a schema", 200000, 300, true, false, true, true},
		{"JSON members", 20000, 10000, true, false, false, true},
		{"and a schema", 20000, 10000, true, false, true, true},
		{"pictures", 25, 20 << 20, false, true, false, false},
	};
	int rounds = argc > 1 ? atoi(argv[1]) : 5;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		run(&kinds[i], rounds < 1 || rounds > 64 ? 5 : rounds);
	return 0;
}
