/*
 * The only table from HTTP status and google.rpc status or reason to errno, and what an
 * errno means in English. Pure, any thread.
 */
#ifndef GB_ERRORS_H
#define GB_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

struct provider_error;

/* Negative errno for a reply with this HTTP status. reason is the ErrorInfo reason
 * or the google.rpc status, text the message; both may be NULL. 0 for 2xx. */
int errors_from_http(long status, const char *reason, const char *text);

/* The same for a google.rpc.Code number (errors of jobs and of result lines). 0 for
 * 0 (OK). */
int errors_from_grpc(int code);

/* "INVALID_ARGUMENT" for 3; "UNKNOWN" for an unknown code. Static. */
const char *errors_grpc_name(int code);

/* Whether name (or NULL) is one of them, other than OK. */
bool errors_is_grpc_name(const char *name);

/* What a negative errno of this library means, half a line. Static. */
const char *errors_meaning(int err);

/* What to do about a refusal with this reason (ErrorInfo) or text, in one line; NULL:
 * the API's message is enough. Both may be NULL. Static. */
const char *errors_advice(const char *reason, const char *text);

/* Who wants to know whether another try may pass: a set of bits, for the table. */
enum errors_call {
	CALL_ASK =
		1, /* what only asks, cancels or deletes: repeated at once, 4 times */
	CALL_UPLOAD = 2, /* a step of an upload, after a pause, as long as it gets on */
	CALL_DOWNLOAD = 4, /* results, after a pause, as long as bytes come */
	CALL_CREATE = 8,   /* a create that made nothing, while somebody waits */
	CALL_QUEUE = 16,   /* the same where nobody waits: for hours */
	CALL_REMOVE = 32,  /* rmdir, which goes on in the background until it is done */
	CALL_REQUEST = 64, /* one request of a job: is it worth to be sent again? */
};

/* Whether what failed with e may pass by itself: the one place where that is decided. */
bool errors_may_pass(const struct provider_error *e, enum errors_call call);
/* The same of a google.rpc.Code, or an HTTP status from 100 on, that a request was
 * answered with; -1: nobody knows, so it may. */
bool errors_code_may_pass(int64_t code);

/* Whether the text of a 429 says that waiting does not help (billing, credits). */
bool errors_hopeless(const char *text);

/* enum quota_kind: which quota the text of a 429, or a quota's name, is about. */
int errors_quota(const char *text);

#endif
