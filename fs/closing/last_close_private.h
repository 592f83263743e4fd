/* What last_close.c (which files are open, by whom), rounds.c (which close decides) and
 * still_open.c (whether anybody can still write) share. */
#ifndef FS_LASTCLOSE_PRIVATE_H
#define FS_LASTCLOSE_PRIVATE_H

#include <pthread.h>
#include <sys/queue.h>

#include "closing/census.h"
#include "closing/last_close.h"
#include "closing/look.h"
#include "closing/proc.h"

#define WRITERS 16

/* Who did something, as FUSE reports it, and what a look thread found out about it. */
struct writer {
	pid_t tid;
	pid_t process; /* 0: not known */
};

struct opener {
	pid_t tid;       /* 0: none */
	uint64_t opened; /* proc_ticks */
	bool looked_at;
	struct proc_origin origin;
};

/* A file that is open for writing. All fields under closes.lock. */
struct wfile {
	struct wfile *next;
	fuse_ino_t ino;
	unsigned handles; /* open file descriptions */
	unsigned refs;    /* those, and whatever works on it */
	uint64_t generation;
	bool pending; /* something was written and no close has decided yet */
	struct writer writers[WRITERS];
	unsigned writer_count;
	struct opener openers[PROC_ORIGINS];
	unsigned opener_count;
	uint64_t since;        /* proc_ticks of the first open */
	struct census *before; /* taken before that; or NULL */
	/* The clerk's: */
	double retry_at;      /* no walk before this time; 0: at once */
	double patience;      /* until when to wait for what cannot be seen; 0: not
	                      waiting */
	double unknown_since; /* since when walks have had no answer; 0: the last one
	                         had */
};

enum ask_kind {
	ASK_FLUSH, /* of requests.jsonl: may decide */
	ASK_PART,  /* of another file: only matters how the closer ends */
	ASK_FREE,  /* mv, ctl: can somebody still write? */
};

/* A request that waits for the clerk. Made by a FUSE thread; only the clerk works on
 * it. */
struct ask {
	TAILQ_ENTRY(ask) link; /* closes.lock */
	enum ask_kind kind;
	struct gb_waiter *w;
	struct gb_job *job;   /* borrowed, as is */
	struct gb_file *file; /* of a FLUSH */
	double deadline;

	/* FLUSH, PART */
	struct wfile *f; /* with a reference */
	const struct close_handle *h;
	bool append;
	bool pending;        /* there was something to decide */
	bool looked_at;      /* closer is known; closes.lock */
	struct judge *judge; /* the look in progress; closes.lock */
	bool heard;          /* the clerk has drawn its conclusions from closer */
	struct proc_closer closer;
	unsigned walk; /* the walk that it is part of */
	int verdict;

	/* FREE */
	bool parts;
	fuse_ino_t ino;
};

struct closes {
	struct mount *m;
	struct looks *looks;
	pthread_mutex_t lock; /* a leaf */
	struct wfile *files;  /* few: those open for writing now */
	TAILQ_HEAD(, ask) asks;
	bool stopped;
	struct census *census; /* the latest; or NULL; lock */
	double census_at;      /* seconds_now when it was last taken, or begun; lock */
	double census_cost;    /* seconds of a processor; lock */
	double look_s;         /* after this time a look is given up */
	double release_s;      /* how long a RELEASE may be in flight */
	/* The clerk's: */
	struct walk *walking;
	unsigned walks;
};

/* ---- last_close.c: under the lock ---- */

struct wfile *closes_find(struct closes *c, fuse_ino_t ino);
void closes_unref(struct closes *c, struct wfile *f);
bool closes_has_written(const struct wfile *f, pid_t process);
/* The next open file after inode number `after`, with a reference. Without the lock. */
struct wfile *closes_next(struct closes *c, fuse_ino_t after);

/* ---- judge.c: any thread, no lock ---- */

/* Find out who opened and wrote f, if somebody is not known yet. */
void judge_note(struct closes *c, struct wfile *f);
/* Let a look thread look at the closer of ask, which is in the list. */
void judge_closer(struct closes *c, struct ask *ask, pid_t tid);
/* ask is freed: the result of a look at its closer is not needed. Under the lock. */
void judge_forget(struct ask *ask);

/* ---- rounds.c ---- */

/* One turn of the clerk. */
double rounds_turn(void *closes);
/* Answer the requests that still wait. */
void rounds_end(struct closes *c);
/* The clerk: answer ask, whose request goes on and frees what it has borrowed. */
void rounds_finish_ask(struct closes *c, struct ask *ask, int verdict);

/* ---- still_open.c ---- */

/* Whether a part of a composed draft is open for writing. */
bool still_open_parts(struct closes *c, struct gb_job *job);
/* The clerk: answer an ASK_FREE if nobody can write any more, or its time is over. */
void still_open_attend(struct closes *c, struct ask *ask, double now);

#endif
