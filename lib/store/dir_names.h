/*
 * Display names of the API to directory names and back. This is the only way from bytes
 * of the wire to a name. The result is one path component of 1 to 255 bytes, valid
 * UTF-8, without '/', control characters (U+0000–1F, U+007F–9F) or a leading '.'. Pure;
 * any thread.
 */
#ifndef GB_NAMES_H
#define GB_NAMES_H

#include <stddef.h>

#define NAME_SIZE 256

/* display (valid UTF-8, any length) to a directory name in ret. Characters that are not
 * allowed, and a '%' that would be read as an escape, become %XX per byte. An empty
 * name becomes tail; one that is too long is cut between characters and ends in
 * "~tail". tail is that of the id (provider/ids.h), already checked, at most 128. */
void name_encode(const char *display, const char *tail, char ret[NAME_SIZE]);

/* The same name marked as one of several: "NAME~tail". */
void name_mark(const char *name, const char *tail, char ret[NAME_SIZE]);

/* One part of a path, n bytes of valid UTF-8 of any kind, as name_encode writes names,
 * except that a '%' becomes %25 only if it would begin an escape: "a%20.jpg" stays.
 * Different parts have different names, except that an empty one is also "%". Any
 * length: ret has NAME_PART_SIZE(n) bytes. Returns the length. */
#define NAME_PART_SIZE(n) (3 * (n) + 2)
size_t name_encode_part(const char *part, size_t n, char *ret);

/* How much of a name of n bytes fits into max: whole characters and escapes. */
size_t name_cut(const char *name, size_t n, size_t max);

/* A directory name made by a person to the display name that is sent: an escape is
 * resolved if name_encode would have made it. ret has NAME_SIZE bytes. -EILSEQ not
 * UTF-8, or with a control character, -EPERM begins with '.', -ENAMETOOLONG, -EINVAL empty. */
int name_decode(const char *name, char ret[NAME_SIZE]);

#endif
