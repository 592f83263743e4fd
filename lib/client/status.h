/*
 * What status says: one table of values, of which `.batchfs/status`, `.batchfs/metrics` and
 * `status --json` are made (gb_status_as). A new value is a row in status.c and a line in
 * status_collect.
 */
#ifndef GB_STATUS_H
#define GB_STATUS_H

#include "jobs/client.h"

#include <stdio.h>

enum status_id {
	STATUS_ENDPOINT,
	STATUS_KEY_SOURCE,
	STATUS_ONLINE,
	STATUS_STATE_DIR,
	STATUS_CACHE_DIR,
	STATUS_CALLS,
	STATUS_SENT,
	STATUS_RECEIVED,
	STATUS_TOKENS_IN,
	STATUS_TOKENS_OUT,
	STATUS_TOKENS_CACHED,
	STATUS_JOBS,
	STATUS_DRAFTS,
	STATUS_UNSENT,
	STATUS_UNCERTAIN,
	STATUS_REMOVING,
	STATUS_NOT_SAVED,
	STATUS_DISK_SAVED,
	STATUS_DISK_CACHED,
	STATUS_DISK_LOW,
	STATUS_STATE_DIR_BYTES,
	STATUS_DISK_FREE,
	STATUS_TRASH,
	STATUS_IDS
};

/* Lists that follow the values; they grow with what is wrong, not with the jobs. */
struct status_entry {
	char when[32];
	char *what;
};

#define STATUS_STATES 24 /* there are some 15; what is beyond goes uncounted */

struct status {
	struct status_value {
		int64_t number; /* of a switch 0 or 1; -1: not known now */
		char *text;     /* NULL: the number says it all */
	} values[STATUS_IDS];
	struct status_count {
		char state[48];
		uint32_t n;
	} states[STATUS_STATES];
	struct status_entry *not_saved;
	size_t n_states, n_not_saved;
};

/* Unlocked. -ENOMEM. */
int status_collect(struct gb_client *c, struct status *ret);
void status_clear(struct status *s);
/* status_text.c. */
void status_put_text(const struct status *s, FILE *out);
void status_put_metrics(const struct status *s, FILE *out);
void status_put_json(const struct status *s, FILE *out);

#endif
