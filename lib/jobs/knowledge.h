/*
 * What is known about one job at the API: what was said about it, by which call, when,
 * and under which key; and what follows from that.
 *
 * Observations are entered with functions named after what was observed. Conclusions
 * are drawn by functions that take the time; no conclusion is stored that a later
 * observation, or the right key, could prove wrong. No other module decides whether a
 * job has ended, is missing or gone, and whether its output is still available.
 *
 *   - Only another GET can revoke an end that a GET reported; a list cannot. An end
 *     that a list reported is not revoked by a list either.
 *   - One 404 or 403 proves nothing. A job is gone when the API said so under the key
 *     that made it (or that has seen it), MISSES_PROVE times over `proof` seconds.
 *   - A missing job has not ended.
 *   - Refused output is requested again, with growing pauses, until its lifetime is
 *     over by the server's clock.
 *   - Only the API's own JSON is an observation (provider_error.from_api). A page that
 *     something else sent is an outage and does not get here.
 *
 * Pure: no locks, no I/O, no clocks. The owner of a struct knowledge guards it (a
 * job's: client.lock). Only knowledge.c reads and writes its members. All zeros is
 * right for a job about which nothing is known.
 */
#ifndef GB_KNOWLEDGE_H
#define GB_KNOWLEDGE_H

#include <stdbool.h>
#include <stdint.h>

struct provider_limits;

/* The time of an observation or a question, and what lives how long at the API. */
struct moment {
	double now;     /* seconds on CLOCK_BOOTTIME: for durations */
	int64_t server; /* Unix time by the server's clock: for lifetimes */
	const struct provider_limits *limits;
};

/* Whether the word of this run's key counts when it says that a job does not exist. */
enum knowledge_key {
	KEY_UNKNOWN, /* it has not seen the job, and the record does not say who made
	                it */
	KEY_SEES,    /* it has seen the job in this run */
	KEY_MADE_IT, /* the record says that it made the job */
	KEY_ANOTHER, /* the record names another key */
};

struct knowledge {
	double missed_at, look_again, fetch_again; /* CLOCK_BOOTTIME */
	uint32_t created, end;  /* by the server's clock; 0: not told */
	float missed_span;      /* seconds from the first miss of a row to its last */
	uint16_t status;        /* HTTP status of the newest refusal of output */
	uint8_t misses;         /* in a row */
	uint8_t refusals;       /* refusals of output, in a row, each after its
	                           pause */
	uint8_t key;
	bool known : 1;         /* by a reply, in this run or an earlier one */
	bool ended : 1;
	bool by_get : 1;        /* a GET has reported the end */
	bool final : 1;         /* the job has ended, and nothing more will come */
	bool pending : 1;       /* the counts at the end still have pending requests */
	bool output : 1;        /* is named */
	bool succeeded : 1;
	bool refused : 1;       /* the newest request for output was refused */
	bool part_here : 1;     /* at that time a part of it was on the local disk */
	bool denied : 1;        /* the newest look was denied: the key is refused */
	bool cancelled : 1;     /* a cancel was accepted */
	bool insisted : 1;      /* a person wants the job removed, whatever the key can
	                           see */
};

/* ---- observations ---------------------------------------------------------------- */

/* What a reply said about the job. */
struct job_word {
	bool listed;    /* an element of a list, which may be incomplete and old */
	bool ended, succeeded;
	bool output;    /* it names output, or there is some inline */
	bool presumed;  /* it omits inline output, so there may be some */
	bool error;     /* it says why there is no output */
	bool pending;   /* some requests count as pending */
	int64_t created, end; /* by the server's clock; 0: not told */
};

/* Which part of a reply may be kept. */
enum take {
	TAKE_ALL,
	TAKE_NEW, /* the known end stays: only what is not known yet, such as an
	             output's name */
};
enum take knowledge_saw(struct knowledge *k, struct moment m, const struct job_word *w);
/* The same, from what an earlier run wrote to disk; by_get: that run had it from a
 * GET. */
void knowledge_recalled(
	struct knowledge *k, struct moment m, const struct job_word *w, bool by_get);

/* Note whether the key of this run made the job, if that is written down. */
void knowledge_made_with(struct knowledge *k, bool this_key);
/* The API said about the job itself (GET, cancel, DELETE) that it does not exist or is
 * not this key's: 404, 403. */
void knowledge_missed(struct knowledge *k, struct moment m);
/* Misses of an earlier run, which knowledge_missed continues to count. */
void knowledge_recalled_misses(struct knowledge *k, unsigned misses, double span);
/* 401, or a 403 about the key: this says nothing about the job. */
void knowledge_key_refused(struct knowledge *k, struct moment m);

/* The job left the tree: forget everything about it. */
void knowledge_forgotten(struct knowledge *k);

void knowledge_cancel_accepted(struct knowledge *k);
/* A person wants the job removed although another key may have made it. */
void knowledge_insisted(struct knowledge *k, bool yes);

/* The API refused the output with this status. part_here: some of it is on the local
 * disk. pause: seconds until the first new request. The pause doubles with every
 * refusal that came after its pause, up to PAUSE_MAX times. */
void knowledge_download_refused(struct knowledge *k, struct moment m, unsigned status,
	bool part_here, double pause);
/* A request for it broke off for another reason, which says nothing about the
 * output. */
void knowledge_download_failed(struct knowledge *k, struct moment m, double pause);
/* Bytes of the output arrived. */
void knowledge_download_came(struct knowledge *k);

/* ---- conclusions ----------------------------------------------------------------- */

/* Whether any conclusion depends on the time. For most jobs none does, and the clocks
 * need not be read. */
bool knowledge_needs_time(const struct knowledge *k);

enum standing {
	STANDS_UNKNOWN, /* no reply has mentioned it */
	STANDS_RUNNING, /* it exists; the last reported state stands */
	STANDS_ENDED,
	STANDS_MISSING, /* the newest look did not find it; what was known stays */
	STANDS_GONE,    /* proven not to exist any more */
};
enum standing knowledge_standing(const struct knowledge *k, struct moment m);

/* It has ended, whether or not it still exists. */
bool knowledge_ended(const struct knowledge *k);
/* The same, and nothing more will come: it is not requested again. */
bool knowledge_final(const struct knowledge *k);
/* A GET has reported the end. */
bool knowledge_end_by_get(const struct knowledge *k);
/* It is proven gone, and nothing is known that could still be had of it: nothing more
 * will come, unless a later reply has it again. */
bool knowledge_vanished(const struct knowledge *k);
/* The newest look, some seconds ago at most, was denied: the key is refused. */
bool knowledge_denied(const struct knowledge *k, struct moment m);
/* Whether it is useless to wait for its end with this key. */
bool knowledge_hopeless(const struct knowledge *k, struct moment m);
/* Whether the routine look at our own jobs includes it. */
bool knowledge_routine(const struct knowledge *k, struct moment m);
/* Whether a request for this job alone may bring something new now; and from when on,
 * on CLOCK_BOOTTIME. */
bool knowledge_look_due(const struct knowledge *k, struct moment m);
double knowledge_look_at(const struct knowledge *k);
/* This key has seen the job, and nothing on disk says who made it. */
bool knowledge_is_strangers(const struct knowledge *k);
/* Its counts are from a list, from before its end: a GET would bring the final ones. */
bool knowledge_counts_lag(const struct knowledge *k);

enum output_known {
	OUTPUT_NONE,
	OUTPUT_AWAITED, /* it succeeded, and the API has not named any output yet */
	OUTPUT_NAMED,
	OUTPUT_REFUSED, /* named, and the newest request was refused: it is requested
	                   again */
	OUTPUT_OVER,    /* refused, and its lifetime is over: there will be none */
};
enum output_known knowledge_output(const struct knowledge *k, struct moment m);
/* For refused output: whether a part is on the local disk. */
bool knowledge_has_part(const struct knowledge *k);
/* Whether the output may be requested automatically now; and from when on, on
 * CLOCK_BOOTTIME. A person need not wait for that time. */
bool knowledge_fetch_due(const struct knowledge *k, struct moment m);
double knowledge_fetch_at(const struct knowledge *k);
unsigned knowledge_refusal(const struct knowledge *k);

/* What rmdir may do next at the API. */
enum removal_step {
	REMOVE_OTHER_KEY, /* nothing: another key made the job */
	REMOVE_LOOK,      /* look for the job first: this key has not seen it */
	REMOVE_CANCEL,    /* it has not ended */
	REMOVE_DELETE,
	REMOVE_DONE,      /* nothing is left to do: the job is proven to be gone */
};
enum removal_step knowledge_removal(const struct knowledge *k, struct moment m);
/* Whether a 404 to DELETE (after knowledge_missed) means that the job is deleted. */
bool knowledge_is_deleted(const struct knowledge *k, struct moment m);
bool knowledge_is_insisted(const struct knowledge *k);
/* Since when the API does not know it any more, as far as this run has seen, on
 * CLOCK_BOOTTIME; 0: it knows it, or that cannot be told. */
double knowledge_missed_since(const struct knowledge *k);
/* For the record, so that proof can be collected across restarts. */
void knowledge_misses(
	const struct knowledge *k, unsigned *ret_misses, double *ret_span);

#endif
