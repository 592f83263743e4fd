/*
 * `run` and `submit`. NAME is the guard: whatever was interrupted where, the same
 * command again finds what is there, compares it with what it was given, and goes on
 * from there. Nothing of this is remembered but by the job itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/absent.h"
#include "cli/await.h"
#include "cli/desk.h"
#include "cli/ended.h"
#include "cli/follow.h"
#include "cli/material.h"
#include "cli/output.h"
#include "cli/state.h"
#include "cli/terms.h"
#include "cli/turns.h"
#include "util/util.h"

/* Whether there is a job is still being found out, or made to be. */
static bool is_on_the_way(const char *state)
{
	return !strcmp(state, "UPLOADING") || !strcmp(state, "SUBMITTING");
}

/* The state of the job, which is made if it is not there. */
static int find_or_make(struct desk *d, const char *name, char **ret_state)
{
	int err = desk_text(d, name, "state", ret_state);

	if (err == -ENOENT && !(err = d->ops->make(d, name)))
		err = desk_text(d, name, "state", ret_state);
	if (err == -EEXIST) /* somebody was quicker */
		err = desk_text(d, name, "state", ret_state);
	return err;
}

static int fail_to_make(const char *name, int err)
{
	const char *why = err == -EILSEQ ? "it must be UTF-8, without control characters"
			  : err == -ENAMETOOLONG ? "it is longer than 255 bytes"
			  : err == -EPERM        ? "it begins with a dot"
						 : NULL;

	if (!why)
		return cli_fail(name, "cannot be made", err);
	cli_say("%s cannot be a NAME: %s", name, why);
	return CLI_USAGE;
}

static const char *plain_model(const char *model)
{
	return strncmp(model, "models/", 7) != 0 ? model : model + 7;
}

/* Whether a job that was sent has the model that is asked for. */
static int check_model(struct desk *d, const char *name, const char *want)
{
	_cleanup_free_ char *model = NULL;
	int err = want ? desk_text(d, name, "model", &model) : 0;

	if (err)
		return cli_fail(name, "its model cannot be read", err);
	if (!want || !strcmp(plain_model(want), plain_model(model)))
		return CLI_OK;
	cli_say("%s is there with the model %s, not %s: choose another NAME, or remove it "
		"first: batchfs rm %s",
		name, model, want, name);
	return CLI_USAGE;
}

static int refuse_other(const char *name, const char *state, const char *path)
{
	cli_say("%s is there (%s) with other requests (%s differs): choose another NAME, "
		"or remove it first: batchfs rm %s",
		name, state, path, name);
	return CLI_USAGE;
}

static int refuse_hidden(const char *name, const char *state, const char *path)
{
	cli_say("%s is there (%s) without %s on this machine, so its requests cannot be "
		"compared: choose another NAME; to have its answers: batchfs wait %s && "
		"batchfs cat %s",
		name, state, path, name, name);
	return CLI_USAGE;
}

/* fresh: nothing has been written into the draft; it gets what is an option of ours, as
 * whoever goes on with it, a mount perhaps, has others. */
static int set_options(struct desk *d, const struct cli_args *a, bool fresh)
{
	const struct options *o = d->place->o;
	const char *name = a->names[0];
	const char *model = a->model ? a->model : fresh ? o->model : NULL;
	const char *split = a->split ? a->split : fresh ? o->split : NULL;

	if (model && d->ops->store(d, name, "model", model)) {
		cli_say("%s: %s cannot be a model", name, model);
		return CLI_USAGE;
	}
	if (split && d->ops->store(d, name, "split", split)) {
		cli_say("%s: --split takes auto, none or a number, not %s", name,
			split);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static int store_submit(struct desk *d, const struct cli_args *a, bool queue)
{
	const char *name = a->names[0];
	const char *verb = queue && desk_offers(d, name, "queue") ? "queue" : "submit";
	_cleanup_free_ char *terms = terms_of(a, d->place->o);
	_cleanup_free_ char *text = terms ? format("%s%s", verb, terms) : NULL;

	return text ? d->ops->store(d, name, "ctl", text) : -ENOMEM;
}

/* What was submitted before, perhaps without it, asks again as often as is said now. */
static int store_retries(struct desk *d, const struct cli_args *a)
{
	_cleanup_free_ char *terms = terms_of_retry(a, d->place->o);
	_cleanup_free_ char *text = terms ? format("retry%s", terms) : NULL;
	int err = !text    ? -ENOMEM
		  : *terms ? d->ops->store(d, a->names[0], "ctl", text)
			   : 0;

	return err ? cli_fail(a->names[0], "retries", err) : CLI_OK;
}

/* Fill the draft up and submit it. A command that was killed while it wrote leaves
 * files that are whole, and marked as incomplete: these are written once more.
 * *ret_changed (borrowed): not submitted, as this changed meanwhile. */
static int submit_material(struct desk *d, const struct cli_args *a, bool queue,
	const struct piece **ret_changed)
{
	const struct material *m = a->material;
	size_t kept;
	int err = material_fill(d, a->names[0], m, false, &kept);

	if (err || (*ret_changed = material_changed(m)))
		return err;
	err = store_submit(d, a, queue);
	if (err != -EBADMSG || !kept)
		return err;
	err = material_fill(d, a->names[0], m, true, &kept);
	if (err || (*ret_changed = material_changed(m)))
		return err;
	return store_submit(d, a, queue);
}

/* What is still being written must not be bought by half. */
static int refuse_changed(const char *name, const char *from)
{
	cli_say("%s: %s changed while it was read. Nothing has been sent. When it is "
		"complete, the same command again goes on",
		name, from);
	return CLI_LATER;
}

/* queue: return when the requests are safe and checked. */
static int send(struct desk *d, const struct cli_args *a, bool queue)
{
	_cleanup_free_ char *state = NULL;
	const char *name = a->names[0];
	const struct piece *changed = NULL;
	int err = submit_material(d, a, queue, &changed);

	if (changed)
		return refuse_changed(name, changed->from);
	if (!err)
		return CLI_OK;
	if (err == -EINTR && cli_stopped()) {
		cli_say("%s: stopped. The same command again goes on.", name);
		return cli_exit_of(err);
	}
	/* Its answer was lost, and is being looked for; or the mount has ended. */
	if (!desk_text(d, name, "state", &state) && !state_is_unsent(state))
		return CLI_OK;
	if (!follow_tell_error(d, name))
		cli_fail(name, "not submitted", err);
	return absent_refused(d, name, err);
}

/* Bring the job to where it is submitted: by this command, or by one before. */
static int attach_alone(struct desk *d, const struct cli_args *a, bool queue)
{
	_cleanup_free_ char *state = NULL;
	const struct material *m = a->material;
	const char *name = a->names[0], *path = NULL;
	enum material_fit fit;
	int err = find_or_make(d, name, &state);

	if (err)
		return fail_to_make(name, err);
	if ((err = material_compare(d, name, m, &fit, &path)))
		return cli_fail(name, "its requests cannot be compared", err);
	if (fit == MATERIAL_OTHER || (fit == MATERIAL_BEGUN && !state_is_unsent(state)))
		return refuse_other(name, state, path);
	if (state_is_unsent(state)) {
		err = set_options(d, a, fit == MATERIAL_MISSING);
		return err ? err : send(d, a, queue);
	}
	if (fit == MATERIAL_MISSING)
		return refuse_hidden(name, state, path);
	int status = check_model(d, name, a->model);
	return status ? status : store_retries(d, a);
}

static int attach(struct desk *d, const struct cli_args *a, bool queue)
{
	_cleanup_close_ int alone = -1;
	int err = d->shared ? turns_alone(d->place->o, &alone) : 0;

	return err ? cli_exit_of(err) : attach_alone(d, a, queue);
}

/* Until there is a job, or none. */
static int await_create(struct desk *d, const char *name, char **ret_state)
{
	int err;

	do {
		free(STEAL_PTR(*ret_state));
		if ((err = desk_text(d, name, "state", ret_state)))
			return err;
		if (!is_on_the_way(*ret_state))
			return 0;
		err = d->ops->wait(d, name, 0.2);
	} while (!err || err == -EAGAIN);
	return err;
}

/* Of a job with parts, how many are bought; 0: none, or it has none. */
static long long parts_sent(struct desk *d, const char *name)
{
	_cleanup_free_ char *stats = NULL;
	long long n = desk_text(d, name, "stats", &stats)
			      ? 0
			      : desk_number(stats, "parts_sent");

	return n > 0 ? n : 0;
}

/* As with a close, the job exists when its first part does. */
static int say_unbought(struct desk *d, const struct cli_args *a, long long sent)
{
	const char *name = a->names[0];

	if (!a->quiet && sent)
		cli_say("%s: %lld part%s bought, the others not yet. They are sent while a "
			"mount or a verb that waits is running: batchfs wait %s",
			name, sent, sent == 1 ? " is" : "s are", name);
	else if (!a->quiet)
		cli_say("%s: the requests are safe here, and not bought yet. They are "
			"sent while a mount or a verb that waits is running: batchfs "
			"wait %s",
			name, name);
	return a->queue || sent ? CLI_OK : CLI_LATER;
}

static int say_submitted(struct desk *d, const struct cli_args *a, const char *state)
{
	const char *name = a->names[0];

	if (state_is_bought(state))
		return CLI_OK;
	if (!strcmp(state, "QUEUED") || (a->queue && is_on_the_way(state)))
		return say_unbought(d, a, parts_sent(d, name));
	if (!follow_tell_error(d, name))
		cli_say("%s: %s", name, state);
	return absent_unbought(d, name, state);
}

int cli_submit(const struct cli_args *a, struct desk *d)
{
	_cleanup_free_ char *state = NULL;
	const char *name = a->names[0];
	int status = attach(d, a, a->queue);

	if (status)
		return status;
	int err = a->queue ? desk_text(d, name, "state", &state)
			   : await_create(d, name, &state);
	if (err == -EINTR)
		cli_say("%s: stopped waiting; the same command again goes on", name);
	if (err)
		return err == -EINTR ? cli_exit_of(err) : cli_fail(name, "state", err);
	return say_submitted(d, a, state);
}

/* An outage is in no `error`. */
static int say_pending(struct desk *d, const char *name, long long pending)
{
	_cleanup_free_ char *error = NULL;
	bool told = desk_text(d, name, "error", &error) == 0;

	cli_say("%s: the results of %lld request%s could not be had yet. The same "
		"command again asks for them%s%s%s",
		name, pending, pending == 1 ? "" : "s",
		told ? "; why: batchfs cat " : "", told ? name : "",
		told ? "/error" : "");
	return CLI_LATER;
}

static int count_missing(struct desk *d, const struct cli_args *a)
{
	const char *name = a->names[0];
	long long missing, pending;
	int err = output_missing(d, name, &missing, &pending);

	if (err)
		return cli_fail(name, "usage", err);
	if (pending > 0)
		return say_pending(d, name, pending);
	if (missing && !a->quiet)
		cli_say("%s: %lld request%s no answer: batchfs cat %s/usage; to ask "
			"again: batchfs retry %s",
			name, missing, missing == 1 ? " has" : "s have", name, name);
	return missing ? CLI_PARTLY : CLI_OK;
}

/* What became of it, when nothing more will. */
static int finish(struct desk *d, const struct cli_args *a, const char *state)
{
	const char *name = a->names[0];
	bool good = state_has_succeeded(state);
	const char *file = NULL;
	int err = state_is_bought(state) ? output_answers(d, a, &file) : 0;

	if (!good) {
		cli_say("%s: %s", name, state);
		follow_tell_error(d, name);
	}
	if (err && (good || err != -ENOENT))
		return absent_say(d, name, file, err);
	return good ? count_missing(d, a) : absent_unbought(d, name, state);
}

int cli_run(const struct cli_args *a, struct desk *d)
{
	double until = a->timeout >= 0 ? seconds_now() + a->timeout : -1;
	_cleanup_free_ char *state = NULL;
	int status = output_prepare(a);

	if (!status)
		status = attach(d, a, true);
	if (status)
		return status;
	int err = follow(d, a->names[0], a->quiet, until, &state);
	if (err == -EAGAIN || err == -EINTR)
		return follow_left(d, a->names[0], err);
	if (err)
		return absent_waited(d, a->names[0], err);
	status = finish(d, a, state);
	if (status != CLI_LATER)
		ended_start(d, a->names[0], state);
	return status;
}
