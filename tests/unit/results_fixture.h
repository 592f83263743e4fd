/* What the tests of results share: a file of lines at a fake API, a directory for its
 * local copy, and ways to read it. Include it after nothing, once a program. */
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

static char dir_path[] = "/tmp/test-results-XXXXXX";
static int dir_fd = -1;
static char *content; /* BIG bytes of lines */
static struct engine engine;
static struct provider_conn api = {.provider = &fake_files, .engine = &engine};
static unsigned sized, filled, lost, damaged, gave_up;

/* Lines of 100 bytes that tell where they stand. */
static inline void fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i % 100 % 26);
	for (size_t i = 0; i + 100 <= n; i += 100) {
		char line[32];
		int len = snprintf(line, sizeof line, "{\"at\":%zu,\"x\":\"", i);

		memcpy(p + i, line, (size_t)len);
		memcpy(p + i + 97, "\"}\n", 3);
	}
	p[n - 1] = '\n';
}

static inline int group_setup(void **state)
{
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	content = malloc(BIG);
	fill(content, BIG);
	return dir_fd < 0 ? -1 : 0;
}

static inline int group_teardown(void **state)
{
	free(content);
	close(dir_fd);
	return util_remove_tree(AT_FDCWD, dir_path);
}

static inline int setup(void **state)
{
	fake_init(&engine, content, BIG);
	sized = filled = lost = damaged = 0;
	for (const char *name = "f\0f.map\0f.aside\0g\0g.map\0"; *name;
		name += strlen(name) + 1)
		unlinkat(dir_fd, name, 0);
	return 0;
}

static inline void event(void *arg, struct gb_results *r, enum results_event ev)
{
	unsigned *counts[] = {&sized, &filled, &lost, &damaged, &gave_up};

	++*counts[ev];
}

static inline struct gb_results *open_as(const char *file, bool offline)
{
	struct results_config c = {.api = &api,
		.dirfd = dir_fd,
		.name = "f",
		.file = file,
		.offline = offline,
		.event = event};
	struct gb_results *r = NULL;

	assert_int_equal(results_new(&c, &r), 0);
	results_reader(r, 1);
	return r;
}

static inline struct gb_results *open_it(void)
{
	return open_as(FILE_ID, false);
}

static inline void close_it(struct gb_results *r)
{
	results_reader(r, -1);
	results_unref(r);
	fake_run(&engine);
}

struct asker {
	struct gb_waiter w;
	unsigned calls;
	int err;
};

static inline void answered(struct gb_waiter *w, int err)
{
	struct asker *a = CONTAINER_OF(w, struct asker, w);

	a->calls++;
	a->err = err;
}

#define ASKER                                                                          \
	{                                                                              \
		.w = {.done = answered }                                               \
	}

/* Whatever is said to be there is what the API has. */
static inline void check_bytes(struct gb_results *r, uint64_t off, size_t n)
{
	char *buf = malloc(n);

	assert_int_equal(pread(results_fd(r), buf, n, (off_t)off), n);
	assert_memory_equal(buf, engine.data + off, n);
	free(buf);
}

/* Read once, letting the engine run as long as it takes. */
static inline ssize_t read_at(struct gb_results *r, uint64_t off, size_t n)
{
	for (;;) {
		struct asker a = ASKER;
		ssize_t got = results_ready(r, off, n, &a.w);

		if (got > 0)
			check_bytes(r, off, (size_t)got);
		if (got != -EINPROGRESS)
			return got;
		while (a.calls == 0)
			assert_true(fake_step(&engine));
		assert_int_equal(a.calls, 1);
		if (a.err < 0)
			return a.err;
	}
}

/* Read on from off to the end or an error, as cat does. */
static inline int read_on(struct gb_results *r, uint64_t off, uint64_t *ret_end)
{
	ssize_t got;

	while ((got = read_at(r, off, 128 * KIB)) > 0)
		off += (uint64_t)got;
	if (ret_end)
		*ret_end = off;
	return (int)got;
}

static inline int fetch(struct gb_results *r)
{
	struct asker a = ASKER;
	int err = results_fetch(r, &a.w);

	if (err != -EINPROGRESS)
		return err;
	while (a.calls == 0)
		assert_true(fake_step(&engine));
	assert_int_equal(a.calls, 1);
	return a.err;
}

static inline int size_of(struct gb_results *r, int64_t *ret)
{
	for (;;) {
		struct asker a = ASKER;
		int err = results_size(r, &a.w, ret);

		if (err != -EINPROGRESS)
			return err;
		while (a.calls == 0)
			assert_true(fake_step(&engine));
		if (a.err < 0)
			return a.err;
	}
}

static inline void assert_all_home(struct gb_results *r)
{
	uint64_t end;
	unsigned calls = engine.calls;

	assert_true(results_complete(r));
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	assert_int_equal(engine.calls, calls);
}

/* A row of a program's table of tests. */
#define T(test) cmocka_unit_test_setup(test, setup)

#endif
