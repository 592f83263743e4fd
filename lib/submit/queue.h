/*
 * Work that was taken on in the background and waits for its turn at the API.
 *
 * For each model there is a gate. It is open until the API refuses something of that
 * model (429, or a failure of its own), or a connection breaks. From then on one job at a
 * time is tried, the probe, after growing pauses and never before the time that the API
 * named; nothing of the others is sent, not even to find out. Once a probe gets through,
 * the rest follows.
 *
 *   queue_go          starts what may be sent, and plans the next look
 *   queue_admits      asked by each submission before it calls, and again before it buys
 *   queue_refused, queue_passed, queue_wait, queue_left   how that ended
 *
 * Without a network nothing is tried: queue_online starts the queue when it is back.
 * All of it is in memory: a start begins with open gates.
 *
 * Any thread; client.lock is taken inside, but where a comment says that it is held.
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

/* Start what may be sent now, if it is meant for this origin and key. */
void queue_go(struct gb_client *c);
/* The same on a worker. freed: an own job has ended, so there may be room for another
 * before the pause is over. */
void queue_go_later(struct gb_client *c, bool freed);

/* The network is back: who waits for nothing else goes on. */
void queue_online(struct gb_client *c);

/* client.lock held: whether job may be sent now; with a closed gate it becomes the
 * probe. Ask once more after time has passed. */
bool queue_admits(struct gb_job *job);

/* client.lock held: why job was not admitted, negative errno. */
int queue_reason(const struct gb_job *job);

/* job was refused, or could not be sent, for that reason. pause: false if it is given up
 * for its age, and the next may show at once whether it is the same. */
void queue_refused(struct gb_job *job, const struct provider_error *why, bool pause);
void queue_passed(struct gb_job *job);
/* It was not admitted: it is looked at again. */
void queue_wait(struct gb_job *job);
/* It ended in another way. */
void queue_left(struct gb_job *job);

#endif
