/* What a job will cost: the sample, the sum, limits, and what is done if nobody can tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>

#include "fake_client.h"
#include "provider/gemini/request_members.h"
#include "requests/sample.h"
#include "submit/extrapolate.h"

/* ---- extrapolate -------------------------------------------------------------------- */

static void test_sums(void **state)
{
	const struct measured same[] = {{10, 20}, {20, 40}, {5, 10}};
	const struct measured two[] = {{10, 10}, {10, 30}};
	struct extrapolated x = extrapolate(same, 3, 35);

	assert_true(x.total == 70 && x.error == 0); /* all of them */
	x = extrapolate(same, 3, 1000);
	assert_true(fabs(x.total - 2000) < 1e-6 && x.error < 1e-6);
	x = extrapolate(two, 2, 120); /* rates 1 and 3: 2, give or take 12.71 */
	assert_true(fabs(x.total - 240) < 1e-6 && fabs(x.error - 1271) < 1);
	x = extrapolate(two, 1, 30); /* one says nothing about the rest */
	assert_true(x.total == 30 && x.error == 20);
	x = extrapolate(two, 2, 5); /* never less than what was seen */
	assert_true(x.total == 40 && x.error == 0);
}

/* ---- sample ------------------------------------------------------------------------------- */

#define MOST 20

struct picked {
	struct sample_line lines[MOST];
	struct sample s;
};

static void pick(const char *text, size_t n, uint64_t requests, size_t longest,
	struct picked *ret)
{
	int fd = memfd_create("requests", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, n), n);
	ret->s.lines = ret->lines;
	assert_int_equal(sample_lines(&gemini_requests, fd, 0, n, requests, MOST, longest,
				 NULL, &ret->s),
		0);
	close(fd);
}

static void test_sample_takes_all_of_few(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf{\"contents\":[1]}\r\n\n{\"key\":\"a\",\"request\":{\"contents\":"
		"[{\"parts\":{\"fileData\":{\"fileUri\":\"b\"}}}]}} \n"
		"{\"request\":{\"contents\":[2]}}";
	struct picked p;

	pick(text, strlen(text), 3, 1 << 20, &p);
	assert_true(p.s.n == 3 && p.s.whole && !p.s.longer);
	assert_memory_equal(text + p.lines[0].request_start, "{\"contents\":[1]}", 16);
	assert_int_equal(p.lines[0].request_end - p.lines[0].request_start, 16);
	assert_true(p.lines[1].files && !p.lines[0].files && !p.lines[2].files);
	assert_memory_equal(text + p.lines[2].request_start, "{\"contents\":[2]}", 16);
}

/* Of a range of a file nothing before and behind it is taken. */
static void test_sample_of_a_range(void **state)
{
	static const char text[] = "junk\n{\"contents\":[1]}\n{\"contents\":[2]}\nmore junk";
	struct sample_line lines[MOST];
	int fd = memfd_create("requests", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	for (uint64_t requests = 2; requests < 100; requests += 97) {
		struct sample s = {.lines = lines};

		assert_int_equal(sample_lines(&gemini_requests, fd, 5, 34, requests, MOST,
					 1 << 20, NULL, &s),
			0);
		assert_int_equal(s.n, 2);
		assert_true(lines[0].start == 5 && lines[1].end == 39);
		assert_memory_equal(
			text + lines[1].request_start, "{\"contents\":[2]}", 16);
	}
	close(fd);
}

/* Lines of their number's digit: long ones in the second half. */
static void test_sample_is_spread_by_bytes(void **state)
{
	char *text = NULL;
	size_t size, n = 0;
	FILE *f = open_memstream(&text, &size);
	struct picked p;

	for (int i = 0; i < 1000; i++)
		fprintf(f, "{\"contents\":[\"%.*s\"]}\n", i < 900 ? 1 : 300,
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	fclose(f);
	pick(text, size, 1000, 1 << 20, &p);
	assert_true(p.s.n == MOST && !p.s.whole);
	for (size_t i = 0; i < p.s.n; i++) {
		n += p.lines[i].end - p.lines[i].start > 100;
		assert_true(!i || p.lines[i].start >= p.lines[i - 1].end);
		assert_int_equal(text[p.lines[i].end - 1], '\n');
		assert_true(!p.lines[i].start || text[p.lines[i].start - 1] == '\n');
	}
	assert_in_range(n, 12, 16); /* they have two thirds of the bytes */
	free(text);
}

/* A line that is longer than a call can take is passed over, and known to be there. */
static void test_sample_passes_over_long_lines(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct picked p;

	for (int i = 0; i < 40; i++) {
		fputs("{\"contents\":[\"", f);
		for (int k = 0; k < (i == 20 ? 300000 : 5000); k++)
			fputc('x', f);
		fputs("\"]}\n", f);
	}
	fclose(f);
	pick(text, size, 40, 100000, &p);
	assert_true(p.s.n > 5 && p.s.n < MOST);
	assert_true(fabs((double)p.s.longer - 300000) < 60000);
	for (size_t i = 0; i < p.s.n; i++)
		assert_int_equal(p.lines[i].end - p.lines[i].start, 5018);
	free(text);
}

/* ---- with a client ------------------------------------------------------------------------- */

static struct gb_info info_of(struct gb_job *job)
{
	struct gb_info i;

	gb_job_info(job, &i);
	return i;
}

/* n lines with so many letters; how many bytes their requests have. */
static char *lines_of(int n, int letters, int64_t *ret_bytes)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	*ret_bytes = 0;
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *request = util_format(
			"{\"contents\":[{\"parts\":[{\"text\":\"%0*d\"}]}]}", letters, i);

		fprintf(f, "{\"key\":\"%06d\",\"request\":%s}\n", i, request);
		*ret_bytes += (int64_t)strlen(request);
	}
	fclose(f);
	return text;
}

static bool told(struct gb_job *job, const char *word)
{
	_cleanup_free_ char *text = gb_job_error(job);
	bool yes = text && strstr(text, word);

	if (!yes)
		print_message("error is: %s\n", text ? text : "(none)");
	return yes;
}

static void test_few_are_counted(void **state)
{
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(7, 30, &bytes);
	struct gb_job *job = make_draft("a", text);
	struct gb_file *file;

	assert_int_equal(info_of(job).estimated_tokens, -1);
	assert_int_equal(BLOCKING(gb_estimate, job), 0);
	assert_int_equal(info_of(job).estimated_tokens, bytes);
	assert_int_equal(info_of(job).estimate_percent, 0);
	assert_string_equal(info_of(job).estimated_cost, "");
	assert_int_equal(fake_count(&fake, FAKE_COUNT), 7);
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	gb_job_unref(job);
	reopen();
	job = gb_job_by_name(client, "a");
	assert_int_equal(info_of(job).estimated_tokens, bytes);
	/* Another model, or another content, has another. */
	file = gb_file_by_name(job, NULL, GB_REQUESTS);
	assert_int_equal(gb_file_truncate(file, 0), 0);
	assert_int_equal(info_of(job).estimated_tokens, -1);
	assert_int_equal(gb_file_write(file, text, strlen(text), 0), 0);
	gb_file_settle(file);
	gb_file_unref(file);
	assert_int_equal(BLOCKING(gb_estimate, job), 0);
	assert_int_equal(gb_draft_set_model(job, "models/gemini-flash-latest"), 0);
	assert_int_equal(info_of(job).estimated_tokens, -1);
	gb_job_unref(job);
}

static void test_many_are_sampled(void **state)
{
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(5000, 50, &bytes);
	struct gb_job *job = make_draft("a", text);

	assert_int_equal(BLOCKING(gb_estimate, job), 0);
	assert_int_equal(info_of(job).estimated_tokens, bytes);
	assert_int_equal(info_of(job).estimate_percent, 0);
	assert_int_equal(fake_count(&fake, FAKE_COUNT), 20);
	assert_int_equal(info_of(job).requests, 5000);
	/* After the submission it does no harm. */
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	assert_int_equal(fake_count(&fake, FAKE_COUNT), 20);
	assert_int_equal(info_of(job).estimated_tokens, bytes);
	assert_int_equal(BLOCKING(gb_estimate, job), 0);
	assert_int_equal(info_of(job).estimated_tokens, bytes);
	assert_int_equal(fake_made(&fake), 1);
	gb_job_unref(job);
}

/* One that is refused, by its content, says nothing about the others. */
static void test_one_refused(void **state)
{
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(10, 30, &bytes);
	struct gb_job *job = make_draft("a", text);

	fake_script(&fake, FAKE_COUNT,
		(struct fake_answer){.what = FAKE_STATUS, .status = 400});
	assert_int_equal(BLOCKING(gb_estimate, job), 0);
	assert_int_equal(info_of(job).estimated_tokens, bytes);
	fake_script(&fake, FAKE_COUNT,
		(struct fake_answer){.what = FAKE_STATUS, .status = 400, .times = 10});
	assert_int_equal(BLOCKING(gb_estimate, job), -EINVAL);
	assert_true(told(job, "could not be counted"));
	assert_string_equal(info_of(job).state, "DRAFT");
	gb_job_unref(job);
}

static void write_draft_file(struct gb_job *job, struct gb_file *dir, const char *name,
	const void *data, size_t n)
{
	struct gb_file *file;

	assert_int_equal(gb_file_create(job, dir, name, true, &file), 0);
	assert_int_equal(gb_file_write(file, data, n, 0), 0);
	gb_file_settle(file);
	gb_file_unref(file);
}

/* Files are counted apart, each as often as it is named; not as text of the lines. */
static void test_attachments(void **state)
{
	static const uint8_t png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\6"
				     "\0\0\0\x1f\x15\xc4\x89";
	char *text = NULL;
	size_t size;
	int64_t bytes = 0;
	FILE *f = open_memstream(&text, &size);
	struct gb_job *job;

	for (int i = 0; i < 300; i++) {
		_cleanup_free_ char *request = util_format(
			"{\"contents\":[{\"parts\":[{\"text\":\"what?\"},{\"file_data\":"
			"{\"file_uri\":\"%c.png\"}}]}]}",
			'a' + i % 12);

		fprintf(f, "{\"key\":\"%03d\",\"request\":%s}\n", i, request);
		bytes += (int64_t)strlen(request);
	}
	fclose(f);
	job = make_draft("a", text);
	free(text);
	for (char name[] = "a.png"; name[0] < 'a' + 12; name[0]++)
		write_draft_file(job, NULL, name, png, sizeof(png));
	assert_int_equal(BLOCKING(gb_estimate, job), 0);
	assert_int_equal(info_of(job).estimated_tokens, bytes + 300 * 258);
	assert_int_equal(info_of(job).estimate_percent, 0);
	assert_int_equal(fake_count(&fake, FAKE_COUNT), 20);
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	gb_job_unref(job);
}

static void test_embeddings(void **state)
{
	struct gb_job *job = make_draft("a",
		"{\"key\":\"a\",\"request\":{\"content\":{\"parts\":[{\"text\":\"x\"}]}}}\n");

	/* The model must be one of their kind, as for a submission. */
	assert_int_equal(BLOCKING(gb_estimate, job), -EBADMSG);
	assert_int_equal(gb_draft_set_model(job, "models/gemini-embedding-001"), 0);
	assert_int_equal(BLOCKING(gb_estimate, job), 0);
	assert_int_equal(info_of(job).estimated_tokens, 36);
	assert_false(info_of(job).has_error);
	gb_job_unref(job);
}

static void test_failures(void **state)
{
	static const struct {
		struct fake_answer answer;
		int err;
	} rows[] = {
		{{.what = FAKE_STATUS, .status = 403}, -EACCES},
		{{.what = FAKE_STATUS, .status = 404}, -ENOENT},
		{{.what = FAKE_STATUS, .status = 429}, -EDQUOT},
		{{.what = FAKE_STATUS, .status = 500}, -EIO},
		{{.what = FAKE_UNREACHED}, -EHOSTUNREACH},
		{{.what = FAKE_NO_ANSWER}, -ETIMEDOUT},
		{{.what = FAKE_GARBAGE}, -EIO},
		{{.what = FAKE_PAGE, .status = 403}, -EHOSTUNREACH},
	};
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(30, 30, &bytes);
	struct gb_job *job = make_draft("a", text);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_answer a = rows[i].answer;

		a.times = 20;
		fake_unscript(&fake, FAKE_COUNT);
		fake_script(&fake, FAKE_COUNT, a);
		assert_int_equal(BLOCKING(gb_estimate, job), rows[i].err);
		assert_int_equal(info_of(job).estimated_tokens, -1);
	}
	fake_unscript(&fake, FAKE_COUNT);
	/* It keeps nobody from submitting who has set no limit. */
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	gb_job_unref(job);
}

/* ---- limits ------------------------------------------------------------------------------ */

/* With limits, and what prices.tsv has (NULL: there is none). */
static void limited(uint64_t tokens, double cost, bool background, const char *prices)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s.prices", state_dir);
	unlink(path);
	if (prices) {
		FILE *f = fopen(path, "w");

		fputs(prices, f);
		fclose(f);
	}
	fake_options.max_tokens = tokens;
	fake_options.max_cost = cost;
	fake_options.background = background;
	fake_options.prices = path;
	reopen();
}

static void test_max_tokens(void **state)
{
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(100, 30, &bytes), *number = NULL;
	struct gb_job *job;

	limited((uint64_t)bytes - 1, 0, false, NULL);
	job = make_draft("a", text);
	number = util_format("%lld", (long long)bytes);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CLOSE), -EDQUOT);
	assert_true(told(job, number) && told(job, "max_tokens"));
	assert_string_equal(info_of(job).state, "SUBMIT_FAILED");
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	gb_job_unref(job);
	limited((uint64_t)bytes, 0, false, NULL);
	job = gb_job_by_name(client, "a");
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	assert_int_equal(fake_made(&fake), 1);
	gb_job_unref(job);
}

static void test_max_cost(void **state)
{
	static const char prices[] = "model\tin\tout\ngemini-flash-latest\t1000000\t9\n";
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(10, 30, &bytes);
	struct gb_job *job;

	limited(0, (double)bytes - 0.5, false, prices);
	job = make_draft("a", text);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EDQUOT);
	assert_true(told(job, "max_cost"));
	assert_int_equal(strtoll(info_of(job).estimated_cost, NULL, 10), bytes);
	gb_job_unref(job);
	limited(0, (double)bytes, false, prices);
	job = gb_job_by_name(client, "a");
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	gb_job_unref(job);
}

static void test_no_price(void **state)
{
	static const struct {
		const char *prices, *word;
	} rows[] = {
		{NULL, "no price"},
		{"another\t1\t2\n", "no price"},
		{"gemini-flash-latest\t1\t2\n\nb\t1\n", "line 3"},
		{"gemini-flash-latest\t0,3\t2\n", "line 1"},
	};
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(2, 30, &bytes);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[8];

		limited(0, 1e9, false, rows[i].prices);
		snprintf(name, sizeof(name), "j%zu", i);
		struct gb_job *job = make_draft(name, text);
		assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), -EINVAL);
		assert_true(told(job, rows[i].word) && told(job, "max_cost"));
		/* An estimate without needs none; what is wrong is a warning. */
		assert_int_equal(BLOCKING(gb_estimate, job), 0);
		assert_string_equal(info_of(job).estimated_cost, "");
		_cleanup_free_ char *warnings = gb_job_warnings(job);
		assert_int_equal(!!warnings, i > 1);
		gb_job_unref(job);
	}
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	assert_int_equal(fake_made(&fake), 0);
}

/* Who set a limit wants nothing bought that nobody has counted. */
static void test_unknown_is_not_bought(void **state)
{
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(50, 30, &bytes);
	struct gb_job *job;

	limited(1000000, 0, false, NULL);
	job = make_draft("a", text);
	fake_script(&fake, FAKE_COUNT,
		(struct fake_answer){.what = FAKE_UNREACHED, .times = 20});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CLOSE), -EHOSTUNREACH);
	assert_true(told(job, "max_tokens cannot be checked"));
	assert_true(told(job, "without max_tokens"));
	assert_int_equal(fake_count(&fake, FAKE_UPLOAD), 0);
	fake_unscript(&fake, FAKE_COUNT);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CTL), 0);
	assert_int_equal(fake_made(&fake), 1);
	gb_job_unref(job);
}

static void await_state_here(struct gb_job *job, const char *state)
{
	double until = util_now() + 60;

	while (strcmp(info_of(job).state, state) != 0 && util_now() < until)
		usleep(1000);
	assert_string_equal(info_of(job).state, state);
}

/* Queued work asks once, and a limit ends the waiting. */
static void test_in_the_background(void **state)
{
	int64_t bytes;
	_cleanup_free_ char *text = lines_of(50, 30, &bytes);
	struct gb_job *job;

	setenv("BATCHFS_TEST_QUEUE_SECONDS", "0.01", 1);
	setenv("BATCHFS_TEST_BACKOFF_SECONDS", "0.01", 1);
	limited((uint64_t)bytes, 0, true, NULL);
	job = make_draft("a", text);
	fake_script(&fake, FAKE_CREATE,
		(struct fake_answer){.what = FAKE_STATUS, .status = 429, .times = 2});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CLOSE), 0);
	await_state_here(job, "JOB_STATE_PENDING");
	assert_int_equal(fake_count(&fake, FAKE_CREATE), 3);
	assert_int_equal(fake_count(&fake, FAKE_COUNT), 20);
	gb_job_unref(job);

	limited((uint64_t)bytes - 1, 0, true, NULL);
	job = make_draft("b", text);
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CLOSE), 0);
	await_state_here(job, "SUBMIT_FAILED");
	assert_true(told(job, "max_tokens"));
	assert_int_equal(fake_made(&fake), 1);
	gb_job_unref(job);

	/* What cannot be asked now is asked later. */
	limited((uint64_t)bytes, 0, true, NULL);
	job = make_draft("c", text);
	fake_script(&fake, FAKE_COUNT,
		(struct fake_answer){.what = FAKE_STATUS, .status = 500, .times = 20});
	assert_int_equal(BLOCKING(gb_submit, job, GB_BY_CLOSE), 0);
	await_state_here(job, "JOB_STATE_PENDING");
	assert_int_equal(fake_made(&fake), 2);
	gb_job_unref(job);
	unsetenv("BATCHFS_TEST_QUEUE_SECONDS");
	unsetenv("BATCHFS_TEST_BACKOFF_SECONDS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_sample_takes_all_of_few),
		cmocka_unit_test(test_sample_of_a_range),
		cmocka_unit_test(test_sample_is_spread_by_bytes),
		cmocka_unit_test(test_sample_passes_over_long_lines),
		FAKE_CASE(test_few_are_counted),
		FAKE_CASE(test_many_are_sampled),
		FAKE_CASE(test_one_refused),
		FAKE_CASE(test_attachments),
		FAKE_CASE(test_embeddings),
		FAKE_CASE(test_failures),
		FAKE_CASE(test_max_tokens),
		FAKE_CASE(test_max_cost),
		FAKE_CASE(test_no_price),
		FAKE_CASE(test_unknown_is_not_bought),
		FAKE_CASE(test_in_the_background),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
