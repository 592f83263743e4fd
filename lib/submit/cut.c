#include "submit/cut.h"

#include "files/files.h"
#include "jobs/split.h"
#include "submit/fit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- whether, and how much ---------------------------------------------------------- */

static int64_t less_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Lock held: of one part. URIs are longer than the names that they take the place of. */
static struct line_run part_most(const struct gb_job *dir)
{
	const struct provider_limits *l = dir->c->api.provider->limits;
	int64_t lines = split_of(dir);
	int64_t bytes = dir->dir->rec.names_files ? l->requests / 4 * 3 : l->requests;

	return (struct line_run){less_of(bytes, fit_most(dir)),
		lines > 0 ? lines : l->lines};
}

struct line_run cut_most(const struct gb_job *dir)
{
	return split_of(dir) == SPLIT_NONE ? (struct line_run){INT64_MAX, INT64_MAX}
					   : part_most(dir);
}

bool cut_is_wanted(const struct gb_job *job, int64_t requests)
{
	int64_t lines = split_of(job);

	return lines > 0 && requests > lines;
}

static int64_t over(int64_t n, int64_t by)
{
	return n / by + (n % by != 0);
}

static int refuse_so_many(struct submission *s, int64_t parts)
{
	_cleanup_free_ char *what = util_format(
		"These requests would become %lld jobs, which is more than %d.",
		(long long)parts, CUT_PARTS);

	files_decided(s->t->file);
	job_dir_error(s->job, -EINVAL, what,
		"Nothing was sent. Ask for larger parts: echo auto > split, or a larger "
		"number; then: echo submit > ctl",
		NULL);
	s->told = s->unfit = true;
	return -EINVAL;
}

int submission_split(struct submission *s)
{
	int64_t requests = (int64_t)s->report.requests;

	if (s->is_inline || s->t->again)
		return 0;
	client_lock(s->c);
	bool may = split_of(s->job) != SPLIT_NONE;
	struct line_run most = part_most(s->job);
	client_unlock(s->c);
	bool fits = s->size <= most.bytes && requests <= most.requests;
	int64_t by_bytes = over(s->size, most.bytes), by_lines = over(requests, most.requests);
	int64_t parts = by_bytes > by_lines ? by_bytes : by_lines;

	if (!may || fits)
		return 0;
	if (parts > CUT_PARTS)
		return refuse_so_many(s, parts);
	s->cut = true;
	return 0;
}

void cut_keep_marks(struct submission *d)
{
	struct kept_marks *marks = kept_marks_new(&d->report.marks);

	client_lock(d->c);
	struct kept_marks *old = d->job->dir->marks;
	d->job->dir->marks = marks;
	d->rec->batch->sent_size = d->size;
	client_unlock(d->c);
	kept_marks_unref(old);
}

/* ---- what is cut --------------------------------------------------------------------- */

int cut_open(struct gb_job *dir, struct stat *ret)
{
	client_lock(dir->c);
	int64_t size = dir->dir->rec.batch->sent_size;
	client_unlock(dir->c);
	_cleanup_close_ int fd = files_open_sent(dir, size, ret);

	return fd < 0 || ret->st_size == size ? steal_fd(&fd) : -ESTALE;
}

/* Until a first part is intended, a rename that submits has moved nothing: its requests
 * have another name, but they are open. */
static int open_whole(struct submission *s, struct stat *ret)
{
	if (!s->whole)
		return cut_open(s->job->parent, ret);
	_cleanup_close_ int fd = fcntl(s->whole->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 || fstat(fd, ret) < 0 ? -errno : steal_fd(&fd);
}

int cut_part_open(struct submission *s)
{
	const struct record *r = s->rec;
	int64_t size = 0;

	util_closep(&s->fd);
	s->fd = r->round ? cut_open_round(s->job, &s->source, &size)
			 : open_whole(s, &s->source);
	if (s->fd < 0)
		return s->fd;
	client_lock(s->c);
	s->off = r->round ? 0 : r->range_off;
	s->size = r->round ? size : r->range_len;
	int err = s->off + s->size > s->source.st_size || !s->size ? -ESTALE : 0;
	if (!err && s->t->again)
		err = counted_set(&s->rec->origin, engine_origin(s->c->engine));
	if (!err && s->t->again)
		err = counted_set(&s->rec->key_print, s->c->key_print);
	if (!err && !r->names_files)
		err = keep_session_of(s);
	client_unlock(s->c);
	return err;
}

/* Lock held: requests that no part has; 0: that is not known. */
static int64_t rest_requests(struct gb_job *dir)
{
	int64_t n = dir->dir->rec.batch->requests;

	for (uint32_t i = 0; i < parts_count(dir); i++) {
		const struct gb_job *part = parts_at(dir, i);
		const struct record *r = &part->dir->rec;

		if (part->parent && !r->round && r->batch->requests > 0)
			n -= r->batch->requests;
	}
	return n > 0 ? n : 0;
}

/* The same for as many parts as are needed at least, so that the last is no crumb. Lines
 * have different lengths: a sixteenth more, or one part more would be needed. */
static struct line_run evenly(struct line_run rest, struct line_run most)
{
	int64_t by_bytes = over(rest.bytes, most.bytes);
	int64_t by_lines = over(rest.requests, most.requests);

	if (by_lines > 1 && by_lines >= by_bytes)
		most.requests = over(rest.requests, by_lines);
	else if (by_bytes > 1)
		most.bytes = less_of(
			most.bytes, rest.bytes / by_bytes + rest.bytes / by_bytes / 16 + 1);
	return most;
}

/* Unlocked: of these bytes, by the marks of dir, which it may let go of meanwhile. */
static int cut_by_marks(struct gb_job *dir, int fd, struct part_range of,
	struct line_run most, struct line_run *ret)
{
	client_lock(dir->c);
	struct kept_marks *marks = kept_marks_ref(dir->dir->marks);
	client_unlock(dir->c);
	int err = line_marks_cut(
		kept_marks(marks), fd, of.off, of.off + of.len, most, ret);
	kept_marks_unref(marks);
	return err;
}

int cut_next(struct gb_job *dir, int fd, struct part_range *ret, int64_t *ret_requests)
{
	struct line_run run;

	client_lock(dir->c);
	struct part_range rest = parts_rest(dir);
	struct line_run most = part_most(dir);
	struct line_run even = evenly((struct line_run){rest.len, rest_requests(dir)}, most);
	int64_t said = split_of(dir);
	client_unlock(dir->c);
	if (!rest.len)
		return -ENODATA;
	int err = cut_by_marks(dir, fd, rest, said > 0 ? most : even, &run);
	if (!err && said > 0 && run.requests < said)
		/* As many as their user wants do not fit. */
		err = cut_by_marks(dir, fd, rest, even, &run);
	if (err)
		return err;
	*ret = (struct part_range){rest.off, run.bytes};
	*ret_requests = run.requests;
	return 0;
}

/* What a part is sent with. */
struct cut_part {
	struct line_run run;
	enum phase phase;
	char *input_file;
};

/* Lock held. *p is what it had before. */
static void swap_part(struct submission *s, struct cut_part *p)
{
	struct record *r = s->rec;
	struct cut_part before = {{r->range_len, r->batch->requests},
		(enum phase)r->batch->phase, r->batch->input_file};

	r->range_len = p->run.bytes;
	r->batch->requests = p->run.requests;
	r->batch->input_file = p->input_file;
	job_set_phase(s->job, p->phase);
	*p = before;
}

int cut_shrink(struct submission *s, struct line_run run)
{
	struct record *r = s->rec;

	client_lock(s->c);
	bool lost = phase_is_unanswered(job_phase(s->job));
	int err = lost ? job_put_by(s->job, PHASE_QUEUED) : 0;
	if (err) {
		client_unlock(s->c);
		return err;
	}
	struct cut_part part = {run, job_phase(s->job), NULL};
	swap_part(s, &part);
	record_unset(&r->batch->session);
	record_unset(&r->batch->sent_stamp);
	r->batch->tries = 0;
	client_unlock(s->c);
	/* As long as the journal has the larger range, that is what the part has: nobody
	 * cuts while it waits to be sent. */
	err = parts_note_smaller(s->job, (struct part_range){r->range_off + run.bytes,
						 part.run.bytes - run.bytes});
	if (!err)
		err = job_dir_save(s->job);
	if (err) {
		client_lock(s->c);
		swap_part(s, &part);
		if (lost)
			job_take_up(s->job, r->n_put_by - 1);
		client_unlock(s->c);
	} else if (!s->orphan && !s->input_file) {
		s->orphan = STEAL_PTR(part.input_file);
	}
	free(part.input_file);
	test_point("part-halved");
	return err;
}

int64_t cut_half_of_part(const struct record *r)
{
	int64_t half = cut_half(r->batch->requests);

	return r->batch->requests > CUT_LEAST && half < CUT_LEAST ? CUT_LEAST : half;
}

static int halve_range(struct submission *s)
{
	struct record *r = s->rec;
	struct stat st;
	_cleanup_close_ int fd = open_whole(s, &st);
	struct line_run run, most = {INT64_MAX, cut_half_of_part(r)};

	if (fd < 0 || most.requests < 1)
		return fd < 0 ? fd : -ENODATA;
	int err = cut_by_marks(s->job->parent, fd,
		(struct part_range){r->range_off, r->range_len}, most, &run);
	return err ? err : cut_shrink(s, run);
}

int cut_halve(struct submission *s)
{
	return s->rec->round ? cut_halve_round(s) : halve_range(s);
}
