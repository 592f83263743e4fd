/* Files that request lines name: finding and replacing them.
 *
 *     "file_data": {"file_uri": "inputs/cat.png", "mime_type": "image/png"}
 *
 * The value of a member file_data or fileData that is an object, and in it the string
 * of a member file_uri or fileUri: at any depth, however names and strings are escaped.
 * A URI without a scheme names a file of the draft, and is called loose.
 *
 * Both functions read a file of lines that the check has accepted, from its beginning,
 * in bounded memory however long a line is. -ESTALE if it is not acceptable (any more).
 * Any thread; no state. */
#ifndef GB_URIS_H
#define GB_URIS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define URIS_TEXT_MAX 2048 /* bytes of a URI or name that are looked at */

/* One that was found. text is NUL-terminated and unescaped, and valid during the
 * call. */
struct uris_found {
	uint64_t line; /* from 1 */
	const char *text;
	bool loose;
	bool odd; /* longer than URIS_TEXT_MAX, or with a NUL in it: text is its
		     beginning */
};

/* A result other than 0 ends the reading with that value. */
typedef int (*uris_fn)(void *arg, const struct uris_found *found);

/* Call it for all of them, in order. 0, -ECANCELED once *cancel (may be NULL) is true,
 * -ESTALE, -ENOMEM, errno of reading. */
int uris_each(int fd, const atomic_bool *cancel, uris_fn each, void *arg);

/* What replaces one: plain texts, borrowed until uris_replace returns. If the object
 * has no mime_type, mime is put beside the URI, in the same spelling. */
struct uris_new {
	const char *uri, *mime;
};

/* Copy in to out (from its present offset). Each URI is replaced by what find returns;
 * NULL: it stays. *ret_size is the number of bytes written. */
int uris_replace(int in, int out, const atomic_bool *cancel,
	const struct uris_new *(*find)(void *arg, const char *text), void *arg,
	off_t *ret_size);

/* A URI that the API may fetch: a scheme (a letter, then letters, digits, "+", "-",
 * ".", at most 32 of them), then "://"; not file://. */
bool uris_has_scheme(const char *text, size_t len);

#endif
