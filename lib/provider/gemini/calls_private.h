/* What calls.c (all methods but one) and calls_create.c (the create) share. */
#ifndef GB_CALLS_PRIVATE_H
#define GB_CALLS_PRIVATE_H

#include "provider/gemini/gemini.h"

extern const char *const calls_json_headers[];

/* Call once. Nothing is repeated here: the caller may, if the request is idempotent. */
int calls_one_try(struct engine *e, const struct http_request *r, struct canceller *c,
	struct http_reply *reply, struct provider_error *err);
/* A request that only asks: tries may be repeated, within total_s seconds, of which one
 * takes try_s at most. On failure reply is empty. */
int calls_ask(struct engine *e, const struct http_request *r, double try_s,
	double total_s, struct canceller *c, struct http_reply *reply,
	struct provider_error *err);
/* A 2xx that cannot be understood, or is too large. What is known about its sender
 * stays. */
int calls_broken(struct provider_error *err, int r);
/* Refused before anything was sent. */
int calls_invalid(struct provider_error *err, const char *why);
/* "models/M", or what another collection has. NULL: no name of a model. */
char *calls_model_path(const char *model);

#endif
