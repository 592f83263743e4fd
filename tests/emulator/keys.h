/* API keys and the projects they belong to. keys_add before the server starts. */
#ifndef EMU_KEYS_H
#define EMU_KEYS_H

#include "http.h"

/* "KEY" or "KEY=PROJECT"; once one is added, no other keys are good. 0 or -EINVAL. */
int keys_add(const char *spec);

/* Finds the request's project; false when a refusal was replied. */
bool keys_check(struct request *rq);

/* The key of a request, borrowed, or NULL. */
const char *keys_given(struct request *rq);

/* Name of the project of a key, whether or not the key is good. */
void keys_project(const char *key, char project[64]);

/*
 * May this project see what belongs to `owner`? What belongs to "*" is seen by all, and
 * "*", which stands for the emulator itself, sees everything.
 */
bool project_owns(const char *project, const char *owner);

#endif
