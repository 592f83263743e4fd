/* How fast results come in and are read again, without a filesystem in between.
 *
 *     bench_results [DIR [MIB]]     1024 MiB into a directory below /tmp unless told
 *
 * A server of its own sends a file by sendfile. Medians of five rounds in which all
 * take turns:
 *
 *     cold     a reader goes through a file of which nothing is local, in reads of
 *              128 KiB, against `curl -o FILE` into the same directory
 *     fetch    the same without a reader
 *     again    a second pass by the same process, against pread of the file
 *     reopened a pass by a new object, which checks every block, against the same
 *
 * and the number of requests of a cold pass. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "provider/all/providers.h"
#include "results/results.h"
#include "base/util.h"

#define ROUNDS 5
#define READ ((size_t)128 << 10)

enum row { CURL, COLD, FETCH, PREAD, AGAIN, REOPENED, N_ROWS };

static double seconds[N_ROWS][ROUNDS];
static off_t size = (off_t)1 << 30;
static char dir[4096], url[128];
static int dir_fd, port;
static struct engine *engine;
static struct provider_conn api;
static char *buf;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- the server, a process of its own ------------------------------------ */

static int make_file(void)
{
	int fd = memfd_create("results", MFD_CLOEXEC);
	char *p;

	if (fd < 0 || ftruncate(fd, size) < 0)
		die("memfd");
	p = mmap(NULL, (size_t)size, PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	for (off_t i = 0; i < size; i++)
		p[i] = i % 500 == 499 ? '\n' : (char)('a' + i % 26);
	p[size - 1] = '\n';
	munmap(p, (size_t)size);
	return fd;
}

static bool answer(int conn, int file, const char *head)
{
	const char *p = strcasestr(head, "\r\nRange: bytes=");
	off_t lo = 0, hi = size;
	char *end, text[300];
	int n;

	if (p) {
		lo = strtoll(p + 15, &end, 10);
		if (end[1] >= '0' && end[1] <= '9')
			hi = strtoll(end + 1, NULL, 10) + 1;
	}
	n = snprintf(text, sizeof text,
		"HTTP/1.1 %d X\r\nContent-Length: %lld\r\n"
		"Content-Range: bytes %lld-%lld/%lld\r\n\r\n",
		p ? 206 : 200, (long long)(hi - lo), (long long)lo, (long long)hi - 1,
		(long long)size);
	if (send(conn, text, (size_t)n, MSG_NOSIGNAL | MSG_MORE) != n)
		return false;
	while (lo < hi)
		if (sendfile(conn, file, &lo, (size_t)(hi - lo)) <= 0)
			return false;
	return true;
}

static void *serve(void *arg)
{
	int conn = (int)((intptr_t)arg >> 32), file = (int)(intptr_t)arg;
	char head[8192];
	size_t n = 0;
	ssize_t k;

	while ((k = recv(conn, head + n, sizeof head - 1 - n, 0)) > 0) {
		n += (size_t)k;
		head[n] = 0;
		if (!strstr(head, "\r\n\r\n"))
			continue;
		if (!answer(conn, file, head))
			break;
		n = 0;
	}
	close(conn);
	return NULL;
}

static pid_t start_server(void)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sa;
	int listener = socket(AF_INET, SOCK_STREAM, 0), file, conn;
	pid_t pid;

	if (bind(listener, (struct sockaddr *)&sa, sizeof sa) < 0 ||
		listen(listener, 64) < 0 ||
		getsockname(listener, (struct sockaddr *)&sa, &len) < 0)
		die("listen");
	port = ntohs(sa.sin_port);
	pid = fork();
	if (pid)
		return pid;
	file = make_file();
	signal(SIGPIPE, SIG_IGN);
	while ((conn = accept(listener, NULL, NULL)) >= 0) {
		pthread_t t;

		pthread_create(&t, NULL, serve,
			(void *)((intptr_t)conn << 32 | (intptr_t)file));
		pthread_detach(t);
	}
	_exit(0);
}

/* ---- what is measured ---------------------------------------------------- */

static void wait_for(struct waiter_sync *s)
{
	int err = waiter_sync_wait(s);

	if (err < 0) {
		errno = -err;
		die("waiter");
	}
}

static void forget(void)
{
	unlinkat(dir_fd, "f", 0);
	unlinkat(dir_fd, "f.map", 0);
	unlinkat(dir_fd, "curl", 0);
}

static struct gb_results *open_it(void)
{
	struct results_config c = {
		.api = &api, .dirfd = dir_fd, .name = "f", .file = "files/batch-x"};
	struct gb_results *r;

	if (results_new(&c, &r) < 0)
		die("results_new");
	results_reader(r, 1);
	return r;
}

static void close_it(struct gb_results *r)
{
	results_reader(r, -1);
	results_unref(r);
}

static void go_through(struct gb_results *r)
{
	uint64_t off = 0;

	for (;;) {
		struct waiter_sync s;

		waiter_sync_init(&s);
		ssize_t got = results_ready(r, off, READ, &s.w);
		if (got == -EINPROGRESS) {
			wait_for(&s);
			continue;
		}
		if (got <= 0)
			break;
		if (pread(results_fd(r), buf, (size_t)got, (off_t)off) != got)
			die("pread");
		off += (uint64_t)got;
	}
	if (off != (uint64_t)size)
		die("size");
}

static void fetch(struct gb_results *r)
{
	struct waiter_sync s;

	waiter_sync_init(&s);
	if (results_fetch(r, &s.w) == -EINPROGRESS)
		wait_for(&s);
}

static void run_curl(void)
{
	char cmd[4096 + 400];

	snprintf(cmd, sizeof cmd, "curl -s -o %s/curl %s", dir, url);
	if (system(cmd) != 0)
		die("curl");
}

static void run_pread(void)
{
	int fd = openat(dir_fd, "f", O_RDONLY | O_CLOEXEC);

	while (read(fd, buf, READ) > 0)
		;
	close(fd);
}

static double since(double *t)
{
	double now = util_now(), dt = now - *t;

	*t = now;
	return dt;
}

static void round_of(unsigned i)
{
	struct gb_results *r;
	double t;

	forget();
	t = util_now();
	run_curl();
	seconds[CURL][i] = since(&t);
	forget();
	t = util_now();
	r = open_it();
	fetch(r);
	seconds[FETCH][i] = since(&t);
	close_it(r);
	forget();
	t = util_now();
	r = open_it();
	go_through(r);
	seconds[COLD][i] = since(&t);
	go_through(r);
	seconds[AGAIN][i] = since(&t);
	close_it(r);
	t = util_now();
	run_pread();
	seconds[PREAD][i] = since(&t);
	r = open_it();
	go_through(r);
	seconds[REOPENED][i] = since(&t);
	close_it(r);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(enum row row)
{
	qsort(seconds[row], ROUNDS, sizeof **seconds, compare);
	return seconds[row][ROUNDS / 2];
}

static void show(const char *name, enum row row, double reference)
{
	double s = median(row);

	printf("%-10s %7.3f s %8.0f MiB/s %8.2f\n", name, s, (double)size / s / (1 << 20),
		s / reference);
}

int main(int argc, char **argv)
{
	struct engine_options o = {.base = url,
		.key = "k",
		.key_header = "x-goog-api-key",
		.user_agent = "bench/1"};
	char *why = NULL, base[64];
	double curl, file;
	uint64_t calls;
	pid_t server;

	snprintf(dir, sizeof dir, "%s/bench-results-XXXXXX", argc > 1 ? argv[1] : "/tmp");
	if (argc > 2)
		size = (off_t)atoll(argv[2]) << 20;
	server = start_server();
	dir_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	buf = malloc(READ);
	snprintf(base, sizeof base, "http://127.0.0.1:%d", port);
	snprintf(url, sizeof url, "%s/x", base);
	o.base = base;
	if (dir_fd < 0 || !buf || engine_new(&o, &engine, &why) < 0 ||
		engine_start(engine) < 0)
		die("start");
	run_curl(); /* the server has its file */
	api = (struct provider_conn){provider_default(), engine, NULL};
	calls = engine_calls(engine);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(i);
	calls = engine_calls(engine) - calls;
	curl = median(CURL);
	file = median(PREAD);
	show("curl -o", CURL, curl);
	show("cold", COLD, curl);
	show("fetch", FETCH, curl);
	show("pread", PREAD, file);
	show("again", AGAIN, file);
	show("reopened", REOPENED, file);
	printf("requests of %d cold passes and %d fetches: %llu\n", ROUNDS, ROUNDS,
		(unsigned long long)calls);
	engine_stop(engine);
	engine_free(engine);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	util_remove_tree(AT_FDCWD, dir);
	free(buf);
	return 0;
}
