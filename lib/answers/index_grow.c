/*
 * Making an index out of an earlier one of the same requests, to which parts are added:
 * neither requests nor the results that it has are read again.
 */
#include "answers/answers_private.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

static bool same_part(const struct answers_part *x, const struct answers_part *y)
{
	return x->number == y->number && x->round == y->round &&
	       x->range.from == y->range.from && x->range.to == y->range.to;
}

/* That of one job is its first part. */
static bool stays_first(const struct answers_head *h, const struct answers_part *p)
{
	return p->number == 1 && !p->round && !p->range.from &&
	       p->size == h->stamp.results_size && p->s == h->stamp.results_s &&
	       p->ns == h->stamp.results_ns;
}

/* Whether none of the keys was cut: the hash of a whole one is not kept. */
static bool keys_are_whole(const struct answers *a)
{
	for (uint32_t i = 0; i < a->head.n_rows; i++)
		if (a->rows[i].key_len > LINE_KEY_MAX - 4)
			return false;
	return true;
}

bool answers_may_grow(const struct answers *before, const struct answers_part *parts,
	uint32_t n_parts)
{
	const struct answers_head *h = &before->head;

	if (n_parts < h->n_parts || !n_parts || h->dropped)
		return false;
	if (!h->n_parts && !stays_first(h, &parts[0]))
		return false;
	for (uint32_t i = 0; i < h->n_parts; i++) {
		const struct answers_part *p = &before->parts[i], *q = &parts[i];

		if (!same_part(p, q))
			return false;
		if (p->size >= 0 ? p->size != q->size || p->s != q->s || p->ns != q->ns
				 : q->size < 0 && p->none != q->none)
			return false;
	}
	return keys_are_whole(before);
}

/* The length of the text alone again: see add_up_usage in index_build.c. */
static int grow_row(struct build *b, const struct answers *a, uint32_t i)
{
	const struct answers_row *from = &a->rows[i];
	struct answers_note note = answers_note_of(a, from);
	struct siphash h;
	uint32_t n;
	int err = answers_new_row(b, &n);

	if (err)
		return err;
	const char *key = a->blob + from->key_at;

	b->rows[i] = *from;
	b->rows[i].tsv_len -= (uint32_t)answers_row_frame(a->blob, from, &note);
	b->rows[i].asked = b->rows[i].noted = false; /* as far as this one knows it */
	siphash_init(&h, b->seed);
	siphash_add(&h, key, from->key_len);
	b->keys[i] = siphash_end(&h);
	err = answers_set_key(b, i, key, from->key_len);
	if (!err && a->head.n_schemas)
		err = answers_set_schema(b, i, a->schemas[i]);
	return err || !note.len
		       ? err
		       : answers_note_bytes(b, i, a->blob + note.at, note.len);
}

static int grow_rows(struct build *b, const struct answers *a)
{
	int err = answers_rows_room(b, a->head.n_rows + 1);

	for (uint32_t i = 0; !err && i < a->head.n_rows; i++) {
		err = b->in->cancel && *b->in->cancel ? -ECANCELED : grow_row(b, a, i);
		answers_rest_at(a, i);
	}
	if (err)
		return err;
	uint32_t all = b->n;

	while (b->asked < all && b->rows[b->asked].request_len)
		b->asked++;
	b->n = b->asked;
	err = answers_hash_rows(b);
	b->n = all;
	return err;
}

/* What a part has used up is known from before; else it is read. */
static void grow_tokens(struct build *b, const struct answers *a)
{
	memcpy(b->a->head.tokens, a->head.tokens, sizeof a->head.tokens);
	for (uint32_t i = 0; i < a->head.n_parts; i++)
		memcpy(b->a->parts[i].tokens, a->parts[i].tokens,
			sizeof a->parts[i].tokens);
	if (!a->head.n_parts)
		memcpy(b->a->parts[0].tokens, a->head.tokens, sizeof a->head.tokens);
}

int answers_grow(struct build *b)
{
	const struct answers *a = b->in->before;

	if (!answers_summary_resume(b, a))
		return -ESTALE;
	grow_tokens(b, a);
	return grow_rows(b, a);
}
