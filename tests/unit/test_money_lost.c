/*
 * What was on disk is not any more: the record of a part of a directory, which is damaged,
 * or was taken away (what it had was bought, so nothing buys it again, and `error` says
 * so); or what had not been written when the power failed.
 */
#include "money.h"

#include "jobs/client.h"
#include "jobs/parts.h"
#include "store/journal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 4, NO_PART = 0, LONG = 4000 };

static const char four[] =
	"{\"key\":\"a\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"1\"}]}]}}\n"
	"{\"key\":\"b\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"2\"}]}]}}\n"
	"{\"key\":\"c\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"3\"}]}]}}\n"
	"{\"key\":\"d\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"4\"}]}]}}\n";

/* So many that a part of half of them can be made smaller. */
enum { MANY = 800, LINE = 64 };

static const char *many_lines(void)
{
	static char text[MANY * LINE + 1];

	for (int i = 0; i < MANY; i++)
		snprintf(text + i * LINE, LINE + 1,
			"{\"key\":\"%03d\",\"request\":{\"contents\":[{\"parts\":["
			"{\"text\":\"1\"}]}]}}\n",
			i);
	return text;
}

struct kase {
	const char *name;
	unsigned bought;           /* so many before; the API takes no more then */
	uint32_t lost;             /* the number of the part whose record is lost */
	void (*lose)(int jobs, const char *lid);
	void (*then)(void);        /* in the next life */
	unsigned made;             /* in the end */
	void (*buy)(void);         /* NULL: as below */
	int retries;
	bool ends;                 /* what was made, before the next life */
	struct point stop;         /* where the first life is killed */
	void (*at)(const char *);  /* for its points */
};
static const struct kase *kase;

/* ---- lives ------------------------------------------------------------------------- */

static void buy(void)
{
	struct gb_job *job;

	the_api->ends_at_once = false;
	open_here();
	EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	EXPECT(gb_draft_set_split(job, "1") == 0);
	write_file(job, GB_REQUESTS, four, sizeof(four) - 1);
	for (unsigned i = 0; i < kase->bought; i++)
		fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	if (kase->bought < PARTS)
		fake_script(the_api, FAKE_CREATE,
			(struct fake_answer){FAKE_STATUS, 429, .times = 1000000});
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	UNTIL(fake_made(the_api) == kase->bought);
	UNTIL(fake_count(the_api, FAKE_CREATE) > kase->bought || is_settled());
	gb_job_unref(job);
	close_here();
}

static void start(void)
{
	open_here();
	/* Whatever is to be bought is. */
	UNTIL(is_settled());
	if (!world->step++) {
		look_here(&world->found);
		if (kase->then)
			kase->then();
	}
	UNTIL(fake_made(the_api) >= kase->made && is_settled());
	look_here(&world->seen);
	close_here();
}

/* ---- how it is lost ---------------------------------------------------------------- */

static void damage(int jobs, const char *lid)
{
	int dir = util_dir_open(jobs, lid, true);

	ROW_TRUE(util_write_file(dir, "journal", "{}\nbad\n", 7, false) == 0);
	close(dir);
}

static void take_away(int jobs, const char *lid)
{
	ROW_TRUE(util_remove_tree(jobs, lid) == 0);
}

/* The journal of a job; false: there is none. */
static bool read_record(int jobs, const char *lid, struct record *ret)
{
	_cleanup_free_ char *path = util_format("%s/journal", lid);
	_cleanup_free_ char *text = NULL;
	size_t n;

	return util_read_file(jobs, path, 1 << 20, &text, &n) == 0 &&
	       record_parse(text, n, ret) == 0;
}

/* The LID of the part with that number, or of the directory. */
static bool find_job(int jobs, uint32_t number, char ret[LID_SIZE])
{
	DIR *d = fdopendir(util_dup(jobs));
	struct dirent *e;
	bool found = false;

	while (!found && (e = readdir(d))) {
		struct record r;

		if (!read_record(jobs, e->d_name, &r))
			continue;
		found = !r.part_of == !number && r.part == (int)number;
		record_clear(&r);
		snprintf(ret, LID_SIZE, "%.*s", LID_SIZE - 1, e->d_name);
	}
	closedir(d);
	return found;
}

static void lose(void)
{
	char lid[LID_SIZE];
	int jobs = state_here("jobs");

	ROW_TRUE(find_job(jobs, kase->lost, lid));
	kase->lose(jobs, lid);
	close(jobs);
}

/* ---- what happens then --------------------------------------------------------------- */

static void cancel(void)
{
	struct gb_job *job = job_here();

	tell_returned((int)BLOCKING(gb_cancel, job));
	EXPECT(world->ret == 0);
	gb_job_unref(job);
}

/* Cancelled, and asked for again by somebody who knows nothing. */
static void cancel_and_submit(void)
{
	struct gb_job *job = job_here();

	cancel();
	int ret = (int)BLOCKING(gb_submit, job, GB_BY_CTL);
	EXPECT(ret < 0);
	gb_job_unref(job);
}

static void go_on(void)
{
	struct gb_job *job = job_here();

	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	gb_job_unref(job);
}

/* The second is refused; who asks again gets all but what is lost. */
static void go_on_twice(void)
{
	struct gb_job *job = job_here();

	fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	UNTIL(fake_made(the_api) == 1 && is_settled() &&
		the_api->from[FAKE_CREATE] == the_api->to[FAKE_CREATE]);
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	gb_job_unref(job);
}

/* All of it is bought, or lost. */
static void find_no_rest(void)
{
	struct gb_job *job = job_here();
	_cleanup_free_ char *bytes = util_format(": %d bytes", MANY * LINE / 2);

	EXPECT(strstr(world->found.error, bytes));
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) < 0);
	gb_job_unref(job);
}

/* Nothing may come of it, so this is how long it is looked for. */
static void look_for_more(void)
{
	struct gb_job *job = job_here();

	BLOCKING(gb_answers_look, job);
	for (int i = 0; i < 500 && fake_made(the_api) == kase->made; i++)
		usleep(1000);
	gb_job_unref(job);
}

/* ---- other first lives ----------------------------------------------------------------- */

static void buy_and_cancel(void)
{
	buy();
	open_here();
	cancel();
	UNTIL(is_settled());
	close_here();
}

static const char half[] =
	"{\"key\":\"a\",\"response\":{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
	"\"A\"}]},\"finishReason\":\"STOP\"}]}}\n"
	"{\"key\":\"b\",\"error\":{\"code\":13,\"message\":\"no\"}}\n";

/* And a round that asks again, by itself. */
static void buy_round(void)
{
	the_api->ends_at_once = false;
	open_here();
	struct gb_job *job = draft_here(false, true);
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	UNTIL(is_settled());
	fake_job(the_api, 0)->answers = half;
	fake_end(the_api, fake_job(the_api, 0), REMOTE_STATE_SUCCEEDED);
	BLOCKING(gb_job_refresh, job);
	UNTIL(fake_made(the_api) == 2 && is_settled());
	gb_job_unref(job);
	close_here();
}

static bool second_is_uncertain(void)
{
	struct gb_job *job = job_here(), *part = gb_job_part(job, 2);

	client_lock(client);
	bool yes = part && job_phase(part) == PHASE_UNCERTAIN && !part->dir->task;
	client_unlock(client);
	gb_job_unref(part);
	gb_job_unref(job);
	return yes;
}

/* The create of the second of two parts is not answered; sent again it is too large, and its
 * half is refused: it is as uncertain as before, about all of its requests. */
static void buy_half_refused(void)
{
	struct gb_job *job;

	world->passed = LONG;
	open_here();
	EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	EXPECT(gb_draft_set_split(job, "400") == 0);
	write_file(job, GB_REQUESTS, many_lines(), MANY * LINE);
	fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	fake_script(the_api, FAKE_CREATE,
		(struct fake_answer){FAKE_LOST_AFTER, .hides = true});
	EXPECT(BLOCKING(gb_submit, job, GB_BY_QUEUE) == 0);
	UNTIL(second_is_uncertain());
	fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429});
	fake_script(the_api, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
	EXPECT(BLOCKING(gb_resubmit, job) == 0);
	UNTIL(fake_count(the_api, FAKE_CREATE) == 4 && second_is_uncertain());
	gb_job_unref(job);
	close_here();
}

static void rmdir_meanwhile(const char *at)
{
	static bool once;

	if (once || strcmp(at, "api-create") != 0)
		return;
	once = true;
	struct gb_job *job = job_here();
	EXPECT(BLOCKING(gb_remove, job) == -EBUSY);
	gb_job_unref(job);
}

static const struct kase cases[] = {
	{"the first, damaged", 4, 1, damage, NULL, 4},
	{"one between, damaged", 4, 3, damage, NULL, 4},
	{"the last, damaged", 4, 4, damage, NULL, 4},
	{"one between, taken away", 4, 2, take_away, NULL, 4},
	{"the last, taken away, cancelled and submitted", 4, 4, take_away,
		cancel_and_submit, 4},
	{"the first, of four of which it alone was bought", 1, 1, damage, NULL, 1},
	{"the same, and the rest is asked for", 1, 1, damage, go_on, 4},
	{"the same, and some of it is refused first", 1, 1, damage, go_on_twice, 4},
	{"one of a directory that asks again by itself", 4, 1, damage, look_for_more, 4,
		.retries = 1, .ends = true},
	{"one of a later round", 0, 2, damage, look_for_more, 2, .buy = buy_round, .retries = 2,
		.ends = true},
	{"the first, and its directory could not be removed", 1, 1, damage, NULL, 1,
		.at = rmdir_meanwhile},
	{"one whose create was never answered", 4, 2, damage, NULL, 2,
		.stop = {"api-create+", 2}},
	{"one that is uncertain again, once its half was refused", 0, 2, take_away,
		find_no_rest, 2, .buy = buy_half_refused},
	{"one of a directory that was cancelled", 4, 1, damage, NULL, 4,
		.buy = buy_and_cancel},
};

static void test_case(void **state)
{
	kase = *state;
	world_new("%s", kase->name);
	world->o.retries = kase->retries;
	world->stop = kase->stop;
	world->at = kase->at;
	live(kase->buy ? kase->buy : buy);
	world->stop.n = 0;
	world->at = NULL;
	lose();
	for (unsigned i = 0; kase->ends && i < fake_made(the_api); i++)
		fake_end(the_api, fake_job(the_api, i), REMOTE_STATE_SUCCEEDED);
	/* The API takes the rest, if it is asked. */
	the_api->from[FAKE_CREATE] = the_api->to[FAKE_CREATE];
	live(start);
	ROW_TRUE(world->seen.there);
	ROW_TRUE(fake_made(the_api) == kase->made);
	ROW_TRUE(strstr(world->found.error, "The record of parts/"));
	live(start);
	ROW_TRUE(fake_made(the_api) == kase->made);
	world_free();
}

/* ---- another is lost after the first ----------------------------------------------------- */

/* Two of four are bought. What was told, or removed, before the record of the second is
 * lost, too. */
struct another {
	const char *name;
	void (*before)(void);
};
enum { BOUGHT = 2 };

/* Whatever is to be bought by itself is, of an API that takes it. */
static void look_again(void)
{
	open_here();
	UNTIL(is_settled());
	for (int i = 0; i < 200; i++)
		a_moment();
	look_here(&world->seen);
	close_here();
}

/* The API takes nothing for now. */
static void want_rest(void)
{
	open_here();
	UNTIL(is_settled());
	go_on();
	UNTIL(is_settled() || fake_count(the_api, FAKE_CREATE) > BOUGHT);
	close_here();
}

static void move_job(const char *from, const char *to, const char *lid)
{
	int a = state_here(from), b = state_here(to);

	ROW_TRUE(renameat(a, lid, b, lid) == 0);
	close(a);
	close(b);
}

/* Somebody finds the record of the first again. */
static void first_comes_back(void)
{
	char lid[LID_SIZE];
	int jobs = state_here("jobs");

	ROW_TRUE(find_job(jobs, 1, lid));
	close(jobs);
	move_job("jobs", ".", lid);
	live(look_again);
	ROW_TRUE(strstr(world->seen.error, "The record of parts/0001 is lost"));
	move_job(".", "jobs", lid);
	live(want_rest);
}

static bool has_come_back(struct gb_job *job)
{
	client_lock(client);
	bool in_tree = job->in_tree && parts_count(job) == 1;
	client_unlock(client);
	return in_tree;
}

/* The first goes, the second does not. */
static void refuse_rmdir(void)
{
	open_here();
	struct gb_job *job = job_here();
	fake_script(the_api, FAKE_CANCEL, (struct fake_answer){FAKE_OK});
	fake_script(the_api, FAKE_CANCEL, (struct fake_answer){FAKE_STATUS, 403});
	int ret = -EBUSY;
	/* As long as the queue is at a create. */
	while (ret == -EBUSY)
		ret = BLOCKING(gb_remove, job);
	EXPECT(ret == 0);
	UNTIL(has_come_back(job) && fake_there(the_api) == 1 && is_settled());
	gb_job_unref(job);
	close_here();
}

static void rmdir_is_refused(void)
{
	live(refuse_rmdir);
}

/* Members of the directory's journal as an older version wrote them: the last of a name
 * counts. */
static void write_old(const char *members)
{
	char lid[LID_SIZE];
	size_t n;
	int jobs = state_here("jobs");

	ROW_TRUE(find_job(jobs, NO_PART, lid));
	int dir = util_dir_open(jobs, lid, true);
	_cleanup_free_ char *was = NULL;
	ROW_TRUE(util_read_file(dir, "journal", 1 << 20, &was, &n) == 0);
	*strrchr(was, '}') = '\0';
	_cleanup_free_ char *json = util_format("%s,%s}", was, members);
	_cleanup_free_ char *text = util_format(
		"%s\n%08x\n", json, util_crc32c(0, json, strlen(json)));
	ROW_TRUE(util_write_file(dir, "journal", text, strlen(text), false) == 0);
	close(dir);
	close(jobs);
}

static void first_comes_back_counted(void)
{
	first_comes_back();
	write_old("\"parts_told\":\"\",\"lost_told\":1");
}

static void rmdir_is_refused_unnumbered(void)
{
	live(refuse_rmdir);
	write_old("\"parts_bought\":\"1-3\",\"parts_removed\":true");
	live(look_again);
	ROW_TRUE(!strstr(world->seen.error, "is lost"));
}

static const struct another anothers[] = {
	{"the second, when the first is back", first_comes_back},
	{"the second, when the first is back, told by an older version",
		first_comes_back_counted},
	{"the second, when rmdir has removed the first", rmdir_is_refused},
	{"the second, when rmdir of an older version has removed the first",
		rmdir_is_refused_unnumbered},
};

static void test_another(void **state)
{
	static const struct kase second = {NULL, BOUGHT, 2, take_away};
	const struct another *a = *state;

	kase = &second;
	world_new("%s", a->name);
	live(buy);
	a->before();
	ROW_TRUE(fake_made(the_api) == BOUGHT);
	lose();
	the_api->from[FAKE_CREATE] = the_api->to[FAKE_CREATE];
	live(look_again);
	ROW_TRUE(fake_made(the_api) == BOUGHT);
	ROW_TRUE(strstr(world->seen.error, "The record of parts/0002 is lost"));
	world_free();
}

/* ---- what was not written ------------------------------------------------------------ */

static void buy_one(void)
{
	open_here();
	struct gb_job *job = draft_here(false, true);
	EXPECT(BLOCKING(gb_submit, job, GB_BY_CTL) == 0);
	UNTIL(is_settled());
	gb_job_unref(job);
	close_here();
}

static void remove_one(void)
{
	open_here();
	struct gb_job *job = job_here();
	BLOCKING(gb_remove, job);
	UNTIL(false); /* it is killed meanwhile */
}

static void remove_on(void)
{
	open_here();
	UNTIL(is_settled());
	look_here(&world->seen);
	close_here();
}

/* That it had ended is in the journal after it is known, and job.json is not synced. */
static void forget_end(void)
{
	char lid[LID_SIZE];
	struct record r;
	size_t n;
	int jobs = state_here("jobs");

	ROW_TRUE(find_job(jobs, NO_PART, lid) && read_record(jobs, lid, &r));
	r.batch->end_logged = r.batch->end_by_get = false;
	char *text = record_dump(&r, &n);
	int dir = util_dir_open(jobs, lid, true);
	ROW_TRUE(util_write_file(dir, "journal", text, n, false) == 0);
	ROW_TRUE(unlinkat(dir, "job.json", 0) == 0 || errno == ENOENT);
	close(dir);
	close(jobs);
	free(text);
	record_clear(&r);
}

/* Deleted at the API, and killed: what it does not know then it has deleted, and not only
 * after the hours that prove it of a job that may run. */
static void test_end_not_written(void **state)
{
	world_new("rmdir of a job that has ended, killed once it is deleted");
	live(buy_one);
	world->stop = (struct point){"deleted", 1};
	ROW_TRUE(!live(remove_one));
	world->stop.n = 0;
	ROW_TRUE(fake_there(the_api) == 0);
	forget_end();
	live(remove_on);
	ROW_TRUE(!world->seen.there && files_below("jobs", "journal") == 0);
	ROW_TRUE(files_below("trash", "journal") == 1);
	world_free();
}

int main(void)
{
	enum { ROWS = ARRAY_SIZE(cases), ALL = ROWS + ARRAY_SIZE(anothers) };
	struct CMUnitTest tests[ALL + 1];

	for (size_t i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){
			cases[i].name, test_case, NULL, NULL, (void *)&cases[i]};
	for (size_t i = 0; i < ARRAY_SIZE(anothers); i++)
		tests[ROWS + i] = (struct CMUnitTest){anothers[i].name, test_another, NULL,
			NULL, (void *)&anothers[i]};
	tests[ALL] = (struct CMUnitTest)cmocka_unit_test(test_end_not_written);
	money_needs_kills();
	setenv("BATCHFS_TEST_RETRY_SECONDS", "0.001", 1);
	return cmocka_run_group_tests_name(
		"lost on disk", tests, money_setup, money_teardown);
}
