/* The check of a requests file before anything is sent.
 *
 * The rest of this room: line_parser.h (what is on a line; everything here is built on
 * it), validate_ahead.h (the same check while the file is being written), normalize.h
 * (what is sent, if it differs), warning_rules.h and warnings.h (what is worth knowing
 * and no error). Nobody here knows jobs or the client; a file is a descriptor, borrowed
 * for the call. Blocks on the disk only; any thread, one per struct validator.
 *
 * Every line must be valid UTF-8 and one JSON object with a request (see
 * line_parser.h), a key must be a string, and no key may appear twice; a line without a
 * key has its line number as key, padded with zeros to the width of the last line that
 * is not blank. There must be a request, and what is sent must not exceed
 * the grammar's max.
 *
 *     validate_file(fd, cancel, &report);          the usual way
 *     validate_report_status(&report)              0, -EBADMSG, -EFBIG
 *     validate_report_text(&report)                what to tell the user
 *
 *     s = validate_new(); validate_feed(s, buf, n); ...; validate_finish(s, fd, cancel, &report)
 *
 * How: the file is read once, line by line (line_parser.h), and 8 bytes of hash are
 * kept for each key (siphash_set.h). If two hashes are equal, or some lines have keys
 * and others use their numbers, the file is read again to find those lines, by 128 bits
 * of hash. Memory: 8 bytes per key, at most twice that if keys repeat.
 *
 * All requests must ask for the same: answers, or embeddings. One of the other kind is
 * bad.
 *
 * A line without key takes that of custom_id, id or metadata (line_parser.h).
 *
 * Equal strings are equal keys however they are escaped. Not checked: the content of a
 * request except for misplaced members (request_grammar.h), other members beside key
 * and request, equal names within a request. */
#ifndef GB_SCAN_H
#define GB_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "requests/line_marks.h"
#include "requests/line_parser.h"

#define VALIDATE_BAD_MAX 10

struct validate_bad {
	uint64_t line;      /* from 1 */
	uint64_t column;    /* byte in the line, from 1; 0: the whole line */
	const char *reason; /* static text */
	const char *name;   /* the member it is about, static; or NULL */
	uint64_t other;     /* the line where the reason ends in "line"; else 0 */
};

/* How many lines have something that is worth a warning, and the first. */
struct validate_warned {
	uint64_t n, first;
};

struct validate_report {
	const struct request_grammar *grammar;
	uint64_t lines;     /* all, blank ones too */
	uint64_t last_line; /* number of the last that is not blank */
	uint64_t requests;  /* good lines: keyed + no_key + bare */
	uint64_t keyed, no_key, bare, blank;
	enum line_asks asks; /* of the first line that shows it, */
	uint64_t asks_line;  /* which is this */
	unsigned width; /* digits of a line-number key */
	/* The file can be sent byte for byte: no BOM, no blank lines, no CR before LF,
	 * every line keyed, LF at the very end. (Spaces around an object are left.) */
	bool clean;
	/* More than the grammar's max would be sent. Reading stops where that is
	 * certain; the counts are for the part before. */
	bool too_big;
	uint64_t big_line;  /* the line that alone is more; 0: none */
	uint64_t file_size; /* bytes read */
	uint64_t send_size; /* exact, if the file is good: see normalize_file */
	/* Strings that name files (request_grammar.h), and those of them without a
	 * scheme: files of the draft, to be uploaded first. */
	uint64_t uris, loose_uris;
	struct validate_warned warned[LINE_WARNINGS];
	/* Bad lines: how many, and the first of them in order. If keys repeat in more
	 * than VALIDATE_BAD_MAX lines, the total is based on 64 bits of hash. */
	uint64_t bad_total;
	uint8_t head[4], n_head; /* the first bytes */
	unsigned n_bad;
	struct validate_bad bad[VALIDATE_BAD_MAX];
	struct line_marks marks; /* where requests begin in what is sent */
};

struct validator;

/* NULL when memory is out. */
struct validator *validate_new(const struct request_grammar *g);
void validate_free(struct validator *s);
/* Before anything is fed: only each line must be no more than the grammar's max, not all
 * of them, which may be sent in parts. */
void validate_any_size(struct validator *s);

/* Feed the next bytes of the file, cut anywhere; buf must stay unchanged until the next
 * call. No effect once the file is too big. 0 or -ENOMEM. */
int validate_feed(struct validator *s, const void *buf, size_t n);

/* Whether a bad line, or too much, has been seen: then going on is only useful for a
 * full report. */
bool validate_is_bad(const struct validator *s);

/* To be called once, at the end. fd has the bytes that were fed and is read again if
 * needed; cancel as in validate_file. Afterwards s can only be freed. */
int validate_finish(struct validator *s, int fd, const atomic_bool *cancel,
	struct validate_report *ret);

/* Check all of fd, from offset 0, with pread. 0 if there is a report, whatever it says;
 * -ECANCELED soon after *cancel (may be NULL) has become true; -ENOMEM, or the errno of
 * reading. */
int validate_file(const struct request_grammar *g, int fd, const atomic_bool *cancel,
	struct validate_report *ret);

/* The same as validate_any_size. */
int validate_file_any_size(const struct request_grammar *g, int fd,
	const atomic_bool *cancel, struct validate_report *ret);

/* 0: can be sent; -EFBIG: too big; -EBADMSG: bad lines or no request. */
int validate_report_status(const struct validate_report *report);

/* One line per fault, each ending in a newline; "" if there are none; the caller frees
 * it. NULL without memory. */
char *validate_report_text(const struct validate_report *report);

#endif
