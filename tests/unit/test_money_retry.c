/*
 * Asking again in the same directory, by a person and without one, killed at every point:
 * a round is asked for once or not at all, its requests are bought once, and what is half
 * made is gone after a start.
 */
#include "money.h"

#include "jobs/client.h"

#include <errno.h>
#include <string.h>

enum { LONG = 4000 };

static const char answers[] =
	"{\"key\":\"a\",\"response\":{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
	"\"A\"}]},\"finishReason\":\"STOP\"}]}}\n"
	"{\"key\":\"b\",\"error\":{\"code\":13,\"message\":\"no\"}}\n";

static bool by_itself;

/* One of two requests is not answered, and all of that is saved here. */
static void life_before(void)
{
	the_api->ends_at_once = false;
	world->o.retries = 1;
	open_here();
	struct gb_job *job = draft_here(false, true);
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	gb_job_unref(job);
	UNTIL(is_settled());
	close_here();
	fake_job(the_api, 0)->answers = answers;
	fake_end(the_api, fake_job(the_api, 0), REMOTE_STATE_SUCCEEDED);
	the_api->ends_at_once = true;
	world->o.retries = 0;
	open_here();
	UNTIL(is_saved());
	close_here();
}

static bool lists(unsigned *ret_bytes)
{
	struct gb_job *job = job_here();
	struct gb_info i;

	gb_job_info(job, &i);
	gb_job_unref(job);
	*ret_bytes = (unsigned)i.answers_size[GB_ANSWERS_RETRY];
	return i.answers_there;
}

static bool all_answered(void)
{
	unsigned bytes;

	return fake_made(the_api) == 2 && is_saved() && lists(&bytes) && !bytes;
}

static void life_act(void)
{
	open_here();
	struct gb_job *job = job_here();
	if (!by_itself)
		tell_returned(BLOCKING(gb_retry, job));
	gb_job_unref(job);
	UNTIL(all_answered());
	close_here();
}

static void life_finish(void)
{
	world->passed = LONG;
	open_here();
	UNTIL(is_settled());
	look_here(&world->found);
	struct gb_job *job = job_here();
	bool unknown = strcmp(world->found.state, "SUBMIT_UNCERTAIN") == 0;
	bool none = fake_made(the_api) == 1 && !unknown;

	/* What it was told to have been asked for goes on. */
	EXPECT(!none || by_itself || !world->returned || world->ret);
	if (unknown)
		EXPECT(BLOCKING(gb_resubmit, job) == 0);
	else if (none && !by_itself)
		EXPECT(BLOCKING(gb_retry, job) == 0);
	EXPECT(BLOCKING(gb_answers_look, job) == 0);
	UNTIL(all_answered());
	EXPECT(BLOCKING(gb_job_wait, job) == 0);
	EXPECT(BLOCKING(gb_retry, job) == -EBUSY);
	gb_job_unref(job);
	UNTIL(is_settled());
	look_here(&world->seen);
	close_here();
}

static void asked_once(void)
{
	ROW_TRUE(fake_made(the_api) == 2 && fake_there(the_api) == 2);
	ROW_TRUE(fake_job(the_api, 1)->n_requests == 1);
	ROW_TRUE(strstr(fake_job(the_api, 1)->requests, "\"b\""));
	ROW_TRUE(world->seen.saved && world->seen.jobs == 1);
	ROW_TRUE(files_below("jobs", "requests.jsonl") == 2);
	ROW_TRUE(files_below("jobs", "journal") == 2);
}

static void begin_row(const struct point *at)
{
	world_new("%s, killed at %s#%u", by_itself ? "retries" : "retry", at->name, at->n);
	live(life_before);
	world->returned = false;
	world->o.retries = by_itself;
	world->stop = *at;
	live(life_act);
	world->stop.n = 0;
}

static void end_row(void)
{
	live(life_finish);
	asked_once();
	world_free();
}

static void kill_at_each(bool itself)
{
	static struct point points[POINTS];

	by_itself = itself;
	begin_row(&(struct point){0});
	unsigned n = world->n_trace;
	memcpy(points, world->trace, sizeof(points));
	end_row();
	for (unsigned i = 0; i < n; i++) {
		if (!table_takes_row())
			continue;
		begin_row(&points[i]);
		end_row();
	}
	print_message("# %s: %u points\n", itself ? "retries" : "retry", n);
}

static void test_retry(void **state)
{
	kill_at_each(false);
}

static void test_retries(void **state)
{
	kill_at_each(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry), cmocka_unit_test(test_retries)};

	setenv("BATCHFS_TEST_RETRY_SECONDS", "0.001", 1);
	return cmocka_run_group_tests_name("retry", tests, money_setup, money_teardown);
}
