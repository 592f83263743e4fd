#include "base/counted.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

struct counted {
	atomic_uint refs;
	char text[];
};

static struct counted *counted_of(const char *text)
{
	return (struct counted *)(text - offsetof(struct counted, text));
}

const char *counted_new(const char *text)
{
	size_t n = strlen(text) + 1;
	struct counted *c = malloc(sizeof(*c) + n);

	if (!c)
		return NULL;
	c->refs = 1;
	memcpy(c->text, text, n);
	return c->text;
}

const char *counted_ref(const char *counted)
{
	if (counted)
		counted_of(counted)->refs++;
	return counted;
}

void counted_unref(const char *counted)
{
	if (counted && --counted_of(counted)->refs == 0)
		free(counted_of(counted));
}

int counted_set(const char **member, const char *text)
{
	const char *copy = text ? counted_new(text) : NULL;

	if (text && !copy)
		return -ENOMEM;
	counted_unref(*member);
	*member = copy;
	return 0;
}

void counted_unset(const char **member)
{
	counted_unref(*member);
	*member = NULL;
}

void counted_take(const char **member, const char **value)
{
	counted_unref(*member);
	*member = STEAL_PTR(*value);
}

void counted_merge(const char **member, const char *counted)
{
	if (!*member || !counted || *member == counted ||
		strcmp(*member, counted) != 0)
		return;
	counted_unref(*member);
	*member = counted_ref(counted);
}
