/* The bytes of an output file, and how long it is now. */
#include "provider/gemini/output.h"

#include <errno.h>

#include "provider/gemini/calls.h"
#include "provider/output_shape.h"

int gemini_download(struct engine *e, const struct download *d, struct transfer **ret)
{
	char path[512];
	struct http_request r;
	int err = gemini_download_request(
		d->file, d->way > 0, path, sizeof path, d->range, &r);

	if (err < 0)
		return err;
	r.on_head = d->on_head;
	r.on_data = d->on_data;
	r.done = d->done;
	r.arg = d->arg;
	return engine_submit(e, &r, ret);
}

/* ---- its length  ---- */

struct look {
	int64_t size; /* -1: it is the end of the body that tells */
	int64_t came;
	bool told, whole;
	bool page; /* says the head */
};

static int look_on_head(void *arg, const struct http_reply *h)
{
	struct look *l = arg;

	if (h->status == 206 &&
		(h->range_start != 0 || h->range_total < 0 || h->encoded))
		return -EIO;
	if (h->status == 206)
		l->size = h->range_total;
	else if (h->status == 200 && !h->encoded)
		l->size = h->content_length;
	l->whole = h->status == 200;
	l->page = h->page;
	/* Of a whole file the first bytes decide. */
	l->told = l->size >= 0 && !l->whole;
	return 0;
}

static int look_on_data(void *arg, const void *buf, size_t n)
{
	struct look *l = arg;

	enum shape shape =
		l->whole && l->came == 0 ? shape_of_beginning(buf, n) : SHAPE_LINES;

	if (shape == SHAPE_FOREIGN || (l->page && shape != SHAPE_LINES))
		return -EIO;
	/* The rest of a body whose length is told is of no use. */
	l->told = l->size >= 0;
	l->came += (int64_t)n;
	return l->told && l->whole ? -ECANCELED : 0;
}

/* -ENODATA: it is not there. A page that something else sent says nothing of the file:
 * -EHOSTUNREACH, and there may be another path. */
static int judge_missing(const struct http_reply *reply)
{
	struct provider_error e = {0};

	gemini_error_from_reply(reply, &e);
	bool own = e.from_api;
	provider_error_clear(&e);
	return own ? -ENODATA : -EHOSTUNREACH;
}

int gemini_output_size(struct engine *e, const char *file, unsigned way,
	struct canceller *c, int64_t *ret)
{
	struct look l = {.size = -1};
	struct http_reply reply;
	struct http_request q;
	char path[512];
	int err = gemini_download_request(file, way > 0, path, sizeof path, "0-0", &q);

	if (err < 0)
		return err;
	q.on_head = look_on_head;
	q.on_data = look_on_data;
	q.arg = &l;
	err = engine_call(e, &q, c, &reply);
	if (l.told)
		err = 0;
	else if (err == 0 && (reply.status == 404 || reply.status == 410))
		err = judge_missing(&reply);
	else if (err == 0 && (!l.whole || !reply.complete))
		err = -EIO;
	if (err == 0)
		*ret = l.told ? l.size : l.came;
	http_reply_clear(&reply);
	return err;
}
