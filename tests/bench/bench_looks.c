/* How late the end of a job is noticed, and how many calls that costs, by its lifetime:
 * the looks of production (lib/jobs/looks.h) and two plain rules, simulated.
 *
 *     bench_looks [POLL]      a line of TSV for each lifetime, rule and kind of counts:
 *                             life, kind, mean of the seconds late, 95 of 100 are less
 *                             late, most; mean of the calls, and those of fixed looks;
 *                             lives with more calls than fixed looks make
 *
 * Each line stands for LIVES lifetimes, spread from the one that it names to that of the
 * next line. */
#include "looks_sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIVES = 400 };
#define STEP 1.4142135624

static const struct {
	const char *name;
	enum sim_rule rule;
	enum sim_counts counts;
} kinds[] = {
	{"fixed", SIM_FIXED, SIM_NONE},
	{"eighth", SIM_EIGHTH, SIM_NONE},
	{"steady", SIM_LOOKS, SIM_STEADY},
	{"uneven", SIM_LOOKS, SIM_UNEVEN},
	{"few", SIM_LOOKS, SIM_FEW},
	{"hidden", SIM_LOOKS, SIM_HIDDEN},
	{"none", SIM_LOOKS, SIM_NONE},
};

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double fixed_calls(double life, double poll)
{
	return 1 + ceil(life / fmin(poll, LOOKS_PERIOD));
}

static void one_line(double life, size_t kind, double poll)
{
	static double late[LIVES];
	double calls = 0, fixed = 0, sum = 0;
	unsigned more = 0;

	for (int i = 0; i < LIVES; i++) {
		struct sim s = {.life = life * (1 + (STEP - 1) * fmod(i * 0.6180339887, 1)),
			.counts = kinds[kind].counts,
			.rule = kinds[kind].rule,
			.pace = {poll, fmod(i * 0.7548776662, 1)},
			.pending = 3};

		sim_run(&s);
		late[i] = s.late;
		sum += s.late;
		calls += s.calls;
		fixed += fixed_calls(s.life, poll);
		more += s.calls > fixed_calls(s.life, poll);
	}
	qsort(late, LIVES, sizeof(late[0]), by_size);
	printf("%g\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%u\n", life, kinds[kind].name,
		sum / LIVES, late[LIVES * 95 / 100], late[LIVES - 1], calls / LIVES,
		fixed / LIVES, more);
}

int main(int argc, char **argv)
{
	double poll = argc > 1 ? atof(argv[1]) : 30;

	printf("# life\tkind\tmean\tp95\tmost\tcalls\tfixed\tmore\n");
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
		for (double life = 30; life < 90000; life *= STEP)
			one_line(life, kind, poll);
	return 0;
}
