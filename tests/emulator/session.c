#include "session.h"
#include "knobs.h"
#include "store.h"
#include "world.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct registry sessions; /* world_lock */

void session_save(const struct session *s)
{
	_cleanup_json_ json_t *j = json_pack("{ss ss ss* ss ss si sI sI sI}", "project",
		s->project, "fileId", s->file_id, "displayName", s->display_name,
		"mimeType", s->mime, "sha256", s->sha256, "state", s->state, "created",
		(json_int_t)s->created, "declared", (json_int_t)s->declared, "received",
		(json_int_t)s->received);

	store_save("uploads", s->id, j);
}

/* A kill in the middle of a piece leaves more bytes than the record knows of. */
static void take_stock(struct session *s)
{
	_cleanup_free_ char *path = store_path("blobs", s->id, "");
	struct stat st;

	if (s->state != SESSION_ACTIVE)
		return;
	if (stat(path, &st) < 0)
		s->received = 0;
	else if (st.st_size < s->received || knob_choice(K_upload_keep) == 0)
		s->received = st.st_size;
}

static void load(const char *id, json_t *j)
{
	struct session *s = xcalloc(1, sizeof(*s));
	const char *name = jstr(j, "displayName"), *mime = jstr(j, "mimeType");

	snprintf(s->id, sizeof(s->id), "%s", id);
	snprintf(s->project, sizeof(s->project), "%s", jstr(j, "project"));
	snprintf(s->file_id, sizeof(s->file_id), "%s", jstr(j, "fileId"));
	snprintf(s->sha256, sizeof(s->sha256), "%s", jstr(j, "sha256"));
	s->display_name = name ? xstrdup(name) : NULL;
	s->mime = xstrdup(mime ? mime : "");
	s->state = jint(j, "state", SESSION_DEAD);
	s->created = jint(j, "created", 0);
	s->declared = jint(j, "declared", -1);
	s->received = jint(j, "received", 0);
	take_stock(s);
	registry_add(&sessions, s);
}

void sessions_load(void)
{
	store_each("uploads", load);
}

struct session *session_new(void)
{
	struct session *s = xcalloc(1, sizeof(*s));

	random_token(s->id, SESSION_ID);
	s->created = now_ns();
	registry_add(&sessions, s);
	return s;
}

struct session *session_find(const char *id)
{
	struct session *s = registry_find(&sessions, id);
	int64_t life = knob_num(K_upload_life) * HOUR;

	return s && s->created + life > now_ns() ? s : NULL;
}

static void end_session(struct session *s, enum session_state state)
{
	s->state = state;
	s->gen++;
	store_unlink("blobs", s->id, "");
	session_save(s);
}

void session_cancel(struct session *s)
{
	end_session(s, SESSION_CANCELLED);
}

void session_kill(struct session *s)
{
	end_session(s, SESSION_DEAD);
}

static void digest_fd(int fd, char hex[65])
{
	size_t size = 256 * 1024;
	_cleanup_free_ char *chunk = xcalloc(1, size);
	struct sha256 sum;
	ssize_t n;

	sha256_init(&sum);
	while ((n = read(fd, chunk, size)) > 0)
		sha256_add(&sum, chunk, n);
	sha256_hex(&sum, hex);
}

void session_digest(struct session *s)
{
	_cleanup_close_ int fd = file_open_bytes(s->id);

	if (s->received <= knob_num(K_sha256_max) && knob_choice(K_sha256) != 2 &&
		fd >= 0)
		digest_fd(fd, s->sha256);
}

static void move_blob(const struct session *s)
{
	_cleanup_free_ char *from = store_path("blobs", s->id, "");
	_cleanup_free_ char *to = store_path("blobs", s->file_id, "");

	if (rename(from, to) < 0)
		complain("cannot rename %s: %s", from, strerror(errno));
}

void session_finish(struct session *s)
{
	struct file *f = xcalloc(1, sizeof(*f));
	int64_t now = now_ns();

	if (!*s->file_id)
		file_random_id(s->file_id);
	snprintf(f->id, sizeof(f->id), "%s", s->file_id);
	snprintf(f->project, sizeof(f->project), "%s", s->project);
	snprintf(f->sha256, sizeof(f->sha256), "%s", s->sha256);
	f->display_name = s->display_name ? xstrdup(s->display_name) : NULL;
	f->mime = xstrdup(s->mime);
	f->size = s->received;
	f->created = f->updated = now;
	f->expires = now + (int64_t)(knob_num(K_file_life) * HOUR);
	f->ready = now + (int64_t)(knob_num(K_processing) * NS);
	move_blob(s);
	file_add_take(f);
	s->state = SESSION_FINAL;
	s->gen++;
	session_save(s);
}

struct piece *piece_new(struct session *s, int64_t off, bool finalize)
{
	_cleanup_free_ char *path = store_path("blobs", s->id, "");
	struct piece *p = xcalloc(1, sizeof(*p));

	piece_stop_all(s);
	p->session = s;
	p->gen = ++s->gen;
	p->finalize = finalize;
	p->start = p->pos = off;
	p->received = s->received;
	p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (p->fd < 0)
		p->error = -errno;
	s->live = p;
	return p;
}

/* Bytes that are there already must be the same; returns how many of n they were. */
static size_t compare(struct piece *p, const char *data, size_t n)
{
	int64_t old = p->received - p->pos;
	_cleanup_free_ char *have = NULL;

	if (old <= 0)
		return 0;
	if ((int64_t)n > old)
		n = old;
	have = xcalloc(1, n);
	if (pread(p->fd, have, n, p->pos) != (ssize_t)n || memcmp(have, data, n))
		p->differs = true;
	p->pos += n;
	return n;
}

static void append(struct piece *p, const char *data, size_t n)
{
	int64_t limit = knob_num(K_file_limit);

	if (p->pos + (int64_t)n > limit)
		p->error = -EFBIG;
	else
		p->error = write_all(p->fd, data, n, p->pos);
	if (p->error < 0)
		return;
	p->pos += n;
	world_lock();
	if (p->gen == p->session->gen)
		p->session->received = p->pos;
	else
		p->error = -ESTALE;
	world_unlock();
}

void piece_write(struct piece *p, const char *data, size_t n)
{
	size_t old;

	if (p->error || p->differs)
		return;
	old = compare(p, data, n);
	if (old < n && !p->differs)
		append(p, data + old, n - old);
}

static void settle(struct session *s, int64_t base, int64_t keep)
{
	int64_t g = knob_num(K_granularity);

	if (knob_choice(K_upload_keep) == 2)
		keep = base;
	else if (knob_choice(K_upload_keep) == 1 && g > 0)
		keep = keep / g * g;
	s->received = keep < base ? base : keep;
}

void piece_undo(struct piece *p)
{
	p->session->received = p->received;
}

void piece_stop_all(struct session *s)
{
	if (s->live)
		settle(s, s->live->received, s->received);
	s->live = NULL;
	s->gen++;
}

void piece_free(struct piece *p)
{
	struct session *s = p->session;

	if (s->live == p) {
		if (!p->ended)
			settle(s, p->received, s->received);
		s->live = NULL;
		session_save(s);
	}
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}
