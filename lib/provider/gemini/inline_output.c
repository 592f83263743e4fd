#include "provider/gemini/inline_output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_tokens.h"
#include "base/util.h"

#define OUT_SIZE (64 * 1024)
#define NAME_MAX_KEPT 64
#define MEMBER_MAX 4096 /* a member's name as it stands in an element */

/* Where the bytes between two events go. */
enum mode {
	KEEP, /* to the object */
	DROP,
	BETWEEN,  /* between elements: there may be only commas and white space */
	NAME,     /* in an element, up to the end of a member's name: to member */
	VALUE,    /* in an element, a member's colon and value: to the sink */
	METADATA, /* the same of "metadata": to metadata */
};

/* What an object outside the lists is, or what a name announces. */
enum place { ELSEWHERE, ROOT, IN_METADATA, OUTPUT, LIST };

static const struct {
	enum place in;
	const char *name;
	enum place to;
} ways[] = {
	{ROOT, "metadata", IN_METADATA},
	{ROOT, "response", OUTPUT},
	{IN_METADATA, "output", OUTPUT},
	{OUTPUT, "inlinedResponses", LIST},
	{OUTPUT, "inlinedEmbedContentResponses", LIST},
};

#define DEPTH_KNOWN 3 /* root, metadata, output */

struct text {
	char *buf;
	size_t n, size, max;
};

struct inline_filter {
	struct jtok tok;
	inline_sink sink;
	void *arg;
	int err;

	const uint8_t *mark; /* bytes from here on have not gone anywhere yet */
	enum mode mode;
	bool in_string, escaped; /* of what is written without white space */

	enum place place[DEPTH_KNOWN + 1]; /* of the open brackets, by depth */
	enum place next;                   /* announced by the last name */
	unsigned list_depth;  /* the depth outside the list's value; 0: not in it */
	unsigned array_depth; /* the depth between elements; 0: not yet */
	bool array_next;      /* the last name announces the inner list */
	bool written;         /* the list has been met */
	uint64_t lines;

	/* Of the element at hand. */
	bool comma; /* the next member has one before it */
	bool has_metadata, keep_metadata;
	struct text member, metadata;

	char name[NAME_MAX_KEPT];
	size_t name_len;
	struct text object;
	size_t out_n;
	char out[OUT_SIZE];
};

int inline_sink_fd(void *arg, const void *buf, size_t n)
{
	return util_write_all(*(const int *)arg, buf, n);
}

struct inline_filter *inline_filter_new(inline_sink sink, void *arg)
{
	struct inline_filter *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	jtok_init(&f->tok, false);
	f->sink = sink;
	f->arg = arg;
	f->object.max = INLINE_REPLY_MAX;
	f->metadata.max = INLINE_METADATA_MAX;
	f->member.max = MEMBER_MAX;
	return f;
}

void inline_filter_free(struct inline_filter *f)
{
	if (!f)
		return;
	free(f->object.buf);
	free(f->metadata.buf);
	free(f->member.buf);
	free(f);
}

static void inline_fail(struct inline_filter *f, int err)
{
	if (f->err == 0)
		f->err = err;
}

static void inline_append(
	struct inline_filter *f, struct text *t, const void *buf, size_t n)
{
	if (n > t->max - t->n) {
		inline_fail(f, -EPROTO);
		return;
	}
	/* One byte more, for a NUL at the end. */
	if (t->size < t->n + n + 1) {
		size_t size = 2 * (t->n + n) + 256;
		char *bigger = realloc(t->buf, size);

		if (!bigger) {
			inline_fail(f, -ENOMEM);
			return;
		}
		t->buf = bigger;
		t->size = size;
	}
	if (n > 0)
		memcpy(t->buf + t->n, buf, n);
	t->n += n;
}

static void inline_flush(struct inline_filter *f)
{
	int r = f->sink && f->out_n > 0 ? f->sink(f->arg, f->out, f->out_n) : 0;

	if (r < 0)
		inline_fail(f, r);
	f->out_n = 0;
}

static void out(struct inline_filter *f, const void *buf, size_t n)
{
	const char *p = buf;

	while (n > 0 && f->err == 0) {
		size_t part = OUT_SIZE - f->out_n;

		if (part > n)
			part = n;
		memcpy(f->out + f->out_n, p, part);
		f->out_n += part;
		p += part;
		n -= part;
		if (f->out_n == OUT_SIZE)
			inline_flush(f);
	}
}

static void out_text(struct inline_filter *f, const char *text)
{
	out(f, text, strlen(text));
}

static void out_comma(struct inline_filter *f)
{
	if (f->comma)
		out_text(f, ",");
	f->comma = true;
}

static bool inline_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Part of an element without white space, to where the mode says. */
static void inline_put(struct inline_filter *f, const uint8_t *p, size_t n)
{
	if (f->mode == VALUE)
		out(f, p, n);
	else
		inline_append(f, f->mode == NAME ? &f->member : &f->metadata, p, n);
}

static void put_dense(struct inline_filter *f, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *from = p;

	for (; p < end; p++) {
		if (f->escaped) {
			f->escaped = false;
		} else if (f->in_string) {
			f->in_string = *p != '"';
			f->escaped = *p == '\\';
		} else if (inline_space(*p)) {
			inline_put(f, from, (size_t)(p - from));
			from = p + 1;
		} else {
			f->in_string = *p == '"';
		}
	}
	inline_put(f, from, (size_t)(p - from));
}

/* Bytes up to end go where the mode says. */
static void pass(struct inline_filter *f, const uint8_t *end)
{
	const uint8_t *p = f->mark;

	f->mark = end;
	switch (f->mode) {
	case KEEP:
		inline_append(f, &f->object, p, (size_t)(end - p));
		break;
	case DROP:
		break;
	case BETWEEN:
		for (; p < end; p++)
			if (*p != ',' && !inline_space(*p))
				inline_fail(f, -EPROTO);
		break;
	default:
		put_dense(f, p, end);
	}
}

/* The same up to the bracket or comma just read, which itself goes nowhere. */
static void pass_before(struct inline_filter *f)
{
	pass(f, f->tok.p - 1);
	f->mark = f->tok.p;
}

/* ---- metadata of an element ------------------------------------------------------ */

struct metadata {
	bool object, key_next, more;
	char name[4]; /* as much as tells "key" from others */
	size_t name_len;
	const char *key; /* with its quotes */
	size_t key_len;
};

static bool is(const void *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static void metadata_part(struct metadata *m, const struct jtok *t)
{
	for (size_t i = 0; i < t->len && m->name_len < sizeof m->name; i++)
		m->name[m->name_len++] = (char)t->text[i];
}

static void metadata_name(struct metadata *m, const struct jtok *t)
{
	metadata_part(m, t);
	if (t->depth == 1) {
		m->key_next = !m->key && is(m->name, m->name_len, "key");
		m->more |= !m->key_next;
	}
	m->name_len = 0;
}

/* Whatever comes after the name "key". */
static void metadata_value(
	struct metadata *m, const struct jtok *t, const char *text, enum jtok_event e)
{
	if (e == JTOK_STRING) {
		m->key = text + t->quote;
		m->key_len = jtok_offset(t) - t->quote;
	} else {
		/* A key that is no string counts as something else. */
		m->more = true;
	}
	m->key_next = false;
}

/* Finds the key in text, which is known to be one JSON value. */
static struct metadata metadata_parse(const char *text, size_t n)
{
	struct metadata m = {0};
	enum jtok_event e;
	struct jtok t;

	jtok_init(&t, false);
	jtok_feed(&t, text, n);
	while ((e = jtok_next(&t)) != JTOK_MORE && e != JTOK_BAD) {
		if (e == JTOK_PIECE && t.is_name)
			metadata_part(&m, &t);
		else if (m.key_next && e != JTOK_PIECE)
			metadata_value(&m, &t, text, e);
		if (e == JTOK_NAME)
			metadata_name(&m, &t);
		t.want = m.key_next;
	}
	m.object = jtok_complete(&t);
	return m;
}

static void end_metadata(struct inline_filter *f)
{
	/* The first byte is the colon. */
	const char *text = f->metadata.buf + 1;
	size_t n = f->metadata.n - 1;
	struct metadata m = metadata_parse(text, n);

	f->keep_metadata = m.object ? m.more : !is(text, n, "null");
	if (!m.key)
		return;
	out_comma(f);
	out_text(f, "\"key\":");
	out(f, m.key, m.key_len);
}

/* ---- elements -------------------------------------------------------------------- */

static void begin_element(struct inline_filter *f)
{
	if (!jtok_in_object(&f->tok))
		inline_fail(f, -EPROTO);
	pass_before(f);
	out_text(f, "{");
	f->comma = false;
	f->has_metadata = f->keep_metadata = false;
	f->tok.comma_depth = f->tok.depth;
	f->member.n = 0;
	f->mode = NAME;
}

static void begin_member(struct inline_filter *f, const char *name, size_t len)
{
	pass(f, f->tok.p);
	if (is(name, len, "metadata")) {
		if (f->has_metadata)
			inline_fail(f, -EPROTO);
		f->has_metadata = true;
		f->metadata.n = 0;
		f->mode = METADATA;
		return;
	}
	out_comma(f);
	out(f, f->member.buf, f->member.n);
	f->mode = VALUE;
}

/* At the comma or brace after a member, or at the brace of {}. */
static void end_member(struct inline_filter *f)
{
	pass_before(f);
	if (f->mode == METADATA && f->err == 0)
		end_metadata(f);
	f->member.n = 0;
	f->mode = NAME;
}

static void end_element(struct inline_filter *f)
{
	end_member(f);
	if (f->keep_metadata) {
		out_comma(f);
		out_text(f, "\"metadata\"");
		out(f, f->metadata.buf, f->metadata.n);
	}
	out_text(f, "}\n");
	f->lines++;
	f->tok.comma_depth = 0;
	f->mode = BETWEEN;
}

/* ---- the way to the list --------------------------------------------------------- */

static enum place way(enum place in, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i].in == in && is(name, len, ways[i].name))
			return ways[i].to;
	return ELSEWHERE;
}

/* A bracket that may be the list's. */
static void begin_array(struct inline_filter *f)
{
	f->mark = f->tok.p;
	if (jtok_in_object(&f->tok) || f->written)
		return;
	f->array_depth = f->tok.depth;
	f->mode = BETWEEN;
}

static void begin_list(struct inline_filter *f)
{
	pass_before(f);
	inline_append(f, &f->object, "{}", 2);
	f->mode = DROP;
	f->list_depth = f->tok.depth - 1;
	begin_array(f);
}

static void end_array(struct inline_filter *f)
{
	pass_before(f);
	f->written = f->lines > 0;
	f->array_depth = 0;
	f->mode = DROP;
}

static void end_list(struct inline_filter *f)
{
	f->mark = f->tok.p;
	f->list_depth = 0;
	f->mode = KEEP;
}

static void inline_on_open(struct inline_filter *f)
{
	unsigned depth = f->tok.depth;
	enum place to = depth == 1 ? ROOT : f->next;
	bool array_next = f->array_next;

	f->next = ELSEWHERE;
	f->array_next = false;
	if (f->array_depth) {
		if (depth == f->array_depth + 1)
			begin_element(f);
	} else if (f->list_depth) {
		if (array_next)
			begin_array(f);
	} else if (to == LIST) {
		begin_list(f);
	} else if (depth <= DEPTH_KNOWN) {
		f->place[depth] = jtok_in_object(&f->tok) ? to : ELSEWHERE;
	}
}

static void inline_on_close(struct inline_filter *f)
{
	unsigned depth = f->tok.depth;

	f->next = ELSEWHERE;
	f->array_next = false;
	if (f->array_depth && depth == f->array_depth)
		end_element(f);
	else if (f->array_depth && depth == f->array_depth - 1)
		end_array(f);
	if (f->list_depth && depth == f->list_depth)
		end_list(f);
}

static void inline_keep_part(struct inline_filter *f)
{
	size_t room = sizeof f->name - f->name_len;
	size_t n = f->tok.len < room ? f->tok.len : room;

	memcpy(f->name + f->name_len, f->tok.text, n);
	f->name_len += n;
}

static void inline_on_name(struct inline_filter *f)
{
	unsigned depth = f->tok.depth;
	size_t len;

	inline_keep_part(f);
	len = f->name_len;
	f->name_len = 0;
	if (f->array_depth) {
		if (depth == f->array_depth + 1)
			begin_member(f, f->name, len);
	} else if (f->list_depth) {
		f->array_next = depth == f->list_depth + 1 &&
				is(f->name, len, "inlinedResponses");
	} else {
		f->next = depth <= DEPTH_KNOWN ? way(f->place[depth], f->name, len)
					       : ELSEWHERE;
	}
}

int inline_filter_feed(struct inline_filter *f, const void *buf, size_t n)
{
	enum jtok_event e;

	if (f->err != 0 || n == 0)
		return f->err;
	jtok_feed(&f->tok, buf, n);
	f->mark = f->tok.p;
	while (f->err == 0 && (e = jtok_next(&f->tok)) != JTOK_MORE) {
		if (e == JTOK_OPEN)
			inline_on_open(f);
		else if (e == JTOK_CLOSE)
			inline_on_close(f);
		else if (e == JTOK_PIECE)
			inline_keep_part(f);
		else if (e == JTOK_NAME)
			inline_on_name(f);
		else if (e == JTOK_COMMA)
			end_member(f);
		else
			inline_fail(f, -EPROTO);
	}
	if (f->err == 0)
		pass(f, f->tok.p);
	return f->err;
}

int inline_filter_finish(
	struct inline_filter *f, char **ret, size_t *ret_len, uint64_t *ret_lines)
{
	if (f->err == 0 && !jtok_complete(&f->tok))
		inline_fail(f, -EPROTO);
	if (f->err == 0)
		inline_flush(f);
	if (f->err != 0)
		return f->err;
	f->object.buf[f->object.n] = '\0';
	*ret = STEAL_PTR(f->object.buf);
	*ret_len = f->object.n;
	if (ret_lines)
		*ret_lines = f->lines;
	/* Nothing can come any more. */
	f->err = -EINVAL;
	return 0;
}
