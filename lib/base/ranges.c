/* Ranges: binary search for the place, then one memmove. */
#include "base/ranges.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ranges_clear(struct ranges *r)
{
	free(r->v);
	*r = (struct ranges){0};
}

/* Index of the first range whose hi is at least off (touching counts). */
static size_t ranges_find(const struct ranges *r, uint64_t off)
{
	size_t a = 0, b = r->n;

	while (a < b) {
		size_t mid = a + (b - a) / 2;

		if (r->v[mid].hi < off)
			a = mid + 1;
		else
			b = mid;
	}
	return a;
}

/* Room for one more. */
static int ranges_reserve(struct ranges *r)
{
	size_t cap = r->cap ? r->cap * 2 : 2;

	if (r->n < r->cap)
		return 0;
	struct range *v = reallocarray(r->v, cap, sizeof *v);
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->cap = cap;
	return 0;
}

/* Make room for one more range at index i. */
static int ranges_insert_at(struct ranges *r, size_t i)
{
	if (ranges_reserve(r))
		return -ENOMEM;
	memmove(r->v + i + 1, r->v + i, (r->n - i) * sizeof *r->v);
	r->n++;
	return 0;
}

static void erase(struct ranges *r, size_t i, size_t count)
{
	if (count == 0)
		return;
	memmove(r->v + i, r->v + i + count, (r->n - i - count) * sizeof *r->v);
	r->n -= count;
}

int64_t ranges_add(struct ranges *r, uint64_t lo, uint64_t hi)
{
	size_t i = ranges_find(r, lo), j = i;
	uint64_t fresh = hi - lo;

	if (lo >= hi)
		return 0;
	if (i == r->n || r->v[i].lo > hi) {
		if (ranges_insert_at(r, i) < 0)
			return -ENOMEM;
		r->v[i] = (struct range){lo, hi};
		return (int64_t)fresh;
	}
	for (; j < r->n && r->v[j].lo <= hi; j++) {
		uint64_t a = r->v[j].lo > lo ? r->v[j].lo : lo;
		uint64_t b = r->v[j].hi < hi ? r->v[j].hi : hi;

		fresh -= b - a;
	}
	if (r->v[i].lo > lo)
		r->v[i].lo = lo;
	r->v[i].hi = r->v[j - 1].hi > hi ? r->v[j - 1].hi : hi;
	erase(r, i + 1, j - i - 1);
	return (int64_t)fresh;
}

void ranges_remove(struct ranges *r, uint64_t lo, uint64_t hi)
{
	size_t i = ranges_find(r, lo), j;

	if (lo >= hi)
		return;
	if (i < r->n && r->v[i].lo < lo) {
		uint64_t end = r->v[i].hi;

		if (end > hi && ranges_insert_at(r, i + 1) == 0)
			r->v[i + 1] = (struct range){hi, end};
		r->v[i].hi = lo < end ? lo : end;
		i++;
	}
	for (j = i; j < r->n && r->v[j].hi <= hi; j++)
		;
	erase(r, i, j - i);
	if (i < r->n && r->v[i].lo < hi)
		r->v[i].lo = hi;
}

int ranges_remove_exactly(struct ranges *r, uint64_t lo, uint64_t hi)
{
	int err = ranges_reserve(r); /* a split is one more, at most */

	if (!err)
		ranges_remove(r, lo, hi);
	return err;
}

uint64_t ranges_end(const struct ranges *r, uint64_t off)
{
	size_t i = ranges_find(r, off);

	return i < r->n && r->v[i].lo <= off ? r->v[i].hi : off;
}

uint64_t ranges_next(const struct ranges *r, uint64_t off)
{
	size_t i = ranges_find(r, off);

	if (i < r->n && r->v[i].hi == off)
		i++;
	if (i == r->n)
		return RANGES_NONE;
	return r->v[i].lo > off ? r->v[i].lo : off;
}

uint64_t ranges_limit(const struct ranges *r)
{
	return r->n ? r->v[r->n - 1].hi : 0;
}

uint64_t ranges_total(const struct ranges *r)
{
	uint64_t total = 0;

	for (size_t i = 0; i < r->n; i++)
		total += r->v[i].hi - r->v[i].lo;
	return total;
}

char *ranges_text(const struct ranges *r)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	for (size_t i = 0; f && i < r->n; i++)
		fprintf(f, "%s%" PRIu64 "-%" PRIu64, i ? " " : "", r->v[i].lo,
			r->v[i].hi);
	if (f && fclose(f)) {
		free(text);
		text = NULL;
	}
	return text;
}

int ranges_parse(const char *text, struct ranges *r)
{
	int64_t added = 0;
	uint64_t lo, hi;
	int n;

	for (; text && *text && added >= 0; text += n) {
		if (sscanf(text, "%" SCNu64 "-%" SCNu64 "%n", &lo, &hi, &n) != 2 ||
			lo >= hi || hi > INT64_MAX)
			return -EINVAL;
		added = ranges_add(r, lo, hi);
		n += text[n] == ' ';
	}
	return added < 0 ? -ENOMEM : 0;
}
