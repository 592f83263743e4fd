/*
 * Checks JSON text against the messages of schema.h, in one pass over the text, without
 * building anything: a line may be gigabytes. Knows where it is, so that complaints can
 * name a column or a path as the service does.
 */
#ifndef EMU_JCHECK_H
#define EMU_JCHECK_H

#include "schema.h"
#include "util.h"

#define JCHECK_DEPTH 100

struct jcheck {
	/* set by the caller */
	const char *start, *end;
	bool lenient_lists; /* one value may stand for a list of one */
	int field_case;     /* 0 both, 1 camelCase only, 2 snake_case only */
	/* A name that is no field of `m`; may be NULL. True: pass over its value. */
	bool (*unknown)(struct jcheck *c, const char *name, size_t len);
	/* A member of the outermost message was met; may be NULL. */
	void (*outer)(struct jcheck *c, const struct field *f, const char *at);
	/* A field begins that is an object (text NULL), or a string was read (as written,
	 * with its escapes); may be NULL. */
	void (*seen)(struct jcheck *c, const struct field *f, const char *text, size_t len);
	void *cls;

	/* the fault that stopped the check; NULL if there is none */
	const char *fault_at;
	char fault[160];
	const struct field *fault_field; /* of a wrong type, else NULL */

	/* where we are: names of members, -1 or an index into their list */
	struct {
		const char *name;
		size_t len;
		int index;
	} path[JCHECK_DEPTH];
	int depth;
	int nesting; /* of lists and objects, path or not */
	const char *p;
};

/* One message and nothing after it but white space. 0, or -EINVAL and the fault set. */
int jcheck_run(struct jcheck *c, const struct message *m);

/* "batch.input_config.requests[0]": the path in front of the current member. */
void jcheck_path(const struct jcheck *c, struct buf *out);

#endif
