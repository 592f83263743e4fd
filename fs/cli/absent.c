#include "cli/absent.h"

#include <errno.h>
#include <string.h>

#include "cli/follow.h"
#include "cli/output.h"
#include "cli/state.h"
#include "util/words.h"
#include "virtual/virtual_files.h"

/* When a file appears that is not always there. */
enum appears { WITH_RESULTS, WITH_JOB, IF_WRONG, BY_USER };

static enum appears appears_when(const char *file)
{
	_cleanup_free_ char *top = strndup(file, strcspn(file, "/"));
	const struct vfile *v = top ? vfile_by_name(IN_JOB, top) : NULL;

	if (!v || !v->present)
		return BY_USER;
	if (v->how != HOW_TEXT)
		return WITH_RESULTS;
	if (!strcmp(v->name, "error") || !strcmp(v->name, "warnings"))
		return IF_WRONG;
	return WITH_JOB;
}

static bool is_one_of(const char *state, const char *const *states)
{
	while (*states && strcmp(state, *states) != 0)
		states++;
	return *states;
}

static bool needs_a_person(const char *state)
{
	return state_is_unsent(state) || !strcmp(state, "SUBMIT_UNCERTAIN");
}

/* 0: not known. */
static long long submit_errno(struct desk *d, const char *name)
{
	_cleanup_free_ char *stats = NULL;
	long long n = desk_text(d, name, "stats", &stats)
			      ? 0
			      : desk_number(stats, "submit_errno");

	return n > 0 ? n : 0;
}

int absent_unbought(struct desk *d, const char *name, const char *state)
{
	bool failed = !strcmp(state, "SUBMIT_FAILED");

	return failed && submit_errno(d, name) == EACCES ? CLI_KEY : CLI_FAILED;
}

/* Whether the API has results that are not here yet. Then what failed is a download,
 * however it failed: nothing is lost, and asking again helps in the end. */
static bool results_may_come(struct desk *d, const char *name)
{
	_cleanup_free_ char *saved = NULL;
	bool known = d->known;
	int err;

	d->known = true;
	err = desk_column(d, name, "results_saved", &saved);
	d->known = known;
	return !err && (!strcmp(saved, "no") || !strcmp(saved, "awaited"));
}

/* An outage, as the API's or the network's fault may look like. */
static bool is_outage(int err)
{
	return err == -EIO || err == -EPROTO || err == -ENODATA;
}

int absent_refused(struct desk *d, const char *name, int err)
{
	int status = cli_exit_of(err);

	if (status == CLI_LATER)
		return submit_errno(d, name) == EPERM ? CLI_FAILED : status;
	if (status == CLI_FAILED && is_outage(err) &&
		(submit_errno(d, name) == -err || results_may_come(d, name)))
		return CLI_LATER;
	return status;
}

int absent_waited(struct desk *d, const char *name, int err)
{
	_cleanup_free_ char *state = NULL;
	bool there = err == -ENOENT && !desk_text(d, name, "state", &state);

	if (!there)
		return cli_fail(name, NULL, err);
	if (!follow_tell_error(d, name))
		cli_say("%s: the API does not know this job any more", name);
	return CLI_FAILED;
}

static int say_later(const char *name, const char *file, const char *state)
{
	cli_say("%s/%s is not there yet (%s). When it is: batchfs wait %s", name, file,
		state, name);
	return CLI_LATER;
}

static int say_unbought(
	struct desk *d, const char *name, const char *file, const char *state)
{
	cli_say("%s: %s: there is no %s", name, state, file);
	if (!follow_tell_error(d, name) && !strcmp(state, "DRAFT"))
		cli_say("%s: nothing has been submitted. To do that: batchfs ctl %s submit",
			name, name);
	return absent_unbought(d, name, state);
}

static int say_ended(
	struct desk *d, const char *name, const char *file, const char *state)
{
	cli_say("%s: %s: there is no %s", name, state, file);
	if (!state_has_succeeded(state))
		follow_tell_error(d, name);
	return CLI_FAILED;
}

static void offer_name(struct words_search *s, enum vfile_place place)
{
	const struct vfile *v;

	for (uint32_t n = 1; (v = vfile_next(place, n)); n = v->number + 1)
		words_offer(s, v->name);
}

static int say_unknown(
	const char *name, const char *file, enum vfile_place place)
{
	struct words_search s = {.word = file};

	offer_name(&s, place);
	if (s.nearest && s.slips)
		cli_say("%s: there is no file %s: did you mean %s?", name, file,
			s.nearest);
	else
		cli_say("%s: there is no file %s%s%s", name, file,
			place == IN_JOB ? ". What is there: batchfs ls " : "",
			place == IN_JOB ? name : "");
	return CLI_FAILED;
}

/* The end is known some seconds before its output is named, and then that is an
 * error. */
static bool is_awaited(struct desk *d, const char *name, const char *file)
{
	static const char *const always[] = {
		"results.jsonl", "answers.tsv", "usage", "responses", NULL};
	_cleanup_free_ char *error = NULL;

	return is_one_of(file, always) && desk_text(d, name, "error", &error);
}

/* The state of the part that file is in, if it is in one, and what file is there. */
static void look_into_part(
	struct desk *d, const char *name, const char **file, char **state)
{
	_cleanup_free_ char *path = NULL;
	char *of_part = NULL;
	const char *slash = strncmp(*file, "parts/", 6) ? NULL : strchr(*file + 6, '/');

	if (!slash)
		return;
	path = format("%.*s/state", (int)(slash - *file), *file);
	if (!path || desk_text(d, name, path, &of_part))
		return;
	free(*state);
	*state = of_part;
	*file = slash + 1;
}

static bool has_parts(struct desk *d, const char *name)
{
	_cleanup_free_ char *stats = NULL;

	return !desk_text(d, name, "stats", &stats) && desk_number(stats, "parts") > 0;
}

static int say_missing(struct desk *d, const char *name, const char *path, char **state)
{
	const char *file = path;

	if (!strncmp(path, "parts", 5) && (!path[5] || path[5] == '/') &&
		!has_parts(d, name)) {
		cli_say("%s has no parts", name);
		return CLI_FAILED;
	}
	look_into_part(d, name, &file, state);
	switch (appears_when(file)) {
	case BY_USER:
		return say_unknown(name, path, IN_JOB);
	case IF_WRONG:
		cli_say("%s: %s: there is no %s, as there is nothing to say", name,
			*state, path);
		return CLI_FAILED;
	case WITH_JOB:
		if (state_is_bought(*state))
			return say_ended(d, name, path, *state);
		break;
	case WITH_RESULTS:
		if (state_has_succeeded(*state) && is_awaited(d, name, file))
			return say_later(name, path, *state);
		break;
	}
	return state_has_ended(*state)      ? say_ended(d, name, path, *state)
	       : needs_a_person(*state) ? say_unbought(d, name, path, *state)
					: say_later(name, path, *state);
}

/* It is there; what is wrong with it, `error` may know. */
static int say_unreadable(struct desk *d, const char *name, const char *file, int err)
{
	int status = cli_fail(name, file, err);

	if (output_refused(err))
		return status;
	status = absent_refused(d, name, err);
	if (err != -EINTR)
		follow_tell_error(d, name);
	if (status == CLI_LATER)
		cli_say("%s: the results could not be had yet. The same command again asks "
			"for them",
			name);
	return status;
}

int absent_say(struct desk *d, const char *name, const char *file, int err)
{
	_cleanup_free_ char *state = NULL;
	bool ours = !strcmp(name, ".batchfs");
	int none = ours ? 0 : desk_text(d, name, "state", &state);

	if (none)
		return cli_fail(name, NULL, none);
	if (err == -EISDIR) {
		cli_say("%s/%s is a directory: batchfs ls %s/%s", name, file, name,
			file);
		return CLI_FAILED;
	}
	if (err == -ENOTDIR) {
		cli_say("%s/%s is no directory: batchfs cat %s/%s", name, file, name,
			file);
		return CLI_FAILED;
	}
	if (err != -ENOENT)
		return ours ? cli_fail(name, file, err)
			    : say_unreadable(d, name, file, err);
	return ours ? say_unknown(name, file, IN_META)
		    : say_missing(d, name, file, &state);
}
