#include "validate.h"
#include "jcheck.h"
#include "knobs.h"
#include "tokens.h"

#include <sys/mman.h>

struct scan {
	struct validation *v;
	struct jcheck c;
	const struct message *message;
	int64_t line;
	int max_faults;
	/* names of both forms met in this line */
	const char *outer_at, *inner_at, *key_at;
	struct tokens tokens; /* of this line */
	/* for the knob duplicate_keys */
	uint64_t *keys;
	size_t n_keys, cap_keys;
};

static void add_fault(struct scan *s, int64_t line, int64_t column, const char *what)
{
	struct validation *v = s->v;

	if (v->faults++ >= s->max_faults)
		return;
	if (v->text.len)
		buf_puts(&v->text, "\n");
	buf_printf(&v->text, "Error on line %lld: invalid JSON, near column %lld: %s",
		(long long)line, (long long)column, what);
}

static bool pass_over(struct jcheck *c, const char *name, size_t len)
{
	return c->depth == 1;
}

static void outer(struct jcheck *c, const struct field *f, const char *at)
{
	struct scan *s = c->cls;

	if (!strcmp(f->name, "key"))
		s->key_at = at;
	else if (schema_is_outer(f))
		s->outer_at = at;
	else if (*f->name && !s->inner_at)
		s->inner_at = at;
}

static void seen(struct jcheck *c, const struct field *f, const char *text, size_t len)
{
	struct scan *s = c->cls;

	tokens_add_seen(&s->tokens, c, f, text, len);
}

/* A line is either {"key", "request"} or a bare request. */
static void check_forms(struct scan *s)
{
	const char *at = NULL;
	size_t n;
	char what[128];

	if (s->outer_at && s->inner_at)
		at = s->inner_at;
	else if (s->inner_at && s->key_at)
		at = s->key_at;
	if (!at)
		return;
	n = strcspn(at + 1, "\"");
	snprintf(what, sizeof(what), "no such field: '%.*s'", n < 80 ? (int)n : 80,
		at + 1);
	add_fault(s, s->line, at - s->c.start + 1, what);
}

static void note_key(struct scan *s, const char *line, size_t len)
{
	const char *p = s->key_at, *end = line + len, *q;

	if (!p || !(p = memchr(p, ':', end - p)) || !(p = memchr(p, '"', end - p)) ||
		!(q = memchr(p + 1, '"', end - p - 1)))
		return;
	if (s->n_keys == s->cap_keys) {
		s->cap_keys = s->cap_keys * 2 + 1024;
		s->keys = xrealloc(s->keys, s->cap_keys * sizeof(s->keys[0]));
	}
	s->keys[s->n_keys++] = hash64(p, q - p);
}

static void check_line(struct scan *s, const char *line, size_t len)
{
	s->outer_at = s->inner_at = s->key_at = NULL;
	s->tokens = (struct tokens){0};
	s->c.start = line;
	s->c.end = line + len;
	s->v->requests++;
	if (jcheck_run(&s->c, s->message) < 0)
		add_fault(s, s->line, s->c.fault_at - line + 1, s->c.fault);
	else
		check_forms(s);
	s->v->tokens += tokens_sum(&s->tokens);
	if (knob_choice(K_duplicate_keys))
		note_key(s, line, len);
}

static bool blank(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r", p[i]))
			return false;
	return true;
}

static void one_line(struct scan *s, const char *p, size_t len)
{
	s->line++;
	if (len && p[len - 1] == '\r') {
		if (knob_choice(K_crlf))
			add_fault(s, s->line, len, "unexpected character: '\\r'");
		len--;
	}
	if (!blank(p, len > 16 ? 16 : len) || !blank(p, len)) {
		if (knob_choice(K_validate) == 0)
			check_line(s, p, len);
		else
			s->v->requests++;
	} else if (knob_choice(K_blank_lines)) {
		add_fault(s, s->line, 1, "unexpected end of line; expected '{'");
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void check_duplicates(struct scan *s)
{
	if (s->n_keys)
		qsort(s->keys, s->n_keys, sizeof(s->keys[0]), by_value);
	for (size_t i = 1; i < s->n_keys; i++)
		if (s->keys[i] == s->keys[i - 1]) {
			add_fault(s, s->line, 1, "duplicate key");
			break;
		}
	free(s->keys);
}

/* Pages that were read count as ours until they are given back. */
#define KEEP_MAPPED (8 * 1024 * 1024)

static const char *give_back(const char *from, const char *now)
{
	size_t n = (now - from) / KEEP_MAPPED * KEEP_MAPPED;

	if (n)
		madvise((void *)from, n, MADV_DONTNEED);
	return from + n;
}

static void scan(struct scan *s, const char *p, int64_t size)
{
	const char *end = p + size, *kept = p;

	if (size >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) {
		if (!knob_choice(K_bom))
			add_fault(s, 1, 1,
				"unexpected character: '\xef\xbb\xbf'; expected '{'");
		p += 3;
	}
	while (p < end) {
		const char *nl = memchr(p, '\n', end - p);

		if (!nl)
			nl = end;
		one_line(s, p, nl - p);
		p = nl + 1;
		kept = give_back(kept, p);
	}
	check_duplicates(s);
}

void validate_file(int fd, int64_t size, bool embed, struct validation *v)
{
	struct scan s = {.v = v,
		.message = embed ? &schema_embed_line : &schema_line,
		.max_faults = knob_num(K_fault_lines)};
	void *map;

	*v = (struct validation){0};
	if (knob_choice(K_validate))
		v->tokens = tokens_of_bytes(size);
	if (!size || knob_choice(K_validate) == 2)
		return;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED) {
		complain("cannot map an input file");
		return;
	}
	madvise(map, size, MADV_SEQUENTIAL);
	s.c = (struct jcheck){.field_case = knob_choice(K_field_case),
		.outer = outer,
		.seen = seen,
		.unknown = knob_choice(K_outer_unknown) ? pass_over : NULL,
		.cls = &s};
	scan(&s, map, size);
	munmap(map, size);
}
