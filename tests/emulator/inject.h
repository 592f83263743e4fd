/*
 * Jobs of other clients, made from nothing, and changes to jobs that no client could
 * make. Bodies are JSON objects; docs/emulator.md lists their members.
 */
#ifndef EMU_INJECT_H
#define EMU_INJECT_H

#include "http.h"
#include "jobs.h"

/* Makes `count` jobs and replies with their names. */
void inject_jobs(struct request *rq, json_t *body);

/* Alters a job; world_lock held. False after a refusal was replied. */
bool inject_change(struct request *rq, struct job *j, json_t *body);

#endif
