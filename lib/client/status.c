#include "client/status.h"
#include "archive/save.h"
#include "client/disk_use.h"
#include "client/trash.h"
#include "jobs/parts.h"
#include "provider/errors.h"
#include "submit/fit.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

static void status_set(struct status *s, enum status_id id, int64_t number)
{
	s->values[id].number = number;
}

/* A path may have any bytes, but lines, labels and JSON have one line of UTF-8. */
static char *shown_dup(const char *text)
{
	char *ret = strdup(text);

	for (char *p = ret; p && *p;) {
		size_t n = 1, left = strnlen(p, 4);

		while (n <= left && !util_utf8_valid(p, n))
			n++;
		if (n > left || (unsigned char)*p < 0x20 || *p == 0x7f) {
			*p = '?';
			n = 1;
		}
		p += n;
	}
	return ret;
}

static void status_say(struct status *s, enum status_id id, const char *text)
{
	free(s->values[id].text);
	s->values[id].text = text ? shown_dup(text) : NULL;
}

/* ---- jobs ---------------------------------------------------------------------------- */

/* Lock held. What is unsent, uncertain or not saved counts by the part. */
static void add_job(struct status *s, const struct gb_job *job)
{
	struct status_value *v = s->values;
	enum phase p = job_phase(job);

	v[STATUS_JOBS].number += !job->parent;
	v[STATUS_DRAFTS].number += phase_is_draft(p) && !job->parent;
	v[STATUS_UNSENT].number += (p >= PHASE_UPLOADING && p <= PHASE_SUBMITTING) ||
				   parts_rest_is_open(job);
	v[STATUS_UNCERTAIN].number += p == PHASE_UNCERTAIN;
	v[STATUS_NOT_SAVED].number += save_is_missing(job);
}

/* Lock held. */
static void add_up_states(struct gb_client *c, struct status *s)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct gb_job *job = c->slots[i];
		int64_t size = job->batch->results_size;

		s->values[STATUS_REMOVING].number +=
			job->dir && job->dir->rec.removal && !job->dir->forgotten &&
			!job->parent;
		if (size > 0 && job->dir && job->dir->rec.batch->home)
			s->values[STATUS_DISK_SAVED].number += size;
		else if (size > 0 && job->batch->cached)
			s->values[STATUS_DISK_CACHED].number += size;
		if (job_shown(job))
			add_job(s, job);
	}
}

/* Lock held. */
static int list_not_saved(struct gb_client *c, struct status *s)
{
	size_t n = (size_t)s->values[STATUS_NOT_SAVED].number;

	s->not_saved = calloc(n + 1, sizeof(*s->not_saved));
	if (!s->not_saved)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_slots && s->n_not_saved < n; i++) {
		const struct gb_job *job = c->slots[i];
		struct status_entry *e = &s->not_saved[s->n_not_saved];
		char label[PART_LABEL_SIZE];

		if (!save_is_missing(job))
			continue;
		strcpy(e->when, "unknown");
		if (job->batch->ended_at.tv_sec)
			util_time_text(job->batch->ended_at.tv_sec +
					       c->api.provider->limits->job_life,
				e->when);
		parts_label(job, label);
		e->what = strdup(label);
		if (!e->what)
			return -ENOMEM;
		s->n_not_saved++;
	}
	return 0;
}

static void count_state(struct status *s, const char *state)
{
	size_t i = 0;

	while (i < s->n_states && strcmp(s->states[i].state, state) != 0)
		i++;
	if (i == STATUS_STATES || strlen(state) >= sizeof(s->states->state))
		return;
	strcpy(s->states[i].state, state);
	s->states[i].n++;
	if (i == s->n_states)
		s->n_states++;
}

static void count_states(struct gb_client *c, struct status *s)
{
	struct gb_job *job;

	for (uint32_t slot = 0; (job = gb_job_next(c, slot)); gb_job_unref(job)) {
		struct gb_info i;

		gb_job_info(job, &i);
		slot = i.slot + 1;
		count_state(s, i.state);
	}
}

/* ---- the rest ------------------------------------------------------------------------ */

/* Lock held. */
static void say_online(struct gb_client *c, struct status *s)
{
	_cleanup_free_ char *text = NULL;
	char since[32];

	status_set(s, STATUS_ONLINE, !c->o.offline && !c->offline_since);
	if (c->o.offline) {
		status_say(s, STATUS_ONLINE, "no (mounted offline)");
	} else if (c->offline_since) {
		util_time_text(c->offline_since, since);
		text = util_format("no, since %s (%s)", since,
			errors_meaning(c->last_error));
		status_say(s, STATUS_ONLINE, text);
	}
}

/* Lock held. */
static void collect_client(struct gb_client *c, struct status *s)
{
	status_say(s, STATUS_ENDPOINT, engine_origin(c->engine));
	status_say(s, STATUS_KEY_SOURCE, c->o.key_source ? c->o.key_source : "none");
	status_say(s, STATUS_STATE_DIR, c->o.state_dir);
	status_say(s, STATUS_CACHE_DIR, c->o.cache_dir);
	status_set(s, STATUS_CALLS, (int64_t)engine_calls(c->engine));
	status_set(s, STATUS_SENT, (int64_t)engine_bytes(c->engine, true));
	status_set(s, STATUS_RECEIVED, (int64_t)engine_bytes(c->engine, false));
	status_set(s, STATUS_TOKENS_IN, c->counted.in);
	status_set(s, STATUS_TOKENS_OUT, c->counted.out);
	status_set(s, STATUS_TOKENS_CACHED, c->counted.cached);
	status_set(s, STATUS_DISK_LOW, saver_disk_low(c));
	if (saver_disk_low(c))
		status_say(s, STATUS_DISK_LOW, "yes: results are not fetched");
	say_online(c, s);
}

static void collect_disk(struct gb_client *c, struct status *s)
{
	struct statvfs vfs;

	status_set(s, STATUS_STATE_DIR_BYTES, disk_use_bytes(c));
	if (s->values[STATUS_STATE_DIR_BYTES].number < 0)
		status_say(s, STATUS_STATE_DIR_BYTES, "being counted: look again");
	status_set(s, STATUS_DISK_FREE, -1);
	if (gb_statvfs(c, &vfs) == 0)
		status_set(s, STATUS_DISK_FREE,
			(int64_t)((uint64_t)vfs.f_bavail * vfs.f_frsize));
	status_set(s, STATUS_TRASH, trash_count(c));
}

int status_collect(struct gb_client *c, struct status *ret)
{
	struct status s = {0};
	int err;

	client_lock(c);
	add_up_states(c, &s);
	err = list_not_saved(c, &s);
	collect_client(c, &s);
	client_unlock(c);
	count_states(c, &s);
	collect_disk(c, &s);
	if (err)
		status_clear(&s);
	else
		*ret = s;
	return err;
}

void status_clear(struct status *s)
{
	for (size_t i = 0; i < STATUS_IDS; i++)
		free(s->values[i].text);
	for (size_t i = 0; i < s->n_not_saved; i++)
		free(s->not_saved[i].what);
	free(s->not_saved);
	*s = (struct status){0};
}

void gb_status_as(struct gb_client *c, enum gb_status_form form, FILE *out)
{
	struct status s;

	if (status_collect(c, &s) < 0)
		return;
	if (form == GB_STATUS_TEXT) {
		status_put_text(&s, out);
		fit_status(c, out);
		trash_list(c, out);
	} else if (form == GB_STATUS_METRICS)
		status_put_metrics(&s, out);
	else
		status_put_json(&s, out);
	status_clear(&s);
}

void gb_status(struct gb_client *c, FILE *out)
{
	gb_status_as(c, GB_STATUS_TEXT, out);
}
