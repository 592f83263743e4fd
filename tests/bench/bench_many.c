/* Many jobs of one's own, which would take hours to make one by one.
 *
 *     bench_many copy JOB N [PREFIX]   N copies of the job's directory (STATE/jobs/…) beside
 *                                      it, named PREFIX1 …; each gets an id of a line of
 *                                      stdin, without one it is a draft as JOB is
 *     bench_many write KIB FILE...     all files open at once, KIB written to each in turn by
 *                                      64 KiB; says "open" and waits for a line of stdin
 *                                      before it closes them
 *
 * Files of a job but its journal are hard links, or copies where there can be no more. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "store/journal.h"

static char *read_file(int dir, const char *name, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", name);
	char *text = malloc((size_t)st.st_size + 1);
	if (!text || util_pread_at(fd, text, (size_t)st.st_size, 0) != st.st_size)
		err(1, "%s", name);
	*ret_len = (size_t)st.st_size;
	return text;
}

static void write_file(int dir, const char *name, const char *text, size_t len)
{
	_cleanup_close_ int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || util_write_all(fd, text, len) < 0)
		err(1, "%s", name);
}

static void link_file(int from, int to, const char *name)
{
	size_t len;

	if (linkat(from, name, to, name, 0) == 0)
		return;
	if (errno != EMLINK)
		err(1, "%s", name);
	char *text = read_file(from, name, &len);
	write_file(to, name, text, len);
	free(text);
}

/* Below FROM, to TO; the journal is written apart. */
static void link_tree(int from, int to)
{
	DIR *dir = fdopendir(util_dup(from));
	struct dirent *e;

	if (!dir)
		err(1, "a job's directory");
	rewinddir(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || strcmp(e->d_name, "journal") == 0)
			continue;
		if (e->d_type != DT_DIR) {
			link_file(from, to, e->d_name);
			continue;
		}
		_cleanup_close_ int below = openat(from, e->d_name, O_RDONLY | O_CLOEXEC);
		_cleanup_close_ int made = util_mkdir_open(to, e->d_name);
		if (below < 0 || made < 0)
			err(1, "%s", e->d_name);
		link_tree(below, made);
	}
	closedir(dir);
}

/* The journal of one more job, named so, with the id of the next line. */
static void copy_journal(struct record *r, int to, const char *name)
{
	char id[256];
	size_t len;

	if (counted_set(&r->name, name) || counted_set(&r->display, name))
		errx(1, "no memory");
	if (r->batch->id) {
		if (!fgets(id, sizeof id, stdin))
			errx(1, "not enough ids");
		id[strcspn(id, "\n")] = '\0';
		if (counted_set(&r->batch->id, id))
			errx(1, "no memory");
	}
	char *text = record_dump(r, &len);
	if (!text)
		errx(1, "no memory");
	write_file(to, "journal", text, len);
	free(text);
}

static int copy(const char *job, unsigned n, const char *prefix)
{
	_cleanup_close_ int from = open(job, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int jobs =
		from < 0 ? -1 : openat(from, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct record r;
	size_t len;

	if (jobs < 0)
		err(1, "%s", job);
	char *text = read_file(from, "journal", &len);
	if (record_parse(text, len, &r) < 0)
		errx(1, "%s: no journal", job);
	free(text);
	for (unsigned i = 1; i <= n; i++) {
		char lid[17] = "", name[128];

		util_random_hex(lid, 8);
		snprintf(name, sizeof name, "%s%u", prefix, i);
		_cleanup_close_ int to = util_mkdir_open(jobs, lid);
		if (to < 0)
			errx(1, "%s: %s", lid, strerror(-to));
		link_tree(from, to);
		copy_journal(&r, to, name);
	}
	record_clear(&r);
	return 0;
}

enum { PIECE = 64 << 10 };

static int write_all_files(size_t kib, char **names, int n)
{
	static char line[PIECE];
	struct rlimit many = {(rlim_t)n + 64, (rlim_t)n + 64};
	int *fds = calloc((size_t)n, sizeof *fds);

	setrlimit(RLIMIT_NOFILE, &many);
	memset(line, ' ', sizeof line);
	line[sizeof line - 1] = '\n';
	for (int i = 0; fds && i < n; i++)
		if ((fds[i] = open(names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0)
			err(1, "%s", names[i]);
	for (size_t at = 0; fds && at < kib << 10; at += PIECE)
		for (int i = 0; i < n; i++)
			if (util_write_all(fds[i], line, PIECE) < 0)
				err(1, "%s", names[i]);
	puts("open");
	fflush(stdout);
	getchar();
	for (int i = 0; fds && i < n; i++)
		if (close(fds[i]) < 0)
			err(1, "%s", names[i]);
	free(fds);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "copy") == 0)
		return copy(argv[2], (unsigned)strtoul(argv[3], NULL, 10),
			argc > 4 ? argv[4] : "copy");
	if (argc >= 4 && strcmp(argv[1], "write") == 0)
		return write_all_files(strtoul(argv[2], NULL, 10), argv + 3, argc - 3);
	errx(2, "usage: bench_many copy JOB N [PREFIX] | write KIB FILE...");
}
