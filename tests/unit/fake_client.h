/* A client on a provider in memory (fake_provider.h), in a new state directory for each case:
 * FAKE_CASE(fn) makes both, `fake` and `client` are them; run the group with make_top and
 * remove_top. Calls are made blocking ones. reopen() is what a restart sees. */
#ifndef FAKE_CLIENT_H
#define FAKE_CLIENT_H

#include "client_fixture.h"

#include "base/waiter.h"
#include "client/open_with.h"
#include "fake_provider.h"
#include "jobs/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fake_provider fake;
static struct gb_client *client;
/* Of clients that are opened from now on; source and directories are filled in. */
static struct gb_options fake_options;

static inline void open_fake(void)
{
	struct gb_options o = fake_options;
	char *why = NULL;

	o.source = "http://127.0.0.1:1"; /* never called */
	o.key = o.key ? o.key : "some-key";
	o.state_dir = state_dir;
	o.cache_dir = cache_dir;
	int err = client_open_with(&o, &fake.table, &fake, &client, &why);
	if (err)
		print_message("# open: %s\n", why ? why : "?");
	assert_int_equal(err, 0);
	free(why);
}

static inline void reopen(void)
{
	gb_close(client);
	open_fake();
}

static inline int fake_setup(void **state)
{
	static int n;

	snprintf(state_dir, sizeof(state_dir), "%s/fstate%d", top, ++n);
	snprintf(cache_dir, sizeof(cache_dir), "%s/fcache%d", top, n);
	fake_provider_init(&fake);
	fake_options =
		(struct gb_options){.ttl_s = -1, .poll_s = 3600, .fetch = GB_FETCH_OWN};
	open_fake();
	return 0;
}

static inline int fake_teardown(void **state)
{
	gb_close(client);
	fake_provider_clear(&fake);
	return 0;
}

/* What a call that takes s came to: err, or what its waiter is told. */
static inline int came_to(struct waiter_sync *s, int err)
{
	return (int)waiter_sync_end(s, err);
}

#define BLOCKING(call, ...)                                                            \
	({                                                                             \
		struct waiter_sync sync_;                                              \
		waiter_sync_init(&sync_);                                              \
		came_to(&sync_, call(__VA_ARGS__, &sync_.w));                          \
	})

static inline struct gb_job *make_draft(const char *name, const char *requests)
{
	struct gb_job *job;
	struct gb_file *file;

	assert_int_equal(gb_draft_create(client, name, true, &job), 0);
	assert_int_equal(gb_file_create(job, NULL, GB_REQUESTS, true, &file), 0);
	assert_int_equal(gb_file_write(file, requests, strlen(requests), 0), 0);
	gb_file_settle(file);
	gb_file_unref(file);
	return job;
}

static inline const char *state_of_job(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i.state;
}

/* Ask until the state is that: a look that was under way when something changed may have
 * been too early. */
static inline void await_state(struct gb_job *job, const char *state)
{
	double until = util_now() + 60;

	while (strcmp(state_of_job(job), state) != 0 && util_now() < until) {
		assert_int_equal(BLOCKING(gb_job_refresh, job), 0);
		usleep(1000);
	}
	assert_string_equal(state_of_job(job), state);
}

/* For main: what a directory of several parts needs not wait for. */
static inline void hurry_parts(void)
{
	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.001", 1);
	setenv("BATCHFS_TEST_QUEUE_SECONDS", "0.002", 1);
	setenv("BATCHFS_TEST_OWN_SECONDS", "0.01", 1);
	setenv("BATCHFS_TEST_MONEY_SECONDS", "0", 1);
}

#define FAKE_CASE(fn) cmocka_unit_test_setup_teardown(fn, fake_setup, fake_teardown)

/* Borrowed. */
static inline struct gb_job *part_of(struct gb_job *dir, uint32_t i)
{
	client_lock(client);
	struct gb_job *part = parts_at(dir, i);
	client_unlock(client);
	return part;
}

#endif
