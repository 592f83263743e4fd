/* What follows from what was observed of a job: states by observations, and the time. */
#include "jobs/knowledge.h"
#include "provider/all/providers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define MADE 1000000 /* Unix time of the create */
#define MINUTE 60
#define HOUR 3600
#define DAY (24 * HOUR)

static struct moment at(int64_t since_create)
{
	return (struct moment){(double)(since_create + 5000), MADE + since_create,
		provider_default()->limits};
}

static struct job_word runs(bool listed)
{
	return (struct job_word){.listed = listed, .created = MADE, .pending = true};
}

static struct job_word ended(bool listed, bool pending)
{
	return (struct job_word){.listed = listed, .created = MADE, .end = MADE + HOUR,
		.ended = true, .succeeded = true, .output = true, .pending = pending};
}

enum observation {
	GET_RUNS, GET_ENDED, LIST_RUNS, LIST_ENDED, LIST_LAGS, MISSED, KEY_REFUSED,
	OUTPUT_403, OUTPUT_CAME, CANCELLED, OBSERVATIONS
};

static void observe(struct knowledge *k, enum observation o, int64_t when)
{
	struct job_word words[] = {runs(false), ended(false, false), runs(true),
		ended(true, false), ended(true, true)};

	if (o <= LIST_LAGS)
		knowledge_saw(k, at(when), &words[o]);
	else if (o == MISSED)
		knowledge_missed(k, at(when));
	else if (o == KEY_REFUSED)
		knowledge_key_refused(k, at(when));
	else if (o == OUTPUT_403)
		knowledge_download_refused(k, at(when), 403, false, MINUTE);
	else if (o == OUTPUT_CAME)
		knowledge_download_came(k);
	else if (o == CANCELLED)
		knowledge_cancel_accepted(k);
}

/* What a job is in before the observation. */
enum before { NOTHING, RUNS, ENDED_BY_GET, ENDED_BY_LIST, MISSING, REFUSED, BEFORES };

static struct knowledge in(enum before b)
{
	struct knowledge k = {0};

	knowledge_made_with(&k, true);
	if (b == RUNS || b == MISSING)
		observe(&k, GET_RUNS, HOUR);
	if (b == ENDED_BY_GET || b == REFUSED)
		observe(&k, GET_ENDED, HOUR);
	if (b == ENDED_BY_LIST)
		observe(&k, LIST_LAGS, HOUR);
	if (b == MISSING)
		observe(&k, MISSED, HOUR);
	if (b == REFUSED)
		observe(&k, OUTPUT_403, HOUR);
	return k;
}

#define U STANDS_UNKNOWN
#define R STANDS_RUNNING
#define E STANDS_ENDED
#define M STANDS_MISSING
#define N OUTPUT_NONE
#define T OUTPUT_NAMED
#define X OUTPUT_REFUSED

static const struct {
	enum standing standing;
	enum output_known output;
} table[BEFORES][OBSERVATIONS] = {
	/* GET runs, ended; list runs, ended, lags; missed, key, refused, came, cancelled */
	[NOTHING] = {{R, N}, {E, T}, {R, N}, {E, T}, {E, T}, {M, N}, {U, N}, {U, N},
		{U, N}, {U, N}},
	[RUNS] = {{R, N}, {E, T}, {R, N}, {E, T}, {E, T}, {M, N}, {R, N}, {R, N},
		{R, N}, {R, N}},
	[ENDED_BY_GET] = {{R, N}, {E, T}, {E, T}, {E, T}, {E, T}, {M, T}, {E, T},
		{E, X}, {E, T}, {E, T}},
	[ENDED_BY_LIST] = {{R, N}, {E, T}, {E, T}, {E, T}, {E, T}, {M, T}, {E, T},
		{E, X}, {E, T}, {E, T}},
	[MISSING] = {{R, N}, {E, T}, {R, N}, {E, T}, {E, T}, {M, N}, {M, N}, {M, N},
		{M, N}, {M, N}},
	[REFUSED] = {{R, N}, {E, X}, {E, X}, {E, X}, {E, X}, {M, X}, {E, X}, {E, X},
		{E, T}, {E, X}},
};

static void test_table(void **state)
{
	for (int b = 0; b < BEFORES; b++) {
		for (int o = 0; o < OBSERVATIONS; o++) {
			struct knowledge k = in((enum before)b);

			observe(&k, (enum observation)o, 2 * HOUR);
			if (knowledge_standing(&k, at(2 * HOUR)) !=
					table[b][o].standing ||
				knowledge_output(&k, at(2 * HOUR)) !=
					table[b][o].output)
				fail_msg("before %d, observation %d: %d, %d", b, o,
					knowledge_standing(&k, at(2 * HOUR)),
					knowledge_output(&k, at(2 * HOUR)));
		}
	}
}

/* A list never undoes what a GET said of an end, nor makes a job run again. */
static void test_lists_take_nothing_back(void **state)
{
	struct job_word lag = ended(true, true), run = runs(true);
	struct knowledge k = in(ENDED_BY_GET);

	assert_int_equal(knowledge_saw(&k, at(2 * HOUR), &lag), TAKE_NEW);
	assert_int_equal(knowledge_saw(&k, at(2 * HOUR), &run), TAKE_NEW);
	assert_true(knowledge_final(&k));
	assert_false(knowledge_counts_lag(&k));

	k = in(ENDED_BY_LIST);
	assert_int_equal(knowledge_saw(&k, at(2 * HOUR), &run), TAKE_NEW);
	assert_int_equal(knowledge_saw(&k, at(2 * HOUR), &lag), TAKE_ALL);
	assert_true(knowledge_counts_lag(&k));
	observe(&k, GET_ENDED, 2 * HOUR);
	assert_false(knowledge_counts_lag(&k));
}

static void test_recalled(void **state)
{
	struct job_word w = ended(false, true);
	struct knowledge k = {0};

	knowledge_recalled(&k, at(0), &w, true);
	assert_int_equal(k.key, KEY_UNKNOWN);
	assert_false(knowledge_counts_lag(&k));
	k = (struct knowledge){0};
	knowledge_recalled(&k, at(0), &w, false);
	assert_true(knowledge_counts_lag(&k));
}

/* Output that is not named yet is awaited for an hour. */
static void test_awaited(void **state)
{
	struct job_word w = ended(false, false);
	struct knowledge k = {0};

	w.output = false;
	knowledge_saw(&k, at(HOUR + MINUTE), &w);
	assert_int_equal(knowledge_output(&k, at(HOUR + MINUTE)), OUTPUT_AWAITED);
	assert_false(knowledge_final(&k));
	knowledge_saw(&k, at(2 * HOUR), &w);
	assert_true(knowledge_final(&k));
	assert_int_equal(knowledge_output(&k, at(2 * HOUR)), OUTPUT_NONE);
}

static void test_newborn(void **state)
{
	struct knowledge k = {0};

	knowledge_made_with(&k, true);
	observe(&k, GET_RUNS, 1);
	observe(&k, MISSED, 5);
	assert_int_equal(knowledge_standing(&k, at(5)), STANDS_RUNNING);
	assert_true(knowledge_look_due(&k, at(6)));
	assert_int_equal(knowledge_standing(&k, at(HOUR)), STANDS_MISSING);
}

/* Missing under the right key over hours is gone; not before, nor under another key. */
static void test_proof(void **state)
{
	struct knowledge k = in(RUNS), other = in(RUNS);

	knowledge_made_with(&other, false);
	for (int i = 0; i < 50; i++) {
		observe(&k, MISSED, HOUR + i * MINUTE);
		observe(&other, MISSED, HOUR + i * 3 * HOUR);
	}
	assert_int_equal(knowledge_standing(&k, at(2 * HOUR)), STANDS_MISSING);
	assert_false(knowledge_hopeless(&k, at(2 * HOUR)));
	assert_false(knowledge_ended(&k));
	observe(&k, MISSED, 4 * HOUR);
	assert_int_equal(knowledge_standing(&k, at(4 * HOUR)), STANDS_GONE);
	assert_int_equal(knowledge_removal(&k, at(4 * HOUR)), REMOVE_DONE);
	assert_true(knowledge_hopeless(&k, at(4 * HOUR)));
	observe(&k, LIST_RUNS, 5 * HOUR);
	assert_int_equal(knowledge_standing(&k, at(5 * HOUR)), STANDS_RUNNING);

	assert_int_equal(knowledge_standing(&other, at(9 * DAY)), STANDS_MISSING);
	assert_true(knowledge_hopeless(&other, at(9 * DAY)));
	assert_int_equal(knowledge_removal(&other, at(9 * DAY)), REMOVE_OTHER_KEY);
}

static void test_proof_over_restarts(void **state)
{
	struct knowledge k = in(RUNS);
	unsigned misses;
	double span;

	observe(&k, MISSED, HOUR);
	observe(&k, MISSED, 2 * HOUR);
	knowledge_misses(&k, &misses, &span);
	assert_int_equal(misses, 2);
	assert_true(span == HOUR);
	k = in(NOTHING);
	knowledge_recalled_misses(&k, misses, span);
	observe(&k, MISSED, 9 * HOUR); /* how long it was off does not count */
	assert_int_equal(knowledge_standing(&k, at(9 * HOUR)), STANDS_MISSING);
	observe(&k, MISSED, 10 * HOUR);
	assert_int_equal(knowledge_standing(&k, at(10 * HOUR)), STANDS_GONE);
}

static void test_routine(void **state)
{
	struct knowledge k = in(RUNS);

	for (int i = 0; i < 9; i++)
		observe(&k, MISSED, (1 + i) * HOUR);
	assert_int_equal(knowledge_standing(&k, at(47 * HOUR)), STANDS_GONE);
	assert_true(knowledge_routine(&k, at(47 * HOUR)));
	assert_false(knowledge_routine(&k, at(49 * HOUR)));
	observe(&k, LIST_RUNS, 50 * HOUR);
	assert_true(knowledge_routine(&k, at(90 * HOUR)));
	observe(&k, GET_ENDED, 91 * HOUR);
	assert_false(knowledge_routine(&k, at(91 * HOUR)));
}

static void test_refused_output(void **state)
{
	struct knowledge k = in(ENDED_BY_GET);
	int64_t t = HOUR;
	double pause;

	for (int i = 0; i < 10; i++) {
		observe(&k, OUTPUT_403, t);
		pause = knowledge_fetch_at(&k) - at(t).now;
		assert_true(pause == (i < 6 ? MINUTE << i : HOUR));
		/* A person's try in between is no reason to wait longer. */
		observe(&k, OUTPUT_403, t + 1);
		assert_true(knowledge_fetch_at(&k) - at(t).now == pause);
		assert_false(knowledge_fetch_due(&k, at(t + 1)));
		t += (int64_t)pause;
		assert_true(knowledge_fetch_due(&k, at(t)));
	}
	assert_int_equal(knowledge_refusal(&k), 403);
	assert_int_equal(knowledge_output(&k, at(HOUR + 41 * DAY)), OUTPUT_REFUSED);
	assert_int_equal(knowledge_output(&k, at(HOUR + 42 * DAY)), OUTPUT_OVER);
	/* By a clock that was wrong: nothing is for ever. */
	assert_int_equal(knowledge_output(&k, at(t)), OUTPUT_REFUSED);
	knowledge_download_came(&k);
	assert_int_equal(knowledge_output(&k, at(HOUR + 50 * DAY)), OUTPUT_NAMED);
}

static void test_removal(void **state)
{
	static const struct {
		enum knowledge_key key;
		enum before before;
		bool missed, cancelled, insisted;
		enum removal_step step;
		bool deleted; /* by a 404 to DELETE */
	} cases[] = {
		{KEY_MADE_IT, RUNS, false, false, false, REMOVE_CANCEL, false},
		{KEY_MADE_IT, RUNS, true, false, false, REMOVE_CANCEL, false},
		{KEY_MADE_IT, RUNS, true, true, false, REMOVE_DELETE, true},
		{KEY_MADE_IT, ENDED_BY_GET, false, false, false, REMOVE_DELETE, true},
		{KEY_MADE_IT, ENDED_BY_LIST, true, false, false, REMOVE_DELETE, true},
		{KEY_SEES, ENDED_BY_GET, false, false, false, REMOVE_DELETE, true},
		{KEY_UNKNOWN, ENDED_BY_GET, false, false, false, REMOVE_LOOK, false},
		{KEY_UNKNOWN, RUNS, true, false, false, REMOVE_LOOK, false},
		{KEY_ANOTHER, ENDED_BY_GET, false, false, false, REMOVE_OTHER_KEY,
			false},
		{KEY_ANOTHER, RUNS, true, true, false, REMOVE_OTHER_KEY, false},
		{KEY_ANOTHER, RUNS, false, false, true, REMOVE_CANCEL, true},
		{KEY_ANOTHER, RUNS, true, false, true, REMOVE_DONE, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct knowledge k = in(cases[i].before);

		k.key = cases[i].key;
		if (cases[i].missed)
			observe(&k, MISSED, 2 * HOUR);
		if (cases[i].cancelled)
			observe(&k, CANCELLED, 2 * HOUR);
		if (cases[i].insisted)
			knowledge_insisted(&k, true);
		if (knowledge_removal(&k, at(2 * HOUR)) != cases[i].step ||
			knowledge_is_deleted(&k, at(2 * HOUR)) != cases[i].deleted)
			fail_msg("case %zu", i);
	}
}

static void test_denied_is_no_fact(void **state)
{
	struct knowledge k = in(RUNS);

	observe(&k, KEY_REFUSED, HOUR);
	assert_true(knowledge_denied(&k, at(HOUR + 1)));
	assert_false(knowledge_denied(&k, at(HOUR + MINUTE)));
	observe(&k, KEY_REFUSED, HOUR);
	observe(&k, LIST_RUNS, HOUR);
	assert_false(knowledge_denied(&k, at(HOUR)));
}

static void test_small(void **state)
{
	assert_true(sizeof(struct knowledge) <= 48);
}

/* Nothing more comes of a job that is proven gone, as long as no output of it is known. */
static void test_vanished(void **state)
{
	(void)state;
	for (unsigned named = 0; named < 2; named++) {
		struct knowledge k = {0};
		struct job_word w = named ? ended(true, false) : runs(false);

		knowledge_made_with(&k, true);
		knowledge_saw(&k, at(HOUR), &w);
		for (int i = 0; i < 3; i++) {
			assert_false(knowledge_vanished(&k));
			knowledge_missed(&k, at((2 + i) * HOUR));
		}
		assert_int_equal(knowledge_vanished(&k), !named);
		w = runs(false);
		knowledge_saw(&k, at(5 * HOUR), &w);
		assert_false(knowledge_vanished(&k));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vanished),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_lists_take_nothing_back),
		cmocka_unit_test(test_recalled),
		cmocka_unit_test(test_awaited),
		cmocka_unit_test(test_newborn),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_proof_over_restarts),
		cmocka_unit_test(test_routine),
		cmocka_unit_test(test_refused_output),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_denied_is_no_fact),
		cmocka_unit_test(test_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
