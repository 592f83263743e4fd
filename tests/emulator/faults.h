/*
 * Faults: misbehaviour armed for the next matching requests.
 *
 * A fault is described by a query string such as
 *	match=create&kind=status&status=503&count=2
 * `match` is an operation name (create, get, list, …), "METHOD /path/prefix" or "*".
 * `skip=N` lets N matching requests pass first; `count=N` fires N times (default 1,
 * 0: for ever). docs/emulator.md lists kinds and arguments. Any thread may call.
 */
#ifndef EMU_FAULTS_H
#define EMU_FAULTS_H

#include "util.h"

enum fault_kind {
	FAULT_NONE,
	/* instead of the deed (with after=1: after it) */
	FAULT_STATUS, /* an error of `status`, `text` as its message or whole body */
	FAULT_DROP_BEFORE, /* connection closed, deed not done */
	FAULT_DROP_AFTER,  /* deed done, connection closed without a byte */
	FAULT_HTML,        /* the front end's page with `status` */
	FAULT_GARBAGE,     /* 200 (or `status`) and `text` or noise */
	FAULT_REDIRECT,    /* `status` (302) to `location` */
	FAULT_HUGEJSON,    /* a valid reply with a member of `bytes` */
	FAULT_WIDEJSON,    /* `bytes` of a list of nothing but `text` ({}) */
	FAULT_DEEPJSON,    /* `bytes` nested arrays */
	/* to the body received */
	FAULT_CUT_BODY,   /* connection closed when `at` bytes have come */
	FAULT_STALL_BODY, /* reading stops for `seconds` at byte `at` */
	/* to the reply of a deed that was done */
	FAULT_STALL,      /* nothing for `seconds`, at byte `at` of the body if given */
	FAULT_CUT,        /* connection closed after `at` bytes of the body */
	FAULT_TRUNCATE,   /* body ends after `at` bytes as if it were whole */
	FAULT_DRIP,       /* `bytes` at a time, `seconds` between */
	FAULT_WRONGTYPES, /* every leaf of the JSON has another type */
	FAULT_LYING_RANGE,    /* 206 with bytes from elsewhere: see `text` */
	FAULT_CHANGED_LENGTH, /* the file is `bytes` longer (or shorter) than it is */
	FAULT_CHANGED_BYTES,  /* the file has other bytes, as many as it had */
	FAULT_HEADER,         /* adds `text`, "Name: value" */
};

struct fault {
	enum fault_kind kind;
	char *match, *text, *location;
	int status;
	bool after;
	double seconds;
	int64_t at, bytes; /* at: -1 when not given */
	int64_t count, skip;
};

/* Arms what a query string describes. 0 or -EINVAL. */
int fault_arm(const char *query);
/* The same from single words; for a request whose query is already parsed. */
int fault_arm_words(const char *(*get)(void *cls, const char *name), void *cls);

/*
 * The fault to apply to this request, counted down: a copy to be cleared with
 * fault_clear. kind is FAULT_NONE when there is none.
 */
struct fault fault_take(const char *op, const char *method, const char *path);
void fault_clear(struct fault *f);

/* Does it put a reply of its own in place of the true one? */
bool fault_replaces(const struct fault *f);
/* Is the deed left undone? */
bool fault_forestalls(const struct fault *f);

/* Number still armed; disarming. */
json_t *faults_json(void);
void faults_reset(void);

#endif
