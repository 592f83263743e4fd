/*
 * The command line: one table of options, and where each goes.
 *
 * options_parse fills a struct options from argv and the environment or prints one
 * line that says what is wrong. Strings belong to the struct. Called once, from
 * main, before any thread.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BLOCK (1u << 20) /* how much programs should read and write at a time */

/* Threads that take requests; they wait for nothing but the disk. Each has one or two
 * buffers of BLOCK bytes, so few idle ones are kept; with 3, threads start and end all
 * the time, which made opening a file twice as slow. */
#define THREADS 10
#define IDLE_THREADS 4

enum submit_when { SUBMIT_CLOSE, SUBMIT_BACKGROUND, SUBMIT_CTL };

struct options {
	char *source;     /* as given or from the environment: a URL */
	char *fsname;     /* SOURCE as given, what mount tables show */
	char *mountpoint; /* as given */
	char *model;
	char *account;
	char *webhook;
	char *split; /* NULL: auto */
	char *on_end; /* command for /bin/sh */
	char *api_key_file;
	char *state_dir, *cache_dir; /* NULL: paths_default */
	uint64_t cache_max;
	int api;    /* 0 v1beta, 1 v1 */
	int fetch;  /* enum gb_fetch */
	int submit; /* enum submit_when */
	int rmdir;  /* 0 any, 1 ended */
	int trash_days;
	int poll_s, ttl_s;
	int resubmit_hours; /* 0: never */
	int retries;
	uint64_t inline_max;
	uint64_t max_tokens; /* 0: no limit */
	double max_cost;     /* 0: none */
	uint64_t max_read;
	int max_threads, max_idle_threads;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool offline, readonly, nonempty, clone_fd, nosymfollow;
	bool default_permissions; /* was said; it is on anyway */
	bool foreground, debug;
	bool blind; /* submit is SUBMIT_CTL because /proc shows too little */
	char *mount_words; /* for FUSE, joined by commas */
};

enum options_verdict { OPTIONS_GO, OPTIONS_DONE, OPTIONS_BAD };

/* OPTIONS_DONE: -h or -V has been answered. OPTIONS_BAD: a line went to stderr. */
enum options_verdict options_parse(int argc, char **argv, struct options *ret);
void options_free(struct options *o);

#endif
