/* UTF-8, byte by byte: no overlong forms, no surrogates, nothing past U+10FFFF.
 *
 * A state is one byte, 0 between characters. Feed each byte:
 *
 *     state = utf8_step(state, byte);
 *     if (state == UTF8_BAD) ... the text is not UTF-8
 *
 * and at the end of the text state must be 0. Any thread, no memory. */
#ifndef GB_UTF8_H
#define GB_UTF8_H

#include <stdint.h>

#define UTF8_BAD 1

extern const uint8_t utf8_class[256];
extern const uint8_t utf8_next[9][16];

static inline uint8_t utf8_step(uint8_t state, uint8_t byte)
{
	return utf8_next[state][utf8_class[byte]];
}

#endif
