#include "util/log_lines.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/util.h"

#define LINE_LONGEST 1000 /* bytes kept of one */

/* All under the lock. Line i is in slot i % LOG_LINES. */
static struct {
	pthread_mutex_t lock;
	char *lines[LOG_LINES]; /* with their newlines */
	uint64_t count;         /* lines ever */
	uint64_t begin, end;    /* offsets of what is kept */
	struct timespec newest;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char *stamped_line(const char *prefix, const char *text, time_t now)
{
	char when[32];
	struct tm tm;
	int n = (int)strnlen(text, LINE_LONGEST);

	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	return format("%s %s%.*s%s\n", when, prefix, n, text, text[n] ? " ..." : "");
}

/* Under the lock. */
static void append_line_take(char *line)
{
	char **slot = &kept.lines[kept.count++ % LOG_LINES];

	if (*slot)
		kept.begin += strlen(*slot);
	free(*slot);
	*slot = line;
	kept.end += strlen(line);
}

void log_lines_add(const char *prefix, const char *text)
{
	struct timespec now;
	char *line;

	clock_gettime(CLOCK_REALTIME, &now); /* wall: shown */
	line = stamped_line(prefix, text, now.tv_sec);
	if (!line)
		return;
	/* A line is a line, whatever is in it. */
	for (char *p = line; (p = strpbrk(p, "\n\r")) && p[1]; p++)
		*p = ' ';
	pthread_mutex_lock(&kept.lock);
	append_line_take(line);
	kept.newest = now;
	pthread_mutex_unlock(&kept.lock);
}

void log_lines_open(struct log_reader *r)
{
	pthread_mutex_lock(&kept.lock);
	*r = (struct log_reader){kept.begin, kept.begin};
	pthread_mutex_unlock(&kept.lock);
}

/* Under the lock: where in the log r reads when it asks for off. Lines that were
 * dropped before they were read are skipped, and a reader that starts again after the
 * file got shorter continues where it was. */
static uint64_t place_of(struct log_reader *r, uint64_t off)
{
	if (off == 0 && r->seen > r->base && kept.begin > r->base)
		r->base = r->seen;
	if (r->base + off < kept.begin)
		r->base = kept.begin - off;
	return r->base + off;
}

/* Under the lock. */
static size_t copy_from(uint64_t at, char *buf, size_t n)
{
	uint64_t first = kept.count > LOG_LINES ? kept.count - LOG_LINES : 0;
	uint64_t start = kept.begin;
	size_t had = 0;

	for (uint64_t i = first; i < kept.count && had < n; i++) {
		const char *line = kept.lines[i % LOG_LINES];
		size_t length = strlen(line), skip = at > start ? at - start : 0;

		start += length;
		if (skip >= length)
			continue;
		length = length - skip < n - had ? length - skip : n - had;
		memcpy(buf + had, line + skip, length);
		had += length;
	}
	return had;
}

size_t log_lines_read(struct log_reader *r, uint64_t off, char *buf, size_t n)
{
	uint64_t at;

	pthread_mutex_lock(&kept.lock);
	at = place_of(r, off);
	n = at < kept.end ? copy_from(at, buf, n) : 0;
	if (at + n > r->seen)
		r->seen = at + n;
	pthread_mutex_unlock(&kept.lock);
	return n;
}

uint64_t log_lines_size(struct timespec *ret_newest)
{
	uint64_t size;

	pthread_mutex_lock(&kept.lock);
	size = kept.end - kept.begin;
	*ret_newest = kept.newest;
	pthread_mutex_unlock(&kept.lock);
	return size;
}
