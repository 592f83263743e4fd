/* Shared by attachments.c (which files they are) and attachments_upload.c (how they are
 * uploaded). */
#ifndef GB_ATTACH_PRIVATE_H
#define GB_ATTACH_PRIVATE_H

#include "submit/attachments.h"
#include "base/mime.h"
#include "store/uploads.h"
#include "base/sha256.h"
#include "provider/request_grammar.h"

#include <sys/stat.h>

struct attachment {
	char *name;         /* as written on lines: a file of the draft, or our URI */
	uint64_t line;      /* where it came first */
	char lid[LID_SIZE]; /* the job that has a local copy … */
	char *path;     /* … in its files/; NULL: the upload still exists, no copy is
	                   needed */
	struct stat st; /* of the copy when it was checked */
	char mime[MIME_SIZE];
	char sha256[SHA256_HEX];
	struct attachment *twin; /* another with the same content, which is uploaded for
	                            both */
	struct placed at;        /* file NULL: not there yet */
	struct uris_new on_wire; /* texts of at */
	int64_t sent;
	uint64_t uses; /* how often lines name it */
};

struct attachments {
	struct attachment **items;
	size_t n, cap;
	void *by_name; /* tsearch */
};

/* The one that lines call so, or NULL. */
struct attachment *attach_find(const struct attachments *all, const char *name);
/* Of the directory whose files the lines name. */
const char *attach_lid(const struct submission *s);

/* A regular file of a job: only below its files/, through no link. A descriptor, or
 * -ENOENT; *ret is its stat. */
int attach_open(struct store *s, const char *lid, const char *path, struct stat *ret);
/* In hex. -ECANCELED, or the errno of reading. */
int attach_hash(int fd, const atomic_bool *cancel, char ret[SHA256_HEX]);

#endif
