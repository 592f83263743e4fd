/*
 * Taking what replies of the API tell: new jobs, states, ends, missing jobs. Unlocked,
 * unless a comment says "Lock held".
 */
#ifndef GB_OBSERVE_H
#define GB_OBSERVE_H

#include "jobs/job.h"

/* Take what a reply tells about a job. seq: client.seq when the call began. listed:
 * from a list, which may be incomplete. Returns the job, a new reference, or NULL if it
 * is held back or not to be shown. */
struct gb_job *observe_batch(
	struct gb_client *c, const struct remote_batch *b, uint64_t seq, bool listed);
/* The API answered 404 for the job itself, to GET, cancel or DELETE. */
void observe_missed(struct gb_job *job);
/* Lock held: whether it is ours, or its results are saved: then only rmdir removes it
 * from the tree. */
bool observe_keeps(const struct gb_job *job);
/* Request a job from the API and observe the reply, a 404 included. Blocks. Returns 0
 * or the errno in err. */
int observe_look(
	struct gb_job *job, struct canceller *cancel, struct provider_error *err);
uint64_t observe_seq(struct gb_client *c);
/* Lock held: whether there are so many jobs of others that no more are accepted. */
bool observe_full(const struct gb_client *c);
/* At start: load CACHE/known and the job.json files; once the key's fingerprint is
 * known: note which jobs it made. */
_must_check_ int observe_names(struct gb_client *c);
_must_check_ int observe_known(struct gb_client *c);
_must_check_ int observe_local_json(struct gb_job *job);
void observe_keys(struct gb_client *c);

#endif
