/*
 * The kinds of ids of things at an API. Each kind has a prefix of its own
 * ("batches/x"); after it come 1 to 128 characters of [A-Za-z0-9_.-], the first not
 * '.' (util_id_valid). They are checked, cut and completed in provider/all/ids.h.
 */
#ifndef GB_IDS_H
#define GB_IDS_H

enum remote_id { REMOTE_BATCH, REMOTE_FILE, REMOTE_MODEL, REMOTE_IDS };

enum { REMOTE_ID_SIZE = 160 };

#endif
