#include "store/dir_names.h"
#include "base/util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void check(const char *display, const char *want)
{
	char name[NAME_SIZE];

	name_encode(display, "id1", name);
	assert_string_equal(name, want);
}

static void test_encode(void **state)
{
	check("haiku", "haiku");
	check("", "id1");
	check("a/b", "a%2Fb");
	check(".hidden", "%2Ehidden");
	check("..", "%2E.");
	check("a\nb\t", "a%0Ab%09");
	check("\x7f", "%7F");
	check("\xc2\x85", "%C2%85");
	check("\xc2\xa0x", "\xc2\xa0x");
	check("50%", "50%");
	check("50%2", "50%2");
	check("50%20", "50%2520");
	check("日本", "日本");
}

static void test_encode_long(void **state)
{
	char display[400], name[NAME_SIZE];

	memset(display, 'x', 255);
	display[255] = '\0';
	name_encode(display, "id1", name);
	assert_string_equal(name, display);

	memset(display, 'x', 300);
	display[300] = '\0';
	name_encode(display, "id1", name);
	assert_int_equal(strlen(name), 255);
	assert_string_equal(name + 251, "~id1");

	/* Cuts fall between characters. */
	for (int i = 0; i < 100; i++)
		memcpy(display + 3 * i, "日", 3);
	name_encode(display, "id1", name);
	assert_true(util_utf8_valid(name, strlen(name)));
	assert_string_equal(name + strlen(name) - 4, "~id1");

	/* And not inside an escape. */
	for (size_t shift = 0; shift < 3; shift++) {
		memset(display, 'x', shift);
		memset(display + shift, '\n', 120);
		display[shift + 120] = '\0';
		name_encode(display, "id1", name);
		char *mark = strrchr(name, '~');
		assert_non_null(mark);
		assert_true(mark[-1] == 'A' && mark[-2] == '0' && mark[-3] == '%');
	}
}

static void test_round_trip(void **state)
{
	static const char *const displays[] = {"haiku", "a/b", ".x", "..", "a\nb",
		"50%20", "%", "%%41", "\xc2\x85", "日本/x", "x%2F"};
	char name[NAME_SIZE], back[NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(displays); i++) {
		name_encode(displays[i], "id1", name);
		assert_null(strchr(name, '/'));
		assert_true(name[0] != '.');
		assert_int_equal(name_decode(name, back), 0);
		assert_string_equal(back, displays[i]);
	}
}

static void test_decode(void **state)
{
	char back[NAME_SIZE], longer[300];

	/* Not what name_encode makes: stays what the person wrote. */
	assert_int_equal(name_decode("a%20b", back), 0);
	assert_string_equal(back, "a%20b");
	assert_int_equal(name_decode("nul%00", back), 0);
	assert_string_equal(back, "nul%00");
	assert_int_equal(name_decode(".x", back), -EPERM);
	assert_int_equal(name_decode("", back), -EINVAL);
	assert_int_equal(name_decode("\xff", back), -EILSEQ);
	assert_int_equal(name_decode("a\nb", back), -EILSEQ);
	assert_int_equal(name_decode("a\xc2\x85", back), -EILSEQ);
	assert_int_equal(name_decode("a\xc2\xa0\xe2\x82\xac", back), 0);
	memset(longer, 'x', 256);
	longer[256] = '\0';
	assert_int_equal(name_decode(longer, back), -ENAMETOOLONG);
	longer[255] = '\0';
	assert_int_equal(name_decode(longer, back), 0);
}

static void test_mark(void **state)
{
	char name[NAME_SIZE], longer[NAME_SIZE];

	name_mark("haiku", "id2", name);
	assert_string_equal(name, "haiku~id2");
	memset(longer, 'x', 255);
	longer[255] = '\0';
	name_mark(longer, "id2", name);
	assert_int_equal(strlen(name), 255);
	assert_string_equal(name + 251, "~id2");
}

static void check_part(const char *part, size_t n, const char *want)
{
	char name[NAME_PART_SIZE(64)];

	assert_int_equal(name_encode_part(part, n, name), strlen(want));
	assert_string_equal(name, want);
}

/* A percent sign is escaped only where it would be read back as something else. */
static void test_parts(void **state)
{
#define PART(part, want) check_part(part, sizeof part - 1, want)
	PART("a?b #1%20.jpg", "a?b #1%20.jpg");
	PART("100%", "100%");
	PART("%41%4", "%41%4");
	PART("a\nb", "a%0Ab");
	PART("a%0Ab", "a%250Ab");
	PART("a%250Ab", "a%25250Ab");
	PART("a%2520b", "a%2520b");
	PART("a%2Fb%7f", "a%252Fb%257f");
	PART("%2Ea%2E", "%252Ea%2E");
	PART("%c2%85", "%25c2%85");
	PART("%C2%A0%C2", "%C2%A0%C2");
	PART("\xc2\x85%25", "%C2%85%25");
	PART("\xc2", "\xc2");
	PART("", "%");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_encode_long),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
