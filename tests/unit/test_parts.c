/* A directory of several parts: what it shows of them, what who waits for it is told, and
 * how it ends. */
#include "fake_client.h"
#include "parts_fixture.h"

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
	await_state(parts_at(dir, 0), "JOB_STATE_SUCCEEDED");
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
	await_state(parts_at(dir, 0), "JOB_STATE_SUCCEEDED");
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

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_states), FAKE_CASE(test_sums),
		FAKE_CASE(test_own_is_first), FAKE_CASE(test_wait_for_all),
		FAKE_CASE(test_wait_for_no_rest), FAKE_CASE(test_end_once)};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
