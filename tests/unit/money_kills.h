/*
 * A life that is killed at each of its points, and the next start at each of its own. Each
 * program of such tables includes this once: it has a table of cases, and for main
 * test_case with a case as its state.
 */
#ifndef MONEY_KILLS_H
#define MONEY_KILLS_H

#include "money.h"

#include <string.h>

/* Long enough for all looking to be over, whatever the server's clock says. */
enum { LONG = 4000 };

struct kase {
	const char *name;
	void (*options)(void);
	void (*before)(void);  /* a life that nobody kills; NULL: none */
	void (*between)(void); /* what happens at the API after that; NULL: nothing */
	void (*act)(void);     /* with an open client */
	void (*finish)(void);  /* the same, in a life after it was killed */
	void (*check)(void);   /* in the parent */
	bool once;             /* the next start is not killed */
};
static const struct kase *kase;

static void life_act(void)
{
	open_here();
	kase->act();
	UNTIL(is_settled());
	close_here();
}

static void start_again(void)
{
	world->passed = LONG;
	open_here();
	UNTIL(is_settled());
	look_here(&world->found);
	world->found_made = fake_made(the_api);
}

static void life_start(void)
{
	start_again();
	close_here();
}

static void life_finish(void)
{
	start_again();
	kase->finish();
	close_here();
}

/* Up to its first crash. */
static void begin_row(
	const struct kase *k, const struct point *at, const struct point *again)
{
	kase = k;
	world_new("%s, killed at %s#%u%s%s#%u", k->name, at->name, at->n,
		again ? ", then at " : "", again ? again->name : "",
		again ? again->n : 0);
	if (k->options)
		k->options();
	if (k->before)
		live(k->before);
	if (k->between)
		k->between();
	world->stop = *at;
	live(life_act);
	world->stop.n = 0;
}

static void end_row(void)
{
	live(life_finish);
	kase->check();
	world_free();
}

static struct point first[POINTS], second[POINTS];
static uint32_t prints[POINTS];
static unsigned n_prints;
static const struct point none;

/* Whether another crash left the same. */
static bool is_old(uint32_t print)
{
	for (unsigned i = 0; i < n_prints; i++)
		if (prints[i] == print)
			return true;
	if (n_prints < POINTS)
		prints[n_prints++] = print;
	return false;
}

/* To the end, unless another crash left the same: that has been there. */
static bool end_new_row(void)
{
	bool old = is_old(world_print());

	if (old)
		world_free();
	else
		end_row();
	return !old;
}

static void kill_twice(const struct kase *k, const struct point *at)
{
	begin_row(k, at, &none);
	unsigned n = trace_of(life_start, second);
	world_free();
	for (unsigned i = 0; i < n; i++) {
		if (!table_takes_row())
			continue;
		begin_row(k, at, &second[i]);
		world->stop = second[i];
		live(life_start);
		world->stop.n = 0;
		end_new_row();
	}
}

static void test_case(void **state)
{
	const struct kase *k = *state;
	unsigned differ = 0;
	n_prints = 0;
	begin_row(k, &none, NULL);
	unsigned n = world->n_trace;
	memcpy(first, world->trace, sizeof(first));
	end_row();
	for (unsigned i = 0; i < n; i++) {
		if (!table_takes_row())
			continue;
		begin_row(k, &first[i], NULL);
		bool new = end_new_row();
		if (new && !k->once)
			kill_twice(k, &first[i]);
		differ += new;
	}
	print_message("# %s: %u points, %u of them differ, %u in all\n", k->name, n,
		differ, n_prints);
}

#endif
