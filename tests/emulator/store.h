/*
 * The data directory. It holds one small JSON file a record in a folder a kind, and
 * the bytes of files, uploads and inline jobs beside them:
 *
 *	files/ID.json	uploads/ID.json	jobs/ID.json	caches/ID.json
 *	blobs/ID	bytes of a file or of an upload in progress
 *	inline/ID.in, inline/ID.out	requests and results of a job, one a line
 *
 * Records are replaced by rename, so a killed emulator finds whole ones. Nothing is
 * synced: it must survive a restart, not a power cut. Ids are checked by store_id_ok
 * before they come here; any thread may call.
 */
#ifndef EMU_STORE_H
#define EMU_STORE_H

#include "util.h"

/* Opens (making it) `dir`, or a temporary one when NULL. 0 or -errno. */
int store_open(const char *dir);
/* Removes a temporary directory. */
void store_close(void);

/* Made of [A-Za-z0-9_-] only, 1 to 128 of them? */
bool store_id_ok(const char *id);

/* "DIR/kind/idsuffix", to be freed. */
char *store_path(const char *kind, const char *id, const char *suffix);

void store_save(const char *kind, const char *id, const json_t *record);
void store_remove(const char *kind, const char *id);
/* Removes a file beside the records. */
void store_unlink(const char *kind, const char *id, const char *suffix);

/* Calls `each` with the records of a kind, in no order; start-up only. */
void store_each(const char *kind, void (*each)(const char *id, json_t *record));

#endif
