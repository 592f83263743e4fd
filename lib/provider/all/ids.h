/*
 * Ids of all providers that there are. Only what passes here becomes part of a URL, a
 * journal or a file name. What is on disk may be another provider's than the one that
 * is open, so it is checked against all. Pure, any thread.
 */
#ifndef GB_ALL_IDS_H
#define GB_ALL_IDS_H

#include "provider/ids.h"

#include <stdbool.h>

bool remote_id_valid(enum remote_id kind, const char *id);
/* What names directories and files: id without its prefix; points into it. */
const char *remote_id_tail(const char *id);
/* The id that text, with or without the prefix, stands for; false: none. */
bool remote_id_from(enum remote_id kind, const char *text, char ret[REMOTE_ID_SIZE]);

/* A model as people write it: without the prefix, but for those of another collection.
 * NULL for NULL; points into model. */
const char *remote_model_name(const char *model);
/* Whether it can be one, with or without the prefix. */
bool remote_model_valid(const char *model);

#endif
