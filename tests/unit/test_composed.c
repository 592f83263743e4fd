#include "provider/gemini/make_requests.h"
#include "files/part_names.h"
#include "base/util.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

static int file_of(const char *bytes, size_t n)
{
	int fd = memfd_create("composed", 0);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, bytes, n), 0);
	return fd;
}

static int text_file(const char *text)
{
	return text ? file_of(text, strlen(text)) : -1;
}

struct draft {
	struct composed *c;
	int out;
};

static bool embeds;

static struct draft begin(const char *prompt, const char *system, const char *schema,
	const char *defaults)
{
	struct draft d = {.out = file_of("", 0)};
	struct composed_parts p = {text_file(prompt), text_file(system),
		text_file(schema), text_file(defaults), .embedding = embeds};

	assert_int_equal(composed_new(&p, d.out, &d.c), 0);
	util_closep(&p.prompt);
	util_closep(&p.system);
	util_closep(&p.schema);
	util_closep(&p.defaults);
	return d;
}

static void add(struct draft *d, const char *key, const char *bytes, size_t n)
{
	_cleanup_close_ int fd = file_of(bytes, n);

	assert_int_equal(composed_add(d->c, key, fd), 0);
}

static void add_lines(struct draft *d, const char *text)
{
	_cleanup_close_ int fd = text_file(text);

	assert_int_equal(composed_add_lines(d->c, fd, NULL), 0);
}

/* What was written must be want, and there must be no complaint. */
static void check(struct draft *d, const char *want)
{
	char *complaints;
	_cleanup_free_ char *got = NULL;

	assert_int_equal(composed_end(d->c), 0);
	complaints = composed_complaints(d->c);
	assert_null(complaints);
	off_t n = lseek(d->out, 0, SEEK_END);
	got = calloc(1, (size_t)n + 1);
	assert_int_equal(pread(d->out, got, (size_t)n, 0), n);
	assert_string_equal(got, want);
	composed_free(d->c);
	close(d->out);
}

/* What is complained of must be want. */
static void refused(struct draft *d, const char *want)
{
	_cleanup_free_ char *got = composed_complaints(d->c);

	assert_non_null(got);
	assert_string_equal(got, want);
	composed_free(d->c);
	close(d->out);
}

static void test_text(void **state)
{
	struct draft d = begin(NULL, NULL, NULL, NULL);

	add(&d, "a/\"b\"", "x\ny\t\"\\\x01", 7);
	check(&d,
		"{\"key\":\"a/\\\"b\\\"\",\"request\":{\"contents\":[{\"role\":\"user\","
		"\"parts\":[{\"text\":\"x\\ny\\t\\\"\\\\\\u0001\"}]}]}}\n");
}

static void test_parts(void **state)
{
	struct draft d =
		begin("Q?\n", "Be.\n", "{\"type\":\"string\"}", "{\"tools\":[]}");

	add(&d, "k", "x", 1);
	check(&d,
		"{\"key\":\"k\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":["
		"{\"text\":\"Q?\"},{\"text\":\"x\"}]}],\"tools\":[],"
		"\"systemInstruction\":{\"parts\":[{\"text\":\"Be.\"}]},"
		"\"generationConfig\":{\"responseSchema\":{\"type\":\"STRING\"},"
		"\"responseMimeType\":\"application/json\"}}}\n");
}

static void test_lines(void **state)
{
	struct draft d = begin(NULL, NULL, NULL, NULL);

	add_lines(&d, "\xef\xbb\xbf" "a\r\n\n \t\nb\n\n\n\n\n\nc");
	assert_int_equal(composed_requests(d.c), 3);
#define LINE(k, t)                                                                     \
	"{\"key\":\"" k "\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":[" \
	"{\"text\":\"" t "\"}]}]}}\n"
	check(&d, LINE("01", "a") LINE("04", "b") LINE("10", "c"));
}

static void test_embedding(void **state)
{
	struct draft d;

	embeds = true;
	d = begin(NULL, NULL, NULL,
		"{\"task_type\":\"CLUSTERING\",\"outputDimensionality\":8}");
	add(&d, "a.txt", "x\n", 2);
	check(&d,
		"{\"key\":\"a.txt\",\"request\":{\"content\":{\"parts\":[{\"text\":\"x\\n\"}]},"
		"\"task_type\":\"CLUSTERING\",\"outputDimensionality\":8}}\n");
	d = begin(NULL, NULL, NULL, NULL);
	add_lines(&d, "a\nb\n");
	check(&d,
		"{\"key\":\"1\",\"request\":{\"content\":{\"parts\":[{\"text\":\"a\"}]}}}\n"
		"{\"key\":\"2\",\"request\":{\"content\":{\"parts\":[{\"text\":\"b\"}]}}}\n");
	embeds = false;
}

static void test_embedding_parts(void **state)
{
#define UNFIT                                                                                 \
	": is for answers only, but the draft's model makes embeddings of the texts as they " \
	"are: "                                                                               \
	"remove it, or change the model (echo NAME > model)\n"
	struct draft d;

	embeds = true;
	d = begin("Q?", "", "{}",
		"{\"title\":1,\n\"outputDimensionality\":0,\n\"generationConfig\":{}}");
	add(&d, "a.png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
	refused(&d, "prompt.txt" UNFIT "system.txt" UNFIT "schema.json" UNFIT
		    "defaults.json, line 1: \"title\" must be a string\n"
		    "defaults.json, line 2: \"outputDimensionality\" must be a whole "
		    "number above 0\n"
		    "defaults.json, line 3: \"generationConfig\" is not a member of an "
		    "embedding request (those are taskType, title and "
		    "outputDimensionality)\n"
		    "inputs/a.png: is not text: embeddings are made from text only\n");
	embeds = false;
}

static void test_bad_lines(void **state)
{
	struct draft d = begin(NULL, NULL, NULL, NULL);
	size_t n = COMPOSED_TEXT_MAX + 1;
	char *text = malloc(n + 16);

	memset(text, 'x', n);
	strcpy(text + n, "\n\xff\nok");
	add_lines(&d, text);
	free(text);
	refused(&d, "inputs.txt, line 1: is longer than 1 MiB\n"
		    "inputs.txt, line 2: is not UTF-8: if it comes from Windows, iconv "
		    "-f WINDOWS-1252 -t UTF-8 FILE > NEW makes it UTF-8\n");
}

static const char png[] =
	"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0\x90wS\xde";

static void test_attachment(void **state)
{
	struct draft d = begin("Q?", NULL, NULL, NULL);

	add(&d, "a.png", png, sizeof(png) - 1);
	assert_int_equal(composed_attachments(d.c), 1);
	check(&d,
		"{\"key\":\"a.png\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":["
		"{\"text\":\"Q?\"},{\"file_data\":{\"file_uri\":\"inputs/a.png\","
		"\"mime_type\":\"image/png\"}}]}]}}\n");
}

static void test_bad_inputs(void **state)
{
	struct draft d = begin(NULL, NULL, NULL, NULL);

	add(&d, "no", png, sizeof(png) - 1);
	add(&d, "empty", "", 0);
	add(&d, "zip", "\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
	add(&d, "bytes", "\x81\x92\xfe\0\1\2\3\4", 8);
	add(&d, "bad\xff", "x", 1);
	refused(&d,
		"inputs/no: is not text: write into prompt.txt what to ask about it\n"
		"inputs/empty: is empty: write something into it or remove it\n"
		"inputs/zip: is compressed with gzip: gunzip -c FILE > NEW unpacks it\n"
		"inputs/bytes: application/octet-stream cannot be sent to a model: only "
		"pictures, sound, video, PDF and text can\n"
		"inputs/bad\xff: its name is not UTF-8: rename it\n");
}

/* What is no text is named with its cure; a BOM is no part of a text. */
static void test_encodings(void **state)
{
	struct draft d = begin("\xef\xbb\xbfQ?", NULL,
		"\xef\xbb\xbf{\"type\":\"string\"}", "\xef\xbb\xbf{}");

	add(&d, "k", "\xef\xbb\xbfx", 4);
	check(&d,
		"{\"key\":\"k\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":["
		"{\"text\":\"Q?\"},{\"text\":\"x\"}]}],\"generationConfig\":{\"responseSchema\""
		":{\"type\":\"STRING\"},\"responseMimeType\":\"application/json\"}}}\n");
	d = begin("\xff\xfeQ", NULL, "\x1f\x8b\x08", "{\"model\":\"x\"}");
	add(&d, "u16", "\xff\xfe" "a\0b\0c\0", 8);
	add(&d, "blank", " \n\t\r\n", 5);
	add(&d, "bomblank", "\xef\xbb\xbf\n", 4);
	refused(&d, "prompt.txt: is UTF-16: iconv -f UTF-16 -t UTF-8 FILE > NEW makes "
		    "it UTF-8\n"
		    "defaults.json, line 1: \"model\" is set for the whole job: echo "
		    "NAME > model\n"
		    "schema.json: is compressed with gzip: gunzip -c FILE > NEW "
		    "unpacks it\n"
		    "inputs/u16: is UTF-16: iconv -f UTF-16 -t UTF-8 FILE > NEW makes "
		    "it UTF-8\n"
		    "inputs/blank: has nothing but white space: write something into "
		    "it or remove it\n"
		    "inputs/bomblank: has nothing but white space: write something "
		    "into it or remove it\n");
}

/* What iconv is to be told, and about which file. */
static void test_iconv(void **state)
{
	static const char latin1[] = "F\xfcr \xc4rger sorgen gro\xdf"
				     "e \xc4mter, sch\xf6n \xfc"
				     "ber Jahre.\n",
			  windows[] = "Er sagte \x84"
				      "F\xfcr 5 \x80\x93, und ging.\n";
	struct draft d = begin("Q?", NULL, NULL, NULL);

	add(&d, "it's.txt", latin1, sizeof latin1 - 1);
	add(&d, "w.txt", windows, sizeof windows - 1);
	refused(&d,
		"inputs/it's.txt: is text, but not UTF-8 (it looks like this): iconv -f "
		"ISO-8859-1 -t UTF-8 'inputs/it'\\''s.txt' > .new && mv .new "
		"'inputs/it'\\''s.txt'\n"
		"inputs/w.txt: is text, but not UTF-8 (if it comes from Windows): iconv "
		"-f WINDOWS-1252 -t UTF-8 'inputs/w.txt' > .new && mv .new "
		"'inputs/w.txt'\n");
}

/* As it would be referred to by name. */
static void test_pdf_of_text(void **state)
{
	static const char pdf[] =
		"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n";
	struct draft d = begin("Q?", NULL, NULL, NULL);

	add(&d, "a.pdf", pdf, sizeof pdf - 1);
	add(&d, "a.m3u", "#EXTM3U\n", 8);
	check(&d,
		"{\"key\":\"a.pdf\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":["
		"{\"text\":\"Q?\"},{\"file_data\":{\"file_uri\":\"inputs/a.pdf\","
		"\"mime_type\":\"application/pdf\"}}]}]}}\n"
		"{\"key\":\"a.m3u\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":["
		"{\"text\":\"Q?\"},{\"text\":\"#EXTM3U\\n\"}]}]}}\n");
}

static void test_many_complaints(void **state)
{
	struct draft d = begin(NULL, NULL, NULL, NULL);

	for (int i = 0; i < 12; i++)
		add(&d, "e", "", 0);
	_cleanup_free_ char *got = composed_complaints(d.c);
	assert_non_null(strstr(got, "\nand 2 more\n"));
	composed_free(d.c);
	close(d.out);
}

/* Larger than the buffer that goes out: cut anywhere, it is one line. */
static void test_long(void **state)
{
	struct draft d = begin(NULL, NULL, NULL, NULL);
	size_t n = COMPOSED_TEXT_MAX;
	char *text = malloc(n);
	json_t *line;

	for (size_t i = 0; i < n; i++)
		text[i] = "a\"\n"[i % 3];
	add(&d, "k", text, n);
	assert_int_equal(composed_end(d.c), 0);
	lseek(d.out, 0, SEEK_SET);
	line = json_loadfd(d.out, 0, NULL);
	assert_non_null(line);
	const json_t *got = json_object_get(
		json_array_get(
			json_object_get(
				json_array_get(json_object_get(
						       json_object_get(line, "request"),
						       "contents"),
					0),
				"parts"),
			0),
		"text");
	assert_int_equal(json_string_length(got), n);
	assert_memory_equal(json_string_value(got), text, n);
	json_decref(line);
	free(text);
	composed_free(d.c);
	close(d.out);
}

static void test_twice(void **state)
{
	struct draft d = begin(NULL, "s", "{\"type\":\"string\"}",
		"{\"system_instruction\":{\"parts\":[{\"text\":\"t\"}]},\n"
		"\"generationConfig\":{\"response_schema\":{\"type\":\"string\"}}}");

	refused(&d, "system.txt: defaults.json has a systemInstruction too: keep only "
		    "one of the two\n"
		    "schema.json: defaults.json has a response schema too: keep only "
		    "one of the two\n");
}

/* The API looks at it in the same way. */
static void test_default_schema(void **state)
{
	struct draft d = begin("Q?", NULL, NULL,
		"{\"generationConfig\":{\"responseSchema\":{\"type\":\"string\","
		"\"format\":\"uuid\"}}}");

	add(&d, "k", "x", 1);
	check(&d,
		"{\"key\":\"k\",\"request\":{\"contents\":[{\"role\":\"user\",\"parts\":["
		"{\"text\":\"Q?\"},{\"text\":\"x\"}]}],\"generationConfig\":{\"responseSchema\""
		":{\"type\":\"STRING\",\"description\":\"format: uuid\"}}}}\n");
	d = begin("Q?", NULL, NULL,
		"{\"generationConfig\":{\n\"responseSchema\":{\"type\":\"object\"}}}");
	refused(&d, "defaults.json, line 2: \"responseSchema\" cannot be used: #: the "
		    "API does not accept "
		    "an object without properties: name them, or ask for a list of "
		    "objects with "
		    "a name and a value\n");
}

static void test_names(void **state)
{
	assert_true(composed_is_part("prompt.txt"));
	assert_false(composed_is_part("Prompt.txt"));
	assert_false(composed_is_part("requests.jsonl"));
	static const char *const left[] = {".DS_Store", "Thumbs.db", "thumbs.DB",
		"Desktop.ini", "a~", "#a#", "a.orig", "a.txt.SWP", ".a.swp",
		"film.mp4.part", "x.crdownload", "~$a.docx", "Icon\r"};
	static const char *const inputs[] = {"a", "~", "#a", "#", "##", "original",
		"part", "a.party", "Icon", "a~b"};

	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		assert_true(composed_is_leftover(left[i]));
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++)
		assert_false(composed_is_leftover(inputs[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_embedding),
		cmocka_unit_test(test_embedding_parts),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_attachment),
		cmocka_unit_test(test_bad_inputs),
		cmocka_unit_test(test_iconv),
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_pdf_of_text),
		cmocka_unit_test(test_many_complaints),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_default_schema),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
