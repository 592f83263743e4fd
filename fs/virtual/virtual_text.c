#include "virtual/virtual_text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "virtual/ctl.h"

/* Every text ends in a newline, whatever its source does. */
static void put_lines(FILE *out, const char *text)
{
	size_t n = strlen(text);

	fwrite(text, 1, n, out);
	if (n && text[n - 1] != '\n')
		fputc('\n', out);
}

static int put_taken(FILE *out, char *text)
{
	if (!text)
		return -ENOENT;
	put_lines(out, text);
	free(text);
	return 0;
}

int text_model(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_job_info(job, &info);
	put_lines(out, info.model ? info.model : "");
	return 0;
}

int text_state(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_job_info(job, &info);
	put_lines(out, info.state);
	return 0;
}

int text_part_state(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_part_info(job, &info);
	put_lines(out, info.state);
	return 0;
}

int text_split(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_job_info(job, &info);
	put_lines(out, info.split);
	return 0;
}

static void put_count(FILE *out, const char *name, int64_t n)
{
	if (n >= 0)
		fprintf(out, "%s %" PRId64 "\n", name, n);
}

static void put_stats(FILE *out, const struct gb_info *info)
{
	put_count(out, "request_count", info->requests);
	put_count(out, "successful_request_count", info->succeeded);
	put_count(out, "failed_request_count", info->failed);
	put_count(out, "pending_request_count", info->pending);
	put_count(out, "estimated_prompt_tokens", info->estimated_tokens);
	if (info->estimated_tokens >= 0)
		put_count(out, "estimate_error_percent", info->estimate_percent);
	if (info->estimated_cost[0])
		fprintf(out, "estimated_prompt_cost %s\n", info->estimated_cost);
	if (info->rounds)
		put_count(out, "rounds", info->rounds);
	if (info->retries_left)
		put_count(out, "retries_left", info->retries_left);
	if (info->submit_errno)
		put_count(out, "submit_errno", info->submit_errno);
	if (!info->has_parts)
		return;
	put_count(out, "parts", info->parts);
	put_count(out, "parts_sent", info->parts_sent);
	put_count(out, "parts_ended", info->parts_ended);
}

int text_stats(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_job_info(job, &info);
	put_stats(out, &info);
	return 0;
}

int text_part_stats(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_part_info(job, &info);
	put_stats(out, &info);
	return 0;
}

int text_error(struct mount *m, struct gb_job *job, FILE *out)
{
	return put_taken(out, gb_job_error(job));
}

int text_part_error(struct mount *m, struct gb_job *job, FILE *out)
{
	return put_taken(out, gb_part_error(job));
}

int text_warnings(struct mount *m, struct gb_job *job, FILE *out)
{
	return put_taken(out, gb_job_warnings(job));
}

static int put_id(FILE *out, const struct gb_info *info)
{
	if (!info->id)
		return -ENOENT;
	put_lines(out, info->id);
	return 0;
}

int text_id(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_job_info(job, &info);
	return put_id(out, &info);
}

int text_part_id(struct mount *m, struct gb_job *job, FILE *out)
{
	struct gb_info info;

	gb_part_info(job, &info);
	return put_id(out, &info);
}

int text_json(struct mount *m, struct gb_job *job, FILE *out)
{
	return put_taken(out, gb_job_json(job));
}

int text_part_json(struct mount *m, struct gb_job *job, FILE *out)
{
	return put_taken(out, gb_part_json(job));
}

int text_ctl(struct mount *m, struct gb_job *job, FILE *out)
{
	verbs_list(job, out);
	return 0;
}

static const char readme[] =
	"batchfs: the batch jobs of a Gemini API project as directories.\n"
	"\n"
	"A batch costs half of what the same calls cost one by one. Google aims at an\n"
	"answer within 24 hours, often it is minutes; after 48 hours a job that has "
	"not\n"
	"ended expires. So ask in bulk, and wait.\n"
	"\n"
	"  mkdir haiku                            a draft, nothing is sent\n"
	"  cp requests.jsonl haiku/               submits: 0 when the job exists\n"
	"  cat haiku/wait                         blocks until it has ended\n"
	"  cat haiku/results.jsonl                what came back\n"
	"  rmdir haiku                            deletes it (rm -r does not)\n"
	"\n"
	"A line of requests.jsonl, with a key of your choice:\n"
	"\n"
	"  {\"key\": \"a\", \"request\": {\"contents\": [{\"parts\": [{\"text\": "
	"\"Hi\"}]}]}}\n"
	"\n"
	"In a job's directory:\n"
	"\n"
	"  requests.jsonl  the requests: written once, then read-only\n"
	"  model           one line, writable until the job is submitted\n"
	"  split           the same: how many requests a part has; auto; none\n"
	"  state           DRAFT, UPLOADING, SUBMITTING, ..., JOB_STATE_SUCCEEDED, "
	"...\n"
	"  stats           counts, and what an estimate said\n"
	"  results.jsonl   the results, in any order: match them by key\n"
	"  answers.tsv     the same in the order asked: key, outcome, text or reason\n"
	"  responses/      the same, one file per answer: KEY.txt, .json, .png, .error\n"
	"  retry.jsonl     requests worth asking again: echo retry > ctl\n"
	"  answers.csv     your table (inputs.csv) with columns for the answers\n"
	"  vectors.npy     embeddings, for numpy: one row per request\n"
	"  usage           tokens and outcomes\n"
	"  error           what is wrong and what to do; absent if all is well\n"
	"  warnings        what is worth knowing but no error\n"
	"  id, job.json    the job as the API knows it\n"
	"  parts/          the API's jobs, where several were needed: 0001/, 0002/ ...\n"
	"  ctl             echo a verb into it; reading lists the possible verbs\n"
	"  wait            not listed; reading blocks until the job has ended\n"
	"  other names     scratch of yours, sent only if a request names it\n"
	"\n"
	"Without writing JSON: a request for each file, submitted by ctl alone\n"
	"\n"
	"  inputs/         files to ask about: texts, pictures, sound, PDF\n"
	"  inputs.txt      instead: a request for each line\n"
	"  inputs.csv      instead: a request for each row of a table; .tsv, too\n"
	"  prompt.txt      what to ask about each; {column}: a cell of the row\n"
	"  system.txt      the system instruction\n"
	"  schema.json     answers are JSON of this schema\n"
	"  defaults.json   other members of a request, such as generationConfig\n"
	"\n"
	"  cp *.jpg j/inputs/ && echo 'Describe this picture.' > j/prompt.txt\n"
	"  echo check > j/ctl; cat j/requests.jsonl     look before you buy\n"
	"  echo estimate > j/ctl; cat j/stats           how many tokens it would be\n"
	"  echo submit > j/ctl && cat j/wait\n"
	"\n"
	"Every job submitted costs money. The last close of requests.jsonl submits, "
	"so\n"
	"scripts should write another name and, when all went well,\n"
	"mv it to requests.jsonl: mv submits too, and its exit status is the truth.\n"
	"A writer that was killed or failed, or one that appends (>>), submits "
	"nothing:\n"
	"error says so, and echo submit > ctl submits when the file is complete.\n"
	"Results are kept by the API for a limited time only; batchfs saves "
	"them\n"
	"as soon as a job has ended, and they stay readable until rmdir.\n"
	"\n"
	"Here in .batchfs:\n"
	"\n"
	"  status     endpoint, where the key came from, online or offline, disk use,\n"
	"             unsent work, results not yet saved\n"
	"  jobs       a table of all jobs\n"
	"  history    what was created, ended, cancelled, deleted, and when; tokens\n"
	"  transfers  what is running now\n"
	"  models     names for model\n"
	"  metrics    the numbers of status, for Prometheus\n"
	"  log        the newest 1,000 lines of the log; tail -f follows it\n"
	"\n"
	"Errors: Bad message: a line of requests.jsonl is wrong, error names it;\n"
	"Permission denied: the key was refused; Disk quota exceeded: the API's rate "
	"or\n"
	"quota; No route to host: no network; Device or resource busy: not now.\n";

int text_readme(struct mount *m, struct gb_job *job, FILE *out)
{
	fputs(readme, out);
	return 0;
}

int text_status(struct mount *m, struct gb_job *job, FILE *out)
{
	gb_status(m->gb, out);
	return 0;
}

int text_status_json(struct mount *m, struct gb_job *job, FILE *out)
{
	gb_status_as(m->gb, GB_STATUS_JSON, out);
	return 0;
}

int text_metrics(struct mount *m, struct gb_job *job, FILE *out)
{
	gb_status_as(m->gb, GB_STATUS_METRICS, out);
	return 0;
}

int text_jobs(struct mount *m, struct gb_job *job, FILE *out)
{
	gb_jobs_table(m->gb, out);
	return 0;
}

int text_transfers(struct mount *m, struct gb_job *job, FILE *out)
{
	gb_transfers(m->gb, out);
	return 0;
}
