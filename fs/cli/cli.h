/*
 * The verbs: batchfs without a mount, or through the one that has the state directory.
 *
 *   args.c      the command line of a verb
 *   desk.h      a project as verbs need it: by gembatch, or through a mount
 *   material.h  what a job is to be made of (material.c), and whether a job is made of
 *               just that (compare.c)
 *   follow.h    waiting for an end, and saying how far it is
 *   wording.h   what `error` says, in the words of verbs
 *   terms.h     options of a verb that count for one directory
 *   ended.h     on_end=, where no mount runs it
 *   output.h    answers to stdout or into a directory
 *   absent.h    why a file cannot be had, and the exit status for that
 *   run.c       `run` and `submit`; verbs.c the others, and the table of all
 *
 * cli_main runs in the main thread; only gembatch has others. Errors are negative errno
 * inside and an exit status (enum cli_exit) outside; whoever meets an error says it
 * once.
 */
#ifndef FS_CLI_H
#define FS_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "gembatch.h"
#include "mount/options.h"

enum cli_exit {
	CLI_OK = 0,       /* all answered */
	CLI_FAILED = 1,   /* the job failed or was refused */
	CLI_USAGE = 2,    /* the command line, or NAME is taken */
	CLI_PARTLY = 3,   /* some requests have no answer */
	CLI_LATER = 75,   /* not ended or not bought yet: nothing is wrong */
	CLI_KEY = 77,     /* the key was refused, or there is none */
	CLI_SIGNAL = 128, /* and the signal's number */
};

struct cli_verb;
struct material;

struct cli_args {
	const struct cli_verb *verb;
	char **names;     /* NAME, and what follows; borrowed from argv */
	size_t n;
	const char *model, *split, *retries;
	const char *inputs, *prompt, *system, *schema, *defaults;
	const char *to;
	double timeout;   /* seconds; -1: none */
	bool raw;         /* --results */
	bool quiet, queue, details, json;
	char *retries_option;
	const struct material *material; /* of verbs that submit; set by cli_main */
	int mount_argc;   /* what is left for options_parse: argv[0], -o …, SOURCE */
	char **mount_argv;
};

/* What start/ makes of a command line, for whoever opens the project. */
struct cli_place {
	const struct options *o;
	/* Open a client, as a mount would; *ret_why is malloc'ed, or NULL. -ENOKEY:
	 * there is no key. */
	int (*open)(void *arg, struct gb_client **ret, char **ret_why);
	void *arg;
};

/* Whether word, the first of a command line, is a verb. A mountpoint called like one is
 * written ./run. */
bool cli_is_verb(const char *word);
/* The one that is most like it; NULL: none is. */
const char *cli_nearest_verb(const char *word);
/* Say that it is none, and which may have been meant. Returns the exit status. */
int cli_no_verb(const char *word);
/* Fill ret from the command line of a verb; CLI_OK, or a line has been printed. -1:
 * what was asked for has been printed: help, or what completion asks (`complete`).
 * cli_args_free in any case. */
int cli_parse(int argc, char **argv, struct cli_args *ret);
void cli_args_free(struct cli_args *a);
/* Do it. Returns the exit status. */
int cli_main(struct cli_args *a, const struct cli_place *place);

/* ---- shared by the files here ---------------------------------------------------- */

struct desk;

struct cli_verb {
	const char *name;
	const char *usage;   /* after the name */
	const char *brief;   /* what it does, in a list */
	const char *help;    /* the same, in sentences */
	int min, max;        /* NAMEs; max -1: any number */
	bool files;          /* a NAME may be NAME/FILE */
	bool first;          /* only the first word is a NAME */
	bool submits;        /* material is gathered for it */
	int (*run)(const struct cli_args *a, struct desk *d);
};

extern const struct cli_verb cli_verbs[];
const struct cli_verb *cli_verb_find(const char *name);

int cli_run(const struct cli_args *a, struct desk *d);
int cli_submit(const struct cli_args *a, struct desk *d);

/* The signal that asked us to stop, 0: none. Looked at by every wait. */
int cli_stopped(void);
/* A line on stderr: "batchfs: …". */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The exit status of an errno that has been said. */
int cli_exit_of(int err);
/* The same, and say it: "NAME: what: reason". */
int cli_fail(const char *name, const char *what, int err);

#endif
