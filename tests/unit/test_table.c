/* Requests made of tables: inputs.csv, inputs.tsv, and what prompt.txt makes of a row. */
#include "provider/gemini/make_requests.h"
#include "requests/warnings.h"
#include "base/util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#define PNG "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0"

static int file_of(const char *bytes, size_t n)
{
	int fd = memfd_create("table", 0);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, bytes, n), 0);
	return fd;
}

/* Below inputs/, sorted. */
static const struct {
	const char *path, *bytes;
	size_t n;
} files[] = {
	{"a.png", PNG, sizeof PNG - 1}, {"b/c.txt", "see \"c\"", 7}, {"e.txt", " ", 1}};

static unsigned opened;

static int open_file(void *arg, size_t i)
{
	opened++;
	return file_of(files[i].bytes, files[i].n);
}

static void note_remark(void *arg, const char *text)
{
	warnings_add(arg, "%s", text);
}

struct made {
	char *lines, *complaints, *passed;
};

static struct {
	const char *name, *prompt, *system;
	bool embedding, files;
} with;

static struct made make_n(const char *text, size_t n)
{
	struct composed_parts parts = {.prompt = -1,
		.system = -1,
		.schema = -1,
		.defaults = -1,
		.embedding = with.embedding};
	struct composed_input inputs[ARRAY_SIZE(files)] = {0};
	struct warnings passed = {0};
	struct composed_table table = {.name = with.name ? with.name : "inputs.csv",
		.fd = file_of(text, n),
		.inputs = inputs,
		.open = open_file,
		.n_inputs = with.files ? ARRAY_SIZE(files) : 0,
		.remark = note_remark,
		.arg = &passed};
	struct made ret;
	struct composed *c;
	int out = file_of("", 0);

	if (with.prompt)
		parts.prompt = file_of(with.prompt, strlen(with.prompt));
	if (with.system)
		parts.system = file_of(with.system, strlen(with.system));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		inputs[i].path = (char *)files[i].path;
	opened = 0;
	assert_int_equal(composed_new(&parts, out, &c), 0);
	assert_int_equal(composed_add_table(c, &table), 0);
	assert_int_equal(composed_end(c), 0);
	ret.complaints = composed_complaints(c);
	ret.passed = warnings_text_take(&passed);
	off_t size = lseek(out, 0, SEEK_END);
	ret.lines = calloc(1, (size_t)size + 1);
	assert_int_equal(pread(out, ret.lines, (size_t)size, 0), size);
	composed_free(c);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		free(inputs[i].type);
	util_closep(&parts.prompt);
	util_closep(&parts.system);
	util_closep(&table.fd);
	close(out);
	return ret;
}

static void made_clear(struct made *m)
{
	free(m->lines);
	free(m->complaints);
	free(m->passed);
}

static void check_all(const char *text, const char *want, const char *passed)
{
	struct made m = make_n(text, strlen(text));

	if (m.complaints)
		print_message("# %s", m.complaints);
	assert_null(m.complaints);
	assert_string_equal(m.lines, want);
	assert_string_equal(m.passed, passed);
	made_clear(&m);
	memset(&with, 0, sizeof with);
}

static void check(const char *text, const char *want)
{
	check_all(text, want, "");
}

static void refused_n(const char *text, size_t n, const char *want)
{
	struct made m = make_n(text, n);

	assert_non_null(m.complaints);
	assert_string_equal(m.complaints, want);
	made_clear(&m);
	memset(&with, 0, sizeof with);
}

static void refused(const char *text, const char *want)
{
	refused_n(text, strlen(text), want);
}

#define LINE(key, parts)                                                               \
	"{\"key\":\"" key                                                              \
	"\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":[" parts "]}]}}\n"
#define TEXT(t) "{\"text\":\"" t "\"}"
#define PICTURE                                                                        \
	"{\"file_data\":{\"file_uri\":\"inputs/a.png\",\"mime_type\":\"image/png\"}}"

#define AT "inputs.csv, "
#define ROW(row, line, column) AT "row " row " (line " line "), column \"" column "\": "
#define HEAD(column) AT "header row (line 1), column " column ": "
#define WINDOWS                                                                              \
	"is not UTF-8: if it comes from Windows, iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW " \
	"makes it UTF-8\n"

static void test_rows(void **state)
{
	check("product,text\r\nTea,\"so \"\"good\"\",\n\xc3\xbc\"\r\nCup,\r\n",
		LINE("1", TEXT("product: Tea\\ntext: so \\\"good\\\",\\n\xc3\xbc"))
			LINE("2", TEXT("product: Cup\\ntext: ")));
	check("\xef\xbb\xbf" "a ;b\n1,5;2\n\n;\n3;4", LINE("1", TEXT("a: 1,5\\nb: 2"))
						     LINE("3", TEXT("a: 3\\nb: 4")));
	with.name = "inputs.tsv";
	check("a,b;c\tq\n1\t\"2\t\"\n", LINE("1", TEXT("a,b;c: 1\\nq: 2\\t")));
	with.prompt = "What of {this}?\n";
	check("this\nx\n", LINE("1", TEXT("What of x?")));
	with.prompt = "What of this?\n";
	check("a\nx\n", LINE("1", TEXT("What of this?") "," TEXT("a: x")));
	with.embedding = true;
	check("a\nx\n", "{\"key\":\"1\",\"request\":{\"content\":{\"parts\":["
			"{\"text\":\"a: x\"}]}}}\n");
}

static void test_keys(void **state)
{
	check("id,t\nb,1\na,2\n",
		LINE("b", TEXT("id: b\\nt: 1")) LINE("a", TEXT("id: a\\nt: 2")));
	/* Of both that which is fit. */
	with.prompt = "{t}";
	check("ID,t,key\nb,1,x\na,2,y\n", LINE("x", TEXT("1")) LINE("y", TEXT("2")));
	with.prompt = "{t}";
	check_all("ID,t,key\nb,1,x\na,2,x\n", LINE("b", TEXT("1")) LINE("a", TEXT("2")),
		"inputs.csv: column key is not used for keys: a value appears twice\n");
	with.prompt = "{t}";
	check_all("t,id\n1,a\n2,\n3,\n4,\n5,\n6,\n7,\n8,\n9,\n10,b\n",
		LINE("01", TEXT("1")) LINE("02", TEXT("2")) LINE("03", TEXT("3")) LINE(
			"04", TEXT("4")) LINE("05", TEXT("5")) LINE("06", TEXT("6"))
			LINE("07", TEXT("7")) LINE("08", TEXT("8"))
				LINE("09", TEXT("9")) LINE("10", TEXT("10")),
		"inputs.csv: column id is not used for keys: row 2 has no value there, or one "
		"longer than 1024 bytes\n");
	/* Rows without anything are no requests, but count. */
	with.prompt = "{t}";
	check("t,u\n,\n1,2\n", LINE("2", TEXT("1")));
}

static void test_prompt(void **state)
{
	with.prompt = "Is {{x}} of \"{a b}\"\n{{{{ {c}{a b}?";
	check("a b , c\n1,\"\"\"2\"\"\"\n",
		LINE("1", TEXT("Is {x}} of \\\"1\\\"\\n{{ \\\"2\\\"1?")));
	/* Names with braces: the longest that is there. */
	with.prompt = "{a}b} {a}";
	check("a,a}b\n1,2\n", LINE("1", TEXT("2 1")));
	with.prompt = "One {a}\nand {B} and {\"x\": {a}}";
	refused("a,b\n1,2\n",
		"prompt.txt, line 2: {B} is not a column of inputs.csv (columns: a, b); write {{ "
		"for a brace\n"
		"prompt.txt, line 2: {\"x\": {a} is not a column of inputs.csv (columns: a, b); "
		"write {{ for a brace\n");
	with.prompt = "{b}";
	refused("a,b\n1,2\n3, \n",
		ROW("2", "3", "b") "is empty, so nothing would be asked about "
				   "this row\n");
}

static void test_files(void **state)
{
	with.files = true;
	with.prompt = "What of {n}?";
	check_all("n,photo\n1,inputs/a.png\n2,\n3,inputs/b/c.txt\n4,inputs/a.png\n",
		LINE("1", TEXT("What of 1?") "," PICTURE) LINE("2", TEXT("What of 2?"))
		LINE("3", TEXT("What of 3?") "," TEXT("see \\\"c\\\""))
		LINE("4", TEXT("What of 4?") "," PICTURE),
		"inputs/e.txt: not sent: no row of inputs.csv names it\n");
	assert_int_equal(opened, 2);
	/* prompt.txt says where. */
	with.files = true;
	with.prompt = "In {photo}, {text} {n}";
	check_all("n,photo,text\n1,inputs/a.png,inputs/b/c.txt\n",
		LINE("1", TEXT("In ") "," PICTURE "," TEXT(", see \\\"c\\\" 1")),
		"inputs/e.txt: not sent: no row of inputs.csv names it\n");
	with.files = true;
	with.system = "Be.";
	check_all("photo\ninputs/a.png\n",
		"{\"key\":\"1\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":[" PICTURE
		"]}],\"systemInstruction\":{\"parts\":[{\"text\":\"Be.\"}]}}}\n",
		"inputs/b/c.txt: not sent: no row of inputs.csv names it\n"
		"inputs/e.txt: not sent: no row of inputs.csv names it\n");
}

static void test_bad_files(void **state)
{
	with.files = true;
	refused("a,photo\n1,inputs/a.png\n2,inputs/dog.png\n3,inputs/e.txt\n4,inputs/e.txt\n",
		ROW("2", "3",
			"photo") "inputs/dog.png does not exist: copy it there, or leave the "
				 "cell empty\n"
				 "inputs/e.txt: has nothing but white space: write something into it or remove it\n");
	with.files = true;
	refused("photo\ninputs/a.png\n",
		ROW("1", "2", "photo") "has only files: write into "
				       "prompt.txt what to ask about them\n");
	with.system = "Be.";
	refused("photo\ninputs/a.png\n",
		ROW("1", "2", "photo") "inputs/a.png does not exist: copy "
				       "it there, or leave the cell empty\n");
	with.files = true;
	refused("a\nx\n",
		"inputs.csv: there are files in inputs/ too, and no column names them: "
		"keep only one of the two\n");
	with.files = true;
	with.embedding = true;
	refused("a,b\nx,inputs/a.png\n",
		"inputs/a.png: is not text: embeddings are made from text only\n");
}

static void test_bad_tables(void **state)
{
#define NO_ROWS                                                                        \
	"inputs.csv: has no rows below the column names: each row becomes a request\n"
	refused("",
		"inputs.csv: is empty: the first row must name the columns; each row below it "
		"becomes a request\n");
	refused("a,b\n", NO_ROWS);
	refused("a,b\n,\n\n", NO_ROWS);
	refused("\n\n", NO_ROWS);
	refused("a,,b, \n1,2,3,4\n",
		HEAD("2") "has no name: the first row must name all columns\n" HEAD(
			"4") "has no name: the first row must name all columns\n");
	refused("a,b, a\n1,2,3\n",
		HEAD("\"a\"") "appears twice, as columns 1 and 3: rename one of them\n");
	refused("a,b\n1,2\n\n3\n4,5,6\n",
		ROW("2", "4",
			"b") "is missing: the row has 1 cell, and there are 2 columns\n" AT
			     "row 3 (line 5), column 3: has no name: the row has 3 cells, and there are 2 "
			     "columns (a cell with \",\" in it needs quotes)\n");
	refused("a,b\n1,\"2\n3,4\n",
		ROW("1", "2", "b") "begins with a quote (\") that is never closed\n");
	refused("a,b\n\"1\n2\",\"x\" y\n",
		ROW("1", "2", "b") "has text after its closing quote: "
				   "inside a quoted cell, write quotes twice (\"\")\n");
	refused("a,b\n1,M\xfcller\n", ROW("1", "2", "b") WINDOWS);
	refused("a\xfc,b\n1,2\n", HEAD("1") WINDOWS);
	/* Halves of a character in two cells make none. */
	refused("a,b\n\xc3,\xa4\n", ROW("1", "2", "a") WINDOWS);
	refused_n("a,b\n1,\0\n", 8,
		ROW("1", "2", "b") "has a NUL byte: it is not text, or a crash "
				   "damaged it\n");
	refused_n("\xff\xfe"
		  "a\0,\0",
		6,
		"inputs.csv: is UTF-16: iconv -f UTF-16 -t UTF-8 FILE > "
		"NEW makes it UTF-8\n");
	refused_n("PK\3\4\0\0", 6,
		"inputs.csv: is a workbook or an archive: save the table as CSV "
		"(UTF-8)\n");
}

static void test_long_cells(void **state)
{
	size_t n = (1 << 20) + 20;
	char *text = malloc(n);
	int at = sprintf(text, "a,b\n1,");

	assert_non_null(text);
	memset(text + at, 'x', 1 << 20);
	with.prompt = "{b}";
	struct made m = make_n(text, (size_t)at + (1 << 20));
	assert_null(m.complaints);
	assert_int_equal(strlen(m.lines), (1 << 20) + strlen(LINE("1", TEXT(""))));
	made_clear(&m);
	text[at + (1 << 20)] = 'y';
	refused_n(text, (size_t)at + (1 << 20) + 1, ROW("1", "2", "b") "is longer than "
		"1 MiB: shorten it, or close a quote that was left open\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_prompt),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_bad_tables),
		cmocka_unit_test(test_long_cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
