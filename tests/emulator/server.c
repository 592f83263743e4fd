#include "server.h"
#include "body.h"
#include "fields.h"
#include "keys.h"
#include "knobs.h"
#include "mangle.h"
#include "routes.h"
#include "stats.h"
#include "upload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* Large, so that uploads arrive in large pieces; only pages in use cost memory. */
#define CONNECTION_MEMORY (2 * 1024 * 1024)

static struct MHD_Daemon *web;
static FILE *log_file;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *prefix = "";

static void log_request(struct request *rq, int status, int64_t bytes)
{
	const char *key = keys_given(rq);
	char mark[24] = "-";

	if (!log_file)
		return;
	if (key)
		snprintf(mark, sizeof(mark), "%016llx",
			(unsigned long long)hash64(key, strlen(key)));
	pthread_mutex_lock(&log_lock);
	fprintf(log_file, "%s %s %03d %lld op=%s key=%s\n", rq->method, rq->uri, status,
		(long long)bytes, rq->op, mark);
	fflush(log_file);
	pthread_mutex_unlock(&log_lock);
}

static void add_headers(struct request *rq, struct MHD_Response *response)
{
	static const char *const always[][2] = {{"Vary", "Origin"},
		{"Vary", "X-Origin"}, {"Vary", "Referer"},
		{"Server", "scaffolding on HTTPServer2"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "SAMEORIGIN"}};
	struct reply *r = &rq->reply;

	if (r->type)
		MHD_add_response_header(response, "Content-Type", r->type);
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		MHD_add_response_header(response, always[i][0], always[i][1]);
	if (r->gzip)
		MHD_add_response_header(response, "Content-Encoding", "gzip");
	for (size_t i = 0; i < r->n_headers; i++)
		MHD_add_response_header(response, r->headers[i][0], r->headers[i][1]);
}

/* Turns the JSON of a reply into its bytes. */
static void render(struct request *rq)
{
	const char *pretty = req_query(rq, "prettyPrint");
	const char *fields = req_query(rq, "fields");
	struct reply *r = &rq->reply;
	bool plain = !knob_on(K_pretty) || (pretty && !strcmp(pretty, "false"));
	char *s;

	if (!r->json)
		return;
	if (fields && r->status == 200 && knob_on(K_fields_param))
		fields_apply(r->json, fields);
	s = json_dumps(r->json, (plain ? JSON_COMPACT : JSON_INDENT(2)) |
					JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	if (!s)
		abort();
	r->text = (struct buf){.p = s, .len = strlen(s), .cap = strlen(s) + 1};
	if (!plain)
		buf_puts(&r->text, "\n");
	json_decref(r->json);
	r->json = NULL;
}

static enum MHD_Result send_reply(struct request *rq)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	mangle_json(rq);
	render(rq);
	mangle_bytes(rq);
	log_request(rq, rq->reply.status, body_size(&rq->reply));
	stats_bytes(rq->body_seen, body_size(&rq->reply));
	response = body_response(rq);
	add_headers(rq, response);
	result = MHD_queue_response(rq->conn, rq->reply.status, response);
	MHD_destroy_response(response);
	return result;
}

/* Closes the connection without a byte of reply. */
static enum MHD_Result drop(struct request *rq)
{
	log_request(rq, 0, 0);
	return MHD_NO;
}

static void handle(struct request *rq)
{
	if (!rq->route)
		reply_html(rq, 404);
	else if (!rq->refused)
		rq->route->handle(rq);
	if (fault_replaces(&rq->fault))
		mangle_instead(rq);
}

static enum MHD_Result request_end(struct request *rq)
{
	rq->done = true;
	if (rq->fault.kind == FAULT_STALL && rq->fault.at < 0 &&
		!nap(rq->fault.seconds))
		return drop(rq);
	if (rq->fault.kind == FAULT_DROP_BEFORE)
		return drop(rq);
	handle(rq);
	if (rq->fault.kind == FAULT_DROP_AFTER)
		return drop(rq);
	return send_reply(rq);
}

static bool take_bytes(struct request *rq, const char *data, size_t n)
{
	size_t room = rq->body_max - rq->body.len;

	rq->body_seen += n;
	if (rq->piece)
		upload_data(rq, data, n);
	else if (!rq->refused && rq->route)
		buf_add(&rq->body, data, n < room ? n : room);
	return true;
}

static bool request_data(struct request *rq, const char *data, size_t n)
{
	struct fault *f = &rq->fault;
	int64_t left = f->at - rq->body_seen;

	if (f->kind == FAULT_CUT_BODY && left < (int64_t)n) {
		take_bytes(rq, data, left);
		return false;
	}
	if (f->kind == FAULT_STALL_BODY && left >= 0 && left < (int64_t)n &&
		!nap(f->seconds))
		return false;
	return take_bytes(rq, data, n);
}

static void request_begin(struct request *rq, const char *url)
{
	size_t n = strlen(prefix);
	double delay = knob_num(K_delay);

	if (n && !strncmp(url, prefix, n) && url[n] == '/')
		url += n;
	rq->path = xstrdup(url);
	rq->route = route_find(rq->method, rq->path, rq->arg);
	rq->op = rq->route ? rq->route->op : "unknown";
	if (rq->route && rq->route->name)
		rq->op = rq->route->name(rq);
	stats_call(rq->op);
	rq->fault = fault_take(rq->op, rq->method, rq->path);
	if (delay > 0 && strcmp(rq->op, "emu"))
		nap(delay);
	rq->refused = fault_forestalls(&rq->fault);
	if (rq->refused || !rq->route)
		return;
	if (!rq->route->open)
		rq->refused = !keys_check(rq);
	if (!rq->refused && rq->route->begin)
		rq->route->begin(rq);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn,
	const char *url, const char *method, const char *version, const char *data,
	size_t *size, void **ctx)
{
	struct request *rq = *ctx;
	size_t n = *size;

	if (!rq->conn) {
		rq->conn = conn;
		snprintf(rq->method, sizeof(rq->method), "%s", method);
		request_begin(rq, url);
		return MHD_YES;
	}
	if (!n)
		return request_end(rq);
	*size = 0;
	return request_data(rq, data, n) ? MHD_YES : drop(rq);
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
	struct request *rq = xcalloc(1, sizeof(*rq));

	rq->uri = xstrdup(uri);
	rq->op = "unknown";
	rq->body_max = 64 * 1024 * 1024;
	rq->reply.fd = -1;
	return rq;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **ctx,
	enum MHD_RequestTerminationCode code)
{
	struct request *rq = *ctx;

	if (!rq)
		return;
	if (rq->piece)
		upload_piece_end(rq);
	request_free(rq);
	*ctx = NULL;
}

static int make_address(const struct server_options *o, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	if (inet_pton(AF_INET, o->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(o->port);
	} else if (inet_pton(AF_INET6, o->address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(o->port);
	} else {
		return -EINVAL;
	}
	return 0;
}

static struct MHD_Daemon *start(
	const struct server_options *o, const struct sockaddr *address)
{
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD |
			 MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;
	struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, o->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, o->key}, {MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

	if (o->cert)
		flags |= MHD_USE_TLS;
	if (address->sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, NULL,
		MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_URI_LOG_CALLBACK, on_uri,
		NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_LIMIT, 2000u, MHD_OPTION_LISTENING_ADDRESS_REUSE,
		1u, MHD_OPTION_ARRAY, o->cert ? tls : none, MHD_OPTION_END);
}

int server_start(const struct server_options *o, unsigned *ret_port)
{
	struct sockaddr_storage address = {0};
	const union MHD_DaemonInfo *info;
	int r = make_address(o, &address);

	if (r < 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	if (o->log && !(log_file = fopen(o->log, "ae")))
		return -errno;
	if (o->prefix)
		prefix = o->prefix;
	errno = 0;
	web = start(o, (struct sockaddr *)&address);
	if (!web)
		return errno ? -errno : -EADDRINUSE;
	info = MHD_get_daemon_info(web, MHD_DAEMON_INFO_BIND_PORT);
	*ret_port = info ? info->port : o->port;
	return 0;
}

void server_stop(void)
{
	if (web)
		MHD_stop_daemon(web);
	if (log_file)
		fclose(log_file);
	web = NULL;
	log_file = NULL;
}
