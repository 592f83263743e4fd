#include "base/siphash_set.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(struct siphash *h)
{
	h->v0 += h->v1;
	h->v1 = rotate(h->v1, 13) ^ h->v0;
	h->v0 = rotate(h->v0, 32);
	h->v2 += h->v3;
	h->v3 = rotate(h->v3, 16) ^ h->v2;
	h->v0 += h->v3;
	h->v3 = rotate(h->v3, 21) ^ h->v0;
	h->v2 += h->v1;
	h->v1 = rotate(h->v1, 17) ^ h->v2;
	h->v2 = rotate(h->v2, 32);
}

static inline void sip_word(struct siphash *h, uint64_t m)
{
	h->v3 ^= m;
	sip_round(h);
	h->v0 ^= m;
}

/* SipHash's own constants, in the form with 128 bits of output. */
void siphash_init(struct siphash *h, struct keyseed seed)
{
	h->v0 = seed.k0 ^ UINT64_C(0x736f6d6570736575);
	h->v1 = seed.k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee;
	h->v2 = seed.k0 ^ UINT64_C(0x6c7967656e657261);
	h->v3 = seed.k1 ^ UINT64_C(0x7465646279746573);
	h->tail = 0;
	h->len = 0;
}

void siphash_add(struct siphash *h, const void *text, size_t n)
{
	const uint8_t *p = text, *end = p + n;
	uint64_t word;

	while (p < end) {
		if (h->len % 8 == 0 && end - p >= 8) {
			memcpy(&word, p, 8);
			sip_word(h, le64toh(word));
			p += 8;
			h->len += 8;
			continue;
		}
		h->tail |= (uint64_t)*p++ << (8 * (h->len % 8));
		if (++h->len % 8 == 0) {
			sip_word(h, h->tail);
			h->tail = 0;
		}
	}
}

static uint64_t sip_output(struct siphash *h)
{
	for (int i = 0; i < 3; i++)
		sip_round(h);
	return h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
}

struct keypair siphash_end(struct siphash *h)
{
	struct keypair pair;

	sip_word(h, h->tail | h->len << 56);
	h->v2 ^= 0xee;
	pair.first = sip_output(h);
	h->v1 ^= 0xdd;
	pair.second = sip_output(h);
	return pair;
}

int siphash_set_add(struct siphash_set *set, uint64_t hash)
{
	if (set->n == set->size) {
		size_t size = set->size ? 2 * set->size : 1024;
		uint64_t *bigger = realloc(set->hash, size * sizeof *bigger);

		if (!bigger)
			return -ENOMEM;
		set->hash = bigger;
		set->size = size;
	}
	set->hash[set->n++] = hash;
	return 0;
}

static void sort_few(uint64_t *a, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		uint64_t v = a[i];
		size_t k = i;

		for (; k > 0 && a[k - 1] > v; k--)
			a[k] = a[k - 1];
		a[k] = v;
	}
}

/* Put each hash into the part of a for its byte at shift; start[b] is where part
 * b begins. */
static void split_radix(uint64_t *a, size_t n, unsigned shift, size_t start[257])
{
	size_t next[256], count[256] = {0};

	for (size_t i = 0; i < n; i++)
		count[a[i] >> shift & 255]++;
	start[0] = 0;
	for (int b = 0; b < 256; b++) {
		next[b] = start[b];
		start[b + 1] = start[b] + count[b];
	}
	for (unsigned b = 0; b < 256; b++)
		while (next[b] < start[b + 1]) {
			uint64_t v = a[next[b]];
			unsigned to = v >> shift & 255;

			a[next[b]] = a[next[to]];
			a[next[to]++] = v;
		}
}

/* In place, to avoid a second array of this size. Hashes are evenly distributed, so two
 * or three rounds leave small parts. */
static void sort(uint64_t *a, size_t n, unsigned shift)
{
	size_t start[257];

	if (n <= 96 && (shift < 56 || n <= 16)) {
		sort_few(a, n);
		return;
	}
	split_radix(a, n, shift, start);
	if (shift == 0)
		return;
	for (int b = 0; b < 256; b++)
		sort(a + start[b], start[b + 1] - start[b], shift - 8);
}

size_t siphash_set_reduce(struct siphash_set *set)
{
	size_t kept = 0, repeated = 0, run;

	sort(set->hash, set->n, 56);
	for (size_t i = 0; i < set->n; i += run) {
		for (run = 1; i + run < set->n && set->hash[i + run] == set->hash[i];)
			run++;
		if (run > 1)
			set->hash[kept++] = set->hash[i];
		repeated += run - 1;
	}
	set->n = kept;
	return repeated;
}

ssize_t siphash_set_find(const struct siphash_set *set, uint64_t hash)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->hash[middle] == hash)
			return (ssize_t)middle;
		if (set->hash[middle] < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

void siphash_set_clear(struct siphash_set *set)
{
	free(set->hash);
	*set = (struct siphash_set){0};
}
