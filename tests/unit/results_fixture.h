/* What the tests of results share: a file of lines at a fake API, a directory for its
 * local copy, and ways to read it. */
#ifndef RESULTS_FIXTURE_H
#define RESULTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fake_engine.h"
#include "results/results.h"
#include "results/block_map.h"
#include "base/util.h"

#define MIB RESULTS_BLOCK
#define KIB ((uint64_t)1024)
#define FILE_ID "files/batch-abc"
#define UNSURE (64 * KIB) /* the end of a reply that counts once that is over */
#define BIG (48 * MIB + 777)

extern char dir_path[];
extern int dir_fd;
extern char *content; /* BIG bytes of lines */
extern struct engine engine;
extern struct provider_conn api;
extern unsigned sized, filled, lost, damaged, gave_up;

/* Lines of 100 bytes that tell where they stand. */
void fill(char *p, size_t n);

int group_setup(void **state);

int group_teardown(void **state);

int setup(void **state);

void event(void *arg, struct gb_results *r, enum results_event ev);

/* Of the file "f", without a reader; the rest of c is the test's. */
struct gb_results *open_unread(struct results_config c);
struct gb_results *open_as(const char *file, bool offline);
/* Where an earlier object has told that size. */
struct gb_results *open_shown(int64_t shown);

struct gb_results *open_it(void);

void close_it(struct gb_results *r);

/* The last one closes it, and the next one opens the same object. */
void reopen(struct gb_results *r);

struct asker {
	struct gb_waiter w;
	unsigned calls;
	int err;
};

void answered(struct gb_waiter *w, int err);

#define ASKER                                                                          \
	{                                                                              \
		.w = {.done = answered }                                               \
	}

/* Whatever is said to be there is what the API has. */
void check_bytes(struct gb_results *r, uint64_t off, size_t n);

/* Read once, letting the engine run as long as it takes. */
ssize_t read_at(struct gb_results *r, uint64_t off, size_t n);

/* Read on from off to the end or an error, as cat does. */
int read_on(struct gb_results *r, uint64_t off, uint64_t *ret_end);

int fetch(struct gb_results *r);

int size_of(struct gb_results *r, int64_t *ret);

void assert_all_home(struct gb_results *r);

/* A row of a program's table of tests. */
#define T(test) cmocka_unit_test_setup(test, setup)

#endif
