#include "base/utf8.h"

#include <string.h>

#include "base/util.h"

/* Classes of bytes. Lead bytes whose second byte is restricted stand alone. */
enum {
	ASCII,
	CONT_8,  /* 80..8f */
	CONT_9,  /* 90..9f */
	CONT_AB, /* a0..bf */
	LEAD_2,  /* c2..df */
	LEAD_E0, /* second byte a0..bf, else overlong */
	LEAD_3,  /* e1..ec, ee, ef */
	LEAD_ED, /* second byte 80..9f, else a surrogate */
	LEAD_F0, /* second byte 90..bf, else overlong */
	LEAD_4,  /* f1..f3 */
	LEAD_F4, /* second byte 80..8f, else past U+10FFFF */
	NEVER,   /* c0, c1, f5..ff */
};

const uint8_t utf8_class[256] = {
	[0x00 ... 0x7f] = ASCII,
	[0x80 ... 0x8f] = CONT_8,
	[0x90 ... 0x9f] = CONT_9,
	[0xa0 ... 0xbf] = CONT_AB,
	[0xc0 ... 0xc1] = NEVER,
	[0xc2 ... 0xdf] = LEAD_2,
	[0xe0] = LEAD_E0,
	[0xe1 ... 0xec] = LEAD_3,
	[0xed] = LEAD_ED,
	[0xee ... 0xef] = LEAD_3,
	[0xf0] = LEAD_F0,
	[0xf1 ... 0xf3] = LEAD_4,
	[0xf4] = LEAD_F4,
	[0xf5 ... 0xff] = NEVER,
};

/* States: 0 start, 1 bad, then how many bytes are to come and which. */
enum { S, B = UTF8_BAD, ONE, TWO, THREE, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4 };

#define CONTINUE(c8, c9, cab)                                                          \
	{                                                                              \
		B, c8, c9, cab, B, B, B, B, B, B, B, B, B, B, B, B                     \
	}

const uint8_t utf8_next[9][16] = {
	[S] = {S, B, B, B, ONE, AFTER_E0, TWO, AFTER_ED, AFTER_F0, THREE, AFTER_F4, B,
		B, B, B, B},
	[B] = CONTINUE(B, B, B),
	[ONE] = CONTINUE(S, S, S),
	[TWO] = CONTINUE(ONE, ONE, ONE),
	[THREE] = CONTINUE(TWO, TWO, TWO),
	[AFTER_E0] = CONTINUE(B, B, ONE),
	[AFTER_ED] = CONTINUE(ONE, ONE, B),
	[AFTER_F0] = CONTINUE(B, TWO, TWO),
	[AFTER_F4] = CONTINUE(TWO, B, B),
};

bool util_utf8_valid(const void *buf, size_t n)
{
	const uint8_t *p = buf, *end = p + n;
	uint8_t state = S;

	while (p < end) {
		uint64_t word;

		while (state == S && end - p >= 8) {
			memcpy(&word, p, 8);
			if (word & 0x8080808080808080u)
				break;
			p += 8;
		}
		if (p < end)
			state = utf8_step(state, *p++);
		if (state == B)
			return false;
	}
	return state == S;
}

size_t util_utf8_cut(const char *text, size_t n, size_t max)
{
	size_t cut = max;

	if (n <= max)
		return n;
	/* A character has at most three continuation bytes; more is no UTF-8, and
	 * then one place is as good as another. */
	while (cut > 0 && max - cut < 4 && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	return cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80 ? max : cut;
}
