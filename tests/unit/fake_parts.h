/* A directory whose requests go as several jobs, on a client and a provider in memory: its
 * lines, and what was bought of them. */
#ifndef FAKE_PARTS_H
#define FAKE_PARTS_H

#include "fake_client.h"

#include "jobs/parts.h"

static inline int list_now(struct gb_client *c, struct gb_waiter *w)
{
	return gb_list_refresh(c, GB_LIST_FRESH, w);
}

/* The first may be answered by a list that was under way. */
static inline void see_all(void)
{
	assert_int_equal(BLOCKING(list_now, client), 0);
	assert_int_equal(BLOCKING(list_now, client), 0);
}

__attribute__((noinline, unused)) static char *lines_of(int n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (int i = 0; i < n; i++)
		fprintf(f, "{\"key\":\"k%d\",\"request\":{\"contents\":[{\"parts\":[{"
			   "\"text\":\"%*d\"}]}]}}\n",
			i, i * 31 % 70, i);
	fclose(f);
	return text;
}

static inline struct gb_job *draft_of(int n, const char *split)
{
	char *text = lines_of(n);
	struct gb_job *job = make_draft("job", text);

	if (split)
		assert_int_equal(gb_draft_set_split(job, split), 0);
	free(text);
	return job;
}

/* What was bought is all of n lines, each of them once, whichever part was quicker. */
static inline void assert_bought(int n, unsigned jobs)
{
	char *text = lines_of(n), *seen = calloc(1, strlen(text) + 1);
	size_t bytes = 0;

	assert_int_equal(fake_made(&fake), jobs);
	for (unsigned i = 0; i < jobs; i++) {
		const char *part = fake_job(&fake, i)->requests;
		const char *at = strstr(text, part);

		if (!at || seen[at - text]++)
			fail_msg("job %u has other lines, or those of another", i);
		bytes += strlen(part);
	}
	if (bytes != strlen(text))
		fail_msg("%u jobs have %zu bytes of %zu", jobs, bytes, strlen(text));
	free(seen);
	free(text);
}

static inline unsigned parts_of(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i.parts_sent;
}

static inline bool all_bought(struct gb_job *job)
{
	client_lock(client);
	bool all = job_phase(job) == PHASE_PARTS && !job->dir->cutting &&
		   !parts_rest(job).len;
	for (uint32_t i = 0; i < parts_count(job); i++)
		all &= parts_at(job, i)->batch->id && !parts_at(job, i)->dir->task;
	client_unlock(client);
	return all;
}

static inline void await_all(struct gb_job *job)
{
	double until = util_now() + 60;

	while (!all_bought(job) && util_now() < until)
		usleep(1000);
	assert_true(all_bought(job));
}

static inline struct gb_job *found(void)
{
	struct gb_job *job = gb_job_by_name(client, "job");

	assert_non_null(job);
	return job;
}

static inline void expect_error(struct gb_job *job, const char *words)
{
	char *error = gb_job_error(job);

	if (!error || !strstr(error, words))
		fail_msg("no \"%s\" in: %s", words, error ? error : "no error");
	free(error);
}

/* What a case shortened, also one that failed, is as usual for the next. */
static inline int usual_waits(void **state)
{
	setenv("BATCHFS_TEST_CLOSE_SECONDS", "60", 1);
	setenv("BATCHFS_TEST_MONEY_SECONDS", "0", 1);
	setenv("BATCHFS_TEST_SETTLE_SECONDS", "600", 1);
	return fake_setup(state);
}

#undef FAKE_CASE
#define FAKE_CASE(fn) cmocka_unit_test_setup_teardown(fn, usual_waits, fake_teardown)

#endif
