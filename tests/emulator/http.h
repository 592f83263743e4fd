/*
 * One HTTP exchange: the request as a handler sees it, and the reply it makes.
 *
 * Life cycle: server.c makes the request, finds its route, feeds the body into `body`
 * (or into `piece` for uploads), then calls the route's handler exactly once. The
 * handler calls exactly one of the reply_ functions that set a status; server.c alters
 * the reply as armed faults say and sends it. A request belongs to one thread.
 */
#ifndef EMU_HTTP_H
#define EMU_HTTP_H

#include "faults.h"
#include "util.h"

#include <microhttpd.h>

#define MAX_ARG 200
#define MAX_HEADERS 16

struct route;
struct piece;

struct reply {
	int status;      /* 0: none yet */
	json_t *json;    /* owned; or else */
	struct buf text; /* these bytes, or else */
	int fd;          /* part of a file, owned, when is_file */
	bool is_file;
	bool gzip;
	bool has_length; /* Content-Length, otherwise chunks */
	int64_t off, len;
	const char *type; /* Content-Type, or NULL */
	char *headers[MAX_HEADERS][2];
	size_t n_headers;
};

struct request {
	struct MHD_Connection *conn;
	char *uri; /* as received, with the query; for the log */
	char method[16];
	char *path;                /* decoded, without --prefix */
	const struct route *route; /* NULL: nothing answers there */
	const char *op;            /* name for faults and counts */
	char arg[MAX_ARG];         /* what `{}` of the route stood for */
	char project[64];
	struct buf body;
	size_t body_max; /* no more than this is kept in `body` */
	int64_t body_seen;
	struct piece *piece; /* bytes go to an upload session instead */
	struct fault fault;
	bool refused; /* the reply was made before the body: pass over the body */
	bool done;
	struct reply reply;
};

/* Header and query parameter; borrowed, NULL when absent. */
const char *req_header(struct request *rq, const char *name);
const char *req_query(struct request *rq, const char *name);
/* Integer query parameter; false (400 was replied) when it is none. */
bool req_query_int(
	struct request *rq, const char *name, int64_t fallback, int64_t *ret_value);
/*
 * The body as a JSON object, new reference; NULL after having replied 400. An empty
 * body is an empty object. Quotes are forgiven as the knob lenient_json says.
 */
json_t *req_json(struct request *rq);
/* "http://host:port" as this client sees us, or what public_host says; to be freed. */
char *req_origin(struct request *rq);

void reply_header(struct request *rq, const char *name, const char *value);
void reply_json_take(struct request *rq, int status, json_t *json);
void reply_empty(struct request *rq);
/* {"error": …}; `status` is a name such as "NOT_FOUND" or NULL for the usual one. */
void reply_error(struct request *rq, int code, const char *status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same with `details`, whose reference is taken. */
void reply_error_details(struct request *rq, int code, const char *status,
	const char *message, json_t *details_take);
/* 429 with the text and details the knob quota_text picks. */
void reply_quota(struct request *rq);
/* "Requested entity was not found." */
void reply_not_found(struct request *rq);
/* The front end's page. */
void reply_html(struct request *rq, int status);
void reply_text(struct request *rq, int status, const char *type, const char *text);
void reply_file_take(struct request *rq, int status, const char *type, int fd,
	int64_t off, int64_t len);
/* Forgets a reply already made, so that another can be. */
void reply_reset(struct request *rq);

void request_free(struct request *rq);

#endif
