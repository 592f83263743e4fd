/*
 * What becomes of money where an answer was lost, the requests are sent again on somebody's
 * word, and the lost job turns up: killed at every point of each. What the lost one has is
 * bought once more at most, nothing is bought that nobody asked for, and every job is the
 * directory's.
 */
#include "money_kills.h"

#include "jobs/job.h"
#include "jobs/parts.h"

#include <errno.h>
#include <stdlib.h>

static int n_lines;
static const char *split;

/* ---- the directory --------------------------------------------------------------------- */

static void fill_lines(struct gb_job *job)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < n_lines; i++)
		fprintf(f, "{\"key\":\"k%d.\",\"request\":{\"contents\":[{\"parts\":[{"
			   "\"text\":\"%*d\"}]}]}}\n",
			i, i % 9, i);
	fclose(f);
	write_file(job, GB_REQUESTS, text, size);
	EXPECT(gb_draft_set_split(job, split) == 0);
}

static bool is_in(struct gb_job *job, enum phase phase)
{
	client_lock(client);
	bool is = job_phase(job) == phase && !job->dir->task;
	client_unlock(client);
	return is;
}

/* The first that is sent has no answer, and no list has it. */
static void lose_first(void)
{
	struct gb_job *job;

	world->passed = LONG;
	open_here();
	EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	fill_lines(job);
	fake_script(the_api, FAKE_CREATE,
		(struct fake_answer){FAKE_LOST_AFTER, .hides = true});
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == -EIO);
	struct gb_job *part = gb_job_part(job, 1);
	UNTIL(is_in(part ? part : job, PHASE_UNCERTAIN));
	gb_job_unref(part);
	gb_job_unref(job);
	close_here();
}

static bool is_all_sent(struct gb_job *job)
{
	client_lock(client);
	bool all = job_phase(job) == PHASE_SENT ||
		   (job_phase(job) == PHASE_PARTS && !parts_rest(job).len);
	for (uint32_t i = 0; i < parts_count(job); i++)
		all &= parts_at(job, i)->batch->id != NULL;
	client_unlock(client);
	return all;
}

static int list_now(struct gb_client *c, struct gb_waiter *w)
{
	return gb_list_refresh(c, GB_LIST_FRESH, w);
}

/* ---- what is done ---------------------------------------------------------------------- */

static void send_again(void)
{
	struct gb_job *job = job_here();

	tell_returned(BLOCKING(gb_resubmit, job));
	if (world->ret == 0)
		UNTIL(is_all_sent(job));
	gb_job_unref(job);
}

static void turn_up(void)
{
	fake_job(the_api, 0)->hidden = false;
}

static void bought_again_before(void)
{
	lose_first();
	open_here();
	send_again();
	EXPECT(world->ret == 0);
	UNTIL(is_settled());
	close_here();
	world->returned = false;
}

static bool has_first(struct gb_job *job)
{
	bool has = false;

	client_lock(client);
	for (uint32_t i = 0; i < parts_count(job); i++) {
		const char *id = parts_at(job, i)->batch->id;

		has |= id && strcmp(id, fake_job(the_api, 0)->id) == 0;
	}
	client_unlock(client);
	return has;
}

static void see_it(void)
{
	struct gb_job *job = job_here();

	turn_up();
	UNTIL(BLOCKING(list_now, client) == 0 && has_first(job));
	gb_job_unref(job);
}

/* It turns up, and what of the rest was asked for is bought. */
static void find_it(void)
{
	struct gb_job *job;

	/* A crash in between is uncertain as before, or goes on by itself. */
	EXPECT(world->found.there && strcmp(world->found.state, "DRAFT") != 0 &&
		strcmp(world->found.state, "SUBMIT_FAILED") != 0);
	see_it();
	job = job_here();
	for (int n = 0; !is_all_sent(job); n++) {
		EXPECT(n < 40000);
		/* One that was on its way when it was killed, and was not made. */
		if (is_settled())
			BLOCKING(gb_resubmit, job);
		a_moment();
	}
	gb_job_unref(job);
	UNTIL(is_settled());
	look_here(&world->seen);
}

/* ---- what is seen ------------------------------------------------------------------------ */

static unsigned bought_times(int line, unsigned from)
{
	char key[16];
	unsigned n = 0;

	snprintf(key, sizeof(key), "\"k%d.\"", line);
	for (unsigned i = from; i < fake_made(the_api); i++)
		n += strstr(fake_job(the_api, i)->requests, key) != NULL;
	return n;
}

/* Beside the lost one nothing twice; each at least once; and nothing else is in the tree. */
static void bought_once_more(void)
{
	for (int i = 0; i < n_lines; i++) {
		ROW_TRUE(bought_times(i, 0) >= 1);
		ROW_TRUE(bought_times(i, 1) <= 1);
	}
	ROW_TRUE(world->seen.jobs == 1);
}

static void whole(void)
{
	n_lines = 3;
	split = "none";
}

static void whole_never_fits(void)
{
	n_lines = 400;
	split = "auto";
	setenv("BATCHFS_TEST_MONEY_SECONDS", "0", 1);
}

static void shrink(void)
{
	the_api->takes_bytes = strlen(fake_job(the_api, 0)->requests) * 2 / 3;
}

static void parts(void)
{
	n_lines = 3;
	split = "1";
}

static void part_never_fits(void)
{
	n_lines = 500;
	split = "400";
	setenv("BATCHFS_TEST_MONEY_SECONDS", "0", 1);
}

static const struct kase cases[] = {
	{"sent again", whole, lose_first, NULL, send_again, find_it, bought_once_more},
	{"sent again, in parts, as it never fits", whole_never_fits, lose_first, shrink,
		send_again, find_it, bought_once_more, .once = true},
	{"a part sent again", parts, lose_first, NULL, send_again, find_it,
		bought_once_more, .once = true},
	{"a part sent again and made smaller", part_never_fits, lose_first, shrink,
		send_again, find_it, bought_once_more, .once = true},
	{"turns up after it was sent again", whole, bought_again_before, NULL, see_it,
		find_it, bought_once_more},
	{"a part turns up after it was sent again", parts, bought_again_before, NULL, see_it,
		find_it, bought_once_more},
	{"turns up before it is sent again", whole_never_fits, lose_first, shrink, see_it,
		find_it, bought_once_more, .once = true},
};

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){
			cases[i].name, test_case, NULL, NULL, (void *)&cases[i]};
	money_needs_kills();
	return cmocka_run_group_tests_name("turned up", tests, money_setup, money_teardown);
}
