/* The table of what status says, and its three forms. */
#include "client/status.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum status_kind { KIND_TEXT, KIND_NUMBER, KIND_SWITCH };

static const struct status_row {
	const char *name;
	enum status_kind kind;
	const char *metric; /* NULL: none, or a label of batchfs_info */
	const char *label;
	const char *help; /* rows of one metric stand together, the first has it */
} rows[STATUS_IDS] = {
	[STATUS_ENDPOINT] = {"endpoint", KIND_TEXT},
	[STATUS_KEY_SOURCE] = {"key_source", KIND_TEXT},
	[STATUS_ONLINE] = {"online", KIND_SWITCH, "online", NULL,
		"Whether the API answered the last call"},
	[STATUS_STATE_DIR] = {"state_dir", KIND_TEXT},
	[STATUS_CACHE_DIR] = {"cache_dir", KIND_TEXT},
	[STATUS_CALLS] = {"api_calls", KIND_NUMBER, "api_calls_total", NULL,
		"Requests sent to the API since the start"},
	[STATUS_SENT] = {"api_bytes_sent", KIND_NUMBER, "api_bytes_total",
		"direction=\"sent\"",
		"Bytes of finished requests and replies since the start"},
	[STATUS_RECEIVED] = {"api_bytes_received", KIND_NUMBER, "api_bytes_total",
		"direction=\"received\"", NULL},
	[STATUS_TOKENS_IN] = {"tokens_in", KIND_NUMBER, "tokens_total",
		"kind=\"in\"", "Tokens of own jobs that ended since the start"},
	[STATUS_TOKENS_OUT] = {"tokens_out", KIND_NUMBER, "tokens_total",
		"kind=\"out\"", NULL},
	[STATUS_TOKENS_CACHED] = {"tokens_cached", KIND_NUMBER, "tokens_total",
		"kind=\"cached\"", NULL},
	[STATUS_JOBS] = {"jobs", KIND_NUMBER},
	[STATUS_DRAFTS] = {"drafts", KIND_NUMBER},
	[STATUS_UNSENT] = {"unsent", KIND_NUMBER, "unsent", NULL,
		"Submissions that wait or are under way"},
	[STATUS_UNCERTAIN] = {"uncertain", KIND_NUMBER, "uncertain", NULL,
		"Submissions of which it is not known whether there is a job"},
	[STATUS_REMOVING] = {"removing", KIND_NUMBER, "removing", NULL,
		"Jobs that are being removed at the API"},
	[STATUS_NOT_SAVED] = {"results_not_saved", KIND_NUMBER, "results_not_saved", NULL,
		"Ended jobs whose results are not saved yet"},
	[STATUS_DISK_SAVED] = {"disk_results_saved", KIND_NUMBER, "disk_bytes",
		"what=\"results_saved\"", "Bytes on the local disk"},
	[STATUS_DISK_CACHED] = {"disk_results_cached", KIND_NUMBER, "disk_bytes",
		"what=\"results_cached\"", NULL},
	[STATUS_DISK_LOW] = {"disk_low", KIND_SWITCH, "disk_low", NULL,
		"Whether results are not fetched because the disk is full"},
	[STATUS_STATE_DIR_BYTES] = {"state_dir_bytes", KIND_NUMBER, "state_dir_bytes",
		NULL, "What the state directory takes of the disk"},
	[STATUS_DISK_FREE] = {"disk_free", KIND_NUMBER, "disk_free_bytes", NULL,
		"What is free on the state directory's disk"},
	[STATUS_TRASH] = {"trash", KIND_NUMBER, "trash", NULL,
		"Removed jobs whose local copies are still there"},
};

/* ---- `name value` lines ----------------------------------------------------------------- */

void status_put_text(const struct status *s, FILE *out)
{
	for (size_t i = 0; i < STATUS_IDS; i++) {
		const struct status_value *v = &s->values[i];

		if (v->text)
			fprintf(out, "%s %s\n", rows[i].name, v->text);
		else if (rows[i].kind == KIND_SWITCH)
			fprintf(out, "%s %s\n", rows[i].name, v->number ? "yes" : "no");
		else if (rows[i].kind == KIND_NUMBER && v->number >= 0)
			fprintf(out, "%s %" PRId64 "\n", rows[i].name, v->number);
	}
	for (size_t i = 0; i < s->n_not_saved; i++)
		fprintf(out, "not_saved %s\t%s\n", s->not_saved[i].when,
			s->not_saved[i].what);
}

/* ---- Prometheus' text format ------------------------------------------------------------- */

static void put_label(const char *name, const char *value, FILE *out)
{
	fprintf(out, "%s=\"", name);
	for (const char *p = value ? value : ""; *p; p++) {
		if (*p == '"' || *p == '\\')
			fputc('\\', out);
		if (*p == '\n')
			fputs("\\n", out);
		else
			fputc(*p, out);
	}
	fputc('"', out);
}

static void put_metric_head(const char *metric, const char *help, FILE *out)
{
	size_t n = strlen(metric);
	bool counter = n > 6 && strcmp(metric + n - 6, "_total") == 0;

	fprintf(out, "# HELP batchfs_%s %s\n# TYPE batchfs_%s %s\n", metric, help, metric,
		counter ? "counter" : "gauge");
}

static void put_states(const struct status *s, FILE *out)
{
	put_metric_head("jobs", "Directories by what their state says", out);
	for (size_t i = 0; i < s->n_states; i++) {
		fputs("batchfs_jobs{", out);
		put_label("state", s->states[i].state, out);
		fprintf(out, "} %" PRIu32 "\n", s->states[i].n);
	}
}

void status_put_metrics(const struct status *s, FILE *out)
{
	put_metric_head("info", "What is mounted", out);
	fputs("batchfs_info{", out);
	put_label("version", GB_VERSION, out);
	fputc(',', out);
	put_label("endpoint", s->values[STATUS_ENDPOINT].text, out);
	fputc(',', out);
	put_label("state_dir", s->values[STATUS_STATE_DIR].text, out);
	fputs("} 1\n", out);
	put_states(s, out);
	for (size_t i = 0; i < STATUS_IDS; i++) {
		const struct status_row *r = &rows[i];

		if (r->metric && r->help)
			put_metric_head(r->metric, r->help, out);
		if (r->metric && s->values[i].number >= 0)
			fprintf(out, "batchfs_%s%s%s%s %" PRId64 "\n", r->metric,
				r->label ? "{" : "", r->label ? r->label : "",
				r->label ? "}" : "", s->values[i].number);
	}
}

/* ---- JSON -------------------------------------------------------------------------------- */

static json_t *value_json(const struct status_row *r, const struct status_value *v)
{
	if (r->kind == KIND_TEXT)
		return json_string(v->text);
	if (r->kind == KIND_SWITCH)
		return json_boolean(v->number > 0);
	return v->number < 0 ? json_null() : json_integer(v->number);
}

static json_t *lists_json(const struct status *s, json_t *all)
{
	json_t *states = json_object(), *not_saved = json_array();

	for (size_t i = 0; i < s->n_states; i++)
		json_object_set_new(
			states, s->states[i].state, json_integer(s->states[i].n));
	for (size_t i = 0; i < s->n_not_saved; i++)
		json_array_append_new(not_saved,
			json_pack("{ss ss}", "name", s->not_saved[i].what, "until",
				s->not_saved[i].when));
	json_object_set_new(all, "jobs_by_state", states);
	json_object_set_new(all, "not_saved", not_saved);
	return all;
}

/* Of a switch that has more to say, that goes beside it. */
void status_put_json(const struct status *s, FILE *out)
{
	json_t *all = json_object();

	for (size_t i = 0; i < STATUS_IDS; i++) {
		const struct status_value *v = &s->values[i];
		char note[64];

		json_object_set_new(all, rows[i].name, value_json(&rows[i], v));
		if (rows[i].kind != KIND_SWITCH || !v->text)
			continue;
		snprintf(note, sizeof(note), "%s_note", rows[i].name);
		json_object_set_new(all, note, json_string(v->text));
	}
	json_dumpf(lists_json(s, all), out, JSON_INDENT(1));
	fputc('\n', out);
	json_decref(all);
}
