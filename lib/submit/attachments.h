/*
 * Files of a draft that its request lines name (file_refs.h). They are checked with the
 * draft, uploaded before the requests are uploaded, and replaced by URIs in what is
 * sent.
 *
 *   attach_resolve   with the check: every name is a complete file of a type that
 *                    models accept. URIs of our own uploads (uploads.h), on lines that
 *                    are sent again, are looked up
 *   attach_upload    uploads what will not be at the API for another 40 hours, four at
 *                    a time, and remembers each upload as it ends: a crash repeats none
 *   attach_write     sent.jsonl, with the URIs in place of the names
 *
 * A job holds its uploads in the registry until it has ended (attach_release). If the
 * upload behind one of our URIs is gone, or nearly, it is repeated from the local copy
 * of a job that has one; a line whose file does not exist any more is refused by its
 * number.
 *
 * All but attach_free block: for workers.
 */
#ifndef GB_ATTACH_H
#define GB_ATTACH_H

#include "submit/submit.h"

struct attachments;

/* Find what the lines of `in` name; a part's name files of its directory. 0; s->attached is NULL if they name nothing.
 * -EBADMSG or -EFBIG, and *ret_text (malloc'ed) says which lines and why. */
int attach_resolve(struct submission *s, struct lines_span in, char **ret_text);
int attach_upload(struct submission *s);
/* s->fd and s->size become those of sent.jsonl. */
int attach_write(struct submission *s);
/* A number that differs for different sets of URIs; 0 for none. */
uint32_t attach_stamp(const struct attachments *a);
void attach_free(struct attachments *a);

/* The API has refused the create with this message. If it names a file of ours, none of
 * the uploads that the job holds is used again. */
bool attach_doubt(struct submission *s);

/* lid does not need its uploads any more, or (forget) has no local copies any more;
 * then delete at the API what nobody needs. */
void attach_release(struct gb_client *c, const char *lid, bool forget);
/* The second half alone, at start. */
void attach_tidy(struct gb_client *c);

#endif
