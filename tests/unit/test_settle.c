/* Creates whose answer never came: one look serves all of them. */
#include "api_world.h"
#include "submit/reconcile.h"

enum { LOST = 60 };

/* As a create leaves it whose answer was lost. */
static struct gb_job *lose(struct gb_client *c, int n)
{
	char name[16], file[16];
	struct gb_job *job;

	snprintf(name, sizeof(name), "j%d", n);
	snprintf(file, sizeof(file), "files/f%d", n);
	assert_int_equal(gb_draft_create(c, name, true, &job), 0);
	client_lock(c);
	struct record *r = &job->dir->rec;
	assert_int_equal(record_set(&r->batch->input_file, file), 0);
	assert_int_equal(counted_set(&r->display, name), 0);
	r->batch->intent_server = world.now - 3600;
	r->batch->intent_since = record_now();
	job_set_phase(job, PHASE_SUBMITTING);
	client_unlock(c);
	return job;
}

static void lose_all(struct gb_client *c, struct gb_job **jobs)
{
	for (int i = 0; i < LOST; i++)
		jobs[i] = lose(c, i);
	for (int i = 0; i < LOST; i++)
		reconcile_later(jobs[i]);
}

static bool is_sent(struct gb_job *job)
{
	client_lock(job->c);
	bool sent = job_phase(job) == PHASE_SENT;
	client_unlock(job->c);
	return sent;
}

static void await_all(struct gb_job **jobs)
{
	for (int i = 0; i < LOST; i++)
		while (!is_sent(jobs[i]))
			usleep(2000);
}

static void unref_all(struct gb_job **jobs)
{
	for (int i = 0; i < LOST; i++)
		gb_job_unref(jobs[i]);
}

static void test_one_list(void **state)
{
	struct gb_client *c = open_world(0, 30);
	struct gb_job *jobs[LOST];

	lose_all(c, jobs);
	world.jobs = LOST;
	int before = lists();
	await_all(jobs);
	assert_in_range(lists() - before, 1, 6); /* the poller's own, too */
	assert_int_equal(gets(), 0);
	unref_all(jobs);
	close_world(c);
}

static void test_one_get_each(void **state)
{
	struct gb_client *c = open_world(0, 30);
	struct gb_job *jobs[LOST];

	lose_all(c, jobs);
	world.no_config = true;
	world.jobs = LOST;
	await_all(jobs);
	assert_in_range(gets(), LOST, 4 * LOST); /* the poller's own, too */
	unref_all(jobs);
	close_world(c);
}

/* Those that the API refuses to tell of do not each ask by themselves. */
static void test_refused(void **state)
{
	struct gb_client *c = open_world(0, 30);
	struct gb_job *jobs[LOST];

	world.refusal = "Retry-After: 0\r\n";
	int before = lists();
	lose_all(c, jobs);
	sleep(2);
	assert_in_range(lists() - before, 1, 16);
	world.jobs = LOST;
	world.refusal = NULL;
	await_all(jobs);
	unref_all(jobs);
	close_world(c);
}

struct closer {
	struct gb_job *job;
	pthread_t thread;
	int err;
};

static void *wait_for_look(void *arg)
{
	struct closer *w = arg;
	struct canceller none = CANCELLER_INIT;

	w->err = reconcile_once(w->job, &none);
	return NULL;
}

/* Who waits for a look shares it, and has an answer of one that began after he asked. */
static void test_shared(void **state)
{
	struct gb_client *c = open_world(LOST, 30);
	struct closer w[LOST];

	int before = lists();
	for (int i = 0; i < LOST; i++)
		w[i] = (struct closer){.job = lose(c, i)};
	for (int i = 0; i < LOST; i++)
		pthread_create(&w[i].thread, NULL, wait_for_look, &w[i]);
	for (int i = 0; i < LOST; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].err, 0);
		gb_job_unref(w[i].job);
	}
	assert_in_range(lists() - before, 1, 20);
	close_world(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_list),
		cmocka_unit_test(test_one_get_each), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_shared)};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
