/* Whose turn it is to upload a content. */
#include "store/uploads_private.h"

#include <string.h>

static bool is_same(const struct content *x, const struct content *y)
{
	return x->size == y->size && strcmp(x->sha256, y->sha256) == 0 &&
	       strcmp(x->mime, y->mime) == 0 && strcmp(x->origin, y->origin) == 0 &&
	       strcmp(x->key_print, y->key_print) == 0;
}

bool uploads_turn_take(struct uploads *r, struct uploads_turn *t)
{
	struct uploads_turn *at;

	pthread_mutex_lock(&r->lock);
	for (at = r->turns; at && !is_same(&at->content, &t->content);)
		at = at->next;
	if (!at) {
		t->next = r->turns;
		r->turns = t;
	}
	pthread_mutex_unlock(&r->lock);
	return !at;
}

void uploads_turn_end(struct uploads *r, struct uploads_turn *t)
{
	struct uploads_turn **at;

	pthread_mutex_lock(&r->lock);
	for (at = &r->turns; *at != t;)
		at = &(*at)->next;
	*at = t->next;
	pthread_mutex_unlock(&r->lock);
}
