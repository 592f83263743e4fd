/* One option: the table of all, and its value. For options.c, which knows where they come
 * from. */
#ifndef FS_OPTION_PRIVATE_H
#define FS_OPTION_PRIVATE_H

#include "mount/options.h"
#include "util/util.h"

/* FILE:LINE of what is being set; NULL: the command line. */
extern const char *option_place;

/* What api= may be, up to NULL; the first is the default. */
extern const char *const api_words[];

/* Say what is wrong with it: OPTIONS_BAD. */
enum options_verdict bad_option(const char *fmt, ...) _printf_(1, 2);
/* word is NAME or NAME=VALUE, and is written into. */
enum options_verdict set_option(struct options *o, char *word);

#endif
