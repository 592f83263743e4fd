#include "start/prepare.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "start/paths.h"
#include "util/log.h"
#include "util/util.h"

int prepare_source(const struct options *o)
{
	bool url = !strncasecmp(o->source, "https://", 8) ||
		   !strncasecmp(o->source, "http://", 7);

	if (strpbrk(o->source, "@?#\\")) {
		log_line(LOG_ERR,
			"SOURCE must be https://HOST[:PORT][/PATH], without a "
			"user, a password, a query or a fragment");
		return -EINVAL;
	}
	if (!url) {
		log_line(LOG_ERR, "SOURCE %s is not an http or https URL", o->source);
		return -EINVAL;
	}
	return 0;
}

/* A directory option as an absolute path; the default where none was given. */
static char *directory(const char *given, const char *what,
	char *(*by_default)(const char *account, const char *source),
	const struct options *o)
{
	_cleanup_free_ char *cwd = NULL;
	char *path;

	if (given && *given == '/')
		return strdup(given);
	if (given) {
		cwd = getcwd(NULL, 0);
		return cwd ? format("%s/%s", cwd, given) : NULL;
	}
	path = by_default(o->account, o->source);
	if (!path)
		log_line(LOG_ERR, "no home directory: give a directory with -o %s=PATH",
			what);
	return path;
}

int prepare_directories(struct options *o, const char *mountpoint)
{
	char *state = directory(o->state_dir, "state_dir", paths_state_dir, o);
	char *cache =
		state ? directory(o->cache_dir, "cache_dir", paths_cache_dir, o) : NULL;

	free(o->state_dir);
	free(o->cache_dir);
	o->state_dir = state;
	o->cache_dir = cache;
	if (!state || !cache)
		return -ENOENT;
	if (!mountpoint ||
		(!paths_below(state, mountpoint) && !paths_below(cache, mountpoint)))
		return 0;
	log_line(LOG_ERR, "%s must not be below the mountpoint %s",
		paths_below(state, mountpoint) ? state : cache, mountpoint);
	return -EINVAL;
}

void prepare_process(void)
{
	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* Large buffers go back to the system when freed, and threads share their heaps:
	 * the process is to stay small, and the bytes of files pass through buffers that
	 * are kept. */
#ifdef M_ARENA_MAX /* glibc */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_ARENA_MAX, 2);
#endif
}

int prepare_client(const struct options *o, const struct key *key,
	const struct gb_options *more, struct gb_client **ret, char **ret_why)
{
	_cleanup_free_ char *prices = paths_prices();
	struct gb_options go = *more;

	go.source = o->source;
	go.key = key->text;
	go.key_source = key->source;
	go.version = o->api ? "v1" : "v1beta";
	go.state_dir = o->state_dir;
	go.cache_dir = o->cache_dir;
	go.cache_max = o->cache_max;
	go.model = o->model;
	go.fetch = o->fetch;
	go.background = o->submit == SUBMIT_BACKGROUND;
	go.keep_running = o->rmdir;
	go.offline = o->offline;
	go.readonly = o->readonly;
	go.trash_days = o->trash_days;
	go.poll_s = o->poll_s;
	go.ttl_s = o->ttl_s ? o->ttl_s : -1; /* 0 would mean the default */
	go.inline_max = o->inline_max;
	go.resubmit_hours = o->resubmit_hours;
	go.webhook = o->webhook;
	go.split = o->split;
	go.retries = o->retries;
	go.prices = prices;
	go.max_tokens = o->max_tokens;
	go.max_cost = o->max_cost;
	return gb_open(&go, ret, ret_why);
}
