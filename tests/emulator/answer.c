#include "answer.h"
#include "knobs.h"
#include "model_table.h"

#include <ctype.h>

static json_t *usage(const struct prompt *p, int64_t out, int thoughts)
{
	int64_t in = tokens_sum(&p->tokens);
	json_t *u = json_pack("{sI sI sI so}", "promptTokenCount", (json_int_t)in,
		"candidatesTokenCount", (json_int_t)out, "totalTokenCount",
		(json_int_t)(in + out + thoughts), "promptTokensDetails",
		tokens_details(&p->tokens));

	if (thoughts)
		json_object_set_new(u, "thoughtsTokenCount", json_integer(thoughts));
	return u;
}

/* The same request gets the same id, so outputs can be compared. */
static json_t *response_id(const struct asking *a, const struct prompt *p)
{
	uint64_t h = hash64(p->text.p ? p->text.p : "", p->text.len);

	return json_sprintf("%016llx%04x", (unsigned long long)h,
		(unsigned)hash64(a->model, strlen(a->model)) & 0xffff);
}

/* NULL unless the knob says a stage. */
static json_t *model_status(void)
{
	_cleanup_free_ char *stage = knob_text_dup(K_model_stage);

	return *stage ? json_pack("{ss ss ss}", "modelStage", stage, "message",
				"This model will be shut down.", "retirementTime",
				"2026-12-31T00:00:00Z")
		      : NULL;
}

static json_t *respond_parts(const struct asking *a, const struct prompt *p,
	json_t *parts, const char *finish, int64_t out, int thoughts)
{
	json_t *candidate = json_pack("{s{so ss} ss si}", "content", "parts", parts,
		"role", "model", "finishReason", finish, "index", 0);

	return json_pack("{s{s[o] so ss so so*}}", "response", "candidates", candidate,
		"usageMetadata", usage(p, out, thoughts), "modelVersion",
		model_version(a->model), "responseId", response_id(a, p), "modelStatus",
		model_status());
}

static json_t *text_part(const char *text, size_t len)
{
	json_t *s = json_stringn(text, len);

	return json_pack(
		"{so}", "text", s ? s : json_string("(the answer was no valid UTF-8)"));
}

static json_t *thought_part(void)
{
	return json_pack("{ss sb ss}", "text", "Let me think about this.", "thought", 1,
		"thoughtSignature", "RW11bGF0b3IgdGhvdWdodCBzaWduYXR1cmU=");
}

json_t *answer_text(const struct asking *a, const struct prompt *p, const char *text,
	size_t len, const char *finish)
{
	json_t *parts = json_array();
	bool thinks = knob_on(K_thoughts) || prompt_asks(p, "thought", NULL);

	if (thinks)
		json_array_append_new(parts, thought_part());
	json_array_append_new(parts, text_part(text, len));
	return respond_parts(a, p, parts, finish, tokens_of_bytes(len), thinks ? 7 : 0);
}

/* JSON that fits a responseSchema */

static json_t *sample(json_t *schema, const struct prompt *p, int depth);

static json_t *sample_object(json_t *schema, const struct prompt *p, int depth)
{
	json_t *o = json_object(), *v;
	const char *name;

	json_object_foreach(jget(schema, "properties"), name, v)
		json_object_set_new(o, name, sample(v, p, depth + 1));
	return o;
}

static json_t *sample_array(json_t *schema, const struct prompt *p, int depth)
{
	int64_t n = jint(schema, "minItems", 1);
	json_t *a = json_array();

	for (int64_t i = 0; i < n && i < 100; i++)
		json_array_append_new(a, sample(jget(schema, "items"), p, depth + 1));
	return a;
}

static json_t *sample_string(json_t *schema, const struct prompt *p)
{
	json_t *first = json_array_get(jget(schema, "enum"), 0);
	const char *format = jstr(schema, "format");

	if (first)
		return json_incref(first);
	if (format && !strcmp(format, "date-time"))
		return json_string("2026-01-02T03:04:05Z");
	return json_stringn(p->text.p ? p->text.p : "", p->text.len);
}

static json_t *sample(json_t *schema, const struct prompt *p, int depth)
{
	const char *type = jstr(schema, "type");
	json_t *any = json_array_get(jget(schema, "anyOf"), 0);

	if (depth > 20)
		return json_null();
	if (any)
		return sample(any, p, depth + 1);
	switch (type ? toupper((unsigned char)*type) : 'O') {
	case 'O':
		return sample_object(schema, p, depth);
	case 'A':
		return sample_array(schema, p, depth);
	case 'S':
		return sample_string(schema, p);
	case 'I':
		return json_integer(jint(schema, "minimum", 42));
	case 'B':
		return json_true();
	case 'N':
		return toupper((unsigned char)type[2]) == 'L' ? json_null()
							      : json_real(4.5);
	default:
		return json_null();
	}
}

static json_t *structured(
	const struct asking *a, const struct prompt *p, json_t *schema)
{
	_cleanup_json_ json_t *j = sample(schema, p, 0);
	_cleanup_free_ char *text = json_dumps(j, JSON_ENCODE_ANY);

	return answer_text(a, p, text, strlen(text), "STOP");
}

/* Special outcomes */

static json_t *blocked(const struct asking *a, const struct prompt *p, int64_t n)
{
	return json_pack("{s{s{ss} so ss so}}", "response", "promptFeedback",
		"blockReason", "PROHIBITED_CONTENT", "usageMetadata",
		json_pack("{sI sI}", "promptTokenCount", (json_int_t)tokens_sum(&p->tokens),
			"totalTokenCount", (json_int_t)tokens_sum(&p->tokens)),
		"modelVersion", model_version(a->model), "responseId", response_id(a, p));
}

static json_t *max_tokens(const struct asking *a, const struct prompt *p, int64_t n)
{
	return answer_text(a, p, "You said: this answer was cut o", 31, "MAX_TOKENS");
}

static json_t *no_parts(const struct asking *a, const struct prompt *p, int64_t n)
{
	json_t *candidate = json_pack("{s{ss} ss si}", "content", "role", "model",
		"finishReason", "MAX_TOKENS", "index", 0);

	return json_pack("{s{s[o] so ss so}}", "response", "candidates", candidate,
		"usageMetadata", usage(p, 0, 100), "modelVersion",
		model_version(a->model), "responseId", response_id(a, p));
}

static json_t *safety(const struct asking *a, const struct prompt *p, int64_t n)
{
	json_t *candidate = json_pack("{ss si}", "finishReason", "SAFETY", "index", 0);

	return json_pack("{s{s[o] so ss}}", "response", "candidates", candidate,
		"usageMetadata", usage(p, 0, 0), "modelVersion",
		model_version(a->model));
}

static json_t *error_line(const struct asking *a, const struct prompt *p, int64_t n)
{
	static const char *const texts[] = {
		[3] = "Request contains an invalid argument.",
		[7] = "The caller does not have permission.",
		[8] = "Resource has been exhausted (e.g. check quota).",
		[13] = "An internal error has occurred. Please retry.",
		[14] = "The service is currently unavailable."};
	const char *text = n >= 0 && n < (int64_t)ARRAY_LEN(texts) ? texts[n] : NULL;

	return json_pack("{s{si ss*}}", "error", "code", (int)n, "message", text);
}

static json_t *function_call(const struct asking *a, const struct prompt *p, int64_t n)
{
	json_t *part = json_pack("{s{ss s{ss#}}}", "functionCall", "name",
		"do_something", "args", "said", p->text.p, (int)p->text.len);

	return respond_parts(a, p, json_pack("[o]", part), "STOP", 12, 0);
}

static const char digits[] =
	"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/";

enum { FILLER_MAX = 64 << 20 };

/* *n: no more than a prompt may ask for. */
static char *filler(int64_t *n)
{
	*n = *n < 0 ? 0 : *n > FILLER_MAX ? FILLER_MAX : *n;
	char *s = xcalloc(1, *n + 1);

	for (int64_t i = 0; i < *n; i++)
		s[i] = digits[i % 64];
	return s;
}

static json_t *image(const struct asking *a, const struct prompt *p, int64_t n)
{
	_cleanup_free_ char *bytes = filler(&n), *data = base64_dup(bytes, n);
	json_t *part = json_pack(
		"{s{ss ss}}", "inlineData", "mimeType", "image/png", "data", data);

	return respond_parts(a, p, json_pack("[o]", part), "STOP", 1290, 0);
}

static json_t *big(const struct asking *a, const struct prompt *p, int64_t n)
{
	_cleanup_free_ char *text = filler(&n);

	return answer_text(a, p, text, n, "STOP");
}

static json_t *sleepy(const struct asking *a, const struct prompt *p, int64_t n)
{
	nap(n);
	return answer_text(a, p, "You said: good night", 20, "STOP");
}

/* Everything that is asked for but text and schema, so that tests see it arrived. */
static void describe(json_t *request, const struct prompt *p, struct buf *out)
{
	json_t *config = jget(request, "generationConfig"),
	       *tools = jget(request, "tools");
	json_t *tool, *v;
	const char *name;
	size_t i;

	if (p->system.len)
		buf_printf(out, " [system: %s]", p->system.p);
	json_array_foreach(tools, i, tool) json_object_foreach(tool, name, v)
		buf_printf(out, " [tool: %s]", name);
	if (jget(config, "temperature"))
		buf_printf(out, " [temperature: %g]",
			json_number_value(jget(config, "temperature")));
	if (jget(request, "cachedContent"))
		buf_printf(out, " [cached: %s]", jstr(request, "cachedContent"));
	for (i = 0; i < p->n_files; i++)
		buf_printf(out, " [file: %s, %lld bytes]",
			p->files[i].mime ? p->files[i].mime : "unknown type",
			(long long)p->files[i].size);
}

static json_t *echo(const struct asking *a, json_t *request, const struct prompt *p)
{
	int64_t max = jint(jget(request, "generationConfig"), "maxOutputTokens", 0);
	struct buf text = {0};
	bool cut;
	json_t *r;

	buf_puts(&text, "You said: ");
	buf_add(&text, p->text.p ? p->text.p : "", p->text.len);
	describe(request, p, &text);
	cut = max > 0 && tokens_of_bytes(text.len) > max;
	if (cut)
		for (buf_cut(&text, max * 4);
			text.len && (text.p[text.len] & 0xc0) == 0x80;)
			buf_cut(&text, text.len - 1);
	r = answer_text(a, p, text.p, text.len, cut ? "MAX_TOKENS" : "STOP");
	buf_free(&text);
	return r;
}

/* Which files the request has: type, size and digest of each, a line each. */
static json_t *name_files(const struct asking *a, const struct prompt *p, int64_t n)
{
	struct buf text = {0};
	json_t *r;

	for (size_t i = 0; i < p->n_files; i++)
		buf_printf(&text, "%s %lld %s\n",
			p->files[i].mime ? p->files[i].mime : "-",
			(long long)p->files[i].size,
			p->files[i].sha256[0] ? p->files[i].sha256 : "-");
	r = answer_text(a, p, text.p ? text.p : "", text.len, "STOP");
	buf_free(&text);
	return r;
}

json_t *answer_builtin(const struct asking *a, json_t *request, const struct prompt *p)
{
	static const struct {
		const char *word;
		json_t *(*make)(
			const struct asking *a, const struct prompt *p, int64_t n);
	} specials[] = {{"blocked", blocked}, {"max_tokens", max_tokens},
		{"no_parts", no_parts}, {"safety", safety}, {"error", error_line},
		{"function", function_call}, {"image", image}, {"big", big},
		{"sleep", sleepy}, {"files", name_files}};
	json_t *config = jget(request, "generationConfig");
	json_t *schema = jget(config, "responseSchema");
	int64_t n;

	if (model_fails(a->model))
		return json_pack("{s{si so}}", "error", "code", 5, "message",
			json_sprintf("models/%s is not found for API version v1main.",
				a->model));
	if (!schema)
		schema = jget(config, "responseJsonSchema");
	for (size_t i = 0; i < ARRAY_LEN(specials); i++)
		if (prompt_asks(p, specials[i].word, &n))
			return specials[i].make(a, p, n);
	if (jstr(config, "responseMimeType") &&
		!strcmp(jstr(config, "responseMimeType"), "application/json"))
		return structured(a, p, schema);
	return echo(a, request, p);
}

bool answer_embeds_newly(const char *model)
{
	int form = knob_choice(K_embed_form);

	if (form)
		return form == 1;
	if (model && !strncmp(model, "models/", 7))
		model += 7;
	return model && !strcmp(model, "gemini-embedding-2");
}

/* All parts of the content make one vector. */
json_t *answer_embedding(const struct asking *a, json_t *request)
{
	json_t *parts = jget(jget(request, "content"), "parts"), *part;
	int64_t n = jint(request, "outputDimensionality", 8);
	json_t *values = json_array();
	struct tokens t = {0};
	json_int_t count;
	uint64_t h = 0;
	size_t i;

	tokens_add_request(&t, request);
	count = tokens_sum(&t);
	json_array_foreach(parts, i, part)
	{
		const char *text = jstr(part, "text");

		if (!text)
			continue;
		h ^= hash64(text, strlen(text));
	}
	for (int64_t k = 0; k < n && k < 3072; k++) {
		h = h * 6364136223846793005ULL + 1442695040888963407ULL;
		json_array_append_new(values, json_real((double)(h >> 40) / (1 << 24)));
	}
	if (answer_embeds_newly(a->model))
		return json_pack("{s{s{so} s{sI}}}", "response", "embedding", "values", values,
			"usageMetadata", "promptTokenCount", count);
	return json_pack("{s{so s{so}}}", "response", "tokenCount",
		json_sprintf("%lld", (long long)count), "embedding", "values", values);
}
