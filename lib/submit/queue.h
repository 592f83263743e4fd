/*
 * Jobs that were submitted in the background and wait for their turn at the API.
 *
 * For each model there is a gate. It is open until the API refuses something for that
 * model (429, or a failure of its own), or a connection breaks. From then on one job at
 * a time is tried, the probe, after growing pauses and never before the time that the
 * API named; nothing of the other jobs is sent. Once a probe succeeds, the others
 * follow.
 *
 *   queue_go          starts jobs that may be sent, and plans the next look
 *   queue_admits      each submission asks this before it calls the API, and again
 *                     before the create
 *   queue_refused, queue_passed, queue_wait, queue_left   report how that ended
 *
 * Without a network nothing is tried; queue_online starts the queue when the network is
 * back. All of it is in memory: after a start all gates are
 * open.
 *
 * Any thread; client.lock is taken inside, unless a comment says that it is held.
 */
#ifndef GB_QUEUE_H
#define GB_QUEUE_H

#include <stdbool.h>

struct provider_error;
struct gb_client;
struct gb_job;

/* NULL without memory. */
struct queue *queue_new(void);
void queue_free(struct queue *q);

/* Start the jobs that may be sent now, if they are meant for this origin and key. */
void queue_go(struct gb_client *c);
/* The same on a worker. freed: an own job has ended, so there may be room for another
 * before the pause is over. */
void queue_go_later(struct gb_client *c, bool freed);

/* The network is back: jobs that wait for nothing else go on. */
void queue_online(struct gb_client *c);

/* Lock held: whether job may be sent now. If the gate is closed, job becomes the
 * probe. Ask again later. */
bool queue_admits(struct gb_job *job);

/* Lock held: why job was not admitted, negative errno. */
int queue_reason(const struct gb_job *job);

/* job was refused, or could not be sent, for this reason. pause: false if it is given
 * up because of its age; then the next job may be tried at once. */
void queue_refused(struct gb_job *job, const struct provider_error *why, bool pause);
void queue_passed(struct gb_job *job);
/* The job was not admitted; it is looked at again later. */
void queue_wait(struct gb_job *job);
/* The submission ended in another way. */
void queue_left(struct gb_job *job);

#endif
