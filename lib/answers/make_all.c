/*
 * The index over all parts of a directory. It grows out of the one in memory or on
 * disk, or out of that of the directory's own job, if it was bought whole and others
 * came later.
 */
#include "answers/answers_private.h"
#include "answers/known_parts.h"
#include "answers/make.h"
#include "answers/slots.h"
#include "answers/sources.h"
#include "jobs/parts.h"

#include <errno.h>
#include <string.h>

#define INDEX_OF_ALL "parts.index"
#define INDEX_OF_ONE "results.index"

/* All that it is made of. */
struct making {
	struct gb_job *dir;
	struct known_parts known;
	struct answers_opened asked;
	struct answers_slots *slots;
	struct answers *before; /* NULL: made anew */
	/* Requests of those that ask again: one is open at a time. */
	struct asking {
		struct making *m;
		struct gb_job *part;
	} *asking;
	int asking_fd;
	struct gb_job *asking_open;
};

/* ---- what is to be told apart ---------------------------------------------------- */

static uint64_t mix_in(uint64_t x, const void *p, size_t n)
{
	return (x + util_crc32c((uint32_t)x, p, n)) * 0x9e3779b97f4a7c15;
}

/* Their order does not count: it is that in which they came. */
static uint64_t stamp_of_part(const struct answers_part *p)
{
	struct answers_part bare = *p;

	memset(bare.tokens, 0, sizeof bare.tokens);
	return mix_in(1, &bare, sizeof bare);
}

/* false: its requests are not there (yet), so it asks nothing. */
static bool asking_size(struct gb_job *part, uint64_t *ret)
{
	struct stat st;
	struct span at;
	_cleanup_close_ int fd = answers_open_requests(part, &st, &at);

	if (fd >= 0)
		*ret = at.to;
	return fd >= 0;
}

static void stamp_parts(const struct known_parts *k, struct answers_stamp *stamp)
{
	stamp->results_size = -1;
	stamp->parts = k->dropped + 2 * k->lost;
	for (uint32_t i = 0; i < k->n_ended; i++) {
		const struct answers_part *p = &k->ended[i];

		stamp->parts += stamp_of_part(p);
		if (p->size >= 0)
			stamp->results_size =
				p->size +
				(stamp->results_size > 0 ? stamp->results_size : 0);
	}
	for (uint32_t i = 0; i < k->n_asking; i++) {
		uint64_t what[2] = {k->asking[i].number};

		if (asking_size(k->asking[i].job, &what[1]))
			stamp->parts += mix_in(2, what, sizeof what);
	}
	for (uint32_t i = 0; k->dropped && i < k->n_open; i++)
		stamp->parts += mix_in(3, &k->open[i], sizeof k->open[i]);
}

/* ---- what it grows out of -------------------------------------------------------- */

static bool same_questions(const struct answers_stamp *x, const struct answers_stamp *y)
{
	return x->requests_size == y->requests_size && x->requests_s == y->requests_s &&
	       x->requests_ns == y->requests_ns &&
	       x->requests_from == y->requests_from && x->table_size == y->table_size &&
	       x->table_s == y->table_s && x->table_ns == y->table_ns;
}

static struct answers_part *find_part(const struct known_parts *k, uint32_t number)
{
	for (uint32_t lo = 0, hi = k->n_ended; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (k->ended[mid].number == number)
			return &k->ended[mid];
		*(k->ended[mid].number < number ? &lo : &hi) =
			k->ended[mid].number < number ? mid + 1 : mid;
	}
	return NULL;
}

/* Those that `before` has in its order, then the others by number. false: one of its
 * parts is not there. */
static bool put_in_order(struct known_parts *k, const struct answers *before)
{
	uint32_t had = before->head.n_parts, n = 0;
	struct answers_part *v = calloc(k->n_ended + 1, sizeof *v);
	bool good = v && had <= k->n_ended;

	for (uint32_t i = 0; good && i < had; i++) {
		struct answers_part *p = find_part(k, before->parts[i].number);

		good = p && p->range.to != UINT64_MAX;
		if (!good)
			break;
		v[n++] = *p;
		p->range.to = UINT64_MAX; /* taken */
	}
	for (uint32_t i = 0; good && i < k->n_ended; i++)
		if (k->ended[i].range.to != UINT64_MAX)
			v[n++] = k->ended[i];
	if (good) {
		free(k->ended);
		k->ended = v;
		return true;
	}
	/* What was taken is as it was. */
	for (uint32_t i = 0; v && i < n; i++)
		find_part(k, v[i].number)->range = v[i].range;
	free(v);
	return false;
}

static bool grows_from(struct making *m, const struct answers *before)
{
	if (!same_questions(&before->head.stamp, &m->asked.stamp) ||
		!put_in_order(&m->known, before))
		return false;
	return answers_may_grow(before, m->known.ended, m->known.n_ended);
}

static int by_number(const void *a, const void *b)
{
	const struct answers_part *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* The one in memory, then those on disk; steals what does not fit. */
static void find_before(struct making *m, int at)
{
	struct gb_job *dir = m->dir;
	const struct result_grammar *g = dir->c->api.provider->results;
	struct answers *tries[4] = {0};

	client_lock(dir->c);
	if (dir->merged)
		tries[0] = answers_ref(dir->merged);
	if (dir->batch->answers)
		tries[2] = answers_ref(dir->batch->answers);
	client_unlock(dir->c);
	for (size_t i = 0; !m->before && i < ARRAY_SIZE(tries); i++) {
		if (i % 2 && at >= 0 && !tries[i] &&
			answers_load(at, i == 1 ? INDEX_OF_ALL : INDEX_OF_ONE, NULL, g,
				&tries[i]) < 0)
			tries[i] = NULL;
		if (tries[i] && grows_from(m, tries[i]))
			m->before = answers_ref(tries[i]);
		else if (m->known.n_ended)
			qsort(m->known.ended, m->known.n_ended, sizeof *m->known.ended,
				by_number);
	}
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		answers_unref(tries[i]);
}

/* ---- requests that are asked again ----------------------------------------------- */

static ssize_t read_asking(void *arg, uint64_t off, void *buf, size_t n)
{
	struct asking *a = arg;
	struct making *m = a->m;
	struct stat st;
	struct span at;

	if (m->asking_open != a->part) {
		util_closep(&m->asking_fd);
		m->asking_open = NULL;
		m->asking_fd = answers_open_requests(a->part, &st, &at);
		if (m->asking_fd < 0)
			return m->asking_fd;
		m->asking_open = a->part;
	}
	return text_source_fd(&m->asking_fd, off, buf, n);
}

/* Their sizes; one whose requests are not there asks nothing. */
static uint32_t open_asking(
	struct making *m, struct text_source *ret, uint64_t *ret_sizes)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->known.n_asking; i++) {
		if (!asking_size(m->known.asking[i].job, &ret_sizes[n]))
			continue;
		m->asking[n] = (struct asking){m, m->known.asking[i].job};
		ret[n] = (struct text_source){read_asking, &m->asking[n], NULL};
		n++;
	}
	return n;
}

/* ---- making ---------------------------------------------------------------------- */

static int build_all(struct making *m, struct answers **ret)
{
	struct gb_job *dir = m->dir;
	struct slots_from results = {m->slots, NULL};
	struct text_source from_results = {slots_read, &results, slots_readv};
	struct text_source from_requests = text_from_fd(&m->asked.requests);
	struct text_source from_table = text_from_fd(&m->asked.table);
	uint32_t room = m->known.n_asking + 1;
	_cleanup_free_ struct text_source *asking = calloc(room, sizeof *asking);
	_cleanup_free_ uint64_t *sizes = calloc(room, sizeof *sizes);
	_cleanup_free_ char *properties = NULL;
	struct answers_input in = {.grammar = dir->c->api.provider->results,
		.results = m->asked.stamp.results_size >= 0 ? &from_results : NULL,
		.requests = &from_requests,
		.table = m->asked.table >= 0 ? &from_table : NULL,
		.tabs = m->asked.tabs,
		.stamp = m->asked.stamp,
		.asked = -1,
		.parts = m->known.ended,
		.n_parts = m->known.n_ended,
		.before = m->before,
		.asking = asking,
		.asking_sizes = sizes,
		.open = m->known.open,
		.n_open = m->known.n_open,
		.dropped = m->known.dropped,
		.lost = m->known.lost,
		.cancel = answers_hurrying(dir->c)};

	m->asking = calloc(room, sizeof *m->asking);
	if (!asking || !sizes || !m->asking)
		return -ENOMEM;
	in.n_asking = open_asking(m, asking, sizes);
	int err = answers_properties(dir, &in, &properties);
	if (err)
		return err;
	client_lock(dir->c);
	in.model = dir->model;
	client_unlock(dir->c);
	return answers_build(&in, ret);
}

static int load_or_build_all(struct making *m, struct answers **ret)
{
	_cleanup_close_ int at = job_dir_open(m->dir);
	int err;

	known_parts_measure(m->dir, &m->known);
	stamp_parts(&m->known, &m->asked.stamp);
	find_before(m, at);
	if (m->before && m->before->head.n_parts &&
		memcmp(&m->before->head.stamp, &m->asked.stamp,
			sizeof m->asked.stamp) == 0) {
		*ret = answers_ref(m->before);
		return 0;
	}
	err = slots_new(m->dir, m->known.ended, m->known.n_ended, &m->slots);
	if (!err)
		err = build_all(m, ret);
	if (err == -ESTALE && m->before) {
		answers_unref(STEAL_PTR(m->before));
		err = build_all(m, ret);
	}
	if (!err && at >= 0)
		answers_keep(m->dir, at, INDEX_OF_ALL, ret);
	return err;
}

/* Before anybody can read the usage: who does finds its lines in the history. */
static void log_parts(struct making *m, const struct answers *a)
{
	for (uint32_t i = 0; i < a->head.n_parts; i++) {
		struct gb_job *part = known_parts_job(m->dir, a->parts[i].number);

		if (part && a->parts[i].size >= 0)
			answers_log_tokens(part, a->parts[i].tokens, a);
	}
}

/* Where the requests begin that have no result, in their order. NULL: no memory. */
static uint64_t *find_missing(const struct answers *a, uint64_t *ret_n)
{
	const struct answers_head *h = &a->head;
	uint64_t most = h->counts[ANSWER_MISSING] + h->counts[ANSWER_PENDING], n = 0;
	uint64_t *at = calloc(most + 1, sizeof *at);

	for (uint32_t i = 0; at && i < h->n_rows && n < most; i++) {
		const struct answers_row *r = &a->rows[i];

		if (r->status == ANSWER_MISSING || r->status == ANSWER_PENDING)
			at[n++] = r->request_from;
	}
	*ret_n = n;
	return at;
}

static bool lacks_some(
	const uint64_t *missing, uint64_t n, const struct answers_part *p)
{
	uint64_t lo = 0, hi = n;

	/* What a later round asked has other places in the requests. */
	if (p->round)
		return n > 0;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (missing[mid] < p->range.from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && missing[lo] < p->range.to;
}

/* What is wrong with a part is no error of its directory once others have made it
 * good. */
static void note_made_good(struct gb_job *dir, const struct answers *a)
{
	uint64_t n = 0;
	_cleanup_free_ uint64_t *missing = find_missing(a, &n);

	for (uint32_t i = 0; i < a->head.n_parts; i++) {
		struct gb_job *part = known_parts_job(dir, a->parts[i].number);

		if (!part)
			continue;
		client_lock(dir->c);
		part->batch->made_good =
			missing && !lacks_some(missing, n, &a->parts[i]);
		client_unlock(dir->c);
	}
}

static void take_all(struct making *m, struct answers *a)
{
	struct gb_job *dir = m->dir;

	/* One that is used already stays as it is. */
	client_lock(dir->c);
	bool same = dir->merged == a;
	if (same)
		a->print = m->known.print;
	client_unlock(dir->c);
	if (same)
		return;
	if (!a->made.tv_sec) /* it cannot be kept */
		clock_gettime(CLOCK_REALTIME, &a->made); /* wall: shown */
	answers_finish(dir, a, m->known.cancelled);
	note_made_good(dir, a);
	a->print = m->known.print;
	client_lock(dir->c);
	struct answers *old = dir->merged;
	dir->merged = answers_ref(a);
	client_unlock(dir->c);
	answers_unref(old);
}

int answers_make_all(struct gb_job *dir)
{
	struct making m = {.dir = dir, .asked = ANSWERS_NOT_OPEN, .asking_fd = -1};
	struct answers *a = NULL;
	int err = known_parts_take(dir, &m.known);

	if (!err && !m.known.n_ended)
		err = -EAGAIN;
	if (!err)
		err = answers_open_asked(dir, &m.asked);
	if (!err)
		err = load_or_build_all(&m, &a);
	if (!err) {
		log_parts(&m, a);
		take_all(&m, a);
	}
	answers_unref(a);
	answers_unref(m.before);
	slots_free(m.slots);
	answers_close_all(&m.asked);
	util_closep(&m.asking_fd);
	free(m.asking);
	known_parts_clear(&m.known);
	return err;
}
