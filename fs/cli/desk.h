/*
 * A project as the verbs need it: directories with files, in one of two ways. Opening
 * takes the state directory's lock and uses gembatch (desk_direct.c, direct_read.c);
 * where a mount holds it the same is done through that mount (desk_mounted.c), so that
 * a script need not know. Another verb that holds it is waited for, and lets others in,
 * in turn (turns.h). The way changes under who waits, when a mount comes or goes.
 *
 * Functions block. Errors are negative errno; -EINTR: a signal (cli_stopped).
 */
#ifndef FS_CLI_DESK_H
#define FS_CLI_DESK_H

#include "cli/cli.h"

/* Takes n bytes; not 0: no more is wanted, and that is the result. */
typedef int (*desk_sink)(void *arg, const char *bytes, size_t n);
/* One entry of a directory. */
typedef int (*desk_entry)(void *arg, const char *name, bool is_dir);

struct desk_ops {
	/* -EEXIST: the project has it. */
	int (*make)(struct desk *d, const char *name);
	/* -EAGAIN: accepted, and not yet done. */
	int (*remove)(struct desk *d, const char *name);
	/* Write a file of a draft, all of fd, durably; its directories are made.
	 * Nothing is submitted by that. */
	int (*write)(struct desk *d, const char *name, const char *path, int fd);
	/* Like echo text > file: model, split, ctl. */
	int (*store)(struct desk *d, const char *name, const char *file,
		const char *text);
	/* A file from its first byte to its last. name ".batchfs": of the project. */
	int (*read)(struct desk *d, const char *name, const char *path, desk_sink sink,
		void *arg);
	/* What is listed; name NULL: the jobs; path NULL: the top of a job. */
	int (*list)(struct desk *d, const char *name, const char *path, desk_entry fn,
		void *arg);
	/* Until the job has ended; -EAGAIN: not within so many seconds. */
	int (*wait)(struct desk *d, const char *name, double seconds);
	/* The caller is who is told of this job's end: 0. -EALREADY: somebody was, or is
	 * to be; other: not now. */
	int (*take_end)(struct desk *d, const char *name);
	/* Between two waits: let others have the state directory for a while, if
	 * they want it; go on in the other way, if a mount has come or gone. An
	 * error has been said. */
	int (*breathe)(struct desk *d);
	void (*close)(struct desk *d);
};

struct desk {
	const struct desk_ops *ops; /* NULL: closed */
	void *way;                  /* what ops know */
	const struct cli_place *place;
	double tick; /* seconds between looks at how far a job is */
	bool shared; /* others work with it at the same time: turns_alone */
	bool known;  /* reads show what is known: the API is not asked for it */
};

/* 0, or an error that has been said. desk_close in any case. */
int desk_open(const struct cli_place *place, struct desk *ret);
void desk_close(struct desk *d);

/* For the two ways: leave this one, and enter again whichever is possible now. */
int desk_again(struct desk *d);
/* Enter a way: ops, way, tick and shared are set. gb is taken. */
int desk_direct_enter(struct desk *d, struct gb_client *gb);
/* -EAGAIN: it cannot be used (yet). */
int desk_mounted_enter(struct desk *d, const char *mountpoint);

/* Whether `ctl`, which lists verbs that fit now, has this one. */
bool desk_offers(struct desk *d, const char *name, const char *verb);
/* A small file as text, malloc'ed, without its last newline. */
int desk_text(struct desk *d, const char *name, const char *path, char **ret);
/* What is behind a name in a file of `name value` lines, up to the line's end; NULL: it
 * has none. */
const char *desk_value(const char *text, const char *name);
/* The same as a number; -1: it has none. */
long long desk_number(const char *text, const char *name);
/* A job's row in the table of jobs, and the table's headings: both in *ret_table, which is
 * malloc'ed. -ENOENT: it has none. */
int desk_row(struct desk *d, const char *name, char **ret_table, char **ret_heads,
	char **ret_row);
/* What stands there below a heading, malloc'ed. */
int desk_column(struct desk *d, const char *name, const char *heading, char **ret);

#endif
