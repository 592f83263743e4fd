/* How fast the check of a requests file is, against jansson on the same bytes.
 *
 *     bench_scan [MIB]        64 MiB a sample unless told
 *
 * One row a kind of line: bytes a second of one core, medians of five rounds in
 * which both take turns, and the ratio. The bytes are in memory (memfd). The wanted
 * figures are 0.5 GB/s at least, 1.5 GB/s as aim. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "requests/normalize.h"
#include "requests/validate.h"
#include "base/util.h"
#include "provider/gemini/request_members.h"

#define ROUNDS 5

struct sample {
	const char *name;
	const char *piece; /* repeated to make the prompt */
	size_t bytes;      /* of prompt a line */
	bool bare;
};

#define LATIN "Summarise the following paragraph in one sentence, and be brief. "
#define ESCAPES "He said \\\"no\\\".\\nA new paragraph begins here, as texts do.\\n\\n"
#define CODE "\\tif (x) {\\n\\t\\treturn \\\"a\\\";\\n\\t}\\n"
#define HINDI                                                                          \
	"\xe0\xa4\xaf\xe0\xa4\xb9 \xe0\xa4\x8f\xe0\xa4\x95 "                           \
	"\xe0\xa4\xaa\xe0\xa4\xb0\xe0\xa5\x80\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xb7\xe0" \
	"\xa4\xbe \xe0\xa4\xb9\xe0\xa5\x88 "
#define RUSSIAN                                                                        \
	"\xd1\x8d\xd1\x82\xd0\xbe \xd0\xbf\xd1\x80\xd0\xbe\xd1\x81\xd1\x82\xd0\xbe "   \
	"\xd0\xbf\xd1\x80\xd0\xbe\xd0\xb2\xd0\xb5\xd1\x80\xd0\xba\xd0\xb0 "
#define GERMAN                                                                         \
	"Die Pr\xc3\xbc"                                                               \
	"fung der Gr\xc3\xb6\xc3\x9f"                                                  \
	"e f\xc3\xbcr m\xc3\xb6gliche S\xc3\xa4tze "
#define ASCII /* as Python's json.dumps writes it */                                    \
	"\\u044d\\u0442\\u043e \\u043f\\u0440\\u043e\\u0441\\u0442\\u043e "
#define BASE64 "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"

static const struct sample samples[] = {
	{"plain text, 200 B a line", LATIN, 70, false},
	{"plain text, 500 B a line", LATIN, 370, false},
	{"plain text, 2 KB a line", LATIN, 1900, false},
	{"escapes, 2 KB a line", ESCAPES, 1900, false},
	{"code, 2 KB a line", CODE, 1900, false},
	{"German, 2 KB a line", GERMAN, 1900, false},
	{"Russian, 2 KB a line", RUSSIAN, 1900, false},
	{"Russian as \\u, 2 KB a line", ASCII, 1900, false},
	{"Hindi, 2 KB a line", HINDI, 1900, false},
	{"base64, 1 MB a line", BASE64, 1000000, false},
	{"bare, 500 B a line", LATIN, 420, true},
};

static void put_line(FILE *f, const struct sample *s, size_t number)
{
	if (!s->bare)
		fprintf(f, "{\"key\": \"request-%zu\", \"request\": ", number);
	fprintf(f, "{\"contents\": [{\"role\": \"user\", \"parts\": [{\"text\": \"");
	for (size_t n = 0; n < s->bytes; n += strlen(s->piece))
		fputs(s->piece, f);
	fprintf(f, "\"}]}], \"generationConfig\": {\"temperature\": 0.7}}%s\n",
		s->bare ? "" : "}");
}

/* A memory file of about size bytes. */
static int make_file(const struct sample *s, size_t size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	FILE *f = fdopen(dup(fd), "w");

	if (fd < 0 || !f)
		exit(1);
	for (size_t i = 1; (size_t)ftell(f) < size; i++)
		put_line(f, s, i);
	fclose(f);
	return fd;
}

static double time_scan(int fd, off_t size)
{
	double start = util_now();
	struct validate_report report;

	if (validate_file(&gemini_requests, fd, NULL, &report) < 0 ||
		validate_report_status(&report) < 0) {
		fprintf(stderr, "%s", validate_report_text(&report));
		exit(1);
	}
	return (double)size / (util_now() - start);
}

static double time_jansson(const char *text, off_t size)
{
	double start = util_now();
	const char *end = text + size, *line = text;

	while (line < end) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		json_t *json = json_loadb(line, (size_t)(lf - line), 0, NULL);

		if (!json)
			exit(1);
		json_decref(json);
		line = lf + 1;
	}
	return (double)size / (util_now() - start);
}

static double time_compose(int fd, off_t size)
{
	int out = memfd_create("out", MFD_CLOEXEC);
	struct validate_report report;
	double start;
	off_t sent;

	if (validate_file(&gemini_requests, fd, NULL, &report) < 0)
		exit(1);
	start = util_now();
	if (normalize_file(fd, out, &report, NULL, &sent) < 0)
		exit(1);
	close(out);
	return (double)size / (util_now() - start);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof *v, by_value);
	return v[ROUNDS / 2];
}

static void run(const struct sample *s, size_t mib)
{
	double ours[ROUNDS], theirs[ROUNDS], composed[ROUNDS], a, b;
	int fd = make_file(s, mib << 20);
	off_t size = lseek(fd, 0, SEEK_END);
	char *text =
		mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);

	for (int i = 0; i < ROUNDS; i++) {
		ours[i] = time_scan(fd, size);
		theirs[i] = time_jansson(text, size);
		composed[i] = time_compose(fd, size);
	}
	a = median(ours);
	b = median(theirs);
	printf("%-28s %6.2f GB/s  jansson %5.2f GB/s  ratio %5.1f  compose %5.2f "
	       "GB/s\n",
		s->name, a / 1e9, b / 1e9, a / b, median(composed) / 1e9);
	munmap(text, (size_t)size);
	close(fd);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		run(&samples[i], mib);
	return 0;
}
