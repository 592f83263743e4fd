/*
 * Where the API key comes from: api_key_file if given and then
 * only that; else GOOGLE_API_KEY, GEMINI_API_KEY; else ACCOUNT.key in the user's
 * configuration. Called once, before any thread and before the first fork, because it
 * removes the key from the environment that children inherit.
 */
#ifndef FS_KEY_H
#define FS_KEY_H

#include "mount/options.h"

struct key {
	char *text;   /* NULL: none */
	char *source; /* "GEMINI_API_KEY" or a path, for status */
};

/* 0; -ENOENT if there is none anywhere (and nothing was printed); other errors after a
 * line on stderr. The variables are wiped and unset in any case. */
int key_find(const struct options *o, struct key *ret);
/* After -ENOENT: a line that says where to put one. */
void key_explain_none(const struct options *o);
/* Overwrite and free. */
void key_wipe(struct key *k);

#endif
