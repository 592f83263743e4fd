/*
 * When a job that somebody waits for is looked at next.
 *
 * Two promises and one aim. Never longer than `poll` between two looks. Never more
 * looks than someone makes who asks once and then every LOOKS_PERIOD seconds (or every
 * `poll`, if that is less): a look is taken out of a budget, which has one to begin
 * with and gets one more a period. The aim, within both: the end is noticed soon. So
 * the one look to spare goes where it helps most:
 *
 *   - By the counts, where these move: they say about when all requests are done, and
 *     the last looks before are moved so that one of them comes just after. The counts
 *     only choose when to look. Whether the job has ended is what the look tells.
 *   - Else by age, for jobs of few requests, whose counts move too seldom: half of such
 *     jobs that live now have ended when they are twice as old, so young ones are
 *     looked at a little more often.
 *   - A `poll` above the period saves looks of old jobs: then an eighth of the age is
 *     between them.
 *
 * Looks that settle something are outside the budget, and few: after a cancel, and
 * after an end whose output was not named yet.
 *
 * Pure: no clock, no lock, no I/O. Times are seconds on CLOCK_BOOTTIME; the poller
 * (poll_plan.c) calls it under client.lock, tests/bench/bench_looks.c with times of its
 * own.
 */
#ifndef GB_LOOKS_H
#define GB_LOOKS_H

#include <stdbool.h>
#include <stdint.h>

enum { LOOKS_PERIOD = 30 };

/* Of all jobs of a client. */
struct look_pace {
	double poll;
	double phase; /* 0 … 1, by chance, so that many clients do not ask together */
};

/* Calls in hand: `left` at the time `at`. One more each period, `most` at most. */
struct look_budget {
	double left, at, most;
};
/* A first call now, and the second a little sooner than a period later (phase). */
void look_budget_begin(struct look_budget *b, const struct look_pace *p, double now);
void look_budget_spend(struct look_budget *b, const struct look_pace *p, double now);
/* From when on one may be made. */
double look_budget_at(const struct look_budget *b, const struct look_pace *p);

struct look_counts {
	double at;    /* 0: none */
	int64_t done;
};

struct looks {
	struct look_budget budget;
	double born;             /* when the job was made */
	double last;             /* the newest look or other news of it */
	struct look_counts mark[2], now; /* counts: some time ago, less long ago, the
	                                    newest */
	int64_t all;             /* requests; -1: not known */
	double end;              /* when all are done, by the counts before the newest; 0:
	                            they did not tell */
	double full_at;          /* when all were first seen done; 0: they are not */
	uint8_t hurry;           /* looks left outside the budget */
	bool soon;               /* the next is due at once */
	bool planned;            /* one has been made */
	bool ended;              /* it has, and its output was not named yet */
};

/* Somebody begins to wait, for a job that is `age` seconds old; told: when there was
 * news of it that is fresh enough; 0: a look is needed at once. */
void looks_begin(struct looks *l, const struct look_pace *p, double now, double age,
	double told);
/* News of the job, whatever it was asked for: requests done and in all (-1: not
 * known), and whether it has ended. */
void looks_saw(struct looks *l, const struct look_pace *p, double at, int64_t done,
	int64_t all, bool ended);
/* A look was made for those who wait, and answered, whatever the answer was. */
void looks_made(struct looks *l, const struct look_pace *p, double now);
/* The job was cancelled: it ends within seconds. */
void looks_hurry(struct looks *l);
/* When the next is due; 0: at once. */
double looks_next(const struct looks *l, const struct look_pace *p);

#endif
