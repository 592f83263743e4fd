/*
 * The trash: local copies of removed jobs stay there for some days.
 *
 * What deletes must not believe one clock. A wall clock that is set a month ahead must
 * empty no trash, nor must a server's that is wrong: time passes here only as long as
 * both agree. Without a server nothing is thrown away; what came meanwhile is dated later.
 */
#include "client/trash.h"

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
		c->trash_look = now + test_seconds("BATCHFS_TEST_TRASH_SECONDS", TRASH_LOOK);
	client_unlock(c);
	if (due)
		store_trash_expire(c->store, c->o.trash_days, clock);
}
