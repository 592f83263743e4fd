/*
 * One function per REST method of the API that batchfs uses: what is sent, what comes
 * back. gemini.c makes the table of provider.h from them; provider.h says what they do.
 * The facts behind them, with their sources, are in docs/api-facts.md.
 */
#ifndef GB_GEMINI_CALLS_H
#define GB_GEMINI_CALLS_H

#include "provider/gemini/gemini.h"

/* GET /v1beta/models?pageSize=1 */
int gemini_check_key(struct engine *e, double deadline, struct canceller *c,
	struct provider_error *err);

int gemini_models(struct engine *e, struct canceller *c, struct remote_models *ret,
	struct provider_error *err);
int gemini_model_get(struct engine *e, const char *model, struct canceller *c,
	unsigned *ret_methods, struct provider_error *err);

/* Page size 100. The first is tried once, those after it up to four times. */
int gemini_list(struct engine *e, const char *token, struct canceller *c,
	struct remote_page *ret, struct provider_error *err);

/* One job. Inlined responses are not kept; with out_fd >= 0 they are written there
 * as result lines (lib/provider/gemini/inline_output.h), and *ret_lines says how many. */
int gemini_get(struct engine *e, const char *id, int out_fd, struct canceller *c,
	struct remote_batch *ret, int64_t *ret_lines, struct provider_error *err);
/* The same without the lines, tried once. */
int gemini_look(struct engine *e, const char *id, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err);

/* The deadline is 15 minutes while the connection lives. */
int gemini_create(struct engine *e, const struct create_args *a, struct canceller *c,
	struct remote_batch *ret, struct provider_error *err);

int gemini_cancel(struct engine *e, const char *id, struct canceller *c,
	struct provider_error *err);
int gemini_delete(struct engine *e, const char *id, struct canceller *c,
	struct provider_error *err);
/* -ENOENT counts as done: 0. */
int gemini_file_delete(struct engine *e, const char *file, struct canceller *c,
	struct provider_error *err);

/* 400 for long ids is normal for outputs: -EINVAL. One try. */
int gemini_file_get(struct engine *e, const char *file, struct canceller *c,
	struct remote_file *ret, struct provider_error *err);

/* Bytes of all files that were uploaded to the project; *ret_whole says whether these
 * are all: at most 20 pages of 100 are read. Output files do not count. */
int gemini_files_used(struct engine *e, struct canceller *c, int64_t *ret,
	bool *ret_whole, struct provider_error *err);

/* Fill in a request (all of *r: set callbacks after) for the bytes of an output file;
 * range as in Range ("0-", …) or NULL. There are two paths to it; other picks the
 * second. path is a buffer of at least 256 bytes that lives as long as r. */
int gemini_download_request(const char *file, bool other, char *path, size_t path_size,
	const char *range, struct http_request *r);

#endif
