#include "http/http_private.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CONNECT_TIMEOUT_S 20
#define STALL_DEFAULT_S 60
#define DEAD_PEER_MS 60000

/* ---- the transfer object  ---- */

static size_t count_headers(const char *const *headers)
{
	size_t n = 0;

	while (headers && headers[n])
		n++;
	return n;
}

/* A header that holds a line break would be two. */
static bool header_sane(const char *header)
{
	for (const char *p = header; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return strchr(header, ':') != NULL;
}

static int copy_headers(struct transfer *t, const char *const *headers)
{
	size_t n = count_headers(headers);

	t->header_copies = calloc(n + 1, sizeof *t->header_copies);
	if (!t->header_copies)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!header_sane(headers[i]))
			return -EINVAL;
		t->header_copies[i] = strdup(headers[i]);
		if (!t->header_copies[i])
			return -ENOMEM;
	}
	t->r.headers = (const char *const *)t->header_copies;
	return 0;
}

static int copy_body(struct transfer *t, bool borrow)
{
	bool file = t->r.body_fd_len > 0;

	t->body_size = file ? t->r.body_fd_len : (int64_t)t->r.body_len;
	if (t->r.method != HTTP_POST)
		t->body_size = 0;
	if (file || borrow || t->body_size == 0)
		return 0;
	t->body_copy = malloc(t->r.body_len);
	if (!t->body_copy)
		return -ENOMEM;
	memcpy(t->body_copy, t->r.body, t->r.body_len);
	t->r.body = t->body_copy;
	return 0;
}

static int copy_target(struct transfer *t, const struct http_request *r)
{
	t->r.session_url = NULL; /* t->url is all that is needed of the secret */
	t->r.path = r->path ? strdup(r->path) : NULL;
	t->r.accept_range = r->accept_range ? strdup(r->accept_range) : NULL;
	if ((r->path && !t->r.path) || (r->accept_range && !t->r.accept_range))
		return -ENOMEM;
	if (r->session_url)
		t->url = url_session(&t->e->base, r->session_url, r->under_prefix);
	else if (r->path)
		t->url = url_join(&t->e->base, r->path);
	t->home = true;
	return t->url ? 0 : -EINVAL;
}

int transfer_new(struct engine *e, const struct http_request *r, bool borrow,
	struct transfer **ret)
{
	struct transfer *t = calloc(1, sizeof *t);
	int err;

	if (!t)
		return -ENOMEM;
	t->e = e;
	t->r = *r;
	t->r.headers = NULL;
	reply_init(&t->reply);
	err = copy_target(t, r);
	if (err == 0)
		err = copy_headers(t, r->headers);
	if (err == 0)
		err = copy_body(t, borrow);
	if (err < 0) {
		transfer_free(t);
		return err;
	}
	t->deadline_at =
		r->deadline > 0 ? util_now() + fmin(r->deadline, e->time_max) : 0;
	*ret = t;
	return 0;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	for (char **h = t->header_copies; h && *h; h++)
		free(*h);
	free(t->header_copies);
	free((char *)t->r.path);
	free((char *)t->r.accept_range);
	free(t->body_copy);
	free(t->piece);
	free(t->url);
	free(t->next_url);
	http_reply_clear(&t->reply);
	free(t);
}

/* ---- headers: the one place where the key is added  ---- */

static bool has_header(const struct transfer *t, const char *name)
{
	size_t n = strlen(name);

	for (const char *const *h = t->r.headers; *h; h++)
		if (strncasecmp(*h, name, n) == 0)
			return true;
	return false;
}

static int add_header(struct transfer *t, const char *header)
{
	struct curl_slist *l = curl_slist_append(t->headers, header);

	if (!l)
		return -ENOMEM;
	t->headers = l;
	return 0;
}

static int build_headers(struct transfer *t)
{
	char range[64];
	int r = add_header(t, "Expect:");

	for (const char *const *h = t->r.headers; r == 0 && *h; h++)
		r = add_header(t, *h);
	if (r == 0 && t->r.method == HTTP_POST && !has_header(t, "Content-Type:"))
		r = add_header(t, "Content-Type:");
	if (r == 0 && t->r.accept_range) {
		snprintf(range, sizeof range, "Range: bytes=%s", t->r.accept_range);
		r = add_header(t, range);
	}
	t->key_node = (struct curl_slist){t->e->key_header, t->headers};
	return r;
}

static bool wants_key(const struct transfer *t)
{
	return t->home && !t->r.no_key && t->e->key_header;
}

/* ---- callbacks that send  ---- */

static ssize_t body_read(struct transfer *t, char *buf, size_t n)
{
	if (t->r.body_fd_len > 0)
		return pread(t->r.body_fd, buf, n, t->r.body_off + t->body_pos);
	memcpy(buf, (const char *)t->r.body + t->body_pos, n);
	return (ssize_t)n;
}

/* What was handed out before has left by the time more is asked for. */
static size_t on_read(char *buf, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	int64_t left = t->body_size - t->body_pos;
	size_t want = size * n;
	ssize_t got;

	if (left <= 0)
		return 0;
	if (t->r.on_sent && t->body_pos > 0)
		t->r.on_sent(t->r.arg, t->body_pos);
	if ((int64_t)want > left)
		want = (size_t)left;
	got = body_read(t, buf, want);
	if (got <= 0) {
		t->fail = got < 0 ? -errno : -EIO; /* shorter than it was */
		return CURL_READFUNC_ABORT;
	}
	t->body_pos += got;
	return (size_t)got;
}

/* libcurl rewinds to repeat a request; what is sent once is never rewound. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (t->r.once || origin != SEEK_SET || offset < 0 || offset > t->body_size)
		return CURL_SEEKFUNC_FAIL;
	t->body_pos = offset;
	return CURL_SEEKFUNC_OK;
}

static int on_connected(
	void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct transfer *t = arg;

	t->requested++;
	if (t->r.once && t->requested > 1)
		return CURL_PREREQFUNC_ABORT;
	return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_socket(
	void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *t = arg;

	/* libcurl asks nobody where localhost is (since 7.78) and plain http has no
	 * proxy: this holds whatever becomes of either. */
	if (url_is_plain(t->url) && !url_loopback_addr(&address->addr))
		return CURL_SOCKET_BAD;
	return socket(
		address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* A peer that no longer acknowledges is noticed, however long the silence before. */
static int on_sockopt(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	int ms = DEAD_PEER_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
	return CURL_SOCKOPT_OK;
}

/* ---- options  ---- */

#define SET(opt, value)                                                                \
	do {                                                                           \
		if (curl_easy_setopt(t->easy, opt, value) != CURLE_OK)                 \
			return -ENOMEM;                                                \
	} while (0)

static int set_target(struct transfer *t)
{
	bool plain = url_is_plain(t->url);

	SET(CURLOPT_URL, t->url);
	SET(CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	/* A proxy from the environment would see plain requests, key and all. */
	if (plain)
		SET(CURLOPT_PROXY, "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (t->e->ca_file)
		SET(CURLOPT_CAINFO, t->e->ca_file);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
	SET(CURLOPT_OPENSOCKETDATA, t);
	SET(CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	SET(CURLOPT_PREREQFUNCTION, on_connected);
	SET(CURLOPT_PREREQDATA, t);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, 20L);
	SET(CURLOPT_TCP_KEEPINTVL, 10L);
	if (t->r.once) {
		SET(CURLOPT_FRESH_CONNECT, 1L);
		SET(CURLOPT_FORBID_REUSE, 1L);
	}
	return 0;
}

static int set_timeouts(struct transfer *t)
{
	double stall = t->r.stall > 0 ? t->r.stall : STALL_DEFAULT_S;
	double left = t->deadline_at > 0 ? t->deadline_at - util_now() : 0;
	double connect = CONNECT_TIMEOUT_S;

	if (t->deadline_at > 0) {
		left = fmax(left, 0.001);
		connect = fmin(connect, left);
		SET(CURLOPT_TIMEOUT_MS, (long)ceil(left * 1000));
	}
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)ceil(connect * 1000));
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME, (long)ceil(fmin(stall, t->e->time_max)));
	return 0;
}

static int set_body(struct transfer *t)
{
	t->body_pos = 0;
	if (t->r.method == HTTP_DELETE)
		SET(CURLOPT_CUSTOMREQUEST, "DELETE");
	if (t->r.method != HTTP_POST) {
		SET(CURLOPT_HTTPGET, 1L);
		return 0;
	}
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_size);
	if (t->body_size == 0) {
		SET(CURLOPT_POSTFIELDS, "");
		return 0;
	}
	SET(CURLOPT_READFUNCTION, on_read);
	SET(CURLOPT_READDATA, t);
	SET(CURLOPT_SEEKFUNCTION, on_seek);
	SET(CURLOPT_SEEKDATA, t);
	if (t->body_size > (256 << 10))
		SET(CURLOPT_UPLOAD_BUFFERSIZE, 2L << 20);
	return 0;
}

static int set_reply(struct transfer *t)
{
	bool stream = t->r.on_data != NULL;

	SET(CURLOPT_HEADERFUNCTION, reply_on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, reply_on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_ERRORBUFFER, t->errbuf);
	SET(CURLOPT_PRIVATE, t);
	/* Offsets of a stream matter: ask for plain bytes, yet decode what comes. */
	SET(CURLOPT_ACCEPT_ENCODING, stream ? "identity" : "gzip");
	if (stream)
		SET(CURLOPT_BUFFERSIZE, 512L << 10);
	return 0;
}

int transfer_prepare(struct transfer *t)
{
	int r = build_headers(t);

	t->errbuf[0] = 0;
	if (r < 0)
		return r;
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver that hangs */
	SET(CURLOPT_USERAGENT, t->e->user_agent);
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	SET(CURLOPT_HTTPHEADER, wants_key(t) ? &t->key_node : t->headers);
	r = set_target(t);
	if (r == 0)
		r = set_timeouts(t);
	if (r == 0)
		r = set_body(t);
	return r == 0 ? set_reply(t) : r;
}
