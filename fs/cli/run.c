/*
 * `run` and `submit`. NAME is the guard: whatever was interrupted where, the same command
 * again finds what is there, compares it with what it was given, and goes on from there.
 * Nothing of this is remembered but by the job itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/await.h"
#include "cli/desk.h"
#include "cli/follow.h"
#include "cli/material.h"
#include "cli/output.h"
#include "util/util.h"

/* Nothing has left the machine since the last change, or it was refused. */
static bool is_unsent(const char *state)
{
	return !strcmp(state, "DRAFT") || !strcmp(state, "SUBMIT_FAILED");
}

/* The state of the job, which is made if it is not there. -EEXIST: it came and went. */
static int find_or_make(struct desk *d, const char *name, char **ret_state)
{
	int err = desk_text(d, name, "state", ret_state);

	if (err == -ENOENT && !(err = d->ops->make(d, name)))
		err = desk_text(d, name, "state", ret_state);
	if (err == -EEXIST) /* somebody was quicker */
		err = desk_text(d, name, "state", ret_state);
	return err;
}

static const char *plain_model(const char *model)
{
	return strncmp(model, "models/", 7) ? model : model + 7;
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

static int refuse_hidden(const char *name, const char *state)
{
	cli_say("%s is there (%s), but its requests are not on this machine, so they "
		"cannot be compared: choose another NAME; to have its answers: batchfs "
		"wait %s && batchfs cat %s",
		name, state, name, name);
	return CLI_USAGE;
}

/* The files of the draft that belong to the command line. */
static int set_up(struct desk *d, const struct cli_args *a, const struct material *m)
{
	const char *name = a->names[0];
	int err = 0;

	if (a->model)
		err = d->ops->store(d, name, "model", a->model);
	if (err) {
		cli_say("%s: %s cannot be a model", name, a->model);
		return CLI_USAGE;
	}
	if (a->split)
		err = d->ops->store(d, name, "split", a->split);
	if (err) {
		cli_say("%s: --split takes auto, none or a number, not %s", name, a->split);
		return CLI_USAGE;
	}
	err = material_fill(d, name, m);
	return err ? cli_fail(name, "the requests cannot be written", err) : CLI_OK;
}

static int send(struct desk *d, const char *name, const char *verb)
{
	int err = d->ops->store(d, name, "ctl", verb);

	if (!err)
		return CLI_OK;
	if (err == -EINTR) {
		cli_say("%s: stopped. The same command again goes on.", name);
		return cli_exit_of(err);
	}
	if (!follow_tell_error(d, name))
		cli_fail(name, "not submitted", err);
	return cli_exit_of(err);
}

/* Bring the job to where it is submitted: by this command, or by one before. */
static int attach(struct desk *d, const struct cli_args *a, const struct material *m,
	const char *verb)
{
	_cleanup_free_ char *state = NULL;
	const char *name = a->names[0], *path = NULL;
	enum material_fit fit;
	int err = find_or_make(d, name, &state);

	if (err)
		return cli_fail(name, "the job cannot be made", err);
	if ((err = material_compare(d, name, m, &fit, &path)))
		return cli_fail(name, "its requests cannot be compared", err);
	if (fit == MATERIAL_OTHER)
		return refuse_other(name, state, path);
	if (is_unsent(state)) {
		err = set_up(d, a, m);
		return err ? err : send(d, name, verb);
	}
	if (fit != MATERIAL_SAME)
		return refuse_hidden(name, state);
	return check_model(d, name, a->model);
}

int cli_submit(const struct cli_args *a, struct desk *d)
{
	struct material m;
	int ret = material_gather(a, &m) ? CLI_USAGE : CLI_OK;

	if (ret == CLI_OK)
		ret = attach(d, a, &m, a->queue ? "queue" : "submit");
	material_free(&m);
	if (ret == CLI_OK && a->queue && !a->quiet)
		cli_say("%s: the requests are safe here. They are sent while a mount or "
			"a verb that waits is running: batchfs wait %s",
			a->names[0], a->names[0]);
	return ret;
}

static int say_left(const char *name, const char *why, int status)
{
	cli_say("%s: %s; the job goes on. The same command again waits for it, or: "
		"batchfs wait %s",
		name, why, name);
	return status;
}

/* What became of it, when nothing more will. */
static int finish(struct desk *d, const struct cli_args *a, const char *state)
{
	const char *name = a->names[0];
	bool good = !strcmp(state, "JOB_STATE_SUCCEEDED") ||
		    !strcmp(state, "JOB_STATE_PARTIALLY_SUCCEEDED");
	int err = strncmp(state, "JOB_", 4) ? -ENOENT : output_answers(d, name, a);

	if (!good)
		cli_say("%s: %s", name, state);
	if (!good || err)
		follow_tell_error(d, name);
	if (err && err != -ENOENT)
		return cli_fail(name, "the answers cannot be read", err);
	if (err || !good)
		return CLI_FAILED;
	long long missing = output_missing(d, name);
	if (missing < 0)
		return cli_fail(name, "usage", (int)missing);
	if (missing && !a->quiet)
		cli_say("%s: %lld requests have no answer: batchfs cat %s/usage; to ask "
			"them again: batchfs retry %s",
			name, missing, name, name);
	return missing ? CLI_PARTLY : CLI_OK;
}

int cli_run(const struct cli_args *a, struct desk *d)
{
	double until = a->timeout >= 0 ? await_now() + a->timeout : -1;
	_cleanup_free_ char *state = NULL;
	struct material m;
	int ret = material_gather(a, &m) ? CLI_USAGE : CLI_OK;

	if (ret == CLI_OK)
		ret = attach(d, a, &m, "submit");
	material_free(&m);
	if (ret)
		return ret;
	int err = follow(d, a->names[0], a->quiet, until, &state);
	if (err == -EAGAIN)
		return say_left(a->names[0], "not ended in time", CLI_LATER);
	if (err == -EINTR)
		return say_left(a->names[0], "stopped waiting", cli_exit_of(err));
	if (err)
		return cli_fail(a->names[0], "waiting for it failed", err);
	return finish(d, a, state);
}
