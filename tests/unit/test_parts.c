/* A directory of several parts: what it shows of them, what who waits for it is told, and
 * how it ends. */
#include "fake_client.h"
#include "jobs/parts_private.h"
#include "parts_fixture.h"

#include <errno.h>

static struct gb_job *cut_draft(unsigned n)
{
	struct gb_job *dir = make_draft("job", "{\"key\":\"a\",\"request\":{}}\n");

	cut_into(dir, n);
	return dir;
}

static struct gb_info info_of(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i;
}

static struct gb_job *again(void)
{
	reopen();
	struct gb_job *dir = gb_job_by_name(client, "job");
	assert_non_null(dir);
	return dir;
}

/* ---- state ------------------------------------------------------------------------- */

/* What the parts are, what the directory is. */
struct look {
	enum phase phases[3]; /* 0: there are no more; PHASE_SENT: by state */
	enum remote_state states[3];
	unsigned cut; /* into how many */
	const char *state;
};

#define SENT PHASE_SENT, PHASE_SENT, PHASE_SENT
static const struct look looks[] = {
	{{0}, {0}, 2, "QUEUED"},
	{{PHASE_QUEUED}, {0}, 1, "QUEUED"},
	{{PHASE_UNCERTAIN, PHASE_SUBMITTING}, {0}, 2, "SUBMIT_UNCERTAIN"},
	{{PHASE_SENT, PHASE_SUBMITTING, PHASE_UPLOADING}, {REMOTE_STATE_PENDING}, 3,
		"SUBMITTING"},
	{{PHASE_SENT, PHASE_UPLOADING}, {REMOTE_STATE_RUNNING}, 3, "UPLOADING"},
	{{PHASE_SENT, PHASE_SENT}, {REMOTE_STATE_RUNNING, REMOTE_STATE_SUCCEEDED}, 3,
		"QUEUED"},
	{{SENT},
		{REMOTE_STATE_RUNNING, REMOTE_STATE_PENDING, REMOTE_STATE_SUCCEEDED}, 3,
		"JOB_STATE_PENDING"},
	{{SENT},
		{REMOTE_STATE_SUCCEEDED, REMOTE_STATE_RUNNING, REMOTE_STATE_FAILED}, 3,
		"JOB_STATE_RUNNING"},
	{{SENT},
		{REMOTE_STATE_SUCCEEDED, REMOTE_STATE_SUCCEEDED,
			REMOTE_STATE_SUCCEEDED},
		3, "JOB_STATE_SUCCEEDED"},
	{{SENT},
		{REMOTE_STATE_SUCCEEDED, REMOTE_STATE_FAILED, REMOTE_STATE_SUCCEEDED}, 3,
		"JOB_STATE_PARTIALLY_SUCCEEDED"},
	{{SENT},
		{REMOTE_STATE_CANCELLED, REMOTE_STATE_EXPIRED, REMOTE_STATE_CANCELLED},
		3, "JOB_STATE_EXPIRED"},
	{{PHASE_FAILED, PHASE_SENT}, {0, REMOTE_STATE_FAILED}, 2, "JOB_STATE_FAILED"},
};

static void put_part(struct gb_job *dir, enum phase phase, enum remote_state state)
{
	if (phase != PHASE_SENT) {
		next_part_of(dir, 0, phase);
		return;
	}
	struct gb_job *part = buy_part(dir, &fake, 0);
	struct fake_job *j = fake_job(&fake, fake_made(&fake) - 1);

	if (state >= REMOTE_STATE_SUCCEEDED)
		fake_end(&fake, j, state);
	else
		j->state = state == REMOTE_STATE_RUNNING ? "BATCH_STATE_RUNNING"
							 : "BATCH_STATE_PENDING";
	await_state(part, remote_state_text(state));
}

static void test_states(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		const struct look *l = &looks[i];
		struct gb_job *dir = cut_draft(l->cut);

		for (unsigned n = 0; n < 3 && l->phases[n]; n++)
			put_part(dir, l->phases[n], l->states[n]);
		assert_string_equal(info_of(dir).state, l->state);
		gb_job_unref(dir);
		fake_teardown(state);
		fake_setup(state);
	}
}

/* ---- counts, times, names -------------------------------------------------------------- */

static void test_sums(void **state)
{
	struct gb_job *dir = cut_draft(4);
	struct gb_job *one = buy_part(dir, &fake, 0);
	struct gb_job *two = buy_part(dir, &fake, 0);
	struct gb_info i;

	fake_job(&fake, 0)->created -= 100;
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	await_state(one, "JOB_STATE_SUCCEEDED");
	i = info_of(dir);
	assert_true(i.has_parts && !i.is_part && !i.id && !i.ended);
	assert_int_equal(i.parts, 2);
	assert_int_equal(i.parts_sent, 2);
	assert_int_equal(i.parts_ended, 1);
	assert_int_equal(i.requests, 4);
	assert_int_equal(i.succeeded, 1);
	assert_int_equal(i.pending, 3);
	assert_int_equal(i.created.tv_sec, fake_job(&fake, 0)->created);
	assert_int_equal(i.output, GB_OUTPUT_NONE);
	assert_int_equal(i.ended_at.tv_sec, 0);
	gb_part_info(one, &i);
	assert_true(i.is_part && i.id && i.part == 1);
	assert_string_equal(i.dir_name, "job");
	assert_string_equal(i.state, "JOB_STATE_SUCCEEDED");
	gb_part_info(two, &i);
	assert_int_equal(i.part, 2);
	gb_job_unref(dir);
}

/* One that was bought whole is its own first part; what is asked again adds no requests. */
static void test_own_is_first(void **state)
{
	struct gb_job *dir = make_draft("job", "{\"key\":\"a\",\"request\":{}}\n"), *part;
	struct gb_info i;

	fake.ends_at_once = true;
	assert_int_equal(BLOCKING(gb_submit, dir, GB_BY_CTL), 0);
	assert_null(gb_job_part(dir, 1));
	fake.ends_at_once = false;
	buy_part(dir, &fake, 1);
	i = info_of(dir);
	assert_true(i.has_parts && i.parts == 2 && !i.id);
	assert_string_equal(i.state, "JOB_STATE_PENDING");
	assert_int_equal(i.requests, 1);
	part = gb_job_part(dir, 1);
	assert_ptr_equal(part, dir);
	gb_part_info(part, &i);
	assert_true(i.id && !i.has_parts && !i.is_part && i.part == 1);
	assert_string_equal(i.state, "JOB_STATE_SUCCEEDED");
	gb_job_unref(part);
	part = gb_job_part_next(dir, 2);
	gb_part_info(part, &i);
	assert_true(i.is_part && i.part == 2);
	gb_job_unref(part);
	assert_null(gb_job_part_next(dir, 3));
	gb_job_unref(dir);
}

/* ---- waiting ----------------------------------------------------------------------------- */

struct told {
	struct gb_waiter w;
	int *ret;
};

static void note_told(struct gb_waiter *w, int err)
{
	*CONTAINER_OF(w, struct told, w)->ret = err;
}

static void test_wait_for_all(void **state)
{
	struct gb_job *dir = cut_draft(2);
	int ended = 1;
	struct told t = {.w.done = note_told, .ret = &ended};

	buy_part(dir, &fake, 0);
	assert_int_equal(gb_job_wait(dir, &t.w), -EINPROGRESS);
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	await_state(part_of(dir, 0), "JOB_STATE_SUCCEEDED");
	assert_int_equal(ended, 1); /* half of it is not bought yet */
	buy_part(dir, &fake, 0);
	fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
	await_state(dir, "JOB_STATE_SUCCEEDED");
	for (int i = 0; ended && i < 60000; i++)
		usleep(1000);
	assert_int_equal(ended, 0);
	assert_int_equal(BLOCKING(gb_job_wait, dir), 0);
	gb_job_unref(dir);
}

/* What is not bought any more is not waited for, and not all succeeded. */
static void test_wait_for_no_rest(void **state)
{
	struct gb_job *dir = cut_draft(2);

	buy_part(dir, &fake, 0);
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	client_lock(client);
	dir->dir->rec.rest_dropped = true;
	client_unlock(client);
	assert_int_equal(BLOCKING(gb_job_wait, dir), 0);
	assert_string_equal(info_of(dir).state, "JOB_STATE_PARTIALLY_SUCCEEDED");
	gb_job_unref(dir);
}

/* ---- the end ------------------------------------------------------------------------------- */

static atomic_uint ends, wrong_ends;

static void on_ended(void *arg, struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	ends++;
	wrong_ends += i.is_part || !i.results_safe;
}

static void await_ends(unsigned n)
{
	for (int i = 0; ends < n && i < 60000; i++)
		usleep(1000);
	assert_int_equal(ends, n);
	assert_int_equal(wrong_ends, 0);
}

/* Once for all parts, when all is saved; a start tells it again until it was taken. */
static void test_end_once(void **state)
{
	fake_options.ended = on_ended;
	gb_job_unref(cut_draft(2));
	struct gb_job *dir = again();

	ends = wrong_ends = 0;
	buy_part(dir, &fake, 0);
	buy_part(dir, &fake, 0);
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	await_state(part_of(dir, 0), "JOB_STATE_SUCCEEDED");
	fake_end(&fake, fake_job(&fake, 1), REMOTE_STATE_SUCCEEDED);
	await_state(dir, "JOB_STATE_SUCCEEDED");
	await_ends(1);
	gb_job_unref(dir);
	dir = again();
	await_ends(2);
	assert_int_equal(gb_job_take_end(dir), 0);
	assert_int_equal(gb_job_take_end(dir), -EALREADY);
	gb_job_unref(dir);
	dir = again();
	assert_int_equal(BLOCKING(gb_job_wait, dir), 0);
	assert_int_equal(gb_job_take_end(dir), -EALREADY);
	assert_int_equal(ends, 2);
	gb_job_unref(dir);
}

/* ---- cancel, fetch, rmdir ------------------------------------------------------------------ */

/* All calls of a kind, in the order of their parts or not, are made once. */
static void test_cancel_all(void **state)
{
	struct gb_job *dir = cut_draft(4);

	buy_part(dir, &fake, 0);
	buy_part(dir, &fake, 0);
	next_part_of(dir, 0, PHASE_QUEUED);
	assert_true(gb_verbs(dir) & GB_CANCEL);
	assert_int_equal(BLOCKING(gb_cancel, dir), 0);
	assert_int_equal(fake_count(&fake, FAKE_CANCEL), 2);
	await_state(dir, "JOB_STATE_CANCELLED");
	assert_int_equal(info_of(dir).parts, 2);
	assert_int_equal(BLOCKING(gb_job_wait, dir), 0);
	assert_int_equal(BLOCKING(gb_cancel, dir), -EBUSY);
	gb_job_unref(dir);
	dir = again();
	assert_string_equal(info_of(dir).state, "JOB_STATE_CANCELLED");
	assert_int_equal(fake_made(&fake), 2);
	gb_job_unref(dir);
}

/* Where nothing was bought it is a draft again, as a job is that was queued. */
static void test_cancel_of_none(void **state)
{
	struct gb_job *dir = cut_draft(2);

	next_part_of(dir, 0, PHASE_QUEUED);
	assert_int_equal(BLOCKING(gb_cancel, dir), 0);
	assert_string_equal(info_of(dir).state, "DRAFT");
	assert_true(gb_verbs(dir) & GB_SUBMIT);
	gb_job_unref(dir);
}

static void test_fetch_all(void **state)
{
	fake_options.fetch = GB_FETCH_READ;
	gb_job_unref(cut_draft(2));
	struct gb_job *dir = again();

	buy_part(dir, &fake, 0);
	buy_part(dir, &fake, 0);
	assert_int_equal(BLOCKING(gb_save_results, dir), -EBUSY);
	for (unsigned i = 0; i < 2; i++)
		fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_SUCCEEDED);
	await_state(dir, "JOB_STATE_SUCCEEDED");
	assert_false(info_of(dir).results_safe);
	assert_true(gb_verbs(dir) & GB_FETCH_VERB);
	assert_int_equal(BLOCKING(gb_save_results, dir), 0);
	assert_true(info_of(dir).results_safe);
	gb_job_unref(dir);
}

static unsigned count_below(const char *what)
{
	_cleanup_free_ char *command =
		util_format("find %s/%s | wc -l", state_dir, what);
	FILE *f = popen(command, "r");
	unsigned n = 0;

	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static bool nothing_left(void)
{
	return count_below("jobs -mindepth 1 -maxdepth 1") == 0;
}

static void await_removed(void)
{
	for (int i = 0; !nothing_left() && i < 60000; i++)
		usleep(1000);
	assert_true(nothing_left());
	assert_int_equal(fake_there(&fake), 0);
}

/* Ended, running and unsent parts alike, and together in the trash. */
static void test_remove_all(void **state)
{
	setenv("BATCHFS_TEST_REMOVAL_SECONDS", "0.01", 1);
	fake_options.trash_days = 7;
	gb_job_unref(cut_draft(4));
	struct gb_job *dir = again();

	buy_part(dir, &fake, 0);
	buy_part(dir, &fake, 0);
	next_part_of(dir, 0, PHASE_QUEUED);
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	await_state(part_of(dir, 0), "JOB_STATE_SUCCEEDED");
	assert_int_equal(BLOCKING(gb_remove, dir), 0);
	assert_null(gb_job_by_name(client, "job"));
	await_removed();
	assert_int_equal(fake_count(&fake, FAKE_CANCEL), 1);
	assert_int_equal(count_below("trash -mindepth 1 -maxdepth 1"), 1);
	assert_int_equal(count_below("trash/*/parts/000[12]/journal"), 2);
	gb_job_unref(dir);
}

/* One that was bought whole, with a round more. */
static void test_remove_own_first(void **state)
{
	setenv("BATCHFS_TEST_REMOVAL_SECONDS", "0.01", 1);
	struct gb_job *dir = make_draft("job", "{\"key\":\"a\",\"request\":{}}\n");

	fake.ends_at_once = true;
	assert_int_equal(BLOCKING(gb_submit, dir, GB_BY_CTL), 0);
	buy_part(dir, &fake, 1);
	assert_int_equal(BLOCKING(gb_remove, dir), 0);
	await_removed();
	gb_job_unref(dir);
}

static void test_remove_refused(void **state)
{
	struct gb_job *dir = cut_draft(2);

	fake_options.keep_running = true;
	gb_job_unref(dir);
	dir = again();
	buy_part(dir, &fake, 0);
	assert_int_equal(BLOCKING(gb_remove, dir), -EBUSY); /* rmdir=ended */
	fake_options.keep_running = false;
	gb_job_unref(dir);
	dir = again();
	struct gb_job *two = next_part_of(dir, 0, PHASE_UNCERTAIN);
	assert_int_equal(BLOCKING(gb_remove, dir), -EBUSY);
	client_lock(client);
	job_set_phase(two, PHASE_QUEUED);
	client_unlock(client);
	fake_script(&fake, FAKE_CANCEL, (struct fake_answer){FAKE_STATUS, 403});
	assert_int_equal(BLOCKING(gb_remove, dir), -EACCES);
	assert_string_equal(info_of(dir).name, "job");
	assert_false(info_of(dir).removing);
	_cleanup_free_ char *error = gb_job_error(dir);
	assert_non_null(error);
	gb_job_unref(dir);
}

/* Another key leaves it as it is, unless a person insists. */
static void test_remove_other_key(void **state)
{
	setenv("BATCHFS_TEST_REMOVAL_SECONDS", "0.01", 1);
	struct gb_job *dir = cut_draft(1);

	buy_part(dir, &fake, 0);
	gb_job_unref(dir);
	fake_options.key = "another";
	dir = again();
	assert_int_equal(BLOCKING(gb_remove, dir), -EACCES);
	assert_false(info_of(dir).removing);
	assert_true(info_of(dir).has_error);
	assert_true(gb_verbs(dir) & GB_FORGET);
	assert_int_equal(BLOCKING(gb_forget, dir), 0);
	await_removed();
	gb_job_unref(dir);
}

/* A later part is refused: the directory is there again, and what is left of it. */
static void test_remove_comes_back(void **state)
{
	setenv("BATCHFS_TEST_REMOVAL_SECONDS", "0.01", 1);
	struct gb_job *dir = cut_draft(2), *back = NULL;

	buy_part(dir, &fake, 0);
	buy_part(dir, &fake, 0);
	fake_script(&fake, FAKE_CANCEL, (struct fake_answer){FAKE_OK});
	fake_script(&fake, FAKE_CANCEL, (struct fake_answer){FAKE_STATUS, 403});
	assert_int_equal(BLOCKING(gb_remove, dir), 0);
	for (int i = 0; !(back = gb_job_by_name(client, "job")) && i < 60000; i++)
		usleep(1000);
	assert_ptr_equal(back, dir);
	for (int i = 0; info_of(dir).parts > 1 && i < 60000; i++)
		usleep(1000);
	assert_int_equal(info_of(dir).parts, 1);
	_cleanup_free_ char *error = gb_job_error(dir);
	assert_non_null(error);
	assert_non_null(strstr(error, "parts/0002 was not deleted"));
	gb_job_unref(back);
	assert_int_equal(BLOCKING(gb_remove, dir), 0);
	await_removed();
	gb_job_unref(dir);
}

/* ---- what was bought and is not there ---------------------------------------------- */

static _Atomic bool no_memory;

/* Of the library, too: none for a list that grows. */
void *reallocarray(void *p, size_t n, size_t size)
{
	return no_memory && n > 2 ? NULL : realloc(p, n * size);
}

static int64_t lost_bytes(struct gb_job *dir)
{
	uint32_t first;
	int64_t bytes;

	client_lock(client);
	parts_lost(dir, &first, &bytes);
	client_unlock(client);
	return bytes;
}

static void put_by(struct gb_job *part, int64_t off, int64_t len)
{
	struct record *r = &part->dir->rec;

	r->range_off = off;
	r->range_len = len;
	job_set_phase(part, PHASE_SUBMITTING);
	fixture_must(job_put_by(part, PHASE_QUEUED));
}

/* Two parts of ten bytes each, of which the first was to have all when its create, that is
 * not answered, was intended; what is noted when one of them is not bought after all. */
struct note {
	bool put_by;
	int (*note)(struct gb_job *first, struct gb_job *second);
	const char *bought, *numbers;
};

static int first_is_smaller(struct gb_job *first, struct gb_job *second)
{
	first->dir->rec.range_len = 5;
	return parts_note_smaller(first, (struct part_range){5, 5});
}

static int second_is_not(struct gb_job *first, struct gb_job *second)
{
	return parts_note_unbought(second);
}

static int first_is_not(struct gb_job *first, struct gb_job *second)
{
	return parts_note_unbought(first);
}

static const struct note notes[] = {
	{false, first_is_smaller, "0-5 10-20", "1-3"},
	{false, second_is_not, "0-10", "1-2"},
	{false, first_is_not, "10-20", "2-3"},
	{true, first_is_smaller, "0-20", "1-3"},
	{true, second_is_not, "0-20", "1-2"},
	{true, first_is_not, "0-20", "1-3"},
};

static void test_notes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
		const struct note *n = &notes[i];
		struct gb_job *dir = cut_draft(2);
		struct gb_job *first = next_part_of(dir, 0, PHASE_QUEUED);
		struct gb_job *second = next_part_of(dir, 0, PHASE_QUEUED);

		client_lock(client);
		if (n->put_by)
			put_by(first, 0, 20);
		first->dir->rec.range_len = 10;
		client_unlock(client);
		fixture_must(parts_note_bought(first));
		fixture_must(parts_note_bought(second));
		fixture_must(n->note(first, second));
		assert_string_equal(dir->dir->rec.bought, n->bought);
		assert_string_equal(dir->dir->rec.parts_bought, n->numbers);
		gb_job_unref(dir);
		fake_teardown(state);
		fake_setup(state);
	}
}

/* The first was to have ten bytes when its create, that is not answered, was intended, and
 * has five now. The others are not bought again yet; where the record of another part is
 * lost, that may have them. */
static void test_lost_put_by(void **state)
{
	struct gb_job *dir = cut_draft(1);
	struct gb_job *first = next_part_of(dir, 0, PHASE_QUEUED);

	client_lock(client);
	put_by(first, 0, 10);
	first->dir->rec.range_len = 5;
	client_unlock(client);
	fixture_must(parts_note_bought(first));
	fixture_must(job_dir_save(first));
	gb_job_unref(dir);
	dir = again();
	assert_int_equal(lost_bytes(dir), 0);
	fixture_must(record_set(&dir->dir->rec.parts_bought, "1-3"));
	fixture_must(job_dir_save(dir));
	gb_job_unref(dir);
	dir = again();
	assert_int_equal(lost_bytes(dir), 5);
	gb_job_unref(dir);
}

/* A start that has no memory to find what is lost fails: of less nothing would be known,
 * and it would be bought again. */
static void test_lost_without_memory(void **state)
{
	struct gb_job *dir = cut_draft(5), *part;
	struct record *r = &dir->dir->rec;

	fixture_must(parts_make(dir, 0, 0, (struct part_range){20, 10}, PART_REQUESTS,
		PHASE_QUEUED, &part));
	fixture_must(record_set(&r->bought, "0-10 15-40"));
	fixture_must(record_set(&r->parts_bought, "1-3"));
	no_memory = true;
	assert_int_equal(parts_find_lost(dir), -ENOMEM);
	no_memory = false;
	assert_int_equal(parts_find_lost(dir), 0);
	assert_int_equal(lost_bytes(dir), 25);
	gb_job_unref(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_states), FAKE_CASE(test_sums),
		FAKE_CASE(test_own_is_first), FAKE_CASE(test_wait_for_all),
		FAKE_CASE(test_wait_for_no_rest), FAKE_CASE(test_end_once),
		FAKE_CASE(test_cancel_all), FAKE_CASE(test_cancel_of_none),
		FAKE_CASE(test_fetch_all), FAKE_CASE(test_remove_all),
		FAKE_CASE(test_remove_own_first), FAKE_CASE(test_remove_refused),
		FAKE_CASE(test_remove_other_key),
		FAKE_CASE(test_remove_comes_back),
		FAKE_CASE(test_notes), FAKE_CASE(test_lost_put_by),
		FAKE_CASE(test_lost_without_memory)};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
