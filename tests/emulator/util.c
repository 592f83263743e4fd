#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/random.h>
#include <time.h>

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		abort();
	return p;
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p)
		abort();
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xstrndup(const char *s, size_t n)
{
	char *p = xcalloc(1, n + 1);

	memcpy(p, s, n);
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) < 0)
		abort();
	va_end(ap);
	return p;
}

static void buf_reserve(struct buf *b, size_t more)
{
	if (b->len + more + 1 <= b->cap)
		return;
	b->cap = (b->len + more + 1) * 3 / 2 + 64;
	b->p = xrealloc(b->p, b->cap);
}

void buf_add(struct buf *b, const void *data, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->p + b->len, data, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	buf_puts(b, s);
}

void buf_cut(struct buf *b, size_t len)
{
	if (len >= b->len)
		return;
	b->len = len;
	b->p[len] = '\0';
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NS + ts.tv_nsec;
}

const char *time_text(int64_t ns, char out[TIME_LEN])
{
	time_t t = ns / NS;
	char head[24];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(head, sizeof(head), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, TIME_LEN, "%s.%09dZ", head, (int)(ns % NS));
	return out;
}

json_t *time_json(int64_t ns)
{
	char text[TIME_LEN];

	return json_string(time_text(ns, text));
}

static void random_from(const char *alphabet, unsigned size, char *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = alphabet[random_below(size)];
	out[n] = '\0';
}

void random_id(char *out, size_t n)
{
	random_from("abcdefghijklmnopqrstuvwxyz0123456789", 36, out, n);
}

void random_token(char *out, size_t n)
{
	random_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
		64, out, n);
}

uint32_t random_below(uint32_t n)
{
	static __thread unsigned char pool[256];
	static __thread size_t left;
	uint32_t r;

	if (left < sizeof(r)) {
		if (getrandom(pool, sizeof(pool), 0) != sizeof(pool))
			abort();
		left = sizeof(pool);
	}
	left -= sizeof(r);
	memcpy(&r, pool + left, sizeof(r));
	return r % n;
}

uint64_t hash64(const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

char *base64_dup(const void *data, size_t n)
{
	static const char abc[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	char *out = xcalloc(1, (n + 2) / 3 * 4 + 1), *o = out;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = p[i] << 16;

		if (i + 1 < n)
			v |= p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		*o++ = abc[v >> 18];
		*o++ = abc[v >> 12 & 63];
		*o++ = i + 1 < n ? abc[v >> 6 & 63] : '=';
		*o++ = i + 2 < n ? abc[v & 63] : '=';
	}
	return out;
}

size_t base64_size(const char *s, size_t n)
{
	while (n && s[n - 1] == '=')
		n--;
	return n * 3 / 4;
}

static void snake_of(const char *camel, char *out, size_t size)
{
	size_t o = 0;

	for (; *camel && o + 2 < size; camel++) {
		if (isupper((unsigned char)*camel))
			out[o++] = '_';
		out[o++] = tolower((unsigned char)*camel);
	}
	out[o] = '\0';
}

bool name_is(const char *name, size_t len, const char *camel)
{
	char snake[64];

	if (strlen(camel) == len && !memcmp(name, camel, len))
		return true;
	if (!memchr(name, '_', len))
		return false;
	snake_of(camel, snake, sizeof(snake));
	return strlen(snake) == len && !memcmp(name, snake, len);
}

json_t *jget(const json_t *obj, const char *camel)
{
	json_t *v = json_object_get(obj, camel);
	char snake[64];

	if (v)
		return v;
	snake_of(camel, snake, sizeof(snake));
	return json_object_get(obj, snake);
}

const char *jstr(const json_t *obj, const char *camel)
{
	return json_string_value(jget(obj, camel));
}

int64_t jint(const json_t *obj, const char *camel, int64_t fallback)
{
	json_t *v = jget(obj, camel);
	char *end;
	int64_t n;

	if (json_is_integer(v))
		return json_integer_value(v);
	if (json_is_real(v))
		return (int64_t)json_real_value(v);
	if (!json_is_string(v) || !json_string_length(v))
		return fallback;
	n = strtoll(json_string_value(v), &end, 10);
	return *end ? fallback : n;
}

int write_all(int fd, const void *data, size_t n, int64_t off)
{
	const char *p = data;

	while (n) {
		ssize_t w = pwrite(fd, p, n, off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w ? -errno : -EIO;
		p += w;
		off += w;
		n -= w;
	}
	return 0;
}

static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_cond = PTHREAD_COND_INITIALIZER;
static bool stop_flag; /* stop_lock */

void stop_request(void)
{
	pthread_mutex_lock(&stop_lock);
	stop_flag = true;
	pthread_cond_broadcast(&stop_cond);
	pthread_mutex_unlock(&stop_lock);
}

bool stopping(void)
{
	bool yes;

	pthread_mutex_lock(&stop_lock);
	yes = stop_flag;
	pthread_mutex_unlock(&stop_lock);
	return yes;
}

bool nap(double seconds)
{
	int64_t until = now_ns() + (int64_t)(seconds * NS);
	struct timespec ts = {until / NS, until % NS};
	bool go_on;

	pthread_mutex_lock(&stop_lock);
	while (!stop_flag &&
		pthread_cond_timedwait(&stop_cond, &stop_lock, &ts) != ETIMEDOUT)
		;
	go_on = !stop_flag;
	pthread_mutex_unlock(&stop_lock);
	return go_on;
}

void complain(const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	fprintf(stderr, "gemini-emulator: %s\n", s);
}
