/*
 * What a job is to be made of: requests.jsonl and the files that its lines name, which
 * are beside it, or the files of a composed draft, as the command line names them. The
 * same command twice means the same job, so a job that is there can be compared with
 * it, and a draft that a killed command left can be filled up.
 */
#ifndef FS_CLI_MATERIAL_H
#define FS_CLI_MATERIAL_H

#include <sys/stat.h>

#include "cli/desk.h"

struct piece {
	char *path;  /* in the job's directory */
	char *from;  /* a file; NULL: fd has it */
	int fd;      /* read by pread; -1: from is opened when it is needed */
	struct stat was; /* from, when it was gathered */
};

struct material {
	struct piece *pieces;
	size_t n, cap;
	bool composed;
	bool stdin_read;
};

/* Read the command line's files; standard input, and what else can be read but once, is
 * kept in a file without a name. CLI_OK, or an exit status and it has been said why.
 * material_free in any case. */
int material_gather(const struct cli_args *a, struct material *ret);
void material_free(struct material *m);
/* The first piece whose file is not what it was when it was gathered; NULL: none. */
const struct piece *material_changed(const struct material *m);
/* A descriptor of its own for reading by pread, or an errno. */
int piece_open(const struct piece *p);

/* In rising order of difference. */
enum material_fit {
	MATERIAL_SAME,
	MATERIAL_BEGUN,   /* what is there is the beginning of it */
	MATERIAL_MISSING, /* there is no such file */
	MATERIAL_OTHER,
};

/* 0, and how the job compares with it; *ret_path (borrowed) is what differs most. */
int material_compare(struct desk *d, const char *name, const struct material *m,
	enum material_fit *ret, const char **ret_path);
/* Write what is not there yet, or not whole; anew: all of it. *ret_kept files were
 * as they are to be: but whether the one who wrote them had finished is not known. */
int material_fill(struct desk *d, const char *name, const struct material *m, bool anew,
	size_t *ret_kept);

#endif
