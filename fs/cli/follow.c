#include "cli/follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/await.h"
#include "util/util.h"

struct progress {
	const char *name;
	double began;
	bool terminal;
	char last[256];  /* what was said last; without the age */
};

static void append(char *line, size_t size, const char *what, long long n)
{
	size_t at = strlen(line);

	if (n >= 0)
		snprintf(line + at, size - at, ", %lld %s", n, what);
}

/* What stats has, in the words of a person. */
static void put_counts(char *line, size_t size, const char *stats)
{
	static const struct {
		const char *name, *what;
	} counts[] = {
		{"request_count", "requests"},
		{"successful_request_count", "answered"},
		{"failed_request_count", "failed"},
		{"pending_request_count", "pending"},
		{"parts", "parts"},
		{"parts_ended", "parts ended"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		append(line, size, counts[i].what, desk_number(stats, counts[i].name));
}

static void put_age(char *line, size_t size, double seconds)
{
	size_t at = strlen(line);
	int s = (int)seconds;

	snprintf(line + at, size - at, ", %d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

static void progress_show(struct progress *p, struct desk *d)
{
	_cleanup_free_ char *state = NULL, *stats = NULL;
	char line[256];

	if (desk_text(d, p->name, "state", &state) ||
		desk_text(d, p->name, "stats", &stats))
		return;
	snprintf(line, sizeof(line), "%.60s: %.60s", p->name, state);
	put_counts(line, sizeof(line), stats);
	if (!p->terminal && !strcmp(line, p->last))
		return;
	strcpy(p->last, line);
	put_age(line, sizeof(line), await_now() - p->began);
	fprintf(stderr, p->terminal ? "\r\033[K%s" : "%s\n", line);
	fflush(stderr);
}

static void progress_end(const struct progress *p)
{
	if (p->terminal && *p->last)
		fputs("\r\033[K", stderr);
}

int follow(struct desk *d, const char *name, bool quiet, double until, char **ret_state)
{
	struct progress p = {name, await_now(), isatty(STDERR_FILENO)};
	double shown = 0;
	int err;

	do {
		double now = await_now(), slice = 1;

		if (!quiet && (!shown || now - shown >= d->tick)) {
			progress_show(&p, d);
			shown = now;
		}
		if (until >= 0 && until - now < slice)
			slice = until > now ? until - now : 0;
		err = d->ops->wait(d, name, slice);
		if (err == -EAGAIN && until >= 0 && await_now() >= until)
			break;
		if (err == -EAGAIN)
			err = d->ops->breathe(d) ? -EINTR : -EAGAIN;
	} while (err == -EAGAIN);
	progress_end(&p);
	return err ? err : desk_text(d, name, "state", ret_state);
}

bool follow_tell_error(struct desk *d, const char *name)
{
	_cleanup_free_ char *text = NULL;

	if (desk_text(d, name, "error", &text) || !*text)
		return false;
	cli_say("%s: %s", name, text);
	return true;
}
