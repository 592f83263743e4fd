/* Refusals, full disks, engines that stop under readers of results. The
 * engine is a fake one. */
#include "results_fixture.h"

/* ---- refusals ------------------------------------------------------------ */

static long refuse_with;
static unsigned refuse_until;

static bool by_a_page;

static void refuse(struct engine *e, struct answer *a)
{
	static char text[160];

	if (a->number > refuse_until)
		return;
	a->reply.status = refuse_with;
	a->n = 0;
	if (refuse_with < 300)
		return;
	snprintf(text, sizeof text,
		by_a_page
			? "<html>%ld</html>"
			: "{\"error\":{\"code\":%ld,\"message\":\"m\",\"details\":[]}}",
		refuse_with);
	a->reply.body = text;
	a->reply.body_len = strlen(text);
}

static int read_refused(long status, unsigned times)
{
	struct gb_results *r;
	int err;

	setup(NULL);
	r = open_it();
	engine.hook = refuse;
	refuse_with = status;
	refuse_until = times;
	err = read_on(r, 0, NULL);
	close_it(r);
	return err;
}

static void test_refusals(void **state)
{
	assert_int_equal(read_refused(404, 99), -ENODATA);
	assert_int_equal(engine.calls, 2); /* both paths */
	assert_int_equal(lost, 1);
	assert_int_equal(read_refused(403, 99), -ENODATA);
	assert_int_equal(lost, 1);
	assert_int_equal(read_refused(401, 99), -EACCES);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(lost, 0);
	assert_int_equal(read_refused(400, 99), -EINVAL);
	assert_int_equal(engine.calls, 1);
	assert_int_equal(read_refused(500, 99), -EIO);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(429, 99), -EDQUOT);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(503, 5), 0);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(0, 99), -EHOSTUNREACH);
	assert_int_equal(engine.calls, 6);
	assert_int_equal(read_refused(204, 99), -EIO);
	assert_int_equal(read_refused(302, 99), -EIO);
	assert_int_equal(read_refused(416, 99), -EIO);
}

/* What a portal says is no word about the output: the API could not be asked. */
static void test_pages_are_no_refusals(void **state)
{
	by_a_page = true;
	assert_int_equal(read_refused(404, 99), -EHOSTUNREACH);
	assert_int_equal(lost, 0);
	assert_int_equal(read_refused(403, 99), -EHOSTUNREACH);
	assert_int_equal(lost, 0);
	assert_int_equal(read_refused(403, 2), 0);
	by_a_page = false;
}

/* Refused is refused until it is opened anew, or fetched; then both paths are tried. */
static void test_a_refusal_lasts_until_the_next_open(void **state)
{
	struct gb_results *r = open_it();
	char *words;

	engine.hook = refuse;
	refuse_with = 404;
	refuse_until = 2;
	assert_int_equal(read_at(r, 0, 10), -ENODATA);
	assert_int_equal(results_refusal(r, &words), 404);
	assert_string_equal(words, "m");
	free(words);
	assert_int_equal(read_at(r, 0, 10), -ENODATA);
	assert_int_equal(engine.calls, 2);
	results_reader(r, 1);
	assert_true(read_at(r, 0, 10) > 0);
	results_reader(r, -1);
	close_it(r);
}

static void refuse_key(struct engine *e, struct answer *a)
{
	static char text[] =
		"{\"error\":{\"code\":403,\"message\":\"key\",\"status\":"
		"\"PERMISSION_DENIED\",\"details\":[{\"@type\":\"type.googleapis.com/"
		"google.rpc.ErrorInfo\",\"reason\":\"API_KEY_SERVICE_BLOCKED\"}]}}";

	a->reply.status = 403;
	a->n = 0;
	a->reply.body = text;
	a->reply.body_len = sizeof text - 1;
}

static void test_a_refused_key_loses_nothing(void **state)
{
	struct gb_results *r = open_it();

	engine.hook = refuse_key;
	assert_int_equal(read_at(r, 0, 10), -EACCES);
	assert_int_equal(lost, 0);
	engine.hook = NULL;
	assert_true(read_at(r, 0, 10) > 0);
	close_it(r);
}

static void test_what_is_here_outlives_the_api(void **state)
{
	struct gb_results *r = open_it();

	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	engine.hook = refuse;
	refuse_with = 404;
	refuse_until = 99;
	assert_int_equal(read_at(r, 30 * MIB, 100), -ENODATA);
	assert_int_equal(read_at(r, 31 * MIB, 100), -ENODATA);
	assert_int_equal(engine.calls, 3);
	assert_int_equal(read_at(r, 20 * MIB, 100), 100);
	close_it(r);
}

static void only_the_other_path(struct engine *e, struct answer *a)
{
	if (a->other)
		return;
	a->reply.status = 404;
	a->n = 0;
}

static void test_the_other_path(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;

	engine.hook = only_the_other_path;
	assert_int_equal(results_ready(r, 20 * MIB, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_ready(r, 30 * MIB, 10, &b.w), -EINPROGRESS);
	fake_settle(&engine);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, 0);
	assert_int_equal(lost, 0);
	assert_int_equal(engine.calls, 4);
	assert_int_equal(read_at(r, 20 * MIB, 10), 10);
	close_it(r);
}

static void one_path_and_pages(struct engine *e, struct answer *a)
{
	if (a->number > 1 && !a->other)
		return;
	a->reply.status = 404;
	a->reply.body = "<html></html>";
	a->reply.body_len = 13;
	a->n = 0;
}

/* That a path is not there is not believed of a page for ever. */
static void test_a_page_at_the_only_path(void **state)
{
	struct gb_results *r = open_it();

	engine.hook = one_path_and_pages;
	assert_int_equal(read_at(r, 0, 10), 10);
	assert_int_equal(engine.calls, 3);
	close_it(r);
}

static void test_one_failure_does_not_hurt_others(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	engine.hook = refuse;
	refuse_with = 400;
	refuse_until = 99;
	assert_int_equal(results_ready(r, 30 * MIB, 10, &b.w), -EINPROGRESS);
	fake_settle(&engine);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.err, -EINVAL);
	close_it(r);
}

static void test_a_full_disk(void **state)
{
	struct gb_results *r = open_it();
	struct rlimit old, tight;
	uint64_t end;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	tight = (struct rlimit){.rlim_cur = 5 * MIB, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &tight);
	assert_int_equal(read_on(r, 0, &end), -EFBIG);
	assert_int_equal(end, 5 * MIB - UNSURE);
	assert_int_equal(engine.calls, 1);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(read_on(r, 0, &end), 0);
	assert_int_equal(end, BIG);
	close_it(r);
}

static void test_stop_answers_everybody(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER, b = ASKER, c = ASKER, d = ASKER;
	int64_t size;

	engine.chunk = 1000;
	assert_int_equal(read_at(r, 0, 100), 100);
	assert_int_equal(results_ready(r, 20 * MIB, 10, &a.w), -EINPROGRESS);
	assert_int_equal(results_ready(r, 40 * MIB, 10, &b.w), -EINPROGRESS);
	assert_int_equal(results_fetch(r, &c.w), -EINPROGRESS);
	results_stop(r);
	assert_int_equal(a.err, -EINTR);
	assert_int_equal(b.err, -EINTR);
	assert_int_equal(c.err, -EINTR);
	assert_int_equal(results_ready(r, 20 * MIB, 10, &d.w), -EINTR);
	assert_int_equal(results_fetch(r, &d.w), -EINTR);
	assert_int_equal(results_size(r, &d.w, &size), 0);
	assert_int_equal(results_ready(r, 0, 10, &d.w), 10);
	fake_run(&engine);
	assert_int_equal(a.calls + b.calls + c.calls, 3);
	close_it(r);
}

static void test_the_engine_stops(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	fake_stop(&engine);
	assert_int_equal(a.err, -EINTR);
	assert_int_equal(read_at(r, 0, 10), -EINTR);
	close_it(r);
}

static void test_the_engine_stops_between_tries(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.hook = refuse;
	refuse_with = 500;
	refuse_until = 99;
	assert_int_equal(results_ready(r, 0, 10, &a.w), -EINPROGRESS);
	fake_settle(&engine);
	assert_int_equal(a.calls, 0);
	fake_stop(&engine);
	assert_int_equal(a.err, -EINTR);
	close_it(r);
}

static void test_the_last_reference_goes_with_everything_under_way(void **state)
{
	struct gb_results *r = open_it();
	struct asker a = ASKER;

	engine.chunk = 1000;
	assert_int_equal(results_fetch(r, &a.w), -EINPROGRESS);
	fake_step(&engine);
	fake_step(&engine);
	results_unref(r); /* a reader that forgot itself, and a fetch */
	assert_int_equal(a.err, -EINTR);
	fake_run(&engine);
	assert_int_equal(sized, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_refusals), T(test_pages_are_no_refusals),
		T(test_a_refusal_lasts_until_the_next_open),
		T(test_a_refused_key_loses_nothing),
		T(test_what_is_here_outlives_the_api),
		T(test_the_other_path),
		T(test_a_page_at_the_only_path),
		T(test_one_failure_does_not_hurt_others),
		T(test_a_full_disk),
		T(test_stop_answers_everybody),
		T(test_the_engine_stops),
		T(test_the_engine_stops_between_tries),
		T(test_the_last_reference_goes_with_everything_under_way),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
