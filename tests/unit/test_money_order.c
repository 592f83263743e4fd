/*
 * Two things at the same time, in either order: one is held at a point, the other happens
 * there from its beginning to its end (or until it waits for the first), then the first goes
 * on. Whatever comes of both: never two jobs, nothing lost that is paid for, a removal that
 * was answered is for good, and nobody waits for ever.
 *
 * To add a pair: an event is a line of `events`, a point a word of a line of `lives`; each
 * event is tried at each point.
 */
#include "money.h"

#include "jobs/client.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* Long enough for all looking to be over, whatever the server's clock says. */
enum { LONG = 4000 };

/* ---- what happens meanwhile -------------------------------------------------------------- */

static atomic_bool shut;

static int by_job(int (*call)(struct gb_job *job, struct gb_waiter *w))
{
	struct gb_job *job = job_here();
	int ret = job ? BLOCKING(call, job) : -ENOENT;

	gb_job_unref(job);
	return ret;
}

static int it_is_listed(void)
{
	return BLOCKING(gb_list_refresh, client, GB_LIST_FRESH);
}

static int it_is_removed(void)
{
	return by_job(gb_remove);
}

static int it_is_cancelled(void)
{
	return by_job(gb_cancel);
}

static int it_is_fetched(void)
{
	return by_job(gb_save_results);
}

static int it_ends(void)
{
	if (fake_made(the_api) && !fake_job(the_api, 0)->ended)
		fake_end(the_api, fake_job(the_api, 0), REMOTE_STATE_SUCCEEDED);
	return 0;
}

static int it_is_submitted(void)
{
	struct gb_job *job = job_here();
	int ret = job ? BLOCKING(gb_submit, job, GB_BY_CTL) : -ENOENT;

	gb_job_unref(job);
	return ret;
}

static int all_calls(struct fake_answer a)
{
	for (enum fake_call call = 0; call < FAKE_CALLS; call++)
		fake_script(the_api, call, a);
	return 0;
}

static int the_key_is_refused(void)
{
	return all_calls((struct fake_answer){FAKE_STATUS, 403, .times = 2});
}

static int the_network_goes(void)
{
	return all_calls((struct fake_answer){FAKE_UNREACHED, .times = 2});
}

static int answers_are_lost(void)
{
	return all_calls((struct fake_answer){FAKE_LOST_AFTER, .times = 2});
}

static int the_client_closes(void)
{
	shut = true;
	gb_shutdown(client);
	return 0;
}

static const struct event {
	const char *name;
	int (*run)(void);
} events[] = {
	{"a list shows it", it_is_listed},
	{"rmdir", it_is_removed},
	{"cancel", it_is_cancelled},
	{"fetch", it_is_fetched},
	{"another submit", it_is_submitted},
	{"the job ends", it_ends},
	{"the key is refused", the_key_is_refused},
	{"the network goes", the_network_goes},
	{"answers are lost", answers_are_lost},
	{"the client closes", the_client_closes},
};

/* ---- lives ------------------------------------------------------------------------------------- */

static void submit(void)
{
	struct gb_job *job = draft_here(false, true);

	tell_returned(BLOCKING(gb_submit, job, GB_BY_CTL));
	gb_job_unref(job);
}

static void cancel(void)
{
	tell_returned(by_job(gb_cancel));
}

static void remove_it(void)
{
	tell_returned(by_job(gb_remove));
}

static void refresh(void)
{
	tell_returned(by_job(gb_job_refresh));
}

static void fetch(void)
{
	tell_returned(by_job(gb_save_results));
}

/* A job from before: none, one that runs, or one that has ended since. */
enum before { NOTHING, RUNNING, ENDED };

static const struct life {
	const char *name;
	enum before before;
	bool background;
	void (*act)(void);
	const char *points;
} lives[] = {
	{"submit", NOTHING, false, submit,
		"submit-chosen before-begin after-begin before-upload api-upload "
		"api-bytes "
		"api-bytes+ before-intend intended before-create api-create "
		"api-create+ "
		"after-create"},
	{"submit in the background", NOTHING, true, submit,
		"before-begin after-begin before-model api-upload+ api-bytes "
		"api-bytes+ "
		"before-intend intended api-create api-create+ after-create"},
	{"cancel", RUNNING, false, cancel, "api-cancel api-cancel+"},
	{"rmdir of what runs", RUNNING, false, remove_it,
		"removal-chosen removal-intended api-cancel api-cancel+ cancelled "
		"removal-answered api-remove api-remove+ deleted api-file-remove+ "
		"local-remove "
		"trashed"},
	{"rmdir of what has ended", ENDED, false, remove_it,
		"removal-chosen removal-intended api-remove api-remove+ deleted "
		"removal-answered local-remove"},
	{"a look", RUNNING, false, refresh, "api-list api-list+ api-get api-get+"},
	{"a look at an end", ENDED, false, refresh,
		"api-list api-list+ api-get api-get+"},
	{"results", ENDED, false, fetch,
		"fetch-begins api-download results-sealed home-noted index-save"},
};

static const struct life *life;
static const struct event *event;
static char point[POINT_NAME];

/* ---- the pair --------------------------------------------------------------------------------- */

static pthread_t other;
static atomic_bool fired, started;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t happened = PTHREAD_COND_INITIALIZER;
static bool over;

static void *happen(void *arg)
{
	int ret = event->run();

	pthread_mutex_lock(&lock);
	world->other_ret = ret;
	world->other_returned = over = true;
	pthread_cond_signal(&happened);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Until it is over; or, if it waits for us, it goes on beside us. */
static void let_happen(void)
{
	struct timespec until;

	EXPECT(pthread_create(&other, NULL, happen, NULL) == 0);
	started = true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 15000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&lock);
	while (!over && pthread_cond_timedwait(&happened, &lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&lock);
}

static void at_point(const char *name)
{
	if (strcmp(name, point) == 0 && !atomic_exchange(&fired, true))
		let_happen();
}

/* ---- a row ------------------------------------------------------------------------------------- */

static void live_before(void)
{
	open_here();
	submit();
	UNTIL(is_settled());
	close_here();
	world->returned = false;
}

/* The API did it, and nobody heard: the directory is still there, its results are not. */
static bool is_deleted_unheard(void)
{
	return event->run == answers_are_lost && life->act == remove_it && world->ret &&
	       fake_made(the_api) && !fake_there(the_api);
}

static bool is_over(void)
{
	return shut || is_settled() || is_deleted_unheard();
}

static void live_both(void)
{
	open_here();
	world->at = at_point;
	life->act();
	UNTIL(is_over());
	world->at = NULL;
	/* If it has not begun it will not any more. */
	if (atomic_exchange(&fired, true)) {
		UNTIL(started);
		pthread_join(other, NULL);
	}
	UNTIL(is_over());
	look_here(&world->then);
	close_here();
}

static bool is_quiet(void)
{
	bool succeeded = fake_made(the_api) && fake_job(the_api, 0)->results;

	look_here(&world->seen);
	return is_settled() && (!world->seen.bound || !succeeded || world->seen.saved);
}

static void live_after(void)
{
	world->passed = LONG;
	open_here();
	if (is_deleted_unheard())
		remove_it();
	UNTIL(is_quiet());
	close_here();
}

/* One that the end of the client answered goes on at the next start, if it had begun; one that
 * the API refuses later comes back and says so. */
static bool was_removed(void)
{
	static const char refused[] = "The API refused to delete this job.";

	if (event->run == the_key_is_refused && world->seen.there &&
		strncmp(world->seen.error, refused, strlen(refused)) == 0)
		return false;
	bool goes_on = world->ret == -EINTR && !world->seen.there;
	bool by_us = life->act == remove_it && (world->ret == 0 || goes_on);

	return by_us || (event->run == it_is_removed && world->other_returned &&
				world->other_ret == 0);
}

static void check(void)
{
	unsigned made = fake_made(the_api);

	ROW_TRUE(made <= 1);
	if (was_removed()) {
		ROW_TRUE(!world->seen.there && fake_there(the_api) == 0);
		return;
	}
	ROW_TRUE(fake_there(the_api) == made);
	ROW_TRUE(world->seen.there && world->seen.bound == made &&
		 world->seen.jobs == 1);
	/* Success is a job; in the background, or what the mount says of it. */
	ROW_TRUE(life->act != submit || world->ret || made ||
		 (life->background && world->seen.error[0]));
	ROW_TRUE(!made || !fake_job(the_api, 0)->results ||
		 results_are_of(fake_job(the_api, 0)));
}

static void go_through(void)
{
	world_new("%s, and at %s %s", life->name, point, event->name);
	the_api->ends_at_once = false;
	if (life->before)
		live(live_before);
	if (life->before == ENDED)
		it_ends();
	world->o.background = life->background;
	live(live_both);
	for (enum fake_call call = 0; call < FAKE_CALLS; call++)
		fake_unscript(the_api, call);
	it_ends();
	live(live_after);
	check();
	world_free();
}

static void test_life(void **state)
{
	size_t n;

	life = *state;
	for (const char *p = life->points; *p; p += n + (p[n] == ' ')) {
		n = strcspn(p, " ");
		snprintf(point, sizeof(point), "%.*s", (int)n, p);
		for (event = events; event < events + ARRAY_SIZE(events); event++)
			if (table_takes_row())
				go_through();
	}
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(lives)];

	for (size_t i = 0; i < ARRAY_SIZE(lives); i++)
		tests[i] = (struct CMUnitTest){
			lives[i].name, test_life, NULL, NULL, (void *)&lives[i]};
	return cmocka_run_group_tests_name("order", tests, money_setup, money_teardown);
}
