/*
 * What is known of one job at the API: what was said of it, by whom, when, and under
 * which key; and what follows from that.
 *
 * Observations go in by functions that are named after what was observed. Conclusions
 * come out by functions that take the time: none is stored that a later observation, or
 * the right key, could prove wrong. No other module decides whether a job has ended, is
 * missing or gone, and whether its output can still be had.
 *
 *   - What a GET said of an end is taken back by another GET alone, never by a list. That a
 *     list said a job has ended is not taken back by a list either.
 *   - One 404 or 403 is no fact. A job is gone when the API said so under the key that made
 *     it (or that has seen it), MISSES_PROVE times and over `proof` seconds.
 *   - Missing is never ended.
 *   - Output that is refused is asked for again, with growing pauses, until its life is
 *     over by the server's clock.
 *   - Only the API's own JSON is an observation (provider_error.from_api): a page that
 *     something else sent is an outage, and does not come here.
 *
 * Pure: no locks, no I/O, no clocks. Whoever owns a struct knowledge guards it (a job's:
 * client.lock). Its members are read and written by knowledge.c alone. All noughts is
 * right for a job of which nothing is known.
 */
#ifndef GB_KNOWLEDGE_H
#define GB_KNOWLEDGE_H

#include <stdbool.h>
#include <stdint.h>

/* When something is observed or asked. */
struct moment {
	double now;     /* seconds on CLOCK_BOOTTIME: for durations */
	int64_t server; /* Unix time by the server's clock: for lifetimes */
};

/* Whether the key of this run can say that a job is not there. */
enum knowledge_key {
	KEY_UNKNOWN, /* it has not seen the job, nor is it written down who made it */
	KEY_SEES,    /* it has seen the job in this run */
	KEY_MADE_IT, /* the record says so */
	KEY_ANOTHER, /* the record names another */
};

struct knowledge {
	double missed_at, look_again, fetch_again; /* CLOCK_BOOTTIME */
	uint32_t created, end;  /* by the server's clock; 0: not told */
	float missed_span;      /* seconds from the first miss of a row to its last */
	uint16_t status;        /* HTTP, of the newest refusal of output */
	uint8_t misses;         /* in a row */
	uint8_t refusals;       /* of output, in a row, each after its pause */
	uint8_t key;
	bool known : 1;         /* by a reply, of this run or an earlier one */
	bool ended : 1;
	bool by_get : 1;        /* a GET has told the end */
	bool final : 1;         /* the end has all that will come of it */
	bool pending : 1;       /* the counts of the end have pending requests */
	bool output : 1;        /* is named */
	bool succeeded : 1;
	bool refused : 1;       /* the newest request for output was */
	bool part_here : 1;     /* then a part of it was on the local disk */
	bool denied : 1;        /* the newest look was: the key is refused */
	bool cancelled : 1;     /* a cancel was accepted */
	bool insisted : 1;      /* a person wants it removed, whatever the key sees */
};

/* ---- observations ----------------------------------------------------------------- */

/* What a reply said of the job. */
struct job_word {
	bool listed;    /* an element of a list: it may leave things out, and lag */
	bool ended, succeeded;
	bool output;    /* it names output, or there is some inline */
	bool presumed;  /* it leaves inline output out, so there may be some */
	bool error;     /* it says why there is none */
	bool pending;   /* some requests count as pending */
	int64_t created, end; /* by the server's clock; 0: not told */
};

/* Which of a reply may be kept. */
enum take {
	TAKE_ALL,
	TAKE_NEW, /* an end stands: only what is not known yet, such as an output's name */
};
enum take knowledge_saw(struct knowledge *k, struct moment m, const struct job_word *w);
/* The same as an earlier run wrote it down; by_get: that run had it from a GET. */
void knowledge_recalled(
	struct knowledge *k, struct moment m, const struct job_word *w, bool by_get);

/* Whether the key of this run made the job, where that is written down. */
void knowledge_made_with(struct knowledge *k, bool this_key);
/* The API said of the job itself (GET, cancel, DELETE) that it is not there, or not this
 * key's: 404, 403. */
void knowledge_missed(struct knowledge *k, struct moment m);
/* Misses of an earlier run, for knowledge_missed to go on counting. */
void knowledge_recalled_misses(struct knowledge *k, unsigned misses, double span);
/* 401, or a 403 about the key: it says nothing about the job. */
void knowledge_key_refused(struct knowledge *k, struct moment m);

/* It left the tree: nothing is known of it any more. */
void knowledge_forgotten(struct knowledge *k);

void knowledge_cancel_accepted(struct knowledge *k);
/* A person says: remove it although this key may not be the one that made it. */
void knowledge_insisted(struct knowledge *k, bool yes);

/* The API refused the output with this status. part_here: some of it is on the local
 * disk. pause: seconds until it is asked for again the first time; it doubles with every
 * refusal that was worth a try, up to PAUSE_MAX times as much. */
void knowledge_download_refused(struct knowledge *k, struct moment m, unsigned status,
	bool part_here, double pause);
/* It broke off for another reason, that says nothing about the output. */
void knowledge_download_failed(struct knowledge *k, struct moment m, double pause);
/* Bytes of it came. */
void knowledge_download_came(struct knowledge *k);

/* ---- conclusions ------------------------------------------------------------------ */

/* Whether any of them depends on the time: of most jobs none does, and a look at the clocks
 * can be saved. */
bool knowledge_needs_time(const struct knowledge *k);

enum standing {
	STANDS_UNKNOWN, /* no reply has spoken of it */
	STANDS_RUNNING, /* it exists; the last word on its state stands */
	STANDS_ENDED,
	STANDS_MISSING, /* the newest look did not find it; what was known stands */
	STANDS_GONE,    /* that is proven */
};
enum standing knowledge_standing(const struct knowledge *k, struct moment m);

/* It has ended, whether or not it is still there. */
bool knowledge_ended(const struct knowledge *k);
/* The same, and nothing more will come of it: it is not asked for again. */
bool knowledge_final(const struct knowledge *k);
/* A GET has told the end. */
bool knowledge_end_by_get(const struct knowledge *k);
/* The newest look, some seconds ago at most, was denied: the key is refused. */
bool knowledge_denied(const struct knowledge *k, struct moment m);
/* Whether waiting for its end is of no use with this key. */
bool knowledge_hopeless(const struct knowledge *k, struct moment m);
/* A job of ours: whether it belongs into the routine look. */
bool knowledge_routine(const struct knowledge *k, struct moment m);
/* Whether a look at the job by itself may bring something now; and when, on
 * CLOCK_BOOTTIME. */
bool knowledge_look_due(const struct knowledge *k, struct moment m);
double knowledge_look_at(const struct knowledge *k);
/* This key has seen the job, and who made it is written down nowhere. */
bool knowledge_is_strangers(const struct knowledge *k);
/* Its counts are a list's from before the end: a GET would tell more. */
bool knowledge_counts_lag(const struct knowledge *k);

enum output_known {
	OUTPUT_NONE,
	OUTPUT_AWAITED, /* it ended well and the API has not named any yet */
	OUTPUT_NAMED,
	OUTPUT_REFUSED, /* named, and the newest try was refused: it is asked for again */
	OUTPUT_OVER,    /* refused, and its life is over: there will be none */
};
enum output_known knowledge_output(const struct knowledge *k, struct moment m);
/* Of refused output: a part is on the local disk. */
bool knowledge_has_part(const struct knowledge *k);
/* Whether the output may be asked for now without anybody asking; and when, on
 * CLOCK_BOOTTIME. A person need not wait for that. */
bool knowledge_fetch_due(const struct knowledge *k, struct moment m);
double knowledge_fetch_at(const struct knowledge *k);
unsigned knowledge_refusal(const struct knowledge *k);

/* What rmdir may do next at the API. */
enum removal_step {
	REMOVE_OTHER_KEY, /* nothing: the job was made with another */
	REMOVE_LOOK,      /* look for it first: this key has not seen it */
	REMOVE_CANCEL,    /* it has not ended */
	REMOVE_DELETE,
	REMOVE_DONE,      /* nothing is left to do: it is proven to be gone */
};
enum removal_step knowledge_removal(const struct knowledge *k, struct moment m);
/* Whether a 404 to DELETE (after knowledge_missed) means that it is deleted. */
bool knowledge_is_deleted(const struct knowledge *k, struct moment m);
bool knowledge_is_insisted(const struct knowledge *k);
/* For the record, so that proof can be gathered over restarts. */
void knowledge_misses(const struct knowledge *k, unsigned *ret_misses, double *ret_span);

#endif
