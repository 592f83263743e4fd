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
	char *all = util_format(
		"%s%s: %s\n", c->complaints ? c->complaints : "", name, what);

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

static int composed_flush(struct composed *c)
{
	int err = util_write_all(c->out, c->buf, c->n);

	c->written += c->n;
	c->n = 0;
	return err ? err : c->written > VALIDATE_SEND_MAX ? -EFBIG : 0;
}

int composed_put(struct composed *c, const char *text, size_t n)
{
	while (n > 0) {
		size_t part = BUFFER_SIZE - c->n < n ? BUFFER_SIZE - c->n : n;
		int err;

		memcpy(c->buf + c->n, text, part);
		c->n += part;
		text += part;
		n -= part;
		if (c->n == BUFFER_SIZE && (err = composed_flush(c)))
			return err;
	}
	return 0;
}

int composed_put_text(struct composed *c, const char *text)
{
	return composed_put(c, text, strlen(text));
}

static size_t escape(unsigned char byte, char ret[8])
{
	static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";

	for (const char *p = letters; *p; p += 2)
		if ((unsigned char)*p == byte)
			return (size_t)snprintf(ret, 8, "\\%c", p[1]);
	return (size_t)snprintf(ret, 8, "\\u%04x", byte);
}

static bool needs_escape(unsigned char byte)
{
	return byte < 0x20 || byte == '"' || byte == '\\';
}

/* How many bytes from text on need none, eight at a time. A borrow can only hit bytes
 * behind one that needs it. */
static size_t plain_text_run(const char *text, size_t n)
{
	const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
	size_t i = 0;

	for (uint64_t w, quote, slash; i + 8 <= n; i += 8) {
		memcpy(&w, text + i, 8);
		quote = w ^ ones * '"';
		slash = w ^ ones * '\\';
		if ((((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) |
			    ((slash - ones) & ~slash)) & tops)
			break;
	}
	while (i < n && !needs_escape((unsigned char)text[i]))
		i++;
	return i;
}

size_t composed_escape(const char *text, size_t n, char *ret)
{
	char one[8];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		size_t add = 1;

		if (needs_escape((unsigned char)text[i]))
			add = escape((unsigned char)text[i], one);
		else
			one[0] = text[i];
		memcpy(ret + len, one, add);
		len += add;
	}
	return len;
}

/* The inside of a JSON string; text is valid UTF-8. */
int composed_put_string(struct composed *c, const char *text, size_t n)
{
	char one[8];
	int err = 0;

	while (!err && n) {
		size_t run = plain_text_run(text, n);

		err = run ? composed_put(c, text, run) : 0;
		if (!err && run < n) {
			err = composed_put(
				c, one, escape((unsigned char)text[run], one));
			run++;
		}
		text += run;
		n -= run;
	}
	return err;
}

static int put_text_part(struct composed *c, const char *text, size_t n)
{
	int err = composed_put_text(c, "{\"text\":\"");

	if (!err)
		err = composed_put_string(c, text, n);
	return err ? err : composed_put_text(c, "\"}");
}

int composed_put_file(struct composed *c, const char *key, const char *mime)
{
	int err = composed_put_text(c, "{\"file_data\":{\"file_uri\":\"inputs/");

	c->attachments++;
	if (!err)
		err = composed_put_string(c, key, strlen(key));
	if (!err)
		err = composed_put_text(c, "\",\"mime_type\":\"");
	if (!err)
		err = composed_put_string(c, mime, strlen(mime));
	return err ? err : composed_put_text(c, "\"}}");
}

int composed_put_head(struct composed *c, const char *key, size_t n)
{
	int err = composed_put_text(c, "{\"key\":\"");

	if (!err)
		err = composed_put_string(c, key, n);
	return err ? err
		   : composed_put_text(c,
			     c->embedding
				     ? "\",\"request\":{\"content\":{\"parts\":["
				     : "\",\"request\":{\"contents\":[{\"role\":\"user\","
				       "\"parts\":[");
}

/* What comes before an input's own part. */
static int put_head(struct composed *c, const char *key)
{
	int err = composed_put_head(c, key, strlen(key));

	if (!err && c->prompt) {
		err = put_text_part(c, c->prompt, strlen(c->prompt));
		if (!err)
			err = composed_put_text(c, ",");
	}
	return err;
}

int composed_put_tail(struct composed *c)
{
	int err = composed_put_text(c, c->embedding ? "]}" : "]}]");

	if (!err)
		err = composed_put_text(c, c->rest);
	if (!err)
		err = composed_put_text(c, "}}\n");
	c->requests++;
	return err;
}

static int put_text_request(
	struct composed *c, const char *key, const char *text, size_t n)
{
	int err = put_head(c, key);

	if (!err)
		err = put_text_part(c, text, n);
	return err ? err : composed_put_tail(c);
}

/* ---- inputs/ ------------------------------------------------------------------------- */

/* What texts are called matters to the API only where it reads their structure. */
static const char *text_type(const char *mime)
{
	static const char *const known[] = {
		"text/html", "text/css", "text/csv", "text/xml"};

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

/* As a shell reads it: "'" ends a quoted word. malloc'ed. */
static char *shell_word(const char *text)
{
	char *word = NULL;
	size_t size;
	FILE *f = open_memstream(&word, &size);

	if (!f)
		return NULL;
	fputc('\'', f);
	for (; *text; text++)
		fputs(*text == '\'' ? "'\\''" : (char[]){*text, '\0'}, f);
	fputc('\'', f);
	if (fclose(f) == 0)
		return word;
	free(word);
	return NULL;
}

/* Of text: which encoding it is in as far as can be told, and the whole command. A name
 * that begins with a dot is no part of the draft. */
static void complain_encoding(struct composed *c, const char *key, size_t n)
{
	char name[MIME_SIZE];
	bool told = mime_encoding(c->text, n, name);
	_cleanup_free_ char *path = util_format("inputs/%s", key);
	_cleanup_free_ char *word = path ? shell_word(path) : NULL;
	_cleanup_free_ char *what =
		word ? util_format(
			       "is text, but not UTF-8 (%s): iconv -f %s -t UTF-8 %s > .new && mv .new %s",
			       told ? "it looks like this" : "if it comes from Windows",
			       told ? name : "WINDOWS-1252", word, word)
		     : NULL;

	complain_input(c, key, what ? what : "is text, but not UTF-8");
}

/* Whether the input cannot be sent as a file, which is complained of; its type, and the
 * n bytes of it that are in memory if it is small. */
static bool is_no_attachment(
	struct composed *c, const char *key, const char *mime, bool small, size_t n)
{
	const char *fault = small ? text_fault(c->text, n) : NULL;
	_cleanup_free_ char *why = NULL;

	if (small && (mime_is_text(mime) || !mime_is_media(mime)) && fault &&
		text_head_fault(c->text, n) == fault)
		return complain_input(c, key, fault), true;
	if (small && mime_is_text(mime))
		return complain_encoding(c, key, n), true;
	if (c->embedding)
		return complain_input(c, key,
			       mime_is_text(mime) ? "is longer than 1 MiB: split it "
						    "into several files"
						  : "is not text: embeddings are made "
						    "from text only"),
		       true;
	if (mime_is_media(mime))
		return false;
	why = util_format(
		"%s cannot be sent to a model: only pictures, sound, video, PDF "
		"and text can",
		mime);
	complain_input(c, key, why ? why : "is of a type that cannot be sent");
	return true;
}

/* The text that is in memory, without a byte order mark. */
static void take_text(struct composed *c, const char *key, struct composed_look *ret)
{
	size_t bom = text_bom(c->text, ret->n);

	ret->kind = COMPOSED_TEXT;
	ret->text = c->text + bom;
	ret->n -= bom;
	if (!text_is_blank(ret->text, ret->n))
		return;
	ret->kind = COMPOSED_BAD;
	complain_input(c, key,
		"has nothing but white space: write something into it or "
		"remove it");
}

/* The type is what libmagic says, as for files that request lines name; where it knows
 * none that models see, text is text. */
static int look_at_file(struct composed *c, const char *key, int fd, off_t size,
	struct composed_look *ret)
{
	bool small = size <= COMPOSED_TEXT_MAX;
	ssize_t n = small ? util_pread_max(fd, c->text, COMPOSED_TEXT_MAX) : 0;

	if (n < 0)
		return (int)n;
	bool text = small && !text_fault(c->text, (size_t)n);
	int err = mime_of_fd(fd, ret->mime);
	ret->n = (size_t)n;
	if (text && (err == -ELIBACC || (!err && (mime_is_text(ret->mime) ||
							 !mime_is_media(ret->mime)))))
		return take_text(c, key, ret), 0;
	if (err == -ENODATA)
		return complain_input(c, key, empty), 0;
	if (!err && !is_no_attachment(c, key, ret->mime, small, (size_t)n))
		ret->kind = COMPOSED_FILE;
	return err;
}

int composed_look(
	struct composed *c, const char *key, int fd, struct composed_look *ret)
{
	struct stat st;

	ret->kind = COMPOSED_BAD;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!util_utf8_valid(key, strlen(key)))
		return complain_input(c, key, "its name is not UTF-8: rename it"), 0;
	if (st.st_size == 0)
		return complain_input(c, key, empty), 0;
	return look_at_file(c, key, fd, st.st_size, ret);
}

const char *composed_file_type(const char *mime)
{
	return mime_is_text(mime) ? text_type(mime) : mime;
}

static int add_attachment(struct composed *c, const char *key, const char *mime)
{
	int err;

	if (!c->prompt && !c->has_system && !c->no_prompt++)
		complain_input(c, key,
			mime_is_text(mime)
				? "is longer than 1 MiB, so it is sent as a file: "
				  "write into prompt.txt what to ask about it"
				: "is not text: write into prompt.txt what to ask "
				  "about it");
	err = put_head(c, key);
	if (!err)
		err = composed_put_file(c, key, composed_file_type(mime));
	return err ? err : composed_put_tail(c);
}

int composed_add(struct composed *c, const char *key, int fd)
{
	struct composed_look look;
	int err = composed_look(c, key, fd, &look);

	if (err || look.kind == COMPOSED_BAD)
		return err;
	return look.kind == COMPOSED_TEXT
		       ? put_text_request(c, key, look.text, look.n)
		       : add_attachment(c, key, look.mime);
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

	snprintf(name, sizeof(name), "inputs.txt, line %llu",
		(unsigned long long)r->line);
	composed_complain(r->c, name, what);
}

static int reading_end_line(struct reading *r)
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
	snprintf(
		key, sizeof(key), "%0*llu", (int)r->width, (unsigned long long)r->line);
	return put_text_request(r->c, key, text, n);
}

static int reading_take(struct reading *r, const char *chunk, size_t n)
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
		if ((err = reading_end_line(r)))
			return err;
		chunk = nl + 1;
	}
	return 0;
}

static int reading_lines(struct reading *r, int fd, const atomic_bool *cancel)
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
			err = reading_take(r, chunk, (size_t)n);
	}
	return err || (!r->n && !r->too_long) ? err : reading_end_line(r);
}

int composed_add_lines(struct composed *c, int fd, const atomic_bool *cancel)
{
	struct reading look = {.c = c}, r = {.c = c};
	int err = reading_lines(&look, fd, cancel);

	if (err || !look.last)
		return err;
	for (uint64_t n = look.last; n; n /= 10)
		r.width++;
	return reading_lines(&r, fd, cancel);
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
	return composed_flush(c);
}

uint64_t composed_requests(const struct composed *c)
{
	return c->requests;
}

uint64_t composed_attachments(const struct composed *c)
{
	return c->attachments;
}

const struct compose_grammar gemini_compose = {
	.begin = composed_new,
	.free = composed_free,
	.add = composed_add,
	.add_lines = composed_add_lines,
	.add_table = composed_add_table,
	.complain = composed_complain,
	.end = composed_end,
	.requests = composed_requests,
	.attachments = composed_attachments,
	.complaints = composed_complaints,
	.properties = composed_properties,
};
