/* A directory of several parts, asked again round after round, whose parts end in any order
 * and any way, whose results come late, not all, twice or cut, over restarts: what its files
 * say at each step, against a model that knows of each job what it answered. */
#include "fake_client.h"

#include "jobs/parts.h"

#include <pthread.h>

enum { REQUESTS = 24, EACH = 3, ROUNDS = 5, JOBS = 128, SEEDS = 6 };

/* ---- the model ---------------------------------------------------------------------- */

enum outcome { MISSING, ANSWERS, FAILS, IS_WRONG, IS_BLOCKED, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = {
	"missing", "answered", "failed", "failed", "blocked"};

struct sent {
	unsigned number, round; /* among the parts */
	bool has[REQUESTS];
	enum outcome came[REQUESTS];
	bool ended, none;  /* none: without output */
	bool withheld;     /* the API does not give its results now */
};

static struct {
	struct sent jobs[JOBS];
	unsigned n;
	pthread_mutex_t lock; /* withheld: read by those who download */
	int (*download)(struct provider_conn *p, const struct download *d,
		struct transfer **ret);
} w = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

/* The words of a job's result. */
static const char *words_of(unsigned job, unsigned key, char ret[64])
{
	const struct sent *s = &w.jobs[job];

	switch (s->came[key]) {
	case ANSWERS:
		snprintf(ret, 64, "job %u says %u", job, key);
		break;
	case FAILS:
		snprintf(ret, 64, "INTERNAL (13): job %u", job);
		break;
	case IS_WRONG:
		snprintf(ret, 64, "INVALID_ARGUMENT (3): job %u", job);
		break;
	case IS_BLOCKED:
		snprintf(ret, 64, "SAFETY");
		break;
	default:
		snprintf(ret, 64, "there is no result for this request");
	}
	return ret;
}

static bool is_known(const struct sent *s)
{
	return s->ended && !s->withheld;
}

/* The job whose result a request has by now; -1: none, -2: not yet. */
static int result_of(unsigned key)
{
	int best = -1;
	bool open = false;

	for (unsigned j = 0; j < w.n; j++) {
		const struct sent *s = &w.jobs[j];

		if (!s->has[key])
			continue;
		open |= !s->round && !is_known(s);
		if (!is_known(s) || s->none || s->came[key] == MISSING)
			continue;
		bool answers = s->came[key] == ANSWERS;
		bool answered = best >= 0 && w.jobs[best].came[key] == ANSWERS;

		if (best < 0 || (answers != answered
						? answers
						: s->number > w.jobs[best].number))
			best = (int)j;
	}
	return best >= 0 ? best : open ? -2 : -1;
}

static bool is_being_asked(unsigned key)
{
	for (unsigned j = 0; j < w.n; j++)
		if (w.jobs[j].round && w.jobs[j].has[key] && !is_known(&w.jobs[j]))
			return true;
	return false;
}

static bool is_to_retry(unsigned key)
{
	int j = result_of(key);

	return !is_being_asked(key) && (j == -1 || (j >= 0 && w.jobs[j].came[key] == FAILS));
}

/* ---- the world ------------------------------------------------------------------------ */

static void put_request(FILE *f, unsigned key)
{
	fprintf(f, "{\"key\":\"k%02u\",\"request\":{\"contents\":[]}}\n", key);
}

static char *requests(bool (*which)(unsigned key))
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (unsigned k = 0; k < REQUESTS; k++)
		if (!which || which(k))
			put_request(f, k);
	fclose(f);
	return text;
}

/* Those that were made since, of that round. */
static void see_jobs(unsigned round)
{
	for (; w.n < fake_made(&fake); w.n++) {
		struct sent *s = &w.jobs[w.n];
		const struct fake_job *j = fake_job(&fake, w.n);
		const char *number = strstr(j->display, "[part ");

		*s = (struct sent){.round = round};
		assert_non_null(number);
		s->number = (unsigned)atoi(number + strlen("[part "));
		for (const char *p = j->requests; (p = strstr(p, "\"k")); p += 4)
			if (p[2] != 'e') /* "key" */
				s->has[atoi(p + 2)] = true;
	}
}

static void await_jobs(unsigned n, unsigned round)
{
	for (double until = util_now() + 60; fake_made(&fake) < n && util_now() < until;)
		usleep(1000);
	assert_int_equal(fake_made(&fake), n);
	see_jobs(round);
}

static void put_result(FILE *f, unsigned job, unsigned key)
{
	char words[64];

	words_of(job, key, words);
	fprintf(f, "{\"key\":\"k%02u\",", key);
	switch (w.jobs[job].came[key]) {
	case ANSWERS:
		fprintf(f,
			"\"response\":{\"candidates\":[{\"content\":{\"parts\":[{"
			"\"text\":\"%s\"}]},\"finishReason\":\"STOP\"}]}}\n",
			words);
		break;
	case IS_BLOCKED:
		fprintf(f, "\"response\":{\"candidates\":[{\"finishReason\":"
			   "\"SAFETY\"}]}}\n");
		break;
	default:
		fprintf(f, "\"error\":{\"code\":%d,\"message\":\"job %u\"}}\n",
			w.jobs[job].came[key] == FAILS ? 13 : 3, job);
	}
}

/* In any order, and not always all of them, whatever is counted. */
static char *results_of(unsigned job)
{
	struct sent *s = &w.jobs[job];
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	unsigned first = below(REQUESTS);

	for (unsigned i = 0; i < REQUESTS; i++) {
		unsigned k = (i + first) % REQUESTS;

		if (!s->has[k])
			continue;
		s->came[k] = (enum outcome)below(OUTCOMES);
		if (s->came[k] != MISSING)
			put_result(f, job, k);
	}
	fclose(f);
	return text;
}

static bool is_seen(const struct fake_job *j)
{
	client_lock(client);
	struct gb_job *job = job_find_id(client, j->id);
	bool ended = job && knowledge_ended(&job->batch->known);
	client_unlock(client);
	return ended;
}

static int list_now(struct gb_client *c, struct gb_waiter *waiter)
{
	return gb_list_refresh(c, GB_LIST_FRESH, waiter);
}

static char *answers[JOBS];

static void end_job(unsigned job, bool withheld)
{
	struct fake_job *j = fake_job(&fake, job);
	struct sent *s = &w.jobs[job];

	s->none = !below(6);
	free(answers[job]);
	answers[job] = s->none ? NULL : results_of(job);
	j->answers = answers[job];
	pthread_mutex_lock(&w.lock);
	s->withheld = withheld && !s->none;
	pthread_mutex_unlock(&w.lock);
	fake_end(&fake, j, s->none ? REMOTE_STATE_FAILED : REMOTE_STATE_SUCCEEDED);
	for (double until = util_now() + 60; !is_seen(j) && util_now() < until;)
		assert_int_equal(BLOCKING(list_now, client), 0);
	assert_true(is_seen(j));
	s->ended = true;
}

/* What the API answers to whoever wants results that it withholds: a refusal, or it is out
 * of order. One at a time, so that each has its own answer. */
static int download(
	struct provider_conn *p, const struct download *d, struct transfer **ret)
{
	static const long statuses[] = {403, 404, 503};
	unsigned job = (unsigned)atoi(strrchr(d->file, '-') + 1);

	pthread_mutex_lock(&w.lock);
	if (w.jobs[job].withheld)
		fake_script(&fake, FAKE_DOWNLOAD,
			(struct fake_answer){
				.what = FAKE_STATUS, .status = statuses[job % 3]});
	int err = w.download(p, d, ret);
	fake_unscript(&fake, FAKE_DOWNLOAD);
	pthread_mutex_unlock(&w.lock);
	return err;
}

/* ---- what it says ---------------------------------------------------------------------- */

static char *file_of(struct gb_job *job, enum gb_answers_file what)
{
	struct gb_answers *a;
	struct waiter_sync s;
	char *text = calloc(1, 1 << 16);
	int err;

	do {
		waiter_sync_init(&s);
		err = gb_answers_open(job, &s.w, &a);
		if (err == -EINPROGRESS && !(err = waiter_sync_wait(&s)))
			err = -EINPROGRESS;
	} while (err == -EINPROGRESS);
	if (!err) {
		err = (int)gb_answers_read(a, what, 0, 0, text, (1 << 16) - 1, NULL);
		gb_answers_close(a);
	}
	if (err >= 0)
		return text;
	free(text);
	return NULL;
}

static char *table(void)
{
	char *text = NULL, words[64];
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (unsigned k = 0; k < REQUESTS; k++) {
		int j = result_of(k);

		if (j >= 0)
			fprintf(f, "k%02u\t%s\t%s\n", k,
				outcome_names[w.jobs[j].came[k]],
				words_of((unsigned)j, k, words));
		else
			fprintf(f, "k%02u\t%s\t%s\n", k, j == -1 ? "missing" : "pending",
				j == -1 ? "there is no result for this request" : "");
	}
	fclose(f);
	return text;
}

/* Without any results there are no answers. */
static bool any_is_known(void)
{
	for (unsigned j = 0; j < w.n; j++)
		if (is_known(&w.jobs[j]) && !w.jobs[j].none)
			return true;
	return false;
}

static void expect_text(
	struct gb_job *dir, enum gb_answers_file what, const char *want, unsigned seed)
{
	_cleanup_free_ char *got = NULL;

	/* What has come takes a moment to be saved. */
	for (double until = util_now() + 60; util_now() < until; usleep(2000)) {
		free(got);
		got = file_of(dir, what);
		if (got && strcmp(got, want) == 0)
			return;
	}
	fail_msg("seed %u: %s is\n%s\nand should be\n%s", seed,
		what == GB_ANSWERS_TSV ? "answers.tsv" : "retry.jsonl",
		got ? got : "not there", want);
}

static void expect_truth(struct gb_job *dir, unsigned seed)
{
	_cleanup_free_ char *want = table(), *retry = requests(is_to_retry);

	if (!any_is_known())
		return;
	expect_text(dir, GB_ANSWERS_TSV, want, seed);
	expect_text(dir, GB_ANSWERS_RETRY, retry, seed);
}

static bool says_refused(struct gb_job *dir)
{
	_cleanup_free_ char *error = gb_job_error(dir);

	return error && strstr(error, "The results are not saved");
}

/* While results are withheld the directory has no results.jsonl, is not safe, and says
 * why; and what might still come is not bought again. */
static void expect_withheld(struct gb_job *dir, bool all_ended)
{
	struct gb_results *r = NULL;
	bool withheld = false, refused = false;
	struct gb_info i;

	for (unsigned j = 0; j < w.n; j++) {
		withheld |= w.jobs[j].withheld;
		refused |= w.jobs[j].withheld && j % 3 < 2;
	}
	if (!withheld)
		return;
	gb_job_info(dir, &i);
	assert_false(i.results_safe);
	assert_true(gb_results_open(dir, &r) != 0);
	if (!all_ended)
		return;
	assert_true(gb_verbs(dir) & GB_FETCH_VERB);
	for (double until = util_now() + 60; refused && !says_refused(dir);) {
		assert_true(util_now() < until);
		usleep(2000);
	}
}

static void release(struct gb_job *dir)
{
	pthread_mutex_lock(&w.lock);
	for (unsigned j = 0; j < w.n; j++)
		w.jobs[j].withheld = false;
	pthread_mutex_unlock(&w.lock);
	/* Nothing failed that a person's word cannot have again. */
	for (double until = util_now() + 60; util_now() < until; usleep(2000)) {
		int err = BLOCKING(gb_save_results, dir);

		if (!err || err == -EBUSY)
			break;
	}
}

static int by_part(const void *a, const void *b)
{
	const struct sent *x = &w.jobs[*(const unsigned *)a];
	const struct sent *y = &w.jobs[*(const unsigned *)b];

	return (int)x->number - (int)y->number;
}

/* results.jsonl, once all is there: each line that was paid for, once. */
static void expect_results(struct gb_job *dir)
{
	unsigned order[JOBS];
	char *want = NULL, got[65536] = "";
	size_t size, have = 0;
	FILE *f = open_memstream(&want, &size);
	struct gb_results *r = NULL;
	ssize_t n;

	for (unsigned i = 0; i < w.n; i++)
		order[i] = i;
	qsort(order, w.n, sizeof *order, by_part);
	for (unsigned i = 0; i < w.n; i++)
		fputs(answers[order[i]] ? answers[order[i]] : "", f);
	fclose(f);
	int err = gb_results_open(dir, &r);
	if (!*want && err == -ENOENT) {
		free(want);
		return;
	}
	assert_int_equal(err, 0);
	while ((n = gb_results_ready(r, have, sizeof got - 1 - have, NULL)) > 0) {
		assert_int_equal(gb_results_read(r, got + have, (size_t)n, have), n);
		have += (size_t)n;
	}
	assert_int_equal(n, 0);
	gb_results_close(r);
	assert_string_equal(got, want);
	free(want);
}

/* ---- a life --------------------------------------------------------------------------- */

static struct gb_job *restarted(struct gb_job *dir)
{
	gb_job_unref(dir);
	reopen();
	dir = gb_job_by_name(client, "job");
	assert_non_null(dir);
	return dir;
}

static struct gb_job *end_round(struct gb_job *dir, unsigned from, unsigned seed)
{
	while (true) {
		unsigned open = 0, nth;

		for (unsigned j = from; j < w.n; j++)
			open += !w.jobs[j].ended;
		if (!open)
			return dir;
		nth = below(open);
		for (unsigned j = from; j < w.n; j++)
			if (!w.jobs[j].ended && !nth--) {
				end_job(j, !below(4));
				break;
			}
		if (!below(8))
			dir = restarted(dir);
		if (!below(2))
			expect_truth(dir, seed);
		expect_withheld(dir, open == 1);
	}
}

/* False: nothing is left to ask. */
static bool ask_again(struct gb_job *dir, unsigned round)
{
	unsigned lines = 0, n = w.n;
	double until = util_now() + 60;

	for (unsigned k = 0; k < REQUESTS; k++)
		lines += is_to_retry(k);
	if (!lines)
		return false;
	/* Results that are fewer than was counted are looked at again first. */
	while (!(gb_verbs(dir) & GB_RETRY) && util_now() < until)
		usleep(2000);
	assert_int_equal(BLOCKING(gb_retry, dir), 0);
	await_jobs(n + (lines + EACH - 1) / EACH, round);
	return true;
}

static void live(unsigned seed)
{
	_cleanup_free_ char *text = requests(NULL);
	unsigned from = 0, round = 0;

	srand(seed);
	w.n = 0;
	w.download = fake.table.download;
	fake.table.download = download;
	struct gb_job *dir = make_draft("job", text);
	assert_int_equal(gb_draft_set_split(dir, "3"), 0);
	assert_int_equal(BLOCKING(gb_submit, dir, GB_BY_CTL), 0);
	await_jobs(REQUESTS / EACH, 0);
	do {
		dir = end_round(dir, from, seed);
		expect_truth(dir, seed);
		release(dir);
		expect_truth(dir, seed);
		expect_results(dir);
		from = w.n;
	} while (++round < ROUNDS && ask_again(dir, round));
	gb_job_unref(dir);
}

static void test_truth(void **state)
{
	const char *one = getenv("BATCHFS_TEST_SEED");
	unsigned first = one ? (unsigned)atoi(one) : 1;

	for (unsigned seed = first; seed < (one ? first + 1 : 1 + SEEDS); seed++) {
		live(seed);
		fake_teardown(state);
		fake_setup(state);
	}
	for (unsigned j = 0; j < JOBS; j++) {
		free(answers[j]);
		answers[j] = NULL;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {FAKE_CASE(test_truth)};

	hurry_parts();
	setenv("BATCHFS_TEST_DOUBT_SECONDS", "0.02", 1);
	setenv("BATCHFS_TEST_REFUSED_SECONDS", "0.05", 1);
	setenv("BATCHFS_TEST_SAVE_SECONDS", "0.02", 1);
	return cmocka_run_group_tests(tests, make_top, remove_top);
}
