/*
 * The newest lines of the log, in memory, for .batchfs/log.
 *
 * The log is one long text of which the beginning is dropped. A reader sees it from
 * where the kept part began when it opened the log, and its offsets keep their meaning
 * while more is dropped, so that `tail -f` neither misses nor repeats a line. When
 * lines are dropped the file gets shorter now and then; tail then says "file truncated"
 * and begins at offset 0, where it finds what it has not seen yet.
 *
 * Any thread. Zeroed memory is a reader that has not begun.
 */
#ifndef FS_LOG_LINES_H
#define FS_LOG_LINES_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define LOG_LINES 1000

struct log_reader {
	uint64_t base; /* where in the log its offset 0 is */
	uint64_t seen; /* how far it has read */
};

/* Keep a line, given without its newline; only the beginning of a very long one. */
void log_lines_add(const char *prefix, const char *text);
void log_lines_open(struct log_reader *r);
/* Read up to n bytes at off of what r sees; 0 at the end. */
size_t log_lines_read(struct log_reader *r, uint64_t off, char *buf, size_t n);
/* How many bytes are kept, and the time of the newest line (zeros: none yet). */
uint64_t log_lines_size(struct timespec *ret_newest);

#endif
