/* Descriptors: none for what rests, and what happens when there are none left. */
#include "archive/save.h"
#include "files/files.h"
#include "submit/submit.h"
#include "client_fixture.h"
#include "store/job_catalog.h"
#include "store/uploads.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Those that are open, the one that looks left out. */
static int count_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -3; /* ".", "..", and this one */

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* No more than so many besides those that are open. */
static void allow(int more)
{
	struct rlimit r;
	int next = dup(0), holes = 0;

	for (int fd = 0; fd < next; fd++)
		holes += fcntl(fd, F_GETFD) < 0;
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	assert_int_equal(holes, 0);
	r.rlim_cur = (rlim_t)(next + more);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

static void allow_all(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static int make_draft(struct gb_client *c, int i)
{
	static const char line[] = "{\"contents\":[]}\n";
	struct gb_job *job;
	struct gb_file *f;
	char name[32];

	snprintf(name, sizeof(name), "draft%d", i);
	int err = gb_draft_create(c, name, true, &job);
	if (err)
		return err;
	err = gb_file_create(job, NULL, GB_REQUESTS, true, &f);
	if (!err) {
		err = gb_file_write(f, line, strlen(line), 0);
		gb_file_unref(f);
	}
	gb_job_unref(job);
	return err;
}

static void test_a_resting_job_holds_nothing(void **state)
{
	int before = count_open();

	allow(8);
	for (int i = 0; i < 100; i++)
		assert_int_equal(make_draft(*state, i), 0);
	allow_all();
	assert_int_equal(count_open(), before);
	gb_close(*state);
	*state = open_client();
	assert_int_equal(count_open(), before);
}

/* Whoever has a file open reads on when its name, or all of the draft, goes. */
static void test_an_open_file_outlives_its_draft(void **state)
{
	struct gb_waiter w = {0};
	struct gb_job *job;
	char buf[2] = "";

	assert_int_equal(make_draft(*state, 1), 0);
	gb_close(*state);
	*state = open_client();
	job = gb_job_by_name(*state, "draft1");
	struct gb_file *f = gb_file_by_name(job, NULL, GB_REQUESTS);
	assert_int_equal(gb_remove(job, &w), 0);
	/* Who was about to write its journal need not any more. */
	assert_int_equal(job_dir_save(job), 0);
	gb_job_unref(job);
	assert_int_equal(pread(gb_file_fd(f), buf, 1, 0), 1);
	gb_file_unref(f);
}

/* ---- a start without descriptors ---------------------------------------------------- */

static const char paid[] = "batches/paid", met[] = "batches/met";

/* An own job with its results saved, one of another with a name given here and its output
 * in the cache, and an upload that the own one holds. */
static void fill_store(struct gb_client *c)
{
	static const char line[] = "{\"key\":\"a\",\"response\":{}}\n";
	static char zeros[65], uri[] = "https://example.com/v1/files/f1";
	struct record r;
	struct remote_batch b = {.id = (char *)met,
		.display = (char *)"",
		.created = {1, 0},
		.requests = -1,
		.succeeded = -1,
		.failed = -1,
		.pending = -1};
	struct placed p = {
		(char *)"files/f1", uri, (char *)"text/plain", time(NULL) + 9999};
	char lid[LID_SIZE];
	int64_t off;
	_cleanup_close_ int dir = store_job_make(c->store, lid);

	memset(zeros, '0', 64);
	assert_true(dir >= 0);
	record_init(&r);
	r.batch->phase = PHASE_SENT;
	r.own = true;
	r.batch->results_size = (int64_t)strlen(line);
	assert_int_equal(counted_set(&r.name, "paid"), 0);
	assert_int_equal(counted_set(&r.batch->id, paid), 0);
	assert_int_equal(util_write_file(dir, "tmp", line, strlen(line), false), 0);
	assert_int_equal(results_publish(dir, "tmp", RESULTS_FILE), 0);
	assert_int_equal(store_journal_save(dir, &r), 0);
	record_clear(&r);
	assert_int_equal(
		util_write_file(c->store->results, "tmp", line, strlen(line), false),
		0);
	assert_int_equal(results_publish(c->store->results, "tmp", "met"), 0);
	assert_int_equal(store_name_add(c->store, met, "theirs"), 0);
	assert_int_equal(catalog_add(c->store, &b, false, &off), 0);
	const struct content content = {
		zeros, "text/plain", "https://example.com", "k", 1};
	assert_int_equal(uploads_add(c->uploads, &content, &p, lid, "x"), 0);
}

static void expect_all(struct gb_client *c)
{
	struct gb_job *job = gb_job_by_name(c, "paid");

	assert_non_null(job);
	assert_true(job->dir->rec.batch->home);
	assert_false(job->batch->kept);
	assert_true(uploads_holds(c->uploads, job->dir->lid));
	gb_job_unref(job);
	assert_non_null(job = gb_job_by_name(c, "theirs"));
	assert_true(job->batch->cached);
	assert_true(job->batch->known_off >= 0);
	gb_job_unref(job);
	assert_non_null(job = gb_job_by_name(c, "draft1"));
	struct gb_file *f = gb_file_by_name(job, NULL, GB_REQUESTS);
	assert_non_null(f);
	gb_file_unref(f);
	gb_job_unref(job);
	assert_int_not_equal(faccessat(c->store->state, "aside", F_OK, 0), 0);
}

/* What is there with too few of them is there with enough; either all or no mount. */
static void test_a_start_needs_descriptors_or_fails(void **state)
{
	struct gb_options o = {.source = "http://127.0.0.1:1", .state_dir = state_dir,
		.cache_dir = cache_dir, .offline = true};
	int failures = 0;

	assert_int_equal(make_draft(*state, 1), 0);
	fill_store(*state);
	gb_close(*state);
	for (int more = 0, err = -1; err; more++) {
		struct gb_client *c;
		char *why = NULL;

		allow(more);
		err = gb_open(&o, &c, &why);
		allow_all();
		assert_true(more < 100);
		failures += err != 0;
		if (err)
			assert_non_null(why);
		free(why);
		*state = err ? open_client() : c;
		expect_all(*state);
		gb_close(*state);
		*state = NULL;
	}
	assert_true(failures > 10);
	*state = open_client();
}

/* What cannot be looked at now is neither missing nor damaged. */
static void test_saved_results_stay_saved(void **state)
{
	struct gb_waiter w = {0};
	struct gb_results *r = NULL;
	int64_t size;

	fill_store(*state);
	gb_close(*state);
	*state = open_client();
	struct gb_job *job = gb_job_by_name(*state, "paid");
	for (int more = 0, err = -1; err; more++) {
		allow(more);
		err = gb_results_open(job, &r);
		allow_all();
		assert_true(err == 0 || err == -EMFILE);
		assert_false(err == 0 && more == 0);
	}
	allow(0);
	assert_int_equal(gb_results_ready(r, 0, 10, &w), -EMFILE);
	allow_all();
	assert_int_equal(gb_results_ready(r, 0, 10, &w), 10);
	gb_results_close(r);
	gb_job_unref(job);
	_cleanup_close_ int dir = job_dir_open(job);
	assert_int_equal(results_sealed(dir, RESULTS_FILE, &size), 1);
}

/* ---- what was begun is finished, now or later ------------------------------------------ */

/* A rename whose intent is on disk, and which the disk refuses at the start: it is still to
 * be done, and done at a later one. */
static void test_a_rename_that_was_begun_is_not_forgotten(void **state)
{
	char buf[8] = "";
	struct gb_job *job;
	struct gb_file *f;

	assert_int_equal(make_draft(*state, 1), 0);
	assert_non_null(job = gb_job_by_name(*state, "draft1"));
	assert_int_equal(gb_file_create(job, NULL, "next", true, &f), 0);
	assert_int_equal(gb_file_write(f, "new", 3, 0), 0);
	gb_file_unref(f);
	assert_int_equal(gb_file_unlink(job, NULL, GB_REQUESTS), 0);
	job->dir->rec.batch->phase = PHASE_QUEUED;
	job->dir->rec.background = true;
	assert_int_equal(record_set(&job->dir->rec.batch->source, "next"), 0);
	assert_int_equal(job_dir_save(job), 0);
	_cleanup_close_ int files = job_dir_open_files(job);
	gb_job_unref(job);
	gb_close(*state);
	/* Whatever is in the way of the rename. */
	assert_int_equal(mkdirat(files, GB_REQUESTS, 0700), 0);
	*state = open_client();
	job = gb_job_by_name(*state, "draft1");
	assert_non_null(job->dir->rec.batch->source);
	assert_int_not_equal(submit_finish_rename(job), 0);
	gb_job_unref(job);
	gb_close(*state);
	assert_int_equal(unlinkat(files, GB_REQUESTS, AT_REMOVEDIR), 0);
	*state = open_client();
	job = gb_job_by_name(*state, "draft1");
	assert_null(job->dir->rec.batch->source);
	assert_non_null(f = gb_file_by_name(job, NULL, GB_REQUESTS));
	assert_int_equal(pread(gb_file_fd(f), buf, sizeof(buf), 0), 3);
	assert_string_equal(buf, "new");
	gb_file_unref(f);
	gb_job_unref(job);
}

/* A journal that cannot be written is written when it can be. */
static void test_a_journal_is_written_later(void **state)
{
	struct gb_job *job;
	struct record r;
	int err = 0;

	setenv("BATCHFS_TEST_SAVE_SECONDS", "0.05", 1);
	assert_int_equal(make_draft(*state, 1), 0);
	assert_non_null(job = gb_job_by_name(*state, "draft1"));
	_cleanup_close_ int dir = job_dir_open(job);
	allow(0);
	job_dir_error(job, -EIO, "why", "todo", NULL);
	job_dir_save_soon(job);
	allow_all();
	for (int i = 0; i < 600 && !err; i++) {
		usleep(20000);
		record_init(&r);
		assert_int_equal(store_journal_load(dir, &r), 0);
		err = r.error != NULL;
		record_clear(&r);
	}
	assert_true(err);
	gb_job_unref(job);
}

static void test_what_reading_came_to(void **state)
{
	assert_int_equal(util_reading(0), READ_WHOLE);
	assert_int_equal(util_reading(-ENOENT), READ_ABSENT);
	assert_int_equal(util_reading(-EBADMSG), READ_DAMAGED);
	assert_int_equal(util_reading(-ELOOP), READ_DAMAGED);
	const int says_nothing[] = {
		EMFILE, ENFILE, ENOMEM, EIO, ESTALE, EACCES, EPERM, EINTR};
	for (size_t i = 0; i < ARRAY_SIZE(says_nothing); i++)
		assert_int_equal(util_reading(-says_nothing[i]), READ_FAILED);
	/* The filesystem's own checksum: the disk, not what we wrote on it. */
	assert_int_equal(util_reading(util_read_error(EBADMSG)), READ_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_resting_job_holds_nothing),
		CASE(test_an_open_file_outlives_its_draft),
		CASE(test_a_start_needs_descriptors_or_fails),
		CASE(test_saved_results_stay_saved),
		CASE(test_a_rename_that_was_begun_is_not_forgotten),
		CASE(test_a_journal_is_written_later),
		cmocka_unit_test(test_what_reading_came_to),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
