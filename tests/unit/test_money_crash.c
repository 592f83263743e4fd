/*
 * Killed at every point: of a submission, by each way there is; of what a person does about
 * a lost one; of rmdir; of saving results. And killed again at every point of the next start.
 * In the end there is what was asked for, once, and nothing of it is lost.
 *
 * The points are those that a life passes which is not killed, so a new one is covered by
 * being there. To add a case: a line of `cases`, with what its first life does.
 */
#include "money_kills.h"

#include "jobs/client.h"

#include <errno.h>
#include <string.h>

static void in_background(void)
{
	world->o.background = true;
}

static void in_background_limited(void)
{
	world->o.background = true;
	world->o.max_tokens = 1000000;
}

static void still_running(void)
{
	the_api->ends_at_once = false;
}

static void goes_inline(void)
{
	world->o.inline_max = 1 << 20;
}

static void ends(void)
{
	fake_end(the_api, fake_job(the_api, 0), REMOTE_STATE_SUCCEEDED);
}

/* ---- submissions ----------------------------------------------------------------------- */

static void submit(bool with_picture)
{
	struct gb_job *job = draft_here(with_picture, true);

	tell_returned(BLOCKING(gb_submit, job, GB_BY_CTL));
	gb_job_unref(job);
}

static void by_ctl(void)
{
	submit(true);
}

static void write_tmp(struct gb_job *from, struct gb_job *job)
{
	write_requests(from, "tmp", false);
}

static void by_rename(void)
{
	rename_here("job", write_tmp);
}

static void by_move(void)
{
	rename_here("from", write_tmp);
}

static void fill_parts(struct gb_job *job)
{
	write_file(job, "inputs.txt", "one\ntwo\n", 8);
}

static void by_parts(void)
{
	struct gb_job *job;

	world->fill = fill_parts;
	EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	fill_parts(job);
	tell_returned(BLOCKING(gb_submit, job, GB_BY_CTL));
	gb_job_unref(job);
}

/* Before a person does anything the mount says what the API has. */
static void truth(void)
{
	/* Killed between the intent and the create: only a person can tell. */
	bool unknown = strcmp(world->found.state, "SUBMIT_UNCERTAIN") == 0;

	ROW_TRUE(world->found_made == (world->found.bound ? 1 : 0));
	ROW_TRUE(world->found_made == 1 || !world->returned || world->ret ||
		 (world->o.background && unknown));
}

static void is_bought(const struct fake_job *j)
{
	ROW_TRUE(j->n_requests == 2);
	ROW_TRUE(world->seen.saved && results_are_of(j));
	ROW_TRUE(!world->seen.error[0]);
	ROW_TRUE(files_below("jobs", world->fill ? "inputs.txt" : "requests.jsonl") ==
		 1);
}

static void bought_once(void)
{
	truth();
	ROW_TRUE(fake_made(the_api) == 1);
	is_bought(fake_job(the_api, 0));
}

/* ---- a lost answer, which a person settles ------------------------------------------------ */

static void lose(enum fake_what what)
{
	open_here();
	fake_script(the_api, FAKE_CREATE, (struct fake_answer){what});
	if (what == FAKE_LOST_AFTER)
		fake_stranger(the_api, "job");
	world->passed = LONG;
	submit(false);
	UNTIL(is_settled());
	look_here(&world->seen);
	EXPECT(strcmp(world->seen.state, "SUBMIT_UNCERTAIN") == 0);
	close_here();
	world->returned = false;
}

static void lose_before(void)
{
	lose(FAKE_LOST_BEFORE);
}

static void lose_after(void)
{
	lose(FAKE_LOST_AFTER);
}

static void resubmit(void)
{
	struct gb_job *job = job_here();

	tell_returned(BLOCKING(gb_resubmit, job));
	gb_job_unref(job);
}

/* The stranger came first. */
static void adopt(void)
{
	struct gb_job *job = job_here();

	if (!world->found.bound)
		tell_returned(BLOCKING(gb_adopt, job, fake_job(the_api, 1)->id));
	gb_job_unref(job);
	UNTIL(is_saved());
}

static void adopted(void)
{
	ROW_TRUE(fake_made(the_api) == 2);
	ROW_TRUE(!fake_job(the_api, 0)->results || fake_job(the_api, 1)->results);
	is_bought(fake_job(the_api, 1));
}

/* ---- results --------------------------------------------------------------------------------- */

static void bought_before(void)
{
	open_here();
	submit(true);
	UNTIL(world->then.bound && (!the_api->ends_at_once || is_saved()));
	UNTIL(is_settled());
	close_here();
	world->returned = false;
}

static void await_saved(void)
{
	UNTIL(is_saved());
}

/* ---- rmdir ------------------------------------------------------------------------------------ */

static void remove_it(void)
{
	struct gb_job *job = job_here();

	if (job)
		tell_returned(BLOCKING(gb_remove, job));
	gb_job_unref(job);
	UNTIL(is_settled());
	UNTIL(fake_uploads(the_api) == 0);
}

static void remove_rest(void)
{
	EXPECT(!world->returned || world->ret || !world->found.there);
	remove_it();
	look_here(&world->seen);
}

static void removed(void)
{
	ROW_TRUE(!world->seen.there && world->seen.jobs == 0);
	ROW_TRUE(fake_made(the_api) == 1 && fake_there(the_api) == 0);
	ROW_TRUE(fake_job(the_api, 0)->ended);
	ROW_TRUE(files_below("jobs", "requests.jsonl") == 0);
	ROW_TRUE(files_below("trash", "requests.jsonl") == 1);
}

/* Queued work, while it is being tried for the second time, or waits for that. */
enum { STEP_QUEUED = 1, STEP_REMOVING, STEP_REMOVED };

static void queue_and_remove(void)
{
	fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429});
	submit(true);
	world->step = STEP_QUEUED;
	struct gb_job *job = job_here();
	world->step = STEP_REMOVING;
	int ret = BLOCKING(gb_remove, job);
	gb_job_unref(job);
	EXPECT(ret == 0 || ret == -EBUSY);
	if (ret == 0)
		world->step = STEP_REMOVED;
	UNTIL(is_settled());
}

/* What is left is what it says. */
static void queue_goes_on(void)
{
	UNTIL(is_settled());
	look_here(&world->seen);
}

static void removed_or_bought(void)
{
	unsigned made = fake_made(the_api);

	ROW_TRUE(made == fake_there(the_api) && made <= 1);
	ROW_TRUE(world->seen.bound == made);
	ROW_TRUE(world->step != STEP_REMOVED || !world->seen.there);
	ROW_TRUE(world->step != STEP_QUEUED || world->seen.there);
	ROW_TRUE(!world->seen.there || world->seen.bound || !world->returned ||
		 strcmp(world->seen.state, "SUBMIT_UNCERTAIN") == 0);
}

/* ---- lives -------------------------------------------------------------------------------------- */

static const struct kase cases[] = {
	{"by ctl, with a file", NULL, NULL, NULL, by_ctl, finish_here, bought_once},
	{"by ctl, in the background", in_background, NULL, NULL, by_ctl, finish_here,
		bought_once},
	{"by ctl, with a limit, in the background", in_background_limited, NULL, NULL,
		by_ctl, finish_here, bought_once},
	{"by rename", NULL, NULL, NULL, by_rename, finish_here, bought_once},
	{"by rename, in the background", in_background, NULL, NULL, by_rename,
		finish_here, bought_once},
	{"by rename from another directory", NULL, NULL, NULL, by_move, finish_here,
		bought_once},
	{"a composed draft", NULL, NULL, NULL, by_parts, finish_here, bought_once},
	{"a composed draft, in the background", in_background, NULL, NULL, by_parts,
		finish_here, bought_once},
	{"inline", goes_inline, NULL, NULL, by_ctl, finish_here, bought_once},
	{"resubmit", NULL, lose_before, NULL, resubmit, finish_here, bought_once},
	{"adopt", goes_inline, lose_after, NULL, adopt, adopt, adopted},
	{"results that come", still_running, bought_before, ends, await_saved,
		await_saved, bought_once},
	{"rmdir of an ended job", NULL, bought_before, NULL, remove_it, remove_rest,
		removed},
	{"rmdir of a running job", still_running, bought_before, NULL, remove_it,
		remove_rest, removed},
	{"rmdir of queued work", in_background, NULL, NULL, queue_and_remove,
		queue_goes_on, removed_or_bought},
};

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){
			cases[i].name, test_case, NULL, NULL, (void *)&cases[i]};
	money_needs_kills();
	return cmocka_run_group_tests_name("crash", tests, money_setup, money_teardown);
}
