/* What a file holds, by its content (libmagic), as the File API wants it named.
 *
 * Any thread: libmagic's one handle is made at the first question and used by one
 * thread at a time. Its table of types is mapped, not read. */
#ifndef GB_MIME_H
#define GB_MIME_H

#include <stdbool.h>

#define MIME_SIZE 128

/* The MIME type of what fd holds, from its first bytes, by pread; where libmagic and
 * the API call a type by different names, the API's. 0; -ENODATA: the file is empty;
 * -ELIBACC: no libmagic database on this machine; or the errno of reading. */
int mime_of_fd(int fd, char ret[MIME_SIZE]);

/* Whether a model can be asked about a file of this type: pictures, sound, video, PDF
 * and text. */
bool mime_is_media(const char *mime);

/* Whether it is text of any kind: source code, JSON and XML, too. */
bool mime_is_text(const char *mime);

#endif
