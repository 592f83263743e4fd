/*
 * What all results together show: the models that answered, for `usage`, and lines for
 * `warnings`.
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/util.h"
#include "requests/warnings.h"
#include "provider/all/ids.h"

enum { REASON_MAX = 300 };

static void copy_word(struct line_word *to, const struct line_word *from)
{
	memcpy(to, from, sizeof *to);
}

/* Names go into lines of text. */
static bool word_is_name(const struct line_word *w)
{
	return w->len &&
	       strspn(w->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "0123456789._-/:@") == w->len;
}

void answers_summary_line(struct build *b, const struct answer_line *line)
{
	struct answers_models *m = &b->models;
	unsigned i = 0;

	if (b->in->grammar->stage_is_ending(line->stage.text) &&
		word_is_name(&line->stage)) {
		copy_word(&m->stage, &line->stage);
		copy_word(&m->retires, &line->retires);
		m->ending++;
	}
	if (!word_is_name(&line->version))
		return;
	while (i < m->n && strcmp(m->models[i].name.text, line->version.text) != 0)
		i++;
	if (i == MODELS_MAX) {
		m->others++;
		return;
	}
	if (i == m->n)
		copy_word(&m->models[m->n++].name, &line->version);
	m->models[i].n++;
}

/* ---- usage ------------------------------------------------------------------------- */

static const char *bare_name(const char *name)
{
	return remote_model_name(name);
}

static int put_models(struct build *b)
{
	const struct answers_models *m = &b->models;
	char text[MODELS_MAX * (LINE_WORD_MAX + 40)];
	size_t n = 0;

	for (unsigned i = 0; i < m->n; i++)
		n += (size_t)snprintf(text + n, sizeof text - n,
			"model_version %s %" PRIu64 "\n",
			bare_name(m->models[i].name.text), m->models[i].n);
	b->a->head.models_len = n;
	int err = answers_blob_add(&b->blob, text, n, &b->a->head.models_at);
	if (err)
		return err;
	b->a->head.summary_len = sizeof *m;
	return answers_blob_add(&b->blob, m, sizeof *m, &b->a->head.summary_at);
}

static bool word_is_whole(const struct line_word *w)
{
	return w->len < sizeof w->text && !w->text[w->len];
}

bool answers_summary_resume(struct build *b, const struct answers *before)
{
	const struct answers_head *h = &before->head;
	struct answers_models *m = &b->models;

	if (h->summary_len != sizeof *m)
		return false;
	memcpy(m, before->blob + h->summary_at, sizeof *m);
	for (unsigned i = 0; i < MODELS_MAX; i++)
		if (!word_is_whole(&m->models[i].name))
			return false;
	return m->n <= MODELS_MAX && word_is_whole(&m->stage) &&
	       word_is_whole(&m->retires);
}

/* ---- warnings ---------------------------------------------------------------------- */

static void warn_of_models(const struct build *b, struct warnings *w)
{
	const struct answers_models *m = &b->models;
	const char *asked = b->in->model ? bare_name(b->in->model) : "";

	for (unsigned i = 0; *asked && i < m->n; i++) {
		const char *version = bare_name(m->models[i].name.text);

		if (!b->in->grammar->may_answer_as(asked, version))
			warnings_add(w,
				"another model answered: %s, not %s (%" PRIu64
				" request%s); its price may differ",
				version, asked, m->models[i].n,
				util_s((int64_t)m->models[i].n));
	}
	if (m->ending)
		warnings_add(w,
			"the model's stage is %s%s%.40s (%" PRIu64 " result%s): "
			"choose another model for the next job (names: .batchfs/models)",
			m->stage.text, word_is_name(&m->retires) ? ", it retires " : "",
			word_is_name(&m->retires) ? m->retires.text : "", m->ending,
			util_s((int64_t)m->ending));
}

static bool same_note(const struct build *b, const struct answers_row *x,
	const struct answers_row *y)
{
	struct answers_note n = answers_note_of(b->a, x), m = answers_note_of(b->a, y);
	const char *blob = b->blob.text;

	return x->status == y->status && n.len == m.len &&
	       memcmp(blob + n.at, blob + m.at, n.len) == 0;
}

/* All rows have no answer, for one reason. */
static bool one_reason(const struct build *b)
{
	const struct answers_row *rows = b->a->rows;
	uint32_t n = b->a->head.n_rows;

	if (n == 0 || !b->in->results ||
		(rows[0].status != ANSWER_FAILED && rows[0].status != ANSWER_BLOCKED))
		return false;
	for (uint32_t i = 1; i < n; i++)
		if (!same_note(b, &rows[0], &rows[i]))
			return false;
	return true;
}

static void warn_of_reason(struct build *b, struct warnings *w)
{
	char text[REASON_MAX + 1];
	struct text_range range = {.buf = text, .room = REASON_MAX};
	struct text_sink to = text_to_range(&range);

	b->a->blob = b->blob.text;
	answers_row_text(b->a, &b->a->rows[0], b->in->results, &to);
	b->a->blob = NULL;
	range.have = util_utf8_cut(text, range.have, REASON_MAX - 4);
	text[range.have] = '\0';
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	warnings_add(w,
		b->a->head.n_rows == 1
			? "the request has no answer: %s"
			: "no request has an answer, all for the same reason: %s",
		text);
}

/* Text of others in a line of text. */
static void put_shown(char *ret, size_t size, const char *text, size_t len)
{
	size_t n = util_utf8_cut(text, len, size - 1);

	memcpy(ret, text, n);
	ret[n] = '\0';
	for (char *p = ret; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

/* In the order asked; NULL: there is none. */
static const struct answers_node *first_misfit(const struct answers *a)
{
	const struct answers_node *first = NULL;

	for (uint32_t k = 0; k < a->head.n_nodes; k++) {
		const struct answers_node *n = &a->nodes[k];

		if (n->kind == NODE_IS_NOTE && (!first || n->row < first->row))
			first = n;
	}
	return first;
}

static void warn_of_misfits(const struct build *b, struct warnings *w)
{
	uint64_t n = b->a->head.counts[ANSWER_INVALID];
	const struct answers_node *first = first_misfit(b->a);
	char key[64], why[FIT_WHY_MAX];

	if (!first)
		return;
	const struct answers_row *row = &b->a->rows[first->row];
	struct span at = answers_data(b->a, first);

	put_shown(key, sizeof key, b->blob.text + row->key_at, row->key_len);
	put_shown(why, sizeof why, b->blob.text + at.from, at.to - at.from);
	warnings_add(w,
		"%" PRIu64 " %s not fit the schema that was asked for: in %s%s, %s; "
		"responses/KEY.error says where; to ask again: echo retry > ctl",
		n, n == 1 ? "answer does" : "answers do", n == 1 ? "" : "the first, ",
		key, why);
}

static void warn_of_unanswered(const struct build *b, struct warnings *w)
{
	const struct answers_head *h = &b->a->head;
	uint64_t absent = h->absent > 0 ? (uint64_t)h->absent : 0;
	uint64_t missing = h->counts[ANSWER_MISSING] + absent;
	uint64_t bad = h->counts[ANSWER_BLOCKED] + h->counts[ANSWER_FAILED] + missing;

	if (bad)
		warnings_add(w,
			"%" PRIu64 " of %" PRIu64
			" request%s %s no answer (blocked %" PRIu64 ", failed %" PRIu64
			", missing %" PRIu64 ")%s%s",
			bad, h->n_rows + absent, util_s((int64_t)(h->n_rows + absent)),
			bad == 1 ? "has" : "have", h->counts[ANSWER_BLOCKED],
			h->counts[ANSWER_FAILED], missing,
			bad > absent ? ": answers.tsv says why" : "",
			h->retry_size ? "; to ask again where that may help: echo "
					"retry > ctl"
			: b->in->requests ? "; asking again would not help"
					  : "");
	warn_of_misfits(b, w);
	if (h->counts[ANSWER_TRUNCATED])
		warnings_add(w,
			"%" PRIu64 " %s cut short: raise maxOutputTokens "
				   "(thoughts count towards it)",
			h->counts[ANSWER_TRUNCATED],
			h->counts[ANSWER_TRUNCATED] == 1 ? "answer is" : "answers are");
}

uint64_t answers_unserved(const struct answers *a)
{
	static const char cancelled[] = "CANCELLED (1)";
	uint64_t n = a->head.counts[ANSWER_MISSING];

	if (a->head.absent > 0)
		n += (uint64_t)a->head.absent;
	for (uint32_t i = 0; i < a->head.n_rows; i++) {
		struct answers_note note = answers_note_of(a, &a->rows[i]);

		n += a->rows[i].status == ANSWER_FAILED &&
		     note.len >= strlen(cancelled) &&
		     memcmp(a->blob + note.at, cancelled, strlen(cancelled)) == 0;
	}
	return n;
}

/* ---- vectors.npy --------------------------------------------------------------------- */

/* How many numbers the row's embedding has, which its note says; 0: it is none. */
static uint32_t row_dims(const struct build *b, const struct answers_row *r)
{
	struct answers_note note = answers_note_of(b->a, r);
	char text[24] = "";

	if (r->how != HOW_VECTOR || note.len >= sizeof text)
		return 0;
	memcpy(text, b->blob.text + note.at, note.len);
	return (uint32_t)strtoul(text, NULL, 10);
}

/* A row a request; where those are not known, a row a result. */
static void settle_vectors(struct build *b, struct warnings *w)
{
	struct answers_head *h = &b->a->head;
	uint32_t dims = 0, other = 0, n = 0;

	for (uint32_t i = 0; i < h->n_rows; i++) {
		uint32_t has = row_dims(b, &b->a->rows[i]);

		n += !b->in->requests || b->a->rows[i].request_len;
		if (has && !dims)
			dims = has;
		else if (has && has != dims && !other)
			other = has;
	}
	h->vectors = n;
	h->dims = other ? 0 : dims;
	if (other)
		warnings_add(w,
			"the embeddings have different lengths (%" PRIu32
			" and %" PRIu32 "): there is no vectors.npy",
			dims, other);
}

static int put_warnings(struct build *b)
{
	struct warnings w = {0};
	_cleanup_free_ char *text = NULL;

	if (one_reason(b))
		warn_of_reason(b, &w);
	else if (b->in->results)
		warn_of_unanswered(b, &w);
	warn_of_models(b, &w);
	settle_vectors(b, &w);
	text = warnings_text_take(&w);
	if (!text)
		return -ENOMEM;
	b->a->head.warnings_len = strlen(text);
	return answers_blob_add(
		&b->blob, text, strlen(text), &b->a->head.warnings_at);
}

int answers_summary(struct build *b)
{
	struct answers_head *h = &b->a->head;
	int err;

	if (b->in->requests || b->in->asked >= 0)
		h->absent = b->in->requests || b->in->asked <= (int64_t)h->n_rows
				    ? 0
				    : b->in->asked - (int64_t)h->n_rows;
	else
		h->absent = -1;
	err = put_models(b);
	return err ? err : put_warnings(b);
}
