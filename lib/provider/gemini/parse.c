#include "provider/gemini/parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/util.h"

#define STATE_TEXT_MAX 64
#define TOKEN_MAX 4096
#define STRIP_DEPTH 8

static char *dup_or_null(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* ---- states  ---- */

static const struct state {
	const char *name;
	enum remote_state state;
	bool ended;
} states[] = {
	{"UNSPECIFIED", REMOTE_STATE_NONE, false},
	{"PENDING", REMOTE_STATE_PENDING, false},
	{"RUNNING", REMOTE_STATE_RUNNING, false},
	{"SUCCEEDED", REMOTE_STATE_SUCCEEDED, true},
	{"FAILED", REMOTE_STATE_FAILED, true},
	{"CANCELLED", REMOTE_STATE_CANCELLED, true},
	{"EXPIRED", REMOTE_STATE_EXPIRED, true},
	{"QUEUED", REMOTE_STATE_OTHER, false},
	{"CANCELLING", REMOTE_STATE_OTHER, false},
	{"PAUSED", REMOTE_STATE_OTHER, false},
	{"UPDATING", REMOTE_STATE_OTHER, false},
	{"PARTIALLY_SUCCEEDED", REMOTE_STATE_OTHER, true},
};

static const struct state *state_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(name, states[i].name) == 0)
			return &states[i];
	return NULL;
}

/* None of those that are REMOTE_STATE_OTHER. */
static const struct state *state_known(enum remote_state state)
{
	size_t i = 0;

	while (states[i].state != state)
		i++;
	return &states[i];
}

/* The known state a wire text stands for. */
static const struct state *state_of(const char *text)
{
	static const char *const prefixes[] = {"BATCH_STATE_", "JOB_STATE_", ""};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (strncmp(text, prefixes[i], n) == 0 && state_named(text + n))
			return state_named(text + n);
	}
	return NULL;
}

static bool state_text_sane(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return n > 0 && n <= STATE_TEXT_MAX;
}

/* What the outcome says of a job that is done, whatever its state claims. */
static const struct state *state_by_outcome(const struct remote_batch *b)
{
	if (b->error_code == 1)
		return state_known(REMOTE_STATE_CANCELLED);
	return state_known(
		b->error_code ? REMOTE_STATE_FAILED : REMOTE_STATE_SUCCEEDED);
}

static void parse_state(const json_t *meta, bool done, struct remote_batch *b)
{
	const char *text = gemini_field_text(meta, "state");
	const struct state *s;

	if (text && !state_text_sane(text))
		text = NULL;
	s = text ? state_of(text) : state_known(REMOTE_STATE_NONE);
	if (!s) {
		b->state = REMOTE_STATE_OTHER;
		b->state_text = strdup(text);
		b->ended = done;
		return;
	}
	if (done && !s->ended)
		s = state_by_outcome(b);
	b->state = s->state;
	b->state_text = util_format("JOB_STATE_%s", s->name);
	b->ended = s->ended;
}

/* ---- one job  ---- */

static bool is_inlined_name(const char *name)
{
	static const char *const names[] = {"inlinedResponses", "inlined_responses",
		"inlinedEmbedContentResponses", "inlined_embed_content_responses"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Empty every list of inlined responses; true when there was one. */
static bool strip_inlined(json_t *obj, int depth)
{
	const char *name;
	bool found = false;
	json_t *v;
	void *next;

	if (depth == 0)
		return false;
	json_object_foreach_safe(obj, next, name, v)
	{
		if (is_inlined_name(name) && !json_is_null(v)) {
			json_object_set_new(obj, name, json_object());
			found = true;
		} else if (json_is_object(v)) {
			found |= strip_inlined(v, depth - 1);
		}
	}
	return found;
}

static void parse_counts(const json_t *meta, struct remote_batch *b)
{
	json_t *stats = gemini_field(meta, "batchStats");

	b->requests = b->succeeded = b->failed = b->pending = -1;
	if (!json_is_object(stats))
		return;
	b->requests = gemini_field_count(stats, "requestCount", 0);
	b->succeeded = gemini_field_count(stats, "successfulRequestCount", 0);
	b->failed = gemini_field_count(stats, "failedRequestCount", 0);
	b->pending = gemini_field_count(stats, "pendingRequestCount", 0);
}

static void parse_outcome(const json_t *op, const json_t *meta, struct remote_batch *b)
{
	json_t *e = gemini_field(op, "error");
	int64_t code;

	if (!e)
		e = gemini_field(meta, "error");
	if (!json_is_object(e))
		return;
	code = gemini_field_count(e, "code", 0);
	b->error_text = dup_or_null(gemini_field_text(e, "message"));
	b->error_code = code > 0 && code < 1000 ? (int)code : 0;
	if (b->error_code == 0 && (code != 0 || b->error_text))
		b->error_code = 2; /* UNKNOWN */
}

static char *output_file(const json_t *op, const json_t *meta)
{
	const json_t *places[] = {gemini_field(meta, "output"),
		gemini_field(op, "response"), gemini_field(op, "output"), meta};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *file =
			gemini_field_id(places[i], "responsesFile", "files/", NULL);

		if (file)
			return file;
	}
	return NULL;
}

static bool is_embedding(const json_t *meta)
{
	const char *type = json_string_value(json_object_get(meta, "@type"));

	return type && strstr(type, "EmbedContentBatch");
}

static char *dump_operation(const json_t *op)
{
	char *text = json_dumps(op, JSON_INDENT(2) | JSON_PRESERVE_ORDER), *line;

	line = text ? util_format("%s\n", text) : NULL;
	free(text);
	return line;
}

static int batch_from_json(json_t *op, struct remote_batch *ret)
{
	struct remote_batch b = {0};
	json_t *meta = gemini_field(op, "metadata"), *input;

	if (!json_is_object(op))
		return -EPROTO;
	if (!json_is_object(meta))
		meta = op;
	b.id = gemini_field_id(op, "name", "batches/", NULL);
	if (!b.id)
		b.id = gemini_field_id(meta, "name", "batches/", NULL);
	if (!b.id)
		return -EPROTO;
	b.output_inline = strip_inlined(op, STRIP_DEPTH);
	input = gemini_field(meta, "inputConfig");
	b.has_input_config = json_is_object(input);
	b.input_file = gemini_field_id(input, "fileName", "files/", NULL);
	b.output_file = output_file(op, meta);
	b.model = gemini_field_id(meta, "model", "models/", "tunedModels/");
	b.display = dup_or_null(gemini_field_text(meta, "displayName"));
	if (!b.display)
		b.display = strdup("");
	b.embedding = is_embedding(meta);
	b.created = gemini_field_time(meta, "createTime");
	b.updated = gemini_field_time(meta, "updateTime");
	b.ended_at = gemini_field_time(meta, "endTime");
	parse_counts(meta, &b);
	parse_outcome(op, meta, &b);
	parse_state(meta, json_is_true(gemini_field(op, "done")), &b);
	b.json = dump_operation(op);
	if (!b.json || !b.display || !b.state_text) {
		remote_batch_clear(&b);
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

int gemini_batch_parse(const char *text, size_t n, struct remote_batch *ret)
{
	json_t *op = gemini_json(text, n);
	int r = op ? batch_from_json(op, ret) : -EPROTO;

	json_decref(op);
	return r;
}

/* ---- pages  ---- */

/* A page token, malloc'ed; NULL: none, or unusable. */
static char *gemini_next_token(const json_t *page, const char *asked)
{
	const char *next = gemini_field_text(page, "nextPageToken");

	/* The token that was asked for again would never end. */
	if (!next || strlen(next) > TOKEN_MAX || (asked && strcmp(next, asked) == 0))
		return NULL;
	return strdup(next);
}

bool gemini_is_list(const json_t *root, const char *member)
{
	static const char *const others[] = {"nextPageToken", "unreachable"};
	bool has = json_is_array(gemini_field(root, member));

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		has |= gemini_field(root, others[i]) != NULL;
	return json_is_object(root) && !json_object_get(root, "error") &&
	       (has || json_object_size(root) == 0);
}

int gemini_page_parse(
	const char *text, size_t n, const char *asked, struct remote_page *ret)
{
	struct remote_page page = {0};
	json_t *root = gemini_json(text, n), *list = gemini_field(root, "operations"),
	       *op;
	size_t i, count = json_array_size(list);
	int r = -EPROTO;

	if (!gemini_is_list(root, "operations") || (list && !json_is_array(list)) ||
		count > API_PAGE_JOBS)
		goto out;
	r = -ENOMEM;
	page.batches = calloc(count + 1, sizeof *page.batches);
	if (!page.batches)
		goto out;
	json_array_foreach(list, i, op)
	{
		if (batch_from_json(op, &page.batches[page.n]) == 0)
			page.n++;
		else
			page.skipped++;
	}
	page.next = gemini_next_token(root, asked);
	*ret = page;
	r = 0;
out:
	json_decref(root);
	return r;
}

/* ---- models  ---- */

const char *gemini_method_name(enum batch_method method)
{
	return method == BATCH_EMBED ? "asyncBatchEmbedContent"
				     : "batchGenerateContent";
}

static unsigned batch_methods(const json_t *model)
{
	static const enum batch_method known[] = {BATCH_GENERATE, BATCH_EMBED};
	json_t *methods = gemini_field(model, "supportedGenerationMethods"), *m;
	unsigned found = 0;
	size_t i;

	json_array_foreach(methods, i, m)
	{
		const char *name = json_string_value(m);

		for (size_t k = 0; name && k < ARRAY_SIZE(known); k++)
			if (strcmp(name, gemini_method_name(known[k])) == 0)
				found |= known[k];
	}
	return found;
}

static int add_model(struct remote_models *m, const char *name, unsigned methods)
{
	struct remote_model *list = reallocarray(m->list, m->n + 1, sizeof(*list));
	char *copy = strdup(name);

	if (list)
		m->list = list;
	if (!list || !copy) {
		free(copy);
		return -ENOMEM;
	}
	list[m->n++] = (struct remote_model){copy, methods};
	return 0;
}

int gemini_models_parse(
	const char *text, size_t n, struct remote_models *ret, char **ret_next)
{
	json_t *root = gemini_json(text, n), *m;
	json_t *list = gemini_field(root, "models");
	size_t i;
	int r = gemini_is_list(root, "models") ? 0 : -EPROTO;

	json_array_foreach(list, i, m)
	{
		const char *name = gemini_field_text(m, "name");

		if (r == 0 && name && util_id_valid(name, "models/"))
			r = add_model(ret, name + strlen("models/"), batch_methods(m));
	}
	if (r == 0)
		*ret_next = gemini_next_token(root, NULL);
	json_decref(root);
	return r;
}

int gemini_model_parse(const char *text, size_t n, unsigned *ret_methods)
{
	json_t *root = gemini_json(text, n);
	bool is_model = gemini_field_text(root, "name") != NULL;

	if (is_model)
		*ret_methods = batch_methods(root);
	json_decref(root);
	return is_model ? 0 : -EPROTO;
}

/* ---- files  ---- */

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The length, or 0 when it is no base64 or more than size bytes. */
static size_t base64_decode(const char *text, uint8_t *ret, size_t size)
{
	size_t digits = strcspn(text, "="), n = 0;
	uint32_t bits = 0;

	if (strspn(text + digits, "=") != strlen(text + digits) ||
		digits * 6 / 8 > size)
		return 0;
	for (size_t i = 0; i < digits; i++) {
		int d = base64_digit(text[i]);

		if (d < 0)
			return 0;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4)
			ret[n++] = (uint8_t)(bits >> (6 - i % 4 * 2));
	}
	return n;
}

/* Base64 of the digest, or of its hexadecimal text. */
static void sha256_from_json(const json_t *obj, char ret[65])
{
	const char *text = gemini_field_text(obj, "sha256Hash");
	uint8_t bytes[64];
	size_t n = text ? base64_decode(text, bytes, sizeof bytes) : 0;

	ret[0] = '\0';
	for (size_t i = 0; n == 64 && i < 64; i++) {
		if (!isxdigit(bytes[i]))
			n = 0;
		bytes[i] = (uint8_t)tolower(bytes[i]);
	}
	if (n == 64)
		snprintf(ret, 65, "%.64s", (const char *)bytes);
	for (size_t i = 0; n == 32 && i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static void file_from_json(const json_t *obj, struct remote_file *f)
{
	const char *state = gemini_field_text(obj, "state");

	f->uri = dup_or_null(gemini_field_text(obj, "uri"));
	f->mime = dup_or_null(gemini_field_text(obj, "mimeType"));
	f->size = gemini_field_count(obj, "sizeBytes", -1);
	sha256_from_json(obj, f->sha256);
	f->expires = gemini_field_time(obj, "expirationTime");
	f->failed = state && strcmp(state, "FAILED") == 0;
	f->active = !state || strcmp(state, "PROCESSING") != 0;
	f->active &= !f->failed;
}

int gemini_file_parse(const char *text, size_t n, struct remote_file *ret)
{
	struct remote_file f = {0};
	json_t *root = gemini_json(text, n), *obj = gemini_field(root, "file");
	int r = -EPROTO;

	if (!json_is_object(obj))
		obj = root;
	f.name = gemini_field_id(obj, "name", "files/", NULL);
	if (f.name) {
		file_from_json(obj, &f);
		*ret = f;
		r = 0;
	}
	json_decref(root);
	return r;
}

int gemini_files_parse(const char *text, size_t n, const char *asked,
	int64_t *ret_bytes, char **ret_next)
{
	json_t *root = gemini_json(text, n), *list = gemini_field(root, "files"), *f;
	int64_t sum = 0;
	size_t i;
	int r = gemini_is_list(root, "files") && (!list || json_is_array(list))
			? 0
			: -EPROTO;

	json_array_foreach(list, i, f)
	{
		const char *source = gemini_field_text(f, "source");
		int64_t size = gemini_field_count(f, "sizeBytes", 0);
		bool output = source && strcmp(source, "GENERATED") == 0;

		if (!output && size > 0 && size < INT64_MAX / 1024 - sum)
			sum += size;
	}
	if (r == 0) {
		*ret_bytes = sum;
		*ret_next = gemini_next_token(root, asked);
	}
	json_decref(root);
	return r;
}
