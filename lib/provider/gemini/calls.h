/*
 * One function per REST method of the API that batchfs uses: what goes out, what
 * comes back. Nothing else in the library touches URLs or the wire's JSON. The
 * facts behind it, with their sources: docs/api-facts.md.
 *
 * All functions block and are for worker threads. Idempotent ones (GET, DELETE,
 * cancel) repeat after 408, 429, 5xx and broken connections, with backoff, at most
 * 4 tries and within their deadline; create never repeats anything.
 *
 * Errors: negative errno by the one table in errors.c; the API's own text, or
 * libcurl's, goes into struct provider_error, which every function takes.
 */
#ifndef GB_API_H
#define GB_API_H

#include "http/http.h"

/* What went wrong, in full. Every function overwrites it, also on success: clear what
 * an earlier call has left with provider_error_clear. */
struct provider_error {
	int err;        /* negative errno */
	long status;    /* HTTP, 0: no reply */
	enum http_sent sent;
	char reason[64];/* google.rpc.Code name or ErrorInfo reason: "API_KEY_INVALID" */
	char *text;     /* the API's message, or libcurl's; valid UTF-8, may hold
			   newlines, at most 16 KiB; NULL: none */
	double retry;   /* seconds the server asked for, -1: none */
	bool untrusted; /* no TLS with that server: trying again at once is no use */
	bool hopeless;  /* 429 that waiting does not mend: billing, credits */
	bool refused;   /* a reply that proves that the server did nothing: 4xx but
			   408, 409 and 499, well-formed or not */
	bool from_api;  /* the reply is the API's own JSON about this status: only that
			   says something about a job. A proxy's or portal's page, and
			   other JSON, does not: err is then never -ENOENT or -EACCES,
			   but -EHOSTUNREACH */
};
void provider_error_clear(struct provider_error *e);
/* A line for logs and `error`: errno's meaning and the text's first line. malloc'ed */
char *provider_error_line(const struct provider_error *e);

/* A model as people write it: without "models/"; other collections keep theirs. NULL
 * for NULL; points into model. */
const char *gemini_model_name(const char *model);

/* Wire states, whatever the spelling. */
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

/* A batch job as the API describes it. All strings are malloc'ed or NULL, and
 * checked: valid UTF-8, ids by pattern. Free with remote_batch_clear. */
struct remote_batch {
	char *id;          /* "batches/…" */
	char *display;     /* "" when absent */
	char *model;       /* "models/…" */
	enum remote_state state;
	char *state_text;  /* as shown: "JOB_STATE_PENDING"; an unknown one as it came */
	bool ended;        /* by state or done */
	bool embedding;    /* made by asyncBatchEmbedContent */
	struct timespec created, updated, ended_at; /* tv_sec 0: absent */
	int64_t requests, succeeded, failed, pending; /* zeros where omitted; all -1
							 when batchStats is absent */
	char *input_file;  /* "files/…" or NULL */
	bool has_input_config;
	char *output_file; /* "files/…" or NULL */
	bool output_inline;/* inlined responses were in the reply */
	int error_code;    /* gRPC, 0: none */
	char *error_text;
	char *json;        /* the resource, indented by 2, newline at the end, without
			      inlined responses */
};
void remote_batch_clear(struct remote_batch *b);
/* Which state a text that is shown stands for. */
enum remote_state gemini_state_of(const char *shown);
/* From an Operation's JSON (text, n bytes). -EPROTO: it is none. Pure. */
int gemini_batch_parse(const char *text, size_t n, struct remote_batch *ret);

struct remote_page {
	struct remote_batch *batches; /* those that parsed; others are left out */
	size_t n, skipped;
	char *next; /* page token, NULL at the end */
};
void remote_page_clear(struct remote_page *p);

/* GET /v1beta/models?pageSize=1: whether the key is good. At most deadline seconds. */
int gemini_check_key(struct engine *e, double deadline, struct canceller *c,
	struct provider_error *err);

/* What a model can do in batches. */
enum batch_method {
	BATCH_GENERATE = 1, /* batchGenerateContent */
	BATCH_EMBED = 2,    /* asyncBatchEmbedContent */
};
/* "batchGenerateContent", …; borrowed. */
const char *batch_method_name(enum batch_method method);

struct remote_model {
	char *name;       /* "gemini-…", without models/; another collection keeps its own */
	unsigned methods; /* enum batch_method; 0: it runs no batches */
};

struct remote_models {
	struct remote_model *list;
	size_t n;
};
void remote_models_clear(struct remote_models *m);

/* All models. None at all is no answer. */
int gemini_models(struct engine *e, struct canceller *c, struct remote_models *ret,
	struct provider_error *err);
/* One, which need not be in the list. -ENOENT with err->from_api: there is none. */
int gemini_model_get(struct engine *e, const char *model, struct canceller *c,
	unsigned *ret_methods, struct provider_error *err);

/* One page of the list, newest first, page size 100. token NULL: the first, which is
 * tried once, as callers have pauses of their own; those after it up to four times. */
int gemini_list(struct engine *e, const char *token, struct canceller *c,
	struct remote_page *ret, struct provider_error *err);

/* One job. Inlined responses are not kept; with out_fd >= 0 they are written there
 * as result lines (lib/provider/gemini/inline_output.h), and *ret_lines says how many. */
int gemini_get(struct engine *e, const char *id, int out_fd, struct canceller *c,
	struct remote_batch *ret, int64_t *ret_lines, struct provider_error *err);
/* The same without the lines, tried once, for callers with pauses of their own. */
int gemini_look(struct engine *e, const char *id, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err);

/* What a job is made of. Strings are borrowed. */
struct create_args {
	const char *model;           /* with or without "models/" */
	const char *display;         /* NULL or "": none */
	const char *input_file;      /* "files/…", or */
	const char *inline_requests; /* elements of an array, separated by commas
					(compose_inline), inline_len bytes */
	size_t inline_len;
	bool embedding;      /* asyncBatchEmbedContent */
	const char *webhook; /* URL that the API calls when the job ends; NULL: none */
};

/* Create a job. Sent at most once. 0: ret is the new job. Otherwise err says what is
 * proven: err->sent HTTP_NOT_SENT or err->refused: no job was made; anything else: nobody
 * knows. The deadline is 15 minutes while the connection lives. */
int gemini_create(struct engine *e, const struct create_args *a, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err);

int gemini_cancel(struct engine *e, const char *id, struct canceller *c,
	struct provider_error *err);
/* -ENOENT counts as done: 0. */
int gemini_delete(struct engine *e, const char *id, struct canceller *c,
	struct provider_error *err);
int gemini_file_delete(struct engine *e, const char *file, struct canceller *c,
	struct provider_error *err);

struct remote_file {
	char *name; /* "files/…" */
	char *uri, *mime;
	int64_t size; /* -1: not told */
	char sha256[65]; /* lower-case hex; "": not told, or not understood */
	struct timespec expires;
	bool active, failed; /* state ACTIVE (or none), FAILED */
};
void remote_file_clear(struct remote_file *f);
int gemini_file_parse(const char *text, size_t n, struct remote_file *ret);
/* 400 for long ids is normal for outputs: -EINVAL. One try. */
int gemini_file_get(struct engine *e, const char *file, struct canceller *c,
	struct remote_file *ret, struct provider_error *err);

/* Bytes of all files that were uploaded to the project, as far as *ret_whole says: at
 * most 20 pages of 100 are read. Output files do not count. */
int gemini_files_used(struct engine *e, struct canceller *c, int64_t *ret,
	bool *ret_whole, struct provider_error *err);

/* Fill in a request (all of *r: set callbacks after) for the bytes of an output file;
 * range as in Range ("0-", …) or NULL. There are two paths to it; other picks the
 * second. path is a buffer of at least 256 bytes that lives as long as r. */
int gemini_download_request(const char *file, bool other, char *path, size_t path_size,
	const char *range, struct http_request *r);

/* What a reply or failure means, for callers that talk to the engine themselves. */
void gemini_error_from_reply(
	const struct http_reply *reply, struct provider_error *ret);

#endif
