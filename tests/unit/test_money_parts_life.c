/*
 * rmdir and cancel of a directory of eight parts, killed at every point, and at points of
 * the next start: nothing runs unseen, nothing is bought that nobody wants, nothing that is
 * left is forgotten.
 */
#include "money.h"

#include "client/remove.h"
#include "jobs/client.h"
#include "jobs/parts.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum { PARTS = 8, LONG = 4000, AGAIN_EVERY = 9 };

struct kase {
	const char *name;
	void (*before)(void); /* a life that nobody kills */
	void (*act)(void);
	void (*finish)(void); /* in a life after it was killed */
	void (*check)(void);
};
static const struct kase *kase;

static const char eight[] =
	"{\"key\":\"a\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"1\"}]}]}}\n"
	"{\"key\":\"b\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"2\"}]}]}}\n"
	"{\"key\":\"c\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"3\"}]}]}}\n"
	"{\"key\":\"d\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"4\"}]}]}}\n"
	"{\"key\":\"e\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"5\"}]}]}}\n"
	"{\"key\":\"f\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"6\"}]}]}}\n"
	"{\"key\":\"g\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"7\"}]}]}}\n"
	"{\"key\":\"h\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"8\"}]}]}}\n";

/* Until `bought` of the parts are; the API takes no more than that. */
static void buy_parts(unsigned bought)
{
	struct gb_job *job;

	the_api->ends_at_once = false;
	open_here();
	EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	EXPECT(gb_draft_set_split(job, "1") == 0);
	write_file(job, GB_REQUESTS, eight, sizeof(eight) - 1);
	for (unsigned i = 0; i < bought; i++)
		fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	if (bought < PARTS)
		fake_script(the_api, FAKE_CREATE,
			(struct fake_answer){FAKE_STATUS, 429, .times = 1000000});
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	UNTIL(fake_made(the_api) == bought);
	UNTIL(fake_count(the_api, FAKE_CREATE) > bought || is_settled());
	gb_job_unref(job);
	close_here();
}

static void buy_all(void)
{
	buy_parts(PARTS);
	fake_end(the_api, fake_job(the_api, 1), REMOTE_STATE_SUCCEEDED);
	fake_end(the_api, fake_job(the_api, 6), REMOTE_STATE_FAILED);
}

static void buy_five(void)
{
	buy_parts(5);
}

static unsigned running(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fake_made(the_api); i++)
		n += !fake_job(the_api, i)->ended && !fake_job(the_api, i)->removed;
	return n;
}

/* Each part was made once at most, whatever happened. */
static void none_twice(void)
{
	ROW_TRUE(fake_made(the_api) <= PARTS);
	for (unsigned i = 0; i < fake_made(the_api); i++)
		for (unsigned j = 0; j < i; j++)
			ROW_TRUE(strcmp(fake_job(the_api, i)->display,
					 fake_job(the_api, j)->display) != 0);
}

/* ---- rmdir ------------------------------------------------------------------------------- */

static bool all_gone(void)
{
	return is_settled() && fake_there(the_api) == 0;
}

static void remove_it(void)
{
	struct gb_job *job = job_here();

	int ret = job ? (int)BLOCKING(gb_remove, job) : 0;

	/* While the create of a part has no answer the directory is busy. */
	for (; ret == -EBUSY; ret = (int)BLOCKING(gb_remove, job))
		usleep(1000);
	if (job)
		tell_returned(ret);
	EXPECT(!ret);
	gb_job_unref(job);
	UNTIL(all_gone());
}

/* The queue was at the create of a part when it was killed: until the answer that never came
 * is settled, which takes minutes and then a person, the directory is busy. */
static bool one_is_unanswered(void)
{
	struct gb_job *job = job_here();
	bool unanswered = false;

	client_lock(client);
	for (uint32_t i = 0; job && i < parts_count(job); i++) {
		struct gb_job *part = parts_at(job, i);

		unanswered |= phase_is_unanswered(job_phase(part)) && !part->dir->task;
	}
	client_unlock(client);
	gb_job_unref(job);
	return unanswered;
}

static void remove_rest(void)
{
	EXPECT(!world->returned || world->ret || !world->found.there);
	if (one_is_unanswered())
		tell_returned(-EBUSY);
	else
		remove_it();
	look_here(&world->seen);
}

static void removed(void)
{
	none_twice();
	if (world->ret == -EBUSY) {
		ROW_TRUE(world->seen.there && fake_there(the_api) == fake_made(the_api));
		return;
	}
	ROW_TRUE(!world->seen.there && world->seen.jobs == 0);
	ROW_TRUE(fake_there(the_api) == 0 && running() == 0);
	ROW_TRUE(files_below("jobs", "journal") == 0);
	/* All that was bought lies together. */
	ROW_TRUE(files_below("trash", "journal") == 1 + fake_made(the_api));
	ROW_TRUE(files_below("trash", "requests.jsonl") == 1);
}

/* ---- cancel ------------------------------------------------------------------------------ */

static void cancel_it(void)
{
	struct gb_job *job = job_here();
	int ret = BLOCKING(gb_cancel, job);

	EXPECT(ret == 0 || ret == -EBUSY);
	tell_returned(ret);
	gb_job_unref(job);
}

static void cancel_rest(void)
{
	unsigned made = fake_made(the_api);

	EXPECT(world->found.there);
	if (world->returned && world->ret == 0)
		EXPECT(running() == 0 && made == 5);
	/* Killed before, it goes on as if nothing had been asked, or can be asked again. */
	if (running() || world->found.state[0] == 'Q')
		cancel_it();
	UNTIL(running() == 0);
	made = fake_made(the_api);
	struct gb_job *job = job_here();
	EXPECT(BLOCKING(gb_job_wait, job) == 0);
	gb_job_unref(job);
	look_here(&world->seen);
	EXPECT(fake_made(the_api) == made);
}

static void cancelled(void)
{
	none_twice();
	ROW_TRUE(world->seen.there && running() == 0);
	ROW_TRUE(fake_made(the_api) == 5 && fake_there(the_api) == 5);
	/* One that was killed while its answer was awaited is left to a person. */
	ROW_TRUE(strcmp(world->seen.state, "JOB_STATE_CANCELLED") == 0 ||
		 (world->ret == -EBUSY &&
			 strcmp(world->seen.state, "SUBMIT_UNCERTAIN") == 0));
}

static const struct kase cases[] = {
	{"rmdir of eight parts", buy_all, remove_it, remove_rest, removed},
	{"rmdir of five parts and a rest", buy_five, remove_it, remove_rest, removed},
	{"cancel of five parts and a rest", buy_five, cancel_it, cancel_rest, cancelled},
};

/* ---- lives ------------------------------------------------------------------------------- */

static void life_act(void)
{
	open_here();
	kase->act();
	close_here();
}

/* What the queue does goes on for ever. */
static bool start_settled(void)
{
	return is_settled() || the_api->to[FAKE_CREATE] > the_api->from[FAKE_CREATE];
}

static void start_again(void)
{
	world->passed = LONG;
	open_here();
	UNTIL(start_settled());
	look_here(&world->found);
}

static void life_start(void)
{
	start_again();
	close_here();
}

static void life_finish(void)
{
	start_again();
	kase->finish();
	close_here();
}

static const struct point none;

static void begin_row(
	const struct kase *k, const struct point *at, const struct point *again)
{
	kase = k;
	world_new("%s, killed at %s#%u, then at %s#%u", k->name, at->name, at->n,
		again->name, again->n);
	live(k->before);
	world->returned = false;
	world->stop = *at;
	live(life_act);
	world->stop.n = 0;
}

static void end_row(void)
{
	live(life_finish);
	kase->check();
	world_free();
}

static struct point first[POINTS], second[POINTS];

/* At some points of the next start. */
static void kill_twice(const struct kase *k, const struct point *at)
{
	static unsigned turn;

	begin_row(k, at, &none);
	unsigned n = trace_of(life_start, second);
	world_free();
	for (unsigned i = 0; i < n; i++) {
		if (turn++ % 29)
			continue;
		begin_row(k, at, &second[i]);
		world->stop = second[i];
		live(life_start);
		world->stop.n = 0;
		end_row();
	}
}

static void test_case(void **state)
{
	const struct kase *k = *state;

	begin_row(k, &none, &none);
	unsigned n = world->n_trace;
	memcpy(first, world->trace, sizeof(first));
	end_row();
	for (unsigned i = 0; i < n; i++) {
		if (!table_takes_row())
			continue;
		begin_row(k, &first[i], &none);
		end_row();
		if (i % AGAIN_EVERY == 0)
			kill_twice(k, &first[i]);
	}
	print_message("# %s: %u points\n", k->name, n);
}

/* ---- before the intent is on disk -------------------------------------------------------- */

static bool part_began(void)
{
	for (unsigned i = 0; i < world->n_trace; i++)
		if (strcmp(world->trace[i].name, "part-removal-intended") == 0)
			return true;
	return false;
}

/* Who read the results of a part closes them while the journal is written, and the power
 * fails. */
static void read_to_the_end(const char *at)
{
	static bool once;

	if (once || strcmp(at, "removal-chosen") != 0)
		return;
	once = true;
	struct gb_job *job = job_here();
	remove_parts_unread(job);
	gb_job_unref(job);
	/* Nothing may come of it, so this is how long it is looked for. */
	for (int i = 0; i < 500 && !part_began(); i++)
		usleep(1000);
	kill(getpid(), SIGKILL);
}

static void test_read_to_the_end(void **state)
{
	static const struct point here = {"removal-chosen", 1000};

	kase = &cases[0];
	world_new("rmdir, and a part's results closed before that is on disk");
	live(kase->before);
	world->at = read_to_the_end;
	world->stop = here;
	live(life_act);
	world->at = NULL;
	world->stop = none;
	ROW_TRUE(!part_began());
	live(life_finish);
	ROW_TRUE(fake_made(the_api) == PARTS);
	world_free();
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases) + 1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){
			cases[i].name, test_case, NULL, NULL, (void *)&cases[i]};
	tests[ARRAY_SIZE(cases)] = (struct CMUnitTest)cmocka_unit_test(test_read_to_the_end);
	money_needs_kills();
	return cmocka_run_group_tests_name(
		"life of parts", tests, money_setup, money_teardown);
}
