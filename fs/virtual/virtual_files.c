#include "virtual/virtual_files.h"

#include <errno.h>
#include <string.h>

#include "virtual/virtual_text.h"
#include "virtual/ctl.h"

static bool has_id(const struct gb_info *info)
{
	return info->id;
}

static bool shows_error(const struct gb_info *info)
{
	return info->has_error;
}

static bool has_warnings(const struct gb_info *info)
{
	return info->has_warnings;
}

static bool has_results(const struct gb_info *info)
{
	switch (info->output) {
	case GB_OUTPUT_INLINE:
	case GB_OUTPUT_THERE:
	case GB_OUTPUT_SAVED:
	case GB_OUTPUT_KEPT:
	case GB_OUTPUT_DAMAGED:
		return true;
	default:
		return false;
	}
}

/* Results whose size is known only after a complete download are not listed before they
 * are saved, nor are results that were refused before their size was known; they can be
 * opened by name. */
static bool lists_results(const struct gb_info *info)
{
	return info->output != GB_OUTPUT_INLINE && !info->results_unmeasured &&
	       !(info->results_refused && info->results_size < 0);
}

static bool has_answers(const struct gb_info *info)
{
	return info->has_answers;
}

static bool has_vectors(const struct gb_info *info)
{
	return info->has_vectors;
}

static bool has_table(const struct gb_info *info)
{
	return info->has_table;
}

static bool has_retry(const struct gb_info *info)
{
	return info->has_retry;
}

/* Before that its size is not known, nor, perhaps, are the results here. */
static bool lists_answers(const struct gb_info *info)
{
	return info->answers_there;
}

static bool has_tree(const struct gb_info *info)
{
	return info->has_answers && info->answers_there;
}

static bool has_parts(const struct gb_info *info)
{
	return info->has_parts && info->parts;
}

static bool is_own(const struct gb_info *info)
{
	return info->own;
}

#define NUMBER_PARTS 17

/* By number: that is the order of listings. */
static const struct vfile job_files[] = {
	{"model", 1, HOW_TEXT, WRITE_DRAFT, TIME_CREATED, .text = text_model,
		.store = verbs_store_model},
	{"state", 2, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .text = text_state,
		.refresh = gb_job_refresh},
	{"stats", 3, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .text = text_stats,
		.refresh = gb_job_refresh_counts},
	{"results.jsonl", 4, HOW_RESULTS, WRITE_NEVER, TIME_ENDED,
		.present = has_results, .listed = lists_results},
	{"error", 5, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .text = text_error,
		.present = shows_error},
	{"id", 6, HOW_TEXT, WRITE_NEVER, TIME_CREATED, .text = text_id,
		.present = has_id},
	{"job.json", 7, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .text = text_json,
		.present = has_id, .refresh = gb_job_refresh},
	{"ctl", 8, HOW_TEXT, WRITE_ALWAYS, TIME_UPDATED, .text = text_ctl,
		.store = verbs_store_ctl},
	{"wait", 9, HOW_WAIT, WRITE_NEVER, TIME_UPDATED, .unlisted = true},
	{"answers.tsv", 10, HOW_ANSWERS, WRITE_NEVER, TIME_ENDED,
		.answers = GB_ANSWERS_TSV, .present = has_answers,
		.listed = lists_answers},
	{"usage", 11, HOW_ANSWERS, WRITE_NEVER, TIME_ENDED,
		.answers = GB_ANSWERS_USAGE, .present = has_answers,
		.listed = lists_answers},
	{"retry.jsonl", 12, HOW_ANSWERS, WRITE_NEVER, TIME_ENDED,
		.answers = GB_ANSWERS_RETRY, .present = has_retry,
		.listed = lists_answers},
	{"responses", 13, HOW_TREE, WRITE_NEVER, TIME_ENDED, .present = has_tree},
	{"warnings", 14, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .text = text_warnings,
		.present = has_warnings, .in_index = true},
	{"vectors.npy", 15, HOW_ANSWERS, WRITE_NEVER, TIME_ENDED,
		.answers = GB_ANSWERS_VECTORS, .present = has_vectors,
		.listed = lists_answers},
	{"answers.csv", 16, HOW_ANSWERS, WRITE_NEVER, TIME_ENDED,
		.answers = GB_ANSWERS_TABLE, .present = has_table,
		.listed = lists_answers},
	{"parts", NUMBER_PARTS, HOW_PARTS, WRITE_NEVER, TIME_CREATED, .present = has_parts},
	{"split", 18, HOW_TEXT, WRITE_DRAFT, TIME_CREATED, .text = text_split,
		.store = verbs_store_split, .present = is_own},
};

/* What has the same name in a job's directory has the same number there. */
static const struct vfile part_files[] = {
	{"state", 2, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .part = true,
		.text = text_part_state, .refresh = gb_job_refresh},
	{"stats", 3, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .part = true,
		.text = text_part_stats, .refresh = gb_job_refresh_counts},
	{"results.jsonl", 4, HOW_RESULTS, WRITE_NEVER, TIME_ENDED, .part = true,
		.present = has_results, .listed = lists_results},
	{"error", 5, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .part = true,
		.text = text_part_error, .present = shows_error},
	{"id", 6, HOW_TEXT, WRITE_NEVER, TIME_CREATED, .part = true,
		.text = text_part_id, .present = has_id},
	{"job.json", 7, HOW_TEXT, WRITE_NEVER, TIME_UPDATED, .part = true,
		.text = text_part_json, .present = has_id, .refresh = gb_job_refresh},
	{"answers.tsv", 10, HOW_ANSWERS, WRITE_NEVER, TIME_ENDED, .part = true,
		.answers = GB_ANSWERS_TSV, .present = has_answers,
		.listed = lists_answers},
	{"usage", 11, HOW_ANSWERS, WRITE_NEVER, TIME_ENDED, .part = true,
		.answers = GB_ANSWERS_USAGE, .present = has_answers,
		.listed = lists_answers},
};

static const struct vfile meta_files[] = {
	{"README", 1, HOW_TEXT, WRITE_NEVER, TIME_STARTED, .text = text_readme},
	{"status", 2, HOW_TEXT, WRITE_NEVER, TIME_NOW, .text = text_status,
		.first_look = true},
	{"jobs", 3, HOW_TEXT, WRITE_NEVER, TIME_NOW, .text = text_jobs,
		.first_look = true},
	{"history", 4, HOW_HISTORY, WRITE_NEVER, TIME_NOW},
	{"transfers", 5, HOW_TEXT, WRITE_NEVER, TIME_NOW, .text = text_transfers},
	{"models", 6, HOW_MODELS, WRITE_NEVER, TIME_STARTED},
	{"log", 7, HOW_LOG, WRITE_NEVER, TIME_STARTED},
	{"metrics", 8, HOW_TEXT, WRITE_NEVER, TIME_NOW, .text = text_metrics},
	{"status.json", 9, HOW_TEXT, WRITE_NEVER, TIME_NOW, .text = text_status_json,
		.first_look = true, .unlisted = true},
};

static const struct vfile *table(enum vfile_place place, size_t *ret_n)
{
	static const struct {
		const struct vfile *rows;
		size_t n;
	} tables[] = {
		[IN_META] = {meta_files, ARRAY_SIZE(meta_files)},
		[IN_JOB] = {job_files, ARRAY_SIZE(job_files)},
		[IN_PART] = {part_files, ARRAY_SIZE(part_files)},
	};

	*ret_n = tables[place].n;
	return tables[place].rows;
}

const struct vfile *vfile_by_name(enum vfile_place place, const char *name)
{
	size_t n;
	const struct vfile *rows = table(place, &n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

const struct vfile *vfile_next(enum vfile_place place, uint32_t number)
{
	size_t n;
	const struct vfile *rows = table(place, &n);

	for (size_t i = 0; i < n; i++)
		if (rows[i].number >= number)
			return &rows[i];
	return NULL;
}

const struct vfile *vfile_by_number(enum vfile_place place, uint32_t number)
{
	const struct vfile *v = vfile_next(place, number);

	return v && v->number == number ? v : NULL;
}

uint32_t vfile_parts_number(void)
{
	return NUMBER_PARTS;
}

/* The models known by now: nothing is asked. */
static int known_models(struct mount *m, FILE *out)
{
	_cleanup_free_ char *text = NULL;
	int err = gb_models(m->gb, NULL, &text);

	if (!err && text)
		fputs(text, out);
	return err;
}

int vfile_text(struct mount *m, const struct vfile *v, struct gb_job *job, char **ret,
	size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int err = 0;

	if (!out)
		return -ENOMEM;
	if (v->how == HOW_MODELS)
		err = known_models(m, out);
	else if (v->text)
		err = v->text(m, job, out);
	if (fclose(out) && !err)
		err = -ENOMEM;
	if (err) {
		free(text);
		return err;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}
