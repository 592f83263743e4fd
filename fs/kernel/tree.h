/*
 * What an inode number (mount/ino.h) stands for, as the kernel asks for it: a job, a
 * file, a virtual file, an answer; its children and attributes. All from memory.
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include "mount/ino.h"
#include "virtual/virtual_files.h"

enum node_kind {
	NODE_ROOT,
	NODE_META,
	NODE_JOB,
	NODE_LINK,
	NODE_VIRTUAL,
	NODE_FILE,
	NODE_DIR, /* inputs/ and what is below it */
	NODE_ANSWER,
	NODE_PARTS, /* parts/ */
	NODE_PART,  /* a directory in it */
};

/* responses/ or what is in it. */
struct node_answer {
	uint32_t number;
	bool dir;
	int64_t size;
	struct timespec at; /* see struct gb_answer */
};

/* What an inode number stands for, with references to its objects. */
struct node {
	enum node_kind kind;
	fuse_ino_t ino;
	struct gb_job *job;           /* except for the root and .batchfs */
	struct gb_file *file;         /* NODE_FILE, NODE_DIR */
	const struct vfile *file_row; /* NODE_VIRTUAL; job NULL: in .batchfs */
	struct node_answer answer;    /* NODE_ANSWER */
	struct gb_info info;          /* of job, taken by node_get; of one part alone
	                                 below NODE_PARTS */
};

/* 0 or -ESTALE. node_put is due after 0 only; a node may be put twice. */
int node_get(struct mount *m, fuse_ino_t ino, struct node *ret);
void node_put(struct node *n);
#define _cleanup_node_ __attribute__((cleanup(node_put)))

/* A child by name into an empty *ret: 0 or -ENOENT, -ENOTDIR. From memory. */
int node_child(
	struct mount *m, const struct node *dir, const char *name, struct node *ret);

/* Nodes from objects; each steals the reference it is given. */
void node_job_take(struct mount *m, struct gb_job *job, struct node *ret);
void node_file_take(
	struct mount *m, struct gb_job *job, struct gb_file *file, struct node *ret);
void node_virtual_take(
	struct mount *m, struct gb_job *job, const struct vfile *row, struct node *ret);
void node_answer_take(struct mount *m, struct gb_job *job,
	const struct gb_answer *answer, struct node *ret);
void node_parts_take(struct mount *m, struct gb_job *dir, struct node *ret);
void node_part_take(struct mount *m, struct gb_job *part, struct node *ret);
#define PART_NAME 16
void node_part_name(const struct node *n, char ret[PART_NAME]);
void node_meta(struct mount *m, struct node *ret);
/* Take the info of its job again. */
void node_look(struct node *n);

/* Whether requests.jsonl and model of the job can be written. */
static inline bool node_is_draft(const struct node *n)
{
	return n->info.draft && !n->info.submitted;
}

/* Which table a directory's virtual files are in. */
static inline enum vfile_place node_place(const struct node *dir)
{
	return dir->kind == NODE_META ? IN_META
	       : dir->kind == NODE_PART ? IN_PART
					: IN_JOB;
}

/* Where a NODE_LINK leads. */
#define NODE_TARGET 288
void node_target(const struct node *n, char ret[NODE_TARGET]);

/* A directory that users put files into: a job's directory, or one in its inputs/. */
static inline bool node_is_place(const struct node *n)
{
	return n->kind == NODE_JOB || n->kind == NODE_DIR;
}

/* For responses/: whether the results must be saved first. */
static inline bool node_answers_awaited(const struct node *n)
{
	return n->info.has_answers && !n->info.answers_there;
}

/* Whether it is a file that was sent and does not change any more. */
bool node_is_fixed(const struct node *n);

/* For results and files made from them: whether the size is known; then it never
 * changes. Always for everything else, but never for what has doors (ino.h). */
bool node_is_settled(const struct node *n);

/* Attributes, from memory. 0; a negative errno; or 1: everything except the size, for
 * which the API must be asked (results of unknown size). */
int node_attr(struct mount *m, const struct node *n, struct stat *ret);

#endif
