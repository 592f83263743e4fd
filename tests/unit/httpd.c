#include "httpd.h"

bool httpd_send(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n > 0) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		p += r;
		n -= (size_t)r;
	}
	return true;
}

bool httpd_print(
	int fd, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;
	bool ok;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	ok = n >= 0 && httpd_send(fd, text, (size_t)n);
	free(text);
	return ok;
}

bool httpd_reply(
	int fd, int status, const char *headers, const char *body)
{
	return httpd_print(fd,
		"HTTP/1.1 %d Whatever\r\n%sContent-Length: %zu\r\n\r\n%s", status,
		headers, strlen(body), body);
}

bool httpd_body(int fd, struct httpd_request *r, int64_t n)
{
	r->body = realloc(r->body, (size_t)n + 1);
	r->body[n] = 0;
	for (int64_t got = 0; got < n;) {
		ssize_t k = recv(fd, r->body + got, (size_t)(n - got), 0);

		if (k <= 0)
			return false;
		got += k;
	}
	return true;
}

void httpd_reset(int fd)
{
	struct linger l = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

static bool httpd_read_head(int fd, struct httpd_request *r)
{
	size_t n = 0;
	const char *p;

	while (n + 1 < sizeof r->head) {
		if (recv(fd, r->head + n, 1, 0) != 1)
			return false;
		r->head[++n] = 0;
		if (n >= 4 && memcmp(r->head + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	p = strcasestr(r->head, "\r\nContent-Length:");
	r->length = p ? atoll(p + 17) : 0;
	return true;
}

static void httpd_remember(struct httpd *h, struct httpd_request *r)
{
	char *all;

	pthread_mutex_lock(&h->lock);
	r->number = h->requests++;
	if (asprintf(&all, "%s%s", h->heads ? h->heads : "", r->head) >= 0) {
		free(h->heads);
		h->heads = all;
	}
	pthread_mutex_unlock(&h->lock);
}

struct httpd_conn {
	struct httpd *h;
	int fd;
};

static void httpd_forget(struct httpd *h, int fd)
{
	pthread_mutex_lock(&h->lock);
	for (int i = 0; i < 64; i++)
		if (h->conns[i] == fd)
			h->conns[i] = -1;
	close(fd);
	h->live--;
	pthread_cond_broadcast(&h->idle);
	pthread_mutex_unlock(&h->lock);
}

static void *httpd_serve(void *arg)
{
	struct httpd_conn c = *(struct httpd_conn *)arg;
	bool more = true;

	free(arg);
	while (more) {
		struct httpd_request r = {0};

		if (!httpd_read_head(c.fd, &r))
			break;
		httpd_remember(c.h, &r);
		more = c.h->handle(c.h, c.fd, &r);
		free(r.body);
	}
	httpd_forget(c.h, c.fd);
	return NULL;
}

static void httpd_accepted(struct httpd *h, int fd)
{
	struct httpd_conn *c = malloc(sizeof *c);
	pthread_t thread;

	pthread_mutex_lock(&h->lock);
	h->accepted++;
	h->live++;
	for (int i = 0; i < 64; i++)
		if (h->conns[i] < 0) {
			h->conns[i] = fd;
			break;
		}
	pthread_mutex_unlock(&h->lock);
	*c = (struct httpd_conn){h, fd};
	pthread_create(&thread, NULL, httpd_serve, c);
	pthread_detach(thread);
}

static void *httpd_main(void *arg)
{
	struct httpd *h = arg;
	int fd;

	while ((fd = accept(h->listener, NULL, NULL)) >= 0)
		httpd_accepted(h, fd);
	return NULL;
}

void httpd_start(struct httpd *h,
	bool (*handle)(struct httpd *h, int fd, struct httpd_request *r))
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof sa;

	*h = (struct httpd){.handle = handle};
	for (int i = 0; i < 64; i++)
		h->conns[i] = -1;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->idle, NULL);
	h->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(h->listener, (struct sockaddr *)&sa, sizeof sa) < 0 ||
		listen(h->listener, 64) < 0 ||
		getsockname(h->listener, (struct sockaddr *)&sa, &n) < 0)
		abort();
	h->port = ntohs(sa.sin_port);
	snprintf(h->base, sizeof h->base, "http://127.0.0.1:%d", h->port);
	pthread_create(&h->thread, NULL, httpd_main, h);
}

void httpd_stop(struct httpd *h)
{
	shutdown(h->listener, SHUT_RDWR);
	pthread_join(h->thread, NULL);
	close(h->listener);
	pthread_mutex_lock(&h->lock);
	for (int i = 0; i < 64; i++)
		if (h->conns[i] >= 0)
			shutdown(h->conns[i], SHUT_RDWR);
	while (h->live > 0)
		pthread_cond_wait(&h->idle, &h->lock);
	pthread_mutex_unlock(&h->lock);
	free(h->heads);
	h->heads = NULL;
}

int httpd_requests(struct httpd *h)
{
	int n;

	pthread_mutex_lock(&h->lock);
	n = h->requests;
	pthread_mutex_unlock(&h->lock);
	return n;
}

int httpd_accepts(struct httpd *h)
{
	int n;

	pthread_mutex_lock(&h->lock);
	n = h->accepted;
	pthread_mutex_unlock(&h->lock);
	return n;
}

int httpd_count(struct httpd *h, const char *text)
{
	int n = 0;

	pthread_mutex_lock(&h->lock);
	for (const char *p = h->heads; p && (p = strcasestr(p, text)); p++)
		n++;
	pthread_mutex_unlock(&h->lock);
	return n;
}
