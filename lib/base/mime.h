/* The type of a file's content (by libmagic), named as the File API wants it.
 *
 * Any thread: libmagic's one handle is made for the first question and used by one
 * thread at a time. Its table of types is mapped, not read. */
#ifndef GB_MIME_H
#define GB_MIME_H

#include <stdbool.h>
#include <stddef.h>

#define MIME_SIZE 128

/* The MIME type of fd's content, from its first bytes, read with pread. If libmagic and
 * the API have different names for a type, the API's. 0; -ENODATA: the file is empty;
 * -ELIBACC: no libmagic database on this machine; or the errno of reading. */
int mime_of_fd(int fd, char ret[MIME_SIZE]);

/* The name of the encoding that these bytes of text are in, as iconv knows it; false:
 * it cannot be determined. */
bool mime_encoding(const void *buf, size_t n, char ret[MIME_SIZE]);

/* Whether models accept a file of this type: pictures, sound, video, PDF and text. */
bool mime_is_media(const char *mime);

/* Whether it is text of any kind, including source code, JSON and XML. */
bool mime_is_text(const char *mime);

#endif
