#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/job_catalog.h"
#include "base/util.h"

struct t {
	struct store s;
	char dir[32];
	/* What the last walk met. */
	unsigned met, gone, by_get;
	struct remote_batch b; /* strings copied */
	int64_t off, size;
};

static int open_known(struct t *t)
{
	return openat(
		t->s.cache, "known", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int setup(void **state)
{
	struct t *t = calloc(1, sizeof *t);

	strcpy(t->dir, "/tmp/gb-known-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	t->s.cache = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->s.known = open_known(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct t *t = *state;

	remote_batch_clear(&t->b);
	util_remove_tree(AT_FDCWD, t->dir);
	close(t->s.known);
	close(t->s.cache);
	free(t);
	return 0;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void meet(
	void *arg, const struct remote_batch *b, bool gone, bool by_get, int64_t off)
{
	struct t *t = arg;

	t->met++;
	t->gone += gone;
	t->by_get += by_get;
	remote_batch_clear(&t->b);
	t->b = *b;
	t->b.id = copy(b->id);
	t->b.display = copy(b->display);
	t->b.model = copy(b->model);
	t->b.state_text = copy(b->state_text);
	t->b.output_file = copy(b->output_file);
	t->off = off;
}

static void walk(struct t *t)
{
	struct stat st;

	t->met = t->gone = t->by_get = 0;
	assert_int_equal(fstat(t->s.known, &st), 0);
	int err = catalog_walk(&t->s, meet, t, &t->size);
	assert_int_equal(err, st.st_size > t->size ? -EBADMSG : 0);
}

static struct remote_batch sample(char *id)
{
	return (struct remote_batch){.id = id,
		.display = "a\tname\nof its own \xc3\xa4",
		.model = "models/m",
		.state = REMOTE_STATE_RUNNING,
		.state_text = "JOB_STATE_RUNNING",
		.created = {1764000000, 123456789},
		.updated = {1764000001, 5},
		.requests = 9000000000,
		.succeeded = 1,
		.failed = 2,
		.pending = 3,
		.has_input_config = true,
		.output_file = "files/out",
		.error_code = 13,
		.json = "{\n  \"a\": 1\n}\n"};
}

static void add(struct t *t, char *id, int64_t *off)
{
	struct remote_batch b = sample(id);

	assert_int_equal(catalog_add(&t->s, &b, false, off), 0);
}

static void test_what_is_told_is_known(void **state)
{
	struct remote_batch b = sample("batches/a");
	struct t *t = *state;
	int64_t off;

	add(t, b.id, &off);
	walk(t);
	assert_int_equal(t->met, 1);
	assert_int_equal(t->by_get, 0);
	assert_int_equal(t->off, off);
	assert_string_equal(t->b.id, b.id);
	assert_string_equal(t->b.display, b.display);
	assert_string_equal(t->b.model, b.model);
	assert_string_equal(t->b.state_text, b.state_text);
	assert_string_equal(t->b.output_file, b.output_file);
	assert_int_equal(t->b.state, b.state);
	assert_false(t->b.ended);
	assert_true(t->b.has_input_config);
	assert_false(t->b.output_inline);
	assert_int_equal(t->b.created.tv_sec, b.created.tv_sec);
	assert_int_equal(t->b.created.tv_nsec, b.created.tv_nsec);
	assert_int_equal(t->b.updated.tv_nsec, b.updated.tv_nsec);
	assert_int_equal(t->b.ended_at.tv_sec, 0);
	assert_int_equal(t->b.requests, b.requests);
	assert_int_equal(t->b.pending, b.pending);
	assert_int_equal(t->b.error_code, b.error_code);
	char *json = catalog_json(&t->s, off);
	assert_string_equal(json, b.json);
	free(json);
}

static void test_what_is_not_told(void **state)
{
	struct remote_batch b = {.id = "batches/a", .requests = -1};
	struct t *t = *state;
	int64_t off;

	assert_int_equal(catalog_add(&t->s, &b, true, &off), 0);
	walk(t);
	assert_int_equal(t->by_get, 1);
	assert_string_equal(t->b.display, "");
	assert_null(t->b.model);
	assert_null(t->b.output_file);
	assert_int_equal(t->b.requests, -1);
	assert_int_equal(t->b.state, REMOTE_STATE_OTHER);
}

static void test_gone(void **state)
{
	struct t *t = *state;
	int64_t off;

	add(t, "batches/a", &off);
	assert_int_equal(catalog_add_gone(&t->s, "batches/b"), 0);
	walk(t);
	assert_int_equal(t->met, 2);
	assert_int_equal(t->gone, 1);
	assert_string_equal(t->b.id, "batches/b");
}

/* Wherever it is cut: what is before is met, the rest is no longer there. */
static void test_cut_short(void **state)
{
	struct t *t = *state;
	int64_t first, second, end;
	struct stat st;

	add(t, "batches/a", &first);
	add(t, "batches/b", &second);
	walk(t);
	end = t->size;
	for (int64_t n = end - 1; n > second; n--) {
		assert_int_equal(ftruncate(t->s.known, n), 0);
		walk(t);
		assert_int_equal(t->met, 1);
		assert_int_equal(fstat(t->s.known, &st), 0);
		assert_int_equal(st.st_size, second);
		add(t, "batches/b", &first);
		assert_int_equal(first, second);
	}
}

/* Each bit of a summary and its head is looked at; of the JSON when it is read. */
static void test_flipped_bits(void **state)
{
	struct t *t = *state;
	int64_t first, second;
	char c;

	add(t, "batches/a", &first);
	for (int64_t i = 0;; i++) {
		assert_int_equal(
			ftruncate(t->s.known, catalog_length(&t->s, 0)), 0);
		add(t, "batches/b", &second);
		if (second + i == second + catalog_length(&t->s, second))
			break;
		assert_int_equal(pread(t->s.known, &c, 1, second + i), 1);
		c ^= 1;
		int fd = open_known(t);
		fcntl(fd, F_SETFL, 0); /* pwrite appends else */
		assert_int_equal(pwrite(fd, &c, 1, second + i), 1);
		close(fd);
		walk(t);
		char *json = t->met == 2 ? catalog_json(&t->s, second) : NULL;
		assert_true(t->met == 1 || !json);
		free(json);
	}
}

static void test_ids_are_not_believed(void **state)
{
	struct t *t = *state;
	int64_t off;

	add(t, "batches/a", &off);
	add(t, "batches/../../x", &off);
	walk(t);
	assert_int_equal(t->met, 1);
}

static void test_compacted(void **state)
{
	struct t *t = *state;
	int64_t offs[2], off;
	char *json;

	for (int i = 0; i < 100; i++)
		add(t, "batches/a", &off);
	offs[0] = off;
	add(t, "batches/b", &offs[1]);
	walk(t);
	int64_t before = t->size;
	assert_int_equal(catalog_compact(&t->s, offs, 2), 0);
	walk(t);
	assert_int_equal(t->met, 2);
	assert_true(t->size < before / 40);
	assert_int_equal(t->off, offs[1]);
	json = catalog_json(&t->s, offs[0]);
	assert_non_null(json);
	free(json);
	/* And on. */
	add(t, "batches/c", &off);
	close(t->s.known);
	t->s.known = open_known(t);
	walk(t);
	assert_int_equal(t->met, 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_is_told_is_known), T(test_what_is_not_told), T(test_gone),
		T(test_cut_short), T(test_flipped_bits), T(test_ids_are_not_believed),
		T(test_compacted),
	};

	return cmocka_run_group_tests_name("known", tests, NULL, NULL);
}
