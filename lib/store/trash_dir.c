/* STATE/trash: TIME-LID, the local copies of removed jobs. */
#include "base/test_point.h"
#include "store/state_dir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNDATED "undated"

void store_trash_name(
	const char *lid, long long when, bool undated, char ret[STORE_TRASH_NAME])
{
	if (undated)
		snprintf(ret, STORE_TRASH_NAME, UNDATED "-%s", lid);
	else
		snprintf(ret, STORE_TRASH_NAME, "%lld-%s", when, lid);
}

/* ---- what is too old ----------------------------------------------------------------- */

struct expiry {
	struct store *store;
	int days;
	time_t now;
};

enum { DAY = 86400 };

/* The days of an entry begin now. */
static void date_entry(struct expiry *x, const char *name)
{
	char dated[STORE_TRASH_NAME];

	store_trash_name(strchr(name, '-') + 1, x->now, false, dated);
	renameat(x->store->trash, name, x->store->trash, dated);
}

static int expire_entry(void *arg, const char *name)
{
	struct expiry *x = arg;
	bool undated = strncmp(name, UNDATED "-", strlen(UNDATED) + 1) == 0;
	long long when;

	if (!undated && sscanf(name, "%lld-", &when) != 1)
		return 0;
	if (!x->days ||
		(!undated && (!when || (x->now && when < x->now - x->days * DAY)))) {
		util_remove_tree(x->store->trash, name);
		test_point("trash-expired");
	} else if (x->now && (undated || when > x->now + DAY)) {
		date_entry(x, name);
	}
	return 0;
}

void store_trash_expire(struct store *s, int days, time_t now)
{
	struct expiry x = {s, days, now};

	store_walk(s->state, "trash", expire_entry, &x);
}

/* ---- what is there ------------------------------------------------------------------- */

struct search {
	const char *lid;
	char name[STORE_TRASH_NAME];
};

/* 1 ends the walk. */
static int is_entry_of(void *arg, const char *name)
{
	struct search *s = arg;
	const char *dash = strchr(name, '-');

	if (!dash || strcmp(dash + 1, s->lid) != 0)
		return 0;
	snprintf(s->name, sizeof(s->name), "%s", name);
	return 1;
}

static int open_trashed(struct store *s, const char *lid)
{
	struct search x = {.lid = lid};
	int found = store_walk(s->state, "trash", is_entry_of, &x);

	if (found < 0)
		return found;
	return found ? util_dir_open(s->trash, x.name, false) : -ENOENT;
}

int store_copy_open(struct store *s, const char *lid)
{
	int fd = store_job_open(s, lid);

	return fd == -ENOENT ? open_trashed(s, lid) : fd;
}

struct lids {
	int (*fn)(void *arg, const char *lid);
	void *arg;
};

static int trashed_lid(void *arg, const char *name)
{
	const struct lids *l = arg;
	const char *dash = strchr(name, '-');

	return dash && strlen(dash + 1) == LID_SIZE - 1 ? l->fn(l->arg, dash + 1) : 0;
}

int store_trashed(struct store *s, int (*fn)(void *arg, const char *lid), void *arg)
{
	struct lids l = {fn, arg};

	return store_walk(s->state, "trash", trashed_lid, &l);
}
