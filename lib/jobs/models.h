/*
 * The API's models: which there are, what they can do in batches, and whether the one of
 * a job will do. The list is read at most once an hour; a model that is not in it is asked
 * for by itself, as tuned and new ones are in no list.
 *
 * No model's name is known here but that of the alias: models retire within a year.
 */
#ifndef GB_MODELS_H
#define GB_MODELS_H

#include "provider/provider.h"
#include "base/waiter.h"

#define MODEL_DEFAULT "gemini-flash-latest"

struct models;

struct models *models_new(struct gb_client *c);
void models_free(struct models *m);
/* client.lock held: whether any list has come. */
bool models_known(const struct models *m);
/* client.lock held: those who wait for the list; which NULL: all of them. */
void models_take_waiters(struct models *m, struct gb_waitq *to,
	bool (*which)(const struct gb_waiter *w, void *arg), void *arg);

/* What the model can do in batches, a set of enum batch_method. Blocks: a call or two at
 * most. 0; -ENOENT: the API says there is no such model; other: nobody can tell now. */
int models_methods(
	struct models *m, const char *model, struct canceller *cancel, unsigned *ret);
/* Whether it makes embeddings and nothing else, as far as can be told. May block as
 * models_methods; not where the list that is there, of whatever age, has it. */
bool models_embeds(struct models *m, const char *model, struct canceller *cancel);
/* Known models that have the method and a name like this one's, nearest first, as
 * "a, b, c"; malloc'ed, NULL: none is known. From memory. */
char *models_like(struct models *m, const char *model, enum batch_method method);

#endif
