/* CRC-32C: the instruction where the processor has it, in three lanes; else eight
 * tables. */
#include "base/util.h"

#include <pthread.h>
#include <string.h>

#define POLY 0x82f63b78u

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = (c >> 1) ^ (c & 1 ? POLY : 0);
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			table[t][i] = (table[t - 1][i] >> 8) ^
				      table[0][table[t - 1][i] & 255];
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t n)
{
	pthread_once(&table_once, make_table);
	for (; n >= 8; p += 8, n -= 8) {
		crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		       (uint32_t)p[3] << 24;
		crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^
		      table[5][crc >> 16 & 255] ^ table[4][crc >> 24] ^ table[3][p[4]] ^
		      table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	for (; n > 0; p++, n--)
		crc = (crc >> 8) ^ table[0][(crc ^ *p) & 255];
	return crc;
}

#ifdef __x86_64__
#include <nmmintrin.h>
#include <wmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_insn(
	uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t c = crc, word;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		c = _mm_crc32_u64(c, word);
	}
	for (; n > 0; p++, n--)
		c = _mm_crc32_u8((uint32_t)c, *p);
	return (uint32_t)c;
}

/* The instruction takes three cycles, and one can begin in each: so three lanes side
 * by side, whose checksums are then put together. To append n bytes to a checksum is
 * to multiply it by x^8n; the carry-less product of two checksums, taken for 8 bytes
 * of message, comes out multiplied by x^33. */
struct lanes {
	size_t bytes;      /* of one lane */
	uint32_t one, two; /* x^(8 * bytes - 33), x^(16 * bytes - 33) */
};

static struct lanes wide = {.bytes = 2048}, narrow = {.bytes = 256};
static pthread_once_t lanes_once = PTHREAD_ONCE_INIT;

/* x^n modulo the polynomial; the top bit is x^0. */
static uint32_t power(size_t n)
{
	uint32_t p = 0x80000000;

	for (; n > 0; n--)
		p = (p >> 1) ^ (p & 1 ? POLY : 0);
	return p;
}

static void make_lanes(void)
{
	wide.one = power(8 * wide.bytes - 33);
	wide.two = power(16 * wide.bytes - 33);
	narrow.one = power(8 * narrow.bytes - 33);
	narrow.two = power(16 * narrow.bytes - 33);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t shift(
	uint64_t crc, uint32_t by)
{
	__m128i product = _mm_clmulepi64_si128(
		_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128(by), 0);

	return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_lanes(
	const struct lanes *l, uint32_t crc, const unsigned char *p)
{
	uint64_t a = crc, b = 0, c = 0, u, v, w;
	const size_t n = l->bytes;

	for (size_t i = 0; i < n; i += 8) {
		memcpy(&u, p + i, 8);
		memcpy(&v, p + n + i, 8);
		memcpy(&w, p + 2 * n + i, 8);
		a = _mm_crc32_u64(a, u);
		b = _mm_crc32_u64(b, v);
		c = _mm_crc32_u64(c, w);
	}
	return shift(a, l->two) ^ shift(b, l->one) ^ (uint32_t)c;
}

static uint32_t crc_fast(uint32_t crc, const unsigned char *p, size_t n)
{
	pthread_once(&lanes_once, make_lanes);
	for (; n >= 3 * wide.bytes; p += 3 * wide.bytes, n -= 3 * wide.bytes)
		crc = crc_lanes(&wide, crc, p);
	for (; n >= 3 * narrow.bytes; p += 3 * narrow.bytes, n -= 3 * narrow.bytes)
		crc = crc_lanes(&narrow, crc, p);
	return crc_insn(crc, p, n);
}
#endif

uint32_t util_crc32c(uint32_t crc, const void *buf, size_t n)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
		return ~crc_fast(~crc, buf, n);
#endif
	return ~crc_table(~crc, buf, n);
}
