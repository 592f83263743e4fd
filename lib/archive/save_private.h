/* What save.c and save_next.c share: the state of saving for a client. */
#ifndef GB_SAVE_PRIVATE_H
#define GB_SAVE_PRIVATE_H

#include "archive/save.h"

/* All under client.lock. */
struct saver {
	unsigned fetches_running;
	double fetch_at; /* save_next is planned for this time; 0: it is not */
	bool rest_timer; /* a look at waiting seals is planned */
	bool disk_low;
};

#endif
