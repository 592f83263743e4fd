/*
 * Where requests begin in what is sent of a file: every n-th of them, noted by the check
 * (validate.h) on its way, so that the file can be cut between two lines without reading
 * it again. n is doubled whenever there is no room for more marks, so a file of any size
 * takes a few kilobytes; to reach a line that has no mark at most n lines are read.
 *
 * Pure but for line_marks_cut, which reads. Any thread, one at a time; those that are kept
 * do not change, and any number of threads may cut by them.
 */
#ifndef GB_LINE_MARKS_H
#define GB_LINE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

enum { LINE_MARKS = 512 };

/* What is known of a line before the last is seen, and with it the width of keys that are
 * line numbers. */
struct line_mark {
	uint64_t sent;         /* bytes of all objects before it, each with an LF; once
	                          settled: where its line begins in what is sent */
	uint64_t written;      /* the same in the file as it is */
	uint32_t no_key, bare; /* lines before it that grow */
};

struct line_marks {
	uint64_t every; /* 0: there are none */
	uint32_t n;     /* of `at`; the i-th is of request i * every, from 0 */
	struct line_mark at[LINE_MARKS];
};

/* In order, of every request. */
void line_marks_note(
	struct line_marks *m, uint64_t request, const struct line_mark *mark);
/* Once, at the end. as_it_is: the file is sent byte for byte; else as normalize.h
 * writes it. */
void line_marks_settle(struct line_marks *m, bool as_it_is, unsigned width);

/* Settled marks of their own, for all who cut by them: whoever has a reference may go on while
 * another lets go of the last but that. NULL without memory; ref and unref: any thread, also
 * with NULL. */
struct kept_marks;
struct kept_marks *kept_marks_new(const struct line_marks *m);
struct kept_marks *kept_marks_ref(struct kept_marks *k);
void kept_marks_unref(struct kept_marks *k);
/* NULL of NULL. */
const struct line_marks *kept_marks(const struct kept_marks *k);

/* Whole lines. */
struct line_run {
	int64_t bytes, requests;
};

/* The longest run of lines of fd, whose size is total, that begins at `from`, the
 * beginning of a line, and has at most so many requests and bytes; but at least one
 * line, however long. m: settled marks of these bytes; NULL: there are none, and what the
 * run has is read. 0 or the errno of reading. */
int line_marks_cut(const struct line_marks *m, int fd, int64_t from, int64_t total,
	struct line_run most, struct line_run *ret);

#endif
