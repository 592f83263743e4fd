#include "provider/gemini/file_refs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json_tokens.h"
#include "base/util.h"

#define BUFFER_SIZE (256 * 1024)

/* What the value after the present name is. */
enum member { OTHER, FILE_DATA, FILE_URI, MIME_TYPE };

/* An object that is open. */
struct object {
	bool file_data, has_mime;
	bool camel;       /* spelling of its URI's name */
	const char *mime; /* to be added at its end; NULL: nothing */
};

struct walk {
	struct jtok tok;
	struct lines_span in; /* offsets below count from its beginning */
	uint64_t line;
	enum member member;
	bool camel;
	struct object objects[JTOK_DEPTH_MAX + 1]; /* by depth */
	char text[URIS_TEXT_MAX + 1];
	size_t len;
	bool odd;
	/* file_refs_each */
	uris_fn each;
	void *arg;
	/* file_refs_replace. Bytes before `done` are written or replaced. Those from `held`
	 * on may have to be: 0, none. */
	FILE *out;
	uint64_t done, held;
	const struct uris_new *(*find)(void *arg, const char *text);
};

/* "p:1.png" is a file as well as it may be a scheme, "C:\\a.png" and "file:///a.png"
 * are paths of some machine: none of them is what the API could fetch. */
bool file_refs_has_scheme(const char *text, size_t len)
{
	enum { SCHEME_MAX = 32 };
	size_t i;

	for (i = 0; i < len && i <= SCHEME_MAX; i++) {
		char c = text[i], lower = (char)(c | 0x20);
		bool letter = lower >= 'a' && lower <= 'z';
		bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';

		if (!letter && (i == 0 || !other))
			break;
	}
	return i > 0 && i <= SCHEME_MAX && len - i >= 3 &&
	       memcmp(text + i, "://", 3) == 0 &&
	       !(i == 4 && strncasecmp(text, "file", 4) == 0);
}

/* ---- writing ------------------------------------------------------------------- */

static int refs_put(struct walk *w, const void *buf, size_t n)
{
	return fwrite(buf, 1, n, w->out) == n ? 0 : -errno;
}

static int refs_put_text(struct walk *w, const char *text)
{
	return refs_put(w, text, strlen(text));
}

/* Bytes that are in memory no more. */
static int refs_copy(struct walk *w, uint64_t to)
{
	char buf[4096];
	int r = 0;

	while (r == 0 && w->done < to) {
		uint64_t left = to - w->done;
		ssize_t n = pread(w->in.fd, buf, left < sizeof buf ? left : sizeof buf,
			w->in.off + (off_t)w->done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ESTALE;
		r = refs_put(w, buf, (size_t)n);
		w->done += (uint64_t)n;
	}
	return r;
}

/* What is not written yet, up to that offset. */
static int copy_to(struct walk *w, uint64_t to)
{
	const struct jtok *j = &w->tok;
	int r = 0;

	if (!w->out)
		return 0;
	if (w->done < j->base)
		r = refs_copy(w, to < j->base ? to : j->base);
	if (r == 0 && w->done < to) {
		r = refs_put(w, j->buf + (w->done - j->base), to - w->done);
		w->done = to;
	}
	return r;
}

/* ---- events --------------------------------------------------------------------- */

static void refs_keep(struct walk *w)
{
	size_t room = URIS_TEXT_MAX - w->len;
	size_t n = w->tok.len < room ? w->tok.len : room;

	w->odd |= n < w->tok.len || memchr(w->tok.text, '\0', w->tok.len);
	memcpy(w->text + w->len, w->tok.text, n);
	w->len += n;
	w->text[w->len] = '\0';
}

static void forget_text(struct walk *w)
{
	w->len = 0;
	w->odd = false;
}

static void refs_on_name(struct walk *w)
{
	static const struct {
		const char *name;
		enum member member;
		bool camel, inside;
	} names[] = {
		{"file_data", FILE_DATA, false, false},
		{"fileData", FILE_DATA, true, false},
		{"file_uri", FILE_URI, false, true},
		{"fileUri", FILE_URI, true, true},
		{"mime_type", MIME_TYPE, false, true},
		{"mimeType", MIME_TYPE, true, true},
	};
	struct object *o = &w->objects[w->tok.depth];

	refs_keep(w);
	w->member = OTHER;
	for (size_t i = 0; i < ARRAY_SIZE(names) && !w->odd; i++)
		if (strcmp(w->text, names[i].name) == 0 &&
			(!names[i].inside || o->file_data)) {
			w->member = names[i].member;
			w->camel = names[i].camel;
		}
	forget_text(w);
	o->has_mime |= w->member == MIME_TYPE;
	w->tok.want = w->member == FILE_URI;
	w->held = w->tok.want ? jtok_offset(&w->tok) : 0;
}

static void refs_on_open(struct walk *w)
{
	w->objects[w->tok.depth] = (struct object){
		.file_data = w->member == FILE_DATA && jtok_in_object(&w->tok),
	};
	w->member = OTHER;
	w->held = 0;
}

static int refs_on_close(struct walk *w)
{
	struct object *o = &w->objects[w->tok.depth + 1];
	int r = 0;

	w->member = OTHER;
	w->held = 0;
	if (!o->mime || o->has_mime)
		return 0;
	r = copy_to(w, jtok_offset(&w->tok) - 1);
	if (r == 0)
		r = refs_put_text(
			w, o->camel ? ",\"mimeType\":\"" : ",\"mime_type\":\"");
	if (r == 0)
		r = refs_put_text(w, o->mime);
	return r == 0 ? refs_put_text(w, "\"") : r;
}

static int refs_replace(struct walk *w)
{
	const struct uris_new *with = w->odd ? NULL : w->find(w->arg, w->text);
	struct object *o = &w->objects[w->tok.depth];
	int r;

	w->held = 0;
	if (!with)
		return 0;
	o->mime = with->mime;
	o->camel = w->camel;
	r = copy_to(w, w->tok.quote + 1);
	if (r == 0)
		r = refs_put_text(w, with->uri);
	w->done = jtok_offset(&w->tok) - 1;
	return r;
}

static int refs_on_string(struct walk *w)
{
	int r;

	refs_keep(w);
	w->member = OTHER;
	if (w->out) {
		r = refs_replace(w);
	} else {
		struct uris_found found = {.line = w->line,
			.text = w->text,
			.odd = w->odd,
			.loose = !file_refs_has_scheme(w->text, w->len)};

		r = w->each(w->arg, &found);
	}
	forget_text(w);
	return r;
}

static int on_line_end(struct walk *w)
{
	if (!jtok_complete(&w->tok) && !jtok_blank(&w->tok))
		return -ESTALE;
	jtok_next_line(&w->tok);
	w->line++;
	w->member = OTHER;
	w->held = 0;
	return 0;
}

static int refs_run(struct walk *w)
{
	enum jtok_event e;
	int r = 0;

	while (r == 0 && (e = jtok_next(&w->tok)) != JTOK_MORE) {
		switch (e) {
		case JTOK_OPEN:
			refs_on_open(w);
			break;
		case JTOK_CLOSE:
			r = refs_on_close(w);
			break;
		case JTOK_PIECE:
			refs_keep(w);
			break;
		case JTOK_NAME:
			refs_on_name(w);
			break;
		case JTOK_STRING:
			r = refs_on_string(w);
			break;
		case JTOK_NEWLINE:
			r = on_line_end(w);
			break;
		default:
			r = -ESTALE;
			break;
		}
	}
	return r ? r : copy_to(w, w->held ? w->held : jtok_offset(&w->tok));
}

static int refs_feed(struct walk *w, const uint8_t *buf, size_t n, bool first)
{
	jtok_feed(&w->tok, buf, n);
	if (first && n >= 3 && memcmp(buf, "\xef\xbb\xbf", 3) == 0) {
		w->tok.p += 3;
		w->done = 3;
	}
	return refs_run(w);
}

/* How much is read at once at off; 0: nothing is left. */
static size_t span_piece(const struct lines_span *in, off_t off)
{
	return in->len < 0 || in->len - off > BUFFER_SIZE ? BUFFER_SIZE
							  : (size_t)(in->len - off);
}

static int walk_file(struct walk *w, const atomic_bool *cancel)
{
	_cleanup_free_ uint8_t *buf = malloc(BUFFER_SIZE);
	off_t off = 0;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	jtok_init(&w->tok, true);
	w->line = 1;
	while (r == 0) {
		ssize_t n = pread(w->in.fd, buf, span_piece(&w->in, off),
			w->in.off + off);

		if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
			return -ECANCELED;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		r = refs_feed(w, buf, (size_t)n, off == 0);
		off += n;
	}
	if (r == 0 && !jtok_complete(&w->tok) && !jtok_blank(&w->tok))
		r = -ESTALE;
	return r;
}

int file_refs_each(struct lines_span in, const atomic_bool *cancel, uris_fn each, void *arg)
{
	struct walk *w = calloc(1, sizeof *w);
	int r;

	if (!w)
		return -ENOMEM;
	w->in = in;
	w->each = each;
	w->arg = arg;
	r = walk_file(w, cancel);
	free(w);
	return r;
}

/* out through a buffer; the caller's descriptor stays open. */
static FILE *open_buffered(int out)
{
	int fd = dup(out);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f && fd >= 0)
		close(fd);
	if (f)
		setvbuf(f, NULL, _IOFBF, BUFFER_SIZE);
	return f;
}

int file_refs_replace(struct lines_span in, int out, const atomic_bool *cancel,
	const struct uris_new *(*find)(void *arg, const char *text), void *arg,
	off_t *ret_size)
{
	struct walk *w = calloc(1, sizeof *w);
	off_t start = lseek(out, 0, SEEK_CUR), size;
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->in = in;
	w->find = find;
	w->arg = arg;
	w->out = open_buffered(out);
	if (!w->out)
		r = -errno;
	if (r == 0)
		r = walk_file(w, cancel);
	if (r == 0 && fflush(w->out) != 0)
		r = -errno;
	size = r == 0 ? ftello(w->out) : -1;
	if (w->out && fclose(w->out) != 0 && r == 0)
		r = -errno;
	if (r == 0)
		*ret_size = start < 0 ? size : size - start;
	free(w);
	return r;
}
