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

/* ---- a round that never fits -------------------------------------------------------- */

enum { LINES = 210 };

static void fill_many(struct gb_job *job)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < LINES; i++)
		fprintf(f,
			"{\"key\":\"k%d.\",\"request\":{\"contents\":[{\"parts\":[{"
			"\"text\":\"x\"}]}]}}\n",
			i);
	fclose(f);
	write_file(job, GB_REQUESTS, text, size);
}

/* Nothing came of it. */
static void life_failed(void)
{
	the_api->ends_at_once = false;
	open_here();
	struct gb_job *job;
	EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	fill_many(job);
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	gb_job_unref(job);
	UNTIL(is_settled());
	close_here();
	fake_end(the_api, fake_job(the_api, 0), REMOTE_STATE_FAILED);
	the_api->ends_at_once = true;
	the_api->takes_bytes = strlen(fake_job(the_api, 0)->requests) * 3 / 5;
	open_here();
	UNTIL(is_settled());
	close_here();
}

static bool all_have_ended(void)
{
	look_here(&world->seen);
	return strcmp(world->seen.state, "JOB_STATE_PARTIALLY_SUCCEEDED") == 0;
}

static void life_halved(void)
{
	open_here();
	struct gb_job *job = job_here();
	UNTIL(gb_verbs(job) & GB_RETRY);
	tell_returned(BLOCKING(gb_retry, job));
	gb_job_unref(job);
	UNTIL(all_have_ended());
	close_here();
}

static void life_finish_halved(void)
{
	world->passed = LONG;
	open_here();
	struct gb_job *job = job_here();
	for (int n = 0; !all_have_ended(); n++) {
		EXPECT(n < 40000);
		if (gb_verbs(job) & GB_RETRY)
			BLOCKING(gb_retry, job);
		if (strcmp(world->seen.state, "SUBMIT_UNCERTAIN") == 0)
			BLOCKING(gb_resubmit, job);
		a_moment();
	}
	gb_job_unref(job);
	UNTIL(is_settled());
	close_here();
}

static void asked_each_once(void)
{
	for (int i = 0; i < LINES; i++) {
		char key[16];
		unsigned n = 0;

		snprintf(key, sizeof(key), "\"k%d.\"", i);
		for (unsigned k = 1; k < fake_made(the_api); k++)
			n += strstr(fake_job(the_api, k)->requests, key) != NULL;
		ROW_TRUE(n == 1);
	}
	ROW_TRUE(files_below("jobs", "journal") == fake_made(the_api));
}

static void halved_row(const struct point *at)
{
	world_new("a round that never fits, killed at %s#%u", at->name, at->n);
	setenv("BATCHFS_TEST_MONEY_SECONDS", "0", 1);
	live(life_failed);
	world->returned = false;
	world->stop = *at;
	live(life_halved);
	world->stop.n = 0;
}

static void test_round_never_fits(void **state)
{
	static struct point points[POINTS];

	halved_row(&(struct point){0});
	unsigned n = world->n_trace;
	memcpy(points, world->trace, sizeof(points));
	asked_each_once();
	world_free();
	for (unsigned i = 0; i < n; i++) {
		if (!table_takes_row())
			continue;
		halved_row(&points[i]);
		live(life_finish_halved);
		asked_each_once();
		world_free();
	}
	print_message("# a round that never fits: %u points\n", n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_retry),
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_round_never_fits)};

	setenv("BATCHFS_TEST_RETRY_SECONDS", "0.001", 1);
	money_needs_kills();
	return cmocka_run_group_tests_name("retry", tests, money_setup, money_teardown);
}
