#include "base/util.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

double util_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* pthread_cond_clockwait would do without, but not every libc has it. */
int util_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err)
		return -err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -err;
}

/* Condition variables support CLOCK_MONOTONIC only, which stops while the machine
 * sleeps. So the wait is split into pieces, and a time that passed meanwhile is noticed
 * soon after. */
int util_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, double until)
{
	double left = until - util_now();
	struct timespec ts;

	if (left <= 0)
		return -ETIMEDOUT;
	if (left > UTIL_LONGEST_SLEEP)
		left = UTIL_LONGEST_SLEEP;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	left += (double)ts.tv_nsec * 1e-9;
	ts.tv_sec += (time_t)left;
	ts.tv_nsec = (long)((left - (double)(time_t)left) * 1e9);
	pthread_cond_timedwait(cond, lock, &ts);
	return 0;
}

static char boot_name[96];

static void name_boot(void)
{
	char ns[32] = "", id[40] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, id, 36) == 36 &&
		readlink("/proc/self/ns/time", ns, sizeof(ns) - 1) >= 0)
		snprintf(boot_name, sizeof(boot_name), "%s %s", id, ns);
	else
		util_random_hex(boot_name, 16);
	util_closep(&fd);
}

const char *util_boot(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, name_boot);
	return boot_name;
}

char *util_format(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

/* Nothing can be done safely without random numbers, and the kernel has them
 * from boot on, so a failure here is the end. */
static void random_bytes(void *buf, size_t n)
{
	char *p = buf;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno != EINTR)
			abort();
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}

void util_random_hex(char *ret, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char *bytes = (unsigned char *)ret + n;

	/* The bytes sit in the upper half and are spread from the front: digit 2i+1 is
	 * never past byte i, which has been read by then. */
	random_bytes(bytes, n);
	for (size_t i = 0; i < n; i++) {
		unsigned char b = bytes[i];

		ret[2 * i] = digits[b >> 4];
		ret[2 * i + 1] = digits[b & 15];
	}
	ret[2 * n] = '\0';
}

uint64_t util_random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof v);
	return v;
}

/* A fifo must not hang us, hence O_NONBLOCK. */
int util_open_regular(int dirfd, const char *name, struct stat *ret_st)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return util_read_error(errno);
	if (!S_ISREG(ret_st->st_mode))
		return -EINVAL;
	return steal_fd(&fd);
}

int util_read_error(int system_errno)
{
	return system_errno == EBADMSG ? -EIO : -system_errno;
}

enum read_result util_reading(int err)
{
	switch (err) {
	case 0:
		return READ_WHOLE;
	case -ENOENT:
		return READ_ABSENT;
	case -EBADMSG: /* checksum, syntax */
	case -EPROTO:  /* of another version */
	case -EFBIG:   /* larger than we write it */
	case -EINVAL:  /* these: a directory, a link, a fifo in its place */
	case -EISDIR:
	case -ENOTDIR:
	case -ELOOP:
	case -ENXIO:
		return READ_DAMAGED;
	default:
		return READ_FAILED;
	}
}

/* Read until the end or n bytes: a count or negative errno. */
static ssize_t read_up_to(int fd, char *buf, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(fd, buf + have, n - have);

		if (got == 0)
			break;
		if (got > 0)
			have += (size_t)got;
		else if (errno != EINTR)
			return util_read_error(errno);
	}
	return (ssize_t)have;
}

int util_read_file(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *buf = NULL;
	struct stat st;
	ssize_t n;

	fd = util_open_regular(dirfd, name, &st);
	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 2);
	if (!buf)
		return -ENOMEM;
	/* One byte more than stat said shows a file that is growing. */
	n = read_up_to(fd, buf, (size_t)st.st_size + 1);
	if (n < 0)
		return (int)n;
	if (n > st.st_size)
		return -EAGAIN;
	buf[n] = '\0';
	*ret = STEAL_PTR(buf);
	if (ret_len)
		*ret_len = (size_t)n;
	return 0;
}

static int write_temp(int dirfd, const char *tmp, const void *buf, size_t n, bool sync)
{
	_cleanup_close_ int fd =
		openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = util_write_all(fd, buf, n);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	/* close reports lost writes on network filesystems. */
	if (close(steal_fd(&fd)) < 0 && r == 0 && errno != EINTR)
		r = -errno;
	return r;
}

int util_write_begin(int dirfd, const void *buf, size_t n, bool sync, char *ret_tmp)
{
	char tmp[UTIL_TMP_NAME_MAX];
	int r;

	memcpy(tmp, UTIL_TMP_PREFIX, sizeof UTIL_TMP_PREFIX);
	util_random_hex(tmp + sizeof UTIL_TMP_PREFIX - 1, 8);
	r = write_temp(dirfd, tmp, buf, n, sync);
	if (r < 0 && r != -EEXIST)
		unlinkat(dirfd, tmp, 0);
	if (r == 0)
		memcpy(ret_tmp, tmp, sizeof tmp);
	return r;
}

int util_write_end(int dirfd, const char *tmp, const char *name, bool sync)
{
	int r = strchr(name, '/') ? -EINVAL : 0;

	if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, tmp, 0);
		return r;
	}
	return sync ? util_sync_dir(dirfd) : 0;
}

int util_write_file(int dirfd, const char *name, const void *buf, size_t n, bool sync)
{
	char tmp[UTIL_TMP_NAME_MAX];
	int r = strchr(name, '/') ? -EINVAL
				  : util_write_begin(dirfd, buf, n, sync, tmp);

	return r ? r : util_write_end(dirfd, tmp, name, sync);
}

int util_write_all(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n > 0) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

ssize_t util_pread_at(int fd, void *buf, size_t max, off_t off)
{
	size_t n = 0;

	while (n < max) {
		ssize_t r = pread(fd, (char *)buf + n, max - n, off + (off_t)n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return util_read_error(errno);
		if (r == 0)
			break;
		n += (size_t)r;
	}
	return (ssize_t)n;
}

ssize_t util_pread_max(int fd, void *buf, size_t max)
{
	return util_pread_at(fd, buf, max, 0);
}

/* What is left to fill after n bytes of it: how many buffers, the first of them at *v. */
static int vector_left(struct iovec **v, int many, size_t n)
{
	while (many && n >= (*v)->iov_len) {
		n -= (*v)++->iov_len;
		many--;
	}
	if (many) {
		(*v)->iov_base = (char *)(*v)->iov_base + n;
		(*v)->iov_len -= n;
	}
	return many;
}

int util_preadv_all(int fd, struct iovec *v, int n, off_t off)
{
	while ((n = vector_left(&v, n, 0)) > 0) {
		ssize_t r = preadv(fd, v, n, off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? util_read_error(errno) : -EIO;
		off += r;
		n = vector_left(&v, n, (size_t)r);
	}
	return 0;
}

int util_pwrite_all(int fd, const void *buf, size_t n, off_t off)
{
	const char *p = buf;

	while (n > 0) {
		ssize_t put = pwrite(fd, p, n < UTIL_WRITE_PIECE ? n : UTIL_WRITE_PIECE, off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		p += put;
		off += put;
		n -= (size_t)put;
	}
	return 0;
}

int util_mkdir_open(int dirfd, const char *name)
{
	int fd;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

struct dirent *util_readdir(DIR *d, int *ret_err)
{
	errno = 0;
	struct dirent *e = readdir(d);

	if (!e && errno)
		*ret_err = util_read_error(errno);
	return e;
}

int util_dir_open(int dirfd, const char *name, bool make)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && make)
		return util_mkdir_open(dirfd, name);
	return fd < 0 ? -errno : fd;
}

int util_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

int util_mkpath_open(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	int fd, refused = 0;

	if (!copy)
		return -ENOMEM;
	/* Parents that exist may refuse mkdir in many ways (EROFS, EACCES); only
	 * whether the end can be opened counts. If not, the first refusal says why. */
	for (char *p = copy + (*copy == '/'); *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		int err = mkdir(copy, 0700) < 0 ? errno : 0;
		if (err && !refused && access(copy, F_OK) < 0)
			refused = err;
		*p = '/';
	}
	if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
		int err = refused ? refused : errno;

		fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? -err : fd;
	}
	fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int util_sync_dir(int dirfd)
{
	return fsync(dirfd) < 0 ? -errno : 0;
}

static int empty_directory(int fd_take)
{
	DIR *dir = fdopendir(fd_take);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd_take);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = util_remove_tree(dirfd(dir), e->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	closedir(dir);
	return r;
}

int util_remove_tree(int dirfd, const char *name)
{
	int fd, r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	r = -errno;
	/* readdir may skip names while others are being removed: repeat. */
	for (int round = 0; round < 8; round++) {
		fd = openat(
			dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return errno == ENOENT ? 0 : errno == ENOTDIR ? r : -errno;
		r = empty_directory(fd);
		if (r < 0)
			return r;
		if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		r = -errno;
		if (r != -ENOTEMPTY && r != -EEXIST)
			return r;
	}
	return r;
}

/* Exactly n decimal digits. */
static bool parse_digits(const char **p, int n, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if ((*p)[i] < '0' || (*p)[i] > '9')
			return false;
		v = v * 10 + ((*p)[i] - '0');
	}
	*p += n;
	*ret = v;
	return true;
}

static bool parse_char(const char **p, const char *set)
{
	if (!**p || !strchr(set, **p))
		return false;
	(*p)++;
	return true;
}

/* ".123…": digits after the ninth are ignored. */
static bool parse_fraction(const char **p, long *ret_ns)
{
	long ns = 0, unit = 100000000;

	if (**p != '.') {
		*ret_ns = 0;
		return true;
	}
	(*p)++;
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++, unit /= 10)
		ns += (**p - '0') * unit;
	*ret_ns = ns;
	return true;
}

/* "Z" or "+hh:mm" up to the end of the text. */
static bool parse_zone(const char **p, long *ret_seconds)
{
	int sign = **p == '-' ? -1 : 1, h = 0, m = 0;

	if (!parse_char(p, "Zz")) {
		if (!parse_char(p, "+-") || !parse_digits(p, 2, &h) ||
			!parse_char(p, ":") || !parse_digits(p, 2, &m))
			return false;
		if (h > 23 || m > 59)
			return false;
	}
	*ret_seconds = sign * (h * 3600L + m * 60L);
	return **p == '\0';
}

static bool parse_date_time(const char **p, struct tm *tm)
{
	return parse_digits(p, 4, &tm->tm_year) && parse_char(p, "-") &&
	       parse_digits(p, 2, &tm->tm_mon) && parse_char(p, "-") &&
	       parse_digits(p, 2, &tm->tm_mday) && parse_char(p, "Tt") &&
	       parse_digits(p, 2, &tm->tm_hour) && parse_char(p, ":") &&
	       parse_digits(p, 2, &tm->tm_min) && parse_char(p, ":") &&
	       parse_digits(p, 2, &tm->tm_sec);
}

static int days_of_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

bool util_parse_time(const char *text, struct timespec *ret)
{
	struct tm tm = {0};
	const char *p = text;
	long ns, zone;

	if (!text || !parse_date_time(&p, &tm))
		return false;
	if (!parse_fraction(&p, &ns) || !parse_zone(&p, &zone))
		return false;
	if (tm.tm_year < 1 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
		tm.tm_mday > days_of_month(tm.tm_year, tm.tm_mon))
		return false;
	/* 60 is a leap second, counted as the first of the next minute. */
	if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	ret->tv_sec = timegm(&tm) - zone;
	ret->tv_nsec = ns;
	return true;
}

static bool id_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

bool util_id_valid(const char *id, const char *prefix)
{
	size_t n = strlen(prefix);

	if (!id || strncmp(id, prefix, n) != 0)
		return false;
	id += n;
	if (*id == '.')
		return false;
	for (n = 0; id_char(id[n]); n++)
		if (n >= 128)
			return false;
	return n > 0 && id[n] == '\0';
}

void util_time_text(time_t t, char ret[32])
{
	struct tm tm;

	strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}
