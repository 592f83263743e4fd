/* What several parts cost against one job with the same requests: the index, answers.tsv,
 * memory; and how the index grows, part by part, and by rounds that ask again.
 *
 *     bench_parts [REQUESTS] [PARTS]
 *
 * Figures are ratios to the one job, measured in turns. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "answers/index.h"
#include "provider/gemini/result_line.h"
#include "base/util.h"

enum { ROUNDS = 5, PARTS_MAX = 1000, READ = 128 << 10, AGAIN = 3, EVERY = 10 };

static uint32_t n_rows = 200000, n_parts = 20;
static int requests, one, parts[PARTS_MAX + AGAIN];
static uint64_t bounds[PARTS_MAX + 1]; /* of the requests */
static struct answers_part table[PARTS_MAX + AGAIN];

static void put_result(FILE *f, uint32_t i)
{
	fprintf(f, "{\"key\":\"request-%07u\",\"response\":{\"candidates\":[{\"content\":"
		   "{\"parts\":[{\"text\":\"", i);
	for (int n = 0; n < 8; n++)
		fputs("The quick brown fox jumps over the lazy dog. ", f);
	fputs("\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
	      "\"usageMetadata\":{\"promptTokenCount\":5,\"totalTokenCount\":12}}}\n", f);
}

static void fill_parts(void)
{
	FILE *q, *all;
	uint32_t i = 0;

	requests = memfd_create("requests", 0);
	one = memfd_create("one", 0);
	q = fdopen(dup(requests), "w");
	all = fdopen(dup(one), "w");
	for (uint32_t p = 0; p < n_parts; p++) {
		parts[p] = memfd_create("part", 0);
		FILE *f = fdopen(dup(parts[p]), "w");
		uint32_t end = (uint32_t)((uint64_t)n_rows * (p + 1) / n_parts);

		bounds[p] = (uint64_t)ftello(q);
		for (; i < end; i++) {
			fprintf(q, "{\"key\":\"request-%07u\",\"request\":{\"contents\":"
				   "[{\"parts\":[{\"text\":\"A question.\"}]}]}}\n", i);
			put_result(all, i);
			put_result(f, i);
		}
		fclose(f);
	}
	bounds[n_parts] = (uint64_t)ftello(q);
	fclose(q);
	fclose(all);
	for (uint32_t p = 0; p < n_parts; p++)
		table[p] = (struct answers_part){.number = p + 1,
			.range = {bounds[p], bounds[p + 1]},
			.size = lseek(parts[p], 0, SEEK_END)};
}

static ssize_t read_slot(void *arg, uint64_t off, void *buf, size_t n)
{
	return text_source_fd(&parts[off >> ANSWERS_SLOT_BITS],
		off & (answers_slot(1) - 1), buf, n);
}

static int readv_slot(void *arg, uint64_t off, struct iovec *v, int n)
{
	return text_source_fdv(&parts[off >> ANSWERS_SLOT_BITS],
		off & (answers_slot(1) - 1), v, n);
}

static struct text_source from_one = {text_source_fd, &one, text_source_fdv},
			  from_parts = {read_slot, NULL, readv_slot},
			  from_requests = {text_source_fd, &requests, text_source_fdv};

static struct answers *build_of(uint32_t n, const struct answers *before)
{
	struct answers_input in = {.grammar = &gemini_results,
		.results = n ? &from_parts : &from_one,
		.requests = &from_requests,
		.stamp = {.results_size = lseek(one, 0, SEEK_END),
			.requests_size = (int64_t)bounds[n_parts], .table_size = -1},
		.asked = -1,
		.parts = n ? table : NULL,
		.n_parts = n,
		.before = before};
	struct answers *a;

	if (answers_build(&in, &a))
		abort();
	return a;
}

static double read_tsv(const struct answers *a, bool several)
{
	struct gather_spare spare = {NULL};
	struct answers_sources s = {several ? from_parts : from_one, from_requests,
		from_requests, &spare};
	char *buf = malloc(READ);
	double t = util_now();
	uint64_t off = 0;

	for (ssize_t n; (n = answers_read_tsv(a, &s, off, buf, READ)) > 0;)
		off += (uint64_t)n;
	if (off != a->head.tsv_size)
		abort();
	free(buf);
	gather_spare_free(&spare);
	return util_now() - t;
}

static double read_bytes_of(bool several)
{
	char *buf = malloc(READ);
	double t = util_now();

	for (uint32_t p = 0; p < (several ? n_parts : 1); p++) {
		uint64_t off = 0;

		for (ssize_t n; (n = text_source_fd(several ? &parts[p] : &one, off, buf,
					 READ)) > 0;)
			off += (uint64_t)n;
	}
	free(buf);
	return util_now() - t;
}

static int by_time(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *t)
{
	qsort(t, ROUNDS, sizeof *t, by_time);
	return t[ROUNDS / 2];
}

static double bytes_of(const struct answers *a)
{
	return (double)answers_saved_size(a) / a->head.n_rows;
}

/* Part by part: the sum, in passes over all. */
static void grow(double pass)
{
	struct answers *a = NULL;
	double t = util_now();

	for (uint32_t n = 1; n <= n_parts; n++) {
		struct answers *more = build_of(n, a);

		answers_unref(a);
		a = more;
	}
	printf("grown part by part: %.2f times one pass, the last size %.0f bytes a request\n",
		(util_now() - t) / pass, bytes_of(a));
	answers_unref(a);
}

/* Every tenth request is asked again, and answered: the first, then the same later. */
static void ask_again(uint32_t round)
{
	uint32_t p = n_parts + round - 1;

	parts[p] = memfd_create("round", 0);
	FILE *f = fdopen(dup(parts[p]), "w");
	for (uint32_t i = round; i < n_rows; i += EVERY)
		put_result(f, i);
	fclose(f);
	table[p] = (struct answers_part){.number = p + 1, .round = round,
		.size = lseek(parts[p], 0, SEEK_END)};
}

static void rounds(double pass)
{
	struct answers *a = build_of(n_parts, NULL);

	for (uint32_t round = 1; round <= AGAIN; round++) {
		ask_again(round);
		double before = bytes_of(a), t = util_now();
		struct answers *more = build_of(n_parts + round, a);

		t = util_now() - t;
		answers_unref(a);
		a = more;
		printf("round %u of a request in %d: %.2f of a pass, %.1f bytes a request "
		       "more\n", round, EVERY, t / pass, bytes_of(a) - before);
	}
	printf("answers.tsv after %d rounds: %.2f GB/s\n", AGAIN,
		(double)a->head.tsv_size / read_tsv(a, true) / 1e9);
	answers_unref(a);
}

int main(int argc, char **argv)
{
	double made[2][ROUNDS], tsv[2][ROUNDS], raw[2][ROUNDS];
	double bytes[2] = {0}, size = 0;

	if (argc > 1)
		n_rows = (uint32_t)atoi(argv[1]);
	if (argc > 2)
		n_parts = (uint32_t)atoi(argv[2]);
	if (n_parts < 1 || n_parts > PARTS_MAX || n_rows < n_parts)
		return 2;
	fill_parts();
	for (int i = 0; i < ROUNDS; i++)
		for (int several = 0; several < 2; several++) {
			double t = util_now();
			struct answers *a = build_of(several ? n_parts : 0, NULL);

			made[several][i] = util_now() - t;
			tsv[several][i] = read_tsv(a, several);
			raw[several][i] = read_bytes_of(several);
			bytes[several] = bytes_of(a);
			size = (double)a->head.tsv_size;
			answers_unref(a);
		}
	double pass = median(made[1]);

	printf("%u requests in %u parts against one job: index %.2f (%.2f s), "
	       "answers.tsv %.2f (%.2f GB/s), results %.2f, %.0f against %.0f bytes a "
	       "request\n",
		n_rows, n_parts, pass / median(made[0]), pass,
		median(tsv[1]) / median(tsv[0]), size / median(tsv[1]) / 1e9,
		median(raw[1]) / median(raw[0]), bytes[1], bytes[0]);
	grow(pass);
	rounds(pass);
	return 0;
}
