/*
 * The output of one job, downloaded as it is read.
 *
 * A struct gb_results stands for one output file of the API and its local copy: a
 * sparse data file NAME, and beside it NAME.map, which says which bytes of it are there
 * (checksummed, versioned, never trusted: a mismatch costs a new download, not a wrong
 * byte). Output never changes at the API, so a size once known is known for good.
 *
 * Downloads run on the engine thread and write into the data file; a reader is answered
 * as soon as some of its bytes are there and reads them from the descriptor. Downloads
 * are never paused: one that nobody follows is aborted.
 *
 *   - A read in the first MiB, or where an earlier read ended, starts a stream: one GET
 *     to the end. It may run ahead of its readers by 8 MiB, or by twice what they have
 *     read from it; there it is aborted, and a new one starts when a reader comes near.
 *     It skips what is local already, if that saves 8 MiB or more.
 *   - A read elsewhere fetches a bounded range (blocks of 1 MiB).
 *   - A read that a running download will reach soon waits for it.
 *   - A server that ignores Range, or whose ranges cannot be trusted, gets one stream
 *     from 0, which is not aborted while somebody has the file open.
 *   - results_fetch downloads everything that is missing, whoever reads, even after its
 *     waiters are gone.
 *
 * A size that one reply states is used for planning, and may be shown (results_size).
 * It is proven once a second reply agrees or a body that arrived as its head promised
 * fits it: nothing else may rest on one that is not, and it is in no map. It is the
 * end for readers once the last byte has arrived in this way and can be a last byte.
 * If the whole file comes in one reply, its head counts once the first bytes look
 * like a file.
 *
 * One wrong reply about the size would have tail read the wrong place and tar cut the
 * file. So from the moment that a size was shown and not proven no byte is given,
 * also of what is here: the reply to the first read is the second one about the size
 * and comes before its bytes (where it is none, the last byte is asked for beside
 * it). If another size is proven than the one shown, reads fail with -EIO until the
 * last reader has closed and RESULTS_SIZED has been heard: whoever opens the file and
 * asks for its size after that gets the right one. Not beside readers who have bytes:
 * for them nothing was shown, and whoever asks then waits for the proof. An object
 * that follows another takes over what that has shown (results_config).
 *
 * Whoever asks for the size, opens the file later and does not ask again can still go
 * by a wrong one, if somebody else's read settled it in between. tar, rsync, cp and
 * tail ask after they have opened it.
 *
 * Nothing is trusted: Content-Range must be what was asked for, the total must agree
 * with what is known, and a body that does not begin like a line, ends early, or ends
 * inside the last line is broken. Such a body that is neither a page nor an error of
 * the API is accepted if it is sent five times (results_odd). After a broken transfer
 * the rest is requested again, with backoff, up to 5 times without progress, and in
 * smaller parts if connections end early; then waiters get the error. If the size
 * (reported twice) or the bytes differ from before, the local file is put aside
 * (NAME.aside) and reads fail with -EIO until the last reader has closed; then it is
 * downloaded again, once. Not so a file that was whole once, of which a block is damaged:
 * no reply takes the rest of it away; the block is -EIO until the API sends what was
 * there.
 *
 * Blocks from an earlier process are read back and compared with their checksum before
 * their first use, on the reader's thread (about 0.2 ms per block).
 *
 * Threads: any, unless said otherwise. One mutex per object; the engine's callbacks
 * take it; it is never held across a call out.
 */
#ifndef GB_RESULTS_H
#define GB_RESULTS_H

#include "base/util.h"

#include "provider/provider.h"
#include "base/waiter.h"

enum results_event {
	RESULTS_SIZED,  /* the size was proven, or turned out to be wrong; not: shown */
	RESULTS_FILLED, /* every byte is local: call results_seal on a worker */
	RESULTS_REFUSED, /* 404 at both paths, 410, or a 403 not about the key: see
			    results_refusal */
	RESULTS_DAMAGED, /* data of an earlier run has changed */
	RESULTS_GAVE_UP, /* no more tries, refused or not: results_gave_up */
};

struct results_config {
	struct provider_conn *api; /* lives as long as the object */
	int dirfd;        /* the directory of the data file; duplicated */
	const char *name; /* of the data file; copied */
	const char *
		file; /* id of the output at the API; NULL: only what is local; copied */
	int64_t shown;    /* a size that an earlier object has shown and not proven; 0:
	                     none */
	bool offline;     /* fetch nothing: reads of what is not local fail with
	                     -EHOSTUNREACH */
	bool was_whole;   /* it was complete once: reads of what is missing and cannot
	                     be fetched again fail with -EIO */
	bool checked;     /* an earlier object of this process was final: a sealed file
	                     need not be checked again */
	/* Called on the engine thread or a reader's, without locks. Not called after
	 * the last results_unref, which waits for a call in progress. */
	void (*event)(void *arg, struct gb_results *r, enum results_event ev);
	void *arg;
};

/* Open what is local. -ENOENT: no file at the API and nothing local. Never blocks on
 * the network. One reference for the caller. */
_must_check_ int results_new(const struct results_config *c, struct gb_results **ret);
struct gb_results *results_ref(struct gb_results *r);
/* The last one stops downloads, saves the map and closes the file. */
void results_unref(struct gb_results *r);

/* An object that has no file of its own but stands for several others, one after the
 * other: it carries that pointer, for whoever made it, and nothing else is called with
 * it but results_several (NULL of all others), and free. NULL without memory. */
struct gb_results *results_of_several(void *several);
void *results_several(const struct gb_results *r);

/* Shutting down: answer every waiter (-EINTR) and abort all downloads. What is local
 * stays readable; other reads fail with -EINTR from now on. */
void results_stop(struct gb_results *r);

/* Readers are counted so that streams that nobody follows can stop.
 * gb_results_open/close of the public header are results_ref + results_reader(+1) and
 * the reverse. When the last one goes the map is saved and the descriptor closed. */
void results_reader(struct gb_results *r, int delta);

/* As gb_results_size, gb_results_ready, gb_results_final. Order for the size: what is
 * proven, or shown already; running GETs; `Range: bytes=0-0`. Beside readers, and for
 * one who reads where no reply has told it again: the last byte of what one reply
 * stated, or all of what is small. Asked once however many ask. */
int results_size(struct gb_results *r, struct gb_waiter *w, int64_t *ret);
ssize_t results_ready(
	struct gb_results *r, uint64_t off, size_t n, struct gb_waiter *w);
/* The same for those inside, who go by results_known_size alone: never misled. */
ssize_t results_ready_inside(
	struct gb_results *r, uint64_t off, size_t n, struct gb_waiter *w);
/* Read n bytes at off that results_ready has announced, while the caller is a reader.
 * Returns n or an errno; -EIO: the file on disk has changed, and the next results_ready
 * takes that into account. */
ssize_t results_read(struct gb_results *r, void *buf, size_t n, uint64_t off);
/* The same into n buffers (util_preadv_all): 0 or an errno. What is wrong with the file is left
 * to results_read to find. */
int results_readv(struct gb_results *r, struct iovec *v, int n, uint64_t off);
int results_fd(struct gb_results *r); /* borrowed, for as long as the caller is a
                                         reader */
bool results_complete(struct gb_results *r);
bool results_waited(struct gb_results *r); /* somebody waits for bytes or the size */
bool results_some(struct gb_results *r); /* of the bytes are local */
/* The status with which a request was last refused, and the API's message in
 * *ret_words: malloc'ed, or NULL. 0: none was refused. Until somebody opens the file
 * again (results_reader) or fetches, nothing more is requested, and waiters get
 * -ENODATA. */
unsigned results_refusal(struct gb_results *r, char **ret_words);
/* The errno that waiters got last; *ret_told: when (util_now) the API wants the next
 * request, 0: it did not say. Until then, or until the time of results_rest (util_now),
 * they get such an errno without a request; requests in progress go on, and a fetch
 * sends one. */
int results_gave_up(struct gb_results *r, double *ret_told);
void results_rest(struct gb_results *r, int err, double until);
bool results_final(struct gb_results *r); /* complete, sealed, every block checked */
/* It begins or ends as no file of lines should, and the API kept to it. */
bool results_odd(struct gb_results *r);
bool results_unsealed(struct gb_results *r); /* complete, and not sealed */
int64_t results_known_size(struct gb_results *r); /* -1: not proven; no request */
void *results_arg(struct gb_results *r); /* of the config */

/* Blocking, for a worker: ask the API how long the file is, whatever is local; a server
 * that states no length sends all of it. -ENODATA: the API does not have it any
 * more. */
int results_look(struct gb_results *r, struct canceller *c, int64_t *ret);

/* Download all that is missing; 0 at once when complete. Sealing is the caller's. */
int results_fetch(struct gb_results *r, struct gb_waiter *w);

/* Blocking, for a worker: check what was not checked yet, and make the complete file
 * durable (fdatasync, map, fsync of the directory). -EAGAIN: it is not complete, or not
 * any more, because a block on disk was damaged: fetch again. 0 at once if sealed. */
_must_check_ int results_seal(struct gb_results *r);

/* Blocking, for a worker: move data and map to dirfd (duplicated) under name; copies
 * them between different filesystems. Readers and downloads go on. Durable if the file
 * was sealed. 0 at once if it is there already. */
_must_check_ int results_rehome(struct gb_results *r, int dirfd, const char *name);

/* Progress for `.batchfs/transfers`: false if nothing is running. rate: bytes per
 * second over the last seconds; total -1: unknown. */
struct results_progress {
	int64_t have, total;
	double rate;
};
bool results_progress(struct gb_results *r, struct results_progress *ret);

/* Whether dirfd/name holds a complete, sealed copy, and its size: 1, 0, or a negative
 * errno as of results_mapped. Cheap: reads the map's head, not the data. */
_must_check_ int results_sealed(int dirfd, const char *name, int64_t *ret_size);

/* The same from the whole map: 1, and the size; 0: the map is of a part only; or a
 * negative errno for util_reading, which says whether the map is damaged or could not
 * be read. */
_must_check_ int results_mapped(int dirfd, const char *name, int64_t *ret_size);

/* Whether dirfd/name looks like a complete output of that size: 0, or -EBADMSG. And the
 * same, making a map for it, if its own was lost: what an earlier run did not know to
 * be complete does not become complete. Blocking, for a worker. */
_must_check_ int results_fits(int dirfd, const char *name, int64_t size);
_must_check_ int results_adopt(int dirfd, const char *name, int64_t size);

/* Write an already complete file: used for inline output, composed by
 * provider_inline_output into a descriptor. Open a temporary, fill it, then publish it
 * with a map. Blocking, for a worker. */
_must_check_ int results_publish(int dirfd, const char *tmp, const char *name);

/* Keep a cache directory of such files below max bytes (of disk blocks): the least
 * recently used are removed first. claim() says whether one may be removed; after true
 * nobody may make an object for that name until release(), which follows as soon as the
 * name is free. The time of last use is the map's mtime; files without a map are
 * useless. Blocking. */
struct results_trimmer {
	bool (*claim)(void *arg, const char *name);
	void (*release)(void *arg);
	void *arg;
};
int results_trim(int dirfd, uint64_t max, const struct results_trimmer *t);

#endif
