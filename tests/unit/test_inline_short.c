/* Inline output that one reply has fewer lines of than the API counts, or none at all: it is
 * in doubt, asked for again, not bought again meanwhile, and takes no better copy's place. */
#include "fake_client.h"

#include "archive/complete.h"

#include <fcntl.h>
#include <sys/stat.h>

#define ASK(k)                                                                         \
	"{\"key\":\"" k                                                                \
	"\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}}\n"

enum { LINES = 2, MAX = 4096 };

/* What a reply leaves of the output. */
enum odd { ODD_EMPTY, ODD_FEWER, ODD_NAMELESS, ODDS };

static int (*honest)(struct provider_conn *p, const char *id, int fd,
	struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
	struct provider_error *err);
static enum odd odd;
static atomic_int odd_times, asked;
static char whole[MAX]; /* the output as it should be */

/* ---- the API ---------------------------------------------------------------------- */

static size_t first_line(int fd)
{
	char buf[MAX];
	ssize_t n = pread(fd, buf, sizeof buf, 0);
	const char *nl = n > 0 ? memchr(buf, '\n', (size_t)n) : NULL;

	return nl ? (size_t)(nl + 1 - buf) : 0;
}

static void leave_out(int fd, struct remote_batch *b, int64_t *ret_lines)
{
	bool fewer = odd == ODD_FEWER;

	if (ftruncate(fd, fewer ? (off_t)first_line(fd) : 0) < 0)
		abort();
	*ret_lines = fewer;
	b->output_inline &= odd != ODD_NAMELESS;
}

static int inline_output(struct provider_conn *p, const char *id, int fd,
	struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
	struct provider_error *err)
{
	int r = honest(p, id, fd, c, ret, ret_lines, err);

	if (!r && odd_times > 0) {
		odd_times--;
		leave_out(fd, ret, ret_lines);
	}
	asked++;
	return r;
}

/* ---- set up ----------------------------------------------------------------------- */

static void open_as(const char *doubt, int retries)
{
	setenv("BATCHFS_TEST_DOUBT_SECONDS", doubt, 1);
	gb_close(client);
	honest = fake.table.inline_output;
	fake.table.inline_output = inline_output;
	fake_options.inline_max = 1 << 20;
	fake_options.retries = retries;
	asked = odd_times = 0;
	open_fake();
}

static int list_now(struct gb_client *c, struct gb_waiter *w)
{
	return gb_list_refresh(c, GB_LIST_FRESH, w);
}

static int64_t size_of(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i.results_safe ? i.results_size : -1;
}

/* Also: a fetch does not join the one that saved it. */
static bool is_saved(struct gb_job *job)
{
	client_lock(client);
	bool fetching = job->batch->fetching;
	client_unlock(client);
	return !fetching && size_of(job) >= 0;
}

static void await_saved(struct gb_job *job)
{
	double until = util_now() + 60;
	bool saved;

	/* Asked once: a look at what is short may begin right after that. */
	while (!(saved = is_saved(job)) && util_now() < until) {
		DROP(BLOCKING(list_now, client));
		usleep(1000);
	}
	assert_true(saved);
}

/* A job that ends, the next replies being odd. Saved by itself. */
static struct gb_job *ended(enum odd how, int times)
{
	struct gb_job *job = make_draft("job", ASK("a") ASK("b"));

	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	odd = how;
	odd_times = times;
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	snprintf(whole, sizeof whole, "%s", fake_job(&fake, 0)->results);
	await_saved(job);
	return job;
}

static struct gb_job *found(void)
{
	struct gb_job *job = gb_job_by_name(client, "job");

	assert_non_null(job);
	return job;
}

static int fetch(struct gb_job *job)
{
	return BLOCKING(gb_save_results, job);
}

static void path_of(struct gb_job *job, const char *name, char ret[256])
{
	snprintf(ret, 256, "%s/jobs/%s/%s", state_dir, job->dir->lid, name);
}

static void expect_lines(struct gb_job *job, int lines)
{
	char path[256], got[MAX] = "";
	size_t want = lines == LINES ? strlen(whole)
		      : lines        ? (size_t)(strchr(whole, '\n') + 1 - whole)
				     : 0;

	path_of(job, "results.jsonl", path);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof got), want);
	close(fd);
	assert_memory_equal(got, whole, want);
	assert_int_equal(size_of(job), want);
}

/* "" or what `warnings` says of lines. */
static void expect_warning(struct gb_job *job, const char *words)
{
	char *text = gb_job_warnings(job);

	assert_true(*words ? text && strstr(text, words)
			   : !text || !strstr(text, "the API counts"));
	free(text);
}

static void expect_doubt(struct gb_job *job)
{
	expect_warning(job, "asked again within the hour");
	assert_true(gb_verbs(job) & GB_FETCH_VERB);
	assert_false(gb_verbs(job) & GB_RETRY);
}

static void expect_whole(struct gb_job *job)
{
	expect_lines(job, LINES);
	expect_warning(job, "");
	assert_false(gb_verbs(job) & GB_FETCH_VERB);
}

/* ---- saved short ------------------------------------------------------------------ */

static void fetched_again(enum odd how, bool restart)
{
	open_as("3600", 0);
	struct gb_job *job = ended(how, 1);

	expect_lines(job, how == ODD_FEWER);
	expect_doubt(job);
	if (restart) {
		gb_job_unref(job);
		reopen();
		job = found();
		expect_doubt(job);
	}
	assert_int_equal(fetch(job), 0);
	expect_whole(job);
	assert_int_equal(fetch(job), 0);
	assert_int_equal(asked, 2);
	gb_job_unref(job);
}

static void test_empty(void **state)
{
	fetched_again(ODD_EMPTY, false);
}

static void test_fewer(void **state)
{
	fetched_again(ODD_FEWER, false);
}

static void test_empty_and_restart(void **state)
{
	fetched_again(ODD_EMPTY, true);
}

static void test_fewer_and_restart(void **state)
{
	fetched_again(ODD_FEWER, true);
}

/* Who has the short one open goes on reading it. */
static void test_replaced_under_a_reader(void **state)
{
	struct gb_results *r;
	char buf[MAX];

	open_as("3600", 0);
	struct gb_job *job = ended(ODD_FEWER, 1);
	int64_t size = size_of(job);
	assert_int_equal(gb_results_open(job, &r), 0);
	assert_int_equal(BLOCKING(gb_results_ready, r, 0, MAX), size);
	assert_int_equal(fetch(job), 0);
	expect_whole(job);
	assert_int_equal(gb_results_read(r, buf, (size_t)size, 0), size);
	assert_memory_equal(buf, whole, size);
	gb_results_close(r);
	assert_int_equal(gb_results_open(job, &r), 0);
	assert_int_equal(BLOCKING(gb_results_ready, r, 0, MAX), strlen(whole));
	assert_int_equal(gb_results_read(r, buf, strlen(whole), 0), strlen(whole));
	assert_memory_equal(buf, whole, strlen(whole));
	gb_results_close(r);
	gb_job_unref(job);
}

/* Nobody asks: what one reply left out is found, and not bought again. */
static void test_found_in_the_background(void **state)
{
	open_as("1", 1);
	struct gb_job *job = ended(ODD_EMPTY, 1);

	for (double until = util_now() + 60; size_of(job) <= 0 && util_now() < until;)
		usleep(1000);
	expect_whole(job);
	assert_int_equal(BLOCKING(gb_answers_look, job), 0);
	usleep(100000);
	assert_int_equal(fake_made(&fake), 1);
	assert_int_equal(asked, 2);
	gb_job_unref(job);
}

static bool is_in_doubt(struct gb_job *job)
{
	client_lock(client);
	bool doubt = complete_in_doubt(job);
	client_unlock(client);
	return doubt;
}

/* The API keeps to it: after two looks it is believed, and what it lacks may be bought. */
static void test_believed_in_the_end(void **state)
{
	open_as("1", 0);
	struct gb_job *job = ended(ODD_FEWER, 1000);

	while (is_in_doubt(job))
		usleep(1000);
	usleep(100000);
	assert_int_equal(asked, 3);
	expect_lines(job, 1);
	expect_warning(job, "The API has no more");
	assert_int_equal(BLOCKING(gb_answers_look, job), 0);
	assert_true(gb_verbs(job) & GB_RETRY);
	assert_int_equal(fetch(job), 0);
	assert_int_equal(asked, 4);
	odd_times = 0;
	assert_int_equal(fetch(job), 0);
	expect_whole(job);
	gb_job_unref(job);
}

/* ---- a worse reply ---------------------------------------------------------------- */

/* A look that brings less, or nothing, changes nothing, and ends no doubt. */
static void test_a_look_brings_less(void **state)
{
	open_as("3600", 0);
	struct gb_job *job = ended(ODD_FEWER, 1);

	for (odd = 0; odd < ODDS; odd++) {
		odd_times = 1;
		assert_int_equal(fetch(job), 0);
		expect_lines(job, 1);
		expect_doubt(job);
	}
	fake_script(&fake, FAKE_INLINE_OUTPUT,
		(struct fake_answer){FAKE_STATUS, 503, .times = 1});
	assert_int_equal(fetch(job), -EIO);
	expect_lines(job, 1);
	expect_doubt(job);
	assert_null(gb_job_error(job));
	assert_int_equal(fetch(job), 0);
	expect_whole(job);
	gb_job_unref(job);
}

static void spoil_map(struct gb_job *job)
{
	char path[256];

	path_of(job, "results.jsonl.map", path);
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "?", 1, 20), 1);
	close(fd);
}

/* The map of the saved copy is damaged, and the reply may be odd. */
static struct gb_job *map_lost(struct gb_job *job, enum odd how, int times)
{
	spoil_map(job);
	gb_job_unref(job);
	gb_close(client);
	odd = how;
	odd_times = times;
	open_fake();
	return found();
}

static void kept(enum odd how, int times)
{
	open_as("3600", 0);
	struct gb_job *job = map_lost(ended(0, 0), how, times);

	assert_int_equal(fetch(job), 0);
	await_saved(job);
	expect_whole(job);
	gb_job_unref(job);
}

static void test_kept(void **state)
{
	kept(ODD_EMPTY, 1);
}

static void test_kept_fewer(void **state)
{
	kept(ODD_FEWER, 1);
}

static void test_kept_nameless(void **state)
{
	kept(ODD_NAMELESS, 1);
}

static void test_kept_and_whole(void **state)
{
	kept(ODD_EMPTY, 0);
}

/* It was short itself: the better one takes its place. */
static void test_kept_short(void **state)
{
	open_as("3600", 0);
	struct gb_job *job = map_lost(ended(ODD_FEWER, 1), ODD_FEWER, 0);

	assert_int_equal(fetch(job), 0);
	await_saved(job);
	expect_whole(job);
	gb_job_unref(job);
}

/* Damaged as well, and there is still more in it than in an odd reply. */
static void test_kept_and_damaged(void **state)
{
	char path[256];
	struct stat st;

	open_as("3600", 0);
	struct gb_job *job = ended(0, 0);
	path_of(job, "results.jsonl", path);
	assert_int_equal(truncate(path, (off_t)strlen(whole) - 3), 0);
	job = map_lost(job, ODD_FEWER, 1000);
	assert_true(fetch(job) < 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, strlen(whole) - 3);
	odd_times = 0;
	assert_int_equal(fetch(job), 0);
	await_saved(job);
	expect_whole(job);
	gb_job_unref(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_CASE(test_empty),
		FAKE_CASE(test_fewer),
		FAKE_CASE(test_empty_and_restart),
		FAKE_CASE(test_fewer_and_restart),
		FAKE_CASE(test_replaced_under_a_reader),
		FAKE_CASE(test_found_in_the_background),
		FAKE_CASE(test_believed_in_the_end),
		FAKE_CASE(test_a_look_brings_less),
		FAKE_CASE(test_kept),
		FAKE_CASE(test_kept_fewer),
		FAKE_CASE(test_kept_nameless),
		FAKE_CASE(test_kept_and_whole),
		FAKE_CASE(test_kept_short),
		FAKE_CASE(test_kept_and_damaged),
	};

	hurry_parts();
	setenv("BATCHFS_TEST_RETRY_SECONDS", "0.01", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
