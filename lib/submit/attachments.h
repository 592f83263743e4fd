/*
 * Files of a draft that its request lines name (file_refs.h): checked with the draft,
 * uploaded before what is sent is uploaded, and put in as URIs on the way out.
 *
 *   attach_resolve   with the check: every name is a whole file of a type that a model
 *                    can be asked about. URIs of our own uploads (uploads.h), as they
 *                    stand on lines that are sent again, are looked up
 *   attach_upload    what is not at the API for 40 hours yet goes there, four at a
 * time, each upload remembered as it ends: a crash repeats none of them attach_write
 * sent.jsonl, with the URIs in place of the names
 *
 * A job holds its uploads in the registry until it has ended (attach_release). Our own
 * URI that is gone, or almost, is uploaded anew from the local copy of a job that has
 * one; a line whose file cannot be had any more is refused by its number.
 *
 * All but attach_free block: for workers.
 */
#ifndef GB_ATTACH_H
#define GB_ATTACH_H

#include "submit/submit.h"

struct attachments;

/* What the lines of in name. 0, and s->attached is NULL when that is nothing; -EBADMSG
 * or -EFBIG, and *ret_text (malloc'ed) says which lines and why. */
int attach_resolve(struct submission *s, int in, char **ret_text);
int attach_upload(struct submission *s);
/* s->fd and s->size become those of sent.jsonl. */
int attach_write(struct submission *s);
/* Tells one set of URIs from another; 0 for none. */
uint32_t attach_stamp(const struct attachments *a);
void attach_free(struct attachments *a);

/* The API has refused the create with these words: if they name a file of ours, none
 * of those that the job holds is used again. */
bool attach_doubt(struct submission *s);

/* lid needs its uploads no more, or (forget) has no local copies any more; then what
 * nobody needs is deleted at the API. */
void attach_release(struct gb_client *c, const char *lid, bool forget);
/* The second half alone, at start. */
void attach_tidy(struct gb_client *c);

#endif
