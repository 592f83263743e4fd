/* SHA-256 (FIPS 180-4), to tell contents apart and to compare them with what the API
 * says it received. No secrets are hashed. No allocation; one thread at a time. */
#ifndef GB_SHA256_H
#define GB_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_HEX 65

struct sha256 {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64]; /* bytes % 64 of it are filled */
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *buf, size_t n);
/* The digest in lower-case hex, with a NUL. s is used up. */
void sha256_end(struct sha256 *s, char ret[SHA256_HEX]);

#endif
