/* What a request came to: one table for every file that says so. */
#ifndef GB_ANSWERS_OUTCOME_H
#define GB_ANSWERS_OUTCOME_H

#include <stdbool.h>

/* In the order of `usage`. */
enum answers_status {
	ANSWERED,
	ANSWER_TRUNCATED,
	ANSWER_INVALID, /* JSON that does not fit the schema that was asked for */
	ANSWER_BLOCKED,
	ANSWER_FAILED,
	ANSWER_MISSING,
	ANSWER_PENDING, /* of several parts: the one that has it has not ended, or is not
	                   bought yet */
	ANSWER_STATUSES,
};

enum answers_retry {
	RETRY_NEVER,
	RETRY_IF_PASSING, /* where the cause may pass */
	RETRY_ALWAYS,
};

struct answers_outcome {
	const char *name;   /* in answers.tsv, answers.csv, usage */
	bool may_have_text; /* of the model's; else there is only the reason why not */
	enum answers_retry retry;
};

extern const struct answers_outcome answers_outcomes[ANSWER_STATUSES];

/* Whether another try may answer it: whether it is in retry.jsonl. passing: its cause
 * may pass. */
static inline bool answers_may_retry(enum answers_status status, bool passing)
{
	enum answers_retry retry = answers_outcomes[status].retry;

	return retry == RETRY_ALWAYS || (retry == RETRY_IF_PASSING && passing);
}

#endif
