/*
 * The tables of virtual files: what a job's directory, one of parts/, and .batchfs contain
 * besides users' files. To add a file, add a row.
 */
#ifndef FS_FILES_H
#define FS_FILES_H

#include "mount/mount.h"

enum vfile_how {
	HOW_TEXT, /* one snapshot per open, made by text() */
	HOW_WAIT, /* the snapshot is made by the first read, once the job has ended */
	HOW_RESULTS, /* gb_results */
	HOW_HISTORY, /* the ledger's descriptor */
	HOW_LOG,     /* log_lines, as far as it has grown when it is read */
	HOW_MODELS,  /* a snapshot for which the API may be asked */
	HOW_ANSWERS, /* gb_answers: made from the results while it is read */
	HOW_TREE,    /* the directory of gb_answer nodes */
	HOW_PARTS,   /* the directory of a directory's parts */
};

enum vfile_write { WRITE_NEVER, WRITE_DRAFT, WRITE_ALWAYS };

/* Which of the job's times a file has. */
enum vfile_time { TIME_CREATED, TIME_UPDATED, TIME_ENDED, TIME_STARTED, TIME_NOW };

enum vfile_place { IN_META, IN_JOB, IN_PART };

struct pending;

struct vfile {
	const char *name;
	uint32_t number; /* of the inode, 1 to 126, never reused for another name */
	enum vfile_how how;
	enum vfile_write write;
	enum vfile_time time;
	bool in_index;   /* what it says may be in the index of answers */
	bool unlisted;
	bool part;       /* IN_PART: of one job of the API alone (gb_part_…) */
	enum gb_answers_file answers; /* HOW_ANSWERS */
	/* Whether the file is there; NULL: always. */
	bool (*present)(const struct gb_info *info);
	/* Whether it is listed, if present says that it exists; NULL: yes. */
	bool (*listed)(const struct gb_info *info);
	/* HOW_TEXT: write the contents. -ENOENT: there is none any more. */
	int (*text)(struct mount *m, struct gb_job *job, FILE *out);
	/* HOW_TEXT: before an open, bring what text shows up to date. */
	int (*refresh)(struct gb_job *job, struct gb_waiter *w);
	/* The first open after a start waits for the first look at the list, as ls of
	 * the root does; afterwards what is known is shown, whether or not the list
	 * arrived. */
	bool first_look;
	/* One write by the user, NUL-terminated and trimmed; answers as gb_* functions
	 * do. */
	int (*store)(struct mount *m, struct gb_job *job, const char *text,
		struct gb_waiter *w);
};

/* By name or number, NULL when there is none. */
const struct vfile *vfile_by_name(enum vfile_place place, const char *name);
const struct vfile *vfile_by_number(enum vfile_place place, uint32_t number);
/* The first whose number is at least number. */
const struct vfile *vfile_next(enum vfile_place place, uint32_t number);

/* That of parts/. */
uint32_t vfile_parts_number(void);

/* It is a directory of files of ours. */
static inline bool vfile_is_dir(const struct vfile *v)
{
	return v->how == HOW_TREE || v->how == HOW_PARTS;
}

static inline bool vfile_present(const struct vfile *v, const struct gb_info *info)
{
	return !v->present || v->present(info);
}

static inline bool vfile_listed(const struct vfile *v, const struct gb_info *info)
{
	return !v->unlisted && vfile_present(v, info) &&
	       (!v->listed || v->listed(info));
}

/* The contents of a HOW_TEXT file, malloc'ed. */
int vfile_text(struct mount *m, const struct vfile *v, struct gb_job *job, char **ret,
	size_t *ret_len);

#endif
