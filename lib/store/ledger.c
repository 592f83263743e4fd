#include "store/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "history"

enum {
	FIELDS = 12,
	OLD_FIELDS = 8,   /* the last: all tokens */
	OLDEST_FIELDS = 7 /* up to the number of requests */
};

static unsigned fields_in(const char *line)
{
	unsigned n = 1;

	for (const char *p = line; (p = strchr(p, '\t')); p++)
		n++;
	return n;
}

/* What a crash cut short has fewer fields; more, or bytes that are no text, are not
 * ours to change. */
static bool is_short(const char *line, size_t n)
{
	return strlen(line) == n && fields_in(line) < FIELDS;
}

/* As many fields as there are headings. The total is the last, as it was; in and out
 * were not told apart. */
static int fill_line(FILE *to, const char *line)
{
	unsigned n = fields_in(line);
	const char *total = "-", *end = line + strlen(line);

	if (n == OLD_FIELDS) {
		total = strrchr(line, '\t') + 1;
		end = total - 1;
		n = OLDEST_FIELDS;
	}
	int ok = fprintf(to, "%.*s", (int)(end - line), line);
	for (; ok >= 0 && n < FIELDS - 1; n++)
		ok = fputs("\t-", to);
	if (ok >= 0 && n < FIELDS)
		ok = fprintf(to, "\t%s", total);
	return ok < 0 || fputc('\n', to) < 0 ? -EIO : 0;
}

/* fn for each line, without its newline; stops at what is not 0. */
static int each_line(int fd, int (*fn)(FILE *to, const char *line, size_t n), FILE *to)
{
	int copy = util_dup(fd), err = copy < 0 ? copy : 0;
	_cleanup_fclose_ FILE *f = err ? NULL : fdopen(copy, "r");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (!f) {
		util_closep(&copy);
		return err ? err : -ENOMEM;
	}
	rewind(f);
	errno = 0;
	while (!err && (n = getline(&line, &size, f)) > 0) {
		if (line[n - 1] == '\n')
			line[--n] = '\0';
		err = fn(to, line, (size_t)n);
	}
	if (ferror(f))
		return util_read_error(errno);
	return err;
}

static int find_short(FILE *to, const char *line, size_t n)
{
	return is_short(line, n);
}

static int copy_line(FILE *to, const char *line, size_t n)
{
	static const char head[] = LEDGER_HEAD;

	if (strncmp(line, head, strlen(head) - 1) == 0)
		return 0;
	if (is_short(line, n))
		return fill_line(to, line);
	return fwrite(line, 1, n, to) < n || fputc('\n', to) < 0 ? -EIO : 0;
}

/* 1: the file is as it should be. */
static int is_in_form(int fd)
{
	char first[sizeof(LEDGER_HEAD)];
	ssize_t n = util_pread_max(fd, first, 5);

	if (n < 0)
		return (int)n;
	if (n < 5 || memcmp(first, "time\t", 5) != 0)
		return 0;
	int found = each_line(fd, find_short, NULL);
	return found < 0 ? found : !found;
}

/* A file beside it, then in its place: a crash leaves one or the other. */
static int bring_into_form(int dir, int fd)
{
	static const char tmp[] = UTIL_TMP_PREFIX NAME;
	int out = openat(
		dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *to = out < 0 ? NULL : fdopen(out, "w");
	int err = to ? 0 : -errno;

	if (!to) {
		util_closep(&out);
		return err;
	}
	if (fputs(LEDGER_HEAD, to) < 0)
		err = -EIO;
	if (!err)
		err = each_line(fd, copy_line, to);
	if (!err && (fflush(to) != 0 || fsync(fileno(to)) < 0))
		err = -errno;
	if (fclose(to) != 0 && !err)
		err = -EIO;
	if (!err && renameat(dir, tmp, dir, NAME) < 0)
		err = -errno;
	if (err)
		unlinkat(dir, tmp, 0);
	return err ? err : util_sync_dir(dir);
}

static int open_it(int dir)
{
	int fd = openat(
		dir, NAME, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

/* The next appended line must not become part of one that was cut short. */
static int ledger_end_line(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (end < 0 || (end > 0 && pread(fd, &last, 1, end - 1) < 0))
		return util_read_error(errno);
	return last != '\n' ? util_write_all(fd, "\n", 1) : 0;
}

int ledger_open(int dir)
{
	_cleanup_close_ int fd = open_it(dir);
	int good = fd < 0 ? fd : is_in_form(fd);

	if (good < 0)
		return good;
	if (!good && bring_into_form(dir, fd) == 0) {
		util_closep(&fd);
		fd = open_it(dir);
		if (fd < 0)
			return fd;
	}
	int err = ledger_end_line(fd);
	return err ? err : steal_fd(&fd);
}

static void put_ledger_number(FILE *f, int64_t n)
{
	if (n < 0)
		fputs("-\t", f);
	else
		fprintf(f, "%" PRId64 "\t", n);
}

char *ledger_fields(const struct ledger_tokens *t)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	put_ledger_number(f, t->in);
	put_ledger_number(f, t->out);
	put_ledger_number(f, t->cached);
	fprintf(f, "%s\t", t->cost);
	if (t->total < 0)
		fputs("-", f);
	else
		fprintf(f, "%" PRId64, t->total);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
