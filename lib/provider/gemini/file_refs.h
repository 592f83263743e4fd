/* Files that request lines name: finding and replacing them.
 *
 *     "file_data": {"file_uri": "inputs/cat.png", "mime_type": "image/png"}
 *
 * The value of a member file_data or fileData that is an object, and in it the string
 * of a member file_uri or fileUri: at any depth, however names and strings are escaped.
 * A URI without a scheme names a file of the draft, and is called loose.
 *
 * Both functions read lines that the check has accepted, the first of which is line 1,
 * in bounded memory however long a line is. -ESTALE if it is not acceptable (any more).
 * Any thread; no state. */
#ifndef GB_URIS_H
#define GB_URIS_H

#include "provider/request_grammar.h"

/* Call it for all of them, in order. 0, -ECANCELED once *cancel (may be NULL) is true,
 * -ESTALE, -ENOMEM, errno of reading. */
int file_refs_each(struct lines_span in, const atomic_bool *cancel, uris_fn each, void *arg);

/* Copy in to out (from its present offset). Each URI is replaced by what find returns;
 * NULL: it stays. *ret_size is the number of bytes written. */
int file_refs_replace(struct lines_span in, int out, const atomic_bool *cancel,
	const struct uris_new *(*find)(void *arg, const char *text), void *arg,
	off_t *ret_size);

/* A URI that the API may fetch: a scheme (a letter, then letters, digits, "+", "-",
 * ".", at most 32 of them), then "://"; not file://. */
bool file_refs_has_scheme(const char *text, size_t len);

#endif
