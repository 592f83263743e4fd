#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "base/util.h"

/* The examples of FIPS 180-4's appendix and of NIST's test vectors. */
static const struct {
	const char *text;
	size_t times;
	const char *digest;
} vectors[] = {
	{"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	{"a", 1000000,
		"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
	{"0123456701234567012345670123456701234567012345670123456701234567", 10,
		"594847328451bdfa85056225462cc1d867d877fb388df0ce35f25ab5562bfbb5"},
};

static void test_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		char got[SHA256_HEX];
		struct sha256 s;

		sha256_init(&s);
		for (size_t n = 0; n < vectors[i].times; n++)
			sha256_add(&s, vectors[i].text, strlen(vectors[i].text));
		sha256_end(&s, got);
		assert_string_equal(got, vectors[i].digest);
	}
}

/* However it is cut, it is the same; every length around a block's. */
static void test_pieces(void **state)
{
	uint8_t bytes[200];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		char whole[SHA256_HEX], pieces[SHA256_HEX];
		struct sha256 s;

		sha256_init(&s);
		sha256_add(&s, bytes, n);
		sha256_end(&s, whole);
		for (size_t piece = 1; piece < 70; piece += 9) {
			sha256_init(&s);
			for (size_t at = 0; at < n; at += piece)
				sha256_add(&s, bytes + at,
					n - at < piece ? n - at : piece);
			sha256_end(&s, pieces);
			assert_string_equal(pieces, whole);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
