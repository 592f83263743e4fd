/* Answers of a directory with several jobs of the API behind it: when they are there, what
 * they are made of, and what a restart makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_client.h"
#include "parts_fixture.h"

#define ASK(k) "{\"key\":\"" k "\",\"request\":{\"contents\":[]}}\n"
#define SAYS(k, text)                                                                  \
	"{\"key\":\"" k "\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"    \
	"[{\"text\":\"" text "\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":"    \
	"{\"promptTokenCount\":3,\"candidatesTokenCount\":4}}}\n"
#define FAILS(k)                                                                       \
	"{\"key\":\"" k "\",\"error\":{\"code\":13,\"message\":\"no\"}}\n"

/* ---- directories ---------------------------------------------------------------------- */

/* A draft whose requests were cut. Nothing is bought or saved but by this test. */
static struct gb_job *cut_requests(const char *name, const char *requests)
{
	struct gb_job *dir = make_draft(name, requests);

	client_lock(dir->c);
	dir->c->o.readonly = fake_options.readonly = true;
	dir->dir->rec.own = true;
	dir->dir->rec.batch->sent_size = (int64_t)strlen(requests);
	job_set_phase(dir, PHASE_PARTS);
	client_unlock(dir->c);
	assert_int_equal(job_dir_save(dir), 0);
	return dir;
}

/* Buy requests as the next part of round 0. */
static struct gb_job *buy(struct gb_job *dir, const char *requests)
{
	struct gb_job *part;

	client_lock(dir->c);
	struct part_range at = parts_rest(dir);
	client_unlock(dir->c);
	assert_true(at.len >= (int64_t)strlen(requests));
	at.len = (int64_t)strlen(requests);
	assert_int_equal(parts_make(dir, 0, 0, at, 1, PHASE_SUBMITTING, &part), 0);
	struct fake_job *j = fake_stranger(&fake, part->dir->rec.display);
	j->input = "files/in";
	j->requests = (char *)requests;
	bind_to(part, j);
	return part;
}

/* Buy requests again. */
static struct gb_job *buy_again(struct gb_job *dir, int round, const char *requests)
{
	struct gb_job *part;

	assert_int_equal(parts_make(dir, round, 0, (struct part_range){0}, 1,
				 PHASE_SUBMITTING, &part),
		0);
	_cleanup_close_ int at = job_dir_open(part);
	assert_int_equal(
		util_write_file(at, STORE_SENT, requests, strlen(requests), false), 0);
	client_lock(dir->c);
	part->dir->rec.batch->sent_size = (int64_t)strlen(requests);
	client_unlock(dir->c);
	struct fake_job *j = fake_stranger(&fake, part->dir->rec.display);
	j->input = "files/in";
	j->requests = (char *)requests;
	bind_to(part, j);
	assert_int_equal(job_dir_save(part), 0);
	return part;
}

static struct fake_job *at_api(struct gb_job *part)
{
	for (unsigned i = 0; i < fake_made(&fake); i++)
		if (strcmp(fake_job(&fake, i)->display, part->dir->rec.display) == 0)
			return fake_job(&fake, i);
	fail();
	return NULL;
}

/* Results NULL: it fails. They are not saved yet. */
static void end_only(struct gb_job *part, const char *results)
{
	struct fake_job *j = at_api(part);
	struct gb_info i = {0};

	fake_end(&fake, j, results ? REMOTE_STATE_SUCCEEDED : REMOTE_STATE_FAILED);
	if (results)
		j->results = (char *)results;
	for (double until = util_now() + 60; !i.ended && util_now() < until;) {
		assert_int_equal(BLOCKING(gb_job_refresh, part), 0);
		gb_part_info(part, &i);
	}
	assert_true(i.ended);
}

static void end_part(struct gb_job *part, const char *results)
{
	end_only(part, results);
	if (results)
		assert_int_equal(BLOCKING(gb_part_save_results, part), 0);
}

/* ---- reading -------------------------------------------------------------------------- */

static struct gb_answers *answers_of(struct gb_job *job, bool part)
{
	struct gb_answers *a = NULL;
	struct waiter_sync s;
	int err;

	do {
		waiter_sync_init(&s);
		err = part ? gb_part_answers_open(job, &s.w, &a)
			   : gb_answers_open(job, &s.w, &a);
		if (err == -EINPROGRESS && (err = waiter_sync_wait(&s)) == 0)
			err = -EINPROGRESS;
	} while (err == -EINPROGRESS);
	return err ? NULL : a;
}

static char *text_of(struct gb_answers *a, enum gb_answers_file what)
{
	char *text = calloc(1, 1 << 20);
	ssize_t n = gb_answers_read(a, what, 0, 0, text, (1 << 20) - 1, NULL);

	assert_true(n >= 0);
	return text;
}

static void expect_file(
	struct gb_job *job, bool part, enum gb_answers_file what, const char *want)
{
	struct gb_answers *a = answers_of(job, part);

	assert_non_null(a);
	_cleanup_free_ char *got = text_of(a, what);
	assert_string_equal(got, want);
	gb_answers_close(a);
}

static bool has_line(struct gb_job *job, const char *line)
{
	struct gb_answers *a = answers_of(job, false);
	_cleanup_free_ char *got = text_of(a, GB_ANSWERS_USAGE);

	gb_answers_close(a);
	return strstr(got, line);
}

/* ---- cases ------------------------------------------------------------------------------ */

static const char three[] = ASK("a") ASK("b") ASK("c") ASK("d") ASK("e") ASK("f");

static void as_they_come(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));
	struct gb_info i;

	assert_null(answers_of(dir, false));
	end_part(two, SAYS("d", "D") SAYS("c", "C"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tpending\t\nb\tpending\t\nc\tanswered\tC\nd\tanswered\tD\n"
		"e\tpending\t\nf\tpending\t\n");
	assert_true(has_line(dir, "pending 4\n"));
	gb_job_info(dir, &i);
	assert_true(i.has_answers && i.answers_there && i.answers_grow);

	struct gb_answers *before = answers_of(dir, false);
	assert_false(gb_answers_final(before));
	end_part(one, SAYS("a", "A") FAILS("b"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tfailed\tINTERNAL (13): no\nc\tanswered\tC\n"
		"d\tanswered\tD\ne\tpending\t\nf\tpending\t\n");
	expect_file(dir, false, GB_ANSWERS_RETRY, ASK("b"));
	/* Who had it open reads what it was. */
	_cleanup_free_ char *old = text_of(before, GB_ANSWERS_TSV);
	assert_memory_equal(old, "a\tpending\t\n", 11);
	gb_answers_close(before);
	/* A part by itself. */
	expect_file(one, true, GB_ANSWERS_TSV, "a\tanswered\tA\nb\tfailed\tINTERNAL (13): no\n");
	expect_file(one, true, GB_ANSWERS_RETRY, ASK("b"));
	expect_file(two, true, GB_ANSWERS_TSV, "c\tanswered\tC\nd\tanswered\tD\n");

	struct gb_job *last = buy(dir, ASK("e") ASK("f"));
	end_part(last, NULL);
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tfailed\tINTERNAL (13): no\nc\tanswered\tC\n"
		"d\tanswered\tD\ne\tmissing\tthere is no result for this request\n"
		"f\tmissing\tthere is no result for this request\n");
	expect_file(dir, false, GB_ANSWERS_RETRY, ASK("b") ASK("e") ASK("f"));
	assert_true(has_line(dir, "pending 0\n"));
	assert_true(has_line(dir, "prompt_token_count 9\n"));
	gb_job_unref(dir);
}

/* Who waited for the end of all reads what came of all, saved or not. */
static void when_all_have_ended(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));
	struct gb_job *last = buy(dir, ASK("e") ASK("f"));

	end_part(one, SAYS("a", "A") SAYS("b", "B"));
	end_only(two, SAYS("c", "C") SAYS("d", "D"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tpending\t\nd\tpending\t\n"
		"e\tpending\t\nf\tpending\t\n");
	end_only(last, SAYS("e", "E") SAYS("f", "F"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\nd\tanswered\tD\n"
		"e\tanswered\tE\nf\tanswered\tF\n");
	gb_job_unref(dir);
}

static void rounds(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b") ASK("c")),
		      *two = buy(dir, ASK("d") ASK("e") ASK("f"));

	end_part(one, SAYS("a", "A") FAILS("b") FAILS("c"));
	end_part(two, SAYS("f", "F") FAILS("e"));
	expect_file(dir, false, GB_ANSWERS_RETRY, ASK("b") ASK("c") ASK("d") ASK("e"));
	struct gb_job *again = buy_again(dir, 1, ASK("b") ASK("c") ASK("d"));
	/* What is asked is not offered. */
	expect_file(dir, false, GB_ANSWERS_RETRY, ASK("e"));
	end_part(again, SAYS("b", "B") FAILS("c") SAYS("d", "D"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tfailed\tINTERNAL (13): no\n"
		"d\tanswered\tD\ne\tfailed\tINTERNAL (13): no\nf\tanswered\tF\n");
	expect_file(dir, false, GB_ANSWERS_RETRY, ASK("c") ASK("e"));
	/* All of it was paid. */
	assert_true(has_line(dir, "prompt_token_count 12\n"));
	expect_file(again, true, GB_ANSWERS_TSV,
		"b\tanswered\tB\nc\tfailed\tINTERNAL (13): no\nd\tanswered\tD\n");
	expect_file(one, true, GB_ANSWERS_RETRY, ASK("b") ASK("c"));

	struct gb_answer node, old;
	assert_true(gb_answer_child(dir, 0, "c.error", &old));
	again = buy_again(dir, 2, ASK("c") ASK("e"));
	end_part(again, SAYS("c", "C") SAYS("e", "E"));
	expect_file(dir, false, GB_ANSWERS_RETRY, "");
	/* A file that is gone has left its number. */
	assert_false(gb_answer_get(dir, old.number, &node));
	assert_true(gb_answer_child(dir, 0, "c.txt", &node));
	assert_true(gb_answer_get(dir, node.number, &node));
	gb_job_unref(dir);
}

static void after_a_restart(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b"));
	struct gb_info i;

	end_part(one, SAYS("a", "A") SAYS("b", "B"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tpending\t\nd\tpending\t\n"
		"e\tpending\t\nf\tpending\t\n");
	gb_job_unref(dir);
	reopen();
	dir = gb_job_by_name(client, "dir");
	assert_non_null(dir);
	gb_job_info(dir, &i);
	assert_true(i.has_answers && i.answers_pending && !i.answers_there);
	assert_int_equal(BLOCKING(gb_answers_look, dir), 0);
	gb_job_info(dir, &i);
	assert_true(i.answers_there);
	struct gb_job *two = buy(dir, ASK("c") ASK("d"));
	end_part(two, SAYS("c", "C") SAYS("d", "D"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\nd\tanswered\tD\n"
		"e\tpending\t\nf\tpending\t\n");
	gb_job_unref(dir);
}

/* By the clock of the disk. */
static struct timespec time_now(void)
{
	struct stat st;
	int fd = open(state_dir, O_TMPFILE | O_RDWR, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return st.st_mtim;
}

static bool is_older(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* make, which has read them, sees that they have become more, however long ago the API has
 * ended what they became more by; and a start or another answer changes no time. */
static void times(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));
	struct gb_answer first, node;
	struct gb_info i, was;

	end_part(one, SAYS("a", "A") SAYS("b", "B"));
	expect_file(dir, false, GB_ANSWERS_RETRY, "");
	gb_job_info(dir, &was);
	assert_true(gb_answer_child(dir, 0, "a.txt", &first));
	usleep(20000);
	struct timespec read_at = time_now();
	usleep(20000);
	end_part(two, SAYS("c", "C") SAYS("d", "D"));
	expect_file(dir, false, GB_ANSWERS_RETRY, "");
	gb_job_info(dir, &i);
	assert_true(is_older(was.answers_at, read_at) && is_older(read_at, i.answers_at));
	assert_true(gb_answer_child(dir, 0, "a.txt", &node));
	assert_memory_equal(&first.at, &node.at, sizeof(node.at));
	assert_true(gb_answer_child(dir, 0, "c.txt", &node));
	assert_true(is_older(read_at, node.at));
	was = i;
	gb_job_unref(dir);
	reopen();
	dir = gb_job_by_name(client, "dir");
	assert_int_equal(BLOCKING(gb_answers_look, dir), 0);
	gb_job_info(dir, &i);
	assert_memory_equal(&i.answers_at, &was.answers_at, sizeof(was.answers_at));
	assert_true(gb_answer_child(dir, 0, "a.txt", &node));
	assert_memory_equal(&first.at, &node.at, sizeof(node.at));
	gb_job_unref(dir);
}

/* The API has mixed up whose output is whose: what was paid for is found by its key, and not
 * asked again. */
static void swapped(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));
	struct gb_job *last = buy(dir, ASK("e") ASK("f"));

	end_part(one, SAYS("d", "D") SAYS("c", "C"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tmissing\tthere is no result for this request\n"
		"b\tmissing\tthere is no result for this request\n"
		"c\tanswered\tC\nd\tanswered\tD\ne\tpending\t\nf\tpending\t\n");
	/* One of them twice: the newer counts, and nothing has a line of its own. */
	end_part(two, SAYS("a", "A") SAYS("b", "B") SAYS("d", "E"));
	end_part(last, SAYS("f", "F") FAILS("e"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\nd\tanswered\tE\n"
		"e\tfailed\tINTERNAL (13): no\nf\tanswered\tF\n");
	expect_file(dir, false, GB_ANSWERS_RETRY, ASK("e"));
	assert_true(has_line(dir, "answered 5\n"));
	gb_job_unref(dir);
}

/* Bought whole, and then more. */
static void its_own_first_part(void **state)
{
	struct gb_job *dir = make_draft("dir", ASK("a") ASK("b"));
	struct gb_answer was, node;

	client_lock(dir->c);
	dir->dir->rec.own = true;
	job_set_phase(dir, PHASE_SENT);
	client_unlock(dir->c);
	struct fake_job *j = fake_stranger(&fake, "dir");
	j->input = "files/in";
	j->requests = (char *)ASK("a") ASK("b");
	bind_to(dir, j);
	assert_int_equal(job_dir_save(dir), 0);
	fake_end(&fake, j, REMOTE_STATE_SUCCEEDED);
	j->results = (char *)SAYS("a", "A") FAILS("b");
	await_state(dir, "JOB_STATE_SUCCEEDED");
	assert_int_equal(BLOCKING(gb_save_results, dir), 0);
	expect_file(dir, false, GB_ANSWERS_RETRY, ASK("b"));
	assert_true(gb_answer_child(dir, 0, "a.txt", &was));
	struct gb_job *again = buy_again(dir, 1, ASK("b"));
	expect_file(dir, false, GB_ANSWERS_RETRY, "");
	expect_file(dir, true, GB_ANSWERS_RETRY, ASK("b"));
	end_part(again, SAYS("b", "B"));
	expect_file(dir, false, GB_ANSWERS_TSV, "a\tanswered\tA\nb\tanswered\tB\n");
	expect_file(dir, true, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tfailed\tINTERNAL (13): no\n");
	assert_true(gb_answer_child(dir, 0, "a.txt", &node));
	assert_int_equal(was.number, node.number);
	gb_job_unref(dir);
}

static void nothing_is_bought_any_more(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));

	end_part(one, SAYS("a", "A") SAYS("b", "B"));
	client_lock(dir->c);
	dir->dir->rec.rest_dropped = true;
	client_unlock(dir->c);
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tpending\t\nd\tpending\t\n"
		"e\tmissing\tit was not sent\nf\tmissing\tit was not sent\n");
	end_part(two, SAYS("c", "C") SAYS("d", "D"));
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\nd\tanswered\tD\n"
		"e\tmissing\tit was not sent\nf\tmissing\tit was not sent\n");
	gb_job_unref(dir);
}

static void what_is_lost_comes_again(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));
	struct stat st;

	end_part(one, SAYS("a", "A") SAYS("b", "B"));
	end_part(two, SAYS("c", "C") SAYS("d", "D"));
	assert_true(has_line(dir, "answered 4\n"));
	_cleanup_close_ int at = job_dir_open(two);
	assert_int_equal(unlinkat(at, "results.jsonl", 0), 0);
	assert_int_equal(unlinkat(at, "results.jsonl.map", 0), 0);
	gb_job_unref(dir);
	reopen();
	dir = gb_job_by_name(client, "dir");
	two = gb_job_part(dir, 2);
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tpending\t\nd\tpending\t\n"
		"e\tpending\t\nf\tpending\t\n");
	assert_int_equal(BLOCKING(gb_part_save_results, two), 0);
	assert_int_equal(fstatat(at, "results.jsonl", &st, 0), 0);
	expect_file(dir, false, GB_ANSWERS_TSV,
		"a\tanswered\tA\nb\tanswered\tB\nc\tanswered\tC\nd\tanswered\tD\n"
		"e\tpending\t\nf\tpending\t\n");
	gb_job_unref(two);
	gb_job_unref(dir);
}

/* A line of the history for each. */
static void each_is_counted(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));
	char text[65536] = "";

	end_part(one, SAYS("a", "A") SAYS("b", "B"));
	end_part(two, SAYS("c", "C"));
	assert_true(has_line(dir, "total_token_count 21\n"));
	assert_true(pread(gb_history_fd(client), text, sizeof text - 1, 0) > 0);
	const char *first = strstr(text, "counted");
	assert_non_null(first);
	const char *second = strstr(first + 1, "counted");
	assert_non_null(second);
	assert_null(strstr(second + 1, "counted"));
	gb_job_unref(dir);
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void two_hundred(void **state)
{
	enum { N = 200 };
	char *requests = NULL, *want = NULL, *texts[N][2];
	size_t len;
	FILE *q = open_memstream(&requests, &len), *w = open_memstream(&want, &len);

	for (int i = 0; i < N; i++) {
		texts[i][0] = util_format(ASK("k%d"), i);
		texts[i][1] = util_format(SAYS("k%d", "T%d"), i, i);
		fputs(texts[i][0], q);
		fprintf(w, "k%d\tanswered\tT%d\n", i, i);
	}
	fclose(q);
	fclose(w);
	struct gb_job *dir = cut_requests("dir", requests), *parts[N];

	for (int i = 0; i < N; i++)
		parts[i] = buy(dir, texts[i][0]);
	unsigned before = descriptors();
	for (int i = 0; i < N; i++)
		end_part(parts[(i * 7) % N], texts[(i * 7) % N][1]);
	expect_file(dir, false, GB_ANSWERS_TSV, want);
	assert_true(descriptors() < before + 50);
	for (int i = 0; i < N; i++) {
		free(texts[i][0]);
		free(texts[i][1]);
	}
	free(requests);
	free(want);
	gb_job_unref(dir);
}

/* ---- results.jsonl of the directory ------------------------------------------------------- */

static char *results_of(struct gb_job *dir, int64_t *ret_size)
{
	struct gb_results *r;
	size_t have = 0;
	char *text = calloc(1, 1 << 20);

	assert_int_equal(gb_results_open(dir, &r), 0);
	assert_int_equal(gb_results_size(r, NULL, ret_size), 0);
	/* In pieces of several sizes, which go over ends of parts. */
	for (size_t piece = 1;; piece = piece * 2 % 1021 + 1) {
		struct waiter_sync s;
		size_t ready = 0;

		while (ready < piece) {
			waiter_sync_init(&s);
			ssize_t n = gb_results_ready(
				r, have + ready, piece - ready, &s.w);
			if (n == -EINPROGRESS) {
				assert_int_equal(waiter_sync_wait(&s), 0);
				continue;
			}
			assert_true(n >= 0);
			if (!n)
				break;
			ready += (size_t)n;
		}
		if (!ready)
			break;
		assert_int_equal(gb_results_read(r, text + have, ready, have), ready);
		have += ready;
	}
	assert_false(gb_results_final(r));
	gb_results_close(r);
	assert_int_equal(have, *ret_size);
	return text;
}

static int opens(struct gb_job *dir)
{
	struct gb_results *r;
	int err = gb_results_open(dir, &r);

	if (!err)
		gb_results_close(r);
	return err;
}

static void one_file_of_all(void **state)
{
	struct gb_job *dir = cut_requests("dir", three);
	struct gb_job *one = buy(dir, ASK("a") ASK("b")), *two = buy(dir, ASK("c") ASK("d"));
	struct gb_job *last = buy(dir, ASK("e")), *none = buy(dir, ASK("f"));
	char cut[] = SAYS("d", "D") SAYS("c", "C");
	struct gb_info i;
	int64_t size;

	cut[strlen(cut) - 1] = '\0';
	assert_int_equal(opens(dir), -ENOENT);
	end_part(last, SAYS("e", "E"));
	end_part(two, cut);
	end_part(none, NULL);
	assert_int_equal(opens(dir), -ENOENT);
	end_part(one, SAYS("a", "A") FAILS("b"));
	_cleanup_free_ char *text = results_of(dir, &size);
	assert_string_equal(text, SAYS("a", "A") FAILS("b") SAYS("d", "D") SAYS("c", "C")
					  SAYS("e", "E"));
	gb_job_info(dir, &i);
	assert_int_equal(i.results_size, size);
	/* Later rounds follow. */
	struct gb_job *again = buy_again(dir, 1, ASK("b"));
	assert_int_equal(opens(dir), -ENOENT);
	end_part(again, SAYS("b", "B"));
	_cleanup_free_ char *more = results_of(dir, &size);
	assert_string_equal(more, SAYS("a", "A") FAILS("b") SAYS("d", "D") SAYS("c", "C")
					  SAYS("e", "E") SAYS("b", "B"));
	gb_job_unref(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_CASE(as_they_come),
		FAKE_CASE(when_all_have_ended),
		FAKE_CASE(rounds), FAKE_CASE(swapped),
		FAKE_CASE(after_a_restart), FAKE_CASE(times),
		FAKE_CASE(its_own_first_part),
		FAKE_CASE(nothing_is_bought_any_more),
		FAKE_CASE(what_is_lost_comes_again),
		FAKE_CASE(each_is_counted),
		FAKE_CASE(two_hundred),
		FAKE_CASE(one_file_of_all),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
