/* Shared by estimate.c (limits, prices, the verb) and estimate_count.c (the number). */
#ifndef GB_ESTIMATE_PRIVATE_H
#define GB_ESTIMATE_PRIVATE_H

#include "submit/submit.h"

struct estimate {
	double tokens, error; /* the number, and how far it may be off */
};

/* Ask the API about a sample of the requests that the check accepted, and of their
 * attachments. On failure s->err says why. */
_must_check_ int estimate_count(struct submission *s, struct estimate *ret);

#endif
