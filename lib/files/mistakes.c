/* Files in a draft that look as if they were meant to have another name. */
#include "files/files.h"
#include "files/part_names.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>
#include <strings.h>

/* Wrong names that people use, and all names that end like a requests file. */
static const struct {
	const char *pattern, *meant;
} lookalikes[] = {
	{"input.txt", "inputs.txt"},
	{"inputs", "inputs.txt"},
	{"questions.txt", "inputs.txt"},
	{"prompts.txt", "inputs.txt"},
	{"prompt", "prompt.txt"},
	{"prompt.md", "prompt.txt"},
	{"question.txt", "prompt.txt"},
	{"system", "system.txt"},
	{"system.md", "system.txt"},
	{"*.csv", "inputs.csv"},
	{"*.tsv", "inputs.tsv"},
	{"system_instruction.txt", "system.txt"},
	{"default.json", "defaults.json"},
	{"config.json", "defaults.json"},
	{"schemas.json", "schema.json"},
	{"*.schema.json", "schema.json"},
	{"*.jsonl", GB_REQUESTS},
	{"*.ndjson", GB_REQUESTS},
	{"*.json", GB_REQUESTS},
	{"requests", GB_REQUESTS},
};

/* Whether b is a with one letter more, less, or another, or two neighbours swapped;
 * case does not count. */
static bool is_one_slip(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), i = 0;

	while (a[i] && tolower((unsigned char)a[i]) == tolower((unsigned char)b[i]))
		i++;
	if (n == m + 1)
		return strcasecmp(a + i + 1, b + i) == 0;
	if (m == n + 1)
		return strcasecmp(a + i, b + i + 1) == 0;
	if (n != m || !a[i])
		return n == m;
	return strcasecmp(a + i + 1, b + i + 1) == 0 ||
	       (a[i + 1] &&
		       tolower((unsigned char)a[i]) ==
			       tolower((unsigned char)b[i + 1]) &&
		       tolower((unsigned char)a[i + 1]) ==
			       tolower((unsigned char)b[i]) &&
		       strcasecmp(a + i + 2, b + i + 2) == 0);
}

/* The name that was perhaps mistyped; NULL. */
static const char *near_name(const char *name)
{
	static const char *const names[] = {"prompt.txt", "inputs.txt", "inputs.csv",
		"inputs.tsv", "system.txt", "schema.json", "defaults.json",
		GB_REQUESTS};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) != 0 && is_one_slip(name, names[i]))
			return names[i];
	return NULL;
}

const char *files_meant_by(const char *name)
{
	const char *near = near_name(name);

	if (near)
		return near;
	for (size_t i = 0; i < ARRAY_SIZE(lookalikes); i++)
		if (fnmatch(lookalikes[i].pattern, name, FNM_CASEFOLD | FNM_PERIOD) ==
			0)
			return lookalikes[i].meant;
	return NULL;
}

bool files_lookalike(const char *name)
{
	return !composed_is_part(name) && files_meant_by(name);
}

/* Lock held. A draft without requests.jsonl has a file that was perhaps meant to be
 * another; its name into ret. */
static const char *misnamed(struct gb_job *job, char ret[256])
{
	const char *meant = NULL;
	const struct gb_file *f;

	if (!job->dir || !job->dir->lookalikes || !phase_is_draft(job_phase(job)) ||
		files_has(job, GB_REQUESTS))
		return NULL;
	for (uint32_t n = 0; !meant && (f = files_next(job, NULL, n));
		n = f->number + 1) {
		meant = f->lookalike ? files_meant_by(f->name) : NULL;
		snprintf(ret, 256, "%s", f->name);
	}
	return meant;
}

/* Lock held: whether requests.jsonl exists, is empty, and nobody is writing it. */
static bool has_no_files(struct gb_job *job)
{
	const struct gb_file *f;

	if (!job->dir || !phase_is_draft(job_phase(job)) || job->dir->task)
		return false;
	f = files_find(job, GB_REQUESTS);
	return f && !f->composed && !f->length && f->refs == 1;
}

char *files_mistake(struct gb_job *job)
{
	char name[256];

	client_lock(job->c);
	const char *meant = misnamed(job, name);
	bool empty = has_no_files(job);
	client_unlock(job->c);
	if (empty)
		return strdup("requests.jsonl is empty: nothing is sent.\n"
			      "Write requests into it, one per line.\n");
	return meant ? util_format("%s is scratch: nothing is sent.\n"
				   "If it is meant to be %s: mv it there.\n",
			       name, meant)
		     : NULL;
}

bool files_has_mistake(struct gb_job *job)
{
	char name[256];

	return misnamed(job, name) || has_no_files(job);
}
