/* Directories of several parts, made without the code that cuts and buys: what they look
 * like on disk and in memory afterwards. */
#ifndef PARTS_FIXTURE_H
#define PARTS_FIXTURE_H

#include "fake_provider.h"
#include "jobs/bind.h"
#include "jobs/parts.h"

#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 10, PART_REQUESTS = 1 };

static inline void fixture_must(int err)
{
	if (err)
		abort();
}

/* A draft whose requests were cut into n; none is bought. */
static inline void cut_into(struct gb_job *dir, unsigned n)
{
	client_lock(dir->c);
	/* By no call that waits, whose first part a start would not go on with; and under a
	 * key that nobody has, so that nobody here cuts and buys. */
	dir->dir->rec.background = true;
	fixture_must(counted_set(&dir->dir->rec.key_print, "0123456789abcdef"));
	dir->dir->rec.batch->requests = n * PART_REQUESTS;
	dir->dir->rec.batch->sent_size = n * PART_BYTES;
	job_set_phase(dir, PHASE_PARTS);
	client_unlock(dir->c);
	fixture_must(job_dir_save(dir));
}

static inline void bind_to(struct gb_job *part, struct fake_job *j)
{
	struct canceller none = CANCELLER_INIT;
	struct provider_error err = {0};
	struct remote_batch b;

	fixture_must(provider_get(&part->c->api, j->id, &none, &b, &err));
	fixture_must(bind_batch(part, &b));
	remote_batch_clear(&b);
}

/* The next part, in that phase. */
static inline struct gb_job *next_part_of(struct gb_job *dir, int round, enum phase phase)
{
	struct gb_job *part;
	struct part_range range = {0};

	client_lock(dir->c);
	if (!round)
		range = parts_rest(dir);
	client_unlock(dir->c);
	range.len = round ? 0 : PART_BYTES;
	fixture_must(parts_make(dir, round, 0, range, PART_REQUESTS, phase, &part));
	return part;
}

/* Buy the next one. */
static inline struct gb_job *buy_part(
	struct gb_job *dir, struct fake_provider *f, int round)
{
	struct gb_job *part = next_part_of(dir, round, PHASE_SUBMITTING);
	struct fake_job *j = fake_stranger(f, part->dir->rec.display);

	j->input = "files/in";
	bind_to(part, j);
	return part;
}

#endif
