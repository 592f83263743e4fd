/*
 * The one table from HTTP status and google.rpc status or reason to errno, and what
 * an errno means to people. Pure, any thread.
 */
#ifndef GB_ERRORS_H
#define GB_ERRORS_H

#include <stdbool.h>

/* Negative errno for a reply with this HTTP status. reason is the ErrorInfo reason
 * or the google.rpc status, text the message; both may be NULL. 0 for 2xx. */
int errors_from_http(long status, const char *reason, const char *text);

/* The same for a google.rpc.Code number (errors of jobs and of result lines). 0 for
 * 0 (OK). */
int errors_from_grpc(int code);

/* "INVALID_ARGUMENT" for 3; "UNKNOWN" for what is no code. Static. */
const char *errors_grpc_name(int code);

/* Whether name (or NULL) is one of them, but OK. */
bool errors_is_grpc_name(const char *name);

/* What a negative errno of this library means, half a line. Static. */
const char *errors_meaning(int err);

/* What to do about a refusal with this reason (ErrorInfo) or text, in a line; NULL: its
 * own words will do. Both may be NULL. Static. */
const char *errors_advice(const char *reason, const char *text);

/* Whether trying again can help: 408, 429, 5xx but 501. */
bool errors_status_passes(long status);

/* Whether the text of a 429 says that waiting does not mend it (billing, credits). */
bool errors_hopeless(const char *text);

#endif
