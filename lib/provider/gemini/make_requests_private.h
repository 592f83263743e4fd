/* Shared by make_requests.c (the lines), make_requests_table.c (lines from the rows of
 * a table) and make_requests_parts.c (what all lines share). */
#ifndef GB_COMPOSED_PRIVATE_H
#define GB_COMPOSED_PRIVATE_H

#include "provider/gemini/make_requests.h"

#include "base/mime.h"

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

/* A piece of a line; of a JSON string (text is valid UTF-8); a file part. -EFBIG. */
int composed_put(struct composed *c, const char *text, size_t n);
int composed_put_text(struct composed *c, const char *text);
int composed_put_string(struct composed *c, const char *text, size_t n);
/* The same into ret, which has 6 n bytes; how many were needed. */
size_t composed_escape(const char *text, size_t n, char *ret);
int composed_put_file(struct composed *c, const char *key, const char *mime);
/* A line up to its first part, and what follows its last one. */
int composed_put_head(struct composed *c, const char *key, size_t n);
int composed_put_tail(struct composed *c);

/* What kind of input a file is; COMPOSED_BAD: it has been complained of. */
struct composed_look {
	enum composed_kind kind;
	const char *text; /* COMPOSED_TEXT: all of it, in c->text */
	size_t n;
	char mime[MIME_SIZE];
};
int composed_look(
	struct composed *c, const char *key, int fd, struct composed_look *ret);
/* Of a file that is sent as one, the type that is said. Static, or mime. */
const char *composed_file_type(const char *mime);

#endif
