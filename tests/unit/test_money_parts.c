/*
 * What becomes of money where a directory's requests go as several jobs: killed at every
 * point, of the first start too; answers that are lost; another key midway; stopped midway.
 * In the end each request was bought once, none twice, none forgotten.
 */
#include "money_kills.h"

#include "jobs/job.h"
#include "jobs/parts.h"
#include "submit/parts_send.h"

#include <errno.h>
#include <stdlib.h>

enum { MOST = 400 };

static int n_lines;        /* of the directory */
static unsigned drafts_left; /* directories that are drafts in the end */
static const char *split;
static bool pictured;        /* each line names the same file */
static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0";

/* ---- the directory ------------------------------------------------------------------- */

static void fill_lines_as(struct gb_job *job, const char *name)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < n_lines; i++)
		fprintf(f, "{\"key\":\"k%d.\",\"request\":{\"contents\":[{\"parts\":[{"
			   "\"text\":\"%*d\"}%s]}]}}\n",
			i, i % 9, i,
			pictured ? ",{\"fileData\":{\"fileUri\":\"pic.png\"}}" : "");
	fclose(f);
	write_file(job, name, text, size);
	if (pictured)
		write_file(job, "pic.png", png, sizeof(png));
	EXPECT(gb_draft_set_split(job, split) == 0);
}

static void fill_lines(struct gb_job *job)
{
	fill_lines_as(job, GB_REQUESTS);
}

static struct gb_job *lines_here(void)
{
	struct gb_job *job = job_here();

	if (!job)
		EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	fill_lines(job);
	return job;
}

static void submit_lines(void)
{
	struct gb_job *job = lines_here();

	tell_returned(BLOCKING(gb_submit, job, GB_BY_CTL));
	gb_job_unref(job);
}

static void fill_tmp(struct gb_job *from, struct gb_job *job)
{
	fill_lines_as(from, "tmp");
	EXPECT(gb_draft_set_split(job, split) == 0);
}

static void move_lines(void)
{
	rename_here("job", fill_tmp);
}

static void move_lines_over(void)
{
	rename_here("from", fill_tmp);
}

static enum phase phase_here(struct gb_job *job)
{
	client_lock(client);
	enum phase p = job_phase(job);
	client_unlock(client);
	return p;
}

static bool is_all_sent(struct gb_job *job)
{
	client_lock(client);
	bool all = job_phase(job) == PHASE_PARTS && !job->dir->rec.rest_dropped &&
		   !parts_rest(job).len;
	for (uint32_t i = 0; i < parts_count(job); i++)
		all &= parts_at(job, i)->batch->id != NULL;
	bool whole = job_phase(job) == PHASE_SENT;
	client_unlock(client);
	return all || whole;
}

/* What a person does until all of it is bought. */
static void finish_lines(void)
{
	struct gb_job *job = job_here();

	if (!job || phase_is_draft(phase_here(job))) {
		gb_job_unref(job);
		job = lines_here();
		int ret = BLOCKING(gb_submit, job, GB_BY_CTL);
		EXPECT(ret == 0 || ret == -EBUSY);
	}
	for (int n = 0; !is_all_sent(job); n++) {
		EXPECT(n < 40000);
		if (is_settled()) {
			/* Nobody can tell but we: those that were lost were not made. */
			BLOCKING(gb_resubmit, job);
		}
		a_moment();
	}
	UNTIL(is_settled());
	gb_job_unref(job);
	look_here(&world->seen);
}

/* ---- what was bought -------------------------------------------------------------------- */

static unsigned bought_times(int line)
{
	char key[16];
	unsigned n = 0;

	snprintf(key, sizeof(key), "\"k%d.\"", line);
	for (unsigned i = 0; i < fake_made(the_api); i++)
		n += strstr(fake_job(the_api, i)->requests, key) != NULL;
	return n;
}

static void bought_each_once(void)
{
	for (int i = 0; i < n_lines; i++)
		ROW_TRUE(bought_times(i) == 1);
	for (unsigned i = 0; i < fake_made(the_api); i++)
		ROW_TRUE(!strstr(fake_job(the_api, i)->requests, "pic.png"));
	ROW_TRUE(world->seen.jobs <= 1 + drafts_left);
	/* A close that succeeded is never a draft again; one that did not return has
	 * bought what is seen. */
	ROW_TRUE(!world->returned || world->ret || world->found_made >= 1 ||
		 strcmp(world->found.state, "SUBMIT_UNCERTAIN") == 0);
	ROW_TRUE(world->found_made == 0 || strcmp(world->found.state, "DRAFT") != 0);
}

static void two(void)
{
	n_lines = 3;
	split = "2";
	pictured = false;
}

static void two_behind(void)
{
	two();
	world->o.background = true;
}

static void two_with_file(void)
{
	two();
	pictured = true;
}

static void three(void)
{
	n_lines = 5;
	split = "2";
	pictured = false;
	drafts_left = 0;
}

static void three_from(void)
{
	three();
	drafts_left = 1;
}

static void three_behind(void)
{
	three();
	world->o.background = true;
}

static void eight(void)
{
	n_lines = 16;
	split = "2";
	drafts_left = 0;
}

static void eight_behind(void)
{
	eight();
	world->o.background = true;
}

/* ---- halved -------------------------------------------------------------------------------- */

static void too_large(void)
{
	n_lines = MOST;
	split = "auto";
	the_api->takes_bytes = MOST * 60 / 2;
	setenv("BATCHFS_TEST_MONEY_SECONDS", "0", 1);
}

/* ---- stopped ------------------------------------------------------------------------------- */

static void stop_midway(void)
{
	struct gb_job *job = lines_here();

	tell_returned(BLOCKING(gb_submit, job, GB_BY_CTL));
	int err = parts_stop(job);
	EXPECT(err == 0);
	world->step = 1;
	gb_job_unref(job);
}

static void stopped_rests(void)
{
	world->step += 10 * fake_made(the_api);
	UNTIL(is_settled());
	look_here(&world->seen);
}

/* None twice; and once it was stopped none after. */
static void bought_none_twice(void)
{
	for (int i = 0; i < n_lines; i++)
		ROW_TRUE(bought_times(i) <= 1);
	ROW_TRUE(world->step % 10 != 1 || world->step / 10 == fake_made(the_api));
}

/* ---- lives -------------------------------------------------------------------------------- */

static const struct kase cases[] = {
	{"two parts", two, NULL, NULL, submit_lines, finish_lines, bought_each_once},
	{"two parts, in the background", two_behind, NULL, NULL, submit_lines,
		finish_lines, bought_each_once},
	{"two parts that name a file", two_with_file, NULL, NULL, submit_lines,
		finish_lines, bought_each_once, .once = true},
	{"three parts by rename", three, NULL, NULL, move_lines, finish_lines,
		bought_each_once, .once = true},
	{"three parts by rename, in the background", three_behind, NULL, NULL, move_lines,
		finish_lines, bought_each_once, .once = true},
	{"three parts by rename from another directory", three_from, NULL, NULL,
		move_lines_over, finish_lines, bought_each_once, .once = true},
	{"eight parts", eight, NULL, NULL, submit_lines, finish_lines, bought_each_once,
		.once = true},
	{"eight parts, in the background", eight_behind, NULL, NULL, submit_lines,
		finish_lines, bought_each_once, .once = true},
	{"a size that never fits", too_large, NULL, NULL, submit_lines, finish_lines,
		bought_each_once, .once = true},
	{"stopped midway", eight, NULL, NULL, stop_midway, stopped_rests,
		bought_none_twice, .once = true},
};

/* ---- answers ------------------------------------------------------------------------------- */

static const enum fake_what losses[] = {FAKE_LOST_BEFORE, FAKE_LOST_AFTER, FAKE_GARBAGE,
	FAKE_GARBAGE_AFTER, FAKE_NO_ANSWER, FAKE_OTHER};

static void life_lost(void)
{
	open_here();
	submit_lines();
	/* The first of those that somebody waits for stops the others. */
	UNTIL(world->ret || fake_count(the_api, FAKE_CREATE) == 8);
	close_here();
}

static void life_finish_lost(void)
{
	start_again();
	finish_lines();
	close_here();
}

/* The answer to the nth of eight is lost: in the end there are eight. */
static void test_lost(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++)
		for (unsigned nth = 0; nth < 8; nth++)
			for (int behind = 0; behind < 2; behind++) {
				if (!table_takes_row())
					continue;
				world_new("answer %zu to part %u%s", i, nth + 1,
					behind ? " in the background" : "");
				eight();
				world->o.background = behind;
				if (nth)
					fake_script(the_api, FAKE_CREATE,
						(struct fake_answer){
							FAKE_OK, .times = nth});
				fake_script(the_api, FAKE_CREATE,
					(struct fake_answer){losses[i]});
				live(life_lost);
				live(life_finish_lost);
				bought_each_once();
				ROW_TRUE(fake_made(the_api) == 8);
				world_free();
			}
}

/* ---- another key ----------------------------------------------------------------------------- */

static void life_part_way(void)
{
	open_here();
	submit_lines();
	while (fake_count(the_api, FAKE_CREATE) < 4)
		a_moment();
	close_here();
}

static void life_look(void)
{
	open_here();
	for (int i = 0; i < 100; i++)
		a_moment();
	look_here(&world->found);
	close_here();
}

/* Under another project's key nothing is sent, under the first all of the rest. */
static void test_other_key(void **state)
{
	for (int behind = 0; behind < 2; behind++) {
		world_new("another key midway, %d", behind);
		eight();
		world->o.background = behind;
		the_api->takes_jobs = 3;
		the_api->ends_at_once = false;
		live(life_part_way);
		unsigned made = fake_made(the_api);
		ROW_TRUE(made == 3);
		the_api->takes_jobs = 0;
		world->o.key = "another";
		live(life_look);
		ROW_TRUE(fake_made(the_api) == made);
		ROW_TRUE(world->found.there);
		world->o.key = NULL;
		the_api->ends_at_once = true;
		for (unsigned i = 0; i < made; i++)
			fake_end(the_api, fake_job(the_api, i), REMOTE_STATE_SUCCEEDED);
		live(life_finish_lost);
		bought_each_once();
		world_free();
	}
}

/* ---- adopt ------------------------------------------------------------------------------------ */

static void life_adopt(void)
{
	struct gb_job *job;

	start_again();
	job = job_here();
	EXPECT(strcmp(world->found.state, "SUBMIT_UNCERTAIN") == 0);
	fake_job(the_api, 2)->hidden = false;
	/* Another part's job is not taken. */
	const char *of_first = fake_job(the_api, 0)->id + strlen("batches/");
	EXPECT(BLOCKING(gb_adopt, job, of_first) == -EBUSY);
	const char *id = fake_job(the_api, 2)->id + strlen("batches/");
	tell_returned(BLOCKING(gb_adopt, job, id));
	EXPECT(world->ret == 0 || world->ret == -EBUSY);
	UNTIL(is_all_sent(job) && is_settled());
	gb_job_unref(job);
	look_here(&world->seen);
	close_here();
}

static void life_hidden(void)
{
	open_here();
	submit_lines();
	while (fake_count(the_api, FAKE_CREATE) < 8)
		a_moment();
	close_here();
}

/* The directory's verb means the part that is uncertain. */
static void test_adopt(void **state)
{
	world_new("adopt of the third of eight");
	eight();
	fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_OK, .times = 2});
	fake_script(the_api, FAKE_CREATE,
		(struct fake_answer){FAKE_LOST_AFTER, .hides = true});
	live(life_hidden);
	live(life_adopt);
	bought_each_once();
	world_free();
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases) + 3];
	size_t n = 0;

	for (; n < ARRAY_SIZE(cases); n++)
		tests[n] = (struct CMUnitTest){
			cases[n].name, test_case, NULL, NULL, (void *)&cases[n]};
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_lost);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_other_key);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_adopt);
	money_needs_kills();
	return cmocka_run_group_tests_name("parts", tests, money_setup, money_teardown);
}
