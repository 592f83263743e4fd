#include "store/job_catalog.h"
#include "base/util.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* "C", the length and CRC of the summary, the same of the JSON. */
#define HEAD "C %08zx %08x %08zx %08x\n"
enum {
	HEAD_SIZE = 38,
	SUMMARY_MAX = 64 << 10,
	JSON_MAX = 16 << 20,
	AHEAD = 256 << 10, /* bytes read at once */
};

struct head {
	unsigned summary_len, summary_crc, json_len, json_crc;
};

/* ---- summaries ------------------------------------------------------------------------- */

/* One line, fields between tabs, the display name, which may hold anything, last. */
enum field {
	F_ID, F_MODEL, F_STATE, F_FLAGS, F_CREATED, F_UPDATED, F_ENDED, F_REQUESTS,
	F_SUCCEEDED, F_FAILED, F_PENDING, F_OUTPUT, F_ERROR, F_DISPLAY, FIELDS
};

static const char gone_word[] = "gone";

enum flag {
	FLAG_ENDED = 1,
	FLAG_EMBEDDING = 2,
	FLAG_INPUT_CONFIG = 4,
	FLAG_INLINE = 8,
	FLAG_BY_GET = 16, /* the end was told by a GET: no list takes it back */
};

static unsigned flags_of(const struct remote_batch *b)
{
	return (b->ended ? FLAG_ENDED : 0) | (b->embedding ? FLAG_EMBEDDING : 0) |
	       (b->has_input_config ? FLAG_INPUT_CONFIG : 0) |
	       (b->output_inline ? FLAG_INLINE : 0);
}

static char *summary_of(const struct remote_batch *b, bool by_get)
{
	return util_format(
		"%s\t%s\t%s\t%u\t%lld.%09ld\t%lld.%09ld\t%lld.%09ld\t%" PRId64
		"\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%s\t%d\t%s",
		b->id, b->model ? b->model : "", b->state_text ? b->state_text : "",
		flags_of(b) | (by_get ? FLAG_BY_GET : 0), (long long)b->created.tv_sec,
		b->created.tv_nsec, (long long)b->updated.tv_sec, b->updated.tv_nsec,
		(long long)b->ended_at.tv_sec, b->ended_at.tv_nsec, b->requests,
		b->succeeded, b->failed, b->pending,
		b->output_file ? b->output_file : "", b->error_code,
		b->display ? b->display : "");
}

static char *or_null(char *text)
{
	return *text ? text : NULL;
}

static struct timespec time_of(const char *text)
{
	char *dot;
	struct timespec t = {.tv_sec = (time_t)strtoll(text, &dot, 10)};

	if (*dot == '.')
		t.tv_nsec = strtol(dot + 1, NULL, 10);
	if (t.tv_nsec < 0 || t.tv_nsec > 999999999)
		t.tv_nsec = 0;
	return t;
}

/* Points into text. Ids are checked again: they become names and URLs. */
static bool summary_parse(char *text, struct remote_batch *b, bool *ret_by_get)
{
	char *f[FIELDS];
	unsigned flags;

	for (int i = 0; i < FIELDS; i++) {
		f[i] = i == F_DISPLAY ? text : strsep(&text, "\t");
		if (!f[i])
			return false;
	}
	flags = (unsigned)strtoul(f[F_FLAGS], NULL, 10);
	*ret_by_get = flags & FLAG_BY_GET;
	*b = (struct remote_batch){
		.id = f[F_ID],
		.model = or_null(f[F_MODEL]),
		.state_text = f[F_STATE],
		.state = remote_state_of(f[F_STATE]),
		.ended = flags & FLAG_ENDED,
		.embedding = flags & FLAG_EMBEDDING,
		.has_input_config = flags & FLAG_INPUT_CONFIG,
		.output_inline = flags & FLAG_INLINE,
		.created = time_of(f[F_CREATED]),
		.updated = time_of(f[F_UPDATED]),
		.ended_at = time_of(f[F_ENDED]),
		.requests = strtoll(f[F_REQUESTS], NULL, 10),
		.succeeded = strtoll(f[F_SUCCEEDED], NULL, 10),
		.failed = strtoll(f[F_FAILED], NULL, 10),
		.pending = strtoll(f[F_PENDING], NULL, 10),
		.output_file = or_null(f[F_OUTPUT]),
		.error_code = (int)strtol(f[F_ERROR], NULL, 10),
		.display = f[F_DISPLAY],
	};
	return remote_id_valid(REMOTE_BATCH, b->id) &&
	       (!b->output_file || remote_id_valid(REMOTE_FILE, b->output_file)) &&
	       util_utf8_valid(b->display, strlen(b->display));
}

/* ---- entries --------------------------------------------------------------------------- */

static int catalog_append(
	struct store *s, const char *summary, const char *json, int64_t *ret_off)
{
	size_t n = strlen(summary), m = strlen(json);
	_cleanup_free_ char *text = util_format(HEAD "%s%s", n,
		util_crc32c(0, summary, n), m, util_crc32c(0, json, m), summary, json);
	off_t end = lseek(s->known, 0, SEEK_END);

	if (!text)
		return -ENOMEM;
	if (n > SUMMARY_MAX || m > JSON_MAX)
		return -EFBIG;
	if (end < 0)
		return -errno;
	int err = util_write_all(s->known, text, HEAD_SIZE + n + m);
	if (!err)
		*ret_off = end;
	return err;
}

int catalog_add(
	struct store *s, const struct remote_batch *b, bool by_get, int64_t *ret_off)
{
	_cleanup_free_ char *summary = summary_of(b, by_get);

	return summary ? catalog_append(s, summary, b->json ? b->json : "", ret_off)
		       : -ENOMEM;
}

int catalog_add_gone(struct store *s, const char *id)
{
	_cleanup_free_ char *summary = util_format("%s\t%s", gone_word, id);
	int64_t off;

	return summary ? catalog_append(s, summary, "", &off) : -ENOMEM;
}

/* A space and eight digits; false: others. */
static bool take_hex(const char **at, uint32_t *ret)
{
	const char *p = *at;
	uint32_t v = 0;

	if (*p++ != ' ')
		return false;
	for (int i = 0; i < 8; i++, p++) {
		int digit = *p >= '0' && *p <= '9'   ? *p - '0'
			    : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
						     : -1;
		if (digit < 0)
			return false;
		v = v << 4 | (uint32_t)digit;
	}
	*at = p;
	*ret = v;
	return true;
}

/* buf has HEAD_SIZE bytes and no end. */
static bool head_parse(const char *buf, struct head *h)
{
	const char *at = buf + 1;

	return *buf == 'C' && take_hex(&at, &h->summary_len) &&
	       take_hex(&at, &h->summary_crc) && take_hex(&at, &h->json_len) &&
	       take_hex(&at, &h->json_crc) && *at == '\n' &&
	       h->summary_len <= SUMMARY_MAX && h->json_len <= JSON_MAX;
}

static bool head_read(int fd, int64_t off, struct head *h)
{
	char text[HEAD_SIZE];

	return pread(fd, text, HEAD_SIZE, off) == HEAD_SIZE && head_parse(text, h);
}

static int64_t length_of(const struct head *h)
{
	return HEAD_SIZE + (int64_t)h->summary_len + h->json_len;
}

int64_t catalog_length(struct store *s, int64_t off)
{
	struct head h;

	return head_read(s->known, off, &h) ? length_of(&h) : 0;
}

char *catalog_json(struct store *s, int64_t off)
{
	struct head h;

	if (!head_read(s->known, off, &h))
		return NULL;
	char *text = malloc((size_t)h.json_len + 1);
	if (!text)
		return NULL;
	if (pread(s->known, text, h.json_len, off + HEAD_SIZE + h.summary_len) !=
			(ssize_t)h.json_len ||
		util_crc32c(0, text, h.json_len) != h.json_crc) {
		free(text);
		return NULL;
	}
	text[h.json_len] = '\0';
	return text;
}

/* The log, read in order: a call for every entry would be most of a start. */
struct ahead {
	int fd;
	int64_t off; /* of buf */
	ssize_t n;
	char buf[AHEAD];
};

_Static_assert(AHEAD > HEAD_SIZE + SUMMARY_MAX, "an entry without its JSON fits");

/* The bytes from off on, at least want of them; borrowed, until the next call. -EBADMSG: there
 * are not so many. */
static int ahead_read(struct ahead *a, int64_t off, size_t want, const char **ret)
{
	if (off < a->off || off + (int64_t)want > a->off + a->n) {
		a->n = util_pread_at(a->fd, a->buf, sizeof(a->buf), off);
		a->off = off;
	}
	if (a->n < 0)
		return (int)a->n;
	*ret = a->buf + (off - a->off);
	return off + (int64_t)want > a->off + a->n ? -EBADMSG : 0;
}

/* The summary of the entry at off into summary, which has room for the largest, and its head.
 * The JSON must be there; whether it is whole is seen when it is read. 0; -EBADMSG: there
 * is no such entry, nor any behind it; or why it cannot be read. */
static int entry_read(
	struct ahead *a, int64_t off, int64_t size, char *summary, struct head *h)
{
	const char *at;
	int err = ahead_read(a, off, HEAD_SIZE, &at);

	if (err)
		return err;
	if (!head_parse(at, h) || off + length_of(h) > size)
		return -EBADMSG;
	if ((err = ahead_read(a, off, HEAD_SIZE + h->summary_len, &at)))
		return err;
	memcpy(summary, at + HEAD_SIZE, h->summary_len);
	summary[h->summary_len] = '\0';
	return util_crc32c(0, summary, h->summary_len) == h->summary_crc &&
			       !memchr(summary, '\0', h->summary_len)
		       ? 0
		       : -EBADMSG;
}

static bool gone_parse(char *summary, struct remote_batch *b)
{
	size_t n = strlen(gone_word);

	if (strncmp(summary, gone_word, n) != 0 || summary[n] != '\t')
		return false;
	*b = (struct remote_batch){.id = summary + n + 1};
	return remote_id_valid(REMOTE_BATCH, b->id);
}

int catalog_walk(struct store *s,
	void (*fn)(void *arg, const struct remote_batch *b, bool gone, bool by_get,
		int64_t off),
	void *arg, int64_t *ret_size)
{
	_cleanup_free_ struct ahead *ahead = malloc(sizeof(*ahead));
	_cleanup_free_ char *summary = malloc(SUMMARY_MAX + 1);
	int64_t off = 0;
	struct stat st;
	struct head h;

	if (!ahead || !summary)
		return -ENOMEM;
	ahead->fd = s->known;
	ahead->off = ahead->n = 0;
	if (fstat(s->known, &st) < 0)
		return -errno;
	int err = 0;
	while (off < st.st_size &&
		!(err = entry_read(ahead, off, st.st_size, summary, &h))) {
		struct remote_batch b;
		bool gone = gone_parse(summary, &b), by_get = false;

		if (!gone && !summary_parse(summary, &b, &by_get))
			break;
		fn(arg, &b, gone, by_get, off);
		off += length_of(&h);
	}
	if (err && err != -EBADMSG)
		return err;
	*ret_size = off;
	if (off == st.st_size)
		return 0;
	return ftruncate(s->known, off) < 0 ? -errno : -EBADMSG;
}

/* ---- writing it anew ------------------------------------------------------------------ */

static int copy_entry(int from, int64_t off, FILE *to)
{
	struct head h;
	char buf[8192];

	if (!head_read(from, off, &h))
		return -EIO;
	for (int64_t left = length_of(&h); left > 0;) {
		ssize_t n = pread(from, buf,
			left < (int64_t)sizeof(buf) ? (size_t)left : sizeof(buf), off);

		if (n <= 0)
			return -EIO;
		if (fwrite(buf, 1, (size_t)n, to) != (size_t)n)
			return -errno;
		off += n;
		left -= n;
	}
	return 0;
}

/* A descriptor of the new log, or a negative errno. */
static int copy_all(struct store *s, const int64_t *offs, size_t n, const char *tmp)
{
	_cleanup_close_ int fd = openat(s->cache, tmp,
		O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	_cleanup_fclose_ FILE *f = copy < 0 ? NULL : fdopen(copy, "a");
	int err = 0;

	if (!f) {
		err = -errno;
		util_closep(&copy);
		return err;
	}
	for (size_t i = 0; i < n && !err; i++)
		err = copy_entry(s->known, offs[i], f);
	if (!err && (fflush(f) != 0 || renameat(s->cache, tmp, s->cache, "known") < 0))
		err = -errno;
	return err ? err : steal_fd(&fd);
}

int catalog_compact(struct store *s, int64_t *offs, size_t n)
{
	static const char tmp[] = UTIL_TMP_PREFIX "known";
	int fd = copy_all(s, offs, n, tmp);
	int64_t at = 0;

	if (fd < 0) {
		unlinkat(s->cache, tmp, 0);
		return fd;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t length = catalog_length(s, offs[i]);

		offs[i] = at;
		at += length;
	}
	close(s->known);
	s->known = fd;
	return 0;
}
