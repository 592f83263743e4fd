#include "submit/attachments_private.h"
#include "provider/all/providers.h"
#include "submit/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <search.h>
#include <string.h>

enum { FAULTS_TOLD = 10 };

/* ---- local copies -----------------------------------------------------------------
 */

static const char *name_fault(const char *name)
{
	const char *part = name;

	if (!*name)
		return "the name in file_uri is empty";
	if (strlen(name) >= PATH_MAX)
		return "the name is too long";
	for (;;) {
		size_t n = strcspn(part, "/");

		if (n == 0 || (n == 1 && part[0] == '.') ||
			(n == 2 && part[0] == '.' && part[1] == '.'))
			return "it must be the name of a file in this directory, such "
			       "as inputs/cat.png";
		if (!part[n])
			return NULL;
		part += n + 1;
	}
}

/* The complaint about a name that is not a file of the draft, but a path on some
 * machine. */
static const char *path_fault(const char *name)
{
	bool letter = (name[0] | 0x20) >= 'a' && (name[0] | 0x20) <= 'z';

	if (strncasecmp(name, "file:", 5) == 0 || name[0] == '/' ||
		(letter && name[1] == ':' && (name[2] == '\\' || name[2] == '/')))
		return "it is a path on this or another machine: copy the file into "
		       "this directory and use its name here, such as inputs/cat.png";
	return NULL;
}

static int open_below(int dir, const char *name, int flags)
{
	int fd = openat(
		dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags);

	return fd < 0 ? -errno : fd;
}

/* The directory that path is in, with sync all that lead there made durable. A
 * descriptor and the last part of path. */
static int open_parent(struct store *s, const char *lid, const char *path, bool sync,
	const char **ret_name)
{
	_cleanup_close_ int dir = store_copy_open(s, lid);
	int fd = dir < 0 ? dir : open_below(dir, "files", O_DIRECTORY), err = 0;
	const char *slash;

	for (; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		_cleanup_close_ int parent = fd;
		char part[NAME_MAX + 1];
		size_t n = (size_t)(slash - path);

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(part, path, n);
		part[n] = '\0';
		err = sync && !err ? util_sync_dir(parent) : err;
		fd = open_below(parent, part, O_DIRECTORY);
	}
	if (fd >= 0 && sync && !err)
		err = util_sync_dir(fd);
	if (fd >= 0 && err) {
		close(fd);
		return err;
	}
	*ret_name = path;
	return fd;
}

const char *attach_lid(const struct submission *s)
{
	client_lock(s->c);
	const char *lid = job_directory(s->job)->dir->lid;
	client_unlock(s->c);
	return lid;
}

int attach_open(struct store *s, const char *lid, const char *path, struct stat *ret)
{
	const char *name = path;
	_cleanup_close_ int dir = -1, fd = -1;

	if (name_fault(path))
		return -ENOENT;
	dir = open_parent(s, lid, path, false, &name);
	fd = dir < 0 ? dir : open_below(dir, name, 0);
	if (fd < 0 || fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode))
		return -ENOENT;
	return steal_fd(&fd);
}

int attach_hash(int fd, const atomic_bool *cancel, char ret[SHA256_HEX])
{
	enum { SIZE = 256 << 10 };
	_cleanup_free_ uint8_t *buf = malloc(SIZE);
	struct sha256 s;
	ssize_t n = 1;

	if (!buf)
		return -ENOMEM;
	sha256_init(&s);
	for (off_t off = 0; n; off += n > 0 ? n : 0) {
		if (atomic_load_explicit(cancel, memory_order_relaxed))
			return -ECANCELED;
		n = pread(fd, buf, SIZE, off);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			sha256_add(&s, buf, (size_t)n);
	}
	sha256_end(&s, ret);
	return 0;
}

/* ---- the set of them ----------------------------------------------------------------
 */

static int by_attachment_name(const void *a, const void *b)
{
	return strcmp(((const struct attachment *)a)->name,
		((const struct attachment *)b)->name);
}

struct attachment *attach_find(const struct attachments *all, const char *name)
{
	struct attachment key = {.name = (char *)name};
	struct attachment **found = tfind(&key, &all->by_name, by_attachment_name);

	return found ? *found : NULL;
}

static void free_one(struct attachment *a)
{
	if (!a)
		return;
	placed_clear(&a->at);
	free(a->name);
	free(a->path);
	free(a);
}

static void keep_attachment(void *node)
{
}

void attach_free(struct attachments *all)
{
	if (!all)
		return;
	tdestroy(all->by_name, keep_attachment);
	for (size_t i = 0; i < all->n; i++)
		free_one(all->items[i]);
	free(all->items);
	free(all);
}

/* A new one, of the set; NULL without memory. */
static struct attachment *attachments_add(
	struct attachments *all, const char *name, uint64_t line)
{
	struct attachment *a = calloc(1, sizeof(*a));

	if (!a || !(a->name = strdup(name)))
		goto fail;
	a->line = line;
	a->uses = 1;
	if (all->n == all->cap) {
		size_t cap = 2 * all->cap + 16;
		void *items = realloc(all->items, cap * sizeof(*all->items));

		if (!items)
			goto fail;
		all->items = items;
		all->cap = cap;
	}
	if (!tsearch(a, &all->by_name, by_attachment_name))
		goto fail;
	all->items[all->n++] = a;
	return a;
fail:
	free_one(a);
	return NULL;
}

/* ---- the check
 * --------------------------------------------------------------------------- */

struct check {
	struct submission *s;
	struct attachments *all;
	FILE *faults;
	size_t n_faults;
	bool only_large;
	bool lacks_input; /* a file below inputs/ is not there */
	char *synced; /* the directory that was made durable last; NULL: none */
};

/* Names can hold anything; what is told is one line of text. */
static void put_attachment_name(FILE *f, const char *name)
{
	size_t n = util_utf8_cut(name, strlen(name), 300);

	for (size_t i = 0; i < n; i++)
		fputc((unsigned char)name[i] < ' ' || name[i] == 0x7f ? '?' : name[i],
			f);
	fputs(name[n] ? "…" : "", f);
}

static void note_fault(
	struct check *k, uint64_t line, const char *name, const char *why)
{
	if (k->n_faults++ >= FAULTS_TOLD)
		return;
	fprintf(k->faults, "line %" PRIu64 ": ", line);
	put_attachment_name(k->faults, name);
	fprintf(k->faults, ": %s\n", why);
}

/* Why it cannot be sent, or NULL. */
static const char *copy_fault(int fd, const struct stat *st, char mime[MIME_SIZE])
{
	static _Thread_local char text[MIME_SIZE + 64];
	int err;

	/* contents.c marks files this way that their writer has not finished. */
	if (st->st_mode & S_IXUSR)
		return "it is incomplete: its writer was killed, failed or has not "
		       "finished";
	if (st->st_size == 0)
		return "it is empty";
	err = mime_of_fd(fd, mime);
	if (err)
		return err == -ELIBACC ? "its type cannot be determined, because "
					 "libmagic's database is missing"
				       : "it cannot be read";
	if (!mime_is_media(mime) || !uploads_mime_valid(mime)) {
		snprintf(text, sizeof(text),
			"models cannot be asked about a file of type %s", mime);
		return text;
	}
	return NULL;
}

/* A close that returns before its files are sent promises that they will be sent, so
 * they and their names must be durable first. Most are in one directory. */
static int sync_attachment(struct check *k, const struct attachment *a, int fd)
{
	const struct operation *t = k->s->t;
	const char *slash = strrchr(a->path, '/'), *name;
	size_t n = slash ? (size_t)(slash - a->path) : 0;

	if (!t->background || t->queued)
		return 0;
	if (fsync(fd) < 0)
		return -errno;
	if (k->synced && strlen(k->synced) == n && strncmp(k->synced, a->path, n) == 0)
		return 0;
	_cleanup_close_ int dir =
		open_parent(k->s->c->store, a->lid, a->path, true, &name);
	free(k->synced);
	k->synced = dir < 0 ? NULL : strndup(a->path, n);
	return dir < 0 ? dir : 0;
}

static int check_name(struct check *k, struct attachment *a)
{
	const struct provider_limits *l = k->s->c->api.provider->limits;
	const char *why = name_fault(a->name);
	_cleanup_close_ int fd = -1;
	char larger[80];

	snprintf(a->lid, sizeof(a->lid), "%s", attach_lid(k->s));
	a->path = strdup(a->name);
	if (!a->path)
		return -ENOMEM;
	if (!why)
		fd = attach_open(k->s->c->store, a->lid, a->path, &a->st);
	if (fd < 0) {
		const char *path = path_fault(a->name);

		why = path  ? path
		      : why ? why
			    : "there is no such file in this directory";
		k->lacks_input |= !path && strncmp(a->name, "inputs/", 7) == 0;
	}
	if (!why && a->st.st_size > l->attachment) {
		snprintf(larger, sizeof larger,
			"it is larger than the %s that the API takes",
			l->attachment_text);
		note_fault(k, a->line, a->name, larger);
		return 0;
	}
	if (!why)
		why = copy_fault(fd, &a->st, a->mime);
	if (why) {
		note_fault(k, a->line, a->name, why);
		k->only_large = false;
		return 0;
	}
	return sync_attachment(k, a, fd);
}

/* The first of the copies ("LID NAME" a line) that still has the content. */
static int find_copy(struct check *k, struct attachment *a, char *copies)
{
	char *rest = copies, *line;

	while ((line = strsep(&rest, "\n"))) {
		char *space = strchr(line, ' '), sha256[SHA256_HEX];
		_cleanup_close_ int fd = -1;

		if (!space)
			continue;
		*space = '\0';
		fd = attach_open(k->s->c->store, line, space + 1, &a->st);
		if (fd < 0)
			continue;
		int err = attach_hash(fd, &k->s->t->cancel.set, sha256);
		if (err == -ECANCELED || err == -ENOMEM)
			return err;
		if (err || strcmp(sha256, a->sha256) != 0)
			continue;
		snprintf(a->lid, sizeof(a->lid), "%s", line);
		a->path = strdup(space + 1);
		return a->path ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

/* A URI: of a file that we uploaded, and needs to live for this job? */
static int check_uri(struct check *k, const char *uri, uint64_t line)
{
	struct gb_client *c = k->s->c;
	_cleanup_free_ char *copies = NULL, *mime = NULL;
	char sha256[SHA256_HEX];
	time_t until, now = engine_server_time(c->engine);
	int err = uploads_lookup(c->uploads, uri, engine_origin(c->engine),
		c->key_print, sha256, &mime, &copies, &until);

	if (err)
		return err == -ENOENT ? 0 : err;
	struct attachment *a = attachments_add(k->all, uri, line);
	if (!a)
		return -ENOMEM;
	memcpy(a->sha256, sha256, sizeof(sha256));
	snprintf(a->mime, sizeof(a->mime), "%s", mime);
	if (until >= now + c->api.provider->limits->upload_good)
		return 0;
	err = find_copy(k, a, copies);
	if (err != -ENOENT)
		return err;
	if (until <= now)
		note_fault(k, line, uri,
			"the API does not have this upload any more, and neither a job "
			"here nor the trash has the file");
	k->only_large &= until > now;
	return 0;
}

static int on_uri(void *arg, const struct uris_found *found)
{
	struct check *k = arg;
	struct attachment *a = attach_find(k->all, found->text);

	if (a) {
		a->uses++;
		return 0;
	}
	if (!found->loose)
		return found->odd ? 0 : check_uri(k, found->text, found->line);
	if (found->odd) {
		note_fault(k, found->line, found->text,
			"this cannot be the name of a file");
		k->only_large = false;
		return 0;
	}
	a = attachments_add(k->all, found->text, found->line);
	return a ? check_name(k, a) : -ENOMEM;
}

int attach_resolve(struct submission *s, struct lines_span in, char **ret_text)
{
	struct check k = {.s = s, .only_large = true};
	_cleanup_free_ char *text = NULL;
	size_t len;
	int err;

	attach_free(s->attached);
	s->attached = NULL;
	if (!s->report.uris && !s->job->parent)
		return 0;
	k.all = calloc(1, sizeof(*k.all));
	k.faults = open_memstream(&text, &len);
	err = k.all && k.faults ? s->c->api.provider->requests->files_each(
					  in, &s->t->cancel.set, on_uri, &k)
				: -ENOMEM;
	if (k.n_faults > FAULTS_TOLD)
		fprintf(k.faults, "and %zu more\n", k.n_faults - FAULTS_TOLD);
	if (k.faults && k.lacks_input)
		fputs("If these are requests of another job, copy its files here "
		      "first: cp -r OLD/inputs NEW/\n", k.faults);
	if (k.faults && fclose(k.faults) != 0 && !err)
		err = -ENOMEM;
	if (!err && k.n_faults) {
		*ret_text = STEAL_PTR(text);
		err = k.only_large ? -EFBIG : -EBADMSG;
	}
	if (!err && k.all->n)
		s->attached = STEAL_PTR(k.all);
	attach_free(k.all);
	free(k.synced);
	return err;
}

/* ---- the wire
 * ---------------------------------------------------------------------------------- */

static const struct uris_new *on_wire(void *arg, const char *text)
{
	struct attachment *a = attach_find(arg, text);

	return a && a->at.uri ? &a->on_wire : NULL;
}

uint32_t attach_stamp(const struct attachments *all)
{
	uint32_t crc = 0;

	for (size_t i = 0; all && i < all->n; i++) {
		const char *uri = all->items[i]->at.uri;

		crc = util_crc32c(
			crc, all->items[i]->name, strlen(all->items[i]->name) + 1);
		if (uri)
			crc = util_crc32c(crc, uri, strlen(uri) + 1);
	}
	return crc;
}

int attach_write(struct submission *s)
{
	static const char tmp[] = UTIL_TMP_PREFIX "sent";
	_cleanup_close_ int dir = job_dir_open(s->job), out = -1;
	off_t size = 0;
	int err;

	if (dir < 0)
		return dir;
	out = openat(
		dir, tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return -errno;
	err = s->c->api.provider->requests->files_replace(
		s->plain, out, &s->t->cancel.set, on_wire, s->attached, &size);
	if (!err && (uint64_t)size > (uint64_t)s->c->api.provider->limits->requests)
		err = -EFBIG;
	if (!err && fdatasync(out) < 0)
		err = -errno;
	test_point("sent-written");
	if (!err && renameat(dir, tmp, dir, STORE_SENT) < 0)
		err = -errno;
	if (err) {
		unlinkat(dir, tmp, 0);
		return err;
	}
	util_closep(&s->fd);
	s->fd = steal_fd(&out);
	s->off = 0;
	s->size = size;
	return 0;
}

/* ---- for who makes a draft
 * ------------------------------------------------------------------------------------- */

struct tell {
	int (*each)(void *arg, uint64_t line, const char *name);
	void *arg;
};

static int tell_uri(void *arg, const struct uris_found *found)
{
	const struct tell *t = arg;

	return found->loose ? t->each(t->arg, found->line, found->text) : 0;
}

int gb_requests_files(int fd, int (*each)(void *arg, uint64_t line, const char *name),
	void *arg)
{
	struct tell t = {each, arg};

	return provider_default()->requests->files_each(
		(struct lines_span){fd, 0, -1}, NULL, tell_uri, &t);
}
