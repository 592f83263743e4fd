/* Tables for people: all jobs, running transfers. */
#include "jobs/parts.h"

#include <inttypes.h>

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
