/* vectors.npy, by ranges: NPY format 1.0, float32, little endian, one row per
 * request. */
#include "answers/index.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

enum { FLOAT = 4, BATCH = 256 /* floats decoded at a time where a read is not of whole ones */ };

/* No node has this number: see answers_places. */
#define PLACE_OF_VECTORS UINT32_MAX

void answers_vectors_head(const struct answers *a, char ret[ANSWERS_VECTORS_HEAD])
{
	/* Magic, version, and the length of what follows. */
	static const char magic[10] = "\x93NUMPY\x01\x00\x76\x00";
	char *text = ret + sizeof magic;
	size_t room = ANSWERS_VECTORS_HEAD - sizeof magic;
	int n;

	_Static_assert(
		ANSWERS_VECTORS_HEAD == sizeof magic + 0x76, "the length in magic");
	memcpy(ret, magic, sizeof magic);
	n = snprintf(text, room,
		"{'descr': '<f4', 'fortran_order': False, 'shape': (%u, %u), }",
		a->head.vectors, a->head.dims);
	memset(text + n, ' ', room - (size_t)n - 1);
	text[room - 1] = '\n';
}

uint64_t answers_vectors_size(const struct answers *a)
{
	return a->head.dims ? ANSWERS_VECTORS_HEAD +
				      (uint64_t)a->head.vectors * a->head.dims * FLOAT
			    : 0;
}

/* Where in the results float k of row begins, as far as that is known: at that or at
 * one before it, *ret_k. */
static struct vector_reading begin_at(const struct answers *a,
	const struct answers_row *row, uint64_t first, uint64_t k, uint64_t *ret_k)
{
	struct text_place place = answers_place_find(a, PLACE_OF_VECTORS, first + k);

	struct span text = answers_text(row);

	*ret_k = 0;
	if (place.at <= text.from || place.at > text.to || place.pos < first)
		return (struct vector_reading){text.from, text.to};
	*ret_k = place.pos - first;
	return (struct vector_reading){place.at, text.to};
}

static int skip_floats(const struct answers *a, const struct text_source *from,
	struct vector_reading *r, uint64_t n)
{
	uint8_t out[BATCH * FLOAT];
	int err = 0;

	for (uint64_t part; !err && n; n -= part) {
		part = n < BATCH ? n : BATCH;
		err = a->grammar->vector_read(from, r, out, (size_t)part);
	}
	return err;
}

/* n floats of row i from number k on. */
static int read_vector(const struct answers *a, const struct text_source *results,
	uint32_t i, uint64_t k, uint8_t *out, size_t n)
{
	const struct answers_row *row = &a->rows[i];
	uint64_t first = (uint64_t)i * a->head.dims, at;
	struct vector_reading r = {0};
	int err = 0;

	if (row->how == HOW_VECTOR) {
		r = begin_at(a, row, first, k, &at);
		err = skip_floats(a, results, &r, k - at);
	}
	if (!err)
		err = a->grammar->vector_read(results, &r, out, n);
	if (!err && k + n < a->head.dims && r.to)
		answers_place_keep(
			a, PLACE_OF_VECTORS, (struct text_place){first + k + n, r.at});
	return err;
}

/* Floats [k, k + n) of the file. */
static int read_floats(const struct answers *a, const struct text_source *results,
	uint64_t k, uint8_t *out, size_t n)
{
	int err = 0;

	for (size_t part; !err && n; n -= part, k += part, out += part * FLOAT) {
		uint64_t in_row = k % a->head.dims;

		part = a->head.dims - in_row < n ? (size_t)(a->head.dims - in_row) : n;
		err = read_vector(
			a, results, (uint32_t)(k / a->head.dims), in_row, out, part);
	}
	return err;
}

/* The bytes of floats, from any of them on. */
static int read_bytes(const struct answers *a, const struct text_source *results,
	uint64_t at, char *buf, size_t n)
{
	uint8_t one[FLOAT];
	size_t odd = (size_t)(at % FLOAT), part = odd ? FLOAT - odd : 0;
	int err = 0;

	part = part < n ? part : n;
	if (part) {
		err = read_floats(a, results, at / FLOAT, one, 1);
		memcpy(buf, one + odd, part);
	}
	at += part;
	buf += part;
	n -= part;
	if (!err && n / FLOAT)
		err = read_floats(a, results, at / FLOAT, (uint8_t *)buf, n / FLOAT);
	if (!err && n % FLOAT) {
		err = read_floats(a, results, (at + n) / FLOAT, one, 1);
		memcpy(buf + n - n % FLOAT, one, n % FLOAT);
	}
	return err;
}

ssize_t answers_read_vectors(const struct answers *a, const struct answers_sources *s,
	uint64_t off, void *buf, size_t n)
{
	uint64_t size = answers_vectors_size(a);
	char head[ANSWERS_VECTORS_HEAD];
	size_t part = 0;
	int err = 0;

	if (off >= size)
		return size ? 0 : -ENOENT;
	n = n < size - off ? n : (size_t)(size - off);
	if (off < ANSWERS_VECTORS_HEAD) {
		answers_vectors_head(a, head);
		part = n < ANSWERS_VECTORS_HEAD - off
			       ? n
			       : (size_t)(ANSWERS_VECTORS_HEAD - off);
		memcpy(buf, head + off, part);
	}
	if (part < n)
		err = read_bytes(a, &s->results, off + part - ANSWERS_VECTORS_HEAD,
			(char *)buf + part, n - part);
	return err ? err : (ssize_t)n;
}
