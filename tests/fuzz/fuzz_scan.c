/* A requests file of any bytes: the scanner against jansson, line by line.
 *
 * Checked: each line is what jansson and the rules say it is, misplaced members too; the
 * report is the same however the file is cut into pieces; as many keys repeat as a plain
 * comparison finds; what is composed of a good file is clean, as long as was said, and
 * JSON; files that it names are found as often as counted, and replaced make good lines
 * still. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "requests/normalize.h"
#include "requests/line_parser.h"
#include "provider/gemini/request_members.h"
#include "requests/validate.h"
#include "provider/gemini/file_refs.h"
#include "base/util.h"

#define LINES_MAX 4096
#define FLAGS (JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

/* What the scanner said of each line. */
struct seen {
	struct line lines[LINES_MAX];
	size_t n;
};

static int remember(void *arg, const struct line *line)
{
	struct seen *seen = arg;

	if (seen->n == LINES_MAX)
		return 1;
	seen->lines[seen->n++] = *line;
	return 0;
}

/* What jansson says of it. */
struct verdict {
	enum line_kind kind;
	bool unknown; /* jansson's own limits: huge numbers, NUL in a name */
	char *key;
	size_t key_len;
};

static bool blank(const char *p, size_t n)
{
	while (n > 0 && strchr(" \t\r", p[n - 1]) && p[n - 1])
		n--;
	return n == 0;
}

/* Bits of what an object has; PART_MISPLACED: something that is refused. Names with a
 * NUL are not compared. */
static unsigned parts_of(json_t *object, enum place place)
{
	unsigned parts = 0;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		const struct placement *row =
			placement_find(&gemini_requests, place, name, strlen(name));

		if (!row)
			continue;
		parts |= 1u << row->part;
		if (row->part == PART_CONFIG && json_is_object(value))
			parts |= parts_of(value, PLACE_CONFIG);
		if ((row->part == PART_CONFIG || row->part == PART_SYSTEM) &&
			json_is_string(value))
			parts |= 1u << PART_MISPLACED;
	}
	return parts;
}

static bool has_odd_role(json_t *request)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(request, "contents"), i, one)
	{
		json_t *role = json_object_get(one, "role");

		if (json_is_string(role) &&
			!gemini_requests.is_role(
				json_string_value(role), json_string_length(role)))
			return true;
	}
	return false;
}

static bool misplaces(json_t *request)
{
	unsigned parts = parts_of(request, PLACE_REQUEST);
	unsigned beside = 1u << PART_SYSTEM | 1u << PART_TOOLS;

	return has_odd_role(request) || parts & 1u << PART_MISPLACED ||
	       (parts & 1u << PART_CACHED && parts & beside);
}

/* The string that stands for a missing key. */
static json_t *borrowed(json_t *json)
{
	static const char *const names[] = {"key", "custom_id", "id"};

	for (size_t i = 1; i < 6; i++) {
		json_t *from = i < 3 ? json : json_object_get(json, "metadata");
		json_t *value = json_object_get(from, names[i % 3]);

		if (json_is_string(value))
			return value;
	}
	return NULL;
}

static bool may_lend(json_t *json)
{
	return json_object_get(json, "metadata") || json_object_get(json, "custom_id") ||
	       json_object_get(json, "id");
}

static enum line_kind judge(json_t *json)
{
	json_t *key = json_object_get(json, "key");
	json_t *request = json_object_get(json, "request");

	if (!json_is_object(json) || (key && !json_is_string(key)))
		return LINE_BAD;
	if (request ? !json_is_object(request)
		    : key || !json_object_get(json, "contents") || may_lend(json))
		return LINE_BAD;
	if (misplaces(request ? request : json))
		return LINE_BAD;
	return !request ? LINE_BARE : key || borrowed(json) ? LINE_KEYED : LINE_NO_KEY;
}

static struct verdict ask_jansson(const char *p, size_t n)
{
	struct verdict v = {.kind = LINE_BLANK};
	json_error_t error;
	json_t *json;

	if (blank(p, n))
		return v;
	/* Never JSON, but jansson passes over it. */
	if (memchr(p, '\0', n)) {
		v.kind = LINE_BAD;
		return v;
	}
	json = json_loadb(p, n, FLAGS, &error);
	v.kind = json ? judge(json) : LINE_BAD;
	v.unknown = !json &&
		    (json_error_code(&error) == json_error_numeric_overflow ||
			    json_error_code(&error) == json_error_null_byte_in_key);
	if (v.kind == LINE_KEYED) {
		json_t *key = json_object_get(json, "key");

		key = key ? key : borrowed(json);
		v.key_len = json_string_length(key);
		v.key = malloc(v.key_len + 1);
		memcpy(v.key, json_string_value(key), v.key_len + 1);
	}
	json_decref(json);
	return v;
}

/* Whether a member comes twice somewhere: jansson keeps the last. */
static bool has_twice(const char *p, size_t n)
{
	json_t *json = json_loadb(p, n, FLAGS | JSON_REJECT_DUPLICATES, NULL);

	json_decref(json);
	return !json;
}

/* Where the scanner is stricter than jansson on purpose. */
static bool stricter(const struct line *line, const char *p, size_t n)
{
	if (line->kind == LINE_BAD && line->name)
		return has_twice(p, n);
	return line->kind == LINE_BAD &&
	       (strcmp(line->reason, "the same member twice") == 0 ||
		       strcmp(line->reason, "nested too deeply") == 0);
}

/* Returns false when jansson cannot tell of some line. */
static bool compare_lines(
	const struct seen *seen, const char *p, size_t n, struct verdict *verdicts)
{
	const char *end = p + n;
	bool known = true;

	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (size_t i = 0; i < seen->n; i++) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((lf ? lf : end) - p);
		struct verdict *v = &verdicts[i];

		*v = ask_jansson(p, len);
		/* Of two of a name either may have lent the key. */
		if (seen->lines[i].borrowed || v->kind != seen->lines[i].kind)
			v->unknown |= has_twice(p, len);
		known &= !v->unknown;
		if (v->unknown || stricter(&seen->lines[i], p, len))
			v->kind = seen->lines[i].kind;
		p = lf ? lf + 1 : end;
		if (v->kind == LINE_BAD) {
			free(v->key);
			v->key = NULL;
		}
		check(v->kind == seen->lines[i].kind, "kind of line");
		check(v->kind != LINE_KEYED || v->key || v->unknown, "key");
	}
	check(p == end, "number of lines");
	return known;
}

static void number_keys(const struct validate_report *report, struct verdict *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].kind != LINE_NO_KEY && v[i].kind != LINE_BARE)
			continue;
		free(v[i].key);
		v[i].key = malloc(LINES_KEY_MAX);
		v[i].key_len = lines_number_key(i + 1, report->width, v[i].key);
	}
}

static bool repeated(const struct verdict *v, size_t i)
{
	for (size_t k = 0; v[i].key && k < i; k++)
		if (v[k].key && v[k].key_len == v[i].key_len &&
			memcmp(v[k].key, v[i].key, v[i].key_len) == 0)
			return true;
	return false;
}

static void compare_bad(
	const struct validate_report *report, const struct verdict *v, size_t n)
{
	uint64_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i].kind != LINE_BAD && !repeated(v, i))
			continue;
		if (bad < VALIDATE_BAD_MAX)
			check(report->bad[bad].line == i + 1, "number of bad line");
		bad++;
	}
	check(report->bad_total == bad, "number of bad lines");
}

static void compare_pieces(
	int fd, const uint8_t *data, size_t n, const struct validate_report *whole)
{
	size_t piece = 1;
	struct validator *s = validate_new(&gemini_requests);
	struct validate_report r;

	for (size_t i = 0; i < n; i++)
		piece += data[i];
	piece = 1 + piece % 67;
	for (size_t at = 0; at < n; at += piece)
		check(validate_feed(s, data + at, n - at < piece ? n - at : piece) == 0,
			"feed");
	check(validate_finish(s, fd, NULL, &r) == 0, "finish");
	validate_free(s);
	check(r.lines == whole->lines && r.requests == whole->requests &&
			r.clean == whole->clean && r.send_size == whole->send_size &&
			r.loose_uris == whole->loose_uris &&
			r.bad_total == whole->bad_total && r.n_bad == whole->n_bad,
		"report in pieces");
	for (unsigned i = 0; i < r.n_bad; i++)
		check(r.bad[i].line == whole->bad[i].line &&
				r.bad[i].column == whole->bad[i].column &&
				r.bad[i].other == whole->bad[i].other &&
				strcmp(r.bad[i].reason, whole->bad[i].reason) == 0,
			"bad line in pieces");
}

static void check_composed(int fd, const struct validate_report *report)
{
	int out = memfd_create("out", MFD_CLOEXEC);
	struct validate_report again;
	off_t size = 0;

	check(normalize_file(fd, out, report, NULL, &size) == 0, "compose");
	check(report->clean || (uint64_t)size == report->send_size, "send_size");
	check(lseek(out, 0, SEEK_END) == size, "size");
	check(validate_file(&gemini_requests, out, NULL, &again) == 0, "scan again");
	check(validate_report_status(&again) == 0 && again.clean, "composed is clean");
	check(again.keyed == report->requests, "all lines composed");
	close(out);
}

static void check_inline(int fd, const struct validate_report *report)
{
	char *elements = NULL, *list;
	size_t n = 0;
	json_t *json;

	check(normalize_inline(fd, report, INT64_MAX, &elements, &n) == 0,
		"compose inline");
	check(strlen(elements) == n, "length of elements");
	list = util_format("[%s]", elements);
	json = json_loads(list, FLAGS, NULL);
	check(json_array_size(json) == report->requests, "number of elements");
	for (size_t i = 0; i < report->requests; i++) {
		json_t *e = json_array_get(json, i);

		check(json_is_object(json_object_get(e, "request")), "request");
		check(json_object_get(e, "metadata") != NULL, "metadata");
	}
	json_decref(json);
	free(list);
	free(elements);
}

static int count_uri(void *arg, const struct uris_found *found)
{
	uint64_t *counts = arg;

	check(found->line > 0 && strlen(found->text) <= URIS_TEXT_MAX, "found");
	counts[0]++;
	counts[1] += found->odd;
	return 0;
}

static const struct uris_new *any(void *arg, const char *text)
{
	static const struct uris_new other = {"https://host/files/other", "a/b"};

	return &other;
}

static int expect_other(void *arg, const struct uris_found *found)
{
	check(found->odd || strcmp(found->text, "https://host/files/other") == 0, "other");
	return 0;
}

static void check_uris(int fd, const struct validate_report *report)
{
	int out = memfd_create("out", MFD_CLOEXEC);
	uint64_t counts[2] = {0};
	struct validate_report again;
	off_t size = 0;

	check(file_refs_each((struct lines_span){fd, 0, -1}, NULL, count_uri, counts) == 0, "uris");
	check(counts[0] == report->uris, "number of uris");
	check(file_refs_replace((struct lines_span){fd, 0, -1}, out, NULL, any, NULL, &size) == 0, "replace");
	check(lseek(out, 0, SEEK_END) == size, "size replaced");
	check(validate_file(&gemini_requests, out, NULL, &again) == 0, "scan replaced");
	check(validate_report_status(&again) == 0, "replaced is good");
	check(again.requests == report->requests && again.uris == report->uris,
		"replaced is the same");
	check(file_refs_each((struct lines_span){out, 0, -1}, NULL, expect_other, NULL) == 0, "replaced uris");
	close(out);
}

/* What jansson's side does not judge: which kind of request a line is (the unit tests
 * have a table of that). */
static bool has_embedding(const struct seen *seen)
{
	for (size_t i = 0; i < seen->n; i++) {
		const struct line *line = &seen->lines[i];

		if (line->asks & ASKS_EMBEDDING ||
			(line->reason && strstr(line->reason, "\"content\"")))
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct seen seen;
	static struct verdict verdicts[LINES_MAX];
	int fd = memfd_create("in", MFD_CLOEXEC);
	struct validate_report report;
	struct lines l;
	char *text;
	bool known;

	check(util_write_all(fd, data, n) == 0, "write");
	seen.n = 0;
	lines_init(&l, &gemini_requests, (struct keyseed){1, 2}, remember, &seen);
	if (lines_file(&l, fd, NULL) != 0) {
		close(fd);
		return 0;
	}
	memset(verdicts, 0, seen.n * sizeof *verdicts);
	known = !has_embedding(&seen) &&
		compare_lines(&seen, (const char *)data, n, verdicts);
	check(validate_file(&gemini_requests, fd, NULL, &report) == 0, "scan");
	check(report.lines == seen.n, "lines");
	number_keys(&report, verdicts, seen.n);
	if (known)
		compare_bad(&report, verdicts, seen.n);
	compare_pieces(fd, data, n, &report);
	text = validate_report_text(&report);
	check((validate_report_status(&report) == 0) == (*text == '\0'), "text");
	free(text);
	if (validate_report_status(&report) == 0) {
		check_composed(fd, &report);
		check_uris(fd, &report);
		if (known)
			check_inline(fd, &report);
	}
	for (size_t i = 0; i < seen.n; i++)
		free(verdicts[i].key);
	close(fd);
	return 0;
}
