#include "provider/gemini/make_requests.h"
#include "provider/gemini/make_requests_private.h"
#include "base/mime.h"
#include "provider/gemini/request_members.h"
#include "base/text_file.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { BUFFER_SIZE = 256 << 10, LINE_KEY = 24 };

/* ---- complaints ------------------------------------------------------------------ */

void composed_complain(struct composed *c, const char *name, const char *what)
{
	if (c->n_complaints++ >= COMPLAINTS)
		return;
	char *all = util_format("%s%s: %s\n", c->complaints ? c->complaints : "", name, what);

	if (all) {
		free(c->complaints);
		c->complaints = all;
	}
}

char *composed_complaints(const struct composed *c)
{
	if (!c->n_complaints)
		return NULL;
	if (c->n_complaints <= COMPLAINTS)
		return util_format("%s", c->complaints ? c->complaints : "");
	return util_format("%sand %llu more\n", c->complaints ? c->complaints : "",
		(unsigned long long)(c->n_complaints - COMPLAINTS));
}

/* ---- writing ----------------------------------------------------------------------- */

static int flush(struct composed *c)
{
	int err = util_write_all(c->out, c->buf, c->n);

	c->written += c->n;
	c->n = 0;
	return err ? err : c->written > SCAN_SEND_MAX ? -EFBIG : 0;
}

static int put(struct composed *c, const char *text, size_t n)
{
	while (n > 0) {
		size_t part = BUFFER_SIZE - c->n < n ? BUFFER_SIZE - c->n : n;
		int err;

		memcpy(c->buf + c->n, text, part);
		c->n += part;
		text += part;
		n -= part;
		if (c->n == BUFFER_SIZE && (err = flush(c)))
			return err;
	}
	return 0;
}

static int put_text(struct composed *c, const char *text)
{
	return put(c, text, strlen(text));
}

static int put_escape(struct composed *c, unsigned char byte)
{
	static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	char text[8];

	for (const char *p = letters; *p; p += 2)
		if ((unsigned char)*p == byte) {
			snprintf(text, sizeof(text), "\\%c", p[1]);
			return put_text(c, text);
		}
	snprintf(text, sizeof(text), "\\u%04x", byte);
	return put_text(c, text);
}

/* The inside of a JSON string; text is valid UTF-8. */
static int put_string(struct composed *c, const char *text, size_t n)
{
	size_t from = 0;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte >= 0x20 && byte != '"' && byte != '\\')
			continue;
		err = put(c, text + from, i - from);
		if (!err)
			err = put_escape(c, byte);
		from = i + 1;
	}
	return err ? err : put(c, text + from, n - from);
}

static int put_text_part(struct composed *c, const char *text, size_t n)
{
	int err = put_text(c, "{\"text\":\"");

	if (!err)
		err = put_string(c, text, n);
	return err ? err : put_text(c, "\"}");
}

static int put_file_part(struct composed *c, const char *key, const char *mime)
{
	int err = put_text(c, "{\"file_data\":{\"file_uri\":\"inputs/");

	if (!err)
		err = put_string(c, key, strlen(key));
	if (!err)
		err = put_text(c, "\",\"mime_type\":\"");
	if (!err)
		err = put_string(c, mime, strlen(mime));
	return err ? err : put_text(c, "\"}}");
}

/* What comes before an input's own part. */
static int put_head(struct composed *c, const char *key)
{
	int err = put_text(c, "{\"key\":\"");

	if (!err)
		err = put_string(c, key, strlen(key));
	if (!err)
		err = put_text(c, c->embedding
					  ? "\",\"request\":{\"content\":{\"parts\":["
					  : "\",\"request\":{\"contents\":[{\"role\":\"user\","
					    "\"parts\":[");
	if (!err && c->prompt) {
		err = put_text_part(c, c->prompt, strlen(c->prompt));
		if (!err)
			err = put_text(c, ",");
	}
	return err;
}

static int put_tail(struct composed *c)
{
	int err = put_text(c, c->embedding ? "]}" : "]}]");

	if (!err)
		err = put_text(c, c->rest);
	if (!err)
		err = put_text(c, "}}\n");
	c->requests++;
	return err;
}

static int put_text_request(struct composed *c, const char *key, const char *text, size_t n)
{
	int err = put_head(c, key);

	if (!err)
		err = put_text_part(c, text, n);
	return err ? err : put_tail(c);
}

/* ---- inputs/ ------------------------------------------------------------------------- */

/* What texts are called matters to the API only where it reads their structure. */
static const char *text_type(const char *mime)
{
	static const char *const known[] = {"text/html", "text/css", "text/csv", "text/xml"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(mime, known[i]) == 0)
			return mime;
	return "text/plain";
}

static const char empty[] = "is empty: write something into it or remove it";

static void complain_input(struct composed *c, const char *key, const char *what)
{
	_cleanup_free_ char *path = util_format("inputs/%s", key);

	composed_complain(c, path ? path : key, what);
}

static int add_attachment(
	struct composed *c, const char *key, const char *mime, bool small, size_t n)
{
	_cleanup_free_ char *why = NULL;
	const char *fault = small ? text_fault(c->text, n) : NULL;
	int err;

	if (small && (mime_is_text(mime) || !mime_is_media(mime)) && fault &&
		text_head_fault(c->text, n) == fault)
		return complain_input(c, key, fault), 0;
	if (small && mime_is_text(mime))
		return complain_input(c, key,
			       "is text, but not UTF-8: convert it (iconv -t UTF-8)"), 0;
	if (c->embedding)
		return complain_input(c, key,
			       mime_is_text(mime) ? "is longer than 1 MiB: split it "
						    "into several files"
						  : "is not text: embeddings are made "
						    "from text only"),
		       0;
	if (!mime_is_media(mime)) {
		why = util_format("%s cannot be sent to a model: only pictures, sound, "
				  "video, PDF and text can",
			mime);
		complain_input(c, key, why ? why : "is of a type that cannot be sent");
		return 0;
	}
	if (!c->prompt && !c->has_system && !c->no_prompt++)
		complain_input(c, key,
			mime_is_text(mime)
				? "is longer than 1 MiB, so it is sent as a file: "
				  "write into prompt.txt what to ask about it"
				: "is not text: write into prompt.txt what to ask "
				  "about it");
	err = put_head(c, key);
	if (!err)
		err = put_file_part(c, key, mime_is_text(mime) ? text_type(mime) : mime);
	c->attachments++;
	return err ? err : put_tail(c);
}

static int add_text(struct composed *c, const char *key, size_t n)
{
	size_t bom = text_bom(c->text, n);

	if (text_is_blank(c->text + bom, n - bom))
		return complain_input(c, key, "has nothing but white space: write something "
					      "into it or remove it"), 0;
	return put_text_request(c, key, c->text + bom, n - bom);
}

/* The type is what libmagic says, as for files that request lines name; where it knows
 * none that models see, text is text. */
int composed_add(struct composed *c, const char *key, int fd)
{
	char mime[MIME_SIZE];
	struct stat st;
	ssize_t n = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!util_utf8_valid(key, strlen(key)))
		return complain_input(c, key, "its name is not UTF-8: rename it"), 0;
	if (st.st_size == 0)
		return complain_input(c, key, empty), 0;
	bool small = st.st_size <= COMPOSED_TEXT_MAX;
	if (small && (n = util_pread_max(fd, c->text, COMPOSED_TEXT_MAX)) < 0)
		return (int)n;
	bool text = small && !text_fault(c->text, (size_t)n);
	int err = mime_of_fd(fd, mime);
	if (text && (err == -ELIBACC || (!err && (mime_is_text(mime) || !mime_is_media(mime)))))
		return add_text(c, key, (size_t)n);
	if (err == -ENODATA)
		return complain_input(c, key, empty), 0;
	return err ? err : add_attachment(c, key, mime, small, (size_t)n);
}

/* ---- inputs.txt ------------------------------------------------------------------------ */

struct reading {
	struct composed *c;
	uint64_t line, last; /* of this line; of the last that is not blank */
	unsigned width;      /* 0: only looking for the last */
	size_t n;            /* of the line, in c->text */
	bool too_long;
};

static void complain_line(struct reading *r, const char *what)
{
	char name[48];

	snprintf(name, sizeof(name), "inputs.txt, line %llu", (unsigned long long)r->line);
	composed_complain(r->c, name, what);
}

static int end_line(struct reading *r)
{
	const char *text = r->c->text;
	char key[LINE_KEY];
	size_t n = r->n;
	bool long_one = r->too_long;

	r->line++;
	r->n = 0;
	r->too_long = false;
	if (r->line == 1)
		text += text_bom(text, n), n -= text_bom(r->c->text, n);
	if (n && text[n - 1] == '\r')
		n--;
	if (!long_one && text_is_blank(text, n))
		return 0;
	r->last = r->line;
	if (!r->width)
		return 0;
	if (long_one)
		return complain_line(r, "is longer than 1 MiB"), 0;
	const char *fault = text_fault(text, n);
	if (fault)
		return complain_line(r, fault), 0;
	snprintf(key, sizeof(key), "%0*llu", (int)r->width, (unsigned long long)r->line);
	return put_text_request(r->c, key, text, n);
}

static int take(struct reading *r, const char *chunk, size_t n)
{
	for (const char *end = chunk + n; chunk < end;) {
		const char *nl = memchr(chunk, '\n', (size_t)(end - chunk));
		size_t part = (size_t)((nl ? nl : end) - chunk);
		int err;

		if (part > COMPOSED_TEXT_MAX - r->n)
			r->too_long = true;
		else
			memcpy(r->c->text + r->n, chunk, part), r->n += part;
		if (!nl)
			return 0;
		if ((err = end_line(r)))
			return err;
		chunk = nl + 1;
	}
	return 0;
}

static int read_lines(struct reading *r, int fd, const atomic_bool *cancel)
{
	char chunk[16 << 10];
	off_t at = 0;
	int err = 0;

	for (ssize_t n = 1; n > 0 && !err; at += n > 0 ? n : 0) {
		if (cancel && *cancel)
			return -ECANCELED;
		n = pread(fd, chunk, sizeof(chunk), at);
		if (n < 0 && errno == EINTR)
			n = 1, at--;
		else if (n < 0)
			err = -errno;
		else
			err = take(r, chunk, (size_t)n);
	}
	return err || (!r->n && !r->too_long) ? err : end_line(r);
}

int composed_add_lines(struct composed *c, int fd, const atomic_bool *cancel)
{
	struct reading look = {.c = c}, r = {.c = c};
	int err = read_lines(&look, fd, cancel);

	if (err || !look.last)
		return err;
	for (uint64_t n = look.last; n; n /= 10)
		r.width++;
	return read_lines(&r, fd, cancel);
}

/* ---- life ---------------------------------------------------------------------------- */

int composed_new(const struct composed_parts *parts, int out, struct composed **ret)
{
	struct composed *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return err;
	c->out = out;
	c->embedding = parts->embedding;
	c->buf = malloc(BUFFER_SIZE);
	c->text = malloc(COMPOSED_TEXT_MAX);
	if (c->buf && c->text)
		err = composed_take_parts(c, parts);
	if (err) {
		composed_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void composed_free(struct composed *c)
{
	if (!c)
		return;
	free(c->buf);
	free(c->text);
	free(c->prompt);
	free(c->rest);
	free(c->complaints);
	free(c);
}

int composed_end(struct composed *c)
{
	return flush(c);
}

uint64_t composed_requests(const struct composed *c)
{
	return c->requests;
}

uint64_t composed_attachments(const struct composed *c)
{
	return c->attachments;
}

/* ---- names ----------------------------------------------------------------------------- */

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

bool composed_is_part(const char *name)
{
	static const char *const parts[] = {"inputs.txt", "prompt.txt", "system.txt",
		"schema.json", "defaults.json", NULL};

	return is_one_of(name, parts);
}

/* What editors, downloads and other systems leave: never asked about, and no mistake. */
bool composed_is_leftover(const char *name)
{
	static const char *const names[] = {"Thumbs.db", "ehthumbs.db", "desktop.ini",
		"Icon\r", "__MACOSX", "$RECYCLE.BIN"};
	static const char *const ends[] = {"~", ".orig", ".rej", ".swp", ".swo", ".swx",
		".part", ".partial", ".crdownload", ".opdownload"};
	size_t n = strlen(name);

	if (name[0] == '.' || strncmp(name, "~$", 2) == 0 ||
		(n > 2 && name[0] == '#' && name[n - 1] == '#'))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t m = strlen(ends[i]);

		if (n > m && strcasecmp(name + n - m, ends[i]) == 0)
			return true;
	}
	return false;
}
