/*
 * The library without a filesystem: submit a requests file, wait, print the results.
 *
 *     gembatch-submit NAME REQUESTS.jsonl >results.jsonl
 *
 *     cc gembatch-submit.c $(pkg-config --cflags --libs gembatch)
 *
 * Run it again with the same NAME after it was interrupted: the state directory knows
 * the job, and it is not bought twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <gembatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- waiting: turn the library's waiters into blocking calls ------------------- */

struct wait {
	struct gb_waiter w; /* first, so that a waiter is a wait */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int over, err;
};

static void done(struct gb_waiter *w, int err)
{
	struct wait *x = (struct wait *)w;

	pthread_mutex_lock(&x->lock);
	x->over = 1;
	x->err = err;
	pthread_cond_signal(&x->cond);
	pthread_mutex_unlock(&x->lock);
}

static void wait_init(struct wait *x)
{
	memset(x, 0, sizeof(*x));
	x->w.done = done;
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->cond, NULL);
}

/* err is what a call that took x answered. */
static int wait_for(struct wait *x, int err)
{
	if (err != -EINPROGRESS)
		return err;
	pthread_mutex_lock(&x->lock);
	while (!x->over)
		pthread_cond_wait(&x->cond, &x->lock);
	pthread_mutex_unlock(&x->lock);
	return x->err;
}

/* ---- the job ---------------------------------------------------------------------- */

static int copy_requests(struct gb_job *job, const char *path)
{
	char buf[65536];
	struct gb_file *f;
	off_t off = 0;
	ssize_t n = 0;
	int in = open(path, O_RDONLY);
	int err = in < 0 ? -errno : gb_file_create(job, NULL, GB_REQUESTS, false, &f);

	if (err) {
		if (in >= 0)
			close(in);
		return err;
	}
	while (!err && (n = read(in, buf, sizeof(buf))) > 0) {
		err = gb_file_write(f, buf, (size_t)n, off);
		off += n;
	}
	gb_file_unref(f);
	close(in);
	return err ? err : n < 0 ? -errno : 0;
}

static int submit(struct gb_client *c, const char *name, const char *path, struct gb_job **ret)
{
	struct wait x;
	struct gb_job *job = gb_job_by_name(c, name);
	int err = 0;

	if (!job) {
		err = gb_draft_create(c, name, false, &job);
		if (!err)
			err = copy_requests(job, path);
		wait_init(&x);
		if (!err)
			err = wait_for(&x, gb_submit(job, GB_BY_CTL, &x.w));
	}
	*ret = job;
	return err;
}

static int print_results(struct gb_job *job)
{
	static char buf[1 << 20];
	struct gb_results *r;
	struct wait x;
	uint64_t off = 0;
	ssize_t n;

	wait_init(&x);
	int err = wait_for(&x, gb_save_results(job, &x.w));
	if (err || (err = gb_results_open(job, &r)))
		return err;
	while ((n = gb_results_ready(r, off, sizeof(buf), &x.w)) > 0 &&
		(n = gb_results_read(r, buf, (size_t)n, off)) > 0) {
		off += (uint64_t)n;
		if (write(STDOUT_FILENO, buf, (size_t)n) != n)
			break;
	}
	gb_results_close(r);
	return (int)n;
}

static int complain(struct gb_job *job, const char *what, int err)
{
	char *text = job ? gb_job_error(job) : NULL;

	fprintf(stderr, "%s: %s\n%s", what, strerror(-err), text ? text : "");
	free(text);
	return 1;
}

int main(int argc, char **argv)
{
	const char *base = getenv("GOOGLE_GEMINI_BASE_URL"), *home = getenv("HOME");
	char state[4096], cache[4096], *why = NULL;
	struct gb_client *c;
	struct gb_job *job = NULL;
	struct wait x;
	int status = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: gembatch-submit NAME REQUESTS.jsonl\n");
		return 2;
	}
	snprintf(state, sizeof(state), "%s/.local/state/gembatch-submit", home ? home : ".");
	snprintf(cache, sizeof(cache), "%s/.cache/gembatch-submit", home ? home : ".");
	struct gb_options o = {
		.source = base ? base : "https://generativelanguage.googleapis.com",
		.key = getenv("GEMINI_API_KEY"),
		.state_dir = state,
		.cache_dir = cache,
		.poll_s = 30,
	};
	int err = gb_open(&o, &c, &why);
	if (why)
		fprintf(stderr, "%s\n", why);
	free(why);
	if (err)
		return 1;
	wait_init(&x);
	if ((err = submit(c, argv[1], argv[2], &job)))
		status = complain(job, "submit", err);
	else if ((err = wait_for(&x, gb_job_wait(job, &x.w))))
		status = complain(job, "wait", err);
	else if ((err = print_results(job)))
		status = complain(job, "results", err);
	gb_job_unref(job);
	gb_close(c);
	return status;
}
