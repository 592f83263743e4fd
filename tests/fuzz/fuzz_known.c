/* CACHE/known of any bytes behind a good entry.
 *
 * Checked: the good entry is met first; what was met is read back; the damaged rest is
 * cut off, so that the next walk meets the same, and what is added then is met last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

struct met {
	struct store *s;
	size_t entries;
	uint32_t sum;
	char last[64];
};

static void meet(void *arg, const char *json, size_t len, int64_t off)
{
	struct met *m = arg;
	char *again = store_known_get(m->s, off);

	check(again && memcmp(again, json, len + 1) == 0, "read back");
	free(again);
	m->entries++;
	m->sum = util_crc32c(m->sum, json, len);
	snprintf(m->last, sizeof m->last, "%s", json);
}

static struct met walk(struct store *s)
{
	struct met m = {.s = s};

	check(store_known_walk(s, meet, &m) == 0, "walk");
	return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct store s = {.known = -1};
	struct met first, second, third;
	int64_t off;

	if (s.known < 0)
		s.known = memfd_create("known", MFD_CLOEXEC);
	check(ftruncate(s.known, 0) == 0, "memfd");
	check(lseek(s.known, 0, SEEK_SET) == 0, "memfd");
	check(store_known_add(&s, "{\"first\":1}", &off) == 0 && off == 0, "add");
	check(util_write_all(s.known, data, n) == 0, "bytes");
	first = walk(&s);
	check(first.entries >= 1, "the good entry");
	second = walk(&s);
	check(second.entries == first.entries && second.sum == first.sum, "the same again");
	check(store_known_add(&s, "{\"last\":1}", &off) == 0, "add behind");
	third = walk(&s);
	check(third.entries == first.entries + 1 && strcmp(third.last, "{\"last\":1}") == 0,
		"what was added");
	return 0;
}
