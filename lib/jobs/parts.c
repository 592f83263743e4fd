#include "jobs/hooks.h"
#include "jobs/parts_private.h"
#include "provider/all/ids.h"
#include "store/dir_names.h"
#include "store/uploads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* ---- which there are ------------------------------------------------------------- */

/* The directory's own batch is no part once its requests are cut, which they are before
 * it is in PHASE_PARTS where somebody waits for the first. */
static bool own_counts(const struct gb_job *dir)
{
	const struct parts *p = dir->parts;

	return job_phase(dir) != PHASE_PARTS && !(p && p->n_cut);
}

uint32_t parts_count(const struct gb_job *dir)
{
	return own_counts(dir) + (dir->parts ? dir->parts->n : 0);
}

struct gb_job *parts_at(struct gb_job *dir, uint32_t i)
{
	uint32_t own = own_counts(dir);

	return i < own ? dir : dir->parts->v[i - own];
}

bool parts_several(const struct gb_job *dir)
{
	return !own_counts(dir) || (dir->parts && dir->parts->n);
}

uint32_t parts_number(const struct gb_job *job)
{
	client_expect_lock(job->c);
	return job->parent ? (uint32_t)job->dir->rec.part : 1;
}

void parts_label(const struct gb_job *job, char ret[PART_LABEL_SIZE])
{
	const char *name = job->parent ? job->parent->name : job->name;

	client_expect_lock(job->c);
	if (!name)
		name = job->dir && job->dir->rec.name ? job->dir->rec.name : "";
	if (job->parent)
		snprintf(ret, PART_LABEL_SIZE, "%s/%04u", name, parts_number(job));
	else
		snprintf(ret, PART_LABEL_SIZE, "%s", name);
}

uint32_t parts_below(struct gb_job *dir, uint32_t n)
{
	uint32_t lo = 0, hi = parts_count(dir);

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (parts_number(parts_at(dir, mid)) < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct gb_job *parts_numbered(struct gb_job *dir, uint32_t n)
{
	uint32_t i = parts_below(dir, n);
	struct gb_job *part = i < parts_count(dir) ? parts_at(dir, i) : NULL;

	return part && parts_number(part) == n ? part : NULL;
}

int parts_last_round(const struct gb_job *dir)
{
	int last = dir->dir->rec.rounds;

	client_expect_lock(dir->c);
	for (uint32_t i = 0; dir->parts && i < dir->parts->n; i++) {
		int round = dir->parts->v[i]->dir->rec.round;

		last = round > last ? round : last;
	}
	return last;
}

/* ---- names ----------------------------------------------------------------------- */

#define PART_MARK " [part "

bool parts_name_is_of(const char *name, const char *dir)
{
	size_t n = strlen(dir), mark = strlen(PART_MARK);

	if (strncmp(name, dir, n) != 0 || strncmp(name + n, PART_MARK, mark) != 0)
		return false;
	const char *number = name + n + mark;
	size_t digits = strspn(number, "0123456789");

	/* Where another had the name, "~ID" is behind it. */
	return digits && number[digits] == ']' &&
	       (!number[digits + 1] || number[digits + 1] == '~');
}

bool parts_bear_name(struct gb_client *c, const char *dir)
{
	client_expect_lock(c);
	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct gb_job *job = c->slots[i];

		if (job->in_tree && job->name && !(job->dir && job->dir->rec.own) &&
			parts_name_is_of(job->name, dir))
			return true;
	}
	return false;
}

/* ---- linking --------------------------------------------------------------------- */

int parts_reserve(struct gb_job *dir)
{
	struct parts *p = dir->parts;

	if (!p && !(p = dir->parts = calloc(1, sizeof(*p))))
		return -ENOMEM;
	if (p->n < p->cap)
		return 0;
	uint32_t cap = p->cap ? 2 * p->cap : 8;
	struct gb_job **v = realloc(p->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	p->v = v;
	p->cap = cap;
	return 0;
}

bool parts_is_cut(const struct record *r)
{
	return !r->round && !r->late;
}

/* There is room. By number: parts are linked in order but for a start. */
static void parts_link(struct gb_job *dir, struct gb_job *part)
{
	struct parts *p = dir->parts;
	int number = part->dir->rec.part;
	uint32_t i = p->n;

	client_expect_lock(dir->c);
	for (; i > 0 && p->v[i - 1]->dir->rec.part > number; i--)
		p->v[i] = p->v[i - 1];
	p->v[i] = part;
	p->n++;
	p->n_cut += parts_is_cut(&part->dir->rec);
	p->overlap |= part->dir->rec.late;
	p->last = number > p->last ? number : p->last;
	part->parent = dir;
}

void parts_forget(struct gb_job *part)
{
	struct parts *p = part->parent->parts;
	uint32_t i = 0;

	client_expect_lock(part->c);
	while (p->v[i] != part)
		i++;
	memmove(&p->v[i], &p->v[i + 1], (--p->n - i) * sizeof(*p->v));
	part->parent->parts->n_cut -= parts_is_cut(&part->dir->rec);
	if (part->dir->rec.part == p->last)
		p->last--;
	part->parent = NULL;
	part->in_tree = false;
}

void parts_free(struct gb_job *job)
{
	if (job->parts) {
		ranges_clear(&job->parts->bought);
		ranges_clear(&job->parts->numbers);
		ranges_clear(&job->parts->lost);
		ranges_clear(&job->parts->lost_numbers);
		free(job->parts->v);
	}
	free(job->parts);
	job->parts = NULL;
}

/* ---- making ---------------------------------------------------------------------- */

static int describe_part(struct gb_job *dir, int number, struct record *r)
{
	const struct record *d = &dir->dir->rec;
	_cleanup_free_ char *display = util_format(
		"%s" PART_MARK "%d]", d->display ? d->display : d->name, number);

	if (!display || counted_set(&r->display, display) ||
		counted_set(&r->name, d->name) || counted_set(&r->model, d->model) ||
		counted_set(&r->origin, d->origin) ||
		counted_set(&r->key_print, d->key_print) ||
		record_set(&r->part_of, dir->dir->lid))
		return -ENOMEM;
	r->part = number;
	r->own = r->background = true;
	r->names_files = d->names_files;
	r->made_s = d->made_s;
	r->made_ns = d->made_ns;
	r->batch->embedding = d->batch->embedding;
	return 0;
}

/* Lock held. Whoever cuts looks first; that nobody sends the same bytes twice does not
 * depend on it. */
static bool overlaps(const struct gb_job *dir, const struct record *r)
{
	bool cut = parts_is_cut(r);

	for (uint32_t i = 0; cut && dir->parts && i < dir->parts->n; i++) {
		const struct record *o = &dir->parts->v[i]->dir->rec;

		if (!o->round && parts_meet(o, r->range_off, r->range_len))
			return true;
	}
	return false;
}

/* Lock held: the next. A directory's own batch is the first part, if it is one. */
static int next_number(const struct gb_job *dir, const struct record *r)
{
	int last = dir->parts->last;

	return (last ? last : r->round > 0 || r->late) + 1;
}

int parts_add(
	struct gb_job *dir, const char *lid, struct record *r, struct gb_job **ret)
{
	enum phase phase = (enum phase)r->batch->phase;
	int err = parts_reserve(dir);
	struct gb_job *part;

	if (err || overlaps(dir, r))
		return err ? err : -EEXIST;
	if ((err = describe_part(dir, next_number(dir, r), r)))
		return err;
	if (!(part = job_new(dir->c)))
		return -ENOMEM;
	if ((err = job_dir_attach(part, lid, r)))
		return err;
	part->model = dir->model;
	part->batch->embedding = part->dir->rec.batch->embedding;
	job_set_phase(part, phase);
	parts_link(dir, part);
	*ret = part;
	return 0;
}

int parts_make(struct gb_job *dir, int round, int half_of, struct part_range range,
	int64_t requests, enum phase phase, struct gb_job **ret)
{
	struct gb_client *c = dir->c;
	struct gb_job *part = NULL;
	char lid[LID_SIZE];
	struct record r;
	_cleanup_close_ int fd = store_job_make(c->store, lid);

	if (fd < 0)
		return fd;
	record_init(&r);
	r.round = round;
	r.half_of = half_of;
	r.range_off = range.off;
	r.range_len = range.len;
	r.batch->phase = phase;
	r.batch->requests = requests;
	r.batch->queued_since = record_now();
	client_lock(c);
	int err = parts_add(dir, lid, &r, &part);
	client_unlock(c);
	record_clear(&r);
	if (err)
		/* Without a journal the next start removes it. */
		DROP(util_remove_tree(c->store->jobs, lid));
	else if ((err = job_dir_save(part)))
		DROP(parts_unmake(part)); /* its phase is one that can be unmade */
	else
		*ret = part;
	return err;
}

int parts_unmake(struct gb_job *part)
{
	struct gb_client *c = part->c;
	int err = 0;

	parts_hand_on(part);
	pthread_mutex_lock(&part->dir->disk);
	client_lock(c);
	bool gone = !part->parent; /* somebody else was quicker */
	if (part->batch->id || job_may_be_there(part) || part->dir->task)
		err = -EBUSY;
	part->dir->unmaking = !err;
	client_unlock(c);
	if (!err && !gone)
		err = parts_note_unbought(part);
	if (!err && !gone)
		err = util_remove_tree(c->store->jobs, part->dir->lid);
	client_lock(c);
	part->dir->unmaking = false;
	struct gb_job *dir = !err && !gone ? gb_job_ref(part->parent) : NULL;
	_cleanup_free_ char *file = NULL;
	if (dir) {
		part->dir->forgotten = true;
		job_set_phase(part, PHASE_DRAFT);
		parts_forget(part);
		file = STEAL_PTR(part->dir->rec.batch->input_file);
	}
	client_unlock(c);
	pthread_mutex_unlock(&part->dir->disk);
	if (dir) {
		uploads_forget(c->uploads, part->dir->lid);
		c->hooks->unmade(dir, file);
	}
	gb_job_unref(dir);
	return err;
}

/* ---- at start -------------------------------------------------------------------- */

static int by_lid(const void *a, const void *b)
{
	const struct gb_job *const *x = a, *const *y = b;

	return strcmp((*x)->dir->lid, (*y)->dir->lid);
}

static struct gb_job *by_lid_find(struct gb_job **dirs, size_t n, const char *lid)
{
	for (size_t lo = 0, hi = n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		int d = strcmp(dirs[mid]->dir->lid, lid);

		if (!d)
			return dirs[mid];
		*(d < 0 ? &lo : &hi) = d < 0 ? mid + 1 : mid;
	}
	return NULL;
}

/* Its directory is gone, or moved aside: what was paid for must be seen. */
static void become_directory(struct gb_job *part)
{
	struct record *r = &part->dir->rec;
	const char *tail =
		part->batch->id ? remote_id_tail(part->batch->id) : part->dir->lid;

	client_log(part->c, LOG_WARNING,
		"%s: its directory is gone, it is shown by itself", r->display);
	record_unset(&r->part_of);
	if (r->removal)
		return;
	part->in_tree = true;
	DROP(job_set_name(part, r->display ? r->display : tail, tail));
}

static int by_part(const void *a, const void *b)
{
	const struct gb_job *const *x = a, *const *y = b;

	return (*x)->dir->rec.part - (*y)->dir->rec.part;
}

/* All directories, by LID, and all parts, by number, so that each is linked behind
 * those that are there. */
static int sort_out(struct gb_client *c, struct gb_job **dirs, size_t *ret_dirs,
	struct gb_job **all, size_t *ret_parts)
{
	size_t n_dirs = 0, n_parts = 0;

	if (!dirs || !all)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_slots; i++) {
		struct gb_job *job = c->slots[i];

		if (job->dir && job->dir->rec.part_of)
			all[n_parts++] = job;
		else if (job->dir)
			dirs[n_dirs++] = job;
	}
	qsort(dirs, n_dirs, sizeof(struct gb_job *), by_lid);
	qsort(all, n_parts, sizeof(struct gb_job *), by_part);
	*ret_dirs = n_dirs;
	*ret_parts = n_parts;
	return 0;
}

int parts_load(struct gb_client *c)
{
	_cleanup_free_ struct gb_job **dirs =
		calloc((size_t)c->n_slots + 1, sizeof(struct gb_job *));
	_cleanup_free_ struct gb_job **all =
		calloc((size_t)c->n_slots + 1, sizeof(struct gb_job *));
	size_t n_dirs = 0, n = 0;
	int err = sort_out(c, dirs, &n_dirs, all, &n);

	for (size_t i = 0; !err && i < n; i++) {
		struct gb_job *dir =
			by_lid_find(dirs, n_dirs, all[i]->dir->rec.part_of);

		if (!dir)
			become_directory(all[i]);
		else if (!(err = parts_reserve(dir)))
			parts_link(dir, all[i]);
	}
	for (size_t i = 0; !err && i < n_dirs; i++) {
		err = parts_find_lost(dirs[i]);
		parts_find_overlap(dirs[i]);
	}
	return err;
}

/* ---- for callers of gembatch.h --------------------------------------------------- */

struct gb_job *gb_job_part_next(struct gb_job *dir, uint32_t n)
{
	struct gb_job *part = NULL;

	client_lock(dir->c);
	uint32_t i = parts_below(dir, n);
	if (parts_several(dir) && i < parts_count(dir))
		part = gb_job_ref(parts_at(dir, i));
	client_unlock(dir->c);
	return part;
}

bool gb_job_is_part(struct gb_job *job)
{
	return job_is_part_now(job);
}

/* A number that a part has had stays with it. */
struct gb_job *gb_job_part(struct gb_job *dir, uint32_t n)
{
	client_lock(dir->c);
	struct gb_job *part = parts_several(dir) ? parts_numbered(dir, n) : NULL;
	if (part)
		gb_job_ref(part);
	client_unlock(dir->c);
	return part;
}
