/* A map of any bytes, as it is and with its checksums put right.
 *
 * Checked: what is accepted lies within its own bounds, and written again it is the
 * same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/block_map.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

static void check_bounds(const struct results_map *m)
{
	uint64_t limit = ranges_limit(&m->blocks);

	check(m->size >= -1 && m->size <= RESULTS_MAX, "size");
	check(limit <= RESULTS_BLOCK * m->n_sums, "a checksum for every block");
	check(m->size < 0 || limit <= (uint64_t)m->size, "blocks within the size");
	check(!m->sealed || results_map_complete(m), "sealed is complete");
	check(!m->file[0] || util_id_valid(m->file, "files/"), "the id");
	for (size_t i = 0; i < m->blocks.n; i++) {
		const struct range *b = &m->blocks.v[i];

		check(b->lo < b->hi && b->lo % RESULTS_BLOCK == 0, "whole blocks");
		check(i == 0 || m->blocks.v[i - 1].hi < b->lo, "order");
		check(b->hi % RESULTS_BLOCK == 0 || b->hi == (uint64_t)m->size,
			"the last block");
	}
}

static void try(const void *data, size_t n)
{
	struct results_map m, head;
	char *text;
	size_t len;

	if (results_map_parse(data, n, &m) < 0)
		return;
	check_bounds(&m);
	check(results_map_parse_head(data, n, &head) == 0, "its head alone");
	check(head.size == m.size && head.sealed == m.sealed, "the same head");
	check(results_map_format(&m, &text, &len) == 0, "format");
	check(len == n && memcmp(text, data, n) == 0, "the same bytes");
	free(text);
	results_map_clear(&m);
}

static void put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> 8 * i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy;

	try(data, n);
	if (n < RESULTS_MAP_HEAD)
		return 0;
	copy = malloc(n);
	if (!copy)
		return 0;
	memcpy(copy, data, n);
	put32(copy + 180,
		util_crc32c(0, copy + RESULTS_MAP_HEAD, n - RESULTS_MAP_HEAD));
	put32(copy + 188, util_crc32c(0, copy, 188));
	try(copy, n);
	free(copy);
	return 0;
}
