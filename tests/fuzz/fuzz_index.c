/* A saved index of answers in which numbers are others, with checksums that fit: each 8
 * bytes of the input are a place and what stands there. What is loaded all the same is
 * read, grows, and is read again. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "../unit/answers_fixture.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SAYS(key, parts)                                                               \
	"{\"key\":\"" key "\",\"response\":{\"candidates\":[{\"content\":{\"parts\":[" parts \
	"]},\"finishReason\":\"STOP\"}],\"modelVersion\":\"m\"}}\n"
#define TEXT(text) "{\"text\":\"" text "\"}"
#define DATA(mime) "{\"inlineData\":{\"mimeType\":\"" mime "\",\"data\":\"TWFu\"}}"
#define SCHEMA                                                                         \
	",\"generationConfig\":{\"responseMimeType\":\"application/json\","               \
	"\"responseSchema\":{\"type\":\"OBJECT\",\"required\":[\"n\"]}}"
#define ASK(key, more)                                                                 \
	"{\"key\":\"" key "\",\"request\":{\"contents\":[{\"parts\":[" TEXT("q")          \
	"]}]" more "}}\n"

static const char requests[] = ASK("a", "") ASK("d/b", SCHEMA)
	ASK("c", "") ASK("d/e/f", "")
	ASK("g", "") ASK("h", SCHEMA) ASK("i", "") ASK("j", "") ASK("k", "")
	ASK("l", "") ASK("m", "") ASK("n", "") ASK("o", "") ASK("p", "")
	ASK("q", "") ASK("r", "") ASK("s", "") "{\"contents\":[]}\n";
static const char first[] = SAYS("a", TEXT("1")) SAYS("d/b", TEXT("{}"))
	SAYS("c", DATA("image/png")) SAYS("d/e/f", DATA("audio/L16;rate=8000"))
	SAYS("g", "{\"functionCall\":{}}") SAYS("h", TEXT("{\\\"n\\\":1}"))
	"{\"key\":\"i\",\"error\":{\"code\":14,\"message\":\"away\"}}\n"
	"{\"key\":\"j\",\"response\":{\"embedding\":{\"values\":[1,2]}}}\n"
	SAYS("a", TEXT("again")) SAYS("k", TEXT("x") "," TEXT("y"));
static const char second[] = SAYS("l", TEXT("2"))
	SAYS("i", TEXT("3")) SAYS("c", TEXT("4"));
static const char table[] = "t\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\n"
	"11\r\n12\r\n13\r\n14\r\n15\r\n16\r\n17\r\n18\r\n";

static ssize_t read_slot(void *arg, uint64_t off, void *buf, size_t n)
{
	struct memory *m = arg;
	uint64_t slot = off >> ANSWERS_SLOT_BITS;

	return slot < 2 ? memory_read(&m[slot], off & (answers_slot(1) - 1), buf, n)
			: -EIO;
}

static struct memory results[2] = {
	{first, sizeof first - 1, 0, 0}, {second, sizeof second - 1, 0, 0}};

/* Of the first part, or of both. */
static struct made index_of(uint32_t n_parts, const struct answers *before)
{
	struct answers_part parts[2] = {
		{.number = 1, .range = {0, 900}, .size = sizeof first - 1},
		{.number = 2, .range = {900, sizeof requests - 1},
			.size = sizeof second - 1}};
	struct made m = {.requests = {requests, sizeof requests - 1, 0, 0},
		.table = {table, sizeof table - 1, 0, 0}};

	m.sources = (struct answers_sources){.results = {read_slot, results},
		.requests = {memory_read, &m.requests},
		.table = {memory_read, &m.table}};
	struct answers_input in = {.grammar = &gemini_results,
		.results = &m.sources.results,
		.requests = &m.sources.requests,
		.table = &m.sources.table,
		.stamp = {.results_size = 1, .requests_size = sizeof requests - 1,
			.table_size = sizeof table - 1},
		.asked = -1,
		.parts = parts,
		.n_parts = n_parts,
		.before = before};
	int err = before && !answers_may_grow(before, parts, n_parts)
			  ? -ESTALE
			  : answers_build(&in, &m.a);

	must(err == 0 || before);
	return m;
}

/* It moved. */
static void point_sources(struct made *m)
{
	m->sources.requests.arg = &m->requests;
	m->sources.table.arg = &m->table;
}

typedef ssize_t (*read_fn)(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n);

static void read_somewhere(const struct made *m, read_fn read, uint64_t size)
{
	const uint64_t places[] = {0, 1, size / 2, size - 1, size, UINT64_MAX};
	char buf[4096];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		(void)!read(m->a, &m->sources, places[i], buf, sizeof buf);
}

static void read_nodes(const struct made *m)
{
	const struct answers *a = m->a;
	char buf[4096];

	for (uint32_t i = 0; i < a->head.n_nodes; i++) {
		const struct answers_node *n = &a->nodes[i];
		uint64_t size = answers_node_size(a, n);

		(void)!answers_read_node(a, &m->sources, i, 0, buf, sizeof buf);
		(void)!answers_read_node(a, &m->sources, i, size / 2, buf, sizeof buf);
		(void)!answers_path(a, a->blob, i, buf, sizeof buf);
		must(strlen(answers_name(a, n)) <= n->name_len);
		answers_child(a, n->parent, answers_name(a, n));
		for (uint32_t k = 0; (k = answers_next(a, i, k + 1));)
			must(k < a->head.n_nodes);
	}
}

static void read_index(struct made *m)
{
	char usage[ANSWERS_USAGE_MAX];

	point_sources(m);
	read_somewhere(m, answers_read_tsv, m->a->head.tsv_size);
	read_somewhere(m, answers_read_retry, m->a->head.retry_size);
	read_somewhere(m, answers_read_table, m->a->head.table_size);
	if (m->a->head.dims)
		read_somewhere(m, answers_read_vectors, answers_vectors_size(m->a));
	read_nodes(m);
	answers_usage(m->a, usage);
	answers_unserved(m->a);
}

static void patch(char *text, size_t len, const uint8_t *data, size_t n)
{
	struct answers_head head;
	uint32_t at;

	for (size_t i = 0; i + 8 <= n; i += 8) {
		memcpy(&at, data + i, 4);
		memcpy(text + at % (len - 3), data + i + 4, 4);
	}
	memcpy(&head, text, sizeof head);
	head.body_crc = util_crc32c(0, text + sizeof head, len - sizeof head);
	head.crc = util_crc32c(0, &head.format,
		sizeof head - offsetof(struct answers_head, format));
	memcpy(text, &head, sizeof head);
}

static void write_file(int dir, const char *name, const char *text, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && util_write_all(fd, text, len) == 0);
	close(fd);
}

static char *save_one(int dir, const char *name, size_t *ret_len)
{
	struct made m = index_of(1, NULL);
	char *ret;

	must(answers_save(m.a, dir, name) == 0);
	must(util_read_file(dir, name, 1 << 20, &ret, ret_len) == 0);
	made_free(&m);
	return ret;
}

static void use_index(struct answers *a)
{
	struct made grown = index_of(2, a), m = grown;

	if (grown.a)
		read_index(&grown);
	m.a = a;
	read_index(&m);
	answers_unref(grown.a);
	answers_unref(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char name[64], *saved;
	static size_t len;
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct answers *a = NULL;

	must(dir >= 0);
	snprintf(name, sizeof name, "fuzz-%d.index", (int)getpid());
	if (!saved)
		saved = save_one(dir, name, &len);
	char *text = memcpy(malloc(len), saved, len);
	patch(text, len, data, n);
	write_file(dir, name, text, len);
	free(text);
	int err = answers_load(dir, name, NULL, &gemini_results, &a);
	must(n >= 8 || err == 0);
	if (!err)
		use_index(a);
	unlinkat(dir, name, 0);
	close(dir);
	return 0;
}
