/* Files that request lines name: found, and replaced on the way out.
 *
 *     "file_data": {"file_uri": "inputs/cat.png", "mime_type": "image/png"}
 *
 * The value of a member file_data or fileData that is an object, and in it the string
 * of a member file_uri or fileUri: at any depth, however names and strings are escaped.
 * A URI without a scheme names a file of the draft, and is called loose.
 *
 * Both functions read a file of lines that scan has found good, from its beginning, in
 * bounded memory however long a line is. If it is not good (any more), -ESTALE. Any
 * thread; nothing is kept. */
#ifndef GB_URIS_H
#define GB_URIS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define URIS_TEXT_MAX 2048 /* bytes of a URI or name that are looked at */

/* One that was found. text is NUL-terminated and unescaped, and valid for the call. */
struct uris_found {
	uint64_t line; /* from 1 */
	const char *text;
	bool loose;
	bool odd; /* longer than URIS_TEXT_MAX, or with a NUL in it: text is its
		     beginning */
};

/* What returns other than 0 ends the reading with that value. */
typedef int (*uris_fn)(void *arg, const struct uris_found *found);

/* All of them, in order. 0, -ECANCELED once *cancel (may be NULL) is true, -ESTALE,
 * -ENOMEM, errno of reading. */
int uris_each(int fd, const atomic_bool *cancel, uris_fn each, void *arg);

/* What takes the place of one: plain texts, borrowed until uris_replace returns. mime
 * is put beside it, spelled as the URI's name is, where the object has no mime_type. */
struct uris_new {
	const char *uri, *mime;
};

/* Copy in to out (from its present offset), with what find says in place of what it was
 * asked about; NULL: it stays. *ret_size is the number of bytes written. */
int uris_replace(int in, int out, const atomic_bool *cancel,
	const struct uris_new *(*find)(void *arg, const char *text), void *arg,
	off_t *ret_size);

/* A URI that the API may fetch: a scheme (a letter, then letters, digits, "+", "-", ".", at
 * most 32 of them), then "://"; not file://. */
bool uris_has_scheme(const char *text, size_t len);

#endif
