/* Between files.c (contents) and files_names.c (names): what a file of a job is. */
#ifndef GB_FILES_H
#define GB_FILES_H

#include "client.h"

struct gb_file {
	struct gb_client *c;
	struct gb_job *job;   /* lock; whose table it is in. NULL: has no name */
	struct gb_file *next; /* lock */
	char *name;           /* lock */
	uint32_t number;
	atomic_uint refs;     /* the table's one included */
	atomic_int fd;        /* opened under disk, then constant until freed */
	/* Content counts its changes; what close decided is remembered by count. */
	atomic_uint_fast64_t changes, decided;
	atomic_bool tainted;
	bool touched;         /* the draft's journal knows of the change; disk */
	bool held;            /* lock; a task sends it: it may not change */
	unsigned writers;     /* lock; changes under way: it may not be sent */
};

/* A file without a place in a table; one reference. NULL without memory. */
struct gb_file *files_new(struct gb_job *job, const char *name);
/* client.lock held: into job's table, by number, which may be a new one. */
void files_link(struct gb_job *job, struct gb_file *f, bool new_number);
/* client.lock held: out of its table; the table's reference goes to the caller. */
void files_unlink(struct gb_file *f);

#endif
