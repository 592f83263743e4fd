/*
 * Ids of things at an API. Each kind has a prefix of its own ("batches/x"); after it
 * come 1 to 128 characters of [A-Za-z0-9_.-], the first not '.' (util_id_valid). Only
 * what passes here becomes part of a URL, a journal or a file name.
 *
 * What is kept on disk is read before anybody knows whose it is, so ids.c has a row for each
 * provider that there is, and an id is one if any of them says so. Pure, any thread.
 */
#ifndef GB_IDS_H
#define GB_IDS_H

#include <stdbool.h>

enum remote_id { REMOTE_BATCH, REMOTE_FILE, REMOTE_MODEL, REMOTE_IDS };

enum { REMOTE_ID_SIZE = 160 };

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
