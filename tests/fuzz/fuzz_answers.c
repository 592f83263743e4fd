/* Requests and results of any bytes: what stands before the first NUL are the requests
 * (none where it comes first), the rest are the results. Every file that is made of
 * them is read in pieces of several sizes and must be as long as it was said to be. */
#include <stdint.h>

#include "../unit/answers_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_counts(const struct made *m)
{
	uint64_t rows = 0;

	for (size_t i = 0; i < ANSWER_STATUSES; i++)
		rows += m->a->head.counts[i];
	must(rows == m->a->head.n_rows);
}

static void check_lines(const char *text, uint64_t lines, uint64_t size)
{
	uint64_t seen = 0;

	for (uint64_t i = 0; i < size; i++)
		seen += text[i] == '\n';
	must(seen == lines);
}

static ssize_t read_vectors(
	const struct made *m, uint32_t node, uint64_t off, void *buf, size_t n)
{
	(void)node;
	return answers_read_vectors(m->a, &m->sources, off, buf, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data;
	size_t requests = n ? strnlen(text, n) : 0;
	size_t from = requests < n ? requests + 1 : n;
	char *tsv, *tree, *retry, usage[ANSWERS_USAGE_MAX];
	struct made m;
	int err = made_new(&m, requests ? text : NULL, requests, text + from, n - from,
		n % 3 ? n % 17 : 0);

	must(err == 0);
	tsv = made_tsv(&m);
	check_lines(tsv, m.a->head.n_rows, m.a->head.tsv_size);
	tree = made_tree(&m);
	retry = made_retry(&m);
	answers_usage(m.a, usage);
	if (answers_vectors_size(m.a) && answers_vectors_size(m.a) < 1 << 20)
		free(made_file(&m, read_vectors, 0, answers_vectors_size(m.a)));
	check_counts(&m);
	free(tsv);
	free(tree);
	free(retry);
	made_free(&m);
	return 0;
}
