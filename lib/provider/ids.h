/*
 * Ids of things at an API. Each kind has a prefix of its own ("batches/x"); after it
 * come 1 to 128 characters of [A-Za-z0-9_.-], the first not '.' (util_id_valid). A
 * provider gives its prefixes; provider/all/ids.h checks, cuts and completes those of
 * all.
 */
#ifndef GB_IDS_H
#define GB_IDS_H

enum remote_id { REMOTE_BATCH, REMOTE_FILE, REMOTE_MODEL, REMOTE_IDS };

enum { REMOTE_ID_SIZE = 160 };

/* Of one provider. */
struct provider_ids {
	const char *prefix[REMOTE_IDS];
	/* Of models of another collection, which people write with it; NULL: none. */
	const char *tuned;
};

#endif
