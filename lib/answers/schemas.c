/*
 * Whether answers fit the schemas of their requests, while an index is made. Nearly
 * always there is one schema for all of them, but each may have its own: those that
 * were needed last are kept compiled.
 *
 * A row says where in its request the schema begins. Where it ends is seen by its text,
 * or because what is there is the text of the schema before.
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

enum {
	TEXT_MAX = 1 << 20, /* a longer schema is not looked at */
	PIECE = 4096,
	COMPILED = 64,
};

struct compiled {
	struct keypair hash; /* of the text */
	bool there;
	struct fit_schema *schema; /* NULL: nothing can be said of answers */
};

struct schemas {
	char *text; /* of the one that was used last */
	size_t len;
	struct compiled compiled[COMPILED], *last;
	struct fit *fit;
};

static struct schemas *schemas_new(void)
{
	struct schemas *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->text = malloc(2 * TEXT_MAX);
	s->fit = fit_new();
	if (s->text && s->fit)
		return s;
	answers_schemas_free(s);
	return NULL;
}

void answers_schemas_free(struct schemas *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < COMPILED; i++)
		fit_schema_free(s->compiled[i].schema);
	free(s->text);
	fit_free(s->fit);
	free(s);
}

/* ---- texts -------------------------------------------------------------------------- */

static int read_schema(const struct build *b, uint64_t from, char *to, size_t len)
{
	const struct text_source *source = b->in->requests;

	for (size_t have = 0; have < len;) {
		ssize_t n = source->read(
			source->arg, from + have, to + have, len - have);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		have += (size_t)n;
	}
	return 0;
}

/* The object that begins at a place, up to its end: its length; 0: it has none in
 * reach. */
static int read_object(const struct build *b, struct span in, char *to, size_t *ret)
{
	struct jtok tok;
	size_t len = 0, n;
	int err = 0;

	/* Names are of no interest. */
	*ret = 0;
	jtok_init(&tok, false);
	tok.quiet_depth = 1;
	while (!err && len < TEXT_MAX && in.from + len < in.to) {
		uint64_t left = in.to - in.from - len;
		enum jtok_event e;

		n = left < PIECE ? (size_t)left : PIECE;
		err = read_schema(b, in.from + len, to + len, n);
		if (err)
			break;
		jtok_feed(&tok, to + len, n);
		while ((e = jtok_next(&tok)) != JTOK_MORE) {
			if (e == JTOK_CLOSE && !tok.depth)
				*ret = (size_t)jtok_offset(&tok);
			if (e == JTOK_BAD || *ret)
				return 0;
		}
		len += n;
	}
	return err;
}

static bool is_last_text(const struct build *b, struct span in)
{
	struct schemas *s = b->schemas;
	char *text = s->text + TEXT_MAX;

	return s->last && in.to - in.from >= s->len &&
	       read_schema(b, in.from, text, s->len) == 0 &&
	       memcmp(text, s->text, s->len) == 0;
}

/* Of the text in s->text. */
static int compile_text(struct build *b)
{
	struct schemas *s = b->schemas;
	struct siphash h;
	int err = 0;

	siphash_init(&h, b->seed);
	siphash_add(&h, s->text, s->len);
	struct keypair hash = siphash_end(&h);
	struct compiled *c = &s->compiled[hash.first % COMPILED];

	if (!c->there || c->hash.first != hash.first || c->hash.second != hash.second) {
		fit_schema_free(c->schema);
		*c = (struct compiled){.hash = hash};
		err = b->in->grammar->schema(s->text, s->len, &c->schema);
		c->there = !err;
	}
	s->last = err ? NULL : c;
	return err;
}

/* *ret NULL: the row has none that could be checked. */
static int schema_of(struct build *b, uint32_t i, const struct fit_schema **ret)
{
	uint32_t at = b->schemas_at ? b->schemas_at[i] : 0;
	struct span in = answers_request(&b->rows[i]);
	struct schemas *s;
	int err = 0;

	*ret = NULL;
	if (!at || !b->in->requests)
		return 0;
	in.from += at;
	if (!b->schemas)
		b->schemas = schemas_new();
	s = b->schemas;
	if (!s)
		return -ENOMEM;
	if (!is_last_text(b, in)) {
		s->last = NULL;
		err = read_object(b, in, s->text, &s->len);
		if (!err && s->len)
			err = compile_text(b);
	}
	*ret = s->last ? s->last->schema : NULL;
	return err;
}

/* ---- answers ------------------------------------------------------------------------ */

int answers_schema_judge(struct build *b, uint32_t i, enum fit_verdict *ret,
	char why[FIT_WHY_MAX])
{
	const struct fit_schema *schema;
	struct text_json json;
	struct text_sink sink = {text_sink_json, &json, NULL};
	int err = schema_of(b, i, &schema);

	if (err)
		return err;
	if (schema) {
		sink = (struct text_sink){fit_sink, b->schemas->fit, NULL};
		fit_begin(b->schemas->fit, schema);
	} else {
		text_json_init(&json);
	}
	err = answers_row_text(b->a, &b->rows[i], b->in->results, &sink);
	if (err)
		*ret = FIT_NO_JSON;
	else if (schema)
		*ret = fit_end(b->schemas->fit, why);
	else
		*ret = text_json_valid(&json) ? FIT_FITS : FIT_NO_JSON;
	return err == -EBADMSG ? 0 : err;
}
