#include "archive/save.h"
#include "client/disk_use.h"
#include "client/trash.h"
#include "jobs/parts.h"
#include "provider/errors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* ---- status ------------------------------------------------------------------------- */

struct sums {
	unsigned jobs, drafts, unsent, uncertain, removing, not_saved;
	int64_t home, cache; /* bytes of results */
};

/* Lock held. */
static void add_up_states(struct gb_client *c, struct sums *s)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct gb_job *job = c->slots[i];
		enum phase p = job_phase(job);

		s->removing += job->dir && job->dir->rec.removal &&
			       !job->dir->forgotten;
		if (job->batch->results_size > 0 && job->dir &&
			job->dir->rec.batch->home)
			s->home += job->batch->results_size;
		else if (job->batch->results_size > 0 && job->batch->cached)
			s->cache += job->batch->results_size;
		if (!job_shown(job))
			continue;
		/* What is unsent, uncertain or not saved counts by the part. */
		s->jobs += !job->parent;
		s->drafts += phase_is_draft(p) && !job->parent;
		s->unsent += (p >= PHASE_UPLOADING && p <= PHASE_SUBMITTING) ||
			     parts_rest_is_open(job);
		s->uncertain += p == PHASE_UNCERTAIN;
		s->not_saved += save_is_missing(job);
	}
}

static void status_not_saved(struct gb_client *c, FILE *out)
{
	for (uint32_t i = 0; i < c->n_slots; i++) {
		const struct gb_job *job = c->slots[i];
		char when[32] = "unknown", label[PART_LABEL_SIZE];

		if (!save_is_missing(job))
			continue;
		if (job->batch->ended_at.tv_sec)
			util_time_text(job->batch->ended_at.tv_sec +
					       c->api.provider->limits->job_life,
				when);
		parts_label(job, label);
		fprintf(out, "not_saved %s\t%s\n", when, label);
	}
}

void gb_status(struct gb_client *c, FILE *out)
{
	struct sums s = {0};
	char since[32] = "";
	struct statvfs vfs;

	client_lock(c);
	add_up_states(c, &s);
	if (c->offline_since)
		util_time_text(c->offline_since, since);
	fprintf(out, "endpoint %s\n", engine_origin(c->engine));
	fprintf(out, "key_source %s\n", c->o.key_source ? c->o.key_source : "none");
	if (c->o.offline)
		fprintf(out, "online no (mounted offline)\n");
	else if (c->offline_since)
		fprintf(out, "online no, since %s (%s)\n", since,
			errors_meaning(c->last_error));
	else
		fprintf(out, "online yes\n");
	fprintf(out, "state_dir %s\ncache_dir %s\n", c->o.state_dir, c->o.cache_dir);
	fprintf(out, "api_calls %" PRIu64 "\n", engine_calls(c->engine));
	fprintf(out, "jobs %u\ndrafts %u\nunsent %u\nuncertain %u\nremoving %u\n",
		s.jobs, s.drafts, s.unsent, s.uncertain, s.removing);
	fprintf(out, "results_not_saved %u\n", s.not_saved);
	fprintf(out,
		"disk_results_saved %" PRId64 "\ndisk_results_cached %" PRId64 "\n",
		s.home, s.cache);
	fprintf(out, "disk_low %s\n",
		saver_disk_low(c) ? "yes: results are not fetched" : "no");
	status_not_saved(c, out);
	client_unlock(c);
	disk_use_status(c, out);
	if (gb_statvfs(c, &vfs) == 0)
		fprintf(out, "disk_free %" PRIu64 "\n",
			(uint64_t)vfs.f_bavail * vfs.f_frsize);
	trash_status(c, out);
}

/* ---- jobs ---------------------------------------------------------------------------- */

static const char *saved_text(const struct gb_info *i)
{
	static const char *const names[] = {
		[GB_OUTPUT_NONE] = "-",       [GB_OUTPUT_AWAITED] = "awaited",
		[GB_OUTPUT_INLINE] = "no",    [GB_OUTPUT_THERE] = "no",
		[GB_OUTPUT_SAVED] = "yes",     [GB_OUTPUT_LOST] = "lost",
		[GB_OUTPUT_KEPT] = "no",      [GB_OUTPUT_DAMAGED] = "damaged",
	};

	return i->output == GB_OUTPUT_SAVED && !i->results_safe ? "no"
								: names[i->output];
}

static void count_text(int64_t n, FILE *out)
{
	if (n < 0)
		fprintf(out, "\t-");
	else
		fprintf(out, "\t%" PRId64, n);
}

/* now: by the server's clock, which decides when jobs and results expire. */
static void job_row(const struct gb_info *i, time_t now, FILE *out)
{
	char created[32] = "-";

	if (i->created.tv_sec)
		util_time_text(i->created.tv_sec, created);
	fprintf(out, "%s\t%s\t%s", i->name, i->state, i->model);
	count_text(i->requests, out);
	count_text(i->succeeded, out);
	count_text(i->failed, out);
	count_text(i->pending, out);
	fprintf(out, "\t%s", created);
	if (i->expires > now)
		fprintf(out, "\t%.1f", difftime(i->expires, now) / 3600);
	else
		fprintf(out, "\t%s", i->expires ? "0" : "-");
	fprintf(out, "\t%s", saved_text(i));
	if (i->learnt)
		fprintf(out, "\t%.0f\n", difftime(time(NULL), i->learnt)); /* wall: shown */
	else
		fprintf(out, "\t-\n");
}

void gb_jobs_table(struct gb_client *c, FILE *out)
{
	struct gb_job *job;

	fprintf(out,
		"name\tstate\tmodel\trequests\tsucceeded\tfailed\tpending\tcreated\t"
		"hours_left\tresults_saved\tseconds_old\n");
	for (uint32_t slot = 0; (job = gb_job_next(c, slot)); gb_job_unref(job)) {
		struct gb_info i;

		gb_job_info(job, &i);
		slot = i.slot + 1;
		job_row(&i, engine_server_time(c->engine), out);
	}
}

/* ---- transfers ------------------------------------------------------------------------ */

static void transfer_line(FILE *out, const char *name, const char *way, int64_t have,
	int64_t total, double rate)
{
	fprintf(out, "%s\t%s\t%" PRId64, name, way, have);
	count_text(total, out);
	fprintf(out, "\t%.0f", rate);
	if (total >= have && rate > 0)
		fprintf(out, "\t%.0f\n", (double)(total - have) / rate);
	else
		fprintf(out, "\t-\n");
}

void gb_transfers(struct gb_client *c, FILE *out)
{
	struct gb_job *job;

	for (uint32_t slot = 0; (job = job_next_any(c, slot)); gb_job_unref(job)) {
		char label[PART_LABEL_SIZE];
		struct results_progress p;
		double since = 0;
		int64_t sent = 0, size = 0;

		slot = job->slot + 1;
		client_lock(c);
		parts_label(job, label);
		struct gb_results *r =
			job->batch->results ? results_ref(job->batch->results) : NULL;
		if (job->dir && job->dir->task) {
			since = job->dir->uploaded_since;
			sent = job->dir->uploaded;
			size = job->dir->upload_size;
		}
		client_unlock(c);
		if (since > 0)
			transfer_line(out, label, "up", sent, size,
				(double)sent / (util_now() - since + 0.001));
		if (r && results_progress(r, &p))
			transfer_line(out, label, "down", p.have, p.total, p.rate);
		results_unref(r);
	}
}
