/*
 * Lives of a client on a provider in memory, for tables of what happens to money.
 *
 * A life is a child process that opens a client and does something with it; it ends, or is
 * killed at a point that the row names. The provider (`world->fake`) lies in memory that
 * all lives of a row share, so a job that was made stays made whoever is killed, and the
 * state directory is the same. Rows look at both from outside, in the parent:
 *
 *     world_new("a row");
 *     world->fake … : scripts, switches
 *     live(first_life);                     in the child: open_here, …, close_here
 *     assert_int_equal(fake_made(the_api), 1);
 *     world_free();
 *
 * Points are those of base/test_point.h, and two for each call of the API: "api-create" when
 * it comes, "api-create+" when it is done and its answer is on its way. Nothing in a row
 * sleeps: pauses are shortened (world_new), and spans of time are said to be over by
 * world->passed.
 */
#ifndef MONEY_H
#define MONEY_H

#include "fake_provider.h"
#include "table_rows.h"
#include "base/waiter.h"
#include "gembatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { POINTS = 512, POINT_NAME = 48 };

struct point {
	char name[POINT_NAME];
	unsigned n; /* passed for the nth time in its life; 0: no point */
};

/* What a life saw of the job called "job". */
struct seen {
	bool there; /* in the tree */
	bool bound; /* has an id */
	bool saved; /* all results are on the local disk */
	char state[32];
	char error[512]; /* "": none */
	unsigned jobs;   /* directories in the tree */
};

struct world {
	struct fake_provider fake;
	char row[160]; /* its name, for messages */
	/* What the next lives are like. */
	struct gb_options o;   /* source and directories are filled in */
	struct point stop;     /* killed there */
	_Atomic double passed; /* seconds that spans are longer than they are */
	void (*_Atomic at)(const char *point); /* called at each point, by its thread */
	void (*fill)(struct gb_job *job); /* writes what the draft lacks; NULL: usual */
	/* What they tell. */
	struct point trace[POINTS]; /* in order, of the newest life */
	unsigned n_trace;
	bool returned; /* the verb has; with … */
	int ret;
	struct seen then, seen; /* when it had; and when all was settled */
	struct seen found;      /* after a start, before anybody did anything … */
	unsigned found_made;    /* … and how many jobs there were */
	bool other_returned;    /* the same of what another thread asked for */
	int other_ret;
	unsigned step;  /* how far a life has come, where a row counts that */
	char said[1024]; /* why a life failed */
};
extern struct world *world;
#define the_api (&world->fake)

/* For main: the group's. */
int money_setup(void **state);
int money_teardown(void **state);

/* A new row: a new API and state directory. */
_printf_(1, 2) void world_new(const char *row, ...);
void world_free(void);

/* In the parent: true: fn came to its end; false: it was killed at world->stop. Anything else
 * (EXPECT, a signal, 30 seconds) fails the row. */
bool live(void (*fn)(void));
/* First in main of who kills lives: where that cannot be, the program ends as skipped. */
void money_needs_kills(void);
/* Run live(fn) with nothing in its way: its points, a copy of the caller's. */
unsigned trace_of(void (*fn)(void), struct point *ret);
/* assert_true with the row's name. */
#define ROW_TRUE(c) row_true((c), #c, __LINE__)
void row_true(bool yes, const char *what, int line);
/* What the state directory and the API look like, but for times and names: lives that leave
 * the same go on alike. */
uint32_t world_print(void);
/* Whether the only results.jsonl in the state directory is j's. */
bool results_are_of(const struct fake_job *j);
/* A directory of the state directory, to be closed. */
int state_here(const char *dir);
/* How many files of that name are below that directory of the state directory. */
unsigned files_below(const char *dir, const char *name);

/* ---- in a life -------------------------------------------------------------------- */

extern struct gb_client *client;
void open_here(void);
void close_here(void);
#define EXPECT(c) expect((c), #c, __FILE__, __LINE__)
void expect(bool yes, const char *what, const char *file, int line);
/* Whether cond becomes true within seconds; looks all the time. */
#define UNTIL(cond)                                                                    \
	do {                                                                           \
		for (int n_ = 0; !(cond); n_++) {                                      \
			expect(n_ < 400000, "until " #cond, __FILE__, __LINE__);        \
			a_moment();                                                    \
		}                                                                      \
	} while (0)
void a_moment(void);

/* What a call that takes a waiter comes to. */
#define BLOCKING(call, ...)                                                            \
	({                                                                             \
		struct waiter_sync sync_;                                              \
		waiter_sync_init(&sync_);                                              \
		came_to(&sync_, call(__VA_ARGS__, &sync_.w));                          \
	})
int came_to(struct waiter_sync *s, int err);

/* The directory "job", made now, with two requests; with: one names a picture. */
struct gb_job *draft_here(bool with_picture, bool listed);
/* It, if it is in the tree; a reference. */
struct gb_job *job_here(void);
void write_file(struct gb_job *job, const char *name, const void *buf, size_t n);
void write_requests(struct gb_job *job, const char *name, bool with_picture);
/* Submit "job" by a rename of "tmp" out of the directory dir, which fill writes. */
void rename_here(
	const char *dir, void (*fill)(struct gb_job *from, struct gb_job *job));
/* To the world: how the verb came out. */
void tell_returned(int ret);
void look_here(struct seen *ret);
/* Nothing is under way any more: no submission, no removal, no results to be saved. */
bool is_settled(void);
/* The same, and its results are saved; looks (world->seen). */
bool is_saved(void);
/* Of requests.jsonl, where it is empty or not there. */
void fill_requests(struct gb_job *job);
/* What a person does who reads the state, until there is a job and its results are saved. */
void finish_here(void);

#endif
