/* A line with delay and rate between a client and a server, for kernels without netem.
 *
 *     bench_line LISTEN_PORT SERVER_PORT DELAY_MS MBIT_S
 *
 * TCP on 127.0.0.1 is passed on byte by byte: what comes in leaves half of DELAY_MS
 * later, in each direction, and all connections together no faster than the rate in a
 * direction. A queue holds what is on its way and a bandwidth-delay product more, so a
 * sender is slowed as by a router's buffer; opening a connection costs a round trip,
 * as the first bytes come late. What it does not model: loss, and TCP's slow start. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)16 << 10)

static double delay, rate; /* seconds one way; bytes a second */
static int server_port;
static size_t queue_max;

/* When the line is free again, for each direction. */
static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;
static double line_free[2];

struct piece {
	struct piece *next;
	double due;
	size_t n;
	char bytes[PIECE];
};

struct way {
	int from, to, direction;
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct piece *first, **last; /* lock, as all below */
	size_t queued;
	bool ended, broken;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_until(double due)
{
	struct timespec t = {.tv_sec = (time_t)due,
		.tv_nsec = (long)((due - (double)(time_t)due) * 1e9)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* When n bytes that come now are at the other end. */
static double arrival(int direction, size_t n)
{
	double t = now();

	pthread_mutex_lock(&line_lock);
	if (line_free[direction] > t)
		t = line_free[direction];
	t += (double)n / rate;
	line_free[direction] = t;
	pthread_mutex_unlock(&line_lock);
	return t + delay;
}

static void put(struct way *w, struct piece *p)
{
	pthread_mutex_lock(&w->lock);
	while (w->queued > queue_max && !w->broken)
		pthread_cond_wait(&w->change, &w->lock);
	p->due = arrival(w->direction, p->n);
	*w->last = p;
	w->last = &p->next;
	w->queued += p->n;
	pthread_cond_broadcast(&w->change);
	pthread_mutex_unlock(&w->lock);
}

static void *receive(void *arg)
{
	struct way *w = arg;

	for (;;) {
		struct piece *p = malloc(sizeof *p);
		ssize_t n = p ? recv(w->from, p->bytes, PIECE, 0) : -1;

		if (n <= 0) {
			free(p);
			break;
		}
		p->n = (size_t)n;
		p->next = NULL;
		put(w, p);
	}
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_broadcast(&w->change);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static struct piece *take(struct way *w)
{
	struct piece *p;

	pthread_mutex_lock(&w->lock);
	while (!w->first && !w->ended)
		pthread_cond_wait(&w->change, &w->lock);
	p = w->first;
	if (p && !(w->first = p->next))
		w->last = &w->first;
	pthread_mutex_unlock(&w->lock);
	return p;
}

static bool deliver(int to, const char *bytes, size_t n)
{
	while (n) {
		ssize_t sent = send(to, bytes, n, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		bytes += sent;
		n -= (size_t)sent;
	}
	return true;
}

static void *pass_on(void *arg)
{
	struct way *w = arg;
	struct piece *p;

	while ((p = take(w))) {
		bool good;

		sleep_until(p->due);
		good = deliver(w->to, p->bytes, p->n);
		pthread_mutex_lock(&w->lock);
		w->queued -= p->n;
		w->broken |= !good;
		pthread_cond_broadcast(&w->change);
		pthread_mutex_unlock(&w->lock);
		free(p);
		if (!good)
			shutdown(w->from, SHUT_RD);
	}
	shutdown(w->to, SHUT_WR);
	return NULL;
}

static void way_start(struct way *w, int from, int to, int direction, pthread_t *t)
{
	*w = (struct way){.from = from, .to = to, .direction = direction};
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->change, NULL);
	w->last = &w->first;
	pthread_create(&t[0], NULL, receive, w);
	pthread_create(&t[1], NULL, pass_on, w);
}

static void *serve(void *arg)
{
	int one = 1, client = (int)(long)arg;
	int server = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)server_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct way ways[2];
	pthread_t threads[4];

	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(server, (struct sockaddr *)&sa, sizeof sa) == 0) {
		way_start(&ways[0], client, server, 0, threads);
		way_start(&ways[1], server, client, 1, threads + 2);
		for (unsigned i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
	close(client);
	close(server);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, conn, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 5) {
		fprintf(stderr, "usage: bench_line LISTEN SERVER DELAY_MS MBIT_S\n");
		return 2;
	}
	sa.sin_port = htons((uint16_t)atoi(argv[1]));
	server_port = atoi(argv[2]);
	delay = atof(argv[3]) / 2000;
	rate = atof(argv[4]) * 1e6 / 8;
	queue_max = (size_t)(4 * delay * rate) + 4 * PIECE;
	signal(SIGPIPE, SIG_IGN);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&sa, sizeof sa) < 0 ||
		listen(listener, 64) < 0) {
		perror("bench_line");
		return 1;
	}
	while ((conn = accept(listener, NULL, NULL)) >= 0) {
		pthread_t t;

		pthread_create(&t, NULL, serve, (void *)(long)conn);
		pthread_detach(t);
	}
	return 0;
}
