#include "base/mime.h"
#include "base/util.h"

#include <ctype.h>
#include <errno.h>
#include <magic.h>
#include <pthread.h>
#include <string.h>

enum { LOOKED_AT = 256 << 10 };

/* Formats that are not media are not parsed, so that less code handles the bytes. */
#define FLAGS                                                                          \
	(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ELF |              \
		MAGIC_NO_CHECK_CDF)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static magic_t handle; /* lock */

/* Names of libmagic's that are not those of the API's documents. */
static const struct {
	const char *magic, *api;
} names[] = {
	{"audio/x-wav", "audio/wav"},
	{"audio/vnd.wave", "audio/wav"},
	{"audio/x-aiff", "audio/aiff"},
	{"audio/x-flac", "audio/flac"},
	{"audio/x-hx-aac-adts", "audio/aac"},
	{"audio/x-m4a", "audio/m4a"},
	{"application/ogg", "audio/ogg"},
	{"video/x-msvideo", "video/avi"},
	{"video/x-m4v", "video/mp4"},
	/* Pictures that are text, and lists of files: read as text. */
	{"audio/x-mpegurl", "text/plain"},
	{"image/x-xpixmap", "text/plain"},
	{"image/x-xbitmap", "text/plain"},
};

/* Lock held. */
static int open_handle(void)
{
	if (handle)
		return 0;
	handle = magic_open(FLAGS);
	if (!handle)
		return -ENOMEM;
	if (magic_load(handle, NULL) == 0)
		return 0;
	magic_close(handle);
	handle = NULL;
	return -ELIBACC;
}

static const char *as_api(const char *mime)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i].magic, mime) == 0)
			return names[i].api;
	return mime;
}

static int mime_look(const void *buf, size_t n, char ret[MIME_SIZE])
{
	const char *mime;
	int err;

	pthread_mutex_lock(&lock);
	err = open_handle();
	if (!err) {
		mime = magic_buffer(handle, buf, n);
		snprintf(ret, MIME_SIZE, "%s",
			mime ? as_api(mime) : "application/octet-stream");
	}
	pthread_mutex_unlock(&lock);
	return err;
}

bool mime_encoding(const void *buf, size_t n, char ret[MIME_SIZE])
{
	const char *name = NULL;
	bool known;

	pthread_mutex_lock(&lock);
	if (open_handle() == 0 && magic_setflags(handle, MAGIC_MIME_ENCODING) == 0)
		name = magic_buffer(handle, buf, n);
	known = name && *name && strcmp(name, "binary") != 0 &&
		strcmp(name, "unknown-8bit") != 0;
	if (known)
		snprintf(ret, MIME_SIZE, "%s", name);
	if (handle)
		magic_setflags(handle, FLAGS);
	pthread_mutex_unlock(&lock);
	for (char *p = ret; known && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return known;
}

int mime_of_fd(int fd, char ret[MIME_SIZE])
{
	_cleanup_free_ char *buf = malloc(LOOKED_AT);
	ssize_t n = buf ? util_pread_max(fd, buf, LOOKED_AT) : -ENOMEM;

	if (n < 0)
		return (int)n;
	return n ? mime_look(buf, (size_t)n, ret) : -ENODATA;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
	size_t n = strlen(text), m = strlen(with);

	return n > m && strcmp(text + n - m, with) == 0;
}

bool mime_is_text(const char *mime)
{
	static const char *const texts[] = {"application/json", "application/x-ndjson",
		"application/xml", "application/javascript", "application/x-javascript",
		"message/rfc822"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(mime, texts[i]) == 0)
			return true;
	return begins(mime, "text/") || ends(mime, "+xml") || ends(mime, "+json");
}

bool mime_is_media(const char *mime)
{
	return begins(mime, "image/") || begins(mime, "audio/") ||
	       begins(mime, "video/") || strcmp(mime, "application/pdf") == 0 ||
	       mime_is_text(mime);
}
