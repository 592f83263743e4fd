#include "jobs/split.h"

#include <errno.h>
#include <string.h>

int split_parse(const char *text, int64_t *ret)
{
	char *end;

	if (strcmp(text, "auto") == 0 || strcmp(text, "none") == 0) {
		*ret = *text == 'a' ? SPLIT_AUTO : SPLIT_NONE;
		return 0;
	}
	if (*text < '1' || *text > '9')
		return -EINVAL;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (errno || *end)
		return -EINVAL;
	*ret = n;
	return 0;
}

int64_t split_of(const struct gb_job *dir)
{
	const char *own = dir->dir ? dir->dir->rec.split : NULL;
	int64_t n = SPLIT_AUTO;

	/* A word that a later version wrote is no reason to buy more than one. */
	if (own && split_parse(own, &n))
		return SPLIT_NONE;
	if (!own && dir->c->o.split && split_parse(dir->c->o.split, &n))
		return SPLIT_NONE;
	return n;
}

bool split_may_cut(struct gb_job *job)
{
	client_lock(job->c);
	bool may = split_of(job) != SPLIT_NONE;
	client_unlock(job->c);
	return may;
}

const char *split_text(const struct gb_job *dir)
{
	const char *own = dir->dir ? dir->dir->rec.split : NULL;

	return own ? own : dir->c->o.split ? dir->c->o.split : "auto";
}
