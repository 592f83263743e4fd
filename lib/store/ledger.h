/*
 * The ledger, STATE/history: events of own jobs, one line each (TSV), below a line of
 * headings. It is only ever appended to, with one exception: a ledger of an earlier
 * version, which has fewer fields and no headings, is rewritten when it is opened.
 */
#ifndef GB_LEDGER_H
#define GB_LEDGER_H

#include "base/util.h"

/* Tokens are -1 and cost is "-" where they are not known. */
struct ledger_tokens {
	int64_t in, out; /* prompts; candidates and thoughts */
	int64_t cached;  /* of those that went in */
	int64_t total;   /* as the API counts them, which may be more than both */
	char cost[32];
};
#define LEDGER_NO_TOKENS ((struct ledger_tokens){-1, -1, -1, -1, "-"})

#define LEDGER_HEAD                                                                         \
	"time\tuid\twhat\tid\tname\tmodel\trequests\ttokens_in\ttokens_out\tcached\tcost\t" \
	"total\n"

/* A descriptor to read and to append to, or negative errno. If there is no room to
 * rewrite it, it stays as it is until the next time. */
int ledger_open(int dir);
/* The fields for tokens at the end of a line, malloc'ed. */
char *ledger_fields(const struct ledger_tokens *t);

#endif
