/*
 * Whether anybody can still write: mv and ctl wait for that, and the clerk (look.h)
 * answers them. FUSE knows exactly how often a file is open, so /proc is not needed.
 */
#include <errno.h>

#include "closing/last_close_private.h"
#include "mount/ino.h"

/* Whether the inode number is that of a part of a composed draft of job. */
static bool is_part_of(
	struct mount *m, struct gb_job *job, uint32_t slot, fuse_ino_t ino)
{
	struct gb_file *file;
	bool part;

	if (ino < ino_of_job(m, slot, NUMBER_FILES) ||
		ino >= ino_of_job(m, slot + 1, 0))
		return false;
	file = gb_file_by_number(job, ino - ino_of_job(m, slot, 0));
	part = file && gb_file_is_part(file);
	gb_file_unref(file);
	return part;
}

/* The first part of job that is open for writing; 0: none. */
static fuse_ino_t find_open_part(struct closes *c, struct gb_job *job)
{
	struct gb_info info;
	struct wfile *f;
	fuse_ino_t ino;
	bool open = false;

	gb_job_info(job, &info);
	ino = ino_of_job(c->m, info.slot, 0);
	while (!open && (f = closes_next(c, ino))) {
		ino = f->ino;
		open = is_part_of(c->m, job, info.slot, ino);
		pthread_mutex_lock(&c->lock);
		closes_unref(c, f);
		pthread_mutex_unlock(&c->lock);
	}
	return open ? ino : 0;
}

bool still_open_parts(struct closes *c, struct gb_job *job)
{
	return find_open_part(c, job) != 0;
}

/* Who waited in vain is told for what. */
static void tell_busy(struct closes *c, fuse_ino_t ino)
{
	struct ino_parts at;
	struct gb_job *job = ino_split(c->m, ino, &at) && !at.meta
				     ? gb_job_by_slot(c->m->gb, at.slot)
				     : NULL;
	struct gb_file *file = job ? gb_file_by_number(job, at.number) : NULL;

	if (file)
		gb_file_busy(file);
	gb_file_unref(file);
	gb_job_unref(job);
}

static bool is_open(struct closes *c, fuse_ino_t ino)
{
	struct wfile *f;
	bool open;

	pthread_mutex_lock(&c->lock);
	f = closes_find(c, ino);
	open = f && f->handles;
	pthread_mutex_unlock(&c->lock);
	return open;
}

void still_open_attend(struct closes *c, struct ask *ask, double now)
{
	fuse_ino_t open = ask->parts ? find_open_part(c, ask->job)
			  : is_open(c, ask->ino) ? ask->ino
						 : 0;

	if (!open) {
		rounds_finish_ask(c, ask, 0);
	} else if (now >= ask->deadline) {
		tell_busy(c, open);
		rounds_finish_ask(c, ask, -EBUSY);
	}
}
