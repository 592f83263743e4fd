/* Hashes of keys, and which of them appear twice.
 *
 *     struct siphash h;                        one key, in pieces
 *     siphash_init(&h, seed); siphash_add(&h, p, n); ...; siphash_end(&h)
 *
 *     struct siphash_set set = {0};                 all keys
 *     siphash_set_add(&set, hash); ...
 *     siphash_set_reduce(&set)                      now it holds only hashes that appeared
 *                                              twice
 *     siphash_set_find(&set, hash)
 *     siphash_set_clear(&set)
 *
 * A key costs 8 bytes. The hash is SipHash-1-3 with a random seed, so nobody can
 * prepare keys that collide. Among 20 million different keys two have the same 64 bits
 * with a chance of 1e-5. So the result of reduce is only a suspicion: compare the other
 * half of the hash, which brings the chance to 1e-24. Any thread, one at a time. */
#ifndef GB_KEYSET_H
#define GB_KEYSET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct keyseed {
	uint64_t k0, k1;
};

struct siphash {
	uint64_t v0, v1, v2, v3, tail, len;
};

struct keypair {
	uint64_t first, second; /* two halves of 128 bits */
};

struct siphash_set {
	uint64_t *hash;
	size_t n, size;
};

void siphash_init(struct siphash *h, struct keyseed seed);
void siphash_add(struct siphash *h, const void *text, size_t n);
struct keypair siphash_end(struct siphash *h);

/* 0 or -ENOMEM. */
int siphash_set_add(struct siphash_set *set, uint64_t hash);

/* Sort, and keep one of each hash that is there more than once. Returns how many
 * additions were repetitions of an earlier one. */
size_t siphash_set_reduce(struct siphash_set *set);

/* The index of hash in a reduced set, or -1. */
ssize_t siphash_set_find(const struct siphash_set *set, uint64_t hash);

void siphash_set_clear(struct siphash_set *set);

#endif
