/*
 * NAME.map: which blocks of a results file are on disk, and their checksums.
 *
 * A block is 1 MiB, the last one shorter. Only complete blocks are recorded, each with
 * the CRC-32C of its bytes. So a map may be newer than the data (after a power failure
 * that lost the data but not the map): such a block fails its checksum and is fetched
 * again.
 *
 * On disk, little endian:
 *
 * 	  0  magic[8]
 * 	  8  u32 version, u32 flags
 * 	 16  i64 size of the file, -1: not known
 * 	 24  u32 blocks present, u32 runs of them
 * 	 32  char file[144], id at the API, NUL-padded, empty: none
 * 	176  u32 block size, u32 CRC-32C of the body, u32 zero
 * 	188  u32 CRC-32C of the 188 bytes before
 * 	192  body: runs × (u32 first block, u32 count), then a u32 checksum a block
 *
 * Nothing in it is used before both checksums and all bounds have been checked.
 */
#ifndef GB_RESULTS_MAP_H
#define GB_RESULTS_MAP_H

#include "base/ranges.h"

#include <stdbool.h>

#define RESULTS_BLOCK ((uint64_t)1 << 20)
#define RESULTS_MAX ((int64_t)1 << 40) /* no file of results is larger */
#define RESULTS_MAP_HEAD 192
#define RESULTS_MAP_MAX (RESULTS_MAP_HEAD + (RESULTS_MAX / RESULTS_BLOCK) * 8)
#define RESULTS_MAP_SUFFIX ".map"

struct results_map {
	int64_t size;         /* -1: not known */
	bool sealed;          /* complete, and was durable before the map was written */
	bool cut;             /* it was sealed, but the data file has another length
	                         now */
	bool no_length;       /* the API tells no length */
	char file[144];       /* "" : none */
	struct ranges blocks; /* in bytes; whole blocks, or up to size */
	uint32_t *sums;       /* by number of the block; undefined for absent blocks */
	size_t n_sums;
};

void results_map_clear(struct results_map *m);

/* Whether all bytes of a file of known size are there. */
bool results_map_complete(const struct results_map *m);

/* Text to struct; ret is cleared by the caller. -EBADMSG: not a map, or broken;
 * -EPROTO: of a newer version; -ENOMEM. Pure. */
int results_map_parse(const void *buf, size_t n, struct results_map *ret);

/* Only the head: blocks and sums stay empty. n may be larger than the head. */
int results_map_parse_head(const void *buf, size_t n, struct results_map *ret);

/* Struct to text, malloc'ed. sums must reach to the end of blocks. Pure. */
int results_map_format(const struct results_map *m, char **ret, size_t *ret_len);

/* The same with a file: name is that of the data file, the suffix is added here. A map
 * that claims more than the data file contains is reduced to what is there. */
int results_map_load(int dirfd, const char *name, struct results_map *ret);
int results_map_load_head(int dirfd, const char *name, struct results_map *ret);
int results_map_save(
	int dirfd, const char *name, const struct results_map *m, bool sync);

#endif
