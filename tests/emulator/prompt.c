#include "prompt.h"

static void add_part(struct prompt *p, json_t *part)
{
	json_t *inl = jget(part, "inlineData"), *file = jget(part, "fileData");
	const char *text = jstr(part, "text"), *data = jstr(inl, "data");

	if (text) {
		if (p->text.len)
			buf_puts(&p->text, "\n");
		buf_add(&p->text, text, json_string_length(jget(part, "text")));
	}
	if ((!inl && !file) || p->n_files == PROMPT_FILES)
		return;
	p->files[p->n_files].uri = file ? jstr(file, "fileUri") : NULL;
	if (file && !p->files[p->n_files].uri)
		p->files[p->n_files].uri = "";
	p->files[p->n_files].mime = jstr(file ? file : inl, "mimeType");
	p->files[p->n_files++].size = data ? base64_size(data, strlen(data)) : 0;
}

/* A list, or one element standing for it. */
static size_t list_size(json_t *v)
{
	return json_is_array(v) ? json_array_size(v) : json_is_object(v);
}

static json_t *list_at(json_t *v, size_t i)
{
	return json_is_array(v) ? json_array_get(v, i) : v;
}

static json_t *last_user_turn(json_t *contents)
{
	for (size_t i = list_size(contents); i-- > 0;) {
		json_t *c = list_at(contents, i);
		const char *role = jstr(c, "role");

		if (!role || !*role || !strcmp(role, "user"))
			return c;
	}
	return NULL;
}

void prompt_read(json_t *request, struct prompt *ret)
{
	json_t *parts = jget(last_user_turn(jget(request, "contents")), "parts");
	json_t *system = jget(jget(request, "systemInstruction"), "parts");

	*ret = (struct prompt){0};
	tokens_add_request(&ret->tokens, request);
	for (size_t i = 0; i < list_size(parts); i++)
		add_part(ret, list_at(parts, i));
	for (size_t i = 0; i < list_size(system); i++) {
		const char *text = jstr(list_at(system, i), "text");

		if (text)
			buf_puts(&ret->system, text);
	}
}

void prompt_free(struct prompt *p)
{
	buf_free(&p->text);
	buf_free(&p->system);
}

bool prompt_asks(const struct prompt *p, const char *word, int64_t *ret_n)
{
	_cleanup_free_ char *mark = xasprintf("[emu:%s", word);
	const char *at = p->text.p ? strstr(p->text.p, mark) : NULL;

	if (!at)
		return false;
	at += strlen(mark);
	if (*at != ']' && *at != ' ')
		return false;
	if (ret_n)
		*ret_n = strtoll(at, NULL, 10);
	return true;
}

bool prompt_is_empty(json_t *content)
{
	json_t *parts = jget(content, "parts");

	for (size_t i = 0; i < list_size(parts); i++) {
		const char *text = jstr(list_at(parts, i), "text");

		if (text && *text)
			return false;
	}
	return true;
}

/* Of what is embedded each part must be something. */
static const char *embed_fault(json_t *content)
{
	json_t *parts = jget(content, "parts");

	if (!content)
		return "* EmbedContentRequest.content: content is not specified\n";
	for (size_t i = 0; i < list_size(parts); i++) {
		json_t *part = list_at(parts, i);
		const char *text = jstr(part, "text");

		if (text ? !*text : !json_object_size(part))
			return "* EmbedContentRequest.content contains an empty Part.\n";
	}
	return list_size(parts) ? NULL
				: "* EmbedContentRequest.content contains an empty Part.\n";
}

const char *prompt_fault(json_t *request, bool embed)
{
	if (embed)
		return embed_fault(jget(request, "content"));
	if (jget(request, "cachedContent") &&
		(jget(request, "systemInstruction") || jget(request, "tools") ||
			jget(request, "toolConfig")))
		return "CachedContent can not be used with GenerateContent request "
		       "setting "
		       "system_instruction, tools or tool_config";
	return NULL;
}
