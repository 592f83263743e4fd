/* Between make_requests.c (the lines) and make_requests_parts.c (what is the same in all). */
#ifndef GB_COMPOSED_PRIVATE_H
#define GB_COMPOSED_PRIVATE_H

#include "provider/gemini/make_requests.h"

#include <stddef.h>
#include <sys/types.h>

enum { COMPLAINTS = 10 };

struct composed {
	int out;
	char *buf;       /* going out */
	size_t n;
	uint64_t written;
	char *text;      /* the input being read, COMPOSED_TEXT_MAX bytes */
	char *prompt;    /* NULL: none */
	char *rest;      /* of a request, after contents: ,"name":value… */
	bool has_system;
	bool embedding;
	unsigned no_prompt;
	uint64_t requests, attachments;
	char *complaints;
	uint64_t n_complaints;
};

/* Fill in prompt, rest and has_system. */
int composed_take_parts(struct composed *c, const struct composed_parts *parts);

#endif
