/* Makes what is sent from a requests file that the check has accepted.
 *
 * If the file is not clean, every object is sent on a line of its own, ended by LF and
 * without the white space around it; BOM, blank lines and CR are removed. A line
 * without a key gets its number: a bare request is wrapped,
 *
 *     {"contents":...}          {"key":"007","request":{"contents":...}}
 *     {"request":{...}}         {"key":"007","request":{...}}
 *
 * and a member that provides the key is replaced by it:
 *
 *     {"id":"a","request":{...}} {"key":"a","request":{...}}
 *
 * and all other bytes of the objects stay as they are. A clean file need not go through
 * this; it would only lose white space around its objects.
 *
 * The report must be of the same bytes: if they have changed since, -ESTALE. Any
 * thread; nothing is kept. */
#ifndef GB_COMPOSE_H
#define GB_COMPOSE_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#include "requests/line_parser.h"
#include "requests/validate.h"

/* Write to out, from its offset on, what is sent for in. Bounded memory. *ret_size, the
 * bytes written, is report->send_size unless the file is clean. 0, -ECANCELED once
 * *cancel (may be NULL) is true, -ESTALE, -ENOMEM, errno of reading or writing; out is
 * then not to be used. */
int normalize_file(int in, int out, const struct validate_report *report,
	const atomic_bool *cancel, off_t *ret_size);

/* The elements of the list of an inline submission, separated by commas, without
 * the brackets around them:
 *
 *     {"metadata":{"key":"a"},"request":{...}},{"request":{...},"metadata":...}
 *
 * The member "metadata" replaces "key", or follows a bare request. NUL- terminated; the
 * caller frees. -EFBIG when there is more than max to send, else the
 * errors of normalize_file. */
int normalize_inline(int in, const struct validate_report *report, int64_t max,
	char **ret, size_t *ret_len);

/* By how many bytes normalize_file makes a line of this kind longer. */
size_t normalize_extra(enum line_kind kind, unsigned width);

/* How long the object of a line is then, without that. */
uint64_t normalize_object(const struct line *line);

#endif
