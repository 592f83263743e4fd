/* The registry's file: reading, appending, rewriting. */
#include "store/uploads_private.h"
#include "base/test_point.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>

#define LOG_NAME "attachments"
#define LOG_HEAD "batchfs attachments 1\n"

/* ---- the log
 * ---------------------------------------------------------------------------- */

static json_t *content_json(const char *op, const struct content *c)
{
	return json_pack("{ss ss ss ss ss sI}", "op", op, "sha256", c->sha256, "mime",
		c->mime, "origin", c->origin, "key", c->key_print, "size",
		(json_int_t)c->size);
}

json_t *uploads_up_json(const struct content *c, const struct placed *p)
{
	json_t *j = content_json("up", c);

	if (j && json_object_update_new(j, json_pack("{ss ss ss sI}", "file", p->file,
						   "uri", p->uri, "api_mime", p->mime,
						   "expires", (json_int_t)p->expires)) <
			 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}

json_t *uploads_ref_json(const char *file, const char *lid, const char *name)
{
	return json_pack(
		"{ss ss ss ss}", "op", "ref", "file", file, "lid", lid, "name", name);
}

json_t *uploads_session_json(const struct content *c, const char *url, time_t at)
{
	json_t *j = content_json("session", c);

	if (j && url)
		json_object_set_new(j, "url", json_string(url));
	if (j)
		json_object_set_new(j, "at", json_integer(at));
	return j;
}

/* A line of the log, malloc'ed; the JSON is used up. */
static char *line_take(json_t *j)
{
	_cleanup_free_ char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	return text ? util_format("%08x %s\n", util_crc32c(0, text, strlen(text)), text)
		    : NULL;
}

/* ---- reading it
 * ------------------------------------------------------------------------ */

static const char *uploads_text(json_t *j, const char *name)
{
	json_t *v = json_object_get(j, name);
	const char *text = json_string_value(v);

	return text && strlen(text) == json_string_length(v) ? text : NULL;
}

static bool uploads_content(json_t *j, struct content *c)
{
	*c = (struct content){uploads_text(j, "sha256"), uploads_text(j, "mime"),
		uploads_text(j, "origin"), uploads_text(j, "key"),
		json_integer_value(json_object_get(j, "size"))};
	return uploads_is_hex(c->sha256, 64) && uploads_mime_valid(c->mime) &&
	       c->origin && c->key_print && c->size >= 0;
}

static int load_up(struct uploads *r, json_t *j)
{
	struct placed p = {(char *)uploads_text(j, "file"),
		(char *)uploads_text(j, "uri"), (char *)uploads_text(j, "api_mime"),
		json_integer_value(json_object_get(j, "expires"))};
	struct content c;

	if (!uploads_content(j, &c) || !p.uri ||
		!uploads_uri_valid(p.uri, p.file, c.origin) ||
		!uploads_mime_valid(p.mime))
		return -EBADMSG;
	return uploads_apply_up(r, &c, &p);
}

static int load_ref(struct uploads *r, json_t *j)
{
	const char *file = uploads_text(j, "file"), *lid = uploads_text(j, "lid"),
		   *name = uploads_text(j, "name");
	struct known *e = file ? uploads_find_file(r, file) : NULL;

	if (!file || !name || !uploads_is_hex(lid, LID_SIZE - 1))
		return -EBADMSG;
	return e ? uploads_add_ref(r, e, lid, name, true) : 0;
}

static int load_gone(struct uploads *r, json_t *j)
{
	const char *file = uploads_text(j, "file");
	struct known *e = file ? uploads_find_file(r, file) : NULL;

	if (e)
		e->dead = true;
	return file ? 0 : -EBADMSG;
}

static int load_end(struct uploads *r, json_t *j)
{
	const char *lid = uploads_text(j, "lid");
	struct user *u = lid ? uploads_find_user(r, lid) : NULL;

	if (u)
		uploads_apply_end(u);
	return lid ? 0 : -EBADMSG;
}

static int load_forget(struct uploads *r, json_t *j)
{
	const char *lid = uploads_text(j, "lid");
	struct user *u = lid ? uploads_find_user(r, lid) : NULL;

	if (u)
		uploads_apply_forget(r, u);
	return lid ? 0 : -EBADMSG;
}

static int load_session(struct uploads *r, json_t *j)
{
	struct content c;
	const char *url = uploads_text(j, "url");

	if (!uploads_content(j, &c))
		return -EBADMSG;
	return uploads_apply_session(r, &c, url && strlen(url) < 1024 ? url : NULL,
		json_integer_value(json_object_get(j, "at")));
}

static int load_line(struct uploads *r, const char *line, size_t n)
{
	static const struct {
		const char *op;
		int (*load)(struct uploads *r, json_t *j);
	} ops[] = {
		{"up", load_up},
		{"ref", load_ref},
		{"gone", load_gone},
		{"end", load_end},
		{"forget", load_forget},
		{"session", load_session},
	};
	unsigned crc;
	json_t *j;
	int err = -EBADMSG;

	if (n < 10 || line[8] != ' ' || strspn(line, "0123456789abcdef") != 8 ||
		sscanf(line, "%8x", &crc) != 1 ||
		crc != util_crc32c(0, line + 9, n - 9))
		return -EBADMSG;
	j = json_loadb(line + 9, n - 9, 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (uploads_text(j, "op") &&
			strcmp(uploads_text(j, "op"), ops[i].op) == 0)
			err = ops[i].load(r, j);
	json_decref(j);
	return err;
}

/* How many lines there are; those that cannot be understood are counted, too. */
static int uploads_load(struct uploads *r, FILE *f, size_t *ret_lines, size_t *ret_bad)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t n;

	*ret_lines = *ret_bad = 0;
	errno = 0;
	/* No line is too long: names have any length. */
	if (getline(&line, &size, f) < 0 || strcmp(line, LOG_HEAD) != 0) {
		if (ferror(f))
			return util_read_error(errno);
		*ret_bad = 1;
		return 0;
	}
	while ((n = getline(&line, &size, f)) > 0) {
		int err = line[n - 1] != '\n' ? -EBADMSG
			  : n == 1            ? 0
					      : load_line(r, line, (size_t)n - 1);

		if (err == -ENOMEM)
			return err;
		*ret_lines += n > 1;
		*ret_bad += err != 0;
	}
	return feof(f) ? 0 : util_read_error(errno);
}

/* ---- writing it anew
 * ---------------------------------------------------------------------- */

static struct content content_in(const struct known *e)
{
	return (struct content){e->sha256, e->mime, e->origin, e->key_print, e->size};
}

static int dump_line(FILE *f, json_t *j_take)
{
	_cleanup_free_ char *line = line_take(j_take);

	if (!line)
		return -ENOMEM;
	return fputs(line, f) < 0 ? -EIO : 0;
}

static int dump_entry(FILE *f, const struct known *e)
{
	struct content c = content_in(e);
	struct placed p = {e->file, e->uri, (char *)e->api_mime, e->expires};
	int err = dump_line(f, uploads_up_json(&c, &p));

	for (const struct ref *ref = e->refs; ref && !err; ref = ref->next)
		err = dump_line(
			f, uploads_ref_json(e->file, ref->user->lid, ref->name));
	if (!err && e->dead)
		err = dump_line(f, json_pack("{ss ss}", "op", "gone", "file", e->file));
	return err;
}

struct dump {
	FILE *f;
	int err;
};

/* twalk_r would take it as an argument, but not every libc has that. */
static _Thread_local struct dump *dumping;

static void dump_user(const void *node, VISIT which, int depth)
{
	const struct user *u = *(const struct user *const *)node;
	struct dump *d = dumping;

	if ((which == postorder || which == leaf) && u->refs && !u->held && !d->err)
		d->err = dump_line(
			d->f, json_pack("{ss ss}", "op", "end", "lid", u->lid));
}

static int uploads_dump(struct uploads *r, FILE *f)
{
	struct dump d = {f, fputs(LOG_HEAD, f) < 0 ? -EIO : 0};

	for (const struct known *e = r->entries; e && !d.err; e = e->next)
		d.err = dump_entry(f, e);
	/* A job's references are all held or none. */
	dumping = &d;
	twalk(r->by_lid, dump_user);
	for (const struct session *s = r->sessions; s && !d.err; s = s->next) {
		struct content c = {
			s->sha256, s->mime, s->origin, s->key_print, s->size};

		d.err = dump_line(f, uploads_session_json(&c, s->url, s->at));
	}
	if (!d.err && (fflush(f) != 0 || fsync(fileno(f)) < 0))
		d.err = -errno;
	return d.err;
}

static int rewrite(struct uploads *r, int dir)
{
	static const char tmp[] = UTIL_TMP_PREFIX LOG_NAME;
	int fd = openat(
		dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int err;

	if (!f) {
		err = -errno;
		util_closep(&fd);
		return err;
	}
	err = uploads_dump(r, f);
	fclose(f);
	test_point("registry-rewrite");
	if (!err && renameat(dir, tmp, dir, LOG_NAME) < 0)
		err = -errno;
	test_point("registry-rewritten");
	if (err)
		unlinkat(dir, tmp, 0);
	return err ? err : util_sync_dir(dir);
}

/* Written anew if stale, and open for appending. */
static int uploads_open_log(struct uploads *r, bool stale)
{
	int err = stale ? rewrite(r, r->dir) : 0;

	if (err)
		return err;
	r->torn = false;
	r->fd = openat(r->dir, LOG_NAME, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return r->fd < 0 ? -errno : 0;
}

/* Lock held. What happened is in memory already. */
int uploads_append_take(struct uploads *r, json_t *j)
{
	_cleanup_free_ char *line = line_take(j);
	int err;

	if (!line)
		return -ENOMEM;
	if (r->fd < 0)
		return uploads_open_log(r, true);
	err = r->torn ? util_write_all(r->fd, "\n", 1) : 0;
	test_point("registry-append");
	if (!err)
		err = util_write_all(r->fd, line, strlen(line));
	test_point("registry-appended");
	r->torn = err != 0;
	return err;
}

/* ---- what is over ------------------------------------------------------------------ */

static bool worth_keeping(const struct known *e, time_t now)
{
	if (!e->dead && e->expires > now)
		return true;
	return uploads_is_used(e) && e->expires > now - REMEMBERED;
}

static bool leave_out(struct uploads *r, time_t now)
{
	bool any = false;

	for (struct known *e = r->entries, *next; e; e = next) {
		next = e->next;
		if (e->busy || worth_keeping(e, now))
			continue;
		uploads_hand_on(r, e);
		uploads_drop(r, e);
		any = true;
	}
	for (struct session **at = &r->sessions; *at;) {
		if ((*at)->at > now - SESSION_LIFE) {
			at = &(*at)->next;
			continue;
		}
		uploads_drop_session(at);
		any = true;
	}
	return any;
}

void uploads_expire(struct uploads *r, time_t now)
{
	pthread_mutex_lock(&r->lock);
	if (leave_out(r, now)) {
		util_closep(&r->fd);
		r->fd = -1;
		/* On a full disk the next append tries again. */
		uploads_open_log(r, true);
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- open
 * ------------------------------------------------------------------------------------
 */

/* Of jobs that are no more. */
static int forget_unknown(struct uploads *r,
	int (*lid_known)(void *arg, const char *lid), void *arg, bool *ret_any)
{
	for (struct known *e = r->entries; e; e = e->next)
		for (struct ref *ref = e->refs, *next; ref; ref = next) {
			int known = lid_known(arg, ref->user->lid);

			next = ref->next;
			if (known < 0)
				return known;
			if (known)
				continue;
			uploads_drop_ref(ref);
			*ret_any = true;
		}
	return 0;
}

static size_t lines_needed(const struct uploads *r)
{
	size_t n = 0;

	for (const struct known *e = r->entries; e; e = e->next) {
		n += 1 + e->dead;
		for (const struct ref *ref = e->refs; ref; ref = ref->next)
			n++;
	}
	return n;
}

static int uploads_set_aside(int dir)
{
	_cleanup_close_ int aside = util_mkdir_open(dir, "aside");

	if (aside < 0)
		return aside;
	return renameat(dir, LOG_NAME, aside, LOG_NAME) < 0 ? -errno : 0;
}

static int uploads_read_log(
	struct uploads *r, int dir, bool *ret_stale, bool *ret_damaged)
{
	_cleanup_close_ int fd =
		openat(dir, LOG_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	size_t lines = 0, bad = 0;
	int err = f ? 0 : util_read_error(errno);

	if (f) {
		fd = -1;
		err = uploads_load(r, f, &lines, &bad);
	}
	switch (util_reading(err)) {
	case READ_WHOLE:
		break;
	case READ_ABSENT:
		*ret_stale = true;
		return 0;
	case READ_DAMAGED:
		bad = 1;
		break;
	case READ_FAILED:
		return err;
	}
	*ret_damaged = bad > 0;
	*ret_stale = bad || lines > 2 * lines_needed(r) + 100;
	/* If there is no room to keep the bad file for a person, it is overwritten: its
	 * good lines have been read. */
	if (bad)
		DROP(uploads_set_aside(dir));
	return 0;
}

int uploads_open(struct store *s, int (*lid_known)(void *arg, const char *lid),
	void *arg, struct uploads **ret, bool *ret_damaged)
{
	struct uploads *r = calloc(1, sizeof(*r));
	bool stale = false;

	*ret_damaged = false;
	if (!r)
		return -ENOMEM;
	r->fd = -1;
	r->dir = s->state;
	pthread_mutex_init(&r->lock, NULL);
	int err = uploads_read_log(r, s->state, &stale, ret_damaged);
	if (!err)
		err = forget_unknown(r, lid_known, arg, &stale);
	if (err) {
		uploads_close(r);
		return err;
	}
	/* Deleted and needed by nobody. What has died by itself says a clock that can
	 * be believed, later: uploads_expire. */
	stale |= leave_out(r, 0);
	/* A full disk is in nobody's way yet: it is tried again with the first append.
	 */
	uploads_open_log(r, stale);
	*ret = r;
	return 0;
}
