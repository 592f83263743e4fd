/* Reading a directory of several parts while something else happens to it. */
#include "fake_client.h"

#include "jobs/parts.h"

#include <fcntl.h>
#include <unistd.h>

enum { PARTS = 20 }; /* more than stay open (archive/part_readers.c) */

static char *lines_of(int n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < n; i++)
		fprintf(f, "{\"key\":\"k%d\",\"request\":{\"contents\":[]}}\n", i);
	fclose(f);
	return text;
}

static unsigned saved_of(struct gb_job *dir)
{
	unsigned n = 0;

	for (uint32_t i = 1; i <= PARTS; i++) {
		struct gb_job *part = gb_job_part(dir, i);
		struct gb_info info = {0};

		if (part)
			gb_part_info(part, &info);
		n += info.output == GB_OUTPUT_SAVED;
		gb_job_unref(part);
	}
	return n;
}

/* All parts have ended, and what came of them is saved. */
static struct gb_job *bought(void)
{
	char *text = lines_of(PARTS);
	struct gb_job *dir = make_draft("job", text);
	double until = util_now() + 60;

	free(text);
	fake.ends_at_once = true;
	assert_int_equal(gb_draft_set_split(dir, "1"), 0);
	assert_int_equal(BLOCKING(gb_submit, dir, GB_BY_CTL), 0);
	while (saved_of(dir) < PARTS && util_now() < until)
		usleep(1000);
	assert_int_equal(saved_of(dir), PARTS);
	assert_int_equal(BLOCKING(gb_save_results, dir), 0);
	return dir;
}

/* ---- what is open ---------------------------------------------------------------- */

struct opened {
	struct gb_results *results;
	struct gb_answers *answers;
	uint32_t one; /* of responses/ */
};

static void open_all(struct gb_job *dir, struct opened *o)
{
	struct gb_answer node;
	struct waiter_sync s;
	int err;

	assert_int_equal(gb_results_open(dir, &o->results), 0);
	do {
		waiter_sync_init(&s);
		err = gb_answers_open(dir, &s.w, &o->answers);
		if (err == -EINPROGRESS && !(err = (int)waiter_sync_wait(&s)))
			err = -EINPROGRESS;
	} while (err == -EINPROGRESS);
	assert_int_equal(err, 0);
	assert_true(gb_answer_child(dir, 0, "k19.txt", &node));
	o->one = node.number;
}

static void close_all(struct opened *o)
{
	gb_results_close(o->results);
	gb_answers_close(o->answers);
}

struct texts {
	char results[65536], tsv[65536], one[4096], retry[4096];
};

static void read_results(struct gb_results *r, char *to, size_t room)
{
	size_t have = 0;
	ssize_t n;

	while ((n = gb_results_ready(r, have, room - have, NULL)) > 0) {
		assert_int_equal(gb_results_read(r, to + have, (size_t)n, have), n);
		have += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_true(have > 0);
}

static void read_all(const struct opened *o, struct texts *t)
{
	struct gb_answers *a = o->answers;

	memset(t, 0, sizeof *t);
	read_results(o->results, t->results, sizeof t->results);
	assert_true(gb_answers_read(a, GB_ANSWERS_TSV, 0, 0, t->tsv, sizeof t->tsv,
			    NULL) > 0);
	assert_true(gb_answers_read(a, GB_ANSWERS_NODE, o->one, 0, t->one,
			    sizeof t->one, NULL) > 0);
	assert_true(gb_answers_read(a, GB_ANSWERS_RETRY, 0, 0, t->retry,
			    sizeof t->retry, NULL) >= 0);
}

/* ---- rmdir ----------------------------------------------------------------------- */

static bool left(const char *what)
{
	_cleanup_free_ char *command =
		util_format("test -n \"$(ls %s/%s 2>/dev/null | grep -v '^\\.')\"",
			state_dir, what);

	return system(command) == 0;
}

static void await_gone(const char *what)
{
	double until = util_now() + 60;

	while (left(what) && util_now() < until)
		usleep(1000);
	assert_false(left(what));
}

static void await_deleted(void)
{
	double until = util_now() + 60;

	while (fake_there(&fake) && util_now() < until)
		usleep(1000);
	assert_int_equal(fake_there(&fake), 0);
}

/* Who has a file open reads on after rmdir, as of a job in one; when nobody does any
 * more the local copies go. */
static void read_on(int trash_days)
{
	struct texts *was = calloc(1, sizeof *was), *now = calloc(1, sizeof *now);
	struct opened before, o;
	struct gb_job *dir = bought();

	open_all(dir, &before);
	read_all(&before, was);
	close_all(&before);
	open_all(dir, &o);
	assert_int_equal(BLOCKING(gb_remove, dir), 0);
	await_deleted();
	/* Whatever is done behind has had its turn. */
	if (!trash_days)
		usleep(100000);
	read_all(&o, now);
	assert_memory_equal(was, now, sizeof *was);
	read_all(&o, now);
	close_all(&o);
	await_gone("jobs");
	if (trash_days)
		assert_true(left("trash"));
	else
		await_gone("trash");
	gb_job_unref(dir);
	free(was);
	free(now);
}

static void test_removed(void **state)
{
	read_on(0);
}

static void test_trashed(void **state)
{
	fake_options.trash_days = 7;
	reopen();
	read_on(7);
}

/* What is open keeps nothing from a start after it. */
static void test_killed_meanwhile(void **state)
{
	struct opened o;

	fake_options.trash_days = 7;
	reopen();
	struct gb_job *dir = bought();
	open_all(dir, &o);
	assert_int_equal(BLOCKING(gb_remove, dir), 0);
	await_deleted();
	close_all(&o);
	gb_job_unref(dir);
	reopen();
	assert_null(gb_job_by_name(client, "job"));
	await_gone("jobs");
	assert_int_equal(fake_made(&fake), PARTS);
}

/* ---- a disk that does not take it ------------------------------------------------ */

/* Where parts/ goes in the only directory of a job that is no part. */
static void parts_path(struct gb_job *dir, char *to, size_t size)
{
	snprintf(to, size, "%s/jobs/%s/parts", state_dir, dir->dir->lid);
}

/* What could not be moved is tried again, not only at the next start. */
static void test_moved_when_it_can_be(void **state)
{
	char path[512];

	fake_options.trash_days = 7;
	reopen();
	struct gb_job *dir = bought();
	parts_path(dir, path, sizeof path);
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(BLOCKING(gb_remove, dir), 0);
	await_deleted();
	assert_true(left("jobs"));
	assert_int_equal(unlink(path), 0);
	await_gone("jobs");
	assert_true(left("trash"));
	gb_job_unref(dir);
}

/* ---- bytes that have to come again ----------------------------------------------- */

/* The engine's thread stands until it is let go. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void stand(void *arg)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void damage_part(struct gb_job *dir, uint32_t number)
{
	struct gb_job *part = gb_job_part(dir, number);
	char path[512];

	snprintf(path, sizeof path, "%s/jobs/%s/results.jsonl", state_dir,
		part->dir->lid);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "?", 1, 0), 1);
	close(fd);
	gb_job_unref(part);
}

/* Places in text where its lines begin. */
static unsigned lines_begin(const char *text, uint64_t at[PARTS])
{
	unsigned n = 0;

	for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
		assert_true(n < PARTS);
		at[n++] = (uint64_t)(p - text);
	}
	return n;
}

/* Whose bytes are on their way again is not sent away because others are read. */
static void test_all_waited_for(void **state)
{
	struct waiter_sync s[PARTS];
	struct gb_results *r;
	uint64_t at[PARTS];
	struct texts *t = calloc(1, sizeof *t);
	struct gb_job *dir = bought();

	assert_int_equal(gb_results_open(dir, &r), 0);
	read_results(r, t->results, sizeof t->results);
	gb_results_close(r);
	gb_job_unref(dir);
	assert_int_equal(lines_begin(t->results, at), PARTS);
	reopen();
	dir = gb_job_by_name(client, "job");
	for (uint32_t i = 1; i <= PARTS; i++)
		damage_part(dir, i);
	assert_int_equal(gb_results_open(dir, &r), 0);
	pthread_mutex_lock(&gate);
	assert_int_equal(engine_timer(client->engine, 0, stand, NULL), 0);
	for (unsigned i = 0; i < PARTS; i++) {
		waiter_sync_init(&s[i]);
		assert_int_equal(gb_results_ready(r, at[i], 1, &s[i].w), -EINPROGRESS);
	}
	pthread_mutex_unlock(&gate);
	for (unsigned i = 0; i < PARTS; i++)
		assert_int_equal(waiter_sync_wait(&s[i]), 0);
	read_results(r, t->tsv, sizeof t->tsv);
	assert_string_equal(t->tsv, t->results);
	gb_results_close(r);
	gb_job_unref(dir);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_CASE(test_removed),
		FAKE_CASE(test_trashed),
		FAKE_CASE(test_killed_meanwhile),
		FAKE_CASE(test_moved_when_it_can_be),
		FAKE_CASE(test_all_waited_for),
	};

	hurry_parts();
	setenv("BATCHFS_TEST_REMOVAL_SECONDS", "0.01", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
