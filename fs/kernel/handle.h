/*
 * Open files. A handle is made by open or create, given to the kernel as fi->fh and
 * freed by release. It holds references to the job and to what is read, so that a file
 * stays readable whatever happens to the job's directory.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include <pthread.h>
#include <sys/queue.h>

#include "virtual/virtual_files.h"
#include "closing/last_close.h"
#include "util/log_lines.h"
#include "mount/mount.h"
#include "kernel/tree.h"

struct handle {
	LIST_ENTRY(handle) link; /* handles.lock */
	fuse_ino_t ino;
	uint32_t slot;
	struct gb_job *job;         /* NULL: in .batchfs */
	struct gb_file *file;       /* a user's file; or */
	const struct vfile *row;    /* a virtual one */
	struct gb_results *results; /* HOW_RESULTS */
	struct gb_answers *answers; /* HOW_ANSWERS, or a file of responses/: */
	struct node_answer answer;
	/* HOW_TEXT, HOW_MODELS, HOW_WAIT: the snapshot; handles.lock until it is set,
	 * which happens once. */
	char *text;
	size_t len;
	struct close_handle closing;
	struct log_reader log; /* HOW_LOG */
};

struct handles;

int handles_new(struct handles **ret);
/* Frees handles that the kernel did not release because the mount was aborted. */
void handles_free(struct mount *m);

/* A handle for n, with references of its own. NULL: out of memory. */
struct handle *handle_new(struct mount *m, const struct node *n);
void handle_free(struct mount *m, struct handle *h);

/* A node for what is open under ino, even if it has no name any more. -ESTALE. */
int handle_node(struct mount *m, fuse_ino_t ino, struct node *ret);

/* Set the snapshot, unless there is one. Steals text. */
void handle_set_text_take(struct mount *m, struct handle *h, char *text, size_t len);
/* The snapshot or NULL. */
const char *handle_text(struct mount *m, struct handle *h, size_t *ret_len);

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

#endif
