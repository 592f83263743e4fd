/*
 * Where a directory's requests are cut into parts (jobs/parts.h), and what a part sends.
 *
 * A part is cut when it is about to be sent, out of what no part has: as much as its
 * user said (jobs/split.h), as a job may have at the API, and as this model's queue takes
 * (fit.h). Its bytes are a range of the one file that the check made sure of; the
 * marks of the check (requests/line_marks.h) say where lines begin, so nothing is read
 * for it but what lies between two marks. After a restart there are none, and what the
 * part has is read once more.
 */
#ifndef GB_CUT_H
#define GB_CUT_H

#include "jobs/parts.h"
#include "submit/submit.h"

enum {
	CUT_PARTS = 10000, /* more are a mistake */
	CUT_LEAST = 100,   /* requests: nothing is made smaller than that by itself */
};

/* The first half: a little more than the second, so that this fits, too, where the first
 * has fitted, although lines have different lengths. */
static inline int64_t cut_half(int64_t n)
{
	return n / 2 + n / 32;
}

/* Lock held: what one part of a directory may have; also where it asks again. */
struct line_run cut_most(const struct gb_job *dir);

/* The step `split`: s->cut says whether the requests do not go as one job. */
int submission_split(struct submission *s);
/* Lock held: whether its user wants more than one job of so many requests. */
bool cut_is_wanted(const struct gb_job *job, int64_t requests);

/* Unlocked, worker, for all below. The directory's requests as they are sent: a
 * descriptor, which the caller closes. -ESTALE: they are not what was checked. */
int cut_open(struct gb_job *dir, struct stat *ret);
/* The range and number of requests of the next part of fd, which is what cut_open
 * opens. -ENODATA: all of it has parts. */
int cut_next(struct gb_job *dir, int fd, struct part_range *ret, int64_t *ret_requests);
/* The first half of a part that was not intended: durably, its upload is s->orphan.
 * -ENODATA: it has one request. */
int cut_halve(struct submission *s);
/* What cut_halve does for each kind of part; the second is in cut_round.c. */
int cut_halve_round(struct submission *s);
/* How many requests that half has; 0: there is one. */
int64_t cut_half_of_part(const struct record *r);
/* Durably: so many are what the part has. */
_must_check_ int cut_shrink(struct submission *s, struct line_run run);
/* The requests of a part of a later round: the first *ret_size bytes of its file. */
int cut_open_round(struct gb_job *part, struct stat *ret, int64_t *ret_size);
/* Lock held, at start: whether a part of a later round is one half of another that still
 * has all. */
bool cut_is_copied(struct gb_job *part);
/* Lock held: the same of all that it is a half of, and those in turn. So who has it must not
 * go before its halves. */
bool cut_is_had(struct gb_job *part);
/* Lock held: whether a half of it is not sent yet. */
bool cut_has_halves(const struct gb_job *part);
/* The first step of a part: s->fd, off and size become what it sends. */
int cut_part_open(struct submission *s);
/* Take the marks of the check into the directory. */
void cut_keep_marks(struct submission *d);

#endif
