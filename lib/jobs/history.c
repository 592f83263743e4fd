/* What is written to the ledger (ledger.h), and when. */
#include "jobs/history.h"
#include "jobs/parts.h"
#include "store/ledger.h"

#include <inttypes.h>
#include <unistd.h>

int gb_history_fd(struct gb_client *c)
{
	return c->store->history;
}

static void history_add_line(
	struct gb_job *job, const char *event, const struct ledger_tokens *t)
{
	struct gb_client *c = job->c;
	_cleanup_free_ char *tokens = ledger_fields(t);
	char when[32], label[PART_LABEL_SIZE];

	util_time_text(time(NULL), when); /* wall: shown */
	client_lock(c);
	const char *name =
		job->dir && job->dir->rec.name ? job->dir->rec.name : job->name;
	if (job->parent) {
		parts_label(job, label);
		name = label;
	}
	int64_t requests = job->batch->requests;
	if (requests <= 0 && job->dir && job->dir->rec.batch->requests > 0)
		requests = job->dir->rec.batch->requests;
	_cleanup_free_ char *line = util_format(
		"%s\t%u\t%s\t%s\t%s\t%s\t%" PRId64 "\t%s", when, (unsigned)getuid(),
		event, job->batch->id ? job->batch->id : "-", name ? name : "-",
		job->model ? job->model : "-", requests < 0 ? 0 : requests, tokens);
	client_unlock(c);
	if (tokens && line)
		DROP(store_append(c->store->history, line)); /* a text for people */
}

void history_add(struct gb_job *job, const char *event)
{
	history_add_line(job, event, &LEDGER_NO_TOKENS);
}

static int64_t known_tokens(int64_t n)
{
	return n > 0 ? n : 0;
}

void history_add_counted(struct gb_job *job, const struct ledger_tokens *tokens)
{
	struct gb_client *c = job->c;

	client_lock(c);
	c->counted.in += known_tokens(tokens->in);
	c->counted.out += known_tokens(tokens->out);
	c->counted.cached += known_tokens(tokens->cached);
	client_unlock(c);
	history_add_line(job, "counted", tokens);
}
