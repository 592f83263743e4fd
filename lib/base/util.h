/*
 * Small helpers: files and directories, times, ids, formats, cleanup attributes. With
 * the other headers of this room it is what any C program could use: nothing here
 * knows the API, jobs or the client.
 *
 * No state, any thread. What can fail returns a negative errno.
 */
#ifndef GB_UTIL_H
#define GB_UTIL_H

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

static inline void util_freep(void *p)
{
	free(*(void **)p);
}

static inline void util_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void util_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_ __attribute__((cleanup(util_freep)))
#define _cleanup_close_ __attribute__((cleanup(util_closep)))
#define _cleanup_fclose_ __attribute__((cleanup(util_fclosep)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

/* For functions whose error must not be ignored: the compiler checks it. Where ignoring
 * it is right, use DROP, and a comment that says why. */
#define _must_check_ __attribute__((warn_unused_result))
#define DROP(call) ((void)!(call))

/* Return a pointer or descriptor and disarm its cleanup. */
#define STEAL_PTR(p)                                                                   \
	({                                                                             \
		__typeof__(p) stolen_ = (p);                                           \
		(p) = NULL;                                                            \
		stolen_;                                                               \
	})

/* What makes a noun plural: "%d job%s". */
static inline const char *util_s(int64_t n)
{
	return n == 1 ? "" : "s";
}

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

/* The clock for all durations: seconds on CLOCK_BOOTTIME, which nobody sets and which
 * continues while the machine sleeps. */
double util_now(void);

/* Wait for cond until that time: 0 whenever it may have been signalled (look again, and
 * wait again), -ETIMEDOUT when the time is over already. After the machine was
 * suspended, the end is noticed at most UTIL_LONGEST_SLEEP seconds late. cond is from
 * util_cond_init. */
#define UTIL_LONGEST_SLEEP 30
int util_cond_init(pthread_cond_t *cond);
int util_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, double until);

/* An id of the boot (and time namespace) whose seconds util_now() counts; if that is
 * unknown, an id of this process. */
const char *util_boot(void);

/* asprintf that returns NULL when memory is out; the caller frees. */
char *util_format(const char *fmt, ...) _printf_(1, 2);

/* n random bytes from the kernel as 2*n lower-case hex digits and a NUL. */
void util_random_hex(char *ret, size_t n);
uint64_t util_random_u64(void);

/* CRC-32C (Castagnoli) of buf, continuing from crc (0 at the start). */
uint32_t util_crc32c(uint32_t crc, const void *buf, size_t n);

/* All of a regular file of at most max bytes, NUL-terminated, opened with O_NOFOLLOW
 * below dirfd. The caller frees; ret_len may be NULL. -EFBIG if larger, -EINVAL if it
 * is not a regular file, -EAGAIN if it grew meanwhile. */
_must_check_ int util_read_file(
	int dirfd, const char *name, size_t max, char **ret, size_t *ret_len);

/* What the result of reading one of our files means, from 0 or a negative errno. A file
 * is damaged only if it was read and differs from what was written (checksum, syntax,
 * size), or is not a file. Any other failure (descriptors, memory, permissions, the
 * disk) says nothing about the content: nothing may be moved, replaced, forgotten or
 * made again because of it. The kernel's own EBADMSG, a filesystem checksum, is
 * returned as -EIO by the functions that read here. */
enum read_result { READ_WHOLE, READ_ABSENT, READ_DAMAGED, READ_FAILED };
enum read_result util_reading(int err);
/* errno of a system call that reads, translated for util_reading. Negative. */
int util_read_error(int system_errno);

/* Publish a file atomically (name is one component, mode 0600): temporary name, write,
 * fsync, rename, fsync of the directory. With sync false both fsyncs are left out (for
 * files that can be made again). 0 or negative errno; on failure the old file remains,
 * unless only the last fsync failed. What a crash leaves behind begins with
 * UTIL_TMP_PREFIX and may be removed. */
#define UTIL_TMP_PREFIX ".tmp-"
#define UTIL_TMP_NAME_MAX (sizeof UTIL_TMP_PREFIX + 16)
_must_check_ int util_write_file(
	int dirfd, const char *name, const void *buf, size_t n, bool sync);
/* The same in two parts: everything that needs disk space, under a temporary name
 * returned in ret_tmp (UTIL_TMP_NAME_MAX); and the rename. If the second part is not
 * called, unlink ret_tmp. */
_must_check_ int util_write_begin(
	int dirfd, const void *buf, size_t n, bool sync, char *ret_tmp);
_must_check_ int util_write_end(
	int dirfd, const char *tmp, const char *name, bool sync);

/* write(2) and pwrite(2) until everything is written. 0 or negative errno.
 *
 * pwrite is given pieces: the kernel makes pages of the page cache as large as a write
 * is, and large ones are cut from the large free blocks that the host of a virtual
 * machine takes back, so each has to be fetched from the host first. That made a write
 * of half a GiB three times as long; pieces cost a few percent where there is no host. */
#define UTIL_WRITE_PIECE ((size_t)128 << 10)
_must_check_ int util_write_all(int fd, const void *buf, size_t n);
_must_check_ int util_pwrite_all(int fd, const void *buf, size_t n, off_t off);

/* Read the first bytes of fd, at most max, with pread. Returns how many, or a negative
 * errno. */
ssize_t util_pread_max(int fd, void *buf, size_t max);
/* The same from off on. */
ssize_t util_pread_at(int fd, void *buf, size_t max, off_t off);
/* Fill n buffers (at most IOV_MAX), one after the other, from off on; v is used up. 0, -EIO
 * if the file ends before, or another negative errno. */
_must_check_ int util_preadv_all(int fd, struct iovec *v, int n, off_t off);

/* Open (and make, mode 0700) directory name below dirfd; never through a link.
 * A descriptor or negative errno. */
int util_mkdir_open(int dirfd, const char *name);
/* The same for a directory that usually exists; make: make it if it does not. */
int util_dir_open(int dirfd, const char *name, bool make);
/* A regular file below dirfd, to be read; never through a link. A descriptor or negative
 * errno, -EINVAL: it is no regular file. */
int util_open_regular(int dirfd, const char *name, struct stat *ret);

/* Duplicate a descriptor, close-on-exec, or negative errno. */
int util_dup(int fd);

/* mkdir -p of an absolute or relative path with mode 0700, then open it. */
int util_mkpath_open(const char *path);

/* The next entry; NULL at the end, and after an error, which is in *ret_err then. */
struct dirent *util_readdir(DIR *d, int *ret_err);

/* fsync of a directory descriptor. */
_must_check_ int util_sync_dir(int dirfd);

/* Remove name below dirfd, directories with all their contents. 0 also if it did not
 * exist. Does not follow links. */
int util_remove_tree(int dirfd, const char *name);

/* RFC 3339 ("2026-01-02T03:04:05.123456789Z", any number of fraction digits, Z or an
 * offset) to time. false if it is not a time. */
bool util_parse_time(const char *text, struct timespec *ret);

/* Length of the longest prefix of text (n bytes) that is at most max bytes and
 * ends at a character boundary. */
size_t util_utf8_cut(const char *text, size_t n, size_t max);

/* Whether n bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool util_utf8_valid(const void *buf, size_t n);

/* An id of an API (provider/ids.h): prefix, then 1 to 128 characters of [A-Za-z0-9_.-],
 * the first not '.'. Only ids that pass become part of a URL or a file name. */
bool util_id_valid(const char *id, const char *prefix);

/* As 2026-01-31T23:59:59Z. */
void util_time_text(time_t t, char ret[32]);

#endif
