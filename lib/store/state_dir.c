#include "store/state_dir.h"
#include "store/ledger.h"
#include "store/state_lock.h"
#include "base/test_point.h"
#include "provider/all/ids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_VERSION 3
#define VERSION_TEXT "batchfs state "

enum { JOURNAL_MAX = 1 << 20, SALT_LEN = 32 };

static void why(char **ret, const char *fmt, ...) _printf_(2, 3);
static void why(char **ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(*ret);
	if (vasprintf(ret, fmt, ap) < 0)
		*ret = NULL;
	va_end(ap);
}

static int check_owner(int fd, const char *path, char **ret_why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid()) {
		why(ret_why, "%s belongs to another user: choose another directory",
			path);
		return -EPERM;
	}
	if (st.st_mode & 077) {
		why(ret_why, "%s is open to others: chmod 700 it", path);
		return -EPERM;
	}
	return 0;
}

/* option: what names another. */
static int open_root(const char *path, const char *option, int *ret, char **ret_why)
{
	int fd = util_mkpath_open(path);

	if (fd < 0) {
		why(ret_why, "%s: %s (another directory: -o %s=PATH)", path, strerror(-fd),
			option);
		return fd;
	}
	int err = check_owner(fd, path, ret_why);
	if (err) {
		close(fd);
		return err;
	}
	*ret = fd;
	return 0;
}

static int write_version(struct store *s)
{
	_cleanup_free_ char *text = util_format(VERSION_TEXT "%d\n", STATE_VERSION);

	return text ? util_write_file(s->state, "version", text, strlen(text), true)
		    : -ENOMEM;
}

static int mark_version(struct store *s, const char *dir, int from, char **ret_why)
{
	test_point("version-write");
	int err = write_version(s);

	if (err)
		why(ret_why,
			"%s cannot be marked as format %d (it is %d; nothing is changed): %s",
			dir, STATE_VERSION, from, strerror(-err));
	test_point("version-written");
	return err;
}

/* What an older version wrote is read as it is, and written anew as it changes. The
 * mark that keeps older versions away comes before that, so one of them can never take
 * a newer file for its own. */
static int check_version(struct store *s, const char *dir, char **ret_why)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int version, err = util_read_file(s->state, "version", 256, &text, &n);

	if (err == -ENOENT)
		return write_version(s);
	if (err)
		return err;
	if (sscanf(text, VERSION_TEXT "%d", &version) != 1) {
		why(ret_why,
			"%s/version is damaged: is this a batchfs state directory?",
			dir);
		return -EPROTO;
	}
	if (version > STATE_VERSION) {
		why(ret_why,
			"%s was written by a newer batchfs (format %d, this one knows %d)",
			dir, version, STATE_VERSION);
		return -EPROTO;
	}
	return version < STATE_VERSION ? mark_version(s, dir, version, ret_why) : 0;
}

static bool is_salt(const char *text, size_t n)
{
	return n == SALT_LEN && strspn(text, "0123456789abcdef") == SALT_LEN;
}

/* The copy has a checksum, so it is the one to believe. *ret_same: both are well, and
 * say the same. 0, -ENOENT, -EBADMSG, or why one could not be read. */
static int read_salts(struct store *s, bool *ret_same)
{
	_cleanup_free_ char *salt = NULL, *copy = NULL;
	size_t n = 0, n_copy = 0;
	int err = util_read_file(s->state, "salt", 64, &salt, &n);
	int copy_err = util_read_file(s->state, "salt.copy", 64, &copy, &n_copy);
	bool summed = false;
	char crc[16];

	if (util_reading(err) == READ_FAILED)
		return err;
	if (util_reading(copy_err) == READ_FAILED)
		return copy_err;
	if (!copy_err && n_copy == SALT_LEN + 10) {
		snprintf(crc, sizeof(crc), " %08x\n", util_crc32c(0, copy, SALT_LEN));
		summed = strcmp(copy + SALT_LEN, crc) == 0 && is_salt(copy, SALT_LEN);
	}
	bool good = !err && is_salt(salt, n);
	if (!summed && !good)
		return err == -ENOENT && copy_err == -ENOENT ? -ENOENT : -EBADMSG;
	memcpy(s->salt, summed ? copy : salt, SALT_LEN);
	s->salt[SALT_LEN] = '\0';
	*ret_same = summed && good && memcmp(salt, s->salt, SALT_LEN) == 0;
	return 0;
}

static int write_salt(struct store *s)
{
	_cleanup_free_ char *copy = util_format(
		"%s %08x\n", s->salt, util_crc32c(0, s->salt, SALT_LEN));
	int err = copy ? util_write_file(s->state, "salt", s->salt, SALT_LEN, true)
		       : -ENOMEM;

	return err ? err
		   : util_write_file(s->state, "salt.copy", copy, strlen(copy), true);
}

/* Without it, it is unknown which key queued jobs were meant for. */
static int load_salt(struct store *s)
{
	bool same = false;
	int err = read_salts(s, &same);

	if (same || (err && err != -EBADMSG && err != -ENOENT))
		return err;
	s->salt_lost = err == -EBADMSG;
	if (err)
		util_random_hex(s->salt, SALT_LEN / 2);
	return write_salt(s);
}

static int open_append_log(int dir, const char *name, int *ret)
{
	*ret = openat(dir, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		0600);
	return *ret < 0 ? -errno : 0;
}

/* The next appended line must not become part of one that was cut short. */
static int open_lines(int dir, const char *name, int *ret)
{
	int err = open_append_log(dir, name, ret);
	off_t end = err ? 0 : lseek(*ret, 0, SEEK_END);
	char last = '\n';

	if (end < 0 || (end > 0 && pread(*ret, &last, 1, end - 1) < 0))
		return util_read_error(errno);
	return last != '\n' ? util_write_all(*ret, "\n", 1) : err;
}

static int open_dir(int parent, const char *name, int *ret)
{
	*ret = util_mkdir_open(parent, name);
	return *ret < 0 ? *ret : 0;
}

static int open_ledger(int dir, const char *name, int *ret)
{
	*ret = ledger_open(dir);
	return *ret < 0 ? *ret : 0;
}

static int open_state_parts(
	struct store *s, const char *state_dir, const char *cache_dir, char **ret_why)
{
	const struct {
		int (*open)(int dir, const char *name, int *ret);
		const char *path;
		int dir;
		const char *name;
		int *fd;
	} parts[] = {
		{open_dir, state_dir, s->state, "jobs", &s->jobs},
		{open_dir, state_dir, s->state, "trash", &s->trash},
		{open_dir, cache_dir, s->cache, "results", &s->results},
		{open_lines, state_dir, s->state, "names", &s->names},
		{open_ledger, state_dir, s->state, "history", &s->history},
		{open_append_log, cache_dir, s->cache, "known", &s->known},
	};
	int err = load_salt(s);

	if (err)
		why(ret_why, "%s/salt: %s", state_dir, strerror(-err));
	for (size_t i = 0; i < ARRAY_SIZE(parts) && !err; i++) {
		err = parts[i].open(parts[i].dir, parts[i].name, parts[i].fd);
		if (err)
			why(ret_why, "%s/%s: %s", parts[i].path, parts[i].name,
				strerror(-err));
	}
	return err;
}

int store_open(const char *state_dir, const char *cache_dir, const char *holder,
	struct store **ret, char **ret_why)
{
	struct store *s = malloc(sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	*s = (struct store){.state = -1, .jobs = -1, .trash = -1, .cache = -1,
		.results = -1, .lock = -1, .names = -1, .history = -1, .known = -1};
	err = open_root(state_dir, "state_dir", &s->state, ret_why);
	if (!err)
		err = open_root(cache_dir, "cache_dir", &s->cache, ret_why);
	if (!err)
		err = state_lock_take(s->state, state_dir, holder, &s->lock, ret_why);
	if (!err)
		err = check_version(s, state_dir, ret_why);
	if (!err)
		err = open_state_parts(s, state_dir, cache_dir, ret_why);
	if (err) {
		if (!*ret_why)
			why(ret_why, "%s: %s", state_dir, strerror(-err));
		store_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	int *fds[] = {&s->state, &s->jobs, &s->trash, &s->cache, &s->results, &s->names,
		&s->history, &s->known};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		util_closep(fds[i]);
	state_lock_release(s->lock);
	free(s);
}

#define ENDS "ends"

bool store_wants_ends(const struct store *s)
{
	return !faccessat(s->state, ENDS, F_OK, AT_SYMLINK_NOFOLLOW);
}

void store_want_ends(struct store *s, bool wanted)
{
	int fd = -1;

	if (wanted == store_wants_ends(s))
		return;
	if (wanted)
		fd = openat(s->state, ENDS,
			O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	else
		DROP(unlinkat(s->state, ENDS, 0)); /* the next one says it again */
	util_closep(&fd);
}

void store_fingerprint(const struct store *s, const char *key, char ret[LID_SIZE])
{
	/* Not for secrecy against who can read the salt: a 64-bit digest of a random
	 * key of 39 characters gives nothing to search with. */
	uint64_t h = 0xcbf29ce484222325u;

	for (int round = 0; round < 2; round++) {
		for (const char *p = s->salt; *p; p++)
			h = (h ^ (unsigned char)*p) * 0x100000001b3u;
		for (const char *p = key; *p; p++)
			h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	}
	snprintf(ret, LID_SIZE, "%016llx", (unsigned long long)h);
}

/* ---- jobs ------------------------------------------------------------------- */

static bool lid_valid(const char *name)
{
	return strlen(name) == LID_SIZE - 1 && strspn(name, "0123456789abcdef") == 16;
}

int store_job_make(struct store *s, char ret_lid[LID_SIZE])
{
	char lid[LID_SIZE];

	util_random_hex(lid, 8);
	int fd = util_mkdir_open(s->jobs, lid);
	if (fd < 0)
		return fd;
	_cleanup_close_ int files = util_mkdir_open(fd, "files");
	if (files < 0 || util_sync_dir(s->jobs) < 0) {
		close(fd);
		util_remove_tree(s->jobs, lid);
		return files < 0 ? files : -EIO;
	}
	memcpy(ret_lid, lid, LID_SIZE);
	return fd;
}

int store_job_open(struct store *s, const char *lid)
{
	return util_dir_open(s->jobs, lid, false);
}

int store_journal_save(int jobdir, const struct record *r)
{
	size_t n;
	_cleanup_free_ char *text = record_dump(r, &n);

	return text ? util_write_file(jobdir, "journal", text, n, true) : -ENOMEM;
}

int store_journal_load(int jobdir, struct record *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	int err = util_read_file(jobdir, "journal", JOURNAL_MAX, &text, &n);

	return err ? err : record_parse(text, n, ret);
}

int store_walk(int parent, const char *name,
	int (*fn)(void *arg, const char *entry), void *arg)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int err = 0;

	if (!d) {
		err = -errno;
		util_closep(&fd);
		return err;
	}
	while (!err && (e = util_readdir(d, &err)))
		if (e->d_name[0] != '.')
			err = fn(arg, e->d_name);
	closedir(d);
	return err;
}

struct lid_walk {
	int (*fn)(void *arg, const char *lid);
	void *arg;
};

static int lid_entry(void *arg, const char *name)
{
	struct lid_walk *w = arg;

	return lid_valid(name) ? w->fn(w->arg, name) : 0;
}

int store_jobs(struct store *s, int (*fn)(void *arg, const char *lid), void *arg)
{
	struct lid_walk w = {fn, arg};

	return store_walk(s->state, "jobs", lid_entry, &w);
}

int store_job_remove(struct store *s, const char *lid, int trash_days, time_t now)
{
	char name[STORE_TRASH_NAME];

	store_trash_name(lid, trash_days > 0 ? now : 0, trash_days > 0 && !now, name);
	if (renameat(s->jobs, lid, s->trash, name) < 0)
		return -errno;
	test_point("trashed");
	int err = util_sync_dir(s->jobs);
	/* What a crash leaves of this (time 0) is removed at the next look. */
	return trash_days > 0 || err ? err : util_remove_tree(s->trash, name);
}

int store_part_remove(struct store *s, const char *lid, const char *dir, int number)
{
	_cleanup_close_ int at = util_dir_open(s->jobs, dir, true);
	_cleanup_close_ int parts = at < 0 ? at : util_mkdir_open(at, "parts");
	char name[STORE_TRASH_NAME];

	if (parts < 0)
		return parts;
	snprintf(name, sizeof(name), "%04d", number);
	int err = renameat(s->jobs, lid, parts, name) < 0 ? -errno : 0;
	if (err == -ENOTEMPTY || err == -EEXIST) {
		/* An earlier one had that number. */
		snprintf(name, sizeof(name), "%04d-%s", number, lid);
		err = renameat(s->jobs, lid, parts, name) < 0 ? -errno : 0;
	}
	test_point("part-trashed");
	if (!err)
		err = util_sync_dir(parts);
	if (!err)
		err = util_sync_dir(at);
	return err ? err : util_sync_dir(s->jobs);
}

int store_job_exists(struct store *s, const char *lid)
{
	if (faccessat(s->jobs, lid, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : util_read_error(errno);
}

int store_job_aside(struct store *s, const char *lid)
{
	_cleanup_close_ int aside = util_mkdir_open(s->state, "aside");

	if (aside < 0)
		return aside;
	return renameat(s->jobs, lid, aside, lid) < 0 ? -errno : 0;
}

/* ---- logs -------------------------------------------------------------------- */

int store_append(int fd, const char *line)
{
	_cleanup_free_ char *text = util_format("%s\n", line);

	/* One write with O_APPEND: lines of several threads do not mix. */
	test_point("log-append");
	return text ? util_write_all(fd, text, strlen(text)) : -ENOMEM;
}

/* "CRC ID NAME", the checksum of what follows it; older lines have none. */
enum { NAME_CRC = 8 };

int store_name_add(struct store *s, const char *id, const char *name)
{
	_cleanup_free_ char *text = util_format("%s %s", id, name);
	_cleanup_free_ char *line =
		text ? util_format("%08x %s", util_crc32c(0, text, strlen(text)), text)
		     : NULL;

	return line ? store_append(s->names, line) : -ENOMEM;
}

static bool can_be_name(const char *name)
{
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c < ' ' || *c == 0x7f || *c == '/')
			return false;
	return *name && *name != '.' && strlen(name) < 256;
}

/* Cuts line into its parts; false when it is not what was written. */
static bool name_line(char *line, size_t n, char **ret_id, char **ret_name)
{
	bool summed =
		strspn(line, "0123456789abcdef") == NAME_CRC && line[NAME_CRC] == ' ';
	char *id = summed ? line + NAME_CRC + 1 : line, *space = strchr(id, ' ');

	if (line[n - 1] != '\n' || strlen(line) != n || !space)
		return false;
	line[n - 1] = '\0';
	if (summed && strtoul(line, NULL, 16) != util_crc32c(0, id, strlen(id)))
		return false;
	*space = '\0';
	*ret_id = id;
	*ret_name = space + 1;
	return remote_id_valid(REMOTE_BATCH, id) && can_be_name(space + 1);
}

int store_names(struct store *s,
	void (*fn)(void *arg, const char *id, const char *name), void *arg)
{
	_cleanup_close_ int fd = dup(s->names);
	_cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	_cleanup_free_ char *line = NULL;
	char *id, *name;
	bool damaged = false;
	size_t size = 0;
	ssize_t n;

	if (!f)
		return -errno;
	fd = -1;
	rewind(f);
	errno = 0;
	while ((n = getline(&line, &size, f)) > 0) {
		if (name_line(line, (size_t)n, &id, &name))
			fn(arg, id, name);
		else
			damaged = true;
	}
	if (ferror(f))
		return util_read_error(errno);
	return damaged ? -EBADMSG : 0;
}
