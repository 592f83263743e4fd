#include "kernel/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "virtual/virtual_files.h"
#include "kernel/tree.h"

/* Slots the kernel has been told of, a bit each, in chunks made when first used. */
#define CHUNK_BITS 4096
#define CHUNKS 4096
#define WORD 64

struct notify {
	struct mount *m;
	pthread_t thread;
	bool running; /* between start and stop, main thread */
	_Atomic(atomic_ulong *) told[CHUNKS];

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool live, stop;                     /* lock */
	uint32_t *slots;                     /* lock; changed, not yet passed on */
	size_t count, room;                  /* lock */
	bool root;                           /* lock; the root changed, too */
	struct timespec change, tree_change; /* lock */
};

int notify_new(struct notify **ret)
{
	struct notify *n = calloc(1, sizeof *n);

	if (!n)
		return -ENOMEM;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->wake, NULL);
	clock_gettime(CLOCK_REALTIME, &n->change); /* wall: shown */
	n->tree_change = n->change;
	*ret = n;
	return 0;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < CHUNKS; i++)
		free(n->told[i]);
	free(n->slots);
	pthread_cond_destroy(&n->wake);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* The word that holds slot's bit; NULL when there is none and make is false. */
static atomic_ulong *told_word(struct notify *n, uint32_t slot, bool make)
{
	size_t i = slot / CHUNK_BITS;
	atomic_ulong *chunk, *none = NULL;

	if (i >= CHUNKS)
		return NULL;
	chunk = atomic_load(&n->told[i]);
	if (!chunk && make) {
		chunk = calloc(CHUNK_BITS / WORD, sizeof *chunk);
		if (chunk &&
			!atomic_compare_exchange_strong(&n->told[i], &none, chunk)) {
			free(chunk);
			chunk = none;
		}
	}
	return chunk ? chunk + slot % CHUNK_BITS / WORD : NULL;
}

void notify_told(struct notify *n, uint32_t slot)
{
	atomic_ulong *word = told_word(n, slot, true);
	unsigned long bit = 1ul << slot % WORD;

	if (word && !(atomic_load(word) & bit))
		atomic_fetch_or(word, bit);
}

/* Whether the kernel had been told; it counts as not told afterwards. */
static bool take_told(struct notify *n, uint32_t slot)
{
	atomic_ulong *word = told_word(n, slot, false);
	unsigned long bit = 1ul << slot % WORD;

	return word && atomic_fetch_and(word, ~bit) & bit;
}

void notify_now(struct mount *m, fuse_ino_t ino)
{
	fuse_lowlevel_notify_inval_inode(m->se, ino, -1, 0);
}

/* Of what is made once and never changes the kernel believes nothing before it is there
 * (node_is_settled), so there is nothing to announce. Nor may there be: an answer to
 * GETATTR that an announcement overtakes is thrown away by the kernel, and who reads
 * pages then reads to the end of the size from before, which was 0. */
static bool is_announced(const struct vfile *row)
{
	return row->how != HOW_RESULTS && row->how != HOW_ANSWERS;
}

/* What parts/ shows of a directory that is its own first part. */
static void notify_own_part(struct mount *m, struct gb_job *job, uint32_t slot)
{
	struct gb_job *first = gb_job_part(job, 1);
	const struct vfile *row = first == job ? vfile_next(IN_PART, 1) : NULL;

	if (row)
		notify_now(m, ino_of_job(m, slot, NUMBER_OWN_PART));
	for (; row; row = vfile_next(IN_PART, row->number + 1))
		if (is_announced(row))
			notify_now(
				m, ino_of_job(m, slot, NUMBER_OWN_PART + row->number));
	if (first)
		gb_job_unref(first);
}

void notify_job_now(struct mount *m, uint32_t slot)
{
	const struct vfile *row;
	struct gb_file *file;
	struct gb_job *job;

	notify_now(m, ino_of_job(m, slot, 0));
	for (row = vfile_next(IN_JOB, 1); row; row = vfile_next(IN_JOB, row->number + 1))
		if (is_announced(row))
			notify_now(m, ino_of_job(m, slot, row->number));
	job = gb_job_by_slot(m->gb, slot);
	if (!job)
		return;
	file = gb_file_by_name(job, NULL, GB_REQUESTS);
	if (file) {
		notify_now(m, ino_of_job(m, slot, gb_file_number(file)));
		gb_file_unref(file);
	}
	notify_own_part(m, job, slot);
	gb_job_unref(job);
}

static void *notifier_run(void *arg)
{
	struct notify *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		uint32_t *slots = STEAL_PTR(n->slots);
		size_t count = n->count;
		bool root = n->root;

		if (!count && !root) {
			free(slots);
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		n->count = n->room = 0;
		n->root = false;
		pthread_mutex_unlock(&n->lock);
		if (root)
			notify_now(n->m, FUSE_ROOT_ID);
		for (size_t i = 0; i < count; i++)
			notify_job_now(n->m, slots[i]);
		free(slots);
		pthread_mutex_lock(&n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int notify_start(struct notify *n, struct mount *m)
{
	int err;

	n->m = m;
	pthread_mutex_lock(&n->lock);
	n->live = true;
	pthread_mutex_unlock(&n->lock);
	err = pthread_create(&n->thread, NULL, notifier_run, n);
	n->running = !err;
	return -err;
}

void notify_stop(struct notify *n)
{
	if (!n || !n->running)
		return;
	pthread_mutex_lock(&n->lock);
	n->live = false;
	n->stop = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	n->running = false;
}

/* Under lock. Out of memory: what the kernel believes lasts BELIEF seconds. */
static void push(struct notify *n, uint32_t slot)
{
	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 64;
		uint32_t *slots = realloc(n->slots, room * sizeof *slots);

		if (!slots)
			return;
		n->slots = slots;
		n->room = room;
	}
	n->slots[n->count++] = slot;
}

void notify_changed(struct notify *n, uint32_t slot, unsigned what)
{
	bool told = take_told(n, slot);

	pthread_mutex_lock(&n->lock);
	clock_gettime(CLOCK_REALTIME, &n->change); /* wall: shown */
	if (what & GB_CHANGED_TREE)
		n->tree_change = n->change;
	if (n->live) {
		if (told)
			push(n, slot);
		if (what & GB_CHANGED_TREE)
			n->root = true;
		if (told || n->root)
			pthread_cond_signal(&n->wake);
	}
	pthread_mutex_unlock(&n->lock);
}

struct timespec notify_last_change(struct notify *n, bool tree)
{
	struct timespec t;

	pthread_mutex_lock(&n->lock);
	t = tree ? n->tree_change : n->change;
	pthread_mutex_unlock(&n->lock);
	return t;
}
