/*
 * Small things everything else here needs: memory, growing buffers, time, ids,
 * digests, camelCase lookups in JSON, and the one flag that says "we are going down".
 *
 * The emulator is a test tool: it gives up (abort) when memory is out, so nothing
 * here reports ENOMEM. All functions may be called from any thread unless said.
 */
#ifndef EMU_UTIL_H
#define EMU_UTIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS 1000000000LL
#define HOUR (3600 * NS)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Memory: never NULL. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void free_p(void *p)
{
	free(*(void **)p);
}

static inline void close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void json_p(json_t **j)
{
	json_decref(*j);
}

#define _cleanup_free_ __attribute__((cleanup(free_p)))
#define _cleanup_close_ __attribute__((cleanup(close_p)))
#define _cleanup_json_ __attribute__((cleanup(json_p)))

/* A growing buffer; all zeros is an empty one. `p` is NUL-terminated once set. */
struct buf {
	char *p;
	size_t len, cap;
};

void buf_add(struct buf *b, const void *data, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void buf_cut(struct buf *b, size_t len);
void buf_free(struct buf *b);

/* Times are nanoseconds since 1970, UTC. */
#define TIME_LEN 40
int64_t now_ns(void);
const char *time_text(int64_t ns, char out[TIME_LEN]);
json_t *time_json(int64_t ns);

/* n random characters of [a-z0-9] (or of [A-Za-z0-9_-]) and a NUL into `out`. */
void random_id(char *out, size_t n);
void random_token(char *out, size_t n);
uint32_t random_below(uint32_t n);

/* FNV-1a: for fingerprints in logs and seeds, nothing secret hangs on it. */
uint64_t hash64(const void *data, size_t n);

char *base64_dup(const void *data, size_t n);
/* Number of bytes that base64 text of n characters stands for. */
size_t base64_size(const char *s, size_t n);

struct sha256 {
	uint32_t h[8];
	uint64_t total;
	unsigned char block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t n);
void sha256_hex(struct sha256 *s, char out[65]);

/* Does `name` (as sent) stand for the proto field whose JSON name is `camel`? */
bool name_is(const char *name, size_t len, const char *camel);
/* Member of an object by its camelCase or snake_case name; borrowed, or NULL. */
json_t *jget(const json_t *obj, const char *camel);
/* The same for strings; NULL when it is absent or no string. */
const char *jstr(const json_t *obj, const char *camel);
/* Integer given as a number or as a string of digits. */
int64_t jint(const json_t *obj, const char *camel, int64_t fallback);

/* Whole write; 0 or -errno. */
int write_all(int fd, const void *data, size_t n, int64_t off);

/* Going down: stop_request() may be called from a signal handler's thread. */
void stop_request(void);
bool stopping(void);
/* Sleeps; returns false at once when the program is to end. */
bool nap(double seconds);

void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
