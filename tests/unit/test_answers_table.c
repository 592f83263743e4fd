/* answers.csv: the user's rows as they are, with columns for what came back. */
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

#define ASK(k) "{\"key\":\"" k "\",\"request\":{\"contents\":[]}}\n"
#define ASK_FOR_N(k)                                                                   \
	"{\"key\":\"" k "\",\"request\":{\"contents\":[],\"generationConfig\":"        \
	"{\"responseMimeType\":\"application/json\",\"responseSchema\":"               \
	"{\"type\":\"OBJECT\",\"required\":[\"n\"]}}}}\n"
#define ASK_JSON(k)                                                                    \
	"{\"key\":\"" k "\",\"request\":{\"contents\":[],\"generationConfig\":"        \
	"{\"responseMimeType\":\"application/json\"}}}\n"
#define SAYS(k, text)                                                                  \
	"{\"key\":\"" k "\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"    \
	"[{\"text\":\"" text "\"}]},\"finishReason\":\"STOP\"}]}}\n"
#define CUT(k, text)                                                                   \
	"{\"key\":\"" k "\",\"response\":{\"candidates\":[{\"content\":{\"parts\":"    \
	"[{\"text\":\"" text "\"}]},\"finishReason\":\"MAX_TOKENS\"}]}}\n"
#define STOPPED(k, why)                                                                \
	"{\"key\":\"" k "\",\"response\":{\"candidates\":[{\"finishReason\":\"" why    \
	"\"}]}}\n"
#define FAILS(k)                                                                       \
	"{\"key\":\"" k "\",\"error\":{\"code\":13,\"message\":\"no, \\\"x\\\"\"}}\n"

static void of(const char *table, const char *properties, size_t len)
{
	made_of.text = table;
	made_of.len = strlen(table);
	made_of.properties = properties;
	made_of.properties_len = len;
}

/* The same whatever pieces the sources come in; want NULL: there is no such file. */
static void expect(const char *requests, const char *results, const char *want)
{
	static const size_t pieces[] = {0, 1, 7, 64};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct made m;

		assert_int_equal(made_new(&m, requests, strlen(requests), results,
					 strlen(results), pieces[i]),
			0);
		_cleanup_free_ char *got = made_table(&m);

		assert_int_equal(m.a->head.n_lines > 0, want != NULL);
		assert_string_equal(got, want ? want : "");
		made_free(&m);
	}
	memset(&made_of, 0, sizeof made_of);
}

static void rows_as_they_are(void **state)
{
	of("\xef\xbb\xbf" "a, b \r\n1,\"x\r\n\"\"y\"\r\n\r\n,\r\n2 , \"q\n3,",
		NULL, 0);
	expect(ASK("1") ASK("2") ASK("3"),
		SAYS("3", "c") SAYS("2", "b,\\n\\\"") SAYS("1", "a"),
		"\xef\xbb\xbf"
		"a, b ,outcome,answer\r\n1,\"x\r\n\"\"y\",answered,a\r\n,,,\r\n"
		"2 , \"q,answered,\"b,\n\"\"\"\n3,,answered,c\r\n");
	of("a;b\r1;2\r3;4", NULL, 0);
	expect(ASK("x") ASK("y"), SAYS("y", "u,v") SAYS("x", "s;t"),
		"a;b;outcome;answer\r1;2;answered;\"s;t\"\r3;4;answered;u,v\r");
	of("a\tb,c\n1\t2\n", NULL, 0);
	made_of.tabs = true;
	expect(ASK("x"), SAYS("x", "\\ta\\\\"),
		"a\tb,c\toutcome\tanswer\n1\t2\tanswered\t\"\ta\\\"\n");
	of("a\n1", NULL, 0);
	expect(ASK("x"), SAYS("x", ""), "a,outcome,answer\n1,failed,\n");
}

static void outcomes(void **state)
{
	of("a\n1\n2\n3\n4\n5\n6\n", NULL, 0);
	expect(ASK("1") ASK("2") ASK("3") ASK("4") ASK("5") ASK("6"),
		SAYS("1", "x") CUT("2", "par") STOPPED("3", "SAFETY") FAILS("4")
			STOPPED("6", "MAX_TOKENS") SAYS("9", "nobody asked"),
		"a,outcome,answer\n1,answered,x\n2,truncated,par\n3,blocked,\n4,failed,\n5,missing,\n"
		"6,truncated,\n");
}

static void names_that_are_there(void **state)
{
	static const char properties[] = "outcome\0key\0sum";

	of("key,outcome, answer ,answer_outcome\n1,2,3,4\n", NULL, 0);
	expect(ASK("1"), SAYS("1", "x"),
		"key,outcome, answer ,answer_outcome,answer_answer_outcome,answer_answer\n"
		"1,2,3,4,answered,x\n");
	of("key,id\n1,2\n", properties, sizeof properties);
	expect(ASK_JSON("1"),
		SAYS("1",
			"{\\\"sum\\\":7,\\\"key\\\":\\\"k\\\",\\\"outcome\\\":\\\"o\\\"}"),
		"key,id,outcome,answer_outcome,answer_key,sum\n1,2,answered,o,k,7\n");
}

static void members(void **state)
{
	static const char properties[] = "s\0n\0\"q\",\0l\0o\0b\0z";

	of("a\n1\n2\n3\n4\n5\n\n", properties, sizeof properties);
	expect(ASK_JSON("1") ASK_JSON("2") ASK_JSON("3") ASK_JSON("4") ASK_JSON("5"),
		SAYS("1",
			" { \\\"s\\\" : \\\"x\\\\n\\\\\\\"y\\\\u00e4\\\" , \\\"n\\\":-1.50e3 ,\\n"
			"\\\"\\\\\\\"q\\\\\\\",\\\":null,\\\"l\\\": [1, {\\\"s\\\":2}] ,"
			"\\\"o\\\":{\\\"n\\\":\\\"\\\\n\\\"}, \\\"b\\\" : true , \\\"z\\\":\\\"\\\" } ")
			SAYS("2", "{}") SAYS("3", "{\\\"s\\\":\\\"half") FAILS("4")
		/* What comes twice counts as it came last; others are nobody's. */
		SAYS("5",
			"{\\\"s\\\":1,\\\"x\\\":\\\"s\\\",\\\"s\\\":[],\\\"l\\\":\\\"a,b\\\"}"),
		"a,outcome,s,n,\"\"\"q\"\",\",l,o,b,z\n"
		"1,answered,\"x\n\"\"y\xc3\xa4\",-1.50e3,,\"[1, {\"\"s\"\":2}]\","
		"\"{\"\"n\"\":\"\"\\n\"\"}\",true,\n"
		"2,answered,,,,,,,\n3,truncated,,,,,,,\n4,failed,,,,,,,\n5,answered,[],,,\"a,b\",,,\n");
	/* Of what does not fit, what there is. */
	of("a\n1\n2\n", properties, sizeof properties);
	expect(ASK_FOR_N("1") ASK_FOR_N("2"),
		SAYS("1", "{\\\"s\\\":\\\"x\\\"}") SAYS("2", "[7]"),
		"a,outcome,s,n,\"\"\"q\"\",\",l,o,b,z\n1,invalid,x,,,,,,\n2,invalid,,,,,,,\n");
}

/* Answers that are not kept in memory. */
static void long_answers(void **state)
{
	static const char properties[] = "x\0y";
	size_t n = 200000;
	char *text = malloc(n + 1);

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i % 23);
	text[n] = '\0';
	_cleanup_free_ char *results = util_format(SAYS("1", "%s,\\\"%s"), text, text);
	_cleanup_free_ char *want =
		util_format("a,outcome,answer\n1,answered,\"%s,\"\"%s\"\n", text, text);
	of("a\n1\n", NULL, 0);
	expect(ASK("1"), results, want);
	_cleanup_free_ char *json = util_format(
		SAYS("1", "{\\\"y\\\":\\\"%s\\\\n\\\",\\\"x\\\":{ \\\"%s\\\":1}}"),
		text, text);
	_cleanup_free_ char *split = util_format(
		"a,outcome,x,y\n1,answered,\"{ \"\"%s\"\":1}\",\"%s\n\"\n", text, text);
	of("a\n1\n", properties, sizeof properties);
	expect(ASK_JSON("1"), json, split);
	free(text);
}

/* A table that is not that of the requests makes no file, and harms no other. */
/* Whatever the order of the results, when it is made and when it is read. */
static void many_rows_take_few_reads(void **state)
{
	enum { N = 500, STRIDE = 77 };
	_cleanup_free_ char *table = NULL, *asks = NULL, *says = NULL, *want = NULL;
	size_t len;
	struct made m;
	FILE *t = open_memstream(&table, &len), *q = open_memstream(&asks, &len);
	FILE *r = open_memstream(&says, &len), *w = open_memstream(&want, &len);

	fputs("a\n", t);
	fputs("a,outcome,answer\n", w);
	for (int i = 0; i < N; i++) {
		fprintf(t, "%d\n", i);
		fprintf(q, ASK("k%d"), i);
		fprintf(r, SAYS("k%d", "answer %d"), i * STRIDE % N, i * STRIDE % N);
		fprintf(w, "%d,answered,answer %d\n", i, i);
	}
	fclose(t);
	fclose(q);
	fclose(r);
	fclose(w);
	of(table, NULL, 0);
	assert_int_equal(made_new(&m, asks, strlen(asks), says, strlen(says), 0), 0);
	assert_in_range(m.results.calls, 1, 10);
	m.results.calls = 0;
	_cleanup_free_ char *got = made_whole(
		&m, made_read_table, 0, m.a->head.table_size, m.a->head.table_size + 1);
	assert_in_range(m.results.calls, 1, 2);
	assert_string_equal(got, want);
	made_free(&m);
	memset(&made_of, 0, sizeof made_of);
}

static void another_table(void **state)
{
	static const char *const tables[] = {"", "a\n", "a\n1\n2\n3\n", "a\n1\n",
		"a,b\n1,2\n3\n", "a\n1\n\"2", "a\n,\n1\n"};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		of(tables[i], NULL, 0);
		expect(ASK("1") ASK("2"), SAYS("1", "x"), NULL);
	}
}

static void saved_and_loaded(void **state)
{
	static const char properties[] = "x";
	char dir_name[] = "/tmp/answers-XXXXXX";
	const char *requests = ASK_JSON("1"), *results = SAYS("1", "{\\\"x\\\":7}");
	struct made m;

	assert_non_null(mkdtemp(dir_name));
	_cleanup_close_ int dir = open(dir_name, O_RDONLY | O_DIRECTORY);
	of("a\n1\n", properties, sizeof properties);
	assert_int_equal(
		made_new(&m, requests, strlen(requests), results, strlen(results), 0),
		0);
	struct answers_stamp stamp = m.a->head.stamp, other = stamp;
	struct answers *loaded;

	assert_int_equal(answers_save(m.a, dir, "index"), 0);
	other.table_size++;
	assert_int_equal(
		answers_load(dir, "index", &other, &gemini_results, &loaded), -ESTALE);
	assert_int_equal(
		answers_load(dir, "index", &stamp, &gemini_results, &loaded), 0);
	answers_unref(m.a);
	m.a = loaded;
	_cleanup_free_ char *got = made_table(&m);
	assert_string_equal(got, "a,outcome,x\n1,answered,7\n");
	made_free(&m);
	memset(&made_of, 0, sizeof made_of);
	unlinkat(dir, "index", 0);
	rmdir(dir_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_as_they_are),
		cmocka_unit_test(outcomes),
		cmocka_unit_test(names_that_are_there),
		cmocka_unit_test(members),
		cmocka_unit_test(long_answers),
		cmocka_unit_test(many_rows_take_few_reads),
		cmocka_unit_test(another_table),
		cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
