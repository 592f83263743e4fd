#include "base/csv.h"
#include "base/util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

struct memory {
	const char *text;
	size_t len, piece;
};

static ssize_t read_memory(void *arg, uint64_t off, void *buf, size_t n)
{
	const struct memory *m = arg;
	size_t left = m->len - (size_t)off;

	if (n > left)
		n = left;
	if (m->piece && n > m->piece)
		n = m->piece;
	memcpy(buf, m->text + off, n);
	return (ssize_t)n;
}

static const char *const faults[] = {"", "!open", "!after", "!cell", "!row", "!cells"};

/* Each row as "LINE:[cell][cell]raw bytes", with its line end as N, RN, R or nothing. */
static void show(FILE *out, const char *text, const struct csv_row *row)
{
	fprintf(out, "%ju:", (uintmax_t)row->line);
	for (uint32_t i = 0; i < row->n && !row->fault; i++) {
		fputc('[', out);
		fwrite(row->text + row->cells[i].at, 1, row->cells[i].len, out);
		fputc(']', out);
		assert_int_equal(row->text[row->cells[i].at + row->cells[i].len], '\n');
	}
	if (row->fault)
		fprintf(out, "%s%u", faults[row->fault], row->fault_cell);
	fwrite(text + row->at.from, 1, row->at.to - row->at.from, out);
	for (const char *p = row->end; *p; p++)
		fputc(*p == '\n' ? 'N' : 'R', out);
	fputc(' ', out);
}

static char *read_all(const char *text, size_t n, size_t piece, char separator)
{
	struct memory m = {text, n, piece};
	struct text_source source = {read_memory, &m, NULL};
	const struct csv_row *row;
	char *all = NULL;
	size_t len;
	FILE *out = open_memstream(&all, &len);
	struct csv *c;
	int got;

	assert_int_equal(csv_open(&source, separator, &c), 0);
	while ((got = csv_next(c, &row)) == 1)
		show(out, text, row);
	assert_int_equal(got, 0);
	csv_close(c);
	fclose(out);
	return all;
}

static void expect(const char *text, const char *want)
{
	for (size_t piece = 0; piece < 4; piece++) {
		_cleanup_free_ char *got = read_all(text, strlen(text), piece, ',');

		assert_string_equal(got, want);
	}
}

static void test_rows(void **state)
{
	expect("", "");
	expect("\n\n  \n", "");
	expect("a,b\nc,d\n", "1:[a][b]a,bN 2:[c][d]c,dN ");
	expect("a,b\r\nc,", "1:[a][b]a,bRN 2:[c][]c, ");
	expect("a\rb\r\rc", "1:[a]aR 2:[b]bR 4:[c]c ");
	expect("\xef\xbb\xbf" "a\n\n,\n", "1:[a]aN 3:[][],N ");
	expect("\xef\xbb\xbf", "");
	expect("\xef\xbb", "1:[\xef\xbb]\xef\xbb ");
	expect(" a , b\n", "1:[ a ][ b] a , bN ");
}

static void test_quotes(void **state)
{
	expect("\"a,\"\"b\"\"\nc\",\"\"\r\nx\n",
		"1:[a,\"b\"\nc][]\"a,\"\"b\"\"\nc\",\"\"RN 3:[x]xN ");
	expect("\"\"\n\"\"\"\"\n", "1:[]\"\"N 2:[\"]\"\"\"\"N ");
	/* Further on it is itself. */
	expect("5\" disk, \"b\"\n", "1:[5\" disk][ \"b\"]5\" disk, \"b\"N ");
	expect("a,\"b\"c,\"d\"\ne\n", "1:!after1a,\"b\"c,\"d\"N 2:[e]eN ");
	expect("a\nb,\"c\nd,e\n", "1:[a]aN 2:!open1b,\"c\nd,e\n ");
	expect("\"", "1:!open0\" ");
	expect("\"a\"", "1:[a]\"a\" ");
}

/* What is not kept does not take memory, and is read to its end. */
static void test_limits(void **state)
{
	size_t n = (CSV_ROW_MAX + 100) * 2;
	char *text = malloc(n), *at = text;

	assert_non_null(text);
	memset(text, 'x', CSV_CELL_MAX + 1);
	at += CSV_CELL_MAX + 1;
	at += sprintf(at, ",b\n");
	for (int i = 0; i < 9; i++) {
		memset(at, 'y', CSV_CELL_MAX);
		at[CSV_CELL_MAX] = ',';
		at += CSV_CELL_MAX + 1;
	}
	*at++ = '\n';
	memset(at, ',', CSV_CELLS_MAX);
	at += CSV_CELLS_MAX;
	at += sprintf(at, "\nend\n");
	struct memory m = {text, (size_t)(at - text), 0};
	struct text_source source = {read_memory, &m, NULL};
	const struct csv_row *row;
	struct csv *c;

	assert_int_equal(csv_open(&source, ',', &c), 0);
	assert_int_equal(csv_next(c, &row), 1);
	assert_int_equal(row->fault, CSV_LONG_CELL);
	assert_int_equal(row->n, 2);
	assert_int_equal(csv_next(c, &row), 1);
	assert_int_equal(row->fault, CSV_LONG_ROW);
	assert_int_equal(row->fault_cell, 7);
	assert_int_equal(csv_next(c, &row), 1);
	assert_int_equal(row->fault, CSV_MANY_CELLS);
	assert_int_equal(csv_next(c, &row), 1);
	assert_int_equal(row->fault, CSV_GOOD);
	assert_int_equal(row->line, 4);
	assert_int_equal(csv_next(c, &row), 0);
	csv_close(c);
	free(text);
}

static char separator(const char *text)
{
	return csv_separator(text, strlen(text));
}

static void test_separator(void **state)
{
	assert_int_equal(separator(""), ',');
	assert_int_equal(separator("text\na;b;c\n"), ',');
	assert_int_equal(separator("a,b\n1;2;3\n"), ',');
	assert_int_equal(separator("a;b\n1,5;2,5\n"), ';');
	assert_int_equal(separator("\xef\xbb\xbf\r\na;b,c;d\n"), ';');
	assert_int_equal(separator("\"a;b;c\",d\n"), ',');
	assert_int_equal(separator("\"a\nb\";\"c\"\"\"\n"), ';');
	assert_int_equal(separator("a\tb\n"), '\t');
}

static int append(void *arg, const void *buf, size_t n)
{
	strncat(arg, buf, n);
	return 0;
}

/* A text as a cell, measured and written in pieces of every size. */
static void check_cell(const char *text, char with, const char *want)
{
	for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
		char got[100] = "";
		struct text_sink to = {append, got, NULL};
		struct csv_measure m = {.separator = with};

		for (size_t at = 0; at < strlen(text); at += piece)
			csv_sink_measure(&m, text + at, strnlen(text + at, piece));
		uint64_t size = csv_measured(&m);
		if (m.quoted)
			strcat(got, "\"");
		for (size_t at = 0; at < strlen(text); at += piece)
			if (m.quoted)
				csv_sink_quoted(
					&to, text + at, strnlen(text + at, piece));
			else
				append(got, text + at, strnlen(text + at, piece));
		if (m.quoted)
			strcat(got, "\"");
		assert_string_equal(got, want);
		assert_int_equal(size, strlen(want));
	}
}

static void test_cells(void **state)
{
	check_cell("", ',', "");
	check_cell("plain; text", ',', "plain; text");
	check_cell("plain; text", ';', "\"plain; text\"");
	check_cell("a\"b\"", ',', "\"a\"\"b\"\"\"");
	check_cell("\"", ',', "\"\"\"\"");
	check_cell("a\nb", ',', "\"a\nb\"");
	check_cell(" a", ',', "\" a\"");
	check_cell("a\t", ',', "\"a\t\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_separator),
		cmocka_unit_test(test_cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
