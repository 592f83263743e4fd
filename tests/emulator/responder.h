/*
 * Answers to single requests: built in and deterministic, or by a command.
 *
 * Magic words in a prompt ask the built-in responder for special outcomes; see
 * docs/emulator.md. Any thread may call.
 */
#ifndef EMU_RESPONDER_H
#define EMU_RESPONDER_H

#include "util.h"

struct asking {
	const char *model, *project;
	bool embed;
};

/* Before anything else; NULL: the built-in one. At most `jobs` commands at a time. */
void responder_set(const char *command, int jobs);
/* Do answers take their time? Then they are made while the job is RUNNING. */
bool responder_is_slow(void);
/* How many answers may be made at the same time. */
int responder_width(void);

/*
 * {"response":…} or {"error":…} for a request (borrowed; NULL when its line was no
 * JSON). NULL: no result line at all.
 */
json_t *respond(const struct asking *a, json_t *request);

#endif
