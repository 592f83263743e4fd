#include "cli/follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/await.h"
#include "cli/state.h"
#include "cli/wording.h"
#include "util/util.h"

struct progress {
	const char *name;
	double began;
	bool terminal;
	char last[256]; /* what was said last; without the age */
};

static void append(
	char *line, size_t size, long long n, const char *one, const char *many)
{
	size_t at = strlen(line);

	if (n >= 0)
		snprintf(line + at, size - at, ", %lld %s", n, n == 1 ? one : many);
}

/* What stats has, in the words of a person. */
static void put_counts(char *line, size_t size, const char *stats)
{
	static const struct {
		const char *name, *one, *many;
	} counts[] = {
		{"request_count", "request", "requests"},
		{"successful_request_count", "answered", "answered"},
		{"failed_request_count", "failed", "failed"},
		{"pending_request_count", "pending", "pending"},
		{"parts", "part", "parts"},
		{"parts_ended", "part ended", "parts ended"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		append(line, size, desk_number(stats, counts[i].name), counts[i].one,
			counts[i].many);
}

/* What moves just now: `job, direction, bytes, total` of transfers. */
static void put_transfer(
	char *line, size_t size, const char *name, const char *transfers)
{
	size_t n = strlen(name), at = strlen(line);
	long long done, all;
	char direction[16];

	for (const char *p = transfers; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, name, n) && p[n] == '\t' &&
			sscanf(p + n, " %15s %lld %lld", direction, &done, &all) == 3)
			snprintf(line + at, size - at, ", %s %lld of %lld MB",
				direction, done / 1000000, all / 1000000);
	}
}

static void put_age(char *line, size_t size, double seconds)
{
	size_t at = strlen(line);
	int s = (int)seconds;

	snprintf(line + at, size - at, ", %d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

/* A line that is overwritten must not be two. */
static void put_on_terminal(char *line)
{
	struct winsize w = {};

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col &&
		strlen(line) >= w.ws_col)
		line[w.ws_col - 1] = '\0';
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
}

/* What is known. Where it is not, there is nothing to show: whoever waits sees why. */
static void progress_show(struct progress *p, struct desk *d)
{
	_cleanup_free_ char *state = NULL, *stats = NULL, *transfers = NULL;
	char line[256];

	if (desk_text(d, p->name, "state", &state) ||
		desk_text(d, p->name, "stats", &stats))
		return;
	snprintf(line, sizeof(line), "%.60s: %.60s", p->name, state);
	put_counts(line, sizeof(line), stats);
	if (!p->terminal && !strcmp(line, p->last))
		return;
	strcpy(p->last, line);
	if (p->terminal && !desk_text(d, ".batchfs", "transfers", &transfers))
		put_transfer(line, sizeof(line), p->name, transfers);
	put_age(line, sizeof(line), seconds_now() - p->began);
	if (p->terminal)
		put_on_terminal(line);
	else
		fprintf(stderr, "%s\n", line);
}

static void progress_end(const struct progress *p)
{
	if (p->terminal && *p->last)
		fputs("\r\033[K", stderr);
}

#define SLICE 1.0 /* seconds */

/* A slice of waiting, and its news; -EAGAIN: it goes on. */
static int follow_slice(struct desk *d, const char *name, double until)
{
	double now = seconds_now();
	double slice = until < 0 || until - now > SLICE ? SLICE
		       : until > now                    ? until - now
							: 0;
	int err = d->ops->wait(d, name, slice);

	if (err != -EAGAIN)
		return err;
	if (until >= 0 && seconds_now() >= until)
		return -ETIME;
	return (err = d->ops->breathe(d)) ? err : -EAGAIN;
}

int follow(struct desk *d, const char *name, bool quiet, double until, char **ret_state)
{
	struct progress p = {name, seconds_now(), isatty(STDERR_FILENO)};
	double shown = 0;
	int err;

	d->known = true;
	do {
		if (!quiet && (!shown || seconds_now() - shown >= d->tick)) {
			progress_show(&p, d);
			shown = seconds_now();
		}
		err = follow_slice(d, name, until);
	} while (err == -EAGAIN);
	d->known = false;
	progress_end(&p);
	if (err)
		return err == -ETIME ? -EAGAIN : err;
	return desk_text(d, name, "state", ret_state);
}

int follow_left(struct desk *d, const char *name, int err)
{
	_cleanup_free_ char *state = NULL;
	const char *why = err == -EINTR ? "stopped waiting" : "not ended in time";

	d->known = true;
	if (desk_text(d, name, "state", &state) || state_is_bought(state))
		cli_say("%s: %s; the job goes on. The same command again waits for it, or: "
			"batchfs wait %s",
			name, why, name);
	else
		cli_say("%s: %s; it is not bought yet (%s). That goes on while a mount or "
			"a verb that waits is running. The same command again, or: "
			"batchfs wait %s",
			name, why, state, name);
	d->known = false;
	return err == -EINTR ? cli_exit_of(err) : CLI_LATER;
}

bool follow_tell_error(struct desk *d, const char *name)
{
	_cleanup_free_ char *text = NULL, *said = NULL;

	if (desk_text(d, name, "error", &text) || !*text)
		return false;
	said = wording(text, name);
	cli_say("%s: %s", name, said ? said : text);
	return true;
}
