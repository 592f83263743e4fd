#include "cli/through.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/await.h"
#include "cli/follow.h"
#include "util/number.h"
#include "util/util.h"

#define FIRST_PAUSE 30.0 /* seconds, as gembatch makes them */
#define LONGEST_PAUSE 3600.0

/* ---- limits ---------------------------------------------------------------------- */

static int above(const char *name, const char *what, const char *has, double limit)
{
	cli_say("%s: the prompts are estimated at %s %s, and max_%s is %.15g. Nothing was "
		"submitted",
		name, has, what, what, limit);
	return -ECANCELED;
}

static int compare_cost(const char *name, const char *stats, double limit)
{
	const char *has = desk_value(stats, "estimated_prompt_cost");
	_cleanup_free_ char *cost = has ? strndup(has, strcspn(has, "\n")) : NULL;

	if (cost)
		return strtod(cost, NULL) > limit ? above(name, "cost", cost, limit) : 0;
	cli_say("%s: max_cost cannot be checked: there is no price of its model in "
		"prices.tsv. Nothing was submitted",
		name);
	return -ECANCELED;
}

int through_limits(struct desk *d, const char *name)
{
	const struct options *o = d->place->o;
	_cleanup_free_ char *stats = NULL;
	long long tokens;
	char has[32];
	int err;

	if (!d->shared || (!o->max_tokens && o->max_cost <= 0))
		return 0;
	err = d->ops->store(d, name, "ctl", "estimate");
	if (!err)
		err = desk_text(d, name, "stats", &stats);
	if (err)
		return err;
	if ((tokens = desk_number(stats, "estimated_prompt_tokens")) < 0)
		return -ENODATA;
	snprintf(has, sizeof(has), "%lld", tokens);
	if (o->max_tokens && (uint64_t)tokens > o->max_tokens)
		return above(name, "tokens", has, (double)o->max_tokens);
	return o->max_cost > 0 ? compare_cost(name, stats, o->max_cost) : 0;
}

/* ---- rounds ---------------------------------------------------------------------- */

/* The rounds that were made; -1: no more is to be. */
static long long rounds_before_next(struct desk *d, const char *name)
{
	_cleanup_free_ char *stats = NULL;
	long long rounds;

	if (!d->shared || d->place->o->retries <= 0 || desk_text(d, name, "stats", &stats))
		return -1;
	rounds = desk_number(stats, "rounds");
	rounds = rounds < 0 ? 0 : rounds;
	return rounds < d->place->o->retries && desk_offers(d, name, "retry") ? rounds : -1;
}

static int pause_before_round(long long rounds, double until)
{
	double first = number_of_seconds("BATCHFS_TEST_RETRY_SECONDS", FIRST_PAUSE);
	double end = await_now() +
		     fmin(ldexp(first, rounds > 20 ? 20 : (int)rounds), LONGEST_PAUSE);

	while (await_now() < end) {
		if (cli_stopped())
			return -EINTR;
		if (until >= 0 && await_now() >= until)
			return -EAGAIN;
		usleep(100000);
	}
	return 0;
}

int through_rounds(
	struct desk *d, const char *name, bool quiet, double until, char **state)
{
	long long rounds;
	int err = 0;

	while (!err && (rounds = rounds_before_next(d, name)) >= 0) {
		err = pause_before_round(rounds, until);
		if (!err)
			err = d->ops->store(d, name, "ctl", "retry");
		if (err == -EBUSY) /* the mount, or somebody else, was quicker */
			err = 0;
		free(STEAL_PTR(*state));
		if (!err)
			err = follow(d, name, quiet, until, state);
	}
	return err;
}
