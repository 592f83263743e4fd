/* Directories of several parts whose requests name files: each content is uploaded once for
 * all parts, stays at the API as long as one more may need it, and goes then. */
#include "fake_client.h"

#include "jobs/parts.h"
#include "submit/parts_send.h"

static const unsigned char png[] =
	"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0";

#define ASK(key, file)                                                                 \
	"{\"key\":\"" key "\",\"request\":{\"contents\":[{\"parts\":[{\"text\":\"x\"},"    \
	"{\"fileData\":{\"fileUri\":\"" file "\"}}]}]}}\n"
#define SAYS(k)                                                                        \
	"{\"key\":\"" k "\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"    \
	"[{\"text\":\"yes\"}]},\"finishReason\":\"STOP\"}]}}\n"
#define FAILS(k) "{\"key\":\"" k "\",\"error\":{\"code\":13,\"message\":\"no\"}}\n"

static const char one_file[] =
	ASK("a", "1.png") ASK("b", "1.png") ASK("c", "1.png") ASK("d", "1.png");
static const char two_files[] =
	ASK("a", "1.png") ASK("b", "2.png") ASK("c", "1.png") ASK("d", "2.png");

static void put_picture(struct gb_job *job, const char *name, char kind)
{
	unsigned char bytes[sizeof(png)];
	struct gb_file *f;

	memcpy(bytes, png, sizeof(png));
	bytes[sizeof(png) - 1] = (unsigned char)kind;
	assert_int_equal(gb_file_create(job, NULL, name, true, &f), 0);
	assert_int_equal(gb_file_write(f, (char *)bytes, sizeof(bytes), 0), 0);
	gb_file_settle(f);
	gb_file_unref(f);
}

static struct gb_job *draft_of(const char *lines)
{
	struct gb_job *job = make_draft("job", lines);

	put_picture(job, "1.png", 1);
	put_picture(job, "2.png", 2);
	assert_int_equal(gb_draft_set_split(job, "1"), 0);
	return job;
}

static int list_now(struct gb_client *c, struct gb_waiter *w)
{
	return gb_list_refresh(c, GB_LIST_FRESH, w);
}

/* Looks all the time. */
#define AWAIT(cond)                                                                    \
	do {                                                                           \
		double until_ = util_now() + 60;                                       \
		bool came_; /* it may pass: what is queued is tried again and again */ \
		while (!(came_ = (cond)) && util_now() < until_) {                     \
			BLOCKING(list_now, client);                                    \
			usleep(1000);                                                  \
		}                                                                      \
		assert_true(came_);                                                    \
	} while (0)

static bool has_ended(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i.ended;
}

/* Of parts that were made. */
static unsigned pictures_sent(void)
{
	return fake_count(&fake, FAKE_UPLOAD) - fake_made(&fake);
}

/* Not of jobs: their own files go when they end. */
static void assert_nothing_left(void)
{
	AWAIT(fake_uploads(&fake) == 0);
}

/* Each part has ended before the next is sent. */
static void buy_slowly(struct gb_job *job, unsigned parts)
{
	fake.takes_jobs = 1;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	for (unsigned i = 0; i < parts; i++) {
		AWAIT(fake_made(&fake) == i + 1);
		fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_SUCCEEDED);
	}
	AWAIT(has_ended(job));
}

/* ---- once for all ---------------------------------------------------------------------- */

static void test_once(void **state)
{
	struct gb_job *job = draft_of(one_file);

	buy_slowly(job, 4);
	assert_int_equal(pictures_sent(), 1);
	assert_nothing_left();
	gb_job_unref(job);
}

static void test_once_after_restarts(void **state)
{
	struct gb_job *job = draft_of(two_files);

	fake.takes_jobs = 1;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
	for (unsigned i = 0; i < 4; i++) {
		AWAIT(fake_made(&fake) == i + 1);
		AWAIT(!strcmp(state_of_job(job), i < 3 ? "QUEUED" : "JOB_STATE_PENDING"));
		fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_SUCCEEDED);
		gb_job_unref(job);
		reopen();
		job = gb_job_by_name(client, "job");
	}
	AWAIT(has_ended(job));
	assert_int_equal(pictures_sent(), 2);
	assert_nothing_left();
	gb_job_unref(job);
}

/* Composed, where requests come from what the directory has. */
static void test_composed(void **state)
{
	struct gb_job *job;
	struct gb_file *inputs, *f;

	assert_int_equal(gb_draft_create(client, "job", true, &job), 0);
	inputs = gb_file_by_name(job, NULL, "inputs");
	assert_non_null(inputs);
	for (char name[] = "1.png"; name[0] <= '4'; name[0]++) {
		assert_int_equal(gb_file_create(job, inputs, name, true, &f), 0);
		assert_int_equal(gb_file_write(f, (const char *)png, sizeof(png), 0), 0);
		gb_file_settle(f);
		gb_file_unref(f);
	}
	gb_file_unref(inputs);
	assert_int_equal(gb_file_create(job, NULL, "prompt.txt", true, &f), 0);
	assert_int_equal(gb_file_write(f, "What?\n", 6, 0), 0);
	gb_file_settle(f);
	gb_file_unref(f);
	assert_int_equal(gb_draft_set_split(job, "1"), 0);
	buy_slowly(job, 4);
	assert_int_equal(pictures_sent(), 1);
	assert_nothing_left();
	gb_job_unref(job);
}

/* ---- asked again ------------------------------------------------------------------------- */

static void end_with(unsigned n, const char *results)
{
	fake_job(&fake, n)->answers = results;
	fake_end(&fake, fake_job(&fake, n), REMOTE_STATE_SUCCEEDED);
}

static bool can_retry(struct gb_job *job)
{
	return gb_verbs(job) & GB_RETRY;
}

static void test_retry(void **state)
{
	struct gb_job *job = draft_of(two_files);

	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	AWAIT(fake_made(&fake) == 4);
	for (unsigned i = 0; i < 4; i++) {
		const char *lines = fake_job(&fake, i)->requests;

		end_with(i, strstr(lines, "\"a\"")   ? SAYS("a")
			    : strstr(lines, "\"b\"") ? FAILS("b")
			    : strstr(lines, "\"c\"") ? SAYS("c")
						     : FAILS("d"));
	}
	AWAIT(has_ended(job));
	assert_nothing_left();
	fake.takes_jobs = 1;
	AWAIT(can_retry(job));
	int before = (int)fake_count(&fake, FAKE_UPLOAD);
	assert_int_equal(BLOCKING(gb_retry, job), 0);
	AWAIT(fake_made(&fake) == 5);
	assert_null(strstr(fake_job(&fake, 4)->requests, "2.png"));
	end_with(4, strstr(fake_job(&fake, 4)->requests, "\"b\"") ? SAYS("b") : SAYS("d"));
	AWAIT(fake_made(&fake) == 6);
	end_with(5, strstr(fake_job(&fake, 5)->requests, "\"b\"") ? SAYS("b") : SAYS("d"));
	AWAIT(has_ended(job));
	/* Two parts, and the picture that both name. */
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD) - before, 3);
	assert_nothing_left();
	gb_job_unref(job);
}

/* Long enough for all parts of a round to come to it. */
static void upload_slowly(struct fake_provider *f, enum fake_call call)
{
	if (call == FAKE_UPLOAD_BYTES)
		usleep(100000);
}

/* Parts that are sent at the same time wait for each other's upload; one that fails is taken
 * over. */
static void at_once(bool fails)
{
	struct gb_job *job = draft_of(one_file);

	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	AWAIT(fake_made(&fake) == 4);
	for (unsigned i = 0; i < 4; i++)
		fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_FAILED);
	AWAIT(has_ended(job));
	assert_nothing_left();
	AWAIT(can_retry(job));
	int before = (int)fake_count(&fake, FAKE_UPLOAD);
	fake.before = upload_slowly;
	if (fails)
		fake_script(&fake, FAKE_UPLOAD_BYTES, (struct fake_answer){FAKE_STATUS, 503});
	assert_int_equal(BLOCKING(gb_retry, job), 0);
	AWAIT(fake_made(&fake) == 8);
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD) - before, fails ? 6 : 5);
	for (unsigned i = 4; i < 8; i++)
		fake_end(&fake, fake_job(&fake, i), REMOTE_STATE_SUCCEEDED);
	AWAIT(has_ended(job));
	assert_nothing_left();
	gb_job_unref(job);
}

static void test_at_once(void **state)
{
	at_once(false);
}

static void test_at_once_fails(void **state)
{
	at_once(true);
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* A first part that is refused leaves a draft, whose upload is used by the next submission
 * and removed with it. */
static void test_draft_again(void **state)
{
	for (int removed = 0; removed < 2; removed++) {
		struct gb_job *job = draft_of(one_file);

		fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
		assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EINVAL);
		if (removed) {
			assert_int_equal(BLOCKING(gb_remove, job), 0);
		} else {
			int before = (int)fake_count(&fake, FAKE_UPLOAD);

			buy_slowly(job, 4);
			assert_int_equal(fake_count(&fake, FAKE_UPLOAD) - before, 4);
		}
		assert_nothing_left();
		gb_job_unref(job);
		fake_teardown(state);
		fake_setup(state);
	}
}

static void test_cancelled(void **state)
{
	struct gb_job *job = draft_of(one_file);

	fake.takes_jobs = 1;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	fake.takes_jobs = 0;
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429, .times = 100000});
	AWAIT(!strcmp(state_of_job(job), "QUEUED") && fake_count(&fake, FAKE_CREATE) > 1);
	assert_int_equal(BLOCKING(gb_cancel, job), 0);
	AWAIT(has_ended(job));
	assert_nothing_left();
	gb_job_unref(job);
}

/* A try that ends before it came to the upload that an earlier one left. */
static void test_stopped_before_upload(void **state)
{
	struct gb_job *job = make_draft("job", ASK("a", "1.png"));

	put_picture(job, "1.png", 1);
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429, .times = 100000});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_QUEUE), 0);
	AWAIT(!strcmp(state_of_job(job), "QUEUED") && fake_count(&fake, FAKE_CREATE) > 1);
	gb_job_unref(job);
	fake_options.readonly = true;
	reopen();
	job = gb_job_by_name(client, "job");
	assert_non_null(job->dir->rec.batch->input_file);
	struct operation t = {.job = job};
	struct submission s = SUBMISSION(&t, job);
	unsigned before = fake_uploads(&fake);
	void_upload(&s);
	submission_clear(&s);
	assert_null(job->dir->rec.batch->input_file);
	assert_int_equal(fake_uploads(&fake), before - 1);
	gb_job_unref(job);
}

/* The second is refused for good: the first has ended, and nothing else will. */
static void test_given_up(void **state)
{
	struct gb_job *job = draft_of(one_file);

	fake.takes_jobs = 1;
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_OK});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 429, .times = 3});
	fake_script(&fake, FAKE_CREATE, (struct fake_answer){FAKE_STATUS, 400});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	fake_end(&fake, fake_job(&fake, 0), REMOTE_STATE_SUCCEEDED);
	AWAIT(has_ended(job));
	assert_int_equal(fake_made(&fake), 1);
	assert_nothing_left();
	gb_job_unref(job);
}

static void test_removed(void **state)
{
	struct gb_job *job = draft_of(two_files);

	fake.takes_jobs = 2;
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	AWAIT(fake_made(&fake) == 2);
	/* While the create of a part has no answer the directory is busy. */
	int err = (int)BLOCKING(gb_remove, job);
	for (; err == -EBUSY; err = (int)BLOCKING(gb_remove, job))
		usleep(1000);
	assert_int_equal(err, 0);
	assert_nothing_left();
	assert_int_equal(fake_there(&fake), 0);
	gb_job_unref(job);
}

/* The API no longer has a file that the first part names: all is uploaded again, once, and
 * the waiter is told what came of it. */
static void test_file_is_gone_at_create(void **state)
{
	struct gb_job *job = draft_of(two_files);

	fake_script(&fake, FAKE_CREATE,
		(struct fake_answer){
			FAKE_STATUS, 400, .text = "File in-0 does not exist."});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	AWAIT(fake_made(&fake) == 4);
	gb_job_unref(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_once),
		FAKE_CASE(test_once_after_restarts), FAKE_CASE(test_composed),
		FAKE_CASE(test_retry), FAKE_CASE(test_at_once),
		FAKE_CASE(test_at_once_fails), FAKE_CASE(test_draft_again),
		FAKE_CASE(test_cancelled),
		FAKE_CASE(test_stopped_before_upload), FAKE_CASE(test_given_up),
		FAKE_CASE(test_removed), FAKE_CASE(test_file_is_gone_at_create)};

	hurry_parts();
	setenv("BATCHFS_TEST_LOOK_SECONDS", "0.002", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
