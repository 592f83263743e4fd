/* What the text of a job's `state` says. */
#ifndef FS_CLI_STATE_H
#define FS_CLI_STATE_H

#include <stdbool.h>
#include <string.h>

/* There is a job at the API. */
static inline bool state_is_bought(const char *state)
{
	return !strncmp(state, "JOB_", 4);
}

/* It has ended with results. */
static inline bool state_has_succeeded(const char *state)
{
	return !strcmp(state, "JOB_STATE_SUCCEEDED") ||
	       !strcmp(state, "JOB_STATE_PARTIALLY_SUCCEEDED");
}

static inline bool state_has_ended(const char *state)
{
	return state_has_succeeded(state) || !strcmp(state, "JOB_STATE_FAILED") ||
	       !strcmp(state, "JOB_STATE_CANCELLED") ||
	       !strcmp(state, "JOB_STATE_EXPIRED");
}

/* Nothing has left the machine since the last change, or it was refused. */
static inline bool state_is_unsent(const char *state)
{
	return !strcmp(state, "DRAFT") || !strcmp(state, "SUBMIT_FAILED");
}

#endif
