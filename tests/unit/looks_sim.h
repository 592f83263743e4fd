/* A job's life, and who looks at it: for test_looks.c and tests/bench/bench_looks.c. The
 * looks are those of production, lib/jobs/looks.h, beside two rules of the past. */
#ifndef LOOKS_SIM_H
#define LOOKS_SIM_H

#include "jobs/looks.h"

#include <math.h>

enum sim_counts {
	SIM_STEADY, /* 20,000 requests, done one after the other */
	SIM_UNEVEN, /* the same in waves, and the last twentieth takes a fifth of the time */
	SIM_FEW,    /* eight, as steady */
	SIM_HIDDEN, /* 20,000, all pending until the end */
	SIM_NONE,   /* three, pending until the end */
	SIM_COUNTS
};
enum sim_rule {
	SIM_LOOKS,
	SIM_FIXED,  /* one at once, then every `poll` seconds */
	SIM_EIGHTH, /* one at once, then an eighth of the age between two, 1 to `poll` */
};

struct sim {
	double life; /* seconds */
	enum sim_counts counts;
	enum sim_rule rule;
	struct look_pace pace;
	double pending; /* of its life, before it runs */
	/* What came of it. */
	unsigned calls;
	double late;    /* seconds after the end */
	double longest; /* between two looks */
};

static inline int64_t sim_all(const struct sim *s)
{
	return s->counts == SIM_NONE ? 3 : s->counts == SIM_FEW ? 8 : 20000;
}

static inline int64_t sim_done(const struct sim *s, double at)
{
	double run = (at - s->pending) / (s->life - s->pending);

	if (run <= 0 || s->counts >= SIM_HIDDEN)
		return 0;
	if (s->counts == SIM_UNEVEN)
		run = run < 0.8 ? run / 0.8 * 0.95 + 0.03 * sin(20 * run) * run
				: 0.95 + (run - 0.8) / 4;
	return (int64_t)((double)sim_all(s) * fmin(fmax(run, 0), 1));
}

static inline double sim_next(const struct sim *s, const struct looks *l, double last)
{
	if (s->rule == SIM_FIXED)
		return last + s->pace.poll;
	if (s->rule == SIM_EIGHTH)
		return last + fmin(fmax(last / 8, 1), s->pace.poll);
	return looks_next(l, &s->pace);
}

/* From the reply to its create, at 0, which those who ask by a rule do not have. */
static inline void sim_run(struct sim *s)
{
	enum { START = 1000 }; /* no clock begins with 0 */
	double at = 0, last = 0;
	struct looks l;

	s->calls = s->rule == SIM_LOOKS ? 0 : 1;
	s->longest = 0;
	looks_begin(&l, &s->pace, START, 0, START);
	looks_saw(&l, &s->pace, START, 0, sim_all(s), false);
	while (at < s->life) {
		at = s->rule == SIM_LOOKS ? sim_next(s, &l, at) - START
					  : sim_next(s, &l, at);
		s->calls++;
		s->longest = fmax(s->longest, at - last);
		last = at;
		looks_saw(&l, &s->pace, START + at, sim_done(s, at), sim_all(s), false);
		looks_made(&l, &s->pace, START + at);
	}
	s->late = at - s->life;
}

#endif
