#include "submit/attachments_private.h"
#include "base/crew.h"
#include "jobs/advice.h"
#include "submit/submit.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <string.h>
#include <syslog.h>

enum {
	AT_ONCE = 4,             /* uploads */
	SESSION_WORTH = 8 << 20, /* bytes from which on sessions outlive us */
	NEARLY = 3600,
	DISPLAY_MAX = 500,
};

#define TURN 0.05 /* seconds until another look whether another's upload has ended */

/* ---- several at a time --------------------------------------------------------------
 */

struct sweep {
	struct submission *s;
	int (*each)(
		struct submission *s, struct attachment *a, struct provider_error *err);
	pthread_mutex_t lock;
	int err;                   /* lock; the first */
	struct provider_error why; /* lock; of that */
};

/* Takes over what err holds. */
static void sweep_fail(struct sweep *w, int r, struct provider_error *err)
{
	pthread_mutex_lock(&w->lock);
	if (!w->err) {
		w->err = r;
		w->why = *err;
		*err = (struct provider_error){.retry = -1};
	}
	pthread_mutex_unlock(&w->lock);
}

/* Queued work is not cancelled at the end of the client, but runs to its end. */
static bool given_up(struct submission *s)
{
	client_lock(s->c);
	bool stopping = s->c->stopping;
	client_unlock(s->c);
	return s->t->cancel.set || stopping;
}

static int sweep_one(void *arg, size_t i)
{
	struct sweep *w = arg;
	struct provider_error err = {.retry = -1};
	int r = given_up(w->s)
			? -ECANCELED
			: w->each(w->s, w->s->attached->items[i], &err);

	if (r)
		sweep_fail(w, r, &err);
	provider_error_clear(&err);
	return r;
}

/* each for all of them; the first error ends it. */
static int for_all(
	struct submission *s, int (*each)(struct submission *s, struct attachment *a,
				      struct provider_error *err))
{
	struct sweep w = {.s = s, .each = each, .lock = PTHREAD_MUTEX_INITIALIZER};

	crew_run(s->attached->n, AT_ONCE, sweep_one, &w);
	if (w.err) {
		provider_error_clear(&s->err);
		s->err = w.why;
	}
	return w.err;
}

/* ---- one of them
 * ------------------------------------------------------------------------ */

static struct content attachment_content(
	const struct submission *s, const struct attachment *a)
{
	return (struct content){a->sha256, a->mime, engine_origin(s->c->engine),
		s->c->key_print, a->st.st_size};
}

static void attachment_place(struct attachment *a, struct placed *p_take)
{
	placed_clear(&a->at);
	a->at = *p_take;
	*p_take = (struct placed){0};
	a->on_wire = (struct uris_new){a->at.uri, a->at.mime};
}

/* name stays in front of what the API says. */
static int because(
	struct provider_error *err, int r, const struct attachment *a, const char *text)
{
	char *all = util_format("%.300s: %s", a->name, text ? text : strerror(-r));

	free(err->text);
	err->text = all;
	err->err = r;
	return r;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int open_copy(
	struct submission *s, struct attachment *a, struct provider_error *err)
{
	struct stat st;
	int fd = attach_open(s->c->store, a->lid, a->path, &st);

	if (fd >= 0 && same_file(&st, &a->st))
		return fd;
	if (fd >= 0)
		close(fd);
	return because(err, -EBADMSG, a, "it was changed while it was being sent");
}

/* Our own URI, which lives long enough. */
static int hold_uri(
	struct submission *s, struct attachment *a, struct provider_error *err)
{
	const char *slash = strrchr(a->name, '/');
	struct placed p = {util_format("files%s", slash ? slash : ""), strdup(a->name),
		strdup(a->mime), 0};
	int r = uploads_hold(s->c->uploads, a->name, s->job->dir->lid, "");

	if (r == -ENOENT)
		r = because(err, -EIO, a, "it has just been deleted at the API");
	if (!r && (!p.file || !p.uri || !p.mime))
		r = -ENOMEM;
	if (!r)
		attachment_place(a, &p);
	placed_clear(&p);
	return r;
}

/* The name of the job's own copy; "" where the content lies in another job's directory. */
static const char *own_copy(const struct submission *s, const struct attachment *a)
{
	return strcmp(a->lid, s->job->dir->lid) == 0 ? a->path : "";
}

static time_t good_until(struct submission *s)
{
	return engine_server_time(s->c->engine) +
	       s->c->api.provider->limits->upload_good;
}

/* Which content it is, and whether the API has it. */
static int look_up(
	struct submission *s, struct attachment *a, struct provider_error *err)
{
	struct placed p = {0};

	if (!a->path)
		return hold_uri(s, a, err);
	_cleanup_close_ int fd = open_copy(s, a, err);
	if (fd < 0)
		return fd;
	int r = attach_hash(fd, &s->t->cancel.set, a->sha256);
	if (r)
		return r;
	struct content c = attachment_content(s, a);
	r = uploads_take(s->c->uploads, &c, good_until(s),
		s->job->dir->lid, own_copy(s, a), &p);
	if (!r)
		attachment_place(a, &p);
	return r == -ENOENT ? 0 : r;
}

/* ---- uploading
 * ------------------------------------------------------------------------------ */

struct sending {
	struct submission *s;
	struct attachment *a;
};

static int on_part_session(void *arg, const char *url)
{
	struct sending *x = arg;
	struct content c = attachment_content(x->s, x->a);

	if (x->a->st.st_size >= SESSION_WORTH)
		/* Without it a crash means uploading from the beginning. */
		DROP(uploads_keep_session(x->s->c->uploads, &c, *url ? url : NULL,
			engine_server_time(x->s->c->engine)));
	return 0;
}

static void on_part_progress(void *arg, int64_t n)
{
	struct sending *x = arg;

	x->s->job->dir->uploaded += n - x->a->sent;
	x->a->sent = n;
}

static int run_upload(struct submission *s, struct attachment *a, int fd,
	struct remote_file *ret, struct provider_error *err)
{
	char display[DISPLAY_MAX + 1];
	struct sending x = {s, a};
	struct content c = attachment_content(s, a);
	struct upload u = {.fd = fd,
		.size = a->st.st_size,
		.mime = a->mime,
		.display = display,
		.on_session = on_part_session,
		.on_progress = on_part_progress,
		.arg = &x};
	_cleanup_free_ char *session = uploads_session(
		s->c->uploads, &c, engine_server_time(s->c->engine));

	snprintf(display, sizeof(display), "%.*s",
		(int)util_utf8_cut(a->path, strlen(a->path), DISPLAY_MAX), a->path);
	snprintf(u.session, sizeof(u.session), "%s", session ? session : "");
	int r = provider_upload(&s->c->api, &u, &s->t->cancel, ret, err);
	explicit_bzero(u.session, sizeof(u.session));
	if (session)
		explicit_bzero(session, strlen(session));
	client_called(s->c, err);
	return r;
}

/* Whether the API received what we sent. If it does not say, assume so. */
static bool arrived(const struct attachment *a, const struct remote_file *f)
{
	return (!f->sha256[0] || strcmp(f->sha256, a->sha256) == 0) &&
	       (f->size < 0 || f->size == a->st.st_size);
}

static void delete_file(struct submission *s, const char *file)
{
	struct provider_error err = {.retry = -1};

	provider_file_remove(&s->c->api, file, &s->t->cancel, &err);
	provider_error_clear(&err);
}

static int upload_whole(struct submission *s, struct attachment *a, int fd,
	struct remote_file *ret, struct provider_error *err)
{
	for (int tries = 0; tries < 2; tries++) {
		int r = run_upload(s, a, fd, ret, err);

		if (r)
			return because(err, r, a, err->text);
		if (arrived(a, ret))
			return 0;
		client_log(s->c, LOG_WARNING,
			"%s: the API got other bytes than were sent",
			job_label(s->job));
		delete_file(s, ret->name);
		remote_file_clear(ret);
	}
	return because(err, -EIO, a, "the API got other bytes than were sent, twice");
}

static time_t upload_expiry(struct submission *s, const struct remote_file *f)
{
	return f->expires.tv_sec
		       ? f->expires.tv_sec
		       : engine_server_time(s->c->engine) +
				 s->c->api.provider->limits->upload_life - NEARLY;
}

static int remember(struct submission *s, struct attachment *a,
	const struct remote_file *f, struct provider_error *err)
{
	struct placed p = {.expires = upload_expiry(s, f)};
	struct content c = attachment_content(s, a);
	int r = 0;

	if (!f->uri ||
		!uploads_uri_valid(f->uri, f->name, engine_origin(s->c->engine)))
		return because(err, -EIO, a, "the API gave its upload no usable URI");
	p.file = strdup(f->name);
	p.uri = strdup(f->uri);
	p.mime = strdup(uploads_mime_valid(f->mime) ? f->mime : a->mime);
	if (!p.file || !p.uri || !p.mime)
		r = -ENOMEM;
	if (!r)
		r = uploads_add(
			s->c->uploads, &c, &p, s->job->dir->lid, own_copy(s, a));
	test_point("attached");
	if (!r)
		attachment_place(a, &p);
	placed_clear(&p);
	return r;
}

static int upload_one(
	struct submission *s, struct attachment *a, struct provider_error *err)
{
	struct remote_file f = {0};
	_cleanup_close_ int fd = open_copy(s, a, err);

	if (fd < 0)
		return fd;
	int r = upload_whole(s, a, fd, &f, err);
	if (!r)
		r = remember(s, a, &f, err);
	remote_file_clear(&f);
	if (!r) {
		int again = open_copy(s, a, err);

		r = again < 0 ? again : (close(again), 0);
	}
	return r;
}

/* If another job has uploaded the content by now. -ENOENT: none has. */
static int take_other(struct submission *s, struct attachment *a)
{
	struct content c = attachment_content(s, a);
	struct sending x = {s, a};
	struct placed p = {0};
	int r = uploads_take(s->c->uploads, &c, good_until(s), s->job->dir->lid,
		own_copy(s, a), &p);

	if (r)
		return r;
	attachment_place(a, &p);
	on_part_progress(&x, a->st.st_size);
	return 0;
}

/* Parts that are sent at the same time name the same files: one uploads, the others wait for
 * it, and go on themselves if it fails. Nobody waits with a turn of his own, so none waits
 * for himself. */
static int send(struct submission *s, struct attachment *a, struct provider_error *err)
{
	struct uploads_turn turn = {attachment_content(s, a)};

	if (a->at.uri || a->twin)
		return 0;
	while (!uploads_turn_take(s->c->uploads, &turn))
		if (given_up(s) || engine_sleep(s->c->engine, TURN, &s->t->cancel))
			return -ECANCELED;
	int r = take_other(s, a);
	if (r == -ENOENT)
		r = upload_one(s, a, err);
	uploads_turn_end(s->c->uploads, &turn);
	return r;
}

/* ---- all of them
 * ------------------------------------------------------------------------------- */

static int by_content(const void *a, const void *b)
{
	const struct attachment *x = a, *y = b;
	int r = strcmp(x->sha256, y->sha256);

	return r ? r : strcmp(x->mime, y->mime);
}

static void keep_placed(void *node)
{
}

/* How many bytes have to be uploaded, each content once; -ENOMEM. */
static int64_t plan_uploads(struct attachments *all)
{
	void *seen = NULL;
	int64_t sum = 0;

	for (size_t i = 0; i < all->n && sum >= 0; i++) {
		struct attachment *a = all->items[i], **first;

		a->twin = NULL;
		if (a->at.uri)
			continue;
		first = tsearch(a, &seen, by_content);
		if (!first)
			sum = -ENOMEM;
		else if (*first != a)
			a->twin = *first;
		else
			sum += a->st.st_size;
	}
	tdestroy(seen, keep_placed);
	return sum;
}

static int no_room(struct submission *s, int64_t used, int64_t more)
{
	_cleanup_free_ char *text = util_format(
		"%" PRId64
		" bytes are stored there according to its list of files; %" PRId64
		" more are needed.\n",
		used, more);

	_cleanup_free_ char *what = util_format(
		"The attached files do not fit into the %s that a project may store.",
		s->c->api.provider->limits->storage_text);

	job_dir_error(s->job, -EFBIG, what,
		"No job was created. Wait until running jobs have ended (their files "
		"are deleted then), delete files at the API, or split the job. Then: "
		"echo submit > ctl",
		text);
	s->told = s->unfit = true;
	return -EFBIG;
}

static int check_storage(struct submission *s, int64_t more)
{
	int64_t limit = (int64_t)test_seconds("BATCHFS_TEST_STORAGE_BYTES",
		(double)s->c->api.provider->limits->storage);
	struct provider_error err = {.retry = -1};
	int64_t used = 0;
	bool whole;
	int r;

	if (more > limit)
		return no_room(s, 0, more);
	r = provider_files_used(&s->c->api, &s->t->cancel, &used, &whole, &err);
	client_called(s->c, &err);
	provider_error_clear(&err);
	/* Only an early warning: the API itself would say so later. */
	if (r)
		return r == -ECANCELED ? r : 0;
	return used > limit - more ? no_room(s, used, more) : 0;
}

/* The same content under another name, which has been uploaded now. */
static int take_twins(struct submission *s)
{
	int r = 0;

	for (size_t i = 0; i < s->attached->n && !r; i++) {
		struct attachment *a = s->attached->items[i];
		struct content c = attachment_content(s, a);
		struct placed p = {0};

		if (!a->twin)
			continue;
		r = uploads_take(
			s->c->uploads, &c, 0, s->job->dir->lid, own_copy(s, a), &p);
		if (!r)
			attachment_place(a, &p);
	}
	return r == -ENOENT ? -EIO : r;
}

static void show_progress(struct submission *s, int64_t total)
{
	struct job_dir *l = s->job->dir;

	client_lock(s->c);
	l->uploaded = 0;
	l->upload_size = total;
	l->uploaded_since = total ? util_now() : 0;
	client_unlock(s->c);
}

/* A problem with a local file is for the user to fix, and nothing was tried. */
static void tell_changed(struct submission *s, int r)
{
	if (r != -EBADMSG || s->told)
		return;
	job_dir_error(s->job, r, "A file that the requests name cannot be sent.",
		"No job was created. When the file is fixed: echo submit > ctl",
		s->err.text);
	s->told = s->unfit = true;
}

/* A job that waits longer finds its file gone. This is a warning, because most jobs do
 * not wait so long. */
static void warn_of_life(struct submission *s)
{
	const struct attachment *first = NULL;
	int life = s->c->api.provider->limits->job_life;
	char line[400];
	time_t now = engine_server_time(s->c->engine);

	for (size_t i = 0; i < s->attached->n; i++) {
		const struct attachment *a = s->attached->items[i];

		if (a->at.file && a->at.expires &&
			(!first || a->at.expires < first->at.expires))
			first = a;
	}
	if (!first || first->at.expires >= now + life - NEARLY)
		return;
	snprintf(line, sizeof line,
		"line %" PRIu64
		": the API deletes %.200s in %ld h, but a job may wait for %d h",
		first->line, first->name, (long)((first->at.expires - now) / 3600),
		life / 3600);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	advice_add(s->job, line);
}

/* What a part names, later ones may, too: its directory holds that until all is sent, and
 * has the copies. */
static int hold_for_all(struct submission *s)
{
	const char *lid = attach_lid(s);
	int r = 0;

	for (size_t i = 0; i < s->attached->n && !r; i++) {
		struct attachment *a = s->attached->items[i];
		bool copy = a->path && strcmp(a->lid, lid) == 0;

		r = uploads_hold(s->c->uploads, a->at.uri, lid, copy ? a->path : "");
	}
	return r == -ENOENT ? 0 : r;
}

int attach_upload(struct submission *s)
{
	int64_t more = 0;
	int r = for_all(s, look_up);

	if (!r)
		more = plan_uploads(s->attached);
	if (more < 0)
		r = (int)more;
	if (!r && more)
		r = check_storage(s, more);
	if (!r && more) {
		show_progress(s, more);
		r = for_all(s, send);
		show_progress(s, 0);
	}
	if (!r)
		r = take_twins(s);
	if (!r && s->job->parent)
		r = hold_for_all(s);
	if (!r)
		r = uploads_sync(s->c->uploads);
	if (r)
		tell_changed(s, r);
	else
		warn_of_life(s);
	return r;
}
