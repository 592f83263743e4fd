#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "store/uploads.h"

#define ORIGIN "https://h"
#define KEY "0123456789abcdef"
#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define LID1 "1111111111111111"
#define LID2 "2222222222222222"
#define HOUR 3600

static const struct content a = {A, "image/png", ORIGIN, KEY, 10},
			    b = {B, "image/png", ORIGIN, KEY, 20},
			    a_text = {A, "text/plain", ORIGIN, KEY, 10},
			    a_other_key = {A, "image/png", ORIGIN, "x", 10};

struct fixture {
	char dir[64];
	struct store store;
	struct uploads *r;
	bool damaged;
	const char *gone; /* a LID that is not known */
};

static int known(void *arg, const char *lid)
{
	struct fixture *f = arg;

	return !f->gone || strcmp(f->gone, lid) != 0;
}

static void reopen(struct fixture *f)
{
	uploads_close(f->r);
	f->r = NULL;
	assert_int_equal(uploads_open(&f->store, known, f, &f->r, &f->damaged), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	strcpy(f->dir, "/tmp/gb_test_registry.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->store.state = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	reopen(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uploads_close(f->r);
	close(f->store.state);
	assert_int_equal(util_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static time_t in(double hours)
{
	return time(NULL) + (time_t)(hours * HOUR);
}

static void add_copy(struct fixture *f, const struct content *c, const char *id,
	double hours, const char *lid, const char *copy)
{
	char file[64], uri[128];
	struct placed p = {file, uri, "image/png", in(hours)};

	snprintf(file, sizeof file, "files/%s", id);
	snprintf(uri, sizeof uri, ORIGIN "/v1beta/files/%s", id);
	assert_int_equal(uploads_add(f->r, c, &p, lid, copy), 0);
}

static void add(struct fixture *f, const struct content *c, const char *id,
	double hours, const char *lid)
{
	add_copy(f, c, id, hours, lid, "inputs/cat 1.png");
}

/* The file that is taken for c, "" for none. */
static const char *take(
	struct fixture *f, const struct content *c, double hours, const char *lid)
{
	static char file[64];
	struct placed p;
	int err = uploads_take(f->r, c, in(hours), lid, "cat.png", &p);

	if (err) {
		assert_int_equal(err, -ENOENT);
		return "";
	}
	assert_string_equal(p.mime, "image/png");
	assert_true(uploads_uri_valid(p.uri, p.file, ORIGIN));
	snprintf(file, sizeof file, "%s", p.file);
	placed_clear(&p);
	return file;
}

static const char *idle(struct fixture *f)
{
	static char file[64];
	_cleanup_free_ char *got = uploads_next_idle(f->r, ORIGIN, KEY, in(0));

	snprintf(file, sizeof file, "%s", got ? got : "");
	return file;
}

static void test_content(void **state)
{
	struct fixture *f = *state;

	add(f, &a, "one", 48, LID1);
	for (int again = 0; again < 2; again++) {
		assert_string_equal(take(f, &a, 40, LID1), "files/one");
		assert_string_equal(take(f, &a, 49, LID1), "");
		assert_string_equal(take(f, &b, 0, LID1), "");
		assert_string_equal(take(f, &a_text, 0, LID1), "");
		assert_string_equal(take(f, &a_other_key, 0, LID1), "");
		reopen(f);
		assert_false(f->damaged);
	}
	/* The newest is given. */
	add(f, &a, "two", 48, LID1);
	assert_string_equal(take(f, &a, 40, LID1), "files/two");
	reopen(f);
	assert_string_equal(take(f, &a, 40, LID1), "files/two");
}

static void test_holders(void **state)
{
	struct fixture *f = *state;

	add(f, &a, "one", 48, LID1);
	add(f, &b, "two", 48, LID1);
	assert_string_equal(take(f, &a, 40, LID2), "files/one");
	assert_true(uploads_holds(f->r, LID1));
	assert_string_equal(idle(f), "");
	uploads_end(f->r, LID1);
	assert_false(uploads_holds(f->r, LID1));
	reopen(f);
	assert_false(uploads_holds(f->r, LID1));
	assert_true(uploads_holds(f->r, LID2));
	/* Only what nobody holds, once, and never to anybody else meanwhile. */
	assert_string_equal(idle(f), "files/two");
	assert_string_equal(idle(f), "");
	assert_string_equal(take(f, &b, 0, LID2), "");
	uploads_deleted(f->r, "files/two", true);
	assert_string_equal(take(f, &b, 0, LID2), "");
	uploads_forget(f->r, LID2);
	assert_string_equal(idle(f), "files/one");
	uploads_deleted(f->r, "files/one", false);
	/* It is still there: for who needs it, or to be deleted later. */
	assert_string_equal(take(f, &a, 40, LID2), "files/one");
	uploads_end(f->r, LID2);
	reopen(f);
	assert_string_equal(idle(f), "files/one");
	/* Not with another key. */
	reopen(f);
	assert_null(uploads_next_idle(f->r, ORIGIN, "x", in(0)));
	assert_null(uploads_next_idle(f->r, "https://other", KEY, in(0)));
}

/* Who held something again after it was decided to end keeps it. */
/* Requests that were uploaded with its URI can be sent again as they are. */
static void test_own_first(void **state)
{
	struct fixture *f = *state;

	add(f, &a, "one", 20, LID1);
	add(f, &a, "two", 30, LID2);
	assert_string_equal(take(f, &a, 10, LID1), "files/one");
	assert_string_equal(take(f, &a, 10, LID2), "files/two");
	/* One that does not live long enough is no good, and one that was given up. */
	assert_string_equal(take(f, &a, 25, LID1), "files/two");
	uploads_end(f->r, LID1);
	assert_string_equal(take(f, &a, 10, LID1), "files/two");
}

static void test_end_since(void **state)
{
	struct fixture *f = *state;

	add(f, &a, "one", 48, LID1);
	uint64_t claims = uploads_claims(f->r, LID1);
	assert_string_equal(take(f, &a, 40, LID1), "files/one");
	uploads_end_since(f->r, LID1, claims);
	assert_true(uploads_holds(f->r, LID1));
	uploads_end_since(f->r, LID1, uploads_claims(f->r, LID1));
	assert_false(uploads_holds(f->r, LID1));
	assert_string_equal(idle(f), "files/one");
}

static void test_lookup(void **state)
{
	struct fixture *f = *state;
	char sha[65];
	char *copies, *mime;
	time_t until;

	add(f, &a, "one", 48, LID1);
	assert_string_equal(take(f, &a, 40, LID2), "files/one");
	uploads_end(f->r, LID1);
	uploads_end(f->r, LID2);
	assert_string_equal(idle(f), "files/one");
	uploads_deleted(f->r, "files/one", true);
	reopen(f);
	assert_int_equal(uploads_lookup(f->r, ORIGIN "/v1beta/files/one", ORIGIN, KEY,
				 sha, &mime, &copies, &until),
		0);
	assert_string_equal(sha, A);
	assert_string_equal(mime, "image/png");
	assert_non_null(strstr(copies, LID1 " inputs/cat 1.png\n"));
	assert_non_null(strstr(copies, LID2 " cat.png\n"));
	assert_int_equal(until, 0);
	free(copies);
	free(mime);
	assert_int_equal(
		uploads_hold(f->r, ORIGIN "/v1beta/files/one", LID2, "x"), -ENOENT);
	/* Almost ours. */
	static const char *const others[] = {ORIGIN "/v1beta/files/other",
		"https://x/files/one", "files/one", "", "/",
		ORIGIN "/v1beta/files/one/"};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(uploads_lookup(f->r, others[i], ORIGIN, KEY, sha,
					 &mime, &copies, &until),
			-ENOENT);
	/* With its last copy it is forgotten. */
	f->gone = LID1;
	uploads_forget(f->r, LID2);
	reopen(f);
	assert_int_equal(uploads_lookup(f->r, ORIGIN "/v1beta/files/one", ORIGIN, KEY,
				 sha, &mime, &copies, &until),
		-ENOENT);
}

static void test_lives(void **state)
{
	struct fixture *f = *state;
	char sha[65];
	char *copies, *mime;
	time_t until;

	add(f, &a, "one", 48, LID1);
	add(f, &b, "old", -24 * 31, LID1);
	assert_int_equal(uploads_hold(f->r, ORIGIN "/v1beta/files/one", LID2, "x"), 0);
	assert_int_equal(uploads_lookup(f->r, ORIGIN "/v1beta/files/one", ORIGIN, KEY,
				 sha, &mime, &copies, &until),
		0);
	assert_true(until > in(47));
	free(copies);
	free(mime);
	assert_int_equal(uploads_lookup(f->r, ORIGIN "/v1beta/files/one", ORIGIN, "x",
				 sha, &mime, &copies, &until),
		0);
	assert_int_equal(until, 0);
	free(copies);
	free(mime);
	/* What the API says that it has not is gone for all. */
	assert_int_equal(uploads_doubt(f->r, LID2), 1);
	assert_string_equal(take(f, &a, 0, LID1), "");
	reopen(f);
	assert_string_equal(take(f, &a, 0, LID1), "");
	/* Time tells what a confirmed clock says, and no start by itself. */
	assert_int_equal(uploads_lookup(f->r, ORIGIN "/v1beta/files/old", ORIGIN, KEY,
				 sha, &mime, &copies, &until),
		0);
	free(copies);
	free(mime);
	uploads_expire(f->r, in(0));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(uploads_lookup(f->r, ORIGIN "/v1beta/files/old",
					 ORIGIN, KEY, sha, &mime, &copies, &until),
			-ENOENT);
		reopen(f);
	}
}

static void test_sessions(void **state)
{
	struct fixture *f = *state;
	char *url;

	assert_null(uploads_session(f->r, &a, in(0)));
	assert_int_equal(uploads_keep_session(f->r, &a, "https://h/u?id=1", in(0)), 0);
	assert_int_equal(uploads_keep_session(f->r, &a, "https://h/u?id=2", in(0)), 0);
	assert_int_equal(uploads_keep_session(f->r, &b, "https://h/u?id=3", in(0)), 0);
	assert_int_equal(uploads_keep_session(f->r, &b, NULL, in(0)), 0);
	reopen(f);
	url = uploads_session(f->r, &a, in(0));
	assert_string_equal(url, "https://h/u?id=2");
	free(url);
	assert_null(uploads_session(f->r, &b, in(0)));
	assert_null(uploads_session(f->r, &a_other_key, in(0)));
	/* An upload that has ended needs none. */
	add(f, &a, "one", 48, LID1);
	assert_null(uploads_session(f->r, &a, in(0)));
	reopen(f);
	assert_null(uploads_session(f->r, &a, in(0)));
}

static char *log_text(struct fixture *f, size_t *ret_len)
{
	char *text;

	assert_int_equal(
		util_read_file(f->store.state, "attachments", 1 << 20, &text, ret_len),
		0);
	return text;
}

static void set_log(struct fixture *f, const void *text, size_t n)
{
	assert_int_equal(
		util_write_file(f->store.state, "attachments", text, n, false), 0);
}

/* Whatever byte is damaged: what is believed was written, and the rest stays. */
static void test_damage(void **state)
{
	struct fixture *f = *state;
	size_t n;

	add(f, &a, "one", 48, LID1);
	add(f, &b, "two", 48, LID1);
	_cleanup_free_ char *good = log_text(f, &n);
	_cleanup_free_ char *bad = malloc(n);
	for (size_t i = 0; i < n; i++) {
		int found;

		memcpy(bad, good, n);
		bad[i] ^= 0x15;
		set_log(f, bad, n);
		uploads_close(f->r);
		f->r = NULL;
		assert_int_equal(
			uploads_open(&f->store, known, f, &f->r, &f->damaged), 0);
		assert_true(f->damaged);
		assert_int_equal(
			faccessat(f->store.state, "aside/attachments", F_OK, 0), 0);
		found = strcmp(take(f, &a, 0, LID1), "files/one") == 0;
		found += strcmp(take(f, &b, 0, LID1), "files/two") == 0;
		assert_true(found >= (i < strlen("batchfs attachments 1\n") ? 0 : 1));
		reopen(f);
		assert_false(f->damaged);
	}
}

/* Cut anywhere, as by a crash: all lines before the cut count. */
/* A name of any length, of characters that JSON writes longer. */
static void test_long_name(void **state)
{
	struct fixture *f = *state;
	char name[4000];

	memset(name, 1, sizeof name - 1);
	name[sizeof name - 1] = 0;
	add_copy(f, &a, "one", 40, LID1, name);
	reopen(f);
	assert_false(f->damaged);
	assert_true(uploads_holds(f->r, LID1));
	assert_string_equal(idle(f), "");
}

static void test_cut(void **state)
{
	struct fixture *f = *state;
	size_t n;

	add(f, &a, "one", 48, LID1);
	free(log_text(f, &n));
	size_t whole = n;
	add(f, &b, "two", 48, LID1);
	_cleanup_free_ char *good = log_text(f, &n);
	for (size_t i = 0; i < n; i++) {
		set_log(f, good, i);
		reopen(f);
		if (i >= whole)
			assert_string_equal(take(f, &a, 0, LID1), "files/one");
		add(f, &b, "two", 48, LID1);
		reopen(f);
		assert_false(f->damaged);
		assert_string_equal(take(f, &b, 0, LID1), "files/two");
	}
}

/* Lines with a good sum that claim what cannot be. */
static void test_claims(void **state)
{
	struct fixture *f = *state;
	static const char *const claims[] = {"{}", "[]", "\"x\"", "{\"op\":\"up\"}",
		"{\"op\":\"ref\",\"file\":\"files/x\",\"lid\":\"../../../../etc/"
		"x\",\"name\":\"x\"}",
		"{\"op\":\"up\",\"sha256\":\"" A
		"\",\"mime\":\"image/png\",\"origin\":\"" ORIGIN "\",\"key\":\"" KEY
		"\",\"size\":1,\"file\":\"files/../x\",\"uri\":\"" ORIGIN
		"/files/../x\",\"api_mime\":\"image/png\",\"expires\":9999999999}",
		"{\"op\":\"up\",\"sha256\":\"" A
		"\",\"mime\":\"image/png\",\"origin\":\"" ORIGIN "\",\"key\":\"" KEY
		"\",\"size\":1,\"file\":\"files/x\",\"uri\":\"" ORIGIN
		"/\\\"/files/x\",\"api_mime\":\"image/png\",\"expires\":9999999999}"};

	for (size_t i = 0; i < ARRAY_SIZE(claims); i++) {
		_cleanup_free_ char *text = util_format(
			"batchfs attachments 1\n%08x %s\n",
			util_crc32c(0, claims[i], strlen(claims[i])), claims[i]);

		set_log(f, text, strlen(text));
		reopen(f);
		assert_true(f->damaged);
		assert_string_equal(take(f, &a, 0, LID1), "");
	}
}

static void test_valid(void **state)
{
	static const struct {
		const char *uri, *file;
		bool good;
	} uris[] = {
		{"https://generativelanguage.googleapis.com/v1beta/files/abc",
			"files/abc", true},
		{"http://127.0.0.1:1/v1beta/files/abc", "files/abc", true},
		{"http://127.0.0.1:12/v1beta/files/abc", "files/abc", false},
		{"http://example.com/v1beta/files/abc", "files/abc", false},
		{"https://h/v1beta/files/abd", "files/abc", false},
		{"https://h/v1betafiles/abc", "files/abc", false},
		{"https://h/v1beta/files/abc?x", "files/abc", false},
		{"https://h/v1 beta/files/abc", "files/abc", false},
		{"https://h/\"/files/abc", "files/abc", false},
		{"https://h/\\/files/abc", "files/abc", false},
		{"https://h/\n/files/abc", "files/abc", false},
		{"https://h/files/..", "files/..", false},
		{"files/abc", "files/abc", false},
		{"https://h/files/abc", NULL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(uris); i++)
		if (uploads_uri_valid(uris[i].uri, uris[i].file,
			    "http://127.0.0.1:1") != uris[i].good)
			fail_msg("%s", uris[i].uri);
	assert_true(uploads_mime_valid("image/svg+xml"));
	assert_true(uploads_mime_valid("text/plain; charset=utf-8"));
	assert_false(uploads_mime_valid("image"));
	assert_false(uploads_mime_valid("a/\"b"));
	assert_false(uploads_mime_valid("a/b\n"));
	assert_false(uploads_mime_valid(NULL));
}

static void at_end(struct fixture *f, const char *lid, const char *file)
{
	uploads_end(f->r, lid);
	assert_string_equal(idle(f), file);
	uploads_deleted(f->r, file, true);
}

/* Where the content behind an upload's URI lies; malloc'ed, NULL: it is not ours. */
static char *copies_by(struct fixture *f, const char *id)
{
	_cleanup_free_ char *uri = util_format(ORIGIN "/v1beta/files/%s", id);
	char sha[65], *mime, *copies;
	time_t until;

	if (uploads_lookup(f->r, uri, ORIGIN, KEY, sha, &mime, &copies, &until))
		return NULL;
	free(mime);
	return copies;
}

/* A retry of a retry: the second upload is known by a job that has no file of its own. */
static void test_chain(void **state)
{
	struct fixture *f = *state;

	add(f, &a, "one", 48, LID1);
	at_end(f, LID1, "files/one");
	add_copy(f, &a, "two", 48, LID2, "");
	at_end(f, LID2, "files/two");
	for (int again = 0; again < 2; again++) {
		_cleanup_free_ char *copies = copies_by(f, "two");

		assert_string_equal(copies, LID1 " inputs/cat 1.png\n");
		reopen(f);
	}
	/* The job in the middle is removed: its lines may have been copied. */
	uploads_forget(f->r, LID2);
	reopen(f);
	_cleanup_free_ char *copies = copies_by(f, "two");
	assert_string_equal(copies, LID1 " inputs/cat 1.png\n");
}

/* The first upload is forgotten by its age; the directory has the file all the same. */
static void test_chain_outlives_its_first(void **state)
{
	struct fixture *f = *state;

	add(f, &a, "one", -24 * 31, LID1);
	add_copy(f, &a, "two", 48, LID2, "");
	uploads_end(f->r, LID1);
	uploads_expire(f->r, in(0));
	for (int again = 0; again < 2; again++) {
		_cleanup_free_ char *copies = copies_by(f, "two");

		assert_null(copies_by(f, "one"));
		assert_string_equal(copies, LID1 " inputs/cat 1.png\n");
		reopen(f);
	}
}

/* Thousands of entries, references and ends: the log is written anew, and stays small.
 */
static void test_many(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	size_t before;

	for (int i = 0; i < 3000; i++) {
		char id[32], sha[65], file[64];
		struct content c = a;

		snprintf(id, sizeof id, "f%d", i);
		snprintf(sha, sizeof sha, "%064x", i);
		c.sha256 = sha;
		add(f, &c, id, 48, LID1);
		snprintf(file, sizeof file, "files/%s", id);
		assert_string_equal(take(f, &c, 40, LID2), file);
	}
	assert_int_equal(fstatat(f->store.state, "attachments", &st, 0), 0);
	before = (size_t)st.st_size;
	uploads_forget(f->r, LID2);
	uploads_end(f->r, LID1);
	for (int i = 0; i < 3000; i++)
		uploads_deleted(f->r, idle(f), true);
	f->gone = LID1;
	reopen(f);
	assert_int_equal(fstatat(f->store.state, "attachments", &st, 0), 0);
	assert_true((size_t)st.st_size < 100 && before > 1000000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_content),
		TEST(test_holders),
		TEST(test_own_first),
		TEST(test_end_since),
		TEST(test_lookup),
		TEST(test_lives),
		TEST(test_chain),
		TEST(test_chain_outlives_its_first),
		TEST(test_sessions),
		TEST(test_damage),
		TEST(test_cut),
		TEST(test_long_name),
		TEST(test_claims),
		cmocka_unit_test(test_valid),
		TEST(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
