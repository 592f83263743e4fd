/*
 * What moves jobs on: one thread that watches the clock, and workers that make results.
 * life_start after everything was loaded; life_stop joins them all.
 */
#ifndef EMU_LIFE_H
#define EMU_LIFE_H

#include "jobs.h"

void life_start(void);
void life_stop(void);

/* Something may be due earlier than it was. Any lock may be held. */
void life_kick(void);

/* A job was added or has come back to life; world_lock held. */
void life_watch(struct job *j);

/* Ends a job now, without results; world_lock held. */
void life_end(struct job *j, enum job_state state);

#endif
