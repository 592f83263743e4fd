#include "tokens.h"

int64_t tokens_of_bytes(int64_t bytes)
{
	return (bytes + 3) / 4;
}

/* A list, or one element standing for it. */
static size_t element_count(const json_t *v)
{
	return json_is_array(v) ? json_array_size(v) : json_is_object(v);
}

static const json_t *element(const json_t *v, size_t i)
{
	return json_is_array(v) ? json_array_get(v, i) : v;
}

static enum modality modality_of(const char *mime)
{
	static const struct {
		const char *prefix;
		enum modality is;
	} kinds[] = {{"image/", MODALITY_IMAGE}, {"video/", MODALITY_VIDEO},
		{"audio/", MODALITY_AUDIO}};

	for (size_t i = 0; mime && i < ARRAY_LEN(kinds); i++)
		if (!strncmp(mime, kinds[i].prefix, strlen(kinds[i].prefix)))
			return kinds[i].is;
	return MODALITY_DOCUMENT;
}

static void add_content(struct tokens *t, const json_t *content, int64_t *bytes)
{
	const json_t *parts = jget(content, "parts");

	for (size_t i = 0; i < element_count(parts); i++) {
		const json_t *part = element(parts, i),
			     *data = jget(part, "inlineData");

		*bytes += json_string_length(jget(part, "text"));
		if (!data)
			data = jget(part, "fileData");
		if (json_is_object(data))
			t->files[modality_of(jstr(data, "mimeType"))]++;
	}
}

void tokens_add_request(struct tokens *t, const json_t *request)
{
	const json_t *contents = jget(request, "contents");

	for (size_t i = 0; i < element_count(contents); i++)
		add_content(t, element(contents, i), &t->text);
	add_content(t, jget(request, "content"), &t->text);
	add_content(t, jget(request, "systemInstruction"), &t->system);
}

static int hex4(const char *s)
{
	int v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
	return v;
}

/* Bytes of UTF-8 that a \uXXXX stands for; a pair has two each. */
static int escaped_bytes(int v)
{
	if (v >= 0xd800 && v <= 0xdfff)
		return 2;
	return v < 0x80 ? 1 : v < 0x800 ? 2 : 3;
}

/* Bytes of a string whose escapes are in order. */
static int64_t string_bytes(const char *s, size_t len)
{
	const char *end = s + len, *p = s;
	int64_t n = len;

	while ((p = memchr(p, '\\', end - p))) {
		if (p[1] == 'u') {
			n += escaped_bytes(hex4(p + 2)) - 6;
			p += 6;
		} else {
			n--;
			p += 2;
		}
	}
	return n;
}

static bool path_is(const struct jcheck *c, int at, const char *name)
{
	return at > 0 && at < c->depth &&
	       name_is(c->path[at].name, c->path[at].len, name);
}

/*
 * Only what is in parts of a content counts. The path is [request.]X.parts.FIELD, X being
 * contents, content or systemInstruction.
 */
void tokens_add_seen(struct tokens *t, const struct jcheck *c, const struct field *f,
	const char *text, size_t len)
{
	bool is_text = text && !strcmp(f->name, "text");
	bool is_file = !text &&
		       (!strcmp(f->name, "fileData") || !strcmp(f->name, "inlineData"));
	int top = c->depth - 3;

	if ((!is_text && !is_file) || top != (path_is(c, 1, "request") ? 2 : 1))
		return;
	if (is_file)
		t->files[MODALITY_DOCUMENT]++;
	else if (path_is(c, top, "systemInstruction"))
		t->system += string_bytes(text, len);
	else
		t->text += string_bytes(text, len);
}

static int64_t text_tokens(const struct tokens *t)
{
	return tokens_of_bytes(t->text) + tokens_of_bytes(t->system);
}

int64_t tokens_sum(const struct tokens *t)
{
	int64_t n = text_tokens(t);

	for (int i = 0; i < MODALITIES; i++)
		n += TOKENS_FILE * t->files[i];
	return n;
}

json_t *tokens_details(const struct tokens *t)
{
	static const char *const names[] = {
		"TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT"};
	json_t *list = json_array();

	for (int i = 0; i < MODALITIES; i++) {
		int64_t n = i ? TOKENS_FILE * t->files[i] : text_tokens(t);

		if (n)
			json_array_append_new(
				list, json_pack("{ss sI}", "modality", names[i],
					      "tokenCount", (json_int_t)n));
	}
	return list;
}
