/*
 * Quotas, as knobs set them: how many creates, unended jobs, tokens of unended jobs of a
 * model, and how much money a project may have. A create asks twice: quota_call before it
 * looks at what came, quota_job when the job could be made. Both answer with a refusal,
 * whose `cause` is QUOTA_NONE if there is none; quota_reply sends it.
 */
#ifndef EMU_QUOTA_H
#define EMU_QUOTA_H

#include "http.h"
#include "jobs.h"

enum quota {
	QUOTA_NONE,
	QUOTA_RATE,
	QUOTA_CREDITS,
	QUOTA_JOBS,
	QUOTA_TOKENS,
	QUOTA_JOB_TOKENS,
	QUOTA_SPEND,
	QUOTA_WHIM,
	QUOTAS
};

struct refusal {
	enum quota cause;
	double limit;
	double seconds;    /* QUOTA_RATE: until it would pass */
	const char *model; /* borrowed from the table of models or the request */
};

/* world_lock: may this project try a create now? It has been counted then. */
struct refusal quota_call(const char *project, const char *model);
/* world_lock: may the job, not yet known to others, be made? It has been paid then. */
struct refusal quota_job(const struct job *j);

/* 429 in the words of its kind, or as the knob quota_text has it. */
void quota_reply(struct request *rq, const struct refusal *r);

/* world_lock: what is queued, spent and was refused. */
json_t *quota_json(void);
/* world_lock: forgets creates, money, refusals and what was the most. */
void quota_reset(void);

#endif
