/* Running the responder command: text in, text out. */
#ifndef EMU_COMMAND_H
#define EMU_COMMAND_H

#include "util.h"

/* At most n at a time; before the first run. */
void command_limit(int n);

/*
 * Runs `sh -c command` with the prompt on stdin; the request as JSON is in the
 * environment's GEMINI_REQUEST if it is short, the model in GEMINI_MODEL. Its output
 * (at most 64 MiB) is added to `out`. Returns its exit status, 128 + signal, or 127.
 */
int command_run(const char *command, const char *model, json_t *request,
	const struct buf *prompt, struct buf *out);

#endif
