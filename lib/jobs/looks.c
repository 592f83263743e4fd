#include "jobs/looks.h"

#include <math.h>

enum {
	BUDGET_MOST = 4, /* looks in hand at most, whoever else has told the news */
	HURRY = 4,       /* looks that settle something, after 1, 2, 4, 8 seconds */
	MANY = 20,       /* requests: with fewer the counts do not help much */
	NEAR = 4,        /* periods before the end in which looks are moved */
};

static double period_of(const struct look_pace *p)
{
	return fmin(p->poll, LOOKS_PERIOD);
}

/* ---- the budget -------------------------------------------------------------------- */

static double in_hand(const struct look_budget *b, double now, double period)
{
	return fmin(b->most, b->left + fmax(0, now - b->at) / period);
}

static double first_gap(const struct look_pace *p)
{
	return period_of(p) * (0.8 + 0.2 * p->phase);
}

void look_budget_begin(struct look_budget *b, const struct look_pace *p, double now)
{
	double left = 2 - first_gap(p) / period_of(p);

	*b = (struct look_budget){left, now, left};
}

void look_budget_spend(struct look_budget *b, const struct look_pace *p, double now)
{
	b->left = in_hand(b, now, period_of(p)) - 1;
	b->at = now;
}

double look_budget_at(const struct look_budget *b, const struct look_pace *p)
{
	return b->at + fmax(0, 1 - b->left) * period_of(p);
}

/* ---- what has happened ------------------------------------------------------------- */

void looks_begin(
	struct looks *l, const struct look_pace *p, double now, double age, double told)
{
	*l = (struct looks){
		.budget = {1, now, BUDGET_MOST},
		.born = now - age,
		.last = told > 0 ? told : now,
		.all = -1,
		.soon = told <= 0,
	};
	if (l->soon)
		l->budget.left += 1 - first_gap(p) / period_of(p);
}

/* When all requests are done if they go on as before, or were seen to be; 0: the counts
 * do not tell. */
static double end_by_counts(const struct looks *l)
{
	double span = l->now.at - l->mark[0].at, all = (double)l->all;
	double done = (double)l->now.done, since = done - (double)l->mark[0].done;

	if (l->full_at > 0)
		return l->full_at;
	if (all <= 0 || span <= 0 || since <= 0)
		return 0;
	return l->now.at + fmax(0, all - done) * span / since;
}

/* The pace is taken from the older mark on, which is some of the job's age ago. */
static void move_marks(struct looks *l, double period)
{
	double span = fmax(period / 2, (l->now.at - l->born) / 8);

	if (l->mark[0].at <= 0 || l->now.done < l->mark[1].done)
		l->mark[0] = l->mark[1] = l->now;
	else if (l->now.at - l->mark[1].at < span)
		return;
	/* Until the first is done the requests wait. */
	l->mark[0] = l->now.done ? l->mark[1] : l->now;
	l->mark[1] = l->now;
}

void looks_saw(struct looks *l, const struct look_pace *p, double at, int64_t done,
	int64_t all, bool ended)
{
	l->last = fmax(l->last, at);
	l->all = all;
	l->end = end_by_counts(l);
	if (all <= 0 || done < all)
		l->full_at = 0;
	else if (l->full_at <= 0)
		l->full_at = at;
	l->now = (struct look_counts){at, done};
	move_marks(l, period_of(p));
	if (ended && !l->ended)
		l->hurry = HURRY;
	l->ended = ended;
}

void looks_made(struct looks *l, const struct look_pace *p, double now)
{
	l->last = fmax(l->last, now);
	l->planned |= !l->soon;
	l->soon = false;
	if (l->hurry)
		l->hurry--;
	else
		look_budget_spend(&l->budget, p, now);
}

void looks_hurry(struct looks *l)
{
	l->soon = true;
	l->hurry = HURRY + 1;
}

/* ---- when the next is due: seconds after the last ---------------------------------- */

/* The longest: with a `poll` above the period old jobs are looked at less often. */
static double longest_gap(const struct looks *l, const struct look_pace *p)
{
	return fmax(period_of(p), fmin((l->last - l->born) / 8, p->poll));
}

/* A look that comes too soon is lost, so it is planned a little late; when it was too
 * soon all the same, the next come at growing pauses. */
static double gap_by_counts(
	const struct looks *l, const struct look_pace *p, double end)
{
	double period = period_of(p), second = period / LOOKS_PERIOD;
	double left = end - l->last, most = longest_gap(l, p);

	if (left <= 0)
		return fmax(2 * second, -left / 2);
	left += fmin(second + left / 10, 4 * second);
	if (left > NEAR * period)
		return fmin(most, left * 3 / 4);
	/* An end that moves away from look to look is not worth one. */
	if (l->last - l->born > NEAR * period && fabs(end - l->end) > left / 4)
		return most;
	return left / ceil(left / most);
}

static double gap_by_age(const struct looks *l, const struct look_pace *p)
{
	double period = period_of(p), age = fmax(0, l->last - l->born);
	double most = longest_gap(l, p);

	if (!l->planned)
		return first_gap(p);
	if (most > period || l->all >= MANY)
		return most;
	/* What is in hand is spent over as long again as the job has lived. */
	double spare = fmax(0, in_hand(&l->budget, l->last, period));
	return age / (spare + age / period);
}

double looks_next(const struct looks *l, const struct look_pace *p)
{
	double end = end_by_counts(l), gap;

	if (l->soon)
		return 0;
	if (l->hurry)
		return l->last + fmin(p->poll, 1 << (HURRY - l->hurry));
	gap = end > 0 ? gap_by_counts(l, p, end) : gap_by_age(l, p);
	gap = fmax(gap, fmin(1, p->poll));
	return fmin(
		l->last + p->poll, fmax(l->last + gap, look_budget_at(&l->budget, p)));
}
