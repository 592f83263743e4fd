/* Whose a job is: the origin and the key that it was made with, against those of
 * today. */
#include "jobs/job.h"

#include <string.h>

static bool meant_for_us(const struct gb_client *c, const struct record *r)
{
	return (!r->origin || strcmp(r->origin, engine_origin(c->engine)) == 0) &&
	       (!r->key_print || strcmp(r->key_print, c->key_print) == 0);
}

bool identity_same_key(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return !job->dir || meant_for_us(job->c, &job->dir->rec);
}
