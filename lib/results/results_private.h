/*
 * The inside of struct gb_results, shared by results.c (the interface), plan.c (which
 * transfers), transfer.c (their course), transfer_body.c (their bytes), local_copy.c
 * (the local copy) and seal_and_move.c (complete files: publish, move).
 *
 * Two sets of bytes are local. `have` may be read: downloaded by this process, or
 * checked by it. `summed` are complete blocks with a checksum: they are in the map.
 * Those not in `have` come from an earlier run and are checked before first use.
 *
 * Locks: save_lock, then lock. save_lock orders writes of the map and moves of the
 * files; lock guards everything else. Work that must happen without locks (waiters,
 * events, saving) is collected in a struct after and done by results_finish.
 */
#ifndef GB_RESULTS_PRIVATE_H
#define GB_RESULTS_PRIVATE_H

#include "provider/output_shape.h"
#include "results/block_map.h"
#include "results/results.h"

#include <pthread.h>

#define MAX_STREAMS 4
#define MAX_TRIES 5
#define NO_END UINT64_MAX
#define AHEAD ((uint64_t)8 << 20) /* how far any stream may run ahead */
#define NEAR ((uint64_t)2 << 20)  /* how far ahead a stream arrives soon */
#define SKIP ((uint64_t)8 << 20)  /* a local run long enough to be skipped by a new
                                     request */
#define RESULTS_UNSURE ((uint64_t)64 << 10) /* of a reply, until it has ended well */
#define ODD_TIMES 5 /* how often odd bytes must come; at most MAX_TRIES */
#define PIECE_MIN ((uint64_t)512)
#define PIECES_GOOD 8 /* before more is asked for at once */
#define SAVE_EVERY ((uint64_t)64 << 20)
#define MAX_OLD_FDS 4

enum stream_kind {
	STREAM_PROBE,   /* bytes=0-0, for the size */
	STREAM_BOUNDED, /* a block or two for a reader that seeked */
	STREAM_OPEN,    /* to the end, or up to the next local bytes */
};

/* What a file begins or ends with that no file of lines should: as the API sent it
 * last, and how often. */
struct odd {
	int64_t size;
	uint32_t crc;
	unsigned told;
};

/* Checksum of a block's bytes as they arrived: all of them by this transfer, and
 * written. */
struct block_sum {
	uint64_t hi; /* where the block ends */
	uint32_t crc;
	bool all, written;
};

/* A transfer. base, pos, sure, end, whole and kind change on the engine thread only,
 * under the lock; that thread may read them without. */
struct stream {
	struct gb_results *r;
	struct stream *next;
	struct transfer *t;
	enum stream_kind kind;
	uint64_t base, pos;     /* where it began; the next byte to come */
	uint64_t sure;          /* bytes before it count */
	uint64_t end;           /* one past its last byte, NO_END: not known */
	uint64_t first, reader; /* where following began; how far readers have come */
	bool ranged;            /* asked with Range */
	unsigned way;           /* by which way it was requested (struct download) */
	bool whole;             /* answered 200: all of the file, from 0 */
	bool headed;            /* the head was good */
	bool measured;          /* … and stated how many bytes follow */
	bool taught;            /* … and was the first to state the size */
	struct http_reply *late; /* the head of a whole file: the first bytes decide */
	bool cut_short;         /* it ended before its bytes had come, by no fault of theirs */
	bool stopping;          /* aborted by us: its end means nothing */
	bool progress;          /* brought new bytes */
	bool at_once;           /* its failure shows what to do instead: no pause */
	int err;                /* why a callback rejected it */
	char last;              /* the newest byte */
	/* Engine thread: CRC of the bytes from crc_base (a block's start) to pos; some
	 * of them were there already and were not written. */
	uint64_t crc_base;
	uint32_t crc;
	bool skipped;
	struct block_sum sums[2]; /* of blocks that may not count yet */
	unsigned next_sum;
	struct ranges mine;       /* written by it */
};

struct gb_results {
	void *several; /* results_of_several; NULL: all of the following */
	atomic_uint refs;
	pthread_mutex_t save_lock;
	pthread_mutex_t lock;
	pthread_cond_t idle; /* no stream is left, or no event is being reported */

	struct provider_conn *api;
	char *file; /* id of the output or NULL */
	bool offline;
	void (*event)(void *arg, struct gb_results *r, enum results_event ev);
	void *arg;

	/* Change under both locks. */
	int dirfd;
	char *name;

	/* All below: lock. */
	unsigned holds;   /* streams and timers that point here */
	unsigned telling; /* events in progress, and on which thread; of several */
	pthread_t teller; /* reporters, only the engine's can outlive the references */
	bool freed;       /* the last reference has gone */
	bool stopped;     /* nothing new is started */
	bool frozen;      /* the same, while the files move */
	int fd, old_fds[MAX_OLD_FDS];
	unsigned n_old_fds;
	unsigned readers, pins; /* pins: uses of fd outside the lock */
	int64_t size;           /* -1: not known */
	bool sealing;           /* the map of a complete file is being written */
	bool proven;            /* … and nothing need doubt it: see results.h */
	int64_t shown;          /* the size that others may have been told last; -1 */
	bool misled;            /* it was wrong: no reads until all have closed … */
	bool unheard;           /* … and RESULTS_SIZED has said so */
	bool ended;             /* … and its last byte came, as last bytes do */
	int64_t doubted;        /* a different size that was reported last; -1 */
	bool no_length, no_ranges;
	struct odd odd_begin, odd_end, empty;
	uint64_t piece;         /* at most so much is requested at once; 0: no limit */
	unsigned good_pieces;   /* in a row */
	bool given;      /* somebody was answered that bytes are there */
	bool refused;    /* the API refuses to send it; until the next open or fetch */
	unsigned refused_with; /* HTTP status */
	char *refused_words;
	int gave_up;     /* errno of the last time when tries ended */
	int rest_err;    /* the same, returned without a request until rest_until */
	double rest_until;
	unsigned way;    /* the way that the next request takes */
	bool rotten;     /* a block from disk failed its checksum, or is gone */
	bool damaged;    /* the same, and it has not been reported */
	bool kept;       /* all of it was here, saved, and some still is: no reply takes
	                    that away, nor does another length or another byte. An
	                    output does not change; what is missing is EIO at worst */
	bool disagreed;  /* a reply had other bytes than the local ones */
	bool changed;    /* the API's file has changed */
	bool aside;      /* what came before it did is no longer under its name */
	bool renewed;    /* that has happened, and a new download began */
	bool sealed, dirty;
	bool filled; /* reported that everything is local */
	struct ranges have, summed;
	uint32_t *sums;
	size_t n_sums;
	uint64_t unsaved; /* bytes since the map was written */

	struct stream *streams;
	unsigned n_streams;
	bool fetching, retrying;
	unsigned tries;
	uint64_t ends[8]; /* where recent reads ended */
	unsigned next_end;
	uint64_t resume, resume_first; /* a stream was aborted there; NO_END: none */
	struct gb_waitq readq, sizeq, fetchq;

	double rate_since, rate; /* bytes a second */
	uint64_t rate_bytes;
};

/* What is to be done once the lock is released. */
struct after {
	struct gb_waitq wake, fail;
	int err;         /* of fail */
	unsigned events; /* set of 1 << enum results_event */
	bool save;
};

void after_init(struct after *a);
void results_finish(struct gb_results *r, struct after *a);

/* A hold keeps the memory; results_put takes the lock and may free r. */
void results_put(struct gb_results *r);

/* ---- with the lock held -------------------------------------------------- */

/* The end of the local run that contains off (off itself: none); the first local byte
 * at or after off, NO_END if there is none. */
uint64_t results_local_end(const struct gb_results *r, uint64_t off);
uint64_t results_local_next(const struct gb_results *r, uint64_t off);
/* One past the last local byte. */
uint64_t results_local_limit(const struct gb_results *r);
bool results_is_complete(const struct gb_results *r);
/* A size was told that is not proven: no byte is given before it is. */
bool results_is_held(const struct gb_results *r);
/* Whether a size that is not proven may be told now. */
bool results_may_show(struct gb_results *r);
/* Where the block that contains off ends. */
uint64_t results_block_end(const struct gb_results *r, uint64_t off);
/* Answer waiters whose bytes are there now, or who are past the end. */
void results_wake_ready(struct gb_results *r, struct after *a);
/* Report once what turned out to be damaged. */
void results_tell_damage(struct gb_results *r, struct after *a);
/* Everybody. */
void results_fail_all(struct gb_results *r, int err, struct after *a);

/* plan.c: start what waiters, the fetch and the size need. */
void stream_plan(struct gb_results *r, struct after *a);
/* A reader got [off, end): streams that it follows may go on; an aborted one continues
 * when the reader comes near. */
void stream_note_read(
	struct gb_results *r, uint64_t off, uint64_t end, struct after *a);
/* Abort those that nobody follows, or all. */
void stream_stop_unfollowed(struct gb_results *r);
void stream_stop_all(struct gb_results *r);
/* The stream that will bring the byte at lo soon, or NULL. */
struct stream *stream_find_cover(const struct gb_results *r, uint64_t lo);
bool stream_is_followed(const struct stream *s);
/* After each piece: 0 to go on; -ECANCELED: s is stopping. */
int stream_judge(struct stream *s);

/* transfer.c: the file at the API is not the one we know. Returns -EIO. */
int stream_changed(struct gb_results *r, struct after *a);
/* A reply states how long the file is. 0, or what is wrong with that. */
int stream_learn_size(struct gb_results *r, int64_t size, struct after *a);
/* If everything is local, report it once. */
void stream_check_complete(struct gb_results *r, struct after *a);
/* The size is what it was said to be: two replies agree, or the body fits. */
void stream_prove_size(struct gb_results *r, struct after *a);
/* Whether the same odd thing, this one too, has come so often that it is what there is.
 * Whether it is all is asked again once it is saved, as of all whose last line is cut. */
bool stream_is_told(struct odd *o, int64_t size, uint32_t crc, unsigned times);
/* transfer_body.c: the verdict on a 2xx. */
int stream_end_body(struct stream *s, const struct http_reply *reply, struct after *a);

/* local_copy.c */
int copy_load(struct gb_results *r);
/* The data file, opened when first needed. */
int copy_fd(struct gb_results *r);
void copy_close(struct gb_results *r);
/* What is here is no longer believed: no other object, and no next start, finds it by
 * its name. Whoever has it open goes on. Once for each change. */
int copy_set_aside(struct gb_results *r);
/* Close it if nobody uses it; if the file has changed at the API, prepare for a new
 * download. */
void copy_idle(struct gb_results *r);
/* One past the last byte of the readable run from off, at most hi; checks blocks of an
 * earlier run, for which it releases the lock for a while. *ret_err: 0, or why the
 * block at the end of the run could not be read, which says nothing about its
 * content. */
uint64_t copy_readable(struct gb_results *r, uint64_t off, uint64_t hi, int *ret_err);
/* The block that ends at hi is there: checksum it. crc: of its bytes as they arrived,
 * NULL: not known; written: those bytes are the ones on disk. -ESTALE: they differ from
 * what is known; after other errors it is not in the map. */
int copy_sum_block(
	struct gb_results *r, uint64_t hi, const uint32_t *crc, bool written);

/* The map as it is now, malloc'ed. */
int copy_format_map(struct gb_results *r, bool sealed, char **ret, size_t *ret_len);

/* ---- without locks ------------------------------------------------------- */

/* Open a regular file, never through a link. A descriptor or negative errno. */
int copy_open(int dirfd, const char *name, int flags);
/* CRC of bytes [lo, hi) of fd; -EBADMSG when it is shorter. */
int copy_sum(int fd, uint64_t lo, uint64_t hi, uint32_t *ret);

/* Callbacks of the engine; arg is the stream. */
int stream_on_head(void *arg, const struct http_reply *h);
/* The first bytes of a body whose head was put off are here. */
int stream_take_late_head(struct stream *s, const char *buf, size_t n);
int stream_on_data(void *arg, const void *buf, size_t n);
void stream_on_done(void *arg, struct http_reply *reply);

/* Write the map if it has something new and nobody else is writing it. */
void copy_save_lazily(struct gb_results *r);

#endif
