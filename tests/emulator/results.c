#include "results.h"
#include "knobs.h"
#include "responder.h"
#include "store.h"
#include "world.h"

#include <errno.h>
#include <pthread.h>

/* Results that are shuffled among each other. */
#define WINDOW 1000
#define WINDOW_BYTES (16 * 1024 * 1024)
#define MAX_WIDTH 16

struct result {
	json_t *answer; /* {"response"} or {"error"} */
	json_t *tag;    /* key, or metadata of an inline request; may be NULL */
	size_t weight;  /* bytes of its request, at least */
};

struct maker {
	struct work *w;
	struct asking asking;
	FILE *in, *out;
	char *line;
	size_t cap;
	int64_t index;
	struct result window[WINDOW];
	size_t n;
	size_t weight;
	bool written; /* a line was */
};

static void append_line(struct maker *m, json_t *line)
{
	_cleanup_free_ char *text =
		json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15));

	if (!text)
		return;
	if (m->written)
		fputc('\n', m->out);
	fputs(text, m->out);
	m->written = true;
}

static json_t *tag_as_metadata(struct maker *m, json_t *tag)
{
	return m->w->inline_input ? json_incref(tag) : json_pack("{sO}", "key", tag);
}

static json_t *tag_as_key(struct maker *m, json_t *tag)
{
	json_t *key = m->w->inline_input ? json_object_get(tag, "key") : tag;

	return json_incref(key);
}

/* "error" first or last, "response" before "key": as live lines have it. */
static json_t *result_line(struct maker *m, struct result *r, json_t *tag)
{
	json_t *line = json_object();
	bool inl = m->w->inline_output;
	const char *name = inl ? "metadata" : "key";
	bool wanted = tag && (inl ? knob_choice(K_inline_metadata) == 0
				  : knob_choice(K_result_keys) != 2);
	json_t *shown = !wanted ? NULL
			: inl   ? tag_as_metadata(m, tag)
				: tag_as_key(m, tag);

	if (shown && json_object_get(r->answer, "error"))
		json_object_set(line, name, shown);
	json_object_update(line, r->answer);
	if (shown)
		json_object_set(line, name, shown);
	json_decref(shown);
	return line;
}

/* The member that carries errors, and its code, as knobs want them. */
static void dress_error(json_t *answer)
{
	static const int http[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400,
		409, 400, 501, 500, 503, 500, 401};
	json_t *e = json_object_get(answer, "error");
	json_int_t code = json_integer_value(json_object_get(e, "code"));

	if (!e)
		return;
	if (knob_choice(K_error_codes) && code >= 0 &&
		code < (json_int_t)ARRAY_LEN(http))
		json_object_set_new(e, "code", json_integer(http[code]));
	if (knob_choice(K_error_member)) {
		json_object_set(answer, "status", e);
		json_object_del(answer, "error");
	}
}

static void swap(struct result *a, struct result *b)
{
	struct result t = *a;

	*a = *b;
	*b = t;
}

static void reorder(struct maker *m)
{
	int order = knob_choice(K_order);
	json_t *first = m->n ? m->window[0].answer : NULL;

	if (order == 2)
		for (size_t i = 0; i < m->n / 2; i++)
			swap(&m->window[i], &m->window[m->n - 1 - i]);
	if (order)
		return;
	for (size_t i = m->n; i > 1; i--)
		swap(&m->window[i - 1], &m->window[random_below(i)]);
	if (m->n > 1 && m->window[0].answer == first)
		swap(&m->window[0], &m->window[m->n - 1]);
}

static void flush(struct maker *m)
{
	bool rotated = knob_choice(K_result_keys) == 1 && !m->w->inline_output;

	reorder(m);
	for (size_t i = 0; i < m->n; i++) {
		json_t *tag = m->window[rotated ? (i + 1) % m->n : i].tag;
		json_t *line;

		dress_error(m->window[i].answer);
		line = result_line(m, &m->window[i], tag);
		append_line(m, line);
		json_decref(line);
	}
	for (size_t i = 0; i < m->n; i++) {
		json_decref(m->window[i].answer);
		json_decref(m->window[i].tag);
	}
	m->n = 0;
	m->weight = 0;
}

static void keep(struct maker *m, struct result r)
{
	if (!r.answer) {
		m->w->failed++;
		json_decref(r.tag);
		return;
	}
	if (json_object_get(r.answer, "error"))
		m->w->failed++;
	else
		m->w->ok++;
	m->window[m->n++] = r;
	m->weight += r.weight;
	if (m->n == WINDOW || m->weight > WINDOW_BYTES)
		flush(m);
}

/* A line on its way to being a result. */
struct item {
	struct maker *m;
	json_t *line, *request;
	size_t size;
	int64_t index;
	struct result result;
};

static bool next_line(struct maker *m, struct item *it)
{
	ssize_t n;

	do
		n = getline(&m->line, &m->cap, m->in);
	while (n > 0 && strspn(m->line, " \t\r\n") == (size_t)n);
	if (n <= 0)
		return false;
	*it = (struct item){.m = m, .size = n, .index = m->index++};
	it->line = json_loadb(m->line, n, JSON_ALLOW_NUL, NULL);
	it->request = json_object_get(it->line, "request");
	if (!it->request && !m->w->inline_input)
		it->request = it->line;
	it->result.tag = json_incref(
		json_object_get(it->line, m->w->inline_input ? "metadata" : "key"));
	it->result.weight = n;
	return true;
}

static size_t text_weight(json_t *answer)
{
	json_t *r = json_object_get(answer, "response");
	json_t *c = json_array_get(json_object_get(r, "candidates"), 0);
	json_t *p = json_object_get(json_object_get(c, "content"), "parts");
	json_t *part = json_array_get(p, 0);

	return json_string_length(json_object_get(part, "text")) +
	       json_string_length(
		       json_object_get(json_object_get(part, "inlineData"), "data"));
}

static void *answer_main(void *arg)
{
	struct item *it = arg;
	int every = knob_num(K_fail_every);

	if (every > 0 && it->index % every == every - 1)
		it->result.answer = json_pack("{s{si ss}}", "error", "code", 13,
			"message", "An internal error has occurred. Please retry.");
	else
		it->result.answer = respond(&it->m->asking, it->request);
	it->result.weight += text_weight(it->result.answer);
	return NULL;
}

static void answer_unserved(struct item *it)
{
	it->result.answer = json_pack("{s{si}}", "error", "code", 1);
}

/* Answers n items, at the same time if there are several. */
static void answer_all(struct item *items, int n)
{
	pthread_t threads[MAX_WIDTH];

	if (n == 1) {
		answer_main(items);
		return;
	}
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, answer_main, &items[i]);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static bool make_some(struct maker *m)
{
	struct item items[MAX_WIDTH];
	struct work *w = m->w;
	int width = responder_width(), n = 0;
	bool serve = (w->serve < 0 || m->index < w->serve) && w->go_on(w);

	if (width > MAX_WIDTH)
		width = MAX_WIDTH;
	while (n < width && (!serve || w->serve < 0 || m->index < w->serve || !n) &&
		next_line(m, &items[n]))
		n++;
	if (serve && n)
		answer_all(items, n);
	for (int i = 0; i < n; i++) {
		if (!serve)
			answer_unserved(&items[i]);
		keep(m, items[i].result);
		json_decref(items[i].line);
	}
	return n > 0;
}

static int finish(struct maker *m)
{
	struct work *w = m->w;
	int r = 0;

	flush(m);
	if (m->written && knob_on(K_last_newline))
		fputc('\n', m->out);
	if (fflush(m->out) || ferror(m->out))
		r = -EIO;
	w->size = ftello(m->out);
	return r;
}

int results_make(struct work *w)
{
	_cleanup_free_ char *in = store_path("inline", w->id, ".in");
	_cleanup_free_ char *id =
		xasprintf("%s%s", w->inline_output ? "" : "batch-", w->id);
	_cleanup_free_ char *out = w->inline_output ? store_path("inline", id, ".out")
						    : store_path("blobs", id, "");
	struct maker *m = xcalloc(1, sizeof(*m));
	int r = -EIO;

	m->w = w;
	m->asking = (struct asking){w->model, w->project, w->embed};
	w->ok = w->failed = 0;
	m->in = fopen(in, "re");
	m->out = fopen(out, "we");
	if (m->in && m->out) {
		setvbuf(m->out, NULL, _IOFBF, 256 * 1024);
		while (!stopping() && make_some(m))
			;
		r = finish(m);
	}
	if (m->in)
		fclose(m->in);
	if (m->out)
		fclose(m->out);
	free(m->line);
	free(m);
	return r;
}
