/* A journal of any bytes, as it is and as JSON with its checksum put right.
 *
 * Checked: what is taken is plausible, and written and read again it is the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/journal.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

/* Whether both are written the same; each holds the second it was written in. */
static bool same_text(const struct record *r, const struct record *again)
{
	bool same = false;

	for (int i = 0; !same && i < 3; i++) {
		size_t n, m;
		char *first = record_dump(r, &n), *second = record_dump(again, &m);

		same = first && second && n == m && memcmp(first, second, n) == 0;
		free(first);
		free(second);
	}
	return same;
}

static void try(const char *text, size_t n)
{
	struct record r, again;
	char *first;
	size_t first_len;

	if (record_parse(text, n, &r) < 0)
		return;
	check(r.batch->phase >= 0 && r.batch->phase < PHASES, "phase");
	check(r.removal >= 0 && r.removal < REMOVALS, "removal");
	check(r.name && !strchr(r.name, '/'), "name");
	check(!r.batch->id || util_id_valid(r.batch->id, "batches/"), "id");
	check(r.batch->phase != PHASE_SENT || r.batch->id, "sent jobs have an id");
	check(!r.batch->input_file || util_id_valid(r.batch->input_file, "files/"), "input file");
	first = record_dump(&r, &first_len);
	check(first && record_parse(first, first_len, &again) == 0, "read again");
	check(same_text(&r, &again), "the same record");
	/* A byte less is no record. */
	struct record none;
	check(record_parse(first, first_len - 2, &none) < 0, "cut");
	free(first);
	record_clear(&again);
	record_clear(&r);
}

/* Exactly as long as it is said to be. */
static void try_copy(const void *data, size_t n)
{
	char *copy = malloc(n ? n : 1);

	if (!copy)
		return;
	memcpy(copy, data, n);
	try(copy, n);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *whole = malloc(n + 16);

	try_copy(data, n);
	if (!whole || memchr(data, '\n', n))
		goto out;
	memcpy(whole, data, n);
	snprintf(whole + n, 16, "\n%08x\n", util_crc32c(0, data, n));
	try_copy(whole, n + 10);
out:
	free(whole);
	return 0;
}
