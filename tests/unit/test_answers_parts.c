/* One index over the results of several parts, however they come: a model of what each
 * request has by then, against the index that grew and against one that is made anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "answers_fixture.h"
#include "base/util.h"

enum { PARTS = 64, REQUESTS = 60, ROUNDS = 3 };

/* What a request got of a part. */
struct reply {
	enum answers_status status; /* ANSWER_PENDING: it did not ask */
	bool again;                 /* another try may answer it */
	char text[64];              /* third field of answers.tsv */
};

struct part {
	bool there; /* has ended */
	uint32_t round;
	size_t from, to; /* requests of round 0 */
	bool asks[REQUESTS];
	struct reply replies[REQUESTS];
	char *results; /* NULL: none */
	char *requests;
};

/* The world: what was asked, and the parts in the order of their numbers. */
static struct {
	char *requests;
	size_t n, at[REQUESTS + 1];
	struct part parts[PARTS];
	uint32_t n_parts;
} w;

/* Its keys name no directories. */
static bool flat;

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

static void key_of(size_t i, char ret[32])
{
	static const char *const before[] = {"k", "a/k", "b", "k"},
				 *const after[] = {"", "", "/x", ".txt"};

	sprintf(ret, "%s%zu%s", before[i % 4], i, after[i % 4]);
	for (char *p = ret; flat && (p = strchr(p, '/'));)
		*p = '-';
}

/* Some ask for a string as JSON. */
static bool asks_json(size_t i)
{
	return i % 3 == 0;
}

static void world_clear(void)
{
	for (uint32_t p = 0; p < w.n_parts; p++) {
		free(w.parts[p].results);
		free(w.parts[p].requests);
	}
	free(w.requests);
	memset(&w, 0, sizeof w);
}

static void world_new(size_t n)
{
	size_t len;
	FILE *f = open_memstream(&w.requests, &len);

	w.n = n;
	for (size_t i = 0; i < n; i++) {
		char key[32];

		key_of(i, key);
		w.at[i] = (size_t)ftell(f);
		fprintf(f, "{\"key\":\"%s\",\"request\":{\"n\":%zu%s}}\n", key, i,
			!asks_json(i)
				? ""
				: ",\"generationConfig\":{\"responseMimeType\":"
				  "\"application/json\",\"responseSchema\":"
				  "{\"type\":\"STRING\"}}");
		fflush(f);
	}
	w.at[n] = (size_t)ftell(f);
	fclose(f);
}

/* ---- parts ------------------------------------------------------------------------- */

static void one_reply(FILE *f, uint32_t part, size_t i, struct reply *r)
{
	char key[32];

	key_of(i, key);
	r->status = (enum answers_status)below(ANSWER_PENDING);
	if (r->status == ANSWER_INVALID && !asks_json(i))
		r->status = ANSWERED;
	r->again = r->status == ANSWER_MISSING || r->status == ANSWER_INVALID;
	switch (r->status) {
	case ANSWERED:
	case ANSWER_INVALID:
		sprintf(r->text,
			r->status == ANSWER_INVALID ? "%u"
			: asks_json(i)		    ? "\"says %u\""
						    : "says %u",
			part);
		fprintf(f,
			"{\"key\":\"%s\",\"response\":{\"candidates\":[{\"content\":"
			"{\"parts\":[{\"text\":\"%s%u%s\"}]},\"finishReason\":"
			"\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":%u}}}\n",
			key,
			r->status == ANSWER_INVALID ? ""
			: asks_json(i)		    ? "\\\"says "
						    : "says ",
			part, asks_json(i) && r->status == ANSWERED ? "\\\"" : "", part);
		return;
	case ANSWER_TRUNCATED:
		sprintf(r->text, "cut %u", part);
		fprintf(f,
			"{\"key\":\"%s\",\"response\":{\"candidates\":[{\"content\":"
			"{\"parts\":[{\"text\":\"cut %u\"}]},\"finishReason\":"
			"\"MAX_TOKENS\"}]}}\n",
			key, part);
		return;
	case ANSWER_BLOCKED:
		strcpy(r->text, "SAFETY");
		fprintf(f,
			"{\"key\":\"%s\",\"response\":{\"candidates\":[{\"finishReason\":"
			"\"SAFETY\"}]}}\n",
			key);
		return;
	case ANSWER_FAILED:
		r->again = below(2);
		sprintf(r->text, "%s: no %u",
			r->again ? "INTERNAL (13)" : "INVALID_ARGUMENT (3)", part);
		fprintf(f, "{\"key\":\"%s\",\"error\":{\"code\":%d,\"message\":\"no %u\"}}\n",
			key, r->again ? 13 : 3, part);
		return;
	default:
		strcpy(r->text, "there is no result for this request");
	}
}

static void part_ends(struct part *p, bool output)
{
	uint32_t number = (uint32_t)(p - w.parts) + 1;
	size_t len;
	FILE *f = open_memstream(&p->results, &len);

	p->there = true;
	for (size_t i = 0; i < w.n; i++)
		if (p->asks[i] && output)
			one_reply(f, number, i, &p->replies[i]);
		else if (p->asks[i])
			p->replies[i] = (struct reply){ANSWER_MISSING, true,
				"there is no result for this request"};
	fclose(f);
	if (!output) {
		free(p->results);
		p->results = NULL;
	}
}

static struct part *part_new(uint32_t round)
{
	struct part *p = &w.parts[w.n_parts++];

	must(w.n_parts < PARTS);
	*p = (struct part){.round = round};
	for (size_t i = 0; i < w.n; i++)
		p->replies[i].status = ANSWER_PENDING;
	return p;
}

static void cut(size_t each)
{
	for (size_t at = 0; at < w.n; at += each) {
		struct part *p = part_new(0);

		p->from = at;
		p->to = at + each < w.n ? at + each : w.n;
		for (size_t i = p->from; i < p->to; i++)
			p->asks[i] = true;
	}
}

/* ---- what each request has by the naive way ----------------------------------------- */

static struct reply truth(size_t i, uint32_t *ret_part)
{
	struct reply best = {ANSWER_PENDING, false, ""};
	bool has = false;

	*ret_part = 0;
	for (uint32_t p = 0; p < w.n_parts; p++) {
		const struct reply *r = &w.parts[p].replies[i];

		if (!w.parts[p].there || r->status == ANSWER_PENDING)
			continue;
		/* No result of a later round is nothing new. */
		if (r->status == ANSWER_MISSING && (has || w.parts[p].round))
			continue;
		if (has && best.status == ANSWERED && r->status != ANSWERED)
			continue;
		best = *r;
		has = r->status != ANSWER_MISSING;
		*ret_part = p + 1;
	}
	return best;
}

static bool is_asked(size_t i)
{
	for (uint32_t p = 0; p < w.n_parts; p++)
		if (!w.parts[p].there && w.parts[p].round && w.parts[p].asks[i])
			return true;
	return false;
}

static char *true_tsv(char **ret_retry)
{
	char *tsv;
	size_t len;
	FILE *f = open_memstream(&tsv, &len), *r = open_memstream(ret_retry, &len);

	for (size_t i = 0; i < w.n; i++) {
		uint32_t part;
		struct reply t = truth(i, &part);
		char key[32];

		key_of(i, key);
		fprintf(f, "%s\t%s\t%s\n", key, answers_outcomes[t.status].name, t.text);
		if (t.again && !is_asked(i))
			fwrite(w.requests + w.at[i], 1, w.at[i + 1] - w.at[i], r);
	}
	fclose(f);
	fclose(r);
	return tsv;
}

static int by_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a text, sorted. Steals text. */
static char *sorted(char *text)
{
	char *lines[4 * REQUESTS], *ret;
	size_t n = 0, len;
	FILE *f = open_memstream(&ret, &len);

	for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n"))
		lines[n++] = p;
	qsort(lines, n, sizeof *lines, by_line);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", lines[i]);
	fclose(f);
	free(text);
	return ret;
}

/* As made_tree, without directories, sorted. */
static char *true_tree(void)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; i < w.n; i++) {
		uint32_t part;
		struct reply t = truth(i, &part);
		char key[32];

		key_of(i, key);
		if (t.status == ANSWER_INVALID)
			fprintf(f, "%s.error = the answer is a number, not a string\n",
				key);
		if (t.status != ANSWER_PENDING)
			fprintf(f, "%s%s = %s\n", key,
				!answers_outcomes[t.status].may_have_text ? ".error"
				: asks_json(i) && t.status != ANSWER_TRUNCATED
					? ".json"
					: ".txt",
				t.text);
	}
	fclose(f);
	return sorted(text);
}

static char *files_only(char *tree)
{
	char *ret, *line;
	size_t len;
	FILE *f = open_memstream(&ret, &len);

	for (line = strtok(tree, "\n"); line; line = strtok(NULL, "\n"))
		if (strchr(line, '='))
			fprintf(f, "%s\n", line);
	fclose(f);
	free(tree);
	return sorted(ret);
}

/* ---- the index ---------------------------------------------------------------------- */

/* The parts of the index by slot. */
static struct {
	struct answers_part v[PARTS];
	uint32_t n;
	struct memory asking[PARTS];
	size_t piece;
} seen;

static ssize_t read_slots(void *arg, uint64_t off, void *buf, size_t n)
{
	const struct answers_part *p = &seen.v[off >> ANSWERS_SLOT_BITS];
	const char *text = w.parts[p->number - 1].results;
	struct memory m = {text, strlen(text), seen.piece, 0, 0};

	return memory_read(&m, off & (answers_slot(1) - 1), buf, n);
}

static int readv_slots(void *arg, uint64_t off, struct iovec *v, int n)
{
	const struct answers_part *p = &seen.v[off >> ANSWERS_SLOT_BITS];
	const char *text = w.parts[p->number - 1].results;
	struct memory m = {text, strlen(text), seen.piece, 0, 0};

	return memory_readv(&m, off & (answers_slot(1) - 1), v, n);
}

static void see_part(uint32_t p, struct answers_part *ret)
{
	const struct part *part = &w.parts[p];

	*ret = (struct answers_part){.number = p + 1, .round = part->round,
		.range = {part->round ? 0 : w.at[part->from],
			part->round ? 0 : w.at[part->to]},
		.size = part->results ? (int64_t)strlen(part->results) : -1};
}

/* Those that are new, behind those that were seen before; keep: 0 to begin anew. */
static void see_parts(bool keep)
{
	bool old[PARTS] = {0};
	uint32_t n = keep ? seen.n : 0;

	for (uint32_t i = 0; i < n; i++) {
		old[seen.v[i].number - 1] = true;
		see_part(seen.v[i].number - 1, &seen.v[i]);
	}
	for (uint32_t p = 0; p < w.n_parts; p++)
		if (w.parts[p].there && !old[p])
			see_part(p, &seen.v[n++]);
	seen.n = n;
}

static uint32_t see_asking(struct text_source *ret, uint64_t *ret_sizes)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < w.n_parts; p++) {
		const struct part *part = &w.parts[p];

		if (part->there || !part->round)
			continue;
		seen.asking[n] = (struct memory){
			part->requests, strlen(part->requests), 0, 0};
		ret[n] = memory_source(&seen.asking[n]);
		ret_sizes[n] = strlen(part->requests);
		n++;
	}
	return n;
}

static void index_new(struct made *m, const struct answers *before)
{
	struct text_source asking[PARTS];
	uint64_t sizes[PARTS];

	*m = (struct made){.requests = {w.requests, w.at[w.n], 0, 0}};
	m->sources.requests = memory_source(&m->requests);
	m->sources.results = (struct text_source){read_slots, NULL, readv_slots};
	struct answers_input in = {.grammar = &gemini_results,
		.results = &m->sources.results, .requests = &m->sources.requests,
		.stamp = {.results_size = 1, .requests_size = (int64_t)w.at[w.n],
			.table_size = -1},
		.asked = -1, .parts = seen.v, .n_parts = seen.n, .before = before,
		.asking = asking, .asking_sizes = sizes,
		.n_asking = see_asking(asking, sizes)};

	if (before)
		assert_true(answers_may_grow(before, seen.v, seen.n));
	assert_int_equal(answers_build(&in, &m->a), 0);
	/* They are not read again, but for schemas. */
	if (before)
		assert_true(m->requests.total < w.at[w.n] / 2);
}

static void expect_truth(const struct made *m)
{
	_cleanup_free_ char *retry = NULL, *tsv = true_tsv(&retry), *tree = true_tree();
	_cleanup_free_ char *got_tsv = made_tsv(m), *got_retry = made_retry(m),
			    *got_tree = files_only(made_tree(m));
	int64_t prompt = 0;

	assert_string_equal(got_tsv, tsv);
	assert_string_equal(got_retry, retry);
	assert_string_equal(got_tree, tree);
	for (uint32_t p = 0; p < w.n_parts; p++)
		for (size_t i = 0; i < w.n; i++)
			if (w.parts[p].there && w.parts[p].results &&
				(w.parts[p].replies[i].status == ANSWERED ||
					w.parts[p].replies[i].status == ANSWER_INVALID))
				prompt += p + 1;
	assert_int_equal(m->a->head.tokens[TOKENS_PROMPT], prompt);
}

/* A number that both have stands for the same bytes. */
static void expect_numbers(const struct made *old, const struct made *new)
{
	for (uint32_t i = 0; old->a && i < old->a->head.n_nodes; i++) {
		const struct answers_node *x = &old->a->nodes[i], *y = &new->a->nodes[i];
		char one[256], other[256];

		if (y->kind == NODE_IS_GONE || x->kind == NODE_IS_GONE)
			continue;
		assert_int_equal(x->kind, y->kind);
		assert_string_equal(answers_name(old->a, x), answers_name(new->a, y));
		if (x->kind == NODE_IS_DIR)
			continue;
		ssize_t n = made_read_node(old, i, 0, one, sizeof one);
		assert_int_equal(n, made_read_node(new, i, 0, other, sizeof other));
		assert_memory_equal(one, other, n);
	}
}

static void round_trip(struct made *m)
{
	_cleanup_close_ int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *name = util_format("parts-%d.index", (int)getpid());
	struct answers *loaded = NULL;

	assert_int_equal(answers_save(m->a, dir, name), 0);
	assert_int_equal(answers_load(dir, name, &m->a->head.stamp, &gemini_results,
				 &loaded),
		0);
	unlinkat(dir, name, 0);
	answers_unref(m->a);
	m->a = loaded;
}

/* What is so far, as an index that grows out of *m, and as a new one. */
static void look(struct made *m)
{
	struct made new;
	struct made old = *m;

	see_parts(old.a != NULL);
	index_new(m, old.a);
	round_trip(m);
	expect_truth(m);
	expect_numbers(&old, m);
	made_free(&old);

	typeof(seen) kept = seen;

	see_parts(false);
	index_new(&new, NULL);
	expect_truth(&new);
	made_free(&new);
	seen = kept;
}

static void ask_again(uint32_t round)
{
	struct part *p = part_new(round);
	size_t len;
	FILE *f = open_memstream(&p->requests, &len);

	for (size_t i = 0; i < w.n; i++) {
		uint32_t part;
		struct reply t = truth(i, &part);

		/* Not only what would be asked: the rules must hold for the rest. */
		p->asks[i] = t.status != ANSWER_PENDING && (t.again || below(8) == 0);
		if (p->asks[i])
			fwrite(w.requests + w.at[i], 1, w.at[i + 1] - w.at[i], f);
	}
	fclose(f);
}

/* ---- cases -------------------------------------------------------------------------- */

static void random_rounds(void **state)
{
	for (unsigned seed = 0; seed < 60; seed++) {
		struct made m = {0};

		srand(seed);
		flat = seed % 4 == 1;
		memset(&seen, 0, sizeof seen);
		seen.piece = seed % 3 ? 0 : 1 + seed;
		world_new(1 + below(REQUESTS));
		cut(1 + below(20) + (unsigned)w.n / 20);
		for (uint32_t round = 1; round <= ROUNDS; round++) {
			for (uint32_t left = w.n_parts; left;) {
				struct part *p = &w.parts[below(w.n_parts)];

				left = 0;
				if (!p->there)
					part_ends(p, below(6) != 0);
				if (below(2) || p == w.parts)
					look(&m);
				for (uint32_t i = 0; i < w.n_parts; i++)
					left += !w.parts[i].there;
				/* Some stay open while others are asked again. */
				if (left == 1 && below(3) == 0)
					break;
			}
			ask_again(round);
			look(&m);
		}
		assert_int_equal(m.a->head.n_order != 0, !flat && w.n > 1);
		made_free(&m);
		world_clear();
	}
	flat = false;
}

static void late_results(void **state)
{
	struct made m = {0};

	srand(7);
	memset(&seen, 0, sizeof seen);
	world_new(20);
	cut(5);
	part_ends(&w.parts[1], false);
	look(&m);
	part_ends(&w.parts[1], true);
	part_ends(&w.parts[3], true);
	look(&m);
	made_free(&m);
	world_clear();
}

static void what_may_not_grow(void **state)
{
	struct made m = {0};

	srand(8);
	memset(&seen, 0, sizeof seen);
	world_new(20);
	cut(5);
	part_ends(&w.parts[1], true);
	part_ends(&w.parts[2], true);
	look(&m);
	assert_true(answers_may_grow(m.a, seen.v, seen.n));
	assert_false(answers_may_grow(m.a, seen.v, seen.n - 1));
	seen.v[0].ns++;
	assert_false(answers_may_grow(m.a, seen.v, seen.n));
	seen.v[0].ns--;
	seen.v[1].size = -1;
	assert_false(answers_may_grow(m.a, seen.v, seen.n));
	made_free(&m);
	world_clear();
}

/* A directory that was bought whole is its first part once others are added. */
static void out_of_one_job(void **state)
{
	struct made one, m = {0};

	srand(9);
	memset(&seen, 0, sizeof seen);
	world_new(30);
	cut(30);
	part_ends(&w.parts[0], true);
	assert_int_equal(made_new(&one, w.requests, w.at[w.n], w.parts[0].results,
				 strlen(w.parts[0].results), 0),
		0);
	see_parts(false);
	assert_true(answers_may_grow(one.a, seen.v, seen.n));
	ask_again(1);
	index_new(&m, one.a);
	expect_truth(&m);
	expect_numbers(&one, &m);
	part_ends(&w.parts[1], true);
	look(&m);
	made_free(&m);
	made_free(&one);
	world_clear();
}

static void nothing_more_is_bought(void **state)
{
	struct made m = {0};

	srand(10);
	memset(&seen, 0, sizeof seen);
	world_new(4);
	cut(2);
	part_ends(&w.parts[0], false);
	see_parts(false);
	m.requests = (struct memory){w.requests, w.at[w.n], 0, 0};
	m.sources.requests = memory_source(&m.requests);
	m.sources.results = (struct text_source){read_slots, NULL, readv_slots};
	seen.v[0].none = NONE_CANCELLED;
	struct answers_input in = {.grammar = &gemini_results,
		.results = &m.sources.results, .requests = &m.sources.requests,
		.stamp = {.results_size = -1, .requests_size = (int64_t)w.at[w.n],
			.table_size = -1},
		.parts = seen.v, .n_parts = seen.n, .dropped = true};
	assert_int_equal(answers_build(&in, &m.a), 0);
	_cleanup_free_ char *tsv = made_tsv(&m), *retry = made_retry(&m);

	assert_string_equal(tsv,
		"k0\tmissing\tit was cancelled before there was a result\n"
		"a/k1\tmissing\tit was cancelled before there was a result\n"
		"b2/x\tmissing\tit was not sent\nk3.txt\tmissing\tit was not sent\n");
	assert_string_equal(retry, w.requests + w.at[2]);
	assert_false(answers_may_grow(m.a, seen.v, seen.n));
	made_free(&m);
	world_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_rounds),
		cmocka_unit_test(late_results),
		cmocka_unit_test(what_may_not_grow),
		cmocka_unit_test(out_of_one_job),
		cmocka_unit_test(nothing_more_is_bought),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
