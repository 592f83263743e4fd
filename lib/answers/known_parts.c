#include "answers/known_parts.h"
#include "archive/save.h"
#include "jobs/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- one part -------------------------------------------------------------------- */

enum part_is {
	IS_NOTHING, /* of a later round, and nothing came of it */
	IS_OPEN,    /* of round 0, and not ended */
	IS_UNSENT,  /* the same, and it never will be sent */
	IS_ASKING,  /* of a later round, and not ended */
	HAS_RESULTS,
	HAS_NONE,
};

static enum answers_none why_none(const struct gb_job *part)
{
	if (job_has_vanished(part))
		return part->dir->rec.batch->cancel_asked ? NONE_CANCELLED
							  : NONE_VANISHED;
	return job_output(part) != GB_OUTPUT_NONE	       ? NONE_LOST
	       : part->batch->state == REMOTE_STATE_CANCELLED ? NONE_CANCELLED
							      : NONE_ENDED;
}

static bool is_sent(const struct gb_job *part)
{
	return job_phase(part) != PHASE_FAILED &&
	       !(job_phase(part) == PHASE_DRAFT && part->parent &&
		       part->parent->dir->rec.rest_dropped);
}

/* Results that are damaged are lost unless they can be fetched again. */
static enum part_is look_at(const struct gb_job *part)
{
	bool later = part->parent && part->dir->rec.round;

	if (save_is_safe(part))
		return HAS_RESULTS;
	if (job_has_vanished(part))
		return HAS_NONE;
	if (part->batch->id && knowledge_final(&part->batch->known)) {
		enum gb_output o = job_output(part);

		if (o == GB_OUTPUT_NONE ||
			((o == GB_OUTPUT_LOST || o == GB_OUTPUT_DAMAGED) &&
				!save_is_possible(part)))
			return HAS_NONE;
	}
	if (!is_sent(part))
		return later ? IS_NOTHING : IS_UNSENT;
	return later ? IS_ASKING : IS_OPEN;
}

static struct span range_of(const struct gb_job *part)
{
	const struct record *r = &part->dir->rec;

	if (!part->parent)
		return (struct span){0, INT64_MAX};
	if (r->round)
		return (struct span){0};
	return (struct span){
		(uint64_t)r->range_off, (uint64_t)(r->range_off + r->range_len)};
}

static uint32_t round_of(const struct gb_job *part)
{
	return part->parent ? (uint32_t)part->dir->rec.round : 0;
}

/* ---- all parts ------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9;
	x ^= x >> 27;
	x *= 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t print_of(const struct gb_job *part)
{
	enum part_is is = look_at(part);
	uint64_t x = mix(parts_number(part)) + is;

	if (is == HAS_RESULTS)
		x = mix(x) + (uint64_t)part->batch->results_size;
	if (is == HAS_NONE)
		x = mix(x) + why_none(part);
	if (is == IS_ASKING)
		/* Its requests are written after it was made. */
		x = mix(x) + mix(job_phase(part)) +
		    (uint64_t)part->dir->rec.batch->sent_size;
	return mix(x);
}

/* Whether what no part has is not bought any more. */
static bool rest_is_closed(const struct gb_job *dir)
{
	return dir->dir && (dir->dir->rec.rest_dropped ||
				   (!parts_rest_is_open(dir) && parts_are_lost(dir)));
}

uint64_t known_parts_print(struct gb_job *dir)
{
	uint64_t print = rest_is_closed(dir);

	for (uint32_t i = 0; i < parts_count(dir); i++)
		print += print_of(parts_at(dir, i));
	return print;
}

bool known_parts_fit(struct gb_job *dir)
{
	return dir->merged && !dir->merge_stale &&
	       dir->merged->print == known_parts_print(dir);
}

bool known_parts_can(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++) {
		enum part_is is = look_at(parts_at(dir, i));

		if (is == HAS_RESULTS || is == HAS_NONE)
			return true;
	}
	return false;
}

bool known_parts_have(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++)
		if (save_is_safe(parts_at(dir, i)))
			return true;
	return false;
}

bool known_parts_lacks(struct gb_job *part)
{
	enum gb_output o = job_output(part);

	return !save_is_safe(part) &&
	       (o == GB_OUTPUT_THERE || o == GB_OUTPUT_INLINE || o == GB_OUTPUT_SAVED ||
		       o == GB_OUTPUT_KEPT);
}

bool known_parts_lack(struct gb_job *dir)
{
	for (uint32_t i = 0; i < parts_count(dir); i++)
		if (known_parts_lacks(parts_at(dir, i)))
			return true;
	return false;
}

struct gb_job *known_parts_job(struct gb_job *dir, uint32_t number)
{
	client_lock(dir->c);
	struct gb_job *part = parts_numbered(dir, number);
	client_unlock(dir->c);
	return part;
}

/* Lock held; there is room. */
static void take_part(struct gb_job *part, struct known_parts *k)
{
	enum part_is is = look_at(part);

	k->cancelled |= part->dir && part->dir->rec.batch->cancel_asked;
	switch (is) {
	case HAS_RESULTS:
	case HAS_NONE:
		k->ended[k->n_ended++] = (struct answers_part){
			.number = parts_number(part),
			.round = round_of(part),
			.range = range_of(part),
			.size = is == HAS_RESULTS ? part->batch->results_size : -1,
			.none = is == HAS_NONE ? why_none(part) : NONE_ENDED};
		break;
	case IS_ASKING:
		k->asking[k->n_asking++] =
			(struct asking_part){part, parts_number(part)};
		break;
	case IS_OPEN:
		k->open[k->n_open++] = range_of(part);
		break;
	default:
		break;
	}
}

int known_parts_take(struct gb_job *dir, struct known_parts *ret)
{
	uint32_t room = 0, n = 1;

	*ret = (struct known_parts){0};
	while (room < n) {
		/* Parts may be made meanwhile. */
		room = n + 16;
		known_parts_clear(ret);
		ret->ended = calloc(room, sizeof *ret->ended);
		ret->asking = calloc(room, sizeof *ret->asking);
		ret->open = calloc(room, sizeof *ret->open);
		if (!ret->ended || !ret->asking || !ret->open)
			return -ENOMEM;
		client_lock(dir->c);
		n = parts_count(dir);
		for (uint32_t i = 0; n <= room && i < n; i++)
			take_part(parts_at(dir, i), ret);
		ret->dropped = rest_is_closed(dir);
		ret->lost = parts_are_lost(dir);
		ret->print = known_parts_print(dir);
		dir->merge_stale = false;
		client_unlock(dir->c);
	}
	return 0;
}

void known_parts_clear(struct known_parts *k)
{
	free(k->ended);
	free(k->asking);
	free(k->open);
	*k = (struct known_parts){0};
}

/* ---- what is on disk ------------------------------------------------------------- */

static bool measure(struct gb_job *dir, struct answers_part *p)
{
	struct gb_job *job = known_parts_job(dir, p->number);
	_cleanup_close_ int at = job ? job_dir_open(job) : -1;
	struct stat st;

	if (p->size < 0)
		return true;
	if (at < 0 || fstatat(at, RESULTS_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		st.st_size != p->size)
		return false;
	p->s = st.st_mtim.tv_sec;
	p->ns = st.st_mtim.tv_nsec;
	return true;
}

void known_parts_measure(struct gb_job *dir, struct known_parts *k)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < k->n_ended; i++)
		if (measure(dir, &k->ended[i]))
			k->ended[n++] = k->ended[i];
		else
			k->open[k->n_open++] = k->ended[i].range;
	k->n_ended = n;
}
