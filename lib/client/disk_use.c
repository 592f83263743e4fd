/*
 * How much of the disk the state directory takes, for status. A small one is counted
 * when somebody asks. A large one takes seconds: it is counted in the background, at
 * most once in a while, and status shows what was counted last.
 */
#include "client/disk_use.h"

#include <fts.h>
#include <sys/stat.h>

enum {
	AT_ONCE = 2000,  /* files that are looked at while somebody waits */
	STOP_EVERY = 256, /* files between looks whether the client is being closed */
	GOOD_FOR = 60,   /* seconds */
};

static bool is_stopping(struct gb_client *c)
{
	client_lock(c);
	bool stopping = c->stopping;
	client_unlock(c);
	return stopping;
}

/* Bytes on the disk; -1: there are more than max files, it cannot be read, or the
 * client is being closed. What goes meanwhile does not count. */
static int64_t count_bytes_below(struct gb_client *c, uint64_t max)
{
	char *paths[] = {(char *)c->o.state_dir, NULL};
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	int64_t bytes = 0;
	uint64_t n = 0;
	FTSENT *e;

	if (!walk)
		return -1;
	while (bytes >= 0 && (e = fts_read(walk))) {
		if (e->fts_info == FTS_DP || e->fts_info == FTS_NS ||
			e->fts_info == FTS_ERR)
			continue;
		bytes += (int64_t)e->fts_statp->st_blocks * 512;
		if (++n > max || (n % STOP_EVERY == 0 && is_stopping(c)))
			bytes = -1;
	}
	fts_close(walk);
	return bytes;
}

static void keep_count(struct gb_client *c, int64_t bytes)
{
	client_lock(c);
	if (bytes >= 0)
		c->disk_use.bytes = bytes;
	c->disk_use.counted = bytes >= 0 ? util_now() : c->disk_use.counted;
	c->disk_use.counting = false;
	client_unlock(c);
}

static void count_all(void *arg)
{
	struct gb_client *c = arg;

	keep_count(c, count_bytes_below(c, UINT64_MAX));
}

static void count_now(struct gb_client *c)
{
	int64_t bytes = count_bytes_below(c, AT_ONCE);

	if (bytes < 0 && pool_add(c->pool, POOL_SHORT, count_all, c) == 0)
		return;
	keep_count(c, bytes);
}

int64_t disk_use_bytes(struct gb_client *c)
{
	client_lock(c);
	double now = util_now();
	bool due = !c->disk_use.counting &&
		   (!c->disk_use.counted || now - c->disk_use.counted > GOOD_FOR);
	c->disk_use.counting |= due;
	client_unlock(c);
	if (due)
		count_now(c);
	client_lock(c);
	int64_t bytes = c->disk_use.counted ? c->disk_use.bytes : -1;
	client_unlock(c);
	return bytes;
}
