/*
 * How many tokens the prompts of a draft have: 20 calls that count, of which eight are for
 * attachments if there are any, and the rest by size (extrapolate.h).
 *
 * Requests are counted without the files that they name, and these by themselves: the
 * same file may be named by every line. A file that the API does not have yet goes with
 * the call, if it is small; what cannot be asked about is guessed by its type, and may be
 * off by all of that.
 */
#include "submit/estimate_private.h"

#include "base/crew.h"
#include "files/files.h"
#include "provider/all/ids.h"
#include "requests/sample.h"
#include "submit/attachments_private.h"
#include "submit/extrapolate.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
	CALLS = 20,           /* at most, */
	CALLS_FILES = 8,      /* of which for attachments */
	LINE_LONGEST = 4 << 20,
	FILE_LONGEST = 3 << 20, /* bytes that go with the call */
	MEMORY = 32 << 20,      /* for all calls at a time, about */
};

/* One of the sample. */
struct counted {
	const struct sample_line *line; /* or */
	const struct attachment *file;
	double tokens; /* -1: the API refused to count it */
};

struct census {
	struct submission *s;
	struct sample_line lines[CALLS];
	struct sample sample;
	struct counted all[CALLS];
	size_t n;
	pthread_mutex_t lock;
	int err;                   /* lock; the first that ends it */
	int refused;               /* lock; of the newest refusal of one */
	struct provider_error why; /* lock; of either */
};

/* ---- one call ------------------------------------------------------------------------ */

/* Files that are counted by themselves. */
static bool counted_apart(void *arg, const char *uri)
{
	const struct submission *s = arg;
	const struct attachment *a = attach_find(s->attached, uri);

	return a && a->path;
}

static int read_whole(int fd, void *buf, size_t n, uint64_t off)
{
	ssize_t got = 1;

	for (char *to = buf; n && got > 0; n -= (size_t)got, off += (uint64_t)got) {
		got = pread(fd, to, n, (off_t)off);
		if (got < 0)
			return -errno;
		to += got;
	}
	return n ? -ESTALE : 0;
}

static int count_line(struct submission *s, const struct sample_line *line,
	int64_t *ret, struct provider_error *err)
{
	int fd = gb_file_fd(s->t->file);
	size_t n = line->request_end - line->request_start;
	_cleanup_free_ char *text = malloc(n);
	struct count_args a = {.model = s->rec->model,
		.embedding = s->report.asks == ASKS_EMBEDDING,
		.request = text,
		.request_len = n,
		.leave_out = line->files && s->attached ? counted_apart : NULL,
		.arg = s};
	int r = fd < 0 ? fd : text ? read_whole(fd, text, n, line->request_start)
				   : -ENOMEM;

	return r ? r : provider_count(&s->c->api, &a, &s->t->cancel, ret, err);
}

static int count_bytes(struct submission *s, const struct attachment *f,
	struct count_args *a, int64_t *ret, struct provider_error *err)
{
	struct stat st;
	_cleanup_close_ int fd = attach_open(s->c->store, f->lid, f->path, &st);
	_cleanup_free_ char *data = malloc((size_t)f->st.st_size);
	int r = fd < 0 ? fd : data ? read_whole(fd, data, (size_t)f->st.st_size, 0)
				   : -ENOMEM;

	a->data = data;
	a->data_len = (size_t)f->st.st_size;
	return r ? r : provider_count(&s->c->api, a, &s->t->cancel, ret, err);
}

/* By its URI, if an earlier submission of this draft uploaded it. */
static int count_upload(struct submission *s, const struct attachment *f,
	struct count_args *a, int64_t *ret, struct provider_error *err)
{
	struct stat st;
	char sha256[SHA256_HEX];
	struct placed p = {0};
	_cleanup_close_ int fd = attach_open(s->c->store, f->lid, f->path, &st);
	int r = fd < 0 ? fd : attach_hash(fd, &s->t->cancel.set, sha256);
	const struct content c = {sha256, f->mime, engine_origin(s->c->engine),
		s->c->key_print, f->st.st_size};

	if (!r)
		r = uploads_take(s->c->uploads, &c, engine_server_time(s->c->engine),
			s->job->dir->lid, f->path, &p);
	a->uri = p.uri;
	a->mime = p.mime;
	if (!r)
		r = provider_count(&s->c->api, a, &s->t->cancel, ret, err);
	placed_clear(&p);
	return r == -ENOENT && !err->status ? -EINVAL : r;
}

static int count_file(struct submission *s, const struct attachment *f, int64_t *ret,
	struct provider_error *err)
{
	struct count_args a = {.model = s->rec->model, .mime = f->mime};

	return f->st.st_size > FILE_LONGEST ? count_upload(s, f, &a, ret, err)
					    : count_bytes(s, f, &a, ret, err);
}

/* Others may be counted all the same: it is left to the rest. A file that is not at the
 * API is refused as the key would be. */
static bool refused_alone(const struct counted *k, int r)
{
	bool files = k->file || k->line->files;

	return r == -EINVAL || r == -EFBIG || (r == -EACCES && files);
}

static int count_one(void *arg, size_t i)
{
	struct census *m = arg;
	struct counted *k = &m->all[i];
	struct provider_error err = {.retry = -1};
	int64_t tokens = -1;
	int r = k->file ? count_file(m->s, k->file, &tokens, &err)
			: count_line(m->s, k->line, &tokens, &err);

	client_called(m->s->c, &err);
	k->tokens = (double)tokens;
	pthread_mutex_lock(&m->lock);
	bool alone = r && refused_alone(k, r);
	bool first = r && !m->err;
	if (first && alone)
		m->refused = r;
	else if (first)
		m->err = r;
	if (first) {
		provider_error_clear(&m->why);
		m->why = err;
		err = (struct provider_error){.retry = -1};
	}
	pthread_mutex_unlock(&m->lock);
	provider_error_clear(&err);
	return alone ? 0 : r;
}

/* ---- which attachments --------------------------------------------------------------- */

/* Kinds whose tokens go by the same measure, and are like each other. */
static const char *const kinds[] = {"image/", "audio/", "video/", ""};

static bool is_of_kind(const struct attachment *a, size_t kind)
{
	size_t k = 0;

	while (strncmp(a->mime, kinds[k], strlen(kinds[k])) != 0)
		k++;
	return a->path && k == kind;
}

/* A picture's tokens do not follow from its bytes. */
static double attachment_weight(const struct attachment *a, size_t kind)
{
	return (double)a->uses * (kind == 0 ? 1 : (double)a->st.st_size);
}

static bool can_be_counted(const struct census *m, const struct attachment *a)
{
	return a->st.st_size <= FILE_LONGEST ||
	       uploads_holds(m->s->c->uploads, m->s->job->dir->lid);
}

static double weigh_kind(const struct census *m, size_t kind, bool countable)
{
	const struct attachments *all = m->s->attached;
	double sum = 0;

	for (size_t i = 0; all && i < all->n; i++)
		if (is_of_kind(all->items[i], kind) &&
			(!countable || can_be_counted(m, all->items[i])))
			sum += attachment_weight(all->items[i], kind);
	return sum;
}

/* About `most` of a kind, spread over their weight. */
static void choose_files(struct census *m, size_t kind, size_t most)
{
	const struct attachments *all = m->s->attached;
	double step = weigh_kind(m, kind, true) / (double)most, at = step / 2, sum = 0;

	for (size_t i = 0; step > 0 && i < all->n && m->n < CALLS_FILES; i++) {
		const struct attachment *a = all->items[i];

		if (!is_of_kind(a, kind) || !can_be_counted(m, a))
			continue;
		sum += attachment_weight(a, kind);
		if (sum <= at && all->n > CALLS_FILES)
			continue;
		m->all[m->n++] = (struct counted){.file = a};
		while (at < sum)
			at += step;
	}
}

static void choose_attachments(struct census *m)
{
	size_t there = 0;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		there += weigh_kind(m, k, true) > 0;
	for (size_t k = 0; k < ARRAY_SIZE(kinds) && there; k++)
		choose_files(m, k, CALLS_FILES / there);
}

static int choose_lines(struct census *m)
{
	struct submission *s = m->s;
	int fd = gb_file_fd(s->t->file);
	int r = fd < 0 ? fd
		       : sample_lines(s->c->api.provider->requests, fd, 0,
				 s->report.file_size, s->report.requests, CALLS - m->n,
				 LINE_LONGEST, &s->t->cancel.set, &m->sample);

	for (size_t i = 0; !r && i < m->sample.n; i++)
		m->all[m->n++] = (struct counted){.line = &m->lines[i]};
	return r;
}

/* Bodies are taken apart, or written anew in base64. */
static unsigned at_once(const struct census *m)
{
	double most = 1;

	for (size_t i = 0; i < m->n; i++) {
		const struct counted *k = &m->all[i];
		double n = k->file ? 4.0 * (double)k->file->st.st_size
				   : (k->line->files ? 8.0 : 2.0) *
					     (double)(k->line->end - k->line->start);

		most = fmax(most, k->file && n > 4.0 * FILE_LONGEST ? 1 : n);
	}
	return (unsigned)fmin(CALLS, fmax(1, MEMORY / most));
}

/* ---- the sum ---------------------------------------------------------------------------- */

static void add_guess(struct estimate *e, double tokens)
{
	e->tokens += tokens;
	e->error += tokens;
}

static double guess(const struct census *m, const char *mime, double size)
{
	return m->s->c->api.provider->guess(mime, (int64_t)size);
}

static int add_lines(const struct census *m, struct estimate *e)
{
	struct measured some[CALLS];
	double whole = (double)m->s->report.file_size, seen = 0;
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct counted *k = &m->all[i];
		double size = k->line ? (double)(k->line->end - k->line->start) : 0;

		seen += size;
		if (k->line && k->tokens >= 0)
			some[n++] = (struct measured){size, k->tokens};
	}
	if (m->sample.whole)
		whole = seen + (double)m->sample.longer;
	if (!n && m->sample.n)
		return m->refused;
	if (!n) {
		add_guess(e, guess(m, "text/plain", whole));
		return 0;
	}
	struct extrapolated x = extrapolate(some, n, whole);
	e->tokens += x.total;
	e->error += x.error + x.rate * (double)m->sample.longer;
	return 0;
}

static void add_kind(const struct census *m, size_t kind, struct estimate *e)
{
	const struct attachments *all = m->s->attached;
	struct measured some[CALLS];
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct counted *k = &m->all[i];

		if (k->file && is_of_kind(k->file, kind) && k->tokens >= 0)
			some[n++] = (struct measured){attachment_weight(k->file, kind),
				k->tokens * (double)k->file->uses};
	}
	if (n) {
		struct extrapolated x =
			extrapolate(some, n, weigh_kind(m, kind, false));
		e->tokens += x.total;
		e->error += x.error;
		return;
	}
	for (size_t i = 0; all && i < all->n; i++)
		if (is_of_kind(all->items[i], kind))
			add_guess(e, (double)all->items[i]->uses *
					     guess(m, all->items[i]->mime,
						     (double)all->items[i]->st.st_size));
}

static int take_census(struct census *m, struct estimate *ret)
{
	struct estimate e = {0};
	int r;

	choose_attachments(m);
	r = choose_lines(m);
	if (r)
		return r;
	crew_run(m->n, at_once(m), count_one, m);
	r = m->err ? m->err : add_lines(m, &e);
	for (size_t k = 0; k < ARRAY_SIZE(kinds) && !r; k++)
		add_kind(m, k, &e);
	if (!r)
		*ret = e;
	return r;
}

int estimate_count(struct submission *s, struct estimate *ret)
{
	struct census *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->s = s;
	m->sample.lines = m->lines;
	m->why.retry = -1;
	pthread_mutex_init(&m->lock, NULL);
	r = s->c->api.provider->can & CAN_COUNT ? take_census(m, ret) : -EOPNOTSUPP;
	if (r) {
		provider_error_clear(&s->err);
		s->err = m->why;
		m->why = (struct provider_error){.retry = -1};
	}
	provider_error_clear(&m->why);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return r;
}
