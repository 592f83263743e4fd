/*
 * The step `upload` of a submission: the requests become a file at the API, unless an
 * earlier try has uploaded them and that file lives long enough.
 */
#include "submit/submit.h"

#include <stdio.h>
#include <string.h>

static int on_upload_session(void *arg, const char *url)
{
	struct submission *s = arg;

	client_lock(s->c);
	int err = record_set(&s->rec->batch->session, *url ? url : NULL);
	client_unlock(s->c);
	return err ? err : job_dir_save(s->job);
}

static void on_upload_progress(void *arg, int64_t n)
{
	struct submission *s = arg;

	s->job->dir->uploaded = n;
}

/* Whether the upload of an earlier try lives long enough: our span does not count the
 * time between two boots, and the server's clock may be told wrong. */
static bool upload_is_good(const struct submission *s)
{
	const struct record *r = s->rec;
	const struct provider_limits *l = s->c->api.provider->limits;

	return r->batch->upload_since &&
	       record_span(r->batch->upload_since) < l->upload_good &&
	       (!r->batch->upload_until ||
		       engine_server_time(s->c->engine) <
			       r->batch->upload_until -
				       (l->upload_life - l->upload_good));
}

/* A create that was answered with 429 made nothing of its upload. */
static bool uploaded_already(struct submission *s)
{
	if (!s->t->background || !s->rec->batch->input_file || !upload_is_good(s))
		return false;
	s->input_file = strdup(s->rec->batch->input_file);
	return s->input_file != NULL;
}

int submission_upload(struct submission *s)
{
	struct upload u = {.fd = s->fd,
		.off = s->off,
		.size = s->size,
		.display = s->rec->display,
		.on_session = on_upload_session,
		.on_progress = on_upload_progress,
		.arg = s};
	struct remote_file file = {0};

	if (s->is_inline || uploaded_already(s))
		return 0;
	if (s->t->background)
		submission_set_phase(s->job, PHASE_UPLOADING);
	if (s->rec->batch->session)
		snprintf(u.session, sizeof(u.session), "%s", s->rec->batch->session);
	s->job->dir->uploaded = 0;
	s->job->dir->upload_size = s->size;
	s->job->dir->uploaded_since = util_now();
	int err = provider_upload(&s->c->api, &u, &s->t->cancel, &file, &s->err);
	client_called(s->c, &s->err);
	s->job->dir->uploaded_since = 0;
	if (!err) {
		client_lock(s->c);
		record_unset(&s->rec->batch->session);
		s->rec->batch->upload_since = record_now();
		s->rec->batch->upload_until = file.expires.tv_sec;
		s->input_file = STEAL_PTR(file.name);
		client_unlock(s->c);
	}
	remote_file_clear(&file);
	return err;
}
