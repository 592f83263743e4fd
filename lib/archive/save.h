/*
 * Results that are to be saved: downloaded, made durable, in the job's directory or where they
 * lie (save.c); which of them next, and when (save_next.c).
 */
#ifndef GB_HOME_H
#define GB_HOME_H

#include "jobs/job.h"

/* client.lock held: false, it is being fetched or sealed; true: call home_run_fetch. */
bool home_begin_fetch(struct gb_job *job);
int home_run_fetch(struct gb_job *job);
/* Unlocked: start what is missing and due, as far as there is room. */
void home_next(struct gb_client *c);
/* Unlocked: see that this is done again when the next of those that were refused is due. */
void home_try_again(struct gb_client *c);

/* Its state. NULL without memory. */
struct saver *saver_new(void);
void saver_free(struct saver *s);
/* Lock held: results are not fetched as the disk is nearly full. */
bool saver_disk_low(const struct gb_client *c);

/* struct results_config's, arg: the job. */
void home_event(void *arg, struct gb_results *r, enum results_event ev);
/* Unlocked: all of it is here, but not safe yet. */
void home_note_whole(struct gb_job *job);
/* A reader has opened r: who does so in a loop, and fails, costs no request each time. */
void home_spare(struct gb_job *job, struct gb_results *r);
/* At the end, when no thread is left: what rests is sealed by the next start. */
void home_close(struct gb_client *c);
/* unlocked: the job has ended: bring its results home if that is asked for. */
void home_consider(struct gb_job *job);
#define HOME_RESULTS "results.jsonl"
#define HOME_NEW "results.new" /* downloaded again, beside what is kept */
/* unlocked: it is whole and durable, at home or in the cache. */
_must_check_ int home_note_safe(struct gb_job *job, int64_t size, bool home);

/* Start what is missing and there is room for; arg: the client. Unlocked. */
void home_go_on(void *arg);

/* client.lock held: there is output, which is not at home, at most in the cache. */
bool home_can_fetch(const struct gb_job *job);
/* client.lock held: should come home by itself and has not. */
bool home_missing(const struct gb_job *job);
/* client.lock held: all of the output is on the local disk, known to be whole, durable. */
bool home_safe(const struct gb_job *job);
/* unlocked: bring that about, in the cache where a reader has made it whole there, else at
 * home. As gb_fetch_home; call it again after a successful wake-up. */
int home_make_whole(struct gb_job *job, struct gb_waiter *w);

#endif
