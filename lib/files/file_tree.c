/*
 * What is where: the tree of a job's files in memory, and as it is found at start.
 */
#include "files/part_names.h"
#include "files/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the tree -------------------------------------------------------------------- */

static int cmp(const void *a, const void *b)
{
	const struct gb_file *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return strcmp(x->name, y->name);
}

struct gb_file *files_new(struct gb_job *job, const char *name)
{
	struct gb_file *f = calloc(1, sizeof(*f));
	const char *copy = counted_new(name);

	if (!f || !copy) {
		free(f);
		counted_unref(copy);
		return NULL;
	}
	f->c = job->c;
	f->name = copy;
	f->refs = 1;
	f->fd = -1;
	return f;
}

static void file_free(struct gb_file *f)
{
	int fd = f->fd;

	util_closep(&fd);
	follow_end(f->follow);
	sorted_array_clear(&f->children);
	counted_unref(f->name);
	free(f);
}

struct gb_file *gb_file_ref(struct gb_file *f)
{
	f->refs++;
	return f;
}

/* A file to which only the table refers does not need its descriptor: a draft of a
 * hundred thousand files would need as many. Others get a reference from the table,
 * under the lock. */
void gb_file_unref(struct gb_file *f)
{
	if (!f)
		return;
	_cleanup_close_ int fd = -1;
	struct gb_client *c = f->c;

	client_lock(c);
	unsigned left = --f->refs;
	if (left == 1 && f->job)
		fd = atomic_exchange(&f->fd, -1);
	client_unlock(c);
	if (!left)
		file_free(f);
}

static struct sorted_array *children_of(struct gb_job *job, struct gb_file *dir)
{
	return dir ? &dir->children : &job->dir->top;
}

/* Into the tables, under the number it has. */
static int insert_file(struct gb_job *job, struct gb_file *parent, struct gb_file *f)
{
	struct job_dir *l = job->dir;

	f->parent = parent;
	if (sorted_array_add(&l->numbers, f->number, f))
		return -ENOMEM;
	if (sorted_array_add(children_of(job, parent), f->number, f))
		goto out;
	if (tsearch(f, &l->names, cmp)) {
		f->job = job;
		/* Nearly every job has one of this name. */
		counted_merge(&f->name, client_intern(job->c, GB_REQUESTS));
		f->lookalike = !parent && !f->is_dir && files_lookalike(f->name);
		l->lookalikes += f->lookalike;
		return 0;
	}
	sorted_array_remove(children_of(job, parent), f->number);
out:
	sorted_array_remove(&l->numbers, f->number);
	return -ENOMEM;
}

int files_link(struct gb_job *job, struct gb_file *parent, struct gb_file *f)
{
	if (job->dir->next_file > GB_FILE_NUMBER_MAX)
		return -ENOSPC;
	f->number = job->dir->next_file;
	int err = insert_file(job, parent, f);
	job->dir->next_file += !err;
	return err;
}

void files_unlink(struct gb_file *f)
{
	struct job_dir *l = f->job->dir;

	l->lookalikes -= f->lookalike;
	f->lookalike = false;
	tdelete(f, &l->names, cmp);
	sorted_array_remove(&l->numbers, f->number);
	sorted_array_remove(children_of(f->job, f->parent), f->number);
	f->job = NULL;
	f->parent = NULL;
}

/* All that is below dir, into job's tables. */
static int move_children(struct gb_file *dir, struct gb_job *job)
{
	struct sorted_array old = dir->children;
	int err = 0;

	dir->children = (struct sorted_array){0};
	for (uint32_t i = 0; i < old.used; i++) {
		struct gb_file *f = sorted_array_at(&old, i);
		struct job_dir *l = f ? f->job->dir : NULL;

		if (!f)
			continue;
		tdelete(f, &l->names, cmp);
		sorted_array_remove(&l->numbers, f->number);
		f->job = NULL;
		err = files_link(job, dir, f);
		if (!err && f->is_dir)
			err = move_children(f, job);
		if (err)
			break;
	}
	sorted_array_clear(&old);
	return err;
}

int files_move(struct gb_file *f, struct gb_job *to, struct gb_file *parent,
	const char **name_take)
{
	struct gb_job *from = f->job;
	struct gb_file *was = f->parent;
	const char *old = f->name;
	int err;

	files_unlink(f);
	f->name = *name_take;
	err = from == to ? insert_file(to, parent, f) : files_link(to, parent, f);
	if (!err) {
		*name_take = NULL;
		counted_unref(old);
		return from != to && f->is_dir ? move_children(f, to) : 0;
	}
	f->name = old;
	if (insert_file(from, was, f))
		f->refs--; /* without a place, for want of a few bytes: only on disk */
	return err;
}

static void keep_name(void *f)
{
}

void files_free(struct job_dir *l)
{
	tdestroy(l->names, keep_name);
	for (uint32_t i = 0; i < l->numbers.used; i++) {
		struct gb_file *f = sorted_array_at(&l->numbers, i);

		if (!f)
			continue;
		f->job = NULL;
		f->parent = NULL;
		if (!--f->refs)
			file_free(f);
	}
	sorted_array_clear(&l->numbers);
	sorted_array_clear(&l->top);
}

/* ---- finding ----------------------------------------------------------------------- */

struct gb_file *files_find_in(struct gb_job *job, struct gb_file *dir, const char *name)
{
	const struct gb_file key = {.parent = dir, .name = (char *)name};
	void *at = job->dir ? tfind(&key, &job->dir->names, cmp) : NULL;

	return at ? *(struct gb_file **)at : NULL;
}

struct gb_file *files_find(struct gb_job *job, const char *name)
{
	return files_find_in(job, NULL, name);
}

bool files_has(struct gb_job *job, const char *name)
{
	return files_find(job, name) != NULL;
}

struct gb_file *files_by_path(struct gb_job *job, const char *path)
{
	struct gb_file *f = NULL;
	char part[256];

	for (;; path++) {
		size_t n = strcspn(path, "/");

		if (n == 0 || n >= sizeof(part))
			return NULL;
		memcpy(part, path, n);
		part[n] = '\0';
		f = files_find_in(job, f, part);
		path += n;
		if (!f || !*path)
			return f;
		if (!f->is_dir)
			return NULL;
	}
}

struct gb_file *files_next(struct gb_job *job, struct gb_file *dir, uint32_t number)
{
	return job->dir ? sorted_array_from(children_of(job, dir), number) : NULL;
}

struct gb_file *files_any(struct gb_job *job, uint32_t number)
{
	return job->dir ? sorted_array_from(&job->dir->numbers, number) : NULL;
}

int files_path(const struct gb_file *f, char ret[FILE_PATH_MAX])
{
	char buf[FILE_PATH_MAX], *at = buf + sizeof(buf) - 1;

	*at = '\0';
	for (; f; f = f->parent) {
		size_t n = strlen(f->name), slash = *at != '\0';

		if (n + slash > (size_t)(at - buf))
			return -ENAMETOOLONG;
		if (slash)
			*--at = '/';
		at -= n;
		memcpy(at, f->name, n);
	}
	memcpy(ret, at, (size_t)(buf + sizeof(buf) - at));
	return 0;
}

/* Lock held: whether it is shown: inputs/ of a job that was sent without it is
 * not. */
static bool files_visible(const struct gb_file *f)
{
	return !f->is_dir || f->parent || f->children.things ||
	       phase_is_draft(job_phase(f->job));
}

bool files_is_sent(
	const struct gb_job *job, const struct gb_file *parent, const char *name)
{
	return parent || strcmp(name, GB_REQUESTS) == 0 || composed_is_part(name);
}

static struct gb_file *shown_ref(struct gb_file *f)
{
	return f && files_visible(f) ? gb_file_ref(f) : NULL;
}

struct gb_file *gb_file_by_name(
	struct gb_job *job, struct gb_file *dir, const char *name)
{
	client_lock(job->c);
	struct gb_file *f = shown_ref(files_find_in(job, dir, name));
	client_unlock(job->c);
	return f;
}

struct gb_file *gb_file_next(struct gb_job *job, struct gb_file *dir, uint32_t number)
{
	client_lock(job->c);
	struct gb_file *f = files_next(job, dir, number);
	while (f && !files_visible(f))
		f = files_next(job, dir, f->number + 1);
	f = shown_ref(f);
	client_unlock(job->c);
	return f;
}

struct gb_file *gb_file_by_number(struct gb_job *job, uint32_t number)
{
	client_lock(job->c);
	struct gb_file *f = files_any(job, number);
	f = f && f->number == number ? shown_ref(f) : NULL;
	client_unlock(job->c);
	return f;
}

uint32_t gb_file_number(const struct gb_file *f)
{
	return f->number;
}

bool gb_file_is_dir(const struct gb_file *f)
{
	return f->is_dir;
}

bool gb_file_is_fixed(struct gb_file *f)
{
	client_lock(f->c);
	bool fixed = f->job && files_is_sent(f->job, f->parent, f->name) &&
		     (f->composed || !phase_is_draft(job_phase(f->job)));
	client_unlock(f->c);
	return fixed;
}

bool gb_file_is_part(struct gb_file *f)
{
	client_lock(f->c);
	bool part = f->job && files_is_sent(f->job, f->parent, f->name) &&
		    strcmp(f->name, GB_REQUESTS) != 0;
	client_unlock(f->c);
	return part;
}

bool gb_file_name(struct gb_file *f, char *name)
{
	client_lock(f->c);
	bool has = f->job != NULL;
	if (has)
		snprintf(name, 256, "%s", f->name);
	client_unlock(f->c);
	return has;
}

/* ---- at start, before there are other threads ---------------------------------------- */

static struct gb_file *load_file(struct gb_job *job, struct gb_file *parent,
	const char *name, const struct stat *st)
{
	struct gb_file *f = files_new(job, name);

	if (!f || files_link(job, parent, f)) {
		gb_file_unref(f);
		return NULL;
	}
	f->is_dir = S_ISDIR(st->st_mode);
	f->length = st->st_size;
	f->marked = !f->is_dir && st->st_mode & S_IXUSR;
	f->tainted = f->marked;
	if (!parent && strcmp(name, GB_REQUESTS) == 0)
		f->tainted = job->dir->rec.taint != NULL;
	return f;
}

static int load_dir(
	struct gb_job *job, struct gb_file *parent, int fd_take, unsigned depth);

static int load_entry(struct gb_job *job, struct gb_file *parent, int fd,
	const char *name, unsigned depth)
{
	struct gb_file *f;
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return util_read_error(errno);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	if (S_ISDIR(st.st_mode) && !parent && strcmp(name, FILE_INPUTS) != 0)
		return 0;
	f = load_file(job, parent, name, &st);
	if (!f)
		return -ENOMEM;
	if (!f->is_dir || depth > FILE_PATH_MAX / 2)
		return 0;
	/* A link was skipped above, and one that appeared since is not followed
	 * either. */
	fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? util_read_error(errno) : load_dir(job, f, fd, depth + 1);
}

static int load_dir(
	struct gb_job *job, struct gb_file *parent, int fd_take, unsigned depth)
{
	DIR *d = fdopendir(fd_take);
	struct dirent *e;
	int err = 0;

	if (!d) {
		err = -errno;
		close(fd_take);
		return err;
	}
	rewinddir(d);
	while (!err && (e = util_readdir(d, &err)))
		err = load_entry(job, parent, dirfd(d), e->d_name, depth);
	closedir(d);
	return err;
}

int files_add_inputs(struct gb_job *job)
{
	struct gb_file *f;
	int err;

	if (files_has(job, FILE_INPUTS))
		return 0;
	f = files_new(job, FILE_INPUTS);
	if (!f)
		return -ENOMEM;
	f->is_dir = true;
	err = files_link(job, NULL, f);
	if (err)
		file_free(f);
	return err;
}

/* What `check` or a submission made of the parts is there as long as the journal says
 * that it is still so. */
int files_add_composed(struct gb_job *job)
{
	struct gb_file *f, *old = files_find(job, GB_REQUESTS);
	int err;

	if (old && old->composed)
		return 0;
	if (old)
		return -EEXIST;
	f = files_new(job, GB_REQUESTS);
	if (!f)
		return -ENOMEM;
	f->composed = true;
	err = files_link(job, NULL, f);
	if (err)
		file_free(f);
	return err;
}

int files_load(struct gb_job *job)
{
	const struct record *r = &job->dir->rec;
	int fd = job_dir_open_files(job);
	int err = fd < 0 ? fd : load_dir(job, NULL, fd, 0);

	if (!err && r->own && phase_is_draft(r->batch->phase))
		err = files_add_inputs(job);
	if (!err && r->composed)
		err = files_add_composed(job);
	return err;
}
