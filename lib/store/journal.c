#include "store/journal.h"

#include "base/util.h"
#include "provider/ids.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

enum { CRC_DIGITS = 8 };

enum kind { STR, I64, INT, BOOL, SINCE };

#define SPAN_MAX (INT64_C(10) * 365 * 86400) /* what is longer was not written by us */

#define FIELD(k, f) {#f, k, offsetof(struct record, f)}

static const struct field {
	const char *name;
	enum kind kind;
	size_t off;
} fields[] = {
	FIELD(STR, name),          FIELD(STR, display),      FIELD(STR, model),
	FIELD(I64, made_s),        FIELD(I64, made_ns),      FIELD(INT, phase),
	FIELD(BOOL, own),          FIELD(BOOL, background),  FIELD(STR, taint),
	FIELD(I64, lines), FIELD(BOOL, cut), FIELD(INT, looks), FIELD(SINCE, doubted_since),
	FIELD(BOOL, composed),     FIELD(BOOL, name_unchecked), FIELD(BOOL, warned),
	FIELD(STR, origin),        FIELD(STR, key_print),    FIELD(STR, session),
	FIELD(I64, sent_size),     FIELD(STR, sent_stamp),   FIELD(STR, mime),
	FIELD(STR, input_file),    FIELD(STR, source),       FIELD(STR, stray),
	FIELD(BOOL, is_inline),    FIELD(I64, requests),     FIELD(BOOL, embedding),
	FIELD(I64, intent_server), FIELD(SINCE, intent_since), FIELD(SINCE, queued_since),
	FIELD(SINCE, upload_since), FIELD(I64, upload_until),
	FIELD(INT, tries),         FIELD(STR, id),           FIELD(I64, sent_at),
	FIELD(BOOL, cancel_asked), FIELD(I64, results_size), FIELD(BOOL, home),
	FIELD(BOOL, end_logged),   FIELD(BOOL, counted),    FIELD(INT, removal),
	FIELD(BOOL, end_due),      FIELD(SINCE, removal_since), FIELD(INT, err),          FIELD(STR, error),
	FIELD(BOOL, insisted),     FIELD(I64, missed),       FIELD(I64, missed_span),
	FIELD(BOOL, end_by_get),
};

static void *at(const struct record *r, const struct field *f)
{
	return (char *)r + f->off;
}

void record_init(struct record *r)
{
	*r = (struct record){.phase = PHASE_DRAFT, .requests = -1, .results_size = -1,
		.lines = -1};
}

void record_clear(struct record *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].kind == STR)
			free(*(char **)at(r, &fields[i]));
	record_init(r);
}

int record_set(char **field, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

void record_unset(char **field)
{
	free(*field);
	*field = NULL;
}

void record_take(char **field, char **value)
{
	free(*field);
	*field = STEAL_PTR(*value);
}

static json_t *field_dump(const struct record *r, const struct field *f)
{
	void *p = at(r, f);

	switch (f->kind) {
	case STR:
		return *(char **)p ? json_string(*(char **)p) : NULL;
	case I64:
	case SINCE:
		return json_integer(*(int64_t *)p);
	case INT:
		return json_integer(*(int *)p);
	case BOOL:
		return *(bool *)p ? json_true() : NULL;
	}
	return NULL;
}

char *record_dump(const struct record *r, size_t *ret_len)
{
	json_t *o = json_object();
	_cleanup_free_ char *text = NULL;
	char *all = NULL;

	for (size_t i = 0; o && i < ARRAY_SIZE(fields); i++) {
		json_t *v = field_dump(r, &fields[i]);

		if (v && json_object_set_new(o, fields[i].name, v) < 0)
			goto out;
	}
	if (o && (json_object_set_new(o, "boot", json_string(util_boot())) < 0 ||
			 json_object_set_new(o, "written", json_integer(record_now())) < 0))
		goto out;
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	if (!text)
		goto out;
	all = util_format("%s\n%08x\n", text, util_crc32c(0, text, strlen(text)));
	if (all)
		*ret_len = strlen(all);
out:
	json_decref(o);
	return all;
}

static int field_parse(struct record *r, const struct field *f, const json_t *v)
{
	void *p = at(r, f);

	switch (f->kind) {
	case STR:
		return json_is_string(v) ? record_set(p, json_string_value(v)) : -EBADMSG;
	case I64:
	case SINCE:
		*(int64_t *)p = json_integer_value(v);
		return json_is_integer(v) ? 0 : -EBADMSG;
	case INT:
		*(int *)p = (int)json_integer_value(v);
		return json_is_integer(v) ? 0 : -EBADMSG;
	case BOOL:
		*(bool *)p = json_is_true(v);
		return json_is_boolean(v) ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

int64_t record_now(void)
{
	int64_t now = (int64_t)util_now();

	return now ? now : 1;
}

double record_span(int64_t since)
{
	return since ? util_now() - (double)since : 0;
}

/* The same span before now that it was before `written`. */
static int64_t moved(int64_t since, int64_t written, int64_t now)
{
	bool sane = written > -SPAN_MAX && written < SPAN_MAX && since <= written &&
		    since > written - SPAN_MAX;
	int64_t to = sane ? now - (written - since) : now;

	return to ? to : -1;
}

/* What an older version wrote has no clock: its spans begin now. */
static void begin_spans(struct record *r, int64_t now)
{
	if (!r->intent_since && r->phase == PHASE_SUBMITTING)
		r->intent_since = now;
	if (!r->queued_since && r->phase == PHASE_QUEUED)
		r->queued_since = now;
	if (!r->removal_since && r->removal)
		r->removal_since = now;
}

static void resume_spans(struct record *r, const json_t *o)
{
	const char *boot = json_string_value(json_object_get(o, "boot"));
	int64_t written = json_integer_value(json_object_get(o, "written"));
	int64_t now = record_now();
	bool same = boot && strcmp(boot, util_boot()) == 0 && written <= now;

	for (size_t i = 0; !same && i < ARRAY_SIZE(fields); i++) {
		int64_t *since = at(r, &fields[i]);

		if (fields[i].kind == SINCE && *since)
			*since = moved(*since, written, now);
	}
	begin_spans(r, now);
}

static bool plausible(const struct record *r)
{
	return r->phase >= 0 && r->phase < PHASES && r->removal >= 0 &&
	       r->removal < REMOVALS && r->name && !strchr(r->name, '/') &&
	       (!r->id || remote_id_valid(REMOTE_BATCH, r->id)) &&
	       (r->phase != PHASE_SENT || r->id) &&
	       (!r->input_file || remote_id_valid(REMOTE_FILE, r->input_file));
}

/* Whether the line that ends at nl has its checksum behind it, and nothing else. */
static bool is_whole(const char *text, const char *nl, size_t len)
{
	char want[CRC_DIGITS + 2];

	snprintf(want, sizeof(want), "%08x\n", util_crc32c(0, text, (size_t)(nl - text)));
	return (size_t)(text + len - nl - 1) == strlen(want) &&
	       memcmp(nl + 1, want, strlen(want)) == 0;
}

int record_parse(const char *text, size_t len, struct record *ret)
{
	const char *nl = memchr(text, '\n', len);
	struct record r;
	json_t *o = NULL;
	int err = -EBADMSG;

	record_init(&r);
	if (!nl || !is_whole(text, nl, len))
		goto out;
	o = json_loadb(text, (size_t)(nl - text), 0, NULL);
	if (!json_is_object(o))
		goto out;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		json_t *v = json_object_get(o, fields[i].name);

		if (v && (err = field_parse(&r, &fields[i], v)) < 0)
			goto out;
	}
	err = plausible(&r) ? 0 : -EBADMSG;
	if (!err) {
		resume_spans(&r, o);
		*ret = r;
		record_init(&r);
	}
out:
	json_decref(o);
	record_clear(&r);
	return err;
}
