/*
 * Strings that several hold: a job's name is in the table and twice in its journal, and
 * a thousand jobs have one model and one origin.
 *
 * A counted string never changes. It is const, so that neither free() nor a member that
 * owns malloc'ed text takes one without a warning. NULL is no string, here too.
 *
 * Any thread; a member that holds one is guarded by its owner.
 */
#ifndef GB_COUNTED_H
#define GB_COUNTED_H

#include "base/util.h"

/* A copy of text, with one reference. NULL without memory. */
const char *counted_new(const char *text);
/* One more reference to what counted_new returned. Returns it. */
const char *counted_ref(const char *counted);
void counted_unref(const char *counted);

/* Replace a member by a copy of text (NULL: none). -ENOMEM: it is as it was. */
_must_check_ int counted_set(const char **member, const char *text);
/* The same with none, which cannot fail. */
void counted_unset(const char **member);
/* The same with *value, counted, which is stolen. */
void counted_take(const char **member, const char **value);
/* If a member says the same as a counted string, it becomes a reference to that: one
 * copy is enough. */
void counted_merge(const char **member, const char *counted);

static inline void counted_unrefp(const char **p)
{
	counted_unref(*p);
}
#define _cleanup_counted_ __attribute__((cleanup(counted_unrefp)))

#endif
