/*
 * Uploads that nobody needs any more are deleted at the API: the requests of a job, and the
 * files that they name (submit/attachments.h), when it has ended. What parts of a directory
 * name is held by the directory, too, until nothing more of it is to be sent: so a file
 * that all of them name is uploaded once, however slowly they go.
 *
 * Nothing depends on it: what stays is held until the next start, and dies by itself.
 */
#ifndef GB_RELEASE_UPLOADS_H
#define GB_RELEASE_UPLOADS_H

#include "jobs/job.h"

/* Workers: delete the requests that were uploaded for a job, if it has ended or never
 * was. */
void release_requests(struct gb_job *job);
/* Workers: the same, and the files that it names. */
void release_all(struct gb_job *job);
/* Lock not held: whether that would release anything. */
bool release_is_due(struct gb_job *job);
/* Hook: a part of dir that was never sent is gone; for it `file` was uploaded, or NULL. */
void release_unmade(struct gb_job *dir, const char *file);

#endif
