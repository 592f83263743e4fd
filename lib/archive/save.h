/*
 * Saving results: downloading them and making them durable, in the job's directory or
 * where they are (save.c, seal.c); which are saved next, and when (save_next.c). The
 * rest of this room: where results are (open.h), what a start finds of them
 * (recover.h), whether they are complete (complete.h).
 *
 * In order: save_consider (the job has ended) or gb_save_results (a person asks) claims
 * the job with save_begin and starts a worker with save_run. The worker
 * downloads (results.h), seals, and calls save_note_safe, which journals it and tells
 * the rooms above (hook results_saved). What a reader has completed is only sealed
 * (save_note_whole).
 *
 * At most one save or seal runs for a job. What failed is tried again automatically,
 * when knowledge.h says so. Errors are negative errno; -ENODATA: the API does not give
 * the results out.
 */
#ifndef GB_HOME_H
#define GB_HOME_H

#include "jobs/job.h"

/* Lock held: false, it is being fetched or sealed; true: call save_run. */
bool save_begin(struct gb_job *job);
int save_run(struct gb_job *job);
/* Unlocked: start saving what is missing and due, as far as there is room. */
void save_next(struct gb_client *c);
/* Unlocked: plan this again for the time when the next refused output is due. */
void save_try_again(struct gb_client *c);

/* Its state. NULL without memory. */
struct saver *saver_new(void);
void saver_free(struct saver *s);
/* Lock held: whether results are not fetched because the disk is nearly full. */
bool saver_disk_low(const struct gb_client *c);

/* struct results_config's, arg: the job. */
void save_event(void *arg, struct gb_results *r, enum results_event ev);
/* Unlocked: gb_results_size tells this size of r, proven or not. */
void save_note_told(struct gb_job *job, struct gb_results *r, int64_t size);
/* Lock held: r is new. If it knows the size it replaces one that was only told. */
void save_note_proven(struct gb_job *job, struct gb_results *r);
/* Unlocked: all bytes are here but not durable yet. */
void save_note_whole(struct gb_job *job);
/* Lock held: the errno of the last try, if the API has named a time to ask again
 * and it has not come yet. Only `fetch` asks anyway. 0: the API may be asked. */
int save_told_later(const struct gb_job *job);
/* Lock held: the errno of the last try to save the results, if several in a row have
 * failed, so that people are to be told; 0: no. One that was refused has its own words
 * (knowledge.h). */
int save_in_vain(const struct gb_job *job);
/* A reader has opened r. A reader that opens it in a loop and fails does not cost a
 * request each time. */
void save_spare(struct gb_job *job, struct gb_results *r);
/* At the end, when no thread is left. Seals that have not begun are left to the next
 * start. */
void save_close(struct gb_client *c);
/* unlocked: the job has ended: save its results if they are to be saved. */
void save_consider(struct gb_job *job);
#define RESULTS_FILE "results.jsonl"
#define RESULTS_NEW_FILE "results.new" /* downloaded again, beside the saved copy */
/* unlocked: the results are complete and durable, saved or in the cache. */
_must_check_ int save_note_safe(struct gb_job *job, int64_t size, bool home);

/* Start saving what is missing and fits on the disk; arg: the client. Unlocked. */
void save_go_on(void *arg);

/* Lock held: whether there is output that is not saved, but in the cache at
 * most. */
bool save_is_possible(const struct gb_job *job);
/* Lock held: whether it is to be saved automatically and is not saved yet. */
bool save_is_missing(const struct gb_job *job);
/* Lock held: whether the whole output is on the local disk, known to be complete
 * and durable. */
bool save_is_safe(const struct gb_job *job);
/* unlocked: make it so: in the cache if a reader has completed it there, else in the
 * job's directory. Like gb_save_results; call it again after a successful wake-up. */
int save_make_whole(struct gb_job *job, struct gb_waiter *w);

#endif
