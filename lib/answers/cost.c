/* What a job cost: tokens for the ledger, and, where the user has a price, money. */
#include <string.h>

#include "answers/answers_private.h"
#include "jobs/history.h"
#include "store/ledger.h"
#include "store/prices.h"

/* The first model_version line of usage, if it is the only one; else "". */
static void only_version(const struct answers *a, char ret[LINE_WORD_MAX])
{
	static const char word[] = "model_version ";
	const char *text = a->blob + a->head.models_at;
	size_t n = a->head.models_len, w = strlen(word);
	const char *end = n ? memchr(text, '\n', n) : NULL;

	ret[0] = '\0';
	if (!end || end + 1 != text + n || n < w || memcmp(text, word, w) != 0)
		return;
	size_t len = strcspn(text + w, " \n");
	if (len >= LINE_WORD_MAX)
		return;
	memcpy(ret, text + w, len);
	ret[len] = '\0';
}

/* Of the tokens, by the model's present price; "": not known. a: results by it. */
static void cost_of(struct gb_job *job, const int64_t tokens[TOKENS_N],
	const struct answers *a, char ret[PRICES_TEXT])
{
	const char *path = job->c->o.prices;
	char version[LINE_WORD_MAX];
	struct price p;

	ret[0] = '\0';
	client_lock(job->c);
	const char *model = job->model; /* interned: it lives as long as the client */
	client_unlock(job->c);
	only_version(a, version);
	if (prices_find(path, model, &p) ||
		(*version && prices_find(path, version, &p)))
		prices_cost(&p, tokens[TOKENS_PROMPT],
			tokens[TOKENS_CANDIDATES] + tokens[TOKENS_THOUGHTS], ret);
}

void answers_price(struct gb_job *job, struct answers *a)
{
	cost_of(job, a->head.tokens, a, a->cost);
}

void answers_count(
	struct gb_job *job, const int64_t tokens[TOKENS_N], const struct answers *a)
{
	struct ledger_tokens t = {
		.in = tokens[TOKENS_PROMPT],
		.out = tokens[TOKENS_CANDIDATES] + tokens[TOKENS_THOUGHTS],
		.cached = tokens[TOKENS_CACHED],
		.total = tokens[TOKENS_TOTAL],
	};
	char cost[PRICES_TEXT];

	cost_of(job, tokens, a, cost);
	snprintf(t.cost, sizeof(t.cost), "%s", cost[0] ? cost : "-");
	history_add_counted(job, &t);
}
