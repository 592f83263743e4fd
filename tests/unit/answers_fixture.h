/* An index of requests and results given as texts, and what it is read as: every file
 * is read in pieces of several sizes, which must agree with each other and with its
 * size. Used by the unit test and by the fuzz target. */
#ifndef ANSWERS_FIXTURE_H
#define ANSWERS_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers/index.h"
#include "provider/gemini/result_line.h"

struct memory {
	const char *text;
	size_t len, piece; /* at most so much a read; 0: as asked */
	uint64_t total;    /* bytes read */
	unsigned calls;
};

static ssize_t memory_read(void *arg, uint64_t off, void *buf, size_t n)
{
	struct memory *m = arg;
	size_t left = off < m->len ? m->len - (size_t)off : 0;

	if (n > left)
		n = left;
	if (m->piece && n > m->piece)
		n = m->piece;
	if (n)
		memcpy(buf, m->text + off, n);
	m->total += n;
	m->calls++;
	return (ssize_t)n;
}

static int memory_readv(void *arg, uint64_t off, struct iovec *v, int n)
{
	struct memory *m = arg;

	m->calls++;
	for (int i = 0; i < n; off += v[i++].iov_len) {
		if (off > m->len || v[i].iov_len > m->len - off)
			return -EIO;
		memcpy(v[i].iov_base, m->text + off, v[i].iov_len);
		m->total += v[i].iov_len;
	}
	return 0;
}

static struct text_source memory_source(struct memory *m)
{
	return (struct text_source){memory_read, m, memory_readv};
}

struct made {
	struct memory requests, results, table;
	struct answers_sources sources;
	struct answers *a;
};

#define must(condition)                                                                \
	do {                                                                           \
		if (!(condition)) {                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,             \
				#condition);                                           \
			abort();                                                       \
		}                                                                      \
	} while (0)

/* How many requests the API counts. */
static int64_t made_asked = -1;

/* The table that the requests were made of, and members of answers. */
static struct {
	const char *text;
	size_t len;
	bool tabs;
	const char *properties;
	size_t properties_len;
} made_of;

/* requests and results may be NULL: none are local. */
__attribute__((unused)) static int made_new(struct made *m, const char *requests,
	size_t requests_len, const char *results, size_t results_len, size_t piece)
{
	struct answers_input in = {.grammar = &gemini_results,
		.stamp = {.results_size = -1, .requests_size = -1,
					   .table_size = -1},
		.asked = made_asked,
		.model = "models/gemini-3.8-flash"};

	*m = (struct made){.requests = {requests, requests_len, piece, 0, 0},
		.results = {results, results_len, piece, 0, 0},
		.table = {made_of.text, made_of.len, piece, 0, 0}};
	m->sources.requests = memory_source(&m->requests);
	m->sources.results = memory_source(&m->results);
	if (requests) {
		in.requests = &m->sources.requests;
		in.stamp.requests_size = (int64_t)requests_len;
	}
	if (results) {
		in.results = &m->sources.results;
		in.stamp.results_size = (int64_t)results_len;
	}
	if (made_of.text) {
		m->sources.table = memory_source(&m->table);
		in.table = &m->sources.table;
		in.stamp.table_size = (int64_t)made_of.len;
		in.tabs = made_of.tabs;
		in.properties = made_of.properties;
		in.properties_len = made_of.properties_len;
	}
	return answers_build(&in, &m->a);
}

typedef ssize_t (*made_read)(
	const struct made *m, uint32_t node, uint64_t off, void *buf, size_t n);

static ssize_t made_read_tsv(
	const struct made *m, uint32_t node, uint64_t off, void *buf, size_t n)
{
	(void)node;
	return answers_read_tsv(m->a, &m->sources, off, buf, n);
}

static ssize_t made_read_retry(
	const struct made *m, uint32_t node, uint64_t off, void *buf, size_t n)
{
	(void)node;
	return answers_read_retry(m->a, &m->sources, off, buf, n);
}

static ssize_t made_read_table(
	const struct made *m, uint32_t node, uint64_t off, void *buf, size_t n)
{
	(void)node;
	return answers_read_table(m->a, &m->sources, off, buf, n);
}

static ssize_t made_read_node(
	const struct made *m, uint32_t node, uint64_t off, void *buf, size_t n)
{
	return answers_read_node(m->a, &m->sources, node, off, buf, n);
}

/* All of a file, NUL-terminated, for the caller to free. */
static char *made_whole(
	const struct made *m, made_read read, uint32_t node, uint64_t size, size_t step)
{
	char *text = malloc(size + step + 1);
	uint64_t have = 0;

	for (ssize_t n; (n = read(m, node, have, text + have, step)) != 0;) {
		must(n > 0);
		have += (uint64_t)n;
		must(have <= size);
		must((size_t)n == step || have == size);
	}
	must(have == size);
	text[size] = '\0';
	return text;
}

static char *made_file(
	const struct made *m, made_read read, uint32_t node, uint64_t size)
{
	char *whole = made_whole(m, read, node, size, size + 1);

	for (size_t step = 1; step <= 100 && size < 100000; step = step * 3 + 1) {
		char *again = made_whole(m, read, node, size, step);

		must(memcmp(whole, again, size) == 0);
		free(again);
	}
	return whole;
}

__attribute__((unused)) static char *made_tsv(const struct made *m)
{
	return made_file(m, made_read_tsv, 0, m->a->head.tsv_size);
}

__attribute__((unused)) static char *made_retry(const struct made *m)
{
	return made_file(m, made_read_retry, 0, m->a->head.retry_size);
}

__attribute__((unused)) static char *made_table(const struct made *m)
{
	return made_file(m, made_read_table, 0, m->a->head.table_size);
}

static void made_walk(const struct made *m, uint32_t dir, const char *path, FILE *out)
{
	const struct answers_node *d = &m->a->nodes[dir];

	for (uint32_t i = 0; (i = answers_next(m->a, dir, i + 1));) {
		const struct answers_node *n = &m->a->nodes[i];
		char at[65536];

		must(n->parent == dir && d->count > 0);
		must(answers_child(m->a, dir, answers_name(m->a, n)) == i);
		must(n->name_len > 0 && n->name_len < 256);
		must(strlen(answers_name(m->a, n)) == n->name_len);
		must(!strchr(answers_name(m->a, n), '/'));
		must(answers_name(m->a, n)[0] != '.');
		snprintf(at, sizeof at, "%s%s", path, answers_name(m->a, n));
		if (n->kind == NODE_IS_DIR) {
			must(n->count > 0);
			fprintf(out, "%s/\n", at);
			strcat(at, "/");
			made_walk(m, i, at, out);
			continue;
		}
		uint64_t size = answers_node_size(m->a, n);
		char *text = made_file(m, made_read_node, i, size);

		fprintf(out, "%s = ", at);
		fwrite(text, 1, size, out);
		if (!size || text[size - 1] != '\n')
			fputc('\n', out);
		free(text);
	}
}

/* "path = content" for each file of responses/, "path/" for each directory. */
__attribute__((unused)) static char *made_tree(const struct made *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	made_walk(m, 0, "", out);
	fclose(out);
	return text;
}

static void made_free(struct made *m)
{
	answers_unref(m->a);
	m->a = NULL;
}

#endif
