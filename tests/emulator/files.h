/*
 * File resources: what was uploaded and what jobs put out. Bytes are in blobs/ID of the
 * data directory, records in files/ID.json.
 *
 * Functions that take or return a struct file want world_lock held; the handlers take
 * it themselves.
 */
#ifndef EMU_FILES_H
#define EMU_FILES_H

#include "http.h"
#include "util.h"

#define FILE_ID 48

struct file {
	char id[FILE_ID]; /* without "files/" */
	char project[64];
	char *display_name, *mime;               /* display_name may be NULL */
	int64_t size, created, updated, expires; /* expires 0: does not */
	int64_t ready;                           /* PROCESSING before this time */
	char sha256[65];                         /* hex; empty: not known */
	bool generated;
};

void files_load(void);

/* Takes over the record and saves it. */
void file_add_take(struct file *f);
/* The file if this project has it and it lives; NULL otherwise. */
struct file *file_find(const char *project, const char *id);
/* Removes record and bytes. */
void file_remove(struct file *f);
void file_save(const struct file *f);
json_t *file_json(const struct file *f, const char *origin);
/* Descriptor of its bytes, or -errno. */
int file_open_bytes(const char *id);
/* Bytes stored for a project. */
int64_t files_used(const char *project);
/* "files/ID", an URI or a bare ID: the ID, or NULL. Borrowed from `name`. */
const char *file_id_of(const char *name);
/* Free to be taken as a file's name, made of the right characters? */
bool file_own_id_ok(const char *id);
void file_random_id(char id[FILE_ID]);

/* Is the file of this URI there and ready? Else a reply has been given. What is no URI
 * of a file of ours is no business of ours. */
bool file_uri_ok(struct request *rq, const char *uri);

void files_list(struct request *rq);
void files_get(struct request *rq);
void files_delete(struct request *rq);
void files_download(struct request *rq);

#endif
