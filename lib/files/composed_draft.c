#include "files/composed_draft.h"
#include "jobs/messages.h"
#include "jobs/operation.h"
#include "files/part_names.h"
#include "provider/compose.h"
#include "files/files.h"
#include "jobs/models.h"
#include "requests/warnings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TMP_NAME "composed.tmp"

/* ---- kinds ------------------------------------------------------------------------- */

/* Lock held: an input, by its name and those of the directories it is in. */
static bool is_input(const struct gb_file *f)
{
	if (f->is_dir || !f->parent)
		return false;
	for (; f->parent; f = f->parent)
		if (composed_is_leftover(f->name))
			return false;
	return true;
}

bool compose_draft_has_inputs(struct gb_job *job)
{
	const struct gb_file *f;

	for (uint32_t n = 0; (f = files_any(job, n)); n = f->number + 1)
		if (is_input(f))
			return true;
	return false;
}

bool compose_draft_has_parts(struct gb_job *job)
{
	const struct gb_file *f;

	for (uint32_t n = 0; (f = files_next(job, NULL, n)); n = f->number + 1)
		if (!f->is_dir && composed_is_part(f->name))
			return true;
	return false;
}

enum compose_draft_kind compose_draft_kind(struct gb_job *job)
{
	const struct gb_file *f = files_find(job, GB_REQUESTS);
	bool parts = compose_draft_has_parts(job);

	if (f && !f->composed)
		return parts ? GATHER_MIXED : GATHER_REQUESTS;
	return parts || compose_draft_has_inputs(job) ? GATHER_COMPOSED
						      : GATHER_NOTHING;
}

int compose_draft_refuse_mixed(struct gb_job *job)
{
	job_dir_error(job, -EBADMSG,
		"This draft has both requests.jsonl and files that requests are made "
		"from. Only one of the two can be sent.",
		"Nothing was sent. To change the requests, edit inputs/*, inputs.txt, "
		"inputs.csv, prompt.txt, system.txt, schema.json and defaults.json (a "
		"requests.jsonl that was made from them only shows what is sent). Or "
		"remove them, or move requests.jsonl to a draft of its own.",
		NULL);
	files_changed(job);
	return -EBADMSG;
}

/* ---- what there is ------------------------------------------------------------------- */

struct input {
	char *path; /* below inputs/ */
	struct gb_file *f;
};

/* What stands in place of files below inputs/. */
enum { LINES, CSV, TSV, LISTS };

static const char *const list_names[LISTS] = {"inputs.txt", "inputs.csv", "inputs.tsv"};

struct gather {
	struct gb_job *job;
	struct input *inputs;
	size_t n, cap;
	struct gb_file *prompt, *system, *schema, *defaults; /* references */
	struct gb_file *lists[LISTS];
	const struct compose_grammar *api;
	struct composed *c;
	bool embedding;               /* the model makes embeddings */
	struct warnings passed;       /* what was passed over */
	char **unknown, **incomplete; /* paths, the first of them */
	size_t n_unknown, n_incomplete;
};

enum { NAMED = 11 };

static int note(char ***list, size_t *n, const char *path)
{
	if (*n >= NAMED)
		return 0;
	if (!*list && !(*list = calloc(NAMED, sizeof(**list))))
		return -ENOMEM;
	(*list)[*n] = strdup(path);
	return (*list)[(*n)++] ? 0 : -ENOMEM;
}

static int add_input(struct gather *g, struct gb_file *f, const char *path)
{
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;
		struct input *inputs = realloc(g->inputs, cap * sizeof(*inputs));

		if (!inputs)
			return -ENOMEM;
		g->inputs = inputs;
		g->cap = cap;
	}
	char *copy = strdup(path + strlen(FILE_INPUTS "/"));
	if (!copy)
		return -ENOMEM;
	g->inputs[g->n++] = (struct input){copy, gb_file_ref(f)};
	return 0;
}

static int take_part(struct gather *g, struct gb_file *f)
{
	const struct {
		const char *name;
		struct gb_file **to;
	} parts[] = {{"prompt.txt", &g->prompt}, {"system.txt", &g->system},
		{"schema.json", &g->schema}, {"defaults.json", &g->defaults},
		{list_names[LINES], &g->lists[LINES]},
		{list_names[CSV], &g->lists[CSV]}, {list_names[TSV], &g->lists[TSV]}};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strcmp(f->name, parts[i].name) == 0)
			*parts[i].to = gb_file_ref(f);
	return 0;
}

/* A typing mistake. */
static bool is_unknown(const struct gb_file *f)
{
	return !composed_is_leftover(f->name) && strcmp(f->name, GB_REQUESTS) != 0;
}

/* A name in a line of text. */
static char *shown(char *path)
{
	for (char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return path;
}

/* Lock held. */
static int compose_draft_file(struct gather *g, struct gb_file *f)
{
	char path[FILE_PATH_MAX];
	bool input = is_input(f), part = !f->parent && composed_is_part(f->name);
	int err = files_path(f, path);

	if (err || f->is_dir)
		return err;
	if ((input || part) && f->tainted)
		err = note(&g->incomplete, &g->n_incomplete, path);
	if (!err && input && !f->tainted)
		err = add_input(g, f, path);
	else if (!err && part)
		err = take_part(g, f);
	else if (!err && !input && f->parent)
		warnings_add(&g->passed,
			"%s: ignored, because editors, downloads or other systems "
			"leave such files behind",
			shown(path));
	else if (!err && !input && !f->parent && is_unknown(f))
		err = note(&g->unknown, &g->n_unknown, path);
	return err;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

static int compose_draft_look(struct gather *g)
{
	struct gb_file *f;
	int err = 0;

	client_lock(g->job->c);
	for (uint32_t n = 0; !err && (f = files_any(g->job, n)); n = f->number + 1)
		err = compose_draft_file(g, f);
	client_unlock(g->job->c);
	if (!err && g->n)
		qsort(g->inputs, g->n, sizeof(*g->inputs), by_path);
	return err;
}

static void free_names(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static void compose_draft_clear(struct gather *g)
{
	for (size_t i = 0; i < g->n; i++) {
		gb_file_unref(g->inputs[i].f);
		free(g->inputs[i].path);
	}
	free(g->inputs);
	gb_file_unref(g->prompt);
	gb_file_unref(g->system);
	gb_file_unref(g->schema);
	gb_file_unref(g->defaults);
	for (size_t i = 0; i < LISTS; i++)
		gb_file_unref(g->lists[i]);
	g->api->free(g->c);
	free(warnings_text_take(&g->passed));
	free_names(g->unknown, g->n_unknown);
	free_names(g->incomplete, g->n_incomplete);
}

/* ---- composing ----------------------------------------------------------------------- */

/* The first of the lists that is there; LISTS: none. */
static int the_list(const struct gather *g)
{
	int i = 0;

	while (i < LISTS && !g->lists[i])
		i++;
	return i;
}

/* A file that is no part of a composed draft. Somebody who typed its name wrong must not
 * be told to remove it. */
static void complain_of_stranger(struct gather *g, const char *name)
{
	const char *meant = files_meant_by(name);
	char *what =
		strcmp(name, GB_REJECTED) == 0
			? strdup("was refused and is not sent: remove it, or move it to a draft of "
				 "its own")
		: meant && composed_is_part(meant)
			? util_format(
				  "is not part of a composed draft. If it is meant to be %s: mv "
				  "it there",
				  meant)
			: strdup("is not part of a composed draft: remove it, or move it below "
				 "inputs/ if it is an input");

	g->api->complain(g->c, name, what ? what : "is not part of a composed draft");
	free(what);
}

/* The draft as a whole. */
static void check_draft(struct gather *g)
{
	for (size_t i = 0; i < g->n_incomplete; i++)
		g->api->complain(g->c, g->incomplete[i],
			"is incomplete because its writer was killed or failed: write "
			"it again or remove it");
	for (size_t i = 0; i < g->n_unknown; i++)
		complain_of_stranger(g, g->unknown[i]);
	int list = the_list(g);
	if (list == LINES && g->n)
		g->api->complain(g->c, "inputs.txt",
			"there are files in inputs/ too: keep only one of the two");
	else if (list == LISTS && !g->n && !g->n_incomplete)
		g->api->complain(g->c, "inputs/",
			"is empty: copy files into it; each becomes a request");
	for (int i = list + 1; i < LISTS; i++)
		if (g->lists[i])
			g->api->complain(g->c, list_names[i],
				"is there beside another list of inputs: keep only one of them");
}

static int fd_of(struct gb_file *f, int *ret)
{
	*ret = f ? gb_file_fd(f) : -1;
	return f && *ret < 0 ? *ret : 0;
}

static int compose_draft_open_parts(struct gather *g, int out)
{
	struct composed_parts parts = {.embedding = g->embedding};
	int err = fd_of(g->prompt, &parts.prompt);

	if (!err)
		err = fd_of(g->system, &parts.system);
	if (!err)
		err = fd_of(g->schema, &parts.schema);
	if (!err)
		err = fd_of(g->defaults, &parts.defaults);
	return err ? err : g->api->begin(&parts, out, &g->c);
}

/* One descriptor at a time, because there may be more inputs than a process may
 * open. */
static int add_inputs(struct gather *g, const struct operation *t)
{
	int err = 0;

	for (size_t i = 0; !err && i < g->n; i++) {
		struct gb_file *f = STEAL_PTR(g->inputs[i].f);
		int fd = gb_file_fd(f);

		err = t->cancel.set ? -ECANCELED
		      : fd < 0	    ? fd
				    : g->api->add(g->c, g->inputs[i].path, fd);
		gb_file_unref(f);
	}
	return err;
}

static int add_lines(struct gather *g, const struct operation *t)
{
	int fd, err = fd_of(g->lists[LINES], &fd);

	if (!err)
		err = g->api->add_lines(g->c, fd, &t->cancel.set);
	if (!err && !g->api->requests(g->c))
		g->api->complain(g->c, "inputs.txt", "has only blank lines");
	return err;
}

static int open_input(void *arg, size_t i)
{
	struct gather *g = arg;

	return files_reopen(g->inputs[i].f);
}

static void compose_draft_remark(void *arg, const char *text)
{
	struct gather *g = arg;
	_cleanup_free_ char *copy = strdup(text);

	if (copy)
		warnings_add(&g->passed, "%s", shown(copy));
}

static int add_table(struct gather *g, const struct operation *t, int list)
{
	struct composed_table table = {.name = list_names[list],
		.cancel = &t->cancel.set,
		.inputs = calloc(g->n + 1, sizeof *table.inputs),
		.n_inputs = g->n,
		.open = open_input,
		.remark = compose_draft_remark,
		.arg = g};
	int err = table.inputs ? fd_of(g->lists[list], &table.fd) : -ENOMEM;

	for (size_t i = 0; !err && i < g->n; i++)
		table.inputs[i].path = g->inputs[i].path;
	if (!err)
		err = g->api->add_table(g->c, &table);
	for (size_t i = 0; table.inputs && i < g->n; i++)
		free(table.inputs[i].type);
	free(table.inputs);
	return err;
}

static int compose_to(struct gather *g, const struct operation *t, int out)
{
	int err = compose_draft_open_parts(g, out), list = the_list(g);

	if (err)
		return err;
	check_draft(g);
	err = list == LINES   ? add_lines(g, t)
	      : list == LISTS ? add_inputs(g, t)
			      : add_table(g, t, list);
	if (!err)
		err = g->api->end(g->c);
	return err;
}

static int compose_draft_refuse(struct gather *g)
{
	_cleanup_free_ char *text = g->api->complaints(g->c);

	if (!text)
		return 0;
	job_dir_error(g->job, -EBADMSG, "This draft cannot be sent as it is.",
		"Nothing was sent. Fix what is named below, then: echo submit > ctl",
		text);
	files_changed(g->job);
	return -EBADMSG;
}

/* First the bytes, including those of inputs that are only referred to; then the
 * name. */
static int compose_draft_publish(struct gather *g, int out)
{
	struct gb_job *job = g->job;
	int err = fsync(out) < 0 ? -errno : 0;

	if (!err && g->api->attachments(g->c) && syncfs(out) < 0)
		err = -errno;
	test_point("composed-written");
	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	if (!err)
		err = dir < 0 ? dir
		      : renameat(dir, TMP_NAME, dir, FILE_COMPOSED) < 0
			      ? -errno
			      : util_sync_dir(dir);
	pthread_mutex_unlock(&job->dir->disk);
	test_point("composed");
	return err;
}

/* From here on the journal says that composed.jsonl matches the parts. */
static int announce(struct gather *g, struct operation *t)
{
	struct gb_job *job = g->job;
	struct gb_file *old;

	client_lock(job->c);
	old = files_find(job, GB_REQUESTS);
	if (old && old->composed)
		files_unlink(old);
	else
		old = NULL;
	job->dir->rec.composed = true;
	job->dir->rec.batch->requests = (int64_t)g->api->requests(g->c);
	job->batch->requests = job->dir->rec.batch->requests;
	int err = files_add_composed(job);
	struct gb_file *f = err ? NULL : files_find(job, GB_REQUESTS);
	if (f) {
		t->file = gb_file_ref(f);
		f->held = true;
	}
	client_unlock(job->c);
	gb_file_unref(old);
	files_changed(job);
	if (!err)
		err = job_dir_save(job);
	job_changed(job, GB_CHANGED_META | GB_CHANGED_FILES);
	return err;
}

static int make_tmp(struct gb_job *job)
{
	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	int fd = dir < 0 ? dir
			 : openat(dir, TMP_NAME,
				   O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
				   0600);
	if (dir >= 0 && fd < 0)
		fd = -errno;
	pthread_mutex_unlock(&job->dir->disk);
	return fd;
}

static void drop_tmp(struct gb_job *job)
{
	pthread_mutex_lock(&job->dir->disk);
	_cleanup_close_ int dir = job_dir_open(job);
	if (dir >= 0)
		unlinkat(dir, TMP_NAME, 0);
	pthread_mutex_unlock(&job->dir->disk);
}

/* If that is unknown, ask for answers; the model is checked once more before anything
 * is sent. */
static int ask_model(struct gather *g, struct operation *t)
{
	struct gb_client *c = g->job->c;
	_cleanup_free_ char *model = NULL;

	client_lock(c);
	model = g->job->dir->rec.model ? strdup(g->job->dir->rec.model) : NULL;
	client_unlock(c);
	g->embedding = model && models_embeds(c->models, model, &t->cancel);
	return t->cancel.set ? -ECANCELED : 0;
}

static void tell_too_large(struct gb_job *job)
{
	_cleanup_free_ char *todo = util_format(
		"At most %s fit in one job: split the inputs into several drafts.",
		job->c->api.provider->limits->requests_text);

	job_dir_error(job, -EFBIG, "The requests made from this draft are too large.",
		todo, NULL);
}

int compose_draft_run(struct operation *t)
{
	struct gather g = {.job = t->job, .api = t->job->c->api.provider->compose};
	_cleanup_close_ int out = make_tmp(t->job);
	int err = out < 0 ? out : compose_draft_look(&g);

	if (!err)
		err = ask_model(&g, t);
	if (!err)
		err = compose_to(&g, t, out);
	if (!err)
		err = compose_draft_refuse(&g);
	if (!err)
		err = compose_draft_publish(&g, out);
	if (err)
		drop_tmp(t->job);
	else
		err = announce(&g, t);
	if (!err && g.passed.n)
		t->advice = warnings_text_take(&g.passed);
	if (err == -EFBIG)
		tell_too_large(t->job);
	else if (err == -ENOSPC)
		message_tell(t->job, err, false, NULL);
	else if (err == -ELIBACC)
		job_dir_error(t->job, -EIO,
			"The types of the inputs cannot be determined: this machine "
			"does not have libmagic's database.",
			"Nothing was sent. Install the database (on Debian: "
			"libmagic-mgc), then: echo submit > ctl",
			NULL);
	if (err && err != -ECANCELED) {
		job_dir_save_soon(t->job);
		job_changed(t->job, GB_CHANGED_META | GB_CHANGED_FILES);
	}
	compose_draft_clear(&g);
	return err == -ELIBACC ? -EIO : err;
}

int compose_draft_properties(struct gb_job *job, char **ret, size_t *ret_len)
{
	_cleanup_close_ int files = job_dir_open_files(job);
	_cleanup_close_ int fd =
		files < 0 ? files
			  : openat(files, "schema.json",
				    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (files >= 0 && fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return fd < 0 ? fd
		      : job->c->api.provider->compose->properties(fd, ret, ret_len);
}
