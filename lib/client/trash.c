/*
 * The trash: local copies of removed jobs stay there for some days.
 *
 * Deleting must not depend on a single clock. Neither a wall clock set a month ahead
 * nor a server's wrong clock may empty the trash: time counts only while both agree.
 * Without a server nothing is deleted, and entries made meanwhile are dated later.
 */
#include "client/trash.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CLOCKS_AGREE = 3600, /* seconds they may differ by */
	TRASH_LOOK = 3600,   /* between looks for what is too old */
};

time_t trash_clock(struct gb_client *c)
{
	time_t wall = time(NULL), server; /* wall: held against the server's */

	return engine_server_clock(c->engine, &server) &&
			       llabs((long long)wall - server) < CLOCKS_AGREE
		       ? wall
		       : 0;
}

/* There may be tens of thousands of entries. */
void trash_expire(struct gb_client *c)
{
	time_t clock = trash_clock(c);
	double now = util_now();

	client_lock(c);
	bool due = now >= c->trash_look;
	if (due && clock)
		c->trash_look =
			now + test_seconds("BATCHFS_TEST_TRASH_SECONDS", TRASH_LOOK);
	client_unlock(c);
	if (due)
		store_trash_expire(c->store, c->o.trash_days, clock);
}

/* ---- what status says --------------------------------------------------------------- */

enum { SHOWN = 100 /* entries */ };

struct trash_names {
	char names[SHOWN][STORE_TRASH_NAME];
	unsigned n;
};

/* Older first; what has no date is the newest. */
static int by_age(const void *a, const void *b)
{
	const char *x = a, *y = b;
	long long p = *x == 'u' ? LLONG_MAX : strtoll(x, NULL, 10);
	long long q = *y == 'u' ? LLONG_MAX : strtoll(y, NULL, 10);

	return (p > q) - (p < q);
}

/* The newest stay: the oldest makes room. */
static int note_entry(void *arg, const char *name)
{
	struct trash_names *t = arg;

	if (strlen(name) >= STORE_TRASH_NAME)
		return 0;
	if (t->n < SHOWN) {
		strcpy(t->names[t->n++], name);
	} else {
		qsort(t->names, t->n, STORE_TRASH_NAME, by_age);
		if (by_age(name, t->names[0]) > 0)
			strcpy(t->names[0], name);
	}
	return 0;
}

static void put_entry(struct gb_client *c, const char *name, FILE *out)
{
	_cleanup_close_ int dir = util_dir_open(c->store->trash, name, false);
	struct record r = {0};
	char when[32] = "undated";
	long long t;

	if (sscanf(name, "%lld-", &t) == 1)
		util_time_text((time_t)t, when);
	/* It may be on its way out just now, or damaged. */
	bool known = dir >= 0 && store_journal_load(dir, &r) == 0;
	fprintf(out, "trashed %s\t%s\t%s/trash/%s\n", when,
		known && r.name ? r.name : "-", c->o.state_dir, name);
	if (known)
		record_clear(&r);
}

static int count_entry(void *arg, const char *name)
{
	int64_t *n = arg;

	++*n;
	return 0;
}

int64_t trash_count(struct gb_client *c)
{
	int64_t n = 0;

	return store_walk(c->store->state, "trash", count_entry, &n) < 0 ? -1 : n;
}

void trash_list(struct gb_client *c, FILE *out)
{
	struct trash_names *t = calloc(1, sizeof(*t));

	if (!t || store_walk(c->store->state, "trash", note_entry, t) < 0)
		goto out;
	qsort(t->names, t->n, STORE_TRASH_NAME, by_age);
	for (unsigned i = t->n; i-- > 0;)
		put_entry(c, t->names[i], out);
out:
	free(t);
}
