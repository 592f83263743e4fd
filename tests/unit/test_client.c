/* A client that is offline: drafts, files, and what the next start finds. */
#include "client_fixture.h"
#include "jobs/job.h"
#include "store/state_dir.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void reopen(void **state)
{
	gb_close(*state);
	*state = open_client();
}

static void put(struct gb_job *job, const char *name, const char *text)
{
	struct gb_file *f;

	assert_int_equal(gb_file_create(job, NULL, name, false, &f), 0);
	assert_int_equal(gb_file_write(f, text, strlen(text), 0), 0);
	gb_file_unref(f);
}

static void expect(struct gb_job *job, const char *name, const char *text)
{
	char buf[256] = "";
	struct gb_file *f = gb_file_by_name(job, NULL, name);

	assert_non_null(f);
	assert_true(pread(gb_file_fd(f), buf, sizeof(buf) - 1, 0) >= 0);
	assert_string_equal(buf, text);
	gb_file_unref(f);
}

static void test_draft_outlives_client(void **state)
{
	struct gb_job *job;
	struct gb_info i;

	assert_int_equal(gb_draft_create(*state, "haiku", true, &job), 0);
	put(job, GB_REQUESTS, "{}\n");
	put(job, "notes", "scratch");
	assert_int_equal(gb_draft_set_model(job, "gemini-4-carbon"), 0);
	gb_job_unref(job);
	reopen(state);
	job = gb_job_by_name(*state, "haiku");
	assert_non_null(job);
	gb_job_info(job, &i);
	assert_string_equal(i.state, "DRAFT");
	assert_string_equal(i.model, "gemini-4-carbon");
	assert_true(i.draft && i.own && i.has_requests);
	expect(job, GB_REQUESTS, "{}\n");
	expect(job, "notes", "scratch");
	gb_job_unref(job);
}

static void test_names(void **state)
{
	struct gb_job *job, *other;

	assert_int_equal(gb_draft_create(*state, "a", true, &job), 0);
	assert_int_equal(gb_draft_create(*state, "a", true, &other), -EEXIST);
	assert_int_equal(gb_draft_create(*state, ".a", true, &other), -EPERM);
	assert_int_equal(gb_draft_create(*state, "\xff", true, &other), -EILSEQ);
	assert_int_equal(gb_draft_create(*state, "b", true, &other), 0);
	assert_int_equal(gb_draft_rename(job, "b", true), -EEXIST);
	assert_int_equal(gb_draft_rename(job, "c", true), 0);
	assert_null(gb_job_by_name(*state, "a"));
	gb_job_unref(other);
	gb_job_unref(job);
	reopen(state);
	job = gb_job_by_name(*state, "c");
	assert_non_null(job);
	gb_job_unref(job);
}

/* Of what a job and its record say, or two jobs, there is one copy; who was told the old
 * name can still read it. */
static void test_one_copy(void **state)
{
	struct gb_job *a, *b;

	assert_int_equal(gb_draft_create(*state, "a", true, &a), 0);
	assert_int_equal(gb_draft_create(*state, "b", true, &b), 0);
	const struct record *r = &a->dir->rec;
	const char *old = a->name;

	assert_ptr_equal(r->name, a->name);
	assert_ptr_equal(r->display, a->name);
	assert_ptr_equal(r->model, b->dir->rec.model);
	assert_int_equal(gb_draft_rename(a, "c d", true), 0);
	assert_ptr_equal(r->name, a->name);
	assert_ptr_equal(r->display, a->name);
	assert_string_equal(a->name, "c d");
	assert_string_equal(old, "a");
	assert_int_equal(gb_draft_set_model(a, "another"), 0);
	assert_int_equal(gb_draft_set_model(b, "another"), 0);
	assert_ptr_equal(r->model, b->dir->rec.model);
	gb_job_unref(a);
	gb_job_unref(b);
}

static void test_model(void **state)
{
	struct gb_job *job;

	assert_int_equal(gb_draft_create(*state, "m", true, &job), 0);
	assert_int_equal(gb_draft_set_model(job, "models/gemini-x"), 0);
	assert_int_equal(gb_draft_set_model(job, "tunedModels/mine-1"), 0);
	assert_int_equal(gb_draft_set_model(job, ""), -EINVAL);
	assert_int_equal(gb_draft_set_model(job, "a b"), -EINVAL);
	assert_int_equal(gb_draft_set_model(job, "../x"), -EINVAL);
	assert_int_equal(gb_draft_set_model(job, "models/a/b"), -EINVAL);
	gb_job_unref(job);
}

static void test_files(void **state)
{
	struct gb_job *job, *to;
	struct gb_file *f;

	assert_int_equal(gb_draft_create(*state, "f", true, &job), 0);
	assert_int_equal(gb_draft_create(*state, "g", true, &to), 0);
	put(job, "one", "1");
	assert_int_equal(gb_file_create(job, NULL, "one", true, &f), -EEXIST);
	f = gb_file_by_name(job, NULL, "one");
	uint32_t number = gb_file_number(f);
	assert_int_equal(gb_file_rename(job, NULL, "one", job, NULL, "two", false), 0);
	assert_int_equal(gb_file_number(f), number);
	assert_null(gb_file_by_name(job, NULL, "one"));
	put(job, "one", "other");
	assert_int_equal(
		gb_file_rename(job, NULL, "two", job, NULL, "one", true), -EEXIST);
	assert_int_equal(gb_file_rename(job, NULL, "two", job, NULL, "one", false), 0);
	expect(job, "one", "1");
	assert_int_equal(gb_file_rename(job, NULL, "one", to, NULL, "moved", false), 0);
	expect(to, "moved", "1");
	assert_int_equal(gb_file_unlink(to, NULL, "moved"), 0);
	assert_int_equal(gb_file_unlink(to, NULL, "moved"), -ENOENT);
	/* Still there for who holds it. */
	char buf[2] = "";
	assert_int_equal(pread(gb_file_fd(f), buf, 1, 0), 1);
	assert_string_equal(buf, "1");
	gb_file_unref(f);
	gb_job_unref(job);
	gb_job_unref(to);
}

static void never(struct gb_waiter *w, int err)
{
	fail();
}

static void test_offline_submit_is_refused(void **state)
{
	struct gb_waiter w = {.done = never};
	struct gb_job *job;
	struct gb_info i;

	assert_int_equal(gb_draft_create(*state, "s", true, &job), 0);
	assert_int_equal(gb_submit(job, GB_BY_CTL, &w), -EBADMSG);
	put(job, GB_REQUESTS, "{\"contents\":[]}\n");
	assert_int_equal(gb_submit(job, GB_BY_CTL, &w), -EHOSTUNREACH);
	gb_job_info(job, &i);
	assert_string_equal(i.state, "DRAFT");
	char *text = gb_job_error(job);
	assert_non_null(text);
	free(text);
	gb_job_unref(job);
}

static void test_taint_is_remembered(void **state)
{
	struct gb_waiter w = {.done = never};
	struct gb_job *job;

	assert_int_equal(gb_draft_create(*state, "t", true, &job), 0);
	put(job, GB_REQUESTS, "{\"contents\":[]}\n");
	struct gb_file *f = gb_file_by_name(job, NULL, GB_REQUESTS);
	gb_file_taint(f, "the writer was killed");
	gb_file_unref(f);
	gb_job_unref(job);
	reopen(state);
	job = gb_job_by_name(*state, "t");
	f = gb_file_by_name(job, NULL, GB_REQUESTS);
	assert_true(gb_file_tainted(f));
	assert_int_equal(gb_submit(job, GB_BY_CLOSE, &w), 0);
	assert_int_equal(gb_file_truncate(f, 0), 0);
	assert_false(gb_file_tainted(f));
	gb_file_unref(f);
	gb_job_unref(job);
}

static void test_remove_draft(void **state)
{
	struct gb_waiter w = {.done = never};
	struct gb_job *job;

	assert_int_equal(gb_draft_create(*state, "r", true, &job), 0);
	put(job, "x", "1");
	assert_int_equal(gb_remove(job, &w), 0);
	gb_job_unref(job);
	assert_null(gb_job_by_name(*state, "r"));
	assert_int_equal(gb_draft_create(*state, "r", true, &job), 0);
	gb_job_unref(job);
	reopen(state);
	job = gb_job_by_name(*state, "r");
	assert_non_null(job);
	assert_null(gb_file_by_name(job, NULL, "x"));
	gb_job_unref(job);
}

static void test_one_process(void **state)
{
	struct gb_options o = {.source = "http://127.0.0.1:1", .state_dir = state_dir,
		.cache_dir = cache_dir, .offline = true};
	struct gb_client *c;
	char *why = NULL;

	assert_int_equal(gb_open(&o, &c, &why), -EBUSY);
	assert_non_null(strstr(why, "in use by"));
	free(why);
}

static void test_newer_format_is_refused(void **state)
{
	struct gb_options o = {.source = "http://127.0.0.1:1", .state_dir = state_dir,
		.cache_dir = cache_dir, .offline = true};
	struct gb_client *c;
	char *why = NULL, path[128];

	gb_close(*state);
	snprintf(path, sizeof(path), "%s/version", state_dir);
	int fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "batchfs state 99\n", 17), 17);
	close(fd);
	assert_int_equal(gb_open(&o, &c, &why), -EPROTO);
	assert_non_null(strstr(why, "newer"));
	free(why);
	*state = NULL;
}

/* A journal that does not read is set aside, and the rest goes on. */
static void test_damaged_journal(void **state)
{
	struct gb_job *job;
	char cmd[256];

	assert_int_equal(gb_draft_create(*state, "d1", true, &job), 0);
	gb_job_unref(job);
	gb_close(*state);
	snprintf(cmd, sizeof(cmd), "for j in %s/jobs/*/journal; do echo x > $j; done", state_dir);
	assert_int_equal(system(cmd), 0);
	*state = open_client();
	assert_null(gb_job_by_name(*state, "d1"));
	assert_int_equal(gb_draft_create(*state, "d1", true, &job), 0);
	gb_job_unref(job);
	snprintf(cmd, sizeof(cmd), "test -n \"$(ls %s/aside)\"", state_dir);
	assert_int_equal(system(cmd), 0);
}

static char *status_in(struct gb_client *c, enum gb_status_form form)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	gb_status_as(c, form, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Whatever the lines for people say is in the object, and the same but for disks, which
 * others write to meanwhile. */
static void expect_in_json(const json_t *all, const char *line)
{
	char name[64], value[256];
	const json_t *v;

	assert_int_equal(sscanf(line, "%63s %255[^\n]", name, value), 2);
	v = json_object_get(all, name);
	assert_non_null(v);
	if (json_is_integer(v) && !strstr(name, "disk_free"))
		assert_int_equal(json_integer_value(v), strtoll(value, NULL, 10));
	if (json_is_string(v))
		assert_string_equal(json_string_value(v), value);
	if (json_is_boolean(v))
		assert_int_equal(json_is_true(v), !strncmp(value, "yes", 3));
}

static void test_status_in_three_forms(void **state)
{
	struct gb_job *job;

	assert_int_equal(gb_draft_create(*state, "a", true, &job), 0);
	gb_job_unref(job);
	_cleanup_free_ char *text = status_in(*state, GB_STATUS_TEXT);
	_cleanup_free_ char *metrics = status_in(*state, GB_STATUS_METRICS);
	_cleanup_free_ char *json = status_in(*state, GB_STATUS_JSON);
	json_t *all = json_loads(json, 0, NULL), *states;
	char *rest;

	assert_non_null(all);
	for (char *line = strtok_r(text, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest))
		expect_in_json(all, line);
	states = json_object_get(all, "jobs_by_state");
	assert_int_equal(json_integer_value(json_object_get(states, "DRAFT")), 1);
	json_decref(all);
	assert_non_null(strstr(metrics, "\nbatchfs_jobs{state=\"DRAFT\"} 1\n"));
	assert_non_null(strstr(metrics, "\nbatchfs_online 0\n"));
	assert_non_null(strstr(metrics, "\nbatchfs_tokens_total{kind=\"out\"} 0\n"));
	assert_null(strstr(metrics, "key_source"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_draft_outlives_client), CASE(test_names), CASE(test_one_copy),
		CASE(test_model), CASE(test_files), CASE(test_offline_submit_is_refused),
		CASE(test_taint_is_remembered), CASE(test_remove_draft),
		CASE(test_one_process), CASE(test_newer_format_is_refused),
		CASE(test_damaged_journal), CASE(test_status_in_three_forms),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
