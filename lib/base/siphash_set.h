/* Hashes of keys, and which of them appear twice.
 *
 *     struct keyhash h;                        one key, in pieces
 *     keyhash_init(&h, seed); keyhash_add(&h, p, n); ...; keyhash_end(&h)
 *
 *     struct keyset set = {0};                 all keys
 *     keyset_add(&set, hash); ...
 *     keyset_reduce(&set)                      now it holds only hashes that appeared
 *                                              twice
 *     keyset_find(&set, hash)
 *     keyset_clear(&set)
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

struct keyhash {
	uint64_t v0, v1, v2, v3, tail, len;
};

struct keypair {
	uint64_t first, second; /* two halves of 128 bits */
};

struct keyset {
	uint64_t *hash;
	size_t n, size;
};

void keyhash_init(struct keyhash *h, struct keyseed seed);
void keyhash_add(struct keyhash *h, const void *text, size_t n);
struct keypair keyhash_end(struct keyhash *h);

/* 0 or -ENOMEM. */
int keyset_add(struct keyset *set, uint64_t hash);

/* Sort, and keep one of each hash that is there more than once. Returns how many
 * additions were repetitions of an earlier one. */
size_t keyset_reduce(struct keyset *set);

/* The index of hash in a reduced set, or -1. */
ssize_t keyset_find(const struct keyset *set, uint64_t hash);

void keyset_clear(struct keyset *set);

#endif
