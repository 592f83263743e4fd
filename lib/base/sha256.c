#include "base/sha256.h"

#include <stdio.h>
#include <string.h>

static const uint32_t constants[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
	0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
	0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
	0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138,
	0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624,
	0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
	0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f,
	0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t right(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void schedule(const uint8_t *block, uint32_t w[64])
{
	for (int i = 0; i < 16; i++)
		w[i] = load_be32(block + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		uint32_t low = right(a, 7) ^ right(a, 18) ^ a >> 3;
		uint32_t high = right(b, 17) ^ right(b, 19) ^ b >> 10;

		w[i] = w[i - 16] + low + w[i - 7] + high;
	}
}

static void take_block(struct sha256 *s, const uint8_t *block)
{
	uint32_t w[64], v[8];

	schedule(block, w);
	memcpy(v, s->h, sizeof v);
	for (int i = 0; i < 64; i++) {
		uint32_t e = v[4], a = v[0];
		uint32_t choice = (e & v[5]) ^ (~e & v[6]);
		uint32_t most = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
		uint32_t t = v[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) +
			     choice + constants[i] + w[i];

		memmove(v + 1, v, 7 * sizeof v[0]);
		v[4] += t;
		v[0] = t + (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + most;
	}
	for (int i = 0; i < 8; i++)
		s->h[i] += v[i];
}

void sha256_init(struct sha256 *s)
{
	*s = (struct sha256){
		.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
			0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
	};
}

void sha256_add(struct sha256 *s, const void *buf, size_t n)
{
	const uint8_t *p = buf;
	size_t have = s->bytes % 64;

	s->bytes += n;
	if (have) {
		size_t part = n < 64 - have ? n : 64 - have;

		memcpy(s->block + have, p, part);
		if (have + part < 64)
			return;
		take_block(s, s->block);
		p += part;
		n -= part;
	}
	for (; n >= 64; p += 64, n -= 64)
		take_block(s, p);
	memcpy(s->block, p, n);
}

void sha256_end(struct sha256 *s, char ret[SHA256_HEX])
{
	static const uint8_t padding[64] = {0x80};
	uint64_t bits = s->bytes * 8;
	uint8_t length[8];

	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(s, padding, 64 - (s->bytes + 8) % 64);
	sha256_add(s, length, sizeof length);
	for (int i = 0; i < 8; i++)
		snprintf(ret + 8 * i, 9, "%08x", s->h[i]);
}
