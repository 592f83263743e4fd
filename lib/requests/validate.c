#include "requests/validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "requests/normalize.h"
#include "base/siphash_set.h"
#include "requests/line_parser.h"
#include "base/text_file.h"
#include "base/util.h"

/* What on_line returns to end the reading. */
enum { TOO_BIG = 1 };

struct validator {
	struct lines lines;
	struct siphash_set keys;
	struct validate_report report;
	uint64_t object_bytes; /* all objects, each with an LF */
	uint64_t max;          /* of all of them */
	bool dirty;            /* not clean, by a line */
};

static void add_bad(struct validate_report *r, const struct validate_bad *b)
{
	unsigned at;

	if (r->n_bad == VALIDATE_BAD_MAX && r->bad[VALIDATE_BAD_MAX - 1].line < b->line)
		return;
	if (r->n_bad < VALIDATE_BAD_MAX)
		r->n_bad++;
	for (at = r->n_bad - 1; at > 0 && r->bad[at - 1].line > b->line; at--)
		r->bad[at] = r->bad[at - 1];
	r->bad[at] = *b;
}

static void count_bad(struct validate_report *r, const struct line *line)
{
	struct validate_bad b = {
		line->number, line->column, line->reason, line->name, 0};

	r->bad_total++;
	add_bad(r, &b);
}

static void count_warnings(struct validate_report *r, const struct line *line)
{
	for (unsigned i = 0; i < LINE_WARNINGS; i++)
		if (line->warned >> i & 1 && r->warned[i].n++ == 0)
			r->warned[i].first = line->number;
}

/* A job is of one kind: it goes to one method of the API. */
static bool is_of_other_kind(struct validator *s, const struct line *line)
{
	struct validate_report *r = &s->report;
	struct validate_bad b = {.line = line->number, .other = r->asks_line};

	if (!r->asks_line && line->asks) {
		r->asks = line->asks;
		r->asks_line = line->number;
	}
	if (!line->asks || line->asks == r->asks)
		return false;
	b.reason = line->asks == ASKS_EMBEDDING
			   ? "a job has one kind of request, and this one asks for an "
			     "embedding (\"content\"), unlike line"
			   : "a job has one kind of request, and this one asks for an "
			     "answer (\"contents\"), unlike line";
	r->bad_total++;
	add_bad(r, &b);
	return true;
}

/* Every line of the first reading. */
static int validate_line(void *arg, const struct line *line)
{
	struct validator *s = arg;
	struct validate_report *r = &s->report;

	r->lines++;
	if (line->kind == LINE_BLANK) {
		r->blank++;
		return 0;
	}
	r->last_line = line->number;
	s->dirty |= line->cr || !line->lf || line->kind != LINE_KEYED || line->borrowed;
	if (line->kind == LINE_BAD) {
		count_bad(r, line);
		return 0;
	}
	if (is_of_other_kind(s, line))
		return 0;
	line_marks_note(&r->marks, r->requests,
		&(struct line_mark){s->object_bytes, s->lines.line_start,
			(uint32_t)r->no_key, (uint32_t)r->bare});
	r->requests++;
	r->keyed += line->kind == LINE_KEYED;
	r->no_key += line->kind == LINE_NO_KEY;
	r->bare += line->kind == LINE_BARE;
	r->uris += line->uris;
	r->loose_uris += line->loose_uris;
	if (line->warned)
		count_warnings(r, line);
	uint64_t bytes = normalize_object(line) + 1;
	s->object_bytes += bytes;
	if (bytes > s->lines.grammar->max)
		r->big_line = line->number;
	if (s->object_bytes > s->max || r->big_line)
		return TOO_BIG;
	return line->kind == LINE_KEYED ? siphash_set_add(&s->keys, line->hash.first)
					: 0;
}

struct validator *validate_new(const struct request_grammar *g)
{
	struct validator *s = calloc(1, sizeof *s);
	struct keyseed seed = {util_random_u64(), util_random_u64()};

	if (!s)
		return NULL;
	s->report.grammar = g;
	s->max = g->max;
	lines_init(&s->lines, g, seed, validate_line, s);
	return s;
}

void validate_any_size(struct validator *s)
{
	s->max = UINT64_MAX;
}

void validate_free(struct validator *s)
{
	if (!s)
		return;
	siphash_set_clear(&s->keys);
	free(s);
}

int validate_feed(struct validator *s, const void *buf, size_t n)
{
	int r;

	if (s->report.too_big)
		return 0;
	r = lines_feed(&s->lines, buf, n);
	s->report.too_big = r == TOO_BIG;
	return r < 0 ? r : 0;
}

bool validate_is_bad(const struct validator *s)
{
	return s->report.bad_total > 0 || s->report.too_big;
}

/* A later reading, to see which lines have the same key. */
struct again {
	struct validator *scan;
	/* Beside each suspect: where it came first; line 0: not yet. */
	struct first {
		uint64_t line : 63, numbered : 1, second;
	} * first;
	uint64_t found, repeated;
};

static struct keypair hash_of(const struct validator *s, const struct line *line)
{
	char text[LINES_KEY_MAX];
	struct siphash h;

	if (line->kind == LINE_KEYED)
		return line->hash;
	siphash_init(&h, s->lines.seed);
	siphash_add(&h, text, lines_number_key(line->number, s->report.width, text));
	return siphash_end(&h);
}

static bool takes_number(const struct line *line)
{
	return line->kind == LINE_NO_KEY || line->kind == LINE_BARE;
}

/* The second reading where some lines have keys and others not. */
static int on_unkeyed(void *arg, const struct line *line)
{
	struct validator *s = arg;

	return takes_number(line) ? siphash_set_add(&s->keys, hash_of(s, line).first)
				  : 0;
}

/* The line's key came before, on another line. */
static void add_repeated(struct again *a, const struct line *line, struct first *first)
{
	struct validate_bad b = {.line = line->number, .other = first->line};

	if (takes_number(line))
		b.reason = "its key is its line number, which is also the key of line";
	else if (first->numbered)
		b.reason = "its key equals the line number that is the key of line";
	else
		b.reason = "the same key as on line";
	add_bad(&a->scan->report, &b);
	a->found++;
}

/* The last reading: the suspects in order. Ends when enough are found. */
static int on_suspect(void *arg, const struct line *line)
{
	struct again *a = arg;
	struct first *first;
	struct keypair hash;
	ssize_t i;

	if (line->kind != LINE_KEYED && !takes_number(line))
		return 0;
	hash = hash_of(a->scan, line);
	i = siphash_set_find(&a->scan->keys, hash.first);
	if (i < 0)
		return 0;
	first = &a->first[i];
	if (first->line == 0)
		*first = (struct first){line->number, takes_number(line), hash.second};
	else if (first->second == hash.second)
		add_repeated(a, line, first);
	return a->found == VALIDATE_BAD_MAX;
}

static int read_again(struct validator *s, int fd, const atomic_bool *cancel,
	lines_fn each, void *arg)
{
	struct lines *l = malloc(sizeof *l);
	int r;

	if (!l)
		return -ENOMEM;
	lines_init(l, s->lines.grammar, s->lines.seed, each, arg);
	r = lines_file(l, fd, cancel);
	free(l);
	return r;
}

static int find_repeated(struct validator *s, int fd, const atomic_bool *cancel)
{
	struct again a = {.scan = s};
	int r = 0;

	if (s->report.keyed > 0 && s->report.no_key + s->report.bare > 0)
		r = read_again(s, fd, cancel, on_unkeyed, s);
	if (r < 0)
		return r;
	a.repeated = siphash_set_reduce(&s->keys);
	if (a.repeated == 0)
		return 0;
	a.first = calloc(s->keys.n, sizeof *a.first);
	if (!a.first)
		return -ENOMEM;
	r = read_again(s, fd, cancel, on_suspect, &a);
	free(a.first);
	if (r < 0)
		return r;
	/* Ended early: there may be as many as the hashes say. */
	s->report.bad_total += r > 0 ? a.repeated : a.found;
	return 0;
}

static unsigned digits(uint64_t n)
{
	unsigned d = 1;

	while (n /= 10)
		d++;
	return d;
}

static void settle_sizes(struct validator *s)
{
	struct validate_report *r = &s->report;

	r->file_size = lines_offset(&s->lines);
	memcpy(r->head, s->lines.head, sizeof r->head);
	r->n_head = s->lines.n_head;
	r->width = digits(r->last_line);
	r->clean = !s->dirty && r->blank == 0 && r->requests > 0 &&
		   !lines_have_bom(&s->lines);
	r->send_size = s->object_bytes +
		       r->no_key * normalize_extra(LINE_NO_KEY, r->width) +
		       r->bare * normalize_extra(LINE_BARE, r->width);
	if (r->clean)
		r->send_size = r->file_size;
	r->too_big |= r->send_size > s->max;
	line_marks_settle(&r->marks, r->clean, r->width);
}

/* After all lines have been seen. */
static int validate_settle(struct validator *s, int fd, const atomic_bool *cancel)
{
	struct validate_report *r = &s->report;
	int err = 0;

	settle_sizes(s);
	if (!r->too_big)
		err = find_repeated(s, fd, cancel);
	r->clean = r->clean && r->bad_total == 0 && !r->too_big;
	return err;
}

int validate_finish(struct validator *s, int fd, const atomic_bool *cancel,
	struct validate_report *ret)
{
	int r = 0;

	if (!s->report.too_big)
		r = lines_finish(&s->lines);
	s->report.too_big |= r == TOO_BIG;
	if (r >= 0)
		r = validate_settle(s, fd, cancel);
	if (r < 0)
		return r;
	*ret = s->report;
	return 0;
}

/* s is freed. */
static int validate_all_of(struct validator *s, int fd, const atomic_bool *cancel,
	struct validate_report *ret)
{
	int r;

	if (!s)
		return -ENOMEM;
	r = lines_file(&s->lines, fd, cancel);
	s->report.too_big = r == TOO_BIG;
	if (r >= 0)
		r = validate_settle(s, fd, cancel);
	if (r == 0)
		*ret = s->report;
	validate_free(s);
	return r;
}

int validate_file(const struct request_grammar *g, int fd, const atomic_bool *cancel,
	struct validate_report *ret)
{
	return validate_all_of(validate_new(g), fd, cancel, ret);
}

int validate_file_any_size(const struct request_grammar *g, int fd,
	const atomic_bool *cancel, struct validate_report *ret)
{
	struct validator *s = validate_new(g);

	if (s)
		validate_any_size(s);
	return validate_all_of(s, fd, cancel, ret);
}

int validate_report_status(const struct validate_report *r)
{
	if (r->bad_total > 0)
		return -EBADMSG;
	if (r->too_big)
		return -EFBIG;
	return r->requests > 0 ? 0 : -EBADMSG;
}

static void print_bad(FILE *f, const struct validate_bad *b)
{
	fprintf(f, "line %ju", (uintmax_t)b->line);
	if (b->column)
		fprintf(f, ", column %ju", (uintmax_t)b->column);
	if (b->name)
		fprintf(f, ": \"%s\" %s", b->name, b->reason);
	else
		fprintf(f, ": %s", b->reason);
	if (b->other)
		fprintf(f, " %ju", (uintmax_t)b->other);
	fputc('\n', f);
}

/* What people mean who write such lines, by the reason of the first. */
static const struct {
	const char *reason, *hint;
} hints[] = {
	{"not a JSON object",
		"A line is one request: {\"contents\": [{\"parts\": [{\"text\": "
		"\"…\"}]}]}, or {\"key\": \"…\", \"request\": {…}} with that inside. "
		"If a request takes many lines, jq -c . FILE puts each on one; for an "
		"array: jq -c '.[]' FILE. Plain questions, one per line, go into "
		"inputs.txt.\n"},
	{"ends before the object does",
		"A request must be on one line. If it takes many lines, jq -c . FILE "
		"puts each request on one.\n"},
	{"no request", "A request is {\"contents\": [{\"parts\": [{\"text\": "
		       "\"…\"}]}]}; with a key: "
		       "{\"key\": \"…\", \"request\": {…}}. For an embedding it is "
		       "{\"content\": "
		       "{\"parts\": [{\"text\": \"…\"}]}}.\n"},
};

static const char *hint_for(const struct validate_report *r)
{
	if (r->n_bad && r->bad[0].line == 1 &&
		text_head_fault((const char *)r->head, r->n_head))
		return "";
	for (size_t i = 0; r->n_bad && i < ARRAY_SIZE(hints); i++)
		if (!r->bad[0].name && strcmp(hints[i].reason, r->bad[0].reason) == 0)
			return hints[i].hint;
	return "";
}

/* The whole file is of another kind. */
static void put_head_fault(FILE *f, const struct validate_report *r)
{
	const char *what = text_head_fault((const char *)r->head, r->n_head);

	if (what)
		fprintf(f, "The file %s\n", what);
}

char *validate_report_text(const struct validate_report *r)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (unsigned i = 0; i < r->n_bad; i++)
		print_bad(f, &r->bad[i]);
	if (r->bad_total > r->n_bad)
		fprintf(f, "and %ju more bad lines\n",
			(uintmax_t)(r->bad_total - r->n_bad));
	if (r->big_line)
		fprintf(f,
			"line %ju alone is larger than the %ju bytes that one job "
			"can have\n",
			(uintmax_t)r->big_line, (uintmax_t)r->grammar->max);
	else if (r->too_big)
		fprintf(f, "more than %ju bytes would be sent\n",
			(uintmax_t)r->grammar->max);
	else if (r->requests == 0 && r->bad_total == 0)
		fputs("there is no request in the file\n", f);
	fputs(hint_for(r), f);
	if (r->n_bad && r->bad[0].line == 1)
		put_head_fault(f, r);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
