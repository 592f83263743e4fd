/* When a job is looked at: promises of jobs/looks.h over simulated lives, and what single
 * events do. No clock runs here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/util.h"
#include "looks_sim.h"

#include <stdlib.h>

#define NEVER_MORE 1e-6 /* what rounding may add */

static const double polls[] = {1, 2, 30, 45, 300, 3600};
static const struct look_pace usual = {30, 0.5};

/* Calls of who asks at once and then every period, until it knows of the end. */
static unsigned calls_of_fixed(double life, double poll)
{
	return 1 + (unsigned)ceil(life / fmin(poll, LOOKS_PERIOD));
}

static void check_life(double life, enum sim_counts counts, double poll, double phase)
{
	struct sim s = {.life = life,
		.counts = counts,
		.pace = {poll, phase},
		.pending = fmin(5, life / 4)};

	sim_run(&s);
	if (s.calls > calls_of_fixed(life, poll) || s.longest > poll + NEVER_MORE)
		fail_msg("life %g, counts %d, poll %g, phase %g: %u calls, fixed %u; "
			 "longest gap %g",
			life, counts, poll, phase, s.calls, calls_of_fixed(life, poll),
			s.longest);
}

/* Whatever a job does, and whenever it ends. */
static void test_promises(void **state)
{
	for (size_t p = 0; p < ARRAY_SIZE(polls); p++)
		for (int counts = 0; counts < SIM_COUNTS; counts++)
			for (double life = 0.3; life < 90000; life *= 1.07)
				check_life(life, (enum sim_counts)counts, polls[p],
					fmod(life, 1));
}

struct outcome {
	double late;
	unsigned calls;
};

/* The mean of lives from a to b. */
static struct outcome mean_of(
	enum sim_rule rule, enum sim_counts counts, double a, double b)
{
	enum { LIVES = 300 };
	struct outcome o = {0};

	for (int i = 0; i < LIVES; i++) {
		struct sim s = {.life = a + (b - a) * fmod(i * 0.6180339887, 1),
			.counts = counts,
			.rule = rule,
			.pace = {30, i % 10 / 10.0},
			.pending = 3};

		sim_run(&s);
		o.late += s.late / LIVES;
		o.calls += s.calls;
	}
	return o;
}

/* Counts that move bring the end to light soon; those that say nothing do no harm. */
static void test_counts_help(void **state)
{
	static const double ends[] = {60, 120, 600, 3600, 14400};

	for (size_t i = 0; i + 1 < ARRAY_SIZE(ends); i++) {
		double a = ends[i], b = ends[i + 1];
		struct outcome fixed = mean_of(SIM_FIXED, SIM_STEADY, a, b);

		assert_true(mean_of(SIM_LOOKS, SIM_STEADY, a, b).late < 5);
		assert_true(mean_of(SIM_LOOKS, SIM_STEADY, a, b).calls < fixed.calls);
		assert_true(mean_of(SIM_LOOKS, SIM_UNEVEN, a, b).late < fixed.late + 1);
		assert_true(mean_of(SIM_LOOKS, SIM_HIDDEN, a, b).late < fixed.late + 1);
	}
	assert_true(mean_of(SIM_LOOKS, SIM_NONE, 30, 120).late <
		    mean_of(SIM_FIXED, SIM_NONE, 30, 120).late);
}

/* ---- single events ------------------------------------------------------------------- */

static double next_of(const struct looks *l)
{
	return looks_next(l, &usual);
}

static double look_now(struct looks *l, int64_t done, int64_t all)
{
	double at = fmax(next_of(l), l->last);

	looks_saw(l, &usual, at, done, all, false);
	looks_made(l, &usual, at);
	return at;
}

/* Who begins to wait for an old job is told at once; then it is a look a poll. */
static void test_late_waiter(void **state)
{
	struct looks l;
	double at = 0;

	looks_begin(&l, &usual, 5000, 7200, 0);
	assert_true(next_of(&l) == 0);
	looks_saw(&l, &usual, 5000, 0, 3, false);
	looks_made(&l, &usual, 5000);
	at = next_of(&l);
	assert_true(at >= 5000 + 0.8 * 30 && at <= 5000 + 30);
	for (int i = 0; i < 20; i++) {
		double before = look_now(&l, 0, 3);

		assert_true(next_of(&l) - before > 29);
	}
}

/* News that are fresh enough put off the first look, and news from elsewhere each. */
static void test_news_put_off(void **state)
{
	struct looks l;

	looks_begin(&l, &usual, 5000, 7200, 4998);
	assert_true(next_of(&l) >= 4998 + 0.8 * 30);
	for (int i = 0; i < 100; i++)
		looks_saw(&l, &usual, 5000 + 10 * i, 0, 3, false);
	assert_true(next_of(&l) > 5990 + 20);
	/* However many looks that saved, they are not made up for. */
	for (int i = 0; i < 8; i++)
		look_now(&l, 0, 3);
	double before = look_now(&l, 0, 3);
	assert_true(next_of(&l) - before > 25);
}

/* All requests are done, and still the job runs: it is looked at, as long as it does. */
static void test_counts_are_no_fact(void **state)
{
	struct looks l;
	double at = 0;

	looks_begin(&l, &usual, 1000, 0, 1000);
	looks_saw(&l, &usual, 1000, 0, 100, false);
	look_now(&l, 60, 100);
	for (int i = 0; i < 100; i++) {
		double before = at;

		at = look_now(&l, 100, 100);
		assert_true(!before || at - before <= 30 + NEVER_MORE);
	}
	assert_true(at > 1000 + 90 * 30);
}

/* A cancel takes seconds: looks outside the budget, and then as before. */
static void test_cancel(void **state)
{
	struct looks l;

	looks_begin(&l, &usual, 1000, 600, 0);
	looks_made(&l, &usual, 1000);
	looks_hurry(&l);
	assert_true(next_of(&l) == 0);
	looks_made(&l, &usual, 1001);
	for (int pause = 1; pause <= 8; pause *= 2) {
		double at = next_of(&l);

		assert_true(at == l.last + pause);
		looks_made(&l, &usual, at);
	}
	assert_true(next_of(&l) >= 1000 + 0.8 * 30);
}

/* An end without the name of its output, which comes soon. */
static void test_end_without_output(void **state)
{
	struct looks l;

	looks_begin(&l, &usual, 1000, 600, 1000);
	looks_saw(&l, &usual, 1000, 0, 3, false);
	looks_saw(&l, &usual, 1010, 3, 3, true);
	assert_true(next_of(&l) == 1011);
	for (int i = 0; i < 4; i++) {
		double at = next_of(&l);

		looks_saw(&l, &usual, at, 3, 3, true);
		looks_made(&l, &usual, at);
	}
	/* What is in hand is used up by growing pauses. */
	for (int i = 0; i < 8; i++)
		look_now(&l, 3, 3);
	assert_true(next_of(&l) > l.last + 25);
}

/* A `poll` above the period: an eighth of the age. */
static void test_old_seldom(void **state)
{
	const struct look_pace pace = {300, 0};
	struct looks l;

	looks_begin(&l, &pace, 10000, 960, 0);
	looks_saw(&l, &pace, 10000, 0, 3, false);
	looks_made(&l, &pace, 10000);
	looks_made(&l, &pace, looks_next(&l, &pace));
	assert_true(looks_next(&l, &pace) - l.last > 110);
	looks_made(&l, &pace, 20000);
	assert_true(looks_next(&l, &pace) == 20300);
}

/* Counts may be anything. */
static void test_any_counts(void **state)
{
	static const int64_t odd[] = {
		-1, 0, 1, 7, 100, INT64_MAX / 2, INT64_MAX, INT64_MIN, -100};

	for (unsigned seed = 1; seed < 2000; seed++) {
		struct look_pace pace = {polls[seed % ARRAY_SIZE(polls)], 0.3};
		double now = 1000;
		struct looks l;

		looks_begin(&l, &pace, now, seed % 3 * 500, seed % 2 ? 1000 : 0);
		for (int i = 0; i < 20; i++) {
			double at = looks_next(&l, &pace);

			assert_true(at == 0 || (at > l.last && isfinite(at) &&
						       at <= l.last + pace.poll));
			now = fmax(now, at);
			looks_saw(&l, &pace, now,
				odd[(unsigned)rand_r(&seed) % ARRAY_SIZE(odd)],
				odd[(unsigned)rand_r(&seed) % ARRAY_SIZE(odd)], false);
			looks_made(&l, &pace, now);
		}
	}
}

/* Many clients that begin together do not stay together. */
static void test_no_herd(void **state)
{
	double first = 0, last = 0;

	for (int i = 0; i <= 10; i++) {
		struct look_pace pace = {30, i / 10.0};
		struct looks l;

		looks_begin(&l, &pace, 1000, 7200, 0);
		looks_made(&l, &pace, 1000);
		for (int n = 0; n < 10; n++)
			looks_made(&l, &pace, looks_next(&l, &pace));
		first = i ? first : l.last;
		last = l.last;
	}
	assert_true(last - first > 5);
}

/* Calls that all share: one at once, the next a little sooner, then one a period. */
static void test_budget(void **state)
{
	struct look_budget b;

	look_budget_begin(&b, &usual, 1000);
	assert_true(look_budget_at(&b, &usual) <= 1000);
	look_budget_spend(&b, &usual, 5000);
	double second = look_budget_at(&b, &usual);
	assert_true(second >= 5000 + 0.8 * 30 && second <= 5000 + 30);
	look_budget_spend(&b, &usual, second);
	assert_true(fabs(look_budget_at(&b, &usual) - second - 30) < NEVER_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_promises),
		cmocka_unit_test(test_counts_help), cmocka_unit_test(test_late_waiter),
		cmocka_unit_test(test_news_put_off),
		cmocka_unit_test(test_counts_are_no_fact),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_end_without_output),
		cmocka_unit_test(test_old_seldom), cmocka_unit_test(test_any_counts),
		cmocka_unit_test(test_no_herd), cmocka_unit_test(test_budget)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
