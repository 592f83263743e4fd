/*
 * Knobs: everything about the service that is uncertain (api.md, section 11) or that
 * a test wants different, as one table. Each has a name, a kind, a default and a help
 * text; `--set name=value`, POST /emu/set?name=value and GET /emu/knobs work on it.
 *
 * Readers take no lock of their own: knob_num and friends may be called from any
 * thread at any time, and see the value of the moment.
 */
#ifndef EMU_KNOBS_H
#define EMU_KNOBS_H

#include "util.h"

/* X(id, kind, default, choices, help): choices of an enumeration are numbered from 0.
 */
#define KNOBS(X)                                                                       \
	/* life of a job */                                                            \
	X(pending, PER, "0.5", "", "seconds a job is PENDING")                         \
	X(running, PER, "0.5", "", "seconds a job is RUNNING")                         \
	X(running_jobs, PER, "0", "",                                                  \
		"jobs of a model that run at a time, the others wait as PENDING; 0: "  \
		"all")                                                                 \
	X(start_state, ENUM, "pending", "pending|running|ended",                       \
		"state at create; ended: FAILED")                                      \
	X(outcome, ENUM, "succeeded", "succeeded|failed|expired|stuck|partial",        \
		"how jobs end; stuck: stays RUNNING; partial: PARTIALLY_SUCCEEDED")    \
	X(failed_code, NUM, "13", "",                                                  \
		"gRPC code of a FAILED job's error; 0: no error")                      \
	X(failed_message, TEXT, "Internal error encountered.", "", "and its message")  \
	X(expired_error, BOOL, "off", "", "EXPIRED jobs have an error (code 4)")       \
	X(ended_done, BOOL, "on", "",                                                  \
		"FAILED, EXPIRED and CANCELLED jobs have done:true")                   \
	X(ended_output, BOOL, "off", "", "those jobs have the output made so far")     \
	X(job_life, NUM, "48", "", "hours until an unended job is EXPIRED")            \
	X(job_retention, NUM, "0", "", "hours an ended job is kept; 0: for ever")      \
	X(late_output, NUM, "0", "", "seconds a SUCCEEDED job lacks its output")       \
	X(fail_every, NUM, "0", "", "every Nth request fails with code 13")            \
	X(workers, NUM, "2", "", "jobs that make results at the same time, at most 8") \
	/* quotas */                                                                   \
	X(max_jobs, PER, "100", "", "unended jobs a project may have; 0: no limit")    \
	X(queue_tokens, PER, "0", "",                                                  \
		"tokens that the unended jobs of a model may have; 0: no limit")       \
	X(job_tokens, PER, "0", "", "tokens that one job may have; 0: no limit")       \
	X(spend_limit, PER, "0", "",                                                   \
		"dollars that creates may cost in spend_window; 0: no limit")          \
	X(spend_window, NUM, "600", "", "seconds back that money is added up")         \
	X(token_price, PER, "1", "", "dollars for a million tokens of prompts")        \
	X(create_rate, PER, "0", "", "creates in create_window; 0: no limit")          \
	X(create_window, NUM, "60", "", "seconds back that creates are counted")       \
	X(credits_depleted, PER, "0", "",                                              \
		"1: creates are told that prepayment credits are depleted")            \
	X(quota_whim, NUM, "0", "",                                                    \
		"of a hundred creates that fit so many are refused all the same")      \
	X(quota_text, ENUM, "quota", "quota|exhausted|prepaid|retryinfo|named",        \
		"text of 429; named: with a QuotaFailure that says which quota")       \
	X(spend_text, ENUM, "own", "own|same",                                         \
		"money has a text of its own, or the one of the others")               \
	/* create */                                                                   \
	X(input_limit, NUM, "2147483648", "", "bytes of a create's input file")        \
	X(create_delay, NUM, "0", "",                                                  \
		"seconds a create takes, after the job exists, or until it is set to less") \
	X(validate, ENUM, "full", "full|count|off",                                    \
		"check of input files; count: lines only; off: not even that")         \
	X(semantic, ENUM, "line", "line|create",                                       \
		"inline requests that make no sense fail as a line or at create")      \
	X(absent_files, ENUM, "create", "create|line",                                 \
		"lines of an input file that name files which are not there are "      \
		"refused at create, or fail as lines")                                 \
	X(seed_nesting, BOOL, "off", "",                                               \
		"accept fileName inside inputConfig.requests")                         \
	X(lenient_json, BOOL, "on", "",                                                \
		"accept single quotes and bare words in bodies")                       \
	X(field_case, ENUM, "both", "both|camel|snake",                                \
		"spelling taken in input files")                                       \
	X(outer_unknown, ENUM, "refuse", "refuse|accept",                              \
		"unknown outer fields of a line")                                      \
	X(duplicate_keys, ENUM, "accept", "accept|refuse", "two lines with one key")   \
	X(bom, ENUM, "refuse", "refuse|accept", "byte order mark in an input file")    \
	X(blank_lines, ENUM, "accept", "accept|refuse",                                \
		"blank lines in an input file")                                        \
	X(crlf, ENUM, "accept", "accept|refuse", "CR LF in an input file")             \
	X(empty_file, ENUM, "refuse", "refuse|accept", "input without any request")    \
	X(fault_lines, NUM, "20", "", "bad lines that one refusal names at most")      \
	X(inline_limit, NUM, "20971520", "", "bytes of a create's body")               \
	X(display_name_max, NUM, "512", "", "characters of a displayName")             \
	/* how a job looks */                                                          \
	X(state_spelling, ENUM, "batch", "batch|job|bare",                             \
		"BATCH_STATE_, JOB_STATE_, none")                                      \
	X(state_missing, BOOL, "off", "", "no state member at all")                    \
	X(done_false, BOOL, "off", "", "done:false before the end")                    \
	X(counts, ENUM, "string", "string|number",                                     \
		"int64 counts as strings or numbers")                                  \
	X(zero_counts, BOOL, "off", "", "counts that are 0 are sent")                  \
	X(no_stats, BOOL, "off", "", "no batchStats at all")                           \
	X(counts_lag, BOOL, "off", "", "all counts pending until the end")             \
	X(time_digits, NUM, "9", "", "fractional digits of times: 9, 6, 3 or 0")       \
	X(time_back, BOOL, "off", "", "updateTime lies before createTime")             \
	X(output_where, ENUM, "both", "both|metadata|response", "where output stands") \
	X(output_kind, ENUM, "same", "same|file|inline|flat",                          \
		"output as file or inline whatever the input was; flat: one level")    \
	X(echo_priority, BOOL, "on", "", "priority is echoed when not 0")              \
	X(echo_model, BOOL, "on", "", "model is echoed")                               \
	X(inline_output_limit, NUM, "0", "",                                           \
		"more bytes of inline output: 503 for ever")                           \
	X(inline_output_takes, NUM, "0", "",                                           \
		"seconds that inline output would take: 503 where X-Server-Timeout "   \
		"(60 without) is less")                                                \
	/* list */                                                                     \
	X(page_default, NUM, "10", "", "jobs a page without pageSize; 0: empty list")  \
	X(page_cap, NUM, "100", "", "largest page of jobs")                            \
	X(token_life, NUM, "0", "", "seconds a page token lives; 0: for ever")         \
	X(endless_pages, ENUM, "off", "off|same|new|empty",                            \
		"lists never end: the same jobs, invented ones, none")                 \
	X(list_delay, NUM, "0", "", "seconds until a new job is listed")               \
	X(list_input_config, BOOL, "on", "", "list elements have inputConfig")         \
	X(list_inline, BOOL, "off", "", "list elements have inlined responses")        \
	X(fields_param, BOOL, "on", "", "the query parameter fields= is honoured")     \
	/* cancel, delete, update */                                                   \
	X(cancel_pending, ENUM, "cancelled", "cancelled|succeeded",                    \
		"end of a job cancelled while PENDING")                                \
	X(cancel_running, ENUM, "succeeded", "succeeded|cancelled",                    \
		"end of a job cancelled while RUNNING")                                \
	X(cancel_delay, NUM, "0.2", "", "seconds until a cancel shows")                \
	X(cancel_ended, NUM, "200", "",                                                \
		"status of cancelling an ended job: 200, 400, 404")                    \
	X(cancel_missing, NUM, "404", "", "status of cancelling a missing job")        \
	X(delete_running, NUM, "200", "",                                              \
		"status of deleting an unended job: 200, 400")                         \
	X(delete_missing, NUM, "404", "", "status of deleting a missing job")          \
	X(patch, BOOL, "on", "", "PATCH of jobs works; off: 404")                      \
	X(patch_empty_mask, ENUM, "accept", "accept|refuse",                           \
		"PATCH without updateMask")                                            \
	/* results */                                                                  \
	X(order, ENUM, "shuffled", "shuffled|input|reversed", "order of results")      \
	X(result_keys, ENUM, "right", "right|rotated|lost",                            \
		"keys of results in files")                                            \
	X(inline_metadata, ENUM, "keep", "keep|drop", "metadata of inline results")    \
	X(error_member, ENUM, "error", "error|status", "member of a failed line")      \
	X(error_codes, ENUM, "grpc", "grpc|http", "code space of failed lines")        \
	X(embed_form, ENUM, "model", "model|new|old",                                  \
		"embeddings with usageMetadata, inline below inlinedResponses, or "    \
		"with tokenCount, below inlinedEmbedContentResponses")                 \
	X(last_newline, BOOL, "on", "", "output ends in a newline")                    \
	X(thoughts, BOOL, "off", "", "answers carry thoughts and a signature")         \
	/* download */                                                                 \
	X(range, BOOL, "on", "", "Range is honoured")                                  \
	X(length, BOOL, "on", "", "Content-Length; off: chunked")                      \
	X(gzip, ENUM, "off", "off|on|always", "gzip: when asked for, or always")       \
	X(download_type, TEXT, "application/octet-stream", "", "Content-Type")         \
	X(etag, BOOL, "off", "", "ETag")                                               \
	X(head, BOOL, "on", "", "HEAD works; off: 404")                                \
	X(truncate_download, NUM, "0", "",                                             \
		"download bodies end after N bytes, as if whole")                      \
	/* files */                                                                    \
	X(get40, BOOL, "off", "", "files.get refuses ids over 40 characters")          \
	X(delete40, BOOL, "on", "", "files.delete refuses ids over 40 characters")     \
	X(list_outputs, BOOL, "off", "", "files.list has output files")                \
	X(output_life, NUM, "48", "", "hours an output lives after the end")           \
	X(output_expiration, BOOL, "on", "", "outputs have expirationTime")            \
	X(file_life, NUM, "48", "", "hours an upload lives")                           \
	X(processing, NUM, "0", "", "seconds a new file is PROCESSING")                \
	X(sha256, ENUM, "hex", "hex|raw|off|wrong",                                    \
		"base64 of the hex text, of the bytes, none, of another digest")        \
	X(sha256_max, NUM, "67108864", "", "larger files have no sha256Hash")          \
	X(file_limit, NUM, "2147483648", "", "bytes of one file")                      \
	X(storage_limit, NUM, "21474836480", "", "bytes of all files of a project")    \
	X(too_large_code, NUM, "400", "", "status for too large: 400, 413, 429")       \
	X(mime_refuse, TEXT, "", "",                                                   \
		"MIME types refused at the end of an upload, by commas")               \
	X(public_host, TEXT, "", "", "scheme://host in URLs instead of the request's") \
	/* uploads */                                                                  \
	X(granularity, NUM, "8388608", "", "X-Goog-Upload-Chunk-Granularity")          \
	X(upload_keep, ENUM, "bytes", "bytes|granules|none", "kept of a cut piece")    \
	X(upload_mismatch, NUM, "400", "",                                             \
		"wrong offset or odd length: 400, 412, 416")                           \
	X(upload_gone, NUM, "404", "", "status of an unknown session: 404, 410")       \
	X(upload_life, NUM, "168", "", "hours a session lives")                        \
	X(final_without_file, BOOL, "off", "", "a finished upload answers {}")         \
	/* everything */                                                               \
	X(pretty, BOOL, "on", "", "JSON is indented unless prettyPrint=false")         \
	X(json_length, BOOL, "off", "", "JSON has Content-Length instead of chunks")   \
	X(error_shape, ENUM, "object", "object|array|text|html", "error bodies")       \
	X(retry_after, TEXT, "", "", "Retry-After of 429 and 503: seconds, or a date") \
	X(retry_delay, TEXT, "", "", "RetryInfo of 429 and 503, such as 0s or 34.5s")  \
	X(list_aliases, BOOL, "on", "", "models/…-latest are in the list of models")   \
	X(model_stage, TEXT, "", "",                                                   \
		"modelStatus.modelStage of answers: DEPRECATED, RETIRED, …")           \
	X(bad_key, TEXT, "invalid", "",                                                \
		"a key that is refused when no --key is given")                        \
	X(key_refusal, ENUM, "invalid",                                                \
		"invalid|expired|leaked|token_type|blocked|suspended|overloaded",      \
		"how a bad key is refused; suspended repeats it")                      \
	X(delay, NUM, "0", "", "seconds before any answer")

#define KNOB_ID(id, kind, def, choices, help) K_##id,
enum knob { KNOBS(KNOB_ID) KNOB_COUNT };
#undef KNOB_ID

/* Sets all defaults; first of all calls. */
void knobs_init(void);

double knob_num(enum knob k);
static inline bool knob_on(enum knob k)
{
	return knob_num(k) != 0;
}
/* Number of the choice of an enumeration. */
static inline int knob_choice(enum knob k)
{
	return (int)knob_num(k);
}
char *knob_text_dup(enum knob k);

/* `name` and `value` as given by a user. 0, -ENOENT (no such knob), -EINVAL. */
int knob_set(const char *name, const char *value);
/* "name=value" */
int knob_assign(const char *assignment);

/* One object a knob: value, default, kind, choices, help. New reference. */
json_t *knobs_json(void);
void knobs_help(FILE *to);

#endif
