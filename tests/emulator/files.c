#include "files.h"
#include "keys.h"
#include "knobs.h"
#include "store.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>

static struct registry files; /* world_lock */

static json_t *record(const struct file *f)
{
	return json_pack("{ss ss* ss sI sI sI sI sI ss sb}", "project", f->project,
		"displayName", f->display_name, "mimeType", f->mime, "size",
		(json_int_t)f->size, "created", (json_int_t)f->created, "updated",
		(json_int_t)f->updated, "expires", (json_int_t)f->expires, "ready",
		(json_int_t)f->ready, "sha256", f->sha256, "generated", f->generated);
}

void file_save(const struct file *f)
{
	_cleanup_json_ json_t *j = record(f);

	store_save("files", f->id, j);
}

void file_add_take(struct file *f)
{
	registry_add(&files, f);
	file_save(f);
}

static void load(const char *id, json_t *j)
{
	struct file *f = xcalloc(1, sizeof(*f));
	const char *name = jstr(j, "displayName"), *mime = jstr(j, "mimeType");

	snprintf(f->id, sizeof(f->id), "%s", id);
	snprintf(f->project, sizeof(f->project), "%s", jstr(j, "project"));
	snprintf(f->sha256, sizeof(f->sha256), "%s", jstr(j, "sha256"));
	f->display_name = name ? xstrdup(name) : NULL;
	f->mime = xstrdup(mime ? mime : "");
	f->size = jint(j, "size", 0);
	f->created = jint(j, "created", 0);
	f->updated = jint(j, "updated", 0);
	f->expires = jint(j, "expires", 0);
	f->ready = jint(j, "ready", 0);
	f->generated = json_is_true(jget(j, "generated"));
	registry_add(&files, f);
}

void files_load(void)
{
	store_each("files", load);
}

void file_remove(struct file *f)
{
	registry_remove(&files, f);
	store_remove("files", f->id);
	store_unlink("blobs", f->id, "");
	free(f->display_name);
	free(f->mime);
	free(f);
}

struct file *file_find(const char *project, const char *id)
{
	struct file *f = registry_find(&files, id);

	if (f && f->expires && f->expires < now_ns()) {
		file_remove(f);
		f = NULL;
	}
	return f && project_owns(project, f->project) ? f : NULL;
}

int file_open_bytes(const char *id)
{
	_cleanup_free_ char *path = store_path("blobs", id, "");
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int64_t files_used(const char *project)
{
	int64_t sum = 0;

	for (size_t i = 0; i < files.n; i++) {
		struct file *f = files.items[i];

		if (!f->generated && project_owns(project, f->project))
			sum += f->size;
	}
	return sum;
}

const char *file_id_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *id = slash ? slash + 1 : name;

	return store_id_ok(id) && strlen(id) < FILE_ID ? id : NULL;
}

bool file_own_id_ok(const char *id)
{
	size_t n = strlen(id);

	return n && n <= 40 &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
	       id[0] != '-' && id[n - 1] != '-';
}

void file_random_id(char id[FILE_ID])
{
	do
		random_id(id, 12);
	while (registry_find(&files, id));
}

static json_t *digest(const struct file *f)
{
	_cleanup_free_ char *text = NULL;
	unsigned char raw[32];

	if (knob_choice(K_sha256) == 3) {
		text = base64_dup(f->sha256 + 32, 32);
	} else if (knob_choice(K_sha256) == 0) {
		text = base64_dup(f->sha256, 64);
	} else {
		for (int i = 0; i < 32; i++)
			sscanf(f->sha256 + 2 * i, "%2hhx", &raw[i]);
		text = base64_dup(raw, sizeof(raw));
	}
	return json_string(text);
}

static void put_uris(const struct file *f, const char *origin, json_t *j)
{
	_cleanup_free_ char *uri = xasprintf("%s/v1beta/files/%s", origin, f->id);

	json_object_set_new(j, "uri", json_string(uri));
	if (f->generated)
		json_object_set_new(j, "downloadUri",
			json_sprintf("%s/v1beta/files/%s:download?alt=media", origin,
				f->id));
}

json_t *file_json(const struct file *f, const char *origin)
{
	json_t *j = json_object();
	bool expiration = !f->generated || knob_on(K_output_expiration);

	json_object_set_new(j, "name", json_sprintf("files/%s", f->id));
	if (f->display_name && *f->display_name)
		json_object_set_new(j, "displayName", json_string(f->display_name));
	json_object_set_new(j, "mimeType", json_string(f->mime));
	json_object_set_new(j, "sizeBytes", json_sprintf("%lld", (long long)f->size));
	json_object_set_new(j, "createTime", time_json(f->created));
	json_object_set_new(j, "updateTime", time_json(f->updated));
	if (f->expires && expiration)
		json_object_set_new(j, "expirationTime", time_json(f->expires));
	if (*f->sha256 && knob_choice(K_sha256) != 2)
		json_object_set_new(j, "sha256Hash", digest(f));
	put_uris(f, origin, j);
	json_object_set_new(
		j, "state", json_string(f->ready > now_ns() ? "PROCESSING" : "ACTIVE"));
	json_object_set_new(
		j, "source", json_string(f->generated ? "GENERATED" : "UPLOADED"));
	return j;
}

static void reply_absent(struct request *rq)
{
	reply_error(rq, 403, NULL,
		"You do not have permission to access the File %s or it may not exist.",
		rq->arg);
}

/* The old rule against output files' names; true when it was applied. */
static bool refuse_long_id(struct request *rq, enum knob knob, const char *message)
{
	if (strlen(rq->arg) <= 40 || !knob_on(knob))
		return false;
	reply_error(rq, 400, NULL,
		"* %s.name: File ID (name excluding 'files/') cannot be more than 40 "
		"characters.\n",
		message);
	return true;
}

void files_get(struct request *rq)
{
	_cleanup_free_ char *origin = req_origin(rq);
	struct file *f;
	json_t *j = NULL;

	if (refuse_long_id(rq, K_get40, "GetFileRequest"))
		return;
	world_lock();
	f = file_find(rq->project, rq->arg);
	if (f)
		j = file_json(f, origin);
	world_unlock();
	if (j)
		reply_json_take(rq, 200, j);
	else
		reply_absent(rq);
}

void files_delete(struct request *rq)
{
	struct file *f;

	if (refuse_long_id(rq, K_delete40, "DeleteFileRequest"))
		return;
	world_lock();
	f = file_find(rq->project, rq->arg);
	if (f)
		file_remove(f);
	world_unlock();
	if (f)
		reply_empty(rq);
	else
		reply_absent(rq);
}

static bool listed(struct request *rq, const struct file *f)
{
	return project_owns(rq->project, f->project) &&
	       (!f->generated || knob_on(K_list_outputs)) &&
	       (!f->expires || f->expires > now_ns());
}

/* Newest first; the token is the id of the last one given. */
void files_list(struct request *rq)
{
	_cleanup_free_ char *origin = req_origin(rq);
	const char *token = req_query(rq, "pageToken"), *last = NULL;
	json_t *page = json_array(), *j;
	int64_t size;
	bool skip = token && *token;
	size_t i;

	if (!req_query_int(rq, "pageSize", 10, &size)) {
		json_decref(page);
		return;
	}
	size = size <= 0 ? 10 : size > 100 ? 100 : size;
	world_lock();
	for (i = files.n; i-- > 0 && (int64_t)json_array_size(page) < size;) {
		struct file *f = files.items[i];

		if (!skip && listed(rq, f))
			json_array_append_new(page, file_json(f, origin));
		if (skip && !strcmp(token, f->id))
			skip = false;
		last = f->id;
	}
	j = json_array_size(page) ? json_pack("{sO}", "files", page) : json_object();
	json_decref(page);
	if (i != (size_t)-1 && last)
		json_object_set_new(j, "nextPageToken", json_string(last));
	world_unlock();
	if (skip) {
		json_decref(j);
		reply_error(rq, 400, NULL, "Invalid page token.");
		return;
	}
	reply_json_take(rq, 200, j);
}

/* A single "bytes=a-b"; false when there is none that makes sense. */
static bool parse_range(
	const char *s, int64_t total, int64_t *ret_first, int64_t *ret_last)
{
	int64_t first, last = total - 1;
	char *end;

	if (!s || strncmp(s, "bytes=", 6) || strchr(s, ','))
		return false;
	s += 6;
	if (*s == '-') {
		int64_t n = strtoll(s + 1, &end, 10);

		first = n > total ? 0 : total - n;
	} else {
		first = strtoll(s, &end, 10);
		if (*end != '-')
			return false;
		s = end + 1;
		if (*s)
			last = strtoll(s, &end, 10);
		else
			end = (char *)s;
	}
	if (*end)
		return false;
	*ret_first = first;
	*ret_last = last >= total ? total - 1 : last;
	return true;
}

static void range_header(struct request *rq, int64_t first, int64_t last, int64_t total)
{
	_cleanup_free_ char *s = xasprintf("bytes %lld-%lld/%lld", (long long)first,
		(long long)last, (long long)total);

	reply_header(rq, "Content-Range", s);
}

/* What the fault lying_range makes of a 206; `total` is the true size. */
static void lie(struct request *rq, int64_t first, int64_t last, int64_t total)
{
	const char *how = rq->fault.text ? rq->fault.text : "offset";
	struct reply *r = &rq->reply;

	if (!strcmp(how, "label")) {
		range_header(rq, first + 1, last + 1, total);
	} else if (!strcmp(how, "total")) {
		range_header(rq, first, last, total + 1 + rq->fault.bytes);
	} else if (!strcmp(how, "full")) {
		range_header(rq, 0, total - 1, total);
		r->off = 0;
		r->len = total;
	} else {
		range_header(rq, first, last, total);
		r->off = first ? first - 1 : (total > last + 1 ? 1 : 0);
	}
}

static void send_range(
	struct request *rq, int fd, int64_t first, int64_t last, int64_t total)
{
	if (first > last) {
		_cleanup_free_ char *s = xasprintf("bytes */%lld", (long long)total);

		close(fd);
		reply_text(rq, 416, "text/html", "");
		reply_header(rq, "Content-Range", s);
		return;
	}
	reply_file_take(rq, 206, NULL, fd, first, last - first + 1);
	if (rq->fault.kind == FAULT_LYING_RANGE)
		lie(rq, first, last, total);
	else if (rq->fault.kind == FAULT_CHANGED_LENGTH)
		range_header(rq, first, last, total + rq->fault.bytes);
	else
		range_header(rq, first, last, total);
}

static void send_bytes(struct request *rq, int fd, int64_t size)
{
	const char *accept = req_header(rq, "Accept-Encoding");
	_cleanup_free_ char *type = knob_text_dup(K_download_type);
	_cleanup_free_ char *etag = xasprintf("\"%s\"", rq->arg);
	int64_t cut = knob_num(K_truncate_download), first, last;
	bool gzip = knob_choice(K_gzip) == 2 ||
		    (knob_choice(K_gzip) == 1 && accept && strstr(accept, "gzip"));

	if (cut && cut < size)
		size = cut;
	if (rq->fault.kind == FAULT_CHANGED_LENGTH && size + rq->fault.bytes >= 0 &&
		rq->fault.bytes < 0)
		size += rq->fault.bytes;
	if (knob_on(K_range) && !gzip &&
		parse_range(req_header(rq, "Range"), size, &first, &last)) {
		send_range(rq, fd, first, last, size);
	} else {
		reply_file_take(rq, 200, NULL, fd, 0, size);
	}
	if (knob_on(K_range) && !gzip)
		reply_header(rq, "Accept-Ranges", "bytes");
	if (knob_on(K_etag))
		reply_header(rq, "ETag", etag);
	if (*type && rq->reply.is_file)
		reply_header(rq, "Content-Type", type);
	rq->reply.gzip = gzip;
	if (!knob_on(K_length))
		rq->reply.has_length = false;
}

void files_download(struct request *rq)
{
	const char *alt = req_query(rq, "alt");
	int64_t size = 0;
	bool generated = false, head = !strcmp(rq->method, "HEAD");
	struct file *f;
	int fd = -ENOENT;

	if (head && !knob_on(K_head)) {
		reply_html(rq, 404);
		return;
	}
	world_lock();
	f = file_find(rq->project, rq->arg);
	if (f) {
		size = f->size;
		generated = f->generated;
		fd = file_open_bytes(f->id);
	}
	world_unlock();
	if (f && !generated)
		reply_error(rq, 400, NULL, "Only generated files can be downloaded.");
	else if (fd >= 0 && (!alt || strcmp(alt, "media")))
		reply_error(rq, 400, NULL, "Downloads need alt=media.");
	else if (fd >= 0)
		send_bytes(rq, fd, size);
	else if (!strncmp(rq->arg, "batch-", 6))
		reply_not_found(rq);
	else
		reply_absent(rq);
	if (fd >= 0 && !rq->reply.is_file && rq->reply.status != 416)
		close(fd);
}

bool file_uri_ok(struct request *rq, const char *uri)
{
	const char *id = strstr(uri, "/files/") ? file_id_of(uri) : NULL;
	bool processing = false;
	struct file *f;

	if (!strstr(uri, "://")) {
		reply_error(rq, 400, NULL, "Invalid or unsupported file uri: %s", uri);
		return false;
	}
	if (!id)
		return true;
	world_lock();
	f = file_find(rq->project, id);
	processing = f && f->ready > now_ns();
	world_unlock();
	if (!f)
		reply_error(rq, 403, NULL,
			"You do not have permission to access the File %s or it may not "
			"exist.",
			id);
	else if (processing)
		reply_error(rq, 400, "FAILED_PRECONDITION",
			"The File %s is not in an ACTIVE state and usage is not "
			"allowed.",
			id);
	return f && !processing;
}
