#include "body.h"

#include <errno.h>

#define BLOCK (512 * 1024)

struct body {
	struct buf text; /* the bytes, or else */
	int fd;
	int64_t off, len;         /* `len` bytes of it from `off` */
	int64_t cut_at, stall_at; /* -1: not */
	double seconds;
	int64_t drip;
	bool other; /* bytes than there are: FAULT_CHANGED_BYTES */
	/* gzip */
	int64_t taken; /* bytes of the source that are packed */
	uint32_t crc;
	bool ended;
};

int64_t body_size(const struct reply *r)
{
	return r->is_file ? r->len : (int64_t)r->text.len;
}

static void body_free(void *cls)
{
	struct body *b = cls;

	buf_free(&b->text);
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}

static ssize_t source(struct body *b, int64_t pos, char *out, size_t max)
{
	int64_t left = b->len - pos;

	if ((int64_t)max > left)
		max = left;
	if (b->fd < 0) {
		memcpy(out, b->text.p + pos, max);
		return max;
	}
	ssize_t n = pread(b->fd, out, max, b->off + pos);

	for (ssize_t i = 0; b->other && i < n; i++)
		out[i] = out[i] == 'e' ? 'x' : out[i];
	return n;
}

/*
 * What faults say about byte `pos`: false when the connection is to be closed there.
 * Makes *max so small that the next mark is not passed.
 */
static bool marks(struct body *b, int64_t pos, size_t *max)
{
	if (b->cut_at >= 0 && pos >= b->cut_at)
		return false;
	if (b->stall_at >= 0 && pos >= b->stall_at) {
		b->stall_at = -1;
		if (!nap(b->seconds))
			return false;
	}
	if (b->drip && pos && !nap(b->seconds))
		return false;
	if (b->drip && *max > (size_t)b->drip)
		*max = b->drip;
	if (b->cut_at >= 0 && (int64_t)*max > b->cut_at - pos)
		*max = b->cut_at - pos;
	if (b->stall_at >= 0 && (int64_t)*max > b->stall_at - pos)
		*max = b->stall_at - pos;
	return true;
}

static ssize_t read_plain(void *cls, uint64_t pos, char *out, size_t max)
{
	struct body *b = cls;
	ssize_t n;

	if (!marks(b, pos, &max))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if ((int64_t)pos >= b->len)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = source(b, pos, out, max);
	return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static uint32_t crc_add(uint32_t crc, const unsigned char *p, size_t n)
{
	crc = ~crc;
	while (n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static size_t put_le(char *out, uint32_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		out[i] = v >> (8 * i);
	return bytes;
}

/* gzip without compression: "stored" blocks need no library. */
static ssize_t read_gzip(void *cls, uint64_t pos, char *out, size_t max)
{
	static const char head[10] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
	struct body *b = cls;
	size_t o = 0, room;
	ssize_t n;

	if (max < 64 || !marks(b, pos, &max))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (b->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!pos) {
		memcpy(out, head, sizeof(head));
		return sizeof(head);
	}
	if (max < 64)
		max = 64;
	room = max - 5 < 65535 ? max - 5 : 65535;
	n = b->taken < b->len ? source(b, b->taken, out + 5, room) : 0;
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	out[o++] = n == 0;
	o += put_le(out + o, n, 2);
	o += put_le(out + o, ~n, 2);
	b->crc = crc_add(b->crc, (unsigned char *)out + o, n);
	b->taken += n;
	o += n;
	if (!n) {
		o += put_le(out + o, b->crc, 4);
		o += put_le(out + o, b->taken, 4);
		b->ended = true;
	}
	return o;
}

static struct body *body_new(struct request *rq)
{
	struct reply *r = &rq->reply;
	struct fault *f = &rq->fault;
	struct body *b = xcalloc(1, sizeof(*b));

	b->cut_at = b->stall_at = -1;
	b->fd = r->is_file ? r->fd : -1;
	b->off = r->off;
	b->len = body_size(r);
	b->text = r->text;
	r->text = (struct buf){0};
	r->is_file = false;
	if (f->kind == FAULT_CUT)
		b->cut_at = f->at < 0 ? b->len / 2 : f->at;
	if (f->kind == FAULT_STALL)
		b->stall_at = f->at;
	if (f->kind == FAULT_DRIP)
		b->drip = f->bytes > 0 ? f->bytes : 1;
	b->other = f->kind == FAULT_CHANGED_BYTES;
	b->seconds = f->seconds;
	return b;
}

/* sendfile does the work where nothing has to be done to the bytes. */
static bool is_plain_file(struct request *rq)
{
	struct reply *r = &rq->reply;

	return r->is_file && r->has_length && !r->gzip && r->len > 0 &&
	       (rq->fault.kind == FAULT_NONE || rq->fault.kind == FAULT_HEADER);
}

struct MHD_Response *body_response(struct request *rq)
{
	struct reply *r = &rq->reply;
	bool gzip = r->gzip;
	uint64_t size = MHD_SIZE_UNKNOWN;
	struct body *b;

	if (is_plain_file(rq)) {
		r->is_file = false;
		return MHD_create_response_from_fd_at_offset64(r->len, r->fd, r->off);
	}
	if (r->has_length && !gzip)
		size = body_size(r);
	b = body_new(rq);
	/* A longer length than there are bytes: the connection breaks at the end. */
	if (rq->fault.kind == FAULT_CHANGED_LENGTH && size != MHD_SIZE_UNKNOWN &&
		rq->fault.bytes > 0) {
		size += rq->fault.bytes;
		b->cut_at = b->len;
	}
	return MHD_create_response_from_callback(
		size, BLOCK, gzip ? read_gzip : read_plain, b, body_free);
}
