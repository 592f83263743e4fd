#include "world.h"

#include <pthread.h>
#include <search.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void world_lock(void)
{
	pthread_mutex_lock(&lock);
}

void world_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

void registry_add(struct registry *r, void *item)
{
	if (!tsearch(item, &r->tree, compare))
		abort();
	if (r->n == r->cap) {
		r->cap = r->cap * 2 + 16;
		r->items = xrealloc(r->items, r->cap * sizeof(r->items[0]));
	}
	r->items[r->n++] = item;
}

void *registry_find(const struct registry *r, const char *id)
{
	void *node = tfind(id, &r->tree, compare);

	return node ? *(void **)node : NULL;
}

void registry_remove(struct registry *r, void *item)
{
	tdelete(item, &r->tree, compare);
	for (size_t i = r->n; i-- > 0;)
		if (r->items[i] == item) {
			memmove(r->items + i, r->items + i + 1,
				(--r->n - i) * sizeof(r->items[0]));
			return;
		}
}
