/*
 * The API's models: which exist, what they can do in batches, and whether the model of
 * a job can do what the job needs. The list is read at most once an hour. A model that
 * is not in it is requested by itself, because tuned and new models are in no list.
 *
 * The only model name in the code is the alias, because models retire within a year.
 */
#ifndef GB_MODELS_H
#define GB_MODELS_H

#include "provider/provider.h"
#include "base/waiter.h"

#define MODEL_DEFAULT "gemini-flash-latest"

struct models;

struct models *models_new(struct gb_client *c);
void models_free(struct models *m);
/* Lock held: whether any list has arrived. */
bool models_known(const struct models *m);
/* Lock held: remove the waiter `which` for the list; NULL: all of them. */
void models_take_waiters(struct models *m, struct gb_waitq *to,
	bool (*which)(const struct gb_waiter *w, void *arg), void *arg);

/* What the model can do in batches, a set of enum batch_method. Blocks, for two calls
 * at most. 0; -ENOENT: the API says that there is no such model; other: unknown now. */
int models_methods(
	struct models *m, const char *model, struct canceller *cancel, unsigned *ret);
/* Whether it makes embeddings and nothing else, as far as is known. May block like
 * models_methods, but not if the list in memory, however old, has the model. */
bool models_embeds(struct models *m, const char *model, struct canceller *cancel);
/* Known models that have the method and a similar name, nearest first, as "a, b, c";
 * malloc'ed, NULL: none is known. From memory. */
char *models_like(struct models *m, const char *model, enum batch_method method);

#endif
