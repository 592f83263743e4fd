#include "record.h"

#include "util.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

enum { CRC_DIGITS = 8 };

enum kind { STR, I64, INT, BOOL };

#define FIELD(k, f) {#f, k, offsetof(struct record, f)}

static const struct field {
	const char *name;
	enum kind kind;
	size_t off;
} fields[] = {
	FIELD(STR, name),          FIELD(STR, display),      FIELD(STR, model),
	FIELD(I64, made_s),        FIELD(I64, made_ns),      FIELD(INT, phase),
	FIELD(BOOL, own),          FIELD(BOOL, background),  FIELD(STR, taint),
	FIELD(BOOL, composed),     FIELD(BOOL, name_unchecked), FIELD(BOOL, warned),
	FIELD(STR, origin),        FIELD(STR, key_print),    FIELD(STR, session),
	FIELD(I64, sent_size),     FIELD(STR, sent_stamp),   FIELD(STR, mime),
	FIELD(STR, input_file),    FIELD(STR, source),       FIELD(STR, stray),
	FIELD(BOOL, is_inline),    FIELD(I64, requests),
	FIELD(I64, intent_server), FIELD(I64, intent_local), FIELD(I64, queued_at),
	FIELD(INT, tries),         FIELD(STR, id),           FIELD(I64, sent_at),
	FIELD(BOOL, cancel_asked), FIELD(I64, results_size), FIELD(BOOL, home),
	FIELD(BOOL, end_logged),   FIELD(BOOL, counted),    FIELD(INT, removal),
	FIELD(I64, removal_at),    FIELD(INT, err),          FIELD(STR, error),
};

static void *at(const struct record *r, const struct field *f)
{
	return (char *)r + f->off;
}

void record_init(struct record *r)
{
	*r = (struct record){.phase = PHASE_DRAFT, .requests = -1, .results_size = -1};
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

static json_t *field_dump(const struct record *r, const struct field *f)
{
	void *p = at(r, f);

	switch (f->kind) {
	case STR:
		return *(char **)p ? json_string(*(char **)p) : NULL;
	case I64:
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

static bool plausible(const struct record *r)
{
	return r->phase >= 0 && r->phase < PHASES && r->removal >= 0 &&
	       r->removal < REMOVALS && r->name && !strchr(r->name, '/') &&
	       (!r->id || util_id_valid(r->id, "batches/")) &&
	       (r->phase != PHASE_SENT || r->id) &&
	       (!r->input_file || util_id_valid(r->input_file, "files/"));
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
		*ret = r;
		record_init(&r);
	}
out:
	json_decref(o);
	record_clear(&r);
	return err;
}
