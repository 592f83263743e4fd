/*
 * What replies of the API teach: new jobs, states, ends, missing jobs. Unlocked, unless a comment
 * says "lock held".
 */
#ifndef GB_OBSERVE_H
#define GB_OBSERVE_H

#include "jobs/job.h"

/* Take what a reply tells about a job. seq: client.seq when the call began. listed:
 * from a list, which leaves things out. Returns the job, a new reference, or NULL
 * when it is held back or not to be shown. */
struct gb_job *learn_batch(
	struct gb_client *c, const struct remote_batch *b, uint64_t seq, bool listed);
/* The API said 404 of a job itself, with GET, cancel or DELETE. */
void learn_missed(struct gb_job *job);
/* Lock held: it is ours, or its results are at home: it leaves the tree by rmdir alone. */
bool learn_keeps(const struct gb_job *job);
/* Ask the API for a job and take what it tells, a 404 included. Blocks. 0 or err's. */
int learn_look(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
uint64_t learn_seq(struct gb_client *c);
/* Lock held: there are so many jobs of others that no more are believed in. */
bool learn_full(const struct gb_client *c);
/* At start: what CACHE/known and job.json hold; once the key's fingerprint is known: which
 * jobs it made. */
_must_check_ int learn_names(struct gb_client *c);
_must_check_ int learn_known(struct gb_client *c);
_must_check_ int learn_local_json(struct gb_job *job);
void learn_keys(struct gb_client *c);

#endif
