/* A table of any bytes (the first one chooses the separator and the sizes of pieces). Its
 * rows are the same however it is read; requests made of it are JSON, one a row;
 * answers.csv of it reads back as the cells it had and what came back. */
#include <jansson.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/answers_fixture.h"
#include "base/csv.h"
#include "base/util.h"
#include "provider/gemini/make_requests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct csv *open_csv(struct text_source *source, struct memory *m, char separator)
{
	struct csv *c = NULL;

	*source = memory_source(m);
	must(csv_open(source, separator, &c) == 0);
	return c;
}

static void same_row(const struct csv_row *a, const struct csv_row *b)
{
	must(a->n == b->n && a->fault == b->fault && a->line == b->line);
	must(a->at.from == b->at.from && a->at.to == b->at.to);
	must(strcmp(a->end, b->end) == 0);
	must(a->fault || (a->len == b->len && memcmp(a->text, b->text, a->len) == 0));
}

static void check_row(const struct csv_row *row, uint64_t *end, size_t n)
{
	must(row->at.from >= *end && row->at.to >= row->at.from && row->at.to <= n);
	must(row->n > 0 && row->n <= CSV_CELLS_MAX);
	*end = row->at.to + strlen(row->end);
	for (uint32_t i = 0; !row->fault && i < row->n; i++) {
		must(row->cells[i].at + row->cells[i].len < row->len);
		must(row->text[row->cells[i].at + row->cells[i].len] == '\n');
	}
}

/* How many requests it makes; 0: it has faults. */
static uint32_t check_pieces(struct memory whole, struct memory pieces, char separator)
{
	struct text_source one, two;
	struct csv *a = open_csv(&one, &whole, separator);
	struct csv *b = open_csv(&two, &pieces, separator);
	const struct csv_row *x, *y;
	uint32_t rows = 0, cells = 0;
	uint64_t end = 0;
	bool good = true;
	int got;

	while ((got = csv_next(a, &x)) == 1) {
		must(csv_next(b, &y) == 1);
		same_row(x, y);
		check_row(x, &end, whole.len);
		cells = cells ? cells : x->n;
		good &= !x->fault && x->n == cells;
		rows += rows == 0 || !csv_row_is_blank(x);
	}
	must(got == 0 && csv_next(b, &y) == 0);
	csv_close(a);
	csv_close(b);
	return good && rows ? rows - 1 : 0;
}

/* The answers are numbers, quotes and separators. */
static void answer(char ret[64], uint32_t i)
{
	static const char *const before[] = {"", "", "\n", " "};
	static const char *const behind[] = {"", ",\"x\"", ";\t", " \r"};

	ret[0] = '\0';
	if (i % 5 < 4)
		snprintf(ret, 64, "%s%u%s", before[i % 5], i, behind[i % 5]);
}

static void put_answer(FILE *out, uint32_t i)
{
	char text[64];

	answer(text, i);
	fprintf(out, "{\"key\":\"%u\",\"response\":{\"candidates\":[{\"content\":{\"parts\":["
		     "{\"text\":\"", i);
	for (const char *p = text; *p; p++)
		if (*p == '"' || *p < ' ')
			fprintf(out, "\\u%04x", (unsigned)*p);
		else
			fputc(*p, out);
	fputs("\"}]}}]}}\n", out);
}

/* Row i of the requests, in what is read back. */
static void check_answer(const struct csv_row *row, uint32_t i)
{
	const struct csv_cell *outcome = &row->cells[row->n - 2], *text = outcome + 1;
	char want[64];

	answer(want, i);
	must(outcome->len && text->len == strlen(want));
	must(memcmp(row->text + text->at, want, text->len) == 0);
}

static void same_cells(const struct csv_row *table, const struct csv_row *answers)
{
	must(answers->n == table->n + 2 && !answers->fault);
	for (uint32_t i = 0; i < table->n; i++) {
		const struct csv_cell *a = &table->cells[i], *b = &answers->cells[i];

		must(a->len == b->len);
		must(memcmp(table->text + a->at, answers->text + b->at, a->len) == 0);
	}
}

static void check_back(struct memory table, struct memory answers, char separator)
{
	struct text_source one, two;
	struct csv *a = open_csv(&one, &table, separator);
	struct csv *b = open_csv(&two, &answers, separator);
	const struct csv_row *x, *y;
	uint32_t asked = 0;

	for (bool names = true; csv_next(a, &x) == 1; names = false) {
		must(csv_next(b, &y) == 1);
		same_cells(x, y);
		if (!names && !csv_row_is_blank(x))
			check_answer(y, asked++);
	}
	must(csv_next(b, &y) == 0);
	csv_close(a);
	csv_close(b);
}

static void check_answers(struct memory table, uint32_t n, bool tabs, size_t piece)
{
	char *requests = NULL, *results = NULL;
	size_t requests_len, results_len;
	FILE *asks = open_memstream(&requests, &requests_len);
	FILE *says = open_memstream(&results, &results_len);
	struct made m;

	for (uint32_t i = 0; i < n; i++) {
		fprintf(asks, "{\"key\":\"%u\",\"request\":{\"contents\":[]}}\n", i);
		put_answer(says, n - 1 - i);
	}
	fclose(asks);
	fclose(says);
	made_of.text = table.text;
	made_of.len = table.len;
	made_of.tabs = tabs;
	must(made_new(&m, requests, requests_len, results, results_len, piece) == 0);
	must(m.a->head.n_lines > n);
	char *text = made_table(&m);
	struct memory back = {text, m.a->head.table_size, 0, 0};

	check_back(table, back, m.a->head.separator);
	free(text);
	made_free(&m);
	free(requests);
	free(results);
}

static void pass_over(void *arg, const char *text)
{
	(void)arg;
	must(util_utf8_valid(text, strlen(text)));
}

static void check_lines(int out, uint32_t n)
{
	FILE *in = fdopen(out, "r");
	uint32_t lines = 0;
	json_error_t e;
	json_t *line;

	rewind(in);
	while ((line = json_loadf(in, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &e))) {
		must(json_is_string(json_object_get(line, "key")));
		must(json_is_object(json_object_get(line, "request")));
		json_decref(line);
		lines++;
	}
	must(lines == n);
	fclose(in);
}

/* All of it, with its first line as what is asked. */
static void check_requests(struct memory m, uint32_t asked, bool tabs)
{
	struct composed_parts parts = {.prompt = memfd_create("prompt", 0), .system = -1,
		.schema = -1, .defaults = -1};
	struct composed_table table = {.name = tabs ? "inputs.tsv" : "inputs.csv",
		.fd = memfd_create("table", 0), .remark = pass_over};
	int out = memfd_create("out", 0);
	struct composed *c;

	must(util_write_all(table.fd, m.text, m.len) == 0);
	must(util_write_all(parts.prompt, m.text, strcspn(m.text, "\n")) == 0);
	must(composed_new(&parts, out, &c) == 0);
	must(composed_add_table(c, &table) == 0 && composed_end(c) == 0);
	char *complaints = composed_complaints(c);
	must(complaints || composed_requests(c) == asked);
	if (!complaints)
		check_lines(dup(out), asked);
	free(complaints);
	composed_free(c);
	close(out);
	close(table.fd);
	close(parts.prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data + 1;
	bool tabs = n && data[0] & 1;
	size_t piece = n ? (data[0] >> 1) % 17 + 1 : 1;

	char *copy;

	if (!n || n > 20000)
		return 0;
	text = copy = strndup(text, n - 1);
	if (!copy)
		return 0;
	n = strlen(copy) + 1;
	char separator = tabs ? '\t' : csv_separator(text, n - 1);
	struct memory whole = {text, n - 1, 0, 0}, pieces = {text, n - 1, piece, 0};
	uint32_t asked = check_pieces(whole, pieces, separator);

	if (asked)
		check_answers(whole, asked, tabs, piece);
	check_requests(whole, asked, tabs);
	free(copy);
	return 0;
}
