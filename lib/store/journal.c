#include "store/journal.h"

#include "base/util.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

enum { CRC_DIGITS = 8 };

enum kind { STR, COUNTED, I64, INT, BOOL, SINCE };

#define SPAN_MAX (INT64_C(10) * 365 * 86400) /* what is longer was not written by us */

struct field {
	const char *name;
	enum kind kind;
	size_t off;
};

#define FIELD(k, f) {#f, k, offsetof(struct record, f)}

static const struct field fields[] = {
	FIELD(COUNTED, name),
	FIELD(COUNTED, display),
	FIELD(COUNTED, model),
	FIELD(I64, made_s),
	FIELD(I64, made_ns),
	FIELD(BOOL, own),
	FIELD(BOOL, background),
	FIELD(STR, taint),
	FIELD(BOOL, composed),
	FIELD(BOOL, name_unchecked),
	FIELD(BOOL, warned),
	FIELD(COUNTED, origin),
	FIELD(COUNTED, key_print),
	FIELD(STR, stray),
	FIELD(INT, removal),
	FIELD(SINCE, removal_since),
	FIELD(INT, err),
	FIELD(STR, error),
	FIELD(BOOL, names_files),
	FIELD(STR, split),
	FIELD(BOOL, rest_dropped),
	FIELD(STR, part_of),
	FIELD(INT, rounds),
	FIELD(INT, rounds_stopped),
	FIELD(INT, retries_left),
	FIELD(BOOL, retries_own),
	FIELD(INT, retries),
	FIELD(I64, limit_tokens),
	FIELD(STR, limit_cost),
	FIELD(BOOL, rest_gone),
	FIELD(STR, bought),
	FIELD(STR, parts_bought),
	FIELD(STR, parts_told),
	FIELD(BOOL, parts_removed),
	FIELD(INT, part),
	FIELD(INT, round),
	FIELD(I64, range_off),
	FIELD(I64, range_len),
	FIELD(INT, half_of),
	FIELD(I64, estimate_tokens),
	FIELD(INT, estimate_percent),
	FIELD(STR, estimate_cost),
	FIELD(BOOL, insisted),
	FIELD(I64, missed),
	FIELD(I64, missed_span),
	FIELD(BOOL, late),
};

#undef FIELD
#define FIELD(k, f) {#f, k, offsetof(struct record_batch, f)}

static const struct field batch_fields[] = {
	FIELD(INT, phase),
	FIELD(STR, session),
	FIELD(I64, sent_size),
	FIELD(STR, sent_stamp),
	FIELD(STR, source),
	FIELD(STR, mime),
	FIELD(STR, input_file),
	FIELD(BOOL, is_inline),
	FIELD(BOOL, embedding),
	FIELD(I64, requests),
	FIELD(I64, intent_server),
	FIELD(SINCE, intent_since),
	FIELD(SINCE, queued_since),
	FIELD(SINCE, upload_since),
	FIELD(I64, upload_until),
	FIELD(INT, tries),
	FIELD(COUNTED, id),
	FIELD(I64, sent_at),
	FIELD(BOOL, cancel_asked),
	FIELD(I64, results_size),
	FIELD(BOOL, home),
	FIELD(I64, lines),
	FIELD(BOOL, cut),
	FIELD(INT, looks),
	FIELD(SINCE, doubted_since),
	FIELD(BOOL, end_logged),
	FIELD(BOOL, counted),
	FIELD(BOOL, end_due),
	FIELD(BOOL, end_by_get),
};

#undef FIELD
#define FIELD(k, f) {#f, k, offsetof(struct record_intent, f)}

static const struct field intent_fields[] = {
	FIELD(INT, phase),
	FIELD(STR, input_file),
	FIELD(BOOL, is_inline),
	FIELD(I64, intent_server),
	FIELD(SINCE, intent_since),
	FIELD(I64, sent_size),
	FIELD(I64, requests),
	FIELD(INT, round),
	FIELD(I64, range_off),
	FIELD(I64, range_len),
};

#undef FIELD

/* A struct and the table of its members. */
struct part {
	void *base;
	const struct field *fields;
	size_t n;
};

static struct part of_record(const struct record *r)
{
	return (struct part){(void *)r, fields, ARRAY_SIZE(fields)};
}

static struct part of_batch(const struct record_batch *b)
{
	return (struct part){(void *)b, batch_fields, ARRAY_SIZE(batch_fields)};
}

static struct part of_intent(const struct record_intent *i)
{
	return (struct part){(void *)i, intent_fields, ARRAY_SIZE(intent_fields)};
}

static void *at(const struct part *p, const struct field *f)
{
	return (char *)p->base + f->off;
}

void record_init(struct record *r)
{
	*r = (struct record){.estimate_tokens = -1};
	for (size_t i = 0; i < RECORD_BATCHES; i++)
		r->batch[i] = (struct record_batch){.phase = PHASE_DRAFT,
			.requests = -1, .results_size = -1, .lines = -1};
}

static void part_clear(struct part p)
{
	for (size_t i = 0; i < p.n; i++)
		if (p.fields[i].kind == STR)
			record_unset(at(&p, &p.fields[i]));
		else if (p.fields[i].kind == COUNTED)
			counted_unset(at(&p, &p.fields[i]));
}

void record_clear(struct record *r)
{
	part_clear(of_record(r));
	for (size_t i = 0; i < RECORD_BATCHES; i++)
		part_clear(of_batch(&r->batch[i]));
	for (size_t i = 0; i < r->n_put_by; i++)
		part_clear(of_intent(&r->put_by[i]));
	free(r->put_by);
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

/* ---- intents ------------------------------------------------------------------------- */

/* Room for one more. */
static struct record_intent *more_intents(const struct record *r)
{
	struct record_intent *all = calloc(r->n_put_by + 1, sizeof(*all));

	if (all && r->n_put_by)
		memcpy(all, r->put_by, r->n_put_by * sizeof(*all));
	return all;
}

int record_put_by(struct record *r)
{
	struct record_batch *b = r->batch;
	struct record_intent *all = more_intents(r);

	if (!all)
		return -ENOMEM;
	free(r->put_by);
	r->put_by = all;
	all[r->n_put_by++] = (struct record_intent){.phase = b->phase,
		.input_file = STEAL_PTR(b->input_file),
		.is_inline = b->is_inline,
		.intent_server = b->intent_server,
		.intent_since = b->intent_since,
		.sent_size = b->sent_size,
		.requests = b->requests,
		.round = r->round,
		.range_off = r->range_off,
		.range_len = r->part_of ? r->range_len : b->sent_size};
	return 0;
}

void record_take_up(struct record *r, size_t i)
{
	struct record_batch *b = r->batch;
	struct record_intent *from = &r->put_by[i];

	b->phase = from->phase;
	record_take(&b->input_file, &from->input_file);
	b->is_inline = from->is_inline;
	b->intent_server = from->intent_server;
	b->intent_since = from->intent_since;
	b->sent_size = from->sent_size;
	b->requests = from->requests;
	if (r->part_of)
		r->range_len = from->range_len;
	record_drop_intent(r, i);
}

void record_drop_intent(struct record *r, size_t i)
{
	part_clear(of_intent(&r->put_by[i]));
	memmove(&r->put_by[i], &r->put_by[i + 1],
		(--r->n_put_by - i) * sizeof(*r->put_by));
}

size_t record_find_intent(const struct record *r, const char *input_file)
{
	size_t i = 0;

	while (i < r->n_put_by && (!r->put_by[i].input_file ||
				   strcmp(r->put_by[i].input_file, input_file) != 0))
		i++;
	return i;
}

void record_forget_estimate(struct record *r)
{
	r->estimate_tokens = -1;
	r->estimate_percent = 0;
	record_unset(&r->estimate_cost);
}

static json_t *field_dump(const void *p, enum kind kind)
{
	switch (kind) {
	case STR:
	case COUNTED:
		return *(char *const *)p ? json_string(*(char *const *)p) : NULL;
	case I64:
	case SINCE:
		return json_integer(*(const int64_t *)p);
	case INT:
		return json_integer(*(const int *)p);
	case BOOL:
		return *(const bool *)p ? json_true() : NULL;
	}
	return NULL;
}

/* A new object; NULL without memory. */
static json_t *part_dump(struct part p)
{
	json_t *o = json_object();

	for (size_t i = 0; o && i < p.n; i++) {
		json_t *v = field_dump(at(&p, &p.fields[i]), p.fields[i].kind);

		if (v && json_object_set_new(o, p.fields[i].name, v) < 0) {
			json_decref(o);
			o = NULL;
		}
	}
	return o;
}

/* NULL without memory. */
static json_t *intents_dump(const struct record *r)
{
	json_t *all = json_array();
	int bad = 0;

	for (size_t i = 0; i < r->n_put_by; i++)
		bad |= json_array_append_new(all, part_dump(of_intent(&r->put_by[i])));
	if (!bad)
		return all;
	json_decref(all);
	return NULL;
}

static json_t *record_json(const struct record *r)
{
	json_t *o = part_dump(of_record(r));
	json_t *batches = json_array();
	int bad = !o;

	for (size_t i = 0; i < RECORD_BATCHES; i++)
		bad |= json_array_append_new(
			batches, part_dump(of_batch(&r->batch[i])));
	if (r->n_put_by)
		bad |= json_object_set_new(o, "put_by", intents_dump(r));
	bad |= json_object_set_new(o, "batches", batches) ||
	       json_object_set_new(o, "boot", json_string(util_boot())) ||
	       json_object_set_new(o, "written", json_integer(record_now()));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

char *record_dump(const struct record *r, size_t *ret_len)
{
	json_t *o = record_json(r);
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	char *all = NULL;

	json_decref(o);
	if (text)
		all = util_format(
			"%s\n%08x\n", text, util_crc32c(0, text, strlen(text)));
	if (all)
		*ret_len = strlen(all);
	return all;
}

static int field_parse(void *p, enum kind kind, const json_t *v)
{
	switch (kind) {
	case STR:
		return json_is_string(v) ? record_set(p, json_string_value(v))
					 : -EBADMSG;
	case COUNTED:
		return json_is_string(v) ? counted_set(p, json_string_value(v))
					 : -EBADMSG;
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

static int part_parse(struct part p, const json_t *o)
{
	int err = json_is_object(o) ? 0 : -EBADMSG;

	for (size_t i = 0; !err && i < p.n; i++) {
		const json_t *v = json_object_get(o, p.fields[i].name);

		if (v)
			err = field_parse(at(&p, &p.fields[i]), p.fields[i].kind, v);
	}
	return err;
}

static int intents_read(struct record *r, const json_t *all)
{
	size_t n = json_array_size(all);
	int err = 0;

	r->put_by = calloc(n + 1, sizeof(*r->put_by));
	if (!r->put_by)
		return -ENOMEM;
	for (; !err && r->n_put_by < n; r->n_put_by++)
		err = part_parse(of_intent(&r->put_by[r->n_put_by]),
			json_array_get(all, r->n_put_by));
	return err;
}

/* Format 1 had what is a batch's now among the members of the record itself. */
static int record_read(struct record *r, const json_t *o)
{
	const json_t *batches = json_object_get(o, "batches");
	size_t n = json_array_size(batches);
	const json_t *put_by = json_object_get(o, "put_by");
	int err = part_parse(of_record(r), o);

	if (!err && put_by)
		err = intents_read(r, put_by);
	if (err || !batches)
		return err ? err : part_parse(of_batch(r->batch), o);
	if (!n || n > RECORD_BATCHES)
		return -EBADMSG;
	for (size_t i = 0; !err && i < n; i++)
		err = part_parse(of_batch(&r->batch[i]), json_array_get(batches, i));
	return err;
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
	struct record_batch *b = r->batch;

	if (!b->intent_since && b->phase == PHASE_SUBMITTING)
		b->intent_since = now;
	if (!b->queued_since && b->phase == PHASE_QUEUED)
		b->queued_since = now;
	if (!r->removal_since && r->removal)
		r->removal_since = now;
}

static void part_resume(struct part p, int64_t written, int64_t now)
{
	for (size_t i = 0; i < p.n; i++) {
		int64_t *since = at(&p, &p.fields[i]);

		if (p.fields[i].kind == SINCE && *since)
			*since = moved(*since, written, now);
	}
}

static void resume_spans(struct record *r, const json_t *o)
{
	const char *boot = json_string_value(json_object_get(o, "boot"));
	int64_t written = json_integer_value(json_object_get(o, "written"));
	int64_t now = record_now();
	bool same = boot && strcmp(boot, util_boot()) == 0 && written <= now;

	if (!same) {
		part_resume(of_record(r), written, now);
		for (size_t i = 0; i < RECORD_BATCHES; i++)
			part_resume(of_batch(&r->batch[i]), written, now);
		for (size_t i = 0; i < r->n_put_by; i++)
			part_resume(of_intent(&r->put_by[i]), written, now);
	}
	begin_spans(r, now);
}

static bool batch_plausible(const struct record_batch *b)
{
	return b->phase >= 0 && b->phase < PHASES &&
	       (!b->id || remote_id_valid(REMOTE_BATCH, b->id)) &&
	       (b->phase != PHASE_SENT || b->id) &&
	       (!b->input_file || remote_id_valid(REMOTE_FILE, b->input_file));
}

static bool intent_plausible(const struct record_intent *i)
{
	return (i->phase == PHASE_SUBMITTING || i->phase == PHASE_UNCERTAIN) &&
	       i->round >= 0 && i->range_off >= 0 && i->range_len >= 0 &&
	       i->range_len <= INT64_MAX - i->range_off &&
	       (!i->input_file || remote_id_valid(REMOTE_FILE, i->input_file));
}

static bool part_plausible(const struct record *r)
{
	if (!r->part_of)
		return true;
	return r->part > 0 && r->round >= 0 && r->range_off >= 0 && r->range_len >= 0 &&
	       r->range_len <= INT64_MAX - r->range_off && r->half_of >= 0 &&
	       r->batch->phase != PHASE_PARTS;
}

static bool plausible(const struct record *r)
{
	bool all = r->removal >= 0 && r->removal < REMOVALS && r->name &&
		   !strchr(r->name, '/') && part_plausible(r);

	for (size_t i = 0; i < RECORD_BATCHES; i++)
		all = all && batch_plausible(&r->batch[i]);
	for (size_t i = 0; i < r->n_put_by; i++)
		all = all && intent_plausible(&r->put_by[i]);
	return all;
}

/* Whether the line that ends at nl has its checksum behind it, and nothing else. */
static bool is_whole_record(const char *text, const char *nl, size_t len)
{
	char want[CRC_DIGITS + 2];

	snprintf(want, sizeof(want), "%08x\n",
		util_crc32c(0, text, (size_t)(nl - text)));
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
	if (!nl || !is_whole_record(text, nl, len))
		goto out;
	o = json_loadb(text, (size_t)(nl - text), 0, NULL);
	if (!json_is_object(o))
		goto out;
	err = record_read(&r, o);
	if (!err && !plausible(&r))
		err = -EBADMSG;
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
