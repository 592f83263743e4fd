/* CACHE/known of any bytes behind a good entry.
 *
 * Checked: the good entry is met first; what was met is read back; the damaged rest is
 * cut off, so that the next walk meets the same, and what is added then is met last. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/job_catalog.h"
#include "base/util.h"

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

static void meet(
	void *arg, const struct remote_batch *b, bool gone, bool by_get, int64_t off)
{
	struct met *m = arg;
	const char *texts[] = {b->id, b->display, b->model, b->state_text, b->output_file};

	m->entries++;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i])
			m->sum = util_crc32c(m->sum, texts[i], strlen(texts[i]));
	check(util_id_valid(b->id, "batches/"), "id");
	check(gone || b->display, "name");
	check(catalog_length(m->s, off) > 0, "length");
	snprintf(m->last, sizeof m->last, "%s", b->id);
	free(catalog_json(m->s, off));
}

static struct met walk(struct store *s)
{
	struct met m = {.s = s};
	int64_t size;
	int err = catalog_walk(s, meet, &m, &size);

	check(err == 0 || err == -EBADMSG, "walk");
	return m;
}

static void add(struct store *s, char *id)
{
	struct remote_batch b = {.id = id,
		.display = "a\tname",
		.state_text = "JOB_STATE_RUNNING",
		.json = "{}\n"};
	int64_t off;

	check(catalog_add(s, &b, false, &off) == 0, "add");
	char *json = catalog_json(s, off);
	check(json && strcmp(json, b.json) == 0, "read back");
	free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct store s = {.known = -1};
	struct met first, second, third;

	if (s.known < 0)
		s.known = memfd_create("known", MFD_CLOEXEC);
	check(ftruncate(s.known, 0) == 0, "memfd");
	check(lseek(s.known, 0, SEEK_SET) == 0, "memfd");
	add(&s, "batches/first");
	check(util_write_all(s.known, data, n) == 0, "bytes");
	first = walk(&s);
	check(first.entries >= 1, "the good entry");
	second = walk(&s);
	check(second.entries == first.entries && second.sum == first.sum, "the same again");
	add(&s, "batches/last");
	third = walk(&s);
	check(third.entries == first.entries + 1 && strcmp(third.last, "batches/last") == 0,
		"what was added");
	return 0;
}
