/*
 * What a batch API must do, in neutral terms. Everything above this room uses only
 * these types and functions; what an API is called, how it spells things and what it
 * allows is in the API's own room (gemini/). To add one: docs/hacking.md, "A provider".
 *
 * Life cycle: a struct provider is a constant table. Opening a client makes a struct
 * provider_conn from it and an engine; it lives as long as the engine.
 *
 * Threads: calls block and are for worker threads, never a FUSE thread; any number at
 * the same time. What starts a download does not block and is for any thread.
 * Everything else (ids, texts, limits, verdicts) is pure.
 *
 * Repetition: calls that only read, cancel and remove retry failures that may pass
 * (errors_may_pass in errors.h), at most four times and within a minute and a half,
 * unless "one try" is said. create never repeats anything.
 *
 * Errors: 0 or a negative errno, by the table in errors.c. All that is known about it
 * is in a struct provider_error, which every call takes and overwrites, also on
 * success: clear it afterwards. What an errno means of a call:
 *
 *   -ENOENT        the API itself says that there is no such thing
 *   -EACCES        the API itself refuses the key, or access with it
 *   -EHOSTUNREACH  the API could not be asked: no connection, or something else
 *                  answered
 *   -EIO           it could be asked, but its answer is broken or missing
 *   -EDQUOT        a quota or rate; -ETIMEDOUT, -ECANCELED (a canceller), -ENOMEM
 *   -EINVAL        refused as invalid, also before it was sent (a bad id)
 *
 * Ownership: arguments are borrowed for the call; results are the caller's and have a
 * _clear function each. Outputs are untouched on failure.
 */
#ifndef GB_PROVIDER_H
#define GB_PROVIDER_H

#include "http/http.h"
#include "provider/ids.h"
#include "provider/limits.h"

struct compose_grammar;
struct request_grammar;
struct result_grammar;

/* ---- what went wrong -------------------------------------------------------------- */

/* What a 429 is about, where the reply tells. */
enum quota_kind {
	QUOTA_UNTOLD,
	QUOTA_QUEUE, /* what may be unfinished at a time: jobs, tokens of a model */
	QUOTA_MONEY, /* over ten minutes: it passes by itself */
	QUOTA_RATE,  /* calls: it passes after the time that the reply names */
	QUOTA_TIMED, /* it does not tell, but it names a time: perhaps a rate */
};

struct provider_error {
	int err;     /* negative errno */
	long status; /* HTTP, 0: no reply */
	enum http_sent sent;
	char reason[64]; /* the API's name for it: "API_KEY_INVALID" */
	char *text;      /* the API's message, or libcurl's; valid UTF-8, may hold
			   newlines, at most 16 KiB; NULL: none */
	double retry;    /* seconds the server asked for, -1: none */
	bool untrusted;  /* no TLS with that server: trying again at once is useless */
	bool hopeless;   /* 429 that waiting does not fix: billing, credits */
	enum quota_kind quota; /* of another 429: which */
	bool refused;    /* the API itself says so: it did nothing */
	bool from_api;   /* the reply is the API's own: only that says something about a
	                    job. The page of a proxy or portal does not: then err is
	                    never -ENOENT or -EACCES, but -EHOSTUNREACH */
};
void provider_error_clear(struct provider_error *e);
/* A line for logs and `error`: errno's meaning and the text's first line. malloc'ed */
char *provider_error_line(const struct provider_error *e);

/* Whether a create that ended with e made a job. */
enum create_verdict {
	CREATE_MADE,     /* there is one, and the reply names it */
	CREATE_NOT_MADE, /* proven: the call was never sent, or was refused */
	CREATE_UNKNOWN,  /* unknown: the job is looked for, never made again */
};
enum create_verdict provider_create_verdict(const struct provider_error *e);

/* ---- things at the API -------------------------------------------------------------- */

/* The state of a job, whatever an API's spelling. */
enum remote_state {
	REMOTE_STATE_NONE, /* absent */
	REMOTE_STATE_PENDING,
	REMOTE_STATE_RUNNING,
	REMOTE_STATE_SUCCEEDED,
	REMOTE_STATE_FAILED,
	REMOTE_STATE_CANCELLED,
	REMOTE_STATE_EXPIRED,
	REMOTE_STATE_OTHER /* see state_text */
};
/* As `state` shows it, "JOB_STATE_PENDING", whoever the provider; borrowed. */
const char *remote_state_text(enum remote_state state);
/* The state that a shown text stands for; REMOTE_STATE_OTHER if there is none. */
enum remote_state remote_state_of(const char *shown);

/* A job. All strings are malloc'ed or NULL, and checked: valid UTF-8, ids by pattern. */
struct remote_batch {
	char *id;
	char *display; /* "" when absent */
	char *model;
	enum remote_state state;
	char *state_text; /* as shown; an unknown one as it was received */
	bool ended;
	bool embedding;                             /* its results are vectors */
	struct timespec created, updated, ended_at; /* tv_sec 0: absent */
	int64_t requests, succeeded, failed,
		pending;       /* zeros where omitted; all -1 when
							 the API does not count */
	char *input_file;      /* id of the file it was made from, or NULL */
	bool has_input_config; /* the reply would name an input file if there were
	                          one */
	char *output_file;     /* id of the file of its results, or NULL */
	bool output_inline; /* results are part of the job itself (inline_output) */
	int error_code;     /* google.rpc.Code, 0: none */
	char *error_text;
	char *json; /* the resource for `job.json`, newline at the end, without results */
};
void remote_batch_clear(struct remote_batch *b);

/* A page of the list of jobs, newest first. */
struct remote_page {
	struct remote_batch *batches; /* those that could be parsed; others are left
	                                 out */
	size_t n, skipped;
	char *next; /* token of the next page, NULL at the end */
};
void remote_page_clear(struct remote_page *p);

/* What a model can do in batches. */
enum batch_method {
	BATCH_GENERATE = 1,
	BATCH_EMBED = 2,
};

struct remote_model {
	char *name;       /* as people write it (remote_model_name) */
	unsigned methods; /* set of enum batch_method; 0: it runs no batches */
};

struct remote_models {
	struct remote_model *list;
	size_t n;
};
void remote_models_clear(struct remote_models *m);

struct remote_file {
	char *name; /* its id */
	char *uri, *mime;
	int64_t size;    /* -1: not told */
	char sha256[65]; /* lower-case hex; "": not told, or not understood */
	struct timespec expires;
	bool active, failed; /* it can be used; it never will */
};
void remote_file_clear(struct remote_file *f);

/* ---- arguments --------------------------------------------------------------------- */

/* What a job is made from. Strings are borrowed. */
struct create_args {
	const char *model;      /* as people write it, or as the API does */
	const char *display;    /* NULL or "": none */
	const char *input_file; /* id of an upload, or */
	const char
		*inline_requests; /* requests of normalize_inline, inline_len bytes */
	size_t inline_len;
	bool embedding;
	const char *webhook; /* URL that the API calls when the job ends; NULL: none */
};

/* What is counted: one request of a line, or one file alone. Borrowed. */
struct count_args {
	const char *model;
	bool embedding;
	const char *request; /* the object, as the check accepted it … */
	size_t request_len;
	/* … without the files that it names by what this returns true for. NULL: none
	 * is left out. */
	bool (*leave_out)(void *arg, const char *uri);
	void *arg;
	const char *uri;     /* request NULL: of an upload, or */
	const void *data;    /* the bytes of a file */
	size_t data_len;
	const char *mime;    /* of either */
};

/* An upload. An interrupted upload can be resumed, even by another process. This needs
 * its session, a secret that the caller keeps on disk. Uploading is safe to repeat: an
 * unused file costs nothing and expires. */
struct upload {
	int fd; /* read with pread; the caller keeps it open */
	int64_t off, size; /* these bytes of it */
	const char *mime; /* of an attachment ("image/png", …); NULL: it is requests */
	const char *display; /* display name of the file */
	char session[1024];  /* "": start a new one; else resume this one */
	/* A session was started (url "": the old one is invalid). Runs on the calling
	 * thread; non-zero aborts the upload. */
	int (*on_session)(void *arg, const char *url);
	/* So many bytes have been sent; on the engine thread, at the end on the calling
	 * one. */
	void (*on_progress)(void *arg, int64_t n);
	void *arg;
};

/* A download of results. way: which of provider.ways to take, counted from 0. */
struct download {
	const char *file; /* id of an output file */
	unsigned way;
	const char *range; /* as in Range ("0-", "10-19"); NULL: all of it */
	/* As in struct http_request, on the engine thread; none of them but done is
	 * called after download_abort. */
	int (*on_head)(void *arg, const struct http_reply *head);
	int (*on_data)(void *arg, const void *buf, size_t n);
	void (*done)(void *arg, struct http_reply *reply);
	void *arg;
};

/* What a reply other than 2xx (and 416, which is about the range) means for a
 * download. */
struct download_verdict {
	int err;
	bool again;     /* asking again later may help (errors_may_pass) */
	bool other_way; /* ask at once by the next way */
	unsigned
		refused; /* status: the API itself refuses to send it; err is
		            -ENODATA */
	char *words;     /* of the API, then; malloc'ed, or NULL */
	double hint;     /* seconds the server asked for, -1: none */
};

/* ---- the table ------------------------------------------------------------------------ */

struct provider_conn {
	const struct provider *provider;
	struct engine *engine; /* transfers, timers and the server's clock */
	void *arg;             /* of the provider; NULL */
};

/* What some APIs cannot do. */
enum provider_can {
	CAN_UPLOAD = 1, /* requests and attachments are files that are uploaded first */
	CAN_INLINE = 2, /* small jobs carry their requests in the create */
	CAN_REMOVE = 4, /* jobs can be deleted, not only cancelled */
	CAN_RANGE = 8,  /* results can be downloaded from any byte on */
	CAN_EMBED = 16, /* jobs of embeddings */
	CAN_COUNT = 64, /* tokens are counted before they cost */
	LISTS_INPUT = 32, /* a job, in a list or alone, names the file it was made from:
	                     so a job is found if the reply to its create was lost
	                     (reconcile.c) */
};

struct provider {
	const char *name; /* "gemini" */
	unsigned can;     /* enum provider_can */
	const struct provider_limits *limits;
	const struct request_grammar *requests;
	const struct result_grammar *results;
	const struct compose_grammar *compose; /* requests of parts of a draft */
	/* How a request shows who sends it: the header that carries the key. The engine
	 * adds it where a request goes to the base's origin, and to no other. */
	const char *key_header;
	/* The segment of paths that says the API's version, which gb_options.version
	 * takes the place of. */
	const char *version;
	unsigned ways;    /* how many ways there are to get an output, at least 1 */

	/* Whether the key is valid. At most deadline seconds. */
	int (*check_key)(struct provider_conn *p, double deadline, struct canceller *c,
		struct provider_error *err);

	/* All models; an empty list is an error. And one model, which need not be among
	 * them: -ENOENT with err->from_api: there is no such model. */
	int (*models)(struct provider_conn *p, struct canceller *c,
		struct remote_models *ret, struct provider_error *err);
	int (*model_get)(struct provider_conn *p, const char *model,
		struct canceller *c, unsigned *ret_methods, struct provider_error *err);

	/* A page of the list. token NULL: the first page, in one try, because callers
	 * have pauses of their own. */
	int (*list)(struct provider_conn *p, const char *token, struct canceller *c,
		struct remote_page *ret, struct provider_error *err);

	/* One job; look is the same in one try. */
	int (*get)(struct provider_conn *p, const char *id, struct canceller *c,
		struct remote_batch *ret, struct provider_error *err);
	int (*look)(struct provider_conn *p, const char *id, struct canceller *c,
		struct remote_batch *ret, struct provider_error *err);

	/* The job, and the results inside it, written as lines to fd; how many. */
	int (*inline_output)(struct provider_conn *p, const char *id, int fd,
		struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
		struct provider_error *err);

	/* How many tokens a prompt has, without cost. -EINVAL also: this request is
	 * refused, others need not be. NULL without CAN_COUNT. */
	int (*count)(struct provider_conn *p, const struct count_args *a,
		struct canceller *c, int64_t *ret_tokens, struct provider_error *err);
	/* About how many tokens so many bytes of a file of this type are, where nothing
	 * can be asked. Pure. NULL without CAN_COUNT. */
	double (*guess)(const char *mime, int64_t size);

	/* Create a job, which costs money. The call leaves this machine at most once.
	 * 0: ret is the new job. Otherwise provider_create_verdict says what is
	 * proven. */
	int (*create)(struct provider_conn *p, const struct create_args *a,
		struct canceller *c, struct remote_batch *ret,
		struct provider_error *err);

	int (*cancel)(struct provider_conn *p, const char *id, struct canceller *c,
		struct provider_error *err);
	/* -ENOENT: the API has no such job; the caller decides what that means. NULL
	 * without CAN_REMOVE. */
	int (*remove)(struct provider_conn *p, const char *id, struct canceller *c,
		struct provider_error *err);

	/* 0: *ret is the file, ready to be used. Continues after interruptions, and
	 * gives up after several without progress. This and the next two are NULL
	 * without CAN_UPLOAD. */
	int (*upload)(struct provider_conn *p, struct upload *u, struct canceller *c,
		struct remote_file *ret, struct provider_error *err);
	/* 0 also if the file is gone already. */
	int (*file_remove)(struct provider_conn *p, const char *file,
		struct canceller *c, struct provider_error *err);
	/* Bytes of all uploads; *ret_whole says whether these are all. */
	int (*files_used)(struct provider_conn *p, struct canceller *c, int64_t *ret,
		bool *ret_whole, struct provider_error *err);

	/* Start a download, like engine_submit: 0, and done follows; or -ECANCELED,
	 * -EINVAL, -ENOMEM, and it does not follow. judge_download judges the end. */
	int (*download)(struct provider_conn *p, const struct download *d,
		struct transfer **ret);
	void (*download_abort)(struct provider_conn *p, struct transfer *t);
	struct download_verdict (*judge_download)(
		const struct http_reply *reply, unsigned way);
	/* How long an output is now. Blocks; one try by this way. -ENODATA: the API
	 * does not have it any more; -EHOSTUNREACH: something other than the API said
	 * so. */
	int (*output_size)(struct provider_conn *p, const char *file, unsigned way,
		struct canceller *c, int64_t *ret);

	/* From the text of remote_batch.json, or a reply. -EPROTO: it is not a job.
	 * Pure. */
	int (*parse)(const char *text, size_t n, struct remote_batch *ret);

	/* What the API calls a method; borrowed. */
	const char *(*method_name)(enum batch_method method);
};

/* ---- calls ----------------------------------------------------------------------------- */

static inline int provider_check_key(struct provider_conn *p, double deadline,
	struct canceller *c, struct provider_error *err)
{
	return p->provider->check_key(p, deadline, c, err);
}

static inline int provider_models(struct provider_conn *p, struct canceller *c,
	struct remote_models *ret, struct provider_error *err)
{
	return p->provider->models(p, c, ret, err);
}

static inline int provider_model_get(struct provider_conn *p, const char *model,
	struct canceller *c, unsigned *ret_methods, struct provider_error *err)
{
	return p->provider->model_get(p, model, c, ret_methods, err);
}

static inline int provider_list(struct provider_conn *p, const char *token,
	struct canceller *c, struct remote_page *ret, struct provider_error *err)
{
	return p->provider->list(p, token, c, ret, err);
}

static inline int provider_get(struct provider_conn *p, const char *id,
	struct canceller *c, struct remote_batch *ret, struct provider_error *err)
{
	return p->provider->get(p, id, c, ret, err);
}

static inline int provider_look(struct provider_conn *p, const char *id,
	struct canceller *c, struct remote_batch *ret, struct provider_error *err)
{
	return p->provider->look(p, id, c, ret, err);
}

static inline int provider_inline_output(struct provider_conn *p, const char *id,
	int fd, struct canceller *c, struct remote_batch *ret, int64_t *ret_lines,
	struct provider_error *err)
{
	return p->provider->inline_output(p, id, fd, c, ret, ret_lines, err);
}

static inline int provider_create(struct provider_conn *p, const struct create_args *a,
	struct canceller *c, struct remote_batch *ret, struct provider_error *err)
{
	return p->provider->create(p, a, c, ret, err);
}

static inline int provider_count(struct provider_conn *p, const struct count_args *a,
	struct canceller *c, int64_t *ret_tokens, struct provider_error *err)
{
	return p->provider->count(p, a, c, ret_tokens, err);
}

static inline int provider_cancel(struct provider_conn *p, const char *id,
	struct canceller *c, struct provider_error *err)
{
	return p->provider->cancel(p, id, c, err);
}

static inline int provider_remove(struct provider_conn *p, const char *id,
	struct canceller *c, struct provider_error *err)
{
	return p->provider->remove(p, id, c, err);
}

static inline int provider_upload(struct provider_conn *p, struct upload *u,
	struct canceller *c, struct remote_file *ret, struct provider_error *err)
{
	return p->provider->upload(p, u, c, ret, err);
}

static inline int provider_file_remove(struct provider_conn *p, const char *file,
	struct canceller *c, struct provider_error *err)
{
	return p->provider->file_remove(p, file, c, err);
}

static inline int provider_files_used(struct provider_conn *p, struct canceller *c,
	int64_t *ret, bool *ret_whole, struct provider_error *err)
{
	return p->provider->files_used(p, c, ret, ret_whole, err);
}

#endif
