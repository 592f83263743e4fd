#include "results_fixture.h"

char dir_path[] = "/tmp/test-results-XXXXXX";
int dir_fd = -1;
char *content; /* BIG bytes of lines */
struct engine engine;
struct provider_conn api = {.provider = &fake_files, .engine = &engine};
unsigned sized, filled, lost, damaged, gave_up;

void fill(char *p, size_t n)
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

int group_setup(void **state)
{
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	content = malloc(BIG);
	fill(content, BIG);
	return dir_fd < 0 ? -1 : 0;
}

int group_teardown(void **state)
{
	free(content);
	close(dir_fd);
	return util_remove_tree(AT_FDCWD, dir_path);
}

int setup(void **state)
{
	fake_init(&engine, content, BIG);
	sized = filled = lost = damaged = 0;
	for (const char *name = "f\0f.map\0f.aside\0g\0g.map\0"; *name;
		name += strlen(name) + 1)
		unlinkat(dir_fd, name, 0);
	return 0;
}

void event(void *arg, struct gb_results *r, enum results_event ev)
{
	unsigned *counts[] = {&sized, &filled, &lost, &damaged, &gave_up};

	++*counts[ev];
}

struct gb_results *open_unread(struct results_config c)
{
	struct gb_results *r = NULL;

	c.api = &api;
	c.dirfd = dir_fd;
	c.name = "f";
	c.event = event;
	assert_int_equal(results_new(&c, &r), 0);
	return r;
}

struct gb_results *open_as(const char *file, bool offline)
{
	struct gb_results *r =
		open_unread((struct results_config){.file = file, .offline = offline});

	results_reader(r, 1);
	return r;
}

struct gb_results *open_shown(int64_t shown)
{
	struct gb_results *r =
		open_unread((struct results_config){.file = FILE_ID, .shown = shown});

	results_reader(r, 1);
	return r;
}

struct gb_results *open_it(void)
{
	return open_as(FILE_ID, false);
}

void close_it(struct gb_results *r)
{
	results_reader(r, -1);
	results_unref(r);
	fake_run(&engine);
}

void reopen(struct gb_results *r)
{
	results_reader(r, -1);
	fake_run(&engine);
	results_reader(r, 1);
}

void answered(struct gb_waiter *w, int err)
{
	struct asker *a = CONTAINER_OF(w, struct asker, w);

	a->calls++;
	a->err = err;
}

void check_bytes(struct gb_results *r, uint64_t off, size_t n)
{
	char *buf = malloc(n);

	assert_int_equal(pread(results_fd(r), buf, n, (off_t)off), n);
	assert_memory_equal(buf, engine.data + off, n);
	free(buf);
}

ssize_t read_at(struct gb_results *r, uint64_t off, size_t n)
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

int read_on(struct gb_results *r, uint64_t off, uint64_t *ret_end)
{
	ssize_t got;

	while ((got = read_at(r, off, 128 * KIB)) > 0)
		off += (uint64_t)got;
	if (ret_end)
		*ret_end = off;
	return (int)got;
}

int fetch(struct gb_results *r)
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

int size_of(struct gb_results *r, int64_t *ret)
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

void assert_all_home(struct gb_results *r)
{
	uint64_t end;
	unsigned calls = engine.calls;

	assert_true(results_complete(r));
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, engine.size);
	assert_int_equal(engine.calls, calls);
}
