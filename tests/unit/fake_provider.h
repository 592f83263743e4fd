/*
 * A provider in memory, for tests of what stands on one: jobs, uploads and results, and a
 * script of answers for each call. It has no thread, no socket and no pause of its own;
 * downloads are told on the engine's thread. What it shows of itself is what Gemini would
 * answer: errors are made from replies by the same code.
 *
 *     struct fake_provider fake;
 *
 *     fake_provider_init(&fake);
 *     client_open_with(&options, &fake.table, &fake, &client, &why);
 *     fake_script(&fake, FAKE_CREATE, (struct fake_answer){.what = FAKE_LOST_AFTER});
 *     … submit …
 *     assert_int_equal(fake_made(&fake), 1);
 *     gb_close(client);
 *     fake_provider_clear(&fake);
 *
 * Functions of it may be called by any thread at any time, also by `before`. Each takes the
 * fake's lock; what they point to stays until fake_provider_clear.
 *
 * One that lies in shared memory (money.h) is the API for all children that are forked
 * after fake_provider_init, whichever of them is killed.
 */
#ifndef FAKE_PROVIDER_H
#define FAKE_PROVIDER_H

#include <pthread.h>

#include "provider/provider.h"

enum fake_call {
	FAKE_CHECK_KEY,
	FAKE_MODELS,
	FAKE_MODEL_GET,
	FAKE_LIST,
	FAKE_GET, /* get and look */
	FAKE_INLINE_OUTPUT,
	FAKE_COUNT, /* a token a byte of a request, 258 a file */
	FAKE_CREATE,
	FAKE_CANCEL,
	FAKE_REMOVE,
	FAKE_UPLOAD,       /* the start of an upload: its session */
	FAKE_UPLOAD_BYTES, /* the rest of it */
	FAKE_FILE_REMOVE,
	FAKE_FILES_USED,
	FAKE_DOWNLOAD,
	FAKE_OUTPUT_SIZE,
	FAKE_CALLS
};

enum fake_what {
	FAKE_OK,          /* as it should be */
	FAKE_STATUS,      /* the API refuses, with status: nothing is done */
	FAKE_PAGE,        /* the same, by a page that is not the API's */
	FAKE_UNREACHED,   /* no connection: nothing is done */
	FAKE_LOST_BEFORE, /* the request left, nothing was done, no answer came */
	FAKE_LOST_AFTER, /* it was done, but no answer came; a download breaks off half way */
	FAKE_NO_ANSWER, /* as FAKE_LOST_BEFORE, but -ETIMEDOUT */
	FAKE_GARBAGE,       /* 200, with what cannot be understood: nothing was done */
	FAKE_GARBAGE_AFTER, /* the same, and it was done */
	FAKE_OTHER, /* a create is done, and answered with another job than was made */
};

/* All but `what` may be left out. */
struct fake_answer {
	enum fake_what what;
	long status; /* of FAKE_STATUS and FAKE_PAGE */
	const char
		*reason;  /* google.rpc word or ErrorInfo reason; NULL: by the status */
	const char *text; /* NULL: some */
	double retry;     /* > 0: seconds the server asks for */
	bool done;        /* FAKE_STATUS, FAKE_PAGE: it was done all the same */
	bool hides;       /* the job that it makes is hidden */
	unsigned times;   /* how often; 0: once */
};

enum { FAKE_ROOM = 64 << 20 /* bytes for all that jobs and files hold */ };
enum { FAKE_JOBS = 256, FAKE_FILES = 1024, FAKE_SCRIPT = 64 };

struct fake_job {
	char id[64], output[64];          /* output "": none, or inline */
	char *display, *model, *requests; /* lines, as they were sent */
	size_t n_requests;
	char *results;     /* lines; NULL before the end */
	const char *answers; /* what they will be; NULL: one for each request */
	const char *input; /* id of its file; NULL: inline */
	const char *state; /* "BATCH_STATE_PENDING", … */
	time_t created, ended;
	bool embedding;
	bool removed;
	_Atomic bool hidden; /* in no list, and not to be found by its id: set it at will */
};

struct fake_file {
	char id[64];
	char *data;
	char session[96];
	size_t size;
	bool removed;
};

struct fake_provider {
	struct provider table; /* change ops of it before a client is opened */
	pthread_mutex_t lock;
	char *room; /* FAKE_ROOM; lock, like all below */
	size_t used;
	struct fake_job jobs[FAKE_JOBS];
	struct fake_file files[FAKE_FILES];
	size_t n_jobs, n_files;
	struct fake_answer script[FAKE_CALLS][FAKE_SCRIPT];
	_Atomic unsigned from[FAKE_CALLS], to[FAKE_CALLS]; /* of script, those to come */
	unsigned counts[FAKE_CALLS];

	/* Set at will, also while a client calls. */
	_Atomic bool lists_no_input; /* lists leave out of what a job was made */
	/* Quotas of creates; 0: none. Of the bytes of one; of jobs that have not ended. */
	_Atomic size_t takes_bytes, takes_jobs;
	const char *_Atomic quota_text; /* what it says then; NULL: no words that tell */
	const char *_Atomic alias_of; /* models are shown under this name; NULL: as they were sent */
	_Atomic bool ends_at_once; /* a job has succeeded when it is made */
	/* Called by the thread of a call before anything of it happens, without the lock: it
	 * may do what another does meanwhile, or wait. */
	void (*_Atomic before)(struct fake_provider *f, enum fake_call call);
	/* The same when all of it has happened and the answer is on its way; not of
	 * downloads. */
	void (*_Atomic after)(struct fake_provider *f, enum fake_call call);
	void *arg;
};

void fake_provider_init(struct fake_provider *f);
void fake_provider_clear(struct fake_provider *f);

/* Append to the answers of a call; where none is left it is FAKE_OK. */
void fake_script(struct fake_provider *f, enum fake_call call, struct fake_answer a);
/* Forget those that are left. */
void fake_unscript(struct fake_provider *f, enum fake_call call);
/* How often it was called. */
unsigned fake_count(struct fake_provider *f, enum fake_call call);

/* How many jobs were ever made, and how many there are. */
unsigned fake_made(struct fake_provider *f);
unsigned fake_there(struct fake_provider *f);
/* Uploads that were not removed. */
unsigned fake_uploads(struct fake_provider *f);
/* The nth job that was made, from 0; fails without. */
struct fake_job *fake_job(struct fake_provider *f, unsigned n);

/* Make a job that nobody here sent. */
struct fake_job *fake_stranger(struct fake_provider *f, const char *display);
/* End it: REMOTE_STATE_SUCCEEDED with a result for each request, or without. */
void fake_end(struct fake_provider *f, struct fake_job *j, enum remote_state state);

#endif
