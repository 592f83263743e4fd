#include "quota.h"
#include "knobs.h"
#include "ledger.h"
#include "model_table.h"
#include "scoped.h"

/* All world_lock. */
static struct ledger calls, spent;
static int64_t refused[QUOTAS], taken;

/* A project's queue for a model, and the most that was ever in it. */
static struct queue {
	char project[64];
	const char *model;
	int64_t jobs, tokens, most_jobs, most_tokens;
} * queues;
static size_t n_queues;

static struct refusal refuse(
	enum quota cause, double limit, double seconds, const char *model)
{
	refused[cause]++;
	return (struct refusal){cause, limit, seconds, model_version(model)};
}

static const struct refusal passes = {QUOTA_NONE, 0, 0, NULL};

struct refusal quota_call(const char *project, const char *model)
{
	double most = scoped_num(K_create_rate, project, model);
	double window = knob_num(K_create_window);
	int64_t oldest = now_ns();
	double n = ledger_sum(&calls, project, window, &oldest);

	if (most > 0 && n >= most)
		return refuse(QUOTA_RATE, most,
			window - (double)(now_ns() - oldest) / NS, model);
	ledger_add(&calls, project, 1);
	if (scoped_num(K_credits_depleted, project, model) > 0)
		return refuse(QUOTA_CREDITS, 0, 0, model);
	return passes;
}

static struct queue *queue_of(const char *project, const char *model)
{
	const char *version = model_version(model);
	struct queue *q;

	for (size_t i = 0; i < n_queues; i++)
		if (!strcmp(queues[i].project, project) &&
			!strcmp(queues[i].model, version))
			return &queues[i];
	queues = xrealloc(queues, (n_queues + 1) * sizeof(queues[0]));
	q = &queues[n_queues++];
	*q = (struct queue){.model = xstrdup(version)};
	snprintf(q->project, sizeof(q->project), "%s", project);
	return q;
}

/* Counts what is in the queues now. */
static void look_at_queues(void)
{
	struct job **all;
	size_t n;

	for (size_t i = 0; i < n_queues; i++)
		queues[i].jobs = queues[i].tokens = 0;
	all = jobs_all(&n);
	for (size_t i = 0; i < n; i++) {
		struct queue *q;

		if (job_has_ended(all[i]))
			continue;
		q = queue_of(all[i]->project, all[i]->model);
		q->jobs++;
		q->tokens += all[i]->tokens;
	}
}

static void note_taken(struct queue *q, const struct job *j, double price)
{
	taken++;
	ledger_add(&spent, j->project, price);
	if (q->jobs + 1 > q->most_jobs)
		q->most_jobs = q->jobs + 1;
	if (q->tokens + j->tokens > q->most_tokens)
		q->most_tokens = q->tokens + j->tokens;
}

struct refusal quota_job(const struct job *j)
{
	const double of_job = scoped_num(K_job_tokens, j->project, j->model);
	const double of_queue = scoped_num(K_queue_tokens, j->project, j->model);
	const double jobs = scoped_num(K_max_jobs, j->project, j->model);
	const double money = scoped_num(K_spend_limit, j->project, j->model);
	const double price = (double)j->tokens / 1e6 *
			     scoped_num(K_token_price, j->project, j->model);
	double before = ledger_sum(&spent, j->project, knob_num(K_spend_window), NULL);
	struct queue *q;

	look_at_queues();
	q = queue_of(j->project, j->model);
	if (jobs > 0 && (double)jobs_unended(j->project) >= jobs)
		return refuse(QUOTA_JOBS, jobs, 0, j->model);
	if (of_job > 0 && (double)j->tokens > of_job)
		return refuse(QUOTA_JOB_TOKENS, of_job, 0, j->model);
	if (of_queue > 0 && (double)(q->tokens + j->tokens) > of_queue)
		return refuse(QUOTA_TOKENS, of_queue, 0, j->model);
	/* a millionth for the sake of sums that are exact on paper */
	if (money > 0 && before + price > money + 1e-6)
		return refuse(QUOTA_SPEND, money, 0, j->model);
	if (random_below(100) < knob_num(K_quota_whim))
		return refuse(QUOTA_WHIM, 0, 0, j->model);
	note_taken(q, j, price);
	return passes;
}

/* ---- words ------------------------------------------------------------------------- */

#define USUAL                                                                          \
	"You exceeded your current quota, please check your plan and billing "         \
	"details. For more information on this error, head to: "                       \
	"https://ai.google.dev/gemini-api/docs/rate-limits."

static json_t *help(void)
{
	return json_pack("{ss s[{ss ss}]}", "@type",
		"type.googleapis.com/google.rpc.Help", "links", "description",
		"Learn more about Gemini API quotas", "url",
		"https://ai.google.dev/gemini-api/docs/rate-limits");
}

/* What a QuotaFailure calls a quota. */
static const struct {
	const char *metric, *id;
} names[QUOTAS] = {
	[QUOTA_RATE] = {"batch_create_requests",
		"BatchCreateRequestsPerMinutePerProject"},
	[QUOTA_JOBS] = {"batch_concurrent_jobs", "ConcurrentBatchJobsPerProject"},
	[QUOTA_TOKENS] = {"batch_enqueued_tokens",
		"BatchEnqueuedTokensPerProjectPerModel"},
	[QUOTA_JOB_TOKENS] = {"batch_enqueued_tokens",
		"BatchEnqueuedTokensPerProjectPerModel"},
	[QUOTA_WHIM] = {"batch_enqueued_tokens",
		"BatchEnqueuedTokensPerProjectPerModel"},
};

static void reply_named(struct request *rq, const struct refusal *r)
{
	_cleanup_free_ char *metric = xasprintf(
		"generativelanguage.googleapis.com/%s", names[r->cause].metric);
	struct buf text = {0};
	json_t *details = json_pack("[o {ss s[{ss ss s{ss ss} so}]}]", help(), "@type",
		"type.googleapis.com/google.rpc.QuotaFailure", "violations",
		"quotaMetric", metric, "quotaId", names[r->cause].id, "quotaDimensions",
		"location", "global", "model", r->model, "quotaValue",
		json_sprintf("%.0f", r->limit));

	buf_printf(&text,
		USUAL "\n* Quota exceeded for metric: %s, limit: %.0f, model: %s",
		metric, r->limit, r->model);
	if (r->seconds > 0) {
		buf_printf(&text, "\nPlease retry in %.3fs.", r->seconds);
		json_array_append_new(details,
			json_pack("{ss so}", "@type",
				"type.googleapis.com/google.rpc.RetryInfo",
				"retryDelay", json_sprintf("%.3fs", r->seconds)));
	}
	reply_error_details(rq, 429, NULL, text.p, details);
	buf_free(&text);
}

void quota_reply(struct request *rq, const struct refusal *r)
{
	bool named = knob_choice(K_quota_text) == 4;

	if (r->cause == QUOTA_CREDITS)
		reply_error(rq, 429, NULL,
			"Your prepayment credits are depleted. Please go to AI Studio to "
			"manage your project and billing.");
	else if (r->cause == QUOTA_SPEND && knob_choice(K_spend_text) == 0)
		reply_error(rq, 429, NULL,
			"You exceeded your spend-based rate limit. Your spending rate has "
			"exceeded the allowed limit for your account's billing history "
			"and tier.");
	else if (r->cause == QUOTA_RATE || (named && names[r->cause].id))
		reply_named(rq, r);
	else
		reply_quota(rq);
}

/* ---- what can be watched --------------------------------------------------------------- */

static json_t *queues_json(void)
{
	json_t *list = json_array();

	look_at_queues();
	for (size_t i = 0; i < n_queues; i++) {
		const struct queue *q = &queues[i];

		json_array_append_new(
			list, json_pack("{ss ss sI sI sI sI sf}", "project", q->project,
				      "model", q->model, "jobs", (json_int_t)q->jobs,
				      "tokens", (json_int_t)q->tokens, "mostJobs",
				      (json_int_t)q->most_jobs, "mostTokens",
				      (json_int_t)q->most_tokens, "spent",
				      ledger_sum(&spent, q->project,
					      knob_num(K_spend_window), NULL)));
	}
	return list;
}

json_t *quota_json(void)
{
	static const char *const causes[QUOTAS] = {[QUOTA_RATE] = "rate",
		[QUOTA_CREDITS] = "credits",
		[QUOTA_JOBS] = "jobs",
		[QUOTA_TOKENS] = "tokens",
		[QUOTA_JOB_TOKENS] = "jobTokens",
		[QUOTA_SPEND] = "spend",
		[QUOTA_WHIM] = "whim"};
	json_t *by_cause = json_object();

	for (int i = QUOTA_NONE + 1; i < QUOTAS; i++)
		json_object_set_new(by_cause, causes[i], json_integer(refused[i]));
	return json_pack("{so sI so}", "queues", queues_json(), "taken",
		(json_int_t)taken, "refused", by_cause);
}

void quota_reset(void)
{
	ledger_clear(&calls);
	ledger_clear(&spent);
	memset(refused, 0, sizeof(refused));
	taken = 0;
	for (size_t i = 0; i < n_queues; i++)
		queues[i].most_jobs = queues[i].most_tokens = 0;
}
