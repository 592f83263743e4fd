/* Deadlines, cancelling, stopping, timers, and many at once. */
#include "engine_fixture.h"

#include <math.h>

/* ---- time, cancelling, stopping  ---- */

static bool slow_handler(struct httpd *h, int fd, struct httpd_request *r)
{
	httpd_body(fd, r, r->length);
	if (strstr(r->head, "/silent")) {
		char c;

		recv(fd, &c, 1, 0); /* until the other side hangs up */
		return false;
	}
	httpd_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	while (httpd_send(fd, ".", 1))
		usleep(20000);
	return false;
}

static void test_deadline(void **state)
{
	struct fixture f;
	struct http_request r = get("/drip");
	struct http_reply p;
	double t = util_now();

	begin(&f, slow_handler);
	r.deadline = 0.5;
	assert_int_equal(run(&f, &r, &p), -ETIMEDOUT);
	assert_true(util_now() - t < 10);
	http_reply_clear(&p);
	r = get("/silent");
	r.deadline = 0;
	r.stall = 1;
	assert_int_equal(run(&f, &r, &p), -ETIMEDOUT);
	http_reply_clear(&p);
	end(&f);
}

struct waiting {
	struct fixture *f;
	struct http_request r;
	struct http_reply reply;
	int result;
};

static void *wait_call(void *arg)
{
	struct waiting *w = arg;

	w->result = run(w->f, &w->r, &w->reply);
	return NULL;
}

static void *wait_sleep(void *arg)
{
	struct waiting *w = arg;

	w->result = engine_sleep(w->f->engine, 600, &w->f->cancel);
	return NULL;
}

static void await_requests(struct httpd *h, int n)
{
	bool there = false;

	while (!there) {
		usleep(1000);
		pthread_mutex_lock(&h->lock);
		there = h->requests >= n;
		pthread_mutex_unlock(&h->lock);
	}
}

static void test_cancel(void **state)
{
	struct fixture f;
	struct waiting w = {.f = &f, .r = get("/silent")};
	pthread_t thread;

	begin(&f, slow_handler);
	pthread_create(&thread, NULL, wait_call, &w);
	await_requests(&f.server, 1);
	canceller_set(f.engine, &f.cancel);
	pthread_join(thread, NULL);
	assert_int_equal(w.result, -ECANCELED);
	http_reply_clear(&w.reply);
	/* It stays set. */
	assert_int_equal(run(&f, &w.r, &w.reply), -ECANCELED);
	assert_int_equal(w.reply.sent, HTTP_NOT_SENT);
	http_reply_clear(&w.reply);
	assert_int_equal(engine_sleep(f.engine, 600, &f.cancel), -ECANCELED);
	end(&f);
}

/* One canceller ends all that use it, whatever they do. */
static void test_cancel_many(void **state)
{
	struct fixture f;
	struct waiting w[4];
	pthread_t threads[4];

	begin(&f, slow_handler);
	for (int i = 0; i < 4; i++) {
		w[i] = (struct waiting){.f = &f, .r = get("/silent")};
		pthread_create(&threads[i], NULL, i ? wait_call : wait_sleep, &w[i]);
	}
	await_requests(&f.server, 3);
	canceller_set(f.engine, &f.cancel);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(w[i].result, -ECANCELED);
		if (i)
			http_reply_clear(&w[i].reply);
	}
	end(&f);
}

static void test_cancel_sleep(void **state)
{
	struct fixture f;
	struct waiting w = {.f = &f};
	pthread_t thread;

	begin(&f, slow_handler);
	assert_int_equal(engine_sleep(f.engine, 0.01, &f.cancel), 0);
	pthread_create(&thread, NULL, wait_sleep, &w);
	usleep(20000);
	canceller_set(f.engine, &f.cancel);
	pthread_join(thread, NULL);
	assert_int_equal(w.result, -ECANCELED);
	end(&f);
}

static void count_timer(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_stop(void **state)
{
	struct fixture f;
	struct waiting call = {.f = &f, .r = get("/silent")}, sleeper = {.f = &f};
	pthread_t a, b;
	atomic_int fired = 0;
	struct http_request r = get("/x");

	begin(&f, slow_handler);
	pthread_create(&a, NULL, wait_call, &call);
	pthread_create(&b, NULL, wait_sleep, &sleeper);
	await_requests(&f.server, 1);
	assert_int_equal(engine_timer(f.engine, 1000, count_timer, &fired), 0);
	engine_stop(f.engine);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	assert_int_equal(call.result, -ECANCELED);
	assert_int_equal(sleeper.result, -ECANCELED);
	assert_int_equal(fired, 1);
	assert_int_equal(engine_timer(f.engine, 0, count_timer, &fired), -ECANCELED);
	assert_int_equal(engine_submit(f.engine, &r, NULL), -ECANCELED);
	http_reply_clear(&call.reply);
	end(&f);
}

static void test_timers(void **state)
{
	struct fixture f;
	atomic_int fired = 0;

	begin(&f, ok_handler);
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			engine_timer(f.engine, 0.01 * (10 - i), count_timer, &fired),
			0);
	assert_int_equal(engine_timer(f.engine, 0, count_timer, &fired), 0);
	while (atomic_load(&fired) < 11)
		usleep(1000);
	end(&f);
}

static void test_backoff(void **state)
{
	static const double hints[] = {-1, 0, 1e-9, 0.3, 5, 45, 3600, 1e9, INFINITY};

	unsetenv("BATCHFS_TEST_BACKOFF_SECONDS");
	for (int n = -1; n < 100; n++) {
		double own = n < 2 ? 1 : n < 7 ? 1 << (n - 1) : 60;

		for (size_t i = 0; i < 20 * ARRAY_SIZE(hints); i++) {
			double hint = hints[i % ARRAY_SIZE(hints)];
			double told = fmin(fmax(hint, 0), 3600);
			double s = engine_backoff(n, hint);

			assert_true(s >= own / 2 && s >= told);
			assert_true(s <= fmax(own, told * 1.1));
		}
	}
	assert_true(engine_backoff(3, 100) != engine_backoff(3, 100));
}

/* What is too long for somebody who waits is his caller's to put off. */
static void test_pause(void **state)
{
	struct fixture f;

	begin(&f, ok_handler);
	assert_int_equal(engine_pause(f.engine, 1, 62, &f.cancel), -EAGAIN);
	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.01", 1);
	assert_int_equal(engine_pause(f.engine, 1, 0, &f.cancel), 0);
	canceller_set(f.engine, &f.cancel);
	assert_int_equal(engine_pause(f.engine, 1, 0, &f.cancel), -ECANCELED);
	end(&f);
}

/* ---- many at once, aborted from all sides  ---- */

struct crowd {
	atomic_int done, cancelled;
};

static void crowd_done(void *arg, struct http_reply *reply)
{
	struct crowd *c = arg;

	if (reply->err == -ECANCELED)
		atomic_fetch_add(&c->cancelled, 1);
	else
		assert_string_equal(reply->body, "hello");
	atomic_fetch_add(&c->done, 1);
}

static void *crowd_submit(void *arg)
{
	struct fixture *f = ((void **)arg)[0];
	struct http_request r = get("/x");

	r.done = crowd_done;
	r.arg = ((void **)arg)[1];
	for (int i = 0; i < 50; i++)
		assert_int_equal(engine_submit(f->engine, &r, NULL), 0);
	return NULL;
}

static void test_crowd(void **state)
{
	struct fixture f;
	struct crowd c = {0};
	void *arg[2] = {&f, &c};
	pthread_t threads[4];

	begin(&f, ok_handler);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, crowd_submit, arg);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	while (atomic_load(&c.done) < 150)
		usleep(1000);
	engine_stop(f.engine);
	assert_int_equal(c.done, 200);
	end(&f);
}

static void test_abort(void **state)
{
	struct fixture f;
	struct crowd c = {0};
	struct http_request r = get("/silent");
	struct transfer *t[20];

	begin(&f, slow_handler);
	r.done = crowd_done;
	r.arg = &c;
	for (int i = 0; i < 20; i++)
		assert_int_equal(engine_submit(f.engine, &r, &t[i]), 0);
	for (int i = 0; i < 20; i += 2)
		engine_abort(f.engine, t[i]);
	while (atomic_load(&c.cancelled) < 10)
		usleep(1000);
	engine_stop(f.engine);
	assert_int_equal(c.cancelled, 20);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_many),
		cmocka_unit_test(test_cancel_sleep),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_abort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
