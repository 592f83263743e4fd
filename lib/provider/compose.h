/*
 * How a provider makes requests of a composed draft: what its parts look like, what a
 * line is, and what a user is told about mistakes. make_requests.h of gemini/ says in
 * which order the functions are called, and what each returns.
 *
 * Constant. A composition is one thread's at a time.
 */
#ifndef GB_COMPOSE_H
#define GB_COMPOSE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

/* Descriptors, read with pread, or -1 for parts that the draft does not have. */
struct composed_parts {
	int prompt, system, schema, defaults;
	bool embedding; /* what the model makes */
};

/* One composition: the provider's own. */
struct composed;

/* ---- tables ---------------------------------------------------------------------- */

enum composed_kind { COMPOSED_UNKNOWN, COMPOSED_TEXT, COMPOSED_FILE, COMPOSED_BAD };

/* A file that cells may name. The caller has them; zero but for the path. */
struct composed_input {
	char *path;              /* below inputs/ */
	enum composed_kind kind; /* COMPOSED_UNKNOWN: no cell names it */
	char *type;              /* COMPOSED_FILE: malloc'ed */
};

struct composed_table {
	const char *name; /* inputs.csv or inputs.tsv */
	int fd;
	const atomic_bool *cancel; /* may be NULL; -ECANCELED */
	/* Sorted by path. */
	struct composed_input *inputs;
	size_t n_inputs;
	/* A descriptor that the callee closes, or a negative errno. */
	int (*open)(void *arg, size_t input);
	/* Add a line about something that is not a fault. */
	void (*remark)(void *arg, const char *text);
	void *arg;
};

/* ---- the table ------------------------------------------------------------------- */

struct compose_grammar {
	/* out is written to from its present offset. Negative errno. */
	int (*begin)(
		const struct composed_parts *parts, int out, struct composed **ret);
	void (*free)(struct composed *c); /* NULL is fine */

	/* A request for a file below inputs/, whose path there is key. Also 0 with
	 * complaints; -EFBIG: it is more than can be sent. */
	int (*add)(struct composed *c, const char *key, int fd);
	/* One for each line that is not blank, or each such row. cancel may be NULL;
	 * -ECANCELED. */
	int (*add_lines)(struct composed *c, int fd, const atomic_bool *cancel);
	int (*add_table)(struct composed *c, const struct composed_table *table);
	/* A complaint of the caller's own: "NAME: what is wrong". */
	void (*complain)(struct composed *c, const char *name, const char *what);
	/* Write what is still in memory; after it the counts are final. */
	int (*end)(struct composed *c);

	uint64_t (*requests)(const struct composed *c);
	/* How many requests refer to a file. */
	uint64_t (*attachments)(const struct composed *c);
	/* One per line, the first ten, malloc'ed; NULL: none. */
	char *(*complaints)(const struct composed *c);

	/* The names of the properties in schema.json, each followed by a NUL,
	 * malloc'ed; NULL: it is not a schema of objects. -ENOMEM, errno of reading. */
	int (*properties)(int schema, char **ret, size_t *ret_len);
};

#endif
