#include "upload.h"
#include "bodycheck.h"
#include "files.h"
#include "keys.h"
#include "knobs.h"
#include "session.h"
#include "store.h"
#include "world.h"

#include <errno.h>
#include <strings.h>

static const char *command(struct request *rq)
{
	const char *c = req_header(rq, "X-Goog-Upload-Command");

	return c ? c : "";
}

/* Is `word` one of the comma-separated words of the command? */
static bool commanded(struct request *rq, const char *word)
{
	const char *c = command(rq);
	size_t len = strlen(word);

	while (*c) {
		size_t n;

		c += strspn(c, ", ");
		n = strcspn(c, ", ");
		if (n == len && !strncasecmp(c, word, n))
			return true;
		c += n;
	}
	return false;
}

static bool protocol_is(struct request *rq, const char *name)
{
	const char *p = req_header(rq, "X-Goog-Upload-Protocol");

	if (!p)
		p = req_query(rq, "uploadType");
	return p && !strcasecmp(p, name);
}

const char *upload_name(struct request *rq)
{
	if (!req_query(rq, "upload_id"))
		return protocol_is(rq, "multipart") ? "upload_multipart"
		       : protocol_is(rq, "raw")     ? "upload_raw"
						    : "upload_start";
	if (commanded(rq, "query"))
		return "upload_query";
	return commanded(rq, "cancel") ? "upload_cancel" : "upload";
}

static void set_status(struct request *rq, const struct session *s)
{
	static const char *const names[] = {[SESSION_ACTIVE] = "active",
		[SESSION_FINAL] = "final",
		[SESSION_CANCELLED] = "cancelled",
		[SESSION_DEAD] = "final"};

	reply_header(rq, "X-Goog-Upload-Status", names[s->state]);
}

static void reply_mismatch(
	struct request *rq, const struct session *s, const char *what)
{
	int code = knob_num(K_upload_mismatch);

	set_status(rq, s);
	reply_error(rq, code, code == 416 ? "OUT_OF_RANGE" : NULL,
		"Upload refused: %s; %lld bytes have been received.", what,
		(long long)s->received);
}

/* The session's File, as `final` answers it. */
static void reply_final(struct request *rq, struct session *s)
{
	_cleanup_free_ char *origin = req_origin(rq);
	struct file *f = file_find(s->project, s->file_id);

	set_status(rq, s);
	if (!f || knob_on(K_final_without_file))
		reply_empty(rq);
	else
		reply_json_take(
			rq, 200, json_pack("{so}", "file", file_json(f, origin)));
}

/* The first piece of a session's life: metadata, name, size, place. */

static bool metadata_ok(struct request *rq, json_t *file, int64_t size)
{
	const char *name = jstr(file, "name"), *display = jstr(file, "displayName");

	if (size > (int64_t)knob_num(K_file_limit)) {
		reply_error(rq, knob_num(K_too_large_code), NULL,
			"File size exceeds the limit of %lld bytes.",
			(long long)knob_num(K_file_limit));
		return false;
	}
	if (display && strlen(display) > knob_num(K_display_name_max)) {
		reply_error(rq, 400, NULL,
			"* CreateFileRequest.file.display_name: must not be longer "
			"than "
			"%d characters\n",
			(int)knob_num(K_display_name_max));
		return false;
	}
	if (name && (strncmp(name, "files/", 6) || !file_own_id_ok(name + 6))) {
		reply_error(rq, 400, NULL,
			"* CreateFileRequest.file.name: File ID (name excluding "
			"'files/') "
			"must be 1 to 40 lowercase alphanumeric or dash characters and "
			"cannot begin or end with a dash.\n");
		return false;
	}
	return true;
}

/* Room and a free name? With world_lock held. */
static bool place_ok(struct request *rq, json_t *file, int64_t size)
{
	const char *name = jstr(file, "name");

	if (name && file_find("*", name + 6)) {
		reply_error(
			rq, 409, "ALREADY_EXISTS", "Requested entity already exists");
		return false;
	}
	if (files_used(rq->project) + size > (int64_t)knob_num(K_storage_limit)) {
		reply_error(rq, 429, NULL,
			"You have exceeded the storage limit of your project.");
		return false;
	}
	return true;
}

static void fill_session(struct request *rq, struct session *s, json_t *file)
{
	const char *name = jstr(file, "name"), *display = jstr(file, "displayName");
	const char *mime = jstr(file, "mimeType");

	if (!mime)
		mime = req_header(rq, "X-Goog-Upload-Header-Content-Type");
	snprintf(s->project, sizeof(s->project), "%s", rq->project);
	if (name)
		snprintf(s->file_id, sizeof(s->file_id), "%s", name + 6);
	s->display_name = display ? xstrdup(display) : NULL;
	s->mime = xstrdup(mime && *mime ? mime : "application/octet-stream");
}

static struct session *new_session(struct request *rq, json_t *file, int64_t size)
{
	struct session *s = NULL;

	if (!metadata_ok(rq, file, size))
		return NULL;
	world_lock();
	if (place_ok(rq, file, size < 0 ? 0 : size)) {
		s = session_new();
		fill_session(rq, s, file);
		s->declared = size;
		session_save(s);
	}
	world_unlock();
	return s;
}

static void upload_start(struct request *rq)
{
	_cleanup_free_ char *origin = req_origin(rq), *url = NULL;
	_cleanup_json_ json_t *body = body_checked(rq, &schema_upload);
	const char *length = req_header(rq, "X-Goog-Upload-Header-Content-Length");
	const char *key = req_query(rq, "key");
	struct session *s;
	char granularity[24];

	if (!body)
		return;
	if (!commanded(rq, "start")) {
		reply_error(rq, 400, NULL, "Invalid upload command: '%s'", command(rq));
		return;
	}
	s = new_session(rq, jget(body, "file"),
		length ? strtoll(length, NULL, 10)
		       : jint(jget(body, "file"), "sizeBytes", -1));
	if (!s)
		return;
	snprintf(granularity, sizeof(granularity), "%lld",
		(long long)knob_num(K_granularity));
	url = xasprintf("%s%s?%s%s%supload_id=%s&upload_protocol=resumable", origin,
		rq->path, key ? "key=" : "", key ? key : "", key ? "&" : "", s->id);
	reply_header(rq, "X-Goog-Upload-Status", "active");
	reply_header(rq, "X-Goog-Upload-URL", url);
	reply_header(rq, "X-Goog-Upload-Control-URL", url);
	reply_header(rq, "X-Goog-Upload-Chunk-Granularity", granularity);
	reply_header(rq, "X-GUploader-UploadID", s->id);
	reply_text(rq, 200, "text/plain; charset=utf-8", "");
}

/* Pieces. */

static int64_t content_length(struct request *rq)
{
	const char *s = req_header(rq, "Content-Length");

	return s ? strtoll(s, NULL, 10) : -1;
}

static bool odd(int64_t n)
{
	int64_t g = knob_num(K_granularity);

	return g > 0 && n % g != 0;
}

/* Refusals that are clear before the bytes have come; world_lock held. */
static bool piece_ok(
	struct request *rq, struct session *s, int64_t off, int64_t len, bool finalize)
{
	if (off < 0 || off > s->received)
		reply_mismatch(rq, s, "wrong offset");
	else if (!finalize && len >= 0 && odd(len))
		reply_mismatch(rq, s, "length is no multiple of the granularity");
	else if (finalize && len >= 0 && s->declared >= 0 && off + len != s->declared)
		session_kill(s);
	else if (off + len > (int64_t)knob_num(K_file_limit))
		session_kill(s);
	if (s->state == SESSION_DEAD) {
		set_status(rq, s);
		reply_error(rq, 400, NULL,
			"The upload ends at byte %lld, but %lld were declared.",
			(long long)(off + len), (long long)s->declared);
	}
	return !rq->reply.status;
}

static void begin_piece(struct request *rq, struct session *s)
{
	const char *offset = req_header(rq, "X-Goog-Upload-Offset");
	bool finalize = commanded(rq, "finalize");
	int64_t len = content_length(rq), off = s->received;

	if (commanded(rq, "upload"))
		off = offset ? strtoll(offset, NULL, 10) : -1;
	else if (!finalize) {
		set_status(rq, s);
		reply_error(rq, 400, NULL, "Invalid upload command: '%s'", command(rq));
		return;
	}
	if (piece_ok(rq, s, off, len, finalize))
		rq->piece = piece_new(s, off, finalize);
}

static void answer_query(struct request *rq, struct session *s)
{
	char size[24];

	piece_stop_all(s);
	snprintf(size, sizeof(size), "%lld", (long long)s->received);
	set_status(rq, s);
	reply_header(rq, "X-Goog-Upload-Size-Received", size);
	reply_text(rq, 200, "text/plain; charset=utf-8", "");
}

/* A command for a session; world_lock held. */
static void session_command(struct request *rq, struct session *s)
{
	if (s->state == SESSION_FINAL && !commanded(rq, "cancel")) {
		reply_final(rq, s);
	} else if (s->state != SESSION_ACTIVE) {
		set_status(rq, s);
		if (commanded(rq, "query") && s->state == SESSION_CANCELLED)
			reply_text(rq, 200, "text/plain; charset=utf-8", "");
		else
			reply_error(rq, 400, NULL, "The upload has been terminated.");
	} else if (commanded(rq, "query")) {
		answer_query(rq, s);
	} else if (commanded(rq, "cancel")) {
		piece_stop_all(s);
		session_cancel(s);
		set_status(rq, s);
		reply_text(rq, 200, "text/plain; charset=utf-8", "");
	} else {
		begin_piece(rq, s);
	}
}

void upload_begin(struct request *rq)
{
	const char *id = req_query(rq, "upload_id");
	struct session *s;

	if (!id) {
		rq->refused = !keys_check(rq);
		return;
	}
	world_lock();
	s = session_find(id);
	if (s)
		session_command(rq, s);
	world_unlock();
	if (!s)
		reply_error(
			rq, knob_num(K_upload_gone), "NOT_FOUND", "Upload not found.");
	rq->refused = rq->reply.status != 0;
}

void upload_data(struct request *rq, const char *data, size_t n)
{
	piece_write(rq->piece, data, n);
}

static bool mime_refused(const char *mime)
{
	_cleanup_free_ char *list = knob_text_dup(K_mime_refuse);
	char *save = NULL;

	for (char *p = strtok_r(list, ", ", &save); p; p = strtok_r(NULL, ", ", &save))
		if (!strcmp(p, mime))
			return true;
	return false;
}

/* All bytes are there: makes the File. world_lock held. */
static void finish(struct request *rq, struct session *s)
{
	if (s->declared >= 0 && s->received != s->declared) {
		session_kill(s);
		set_status(rq, s);
		reply_error(rq, 400, NULL,
			"The upload ends at byte %lld, but %lld were declared.",
			(long long)s->received, (long long)s->declared);
		return;
	}
	if (mime_refused(s->mime)) {
		session_kill(s);
		set_status(rq, s);
		reply_error(rq, 400, NULL, "Unsupported MIME type: %s", s->mime);
		return;
	}
	session_finish(s);
	reply_final(rq, s);
}

static void undo(struct request *rq, struct piece *p)
{
	piece_undo(p);
	reply_mismatch(rq, p->session, "length is no multiple of the granularity");
}

static void end_of_piece(struct request *rq)
{
	struct piece *p = rq->piece;
	struct session *s = p->session;

	world_lock();
	p->ended = true;
	if (p->gen != s->gen)
		reply_mismatch(rq, s, "another request took over");
	else if (p->differs)
		reply_mismatch(rq, s, "bytes sent again differ");
	else if (p->error)
		reply_error(rq, p->error == -EFBIG ? 400 : 500, NULL,
			"Cannot store: %s", strerror(-p->error));
	else if (!p->finalize && odd(p->pos - p->start))
		undo(rq, p);
	if (!rq->reply.status && p->finalize) {
		/* the digest takes its time: not under the lock */
		world_unlock();
		session_digest(s);
		world_lock();
		if (p->gen == s->gen)
			finish(rq, s);
		else
			reply_mismatch(rq, s, "another request took over");
	} else if (!rq->reply.status) {
		set_status(rq, s);
		reply_text(rq, 200, "text/plain; charset=utf-8", "");
	}
	session_save(s);
	world_unlock();
}

/* A whole upload in one request, its bytes in memory. */
static void store_whole(
	struct request *rq, json_t *file, const char *type, const char *data, size_t n)
{
	struct session *s = new_session(rq, file, n);

	if (!s)
		return;
	if (type && !jstr(file, "mimeType")) {
		free(s->mime);
		s->mime = xstrdup(type);
	}
	world_lock();
	rq->piece = piece_new(s, 0, true);
	world_unlock();
	piece_write(rq->piece, data, n);
	end_of_piece(rq);
}

/* One part of a multipart body: its Content-Type and its bytes; moves *p behind it. */
static bool next_part(const char **p, const char *end, const char *boundary,
	char type[128], const char **ret_data, size_t *ret_len)
{
	_cleanup_free_ char *delimiter = xasprintf("--%s", boundary);
	size_t n = strlen(delimiter);
	const char *head = memmem(*p, end - *p, delimiter, n), *body, *next, *t;

	if (!head || !(body = memmem(head, end - head, "\r\n\r\n", 4)))
		return false;
	next = memmem(body, end - body, delimiter, n);
	if (!next || next - body < 6)
		return false;
	t = memmem(head, body - head, ":", 1);
	for (*type = '\0'; t && t < body; t++)
		if (!strncasecmp(t - 12, "content-type:", 13))
			sscanf(t + 1, " %127[^\r\n;]", type);
	*ret_data = body + 4;
	*ret_len = next - 2 - *ret_data;
	*p = next;
	return true;
}

static void upload_multipart(struct request *rq)
{
	const char *type = req_header(rq, "Content-Type");
	const char *b = type ? strcasestr(type, "boundary=") : NULL;
	const char *p = rq->body.p, *end = p + rq->body.len, *data;
	char boundary[128] = "", part_type[128];
	_cleanup_json_ json_t *meta = NULL;
	size_t n;

	if (b)
		sscanf(b + 9, "%*[\"]%127[^\"]", boundary);
	if (b && !*boundary)
		sscanf(b + 9, "%127[^; \"]", boundary);
	if (*boundary && p && next_part(&p, end, boundary, part_type, &data, &n))
		meta = json_loadb(data, n, 0, NULL);
	if (!meta || !next_part(&p, end, boundary, part_type, &data, &n))
		reply_error(rq, 400, NULL, "Invalid multipart request.");
	else
		store_whole(rq, jget(meta, "file"), part_type, data, n);
}

void upload_handle(struct request *rq)
{
	_cleanup_json_ json_t *empty = json_object();

	if (rq->piece)
		end_of_piece(rq);
	else if (protocol_is(rq, "multipart"))
		upload_multipart(rq);
	else if (protocol_is(rq, "raw"))
		store_whole(rq, empty, req_header(rq, "Content-Type"),
			rq->body.p ? rq->body.p : "", rq->body.len);
	else
		upload_start(rq);
}

void upload_piece_end(struct request *rq)
{
	world_lock();
	piece_free(rq->piece);
	world_unlock();
	rq->piece = NULL;
}

void files_create(struct request *rq)
{
	_cleanup_json_ json_t *body = body_checked(rq, &schema_upload);

	if (body)
		store_whole(rq, jget(body, "file"), NULL, "", 0);
}
