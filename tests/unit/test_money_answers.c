/*
 * Every answer of the API at every step of a submission, by close and in the background:
 * what the caller is told, what the mount shows, how many jobs there are. And that, after a
 * restart, what a person does then ends in exactly one job, its results saved.
 *
 * To add an answer: a line of `answers`; a step: a line of `steps`; what comes of it: a row
 * of `rows`, for all answers whose names it lists. An answer that no row names at a step is
 * a failure.
 */
#include "money.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	struct fake_answer a;
} answers[] = {
	{"ok", {FAKE_OK}},
	{"400", {FAKE_STATUS, 400}},
	{"400-key", {FAKE_STATUS, 400, .reason = "API_KEY_INVALID"}},
	{"401", {FAKE_STATUS, 401, .reason = "UNAUTHENTICATED"}},
	{"403", {FAKE_STATUS, 403}},
	{"404", {FAKE_STATUS, 404}},
	{"404-page", {FAKE_PAGE, 404}},
	{"403-page", {FAKE_PAGE, 403}},
	{"408", {FAKE_STATUS, 408, .reason = "DEADLINE_EXCEEDED"}},
	{"409", {FAKE_STATUS, 409, .reason = "ABORTED"}},
	{"413", {FAKE_STATUS, 413}},
	{"429", {FAKE_STATUS, 429}},
	{"429-4", {FAKE_STATUS, 429, .times = 4}},
	{"429-soon", {FAKE_STATUS, 429, .retry = 0.01}},
	{"429-hour", {FAKE_STATUS, 429, .retry = 3600}},
	{"429-credit", {FAKE_STATUS, 429, .text = "Your prepay credits are used up."}},
	{"500", {FAKE_STATUS, 500, .reason = "INTERNAL"}},
	{"503", {FAKE_STATUS, 503}},
	{"503-page", {FAKE_PAGE, 503}},
	{"garbage", {FAKE_GARBAGE}},
	{"garbage+", {FAKE_GARBAGE_AFTER}},
	{"other+", {FAKE_OTHER}},
	{"unreached", {FAKE_UNREACHED}},
	{"lost", {FAKE_LOST_BEFORE}},
	{"lost+", {FAKE_LOST_AFTER}},
	{"silent", {FAKE_NO_ANSWER}},
	/* An answer that proves nothing, and it was done. */
	{"408+", {FAKE_STATUS, 408, .done = true}},
	{"409+", {FAKE_STATUS, 409, .done = true}},
	{"499+", {FAKE_STATUS, 499, .done = true}},
	{"500+", {FAKE_STATUS, 500, .done = true}},
	{"503+", {FAKE_STATUS, 503, .done = true}},
	{"504-page+", {FAKE_PAGE, 504, .done = true}},
	/* Nor does a refusal by what filters replies. */
	{"403-page+", {FAKE_PAGE, 403, .done = true}},
	{"404-page+", {FAKE_PAGE, 404, .done = true}},
	{"429-page+", {FAKE_PAGE, 429, .done = true}},
};

enum step {
	NAME,
	MODEL,
	OTHER_MODEL,
	COUNT,
	ATTACH,
	ATTACH_BYTES,
	UPLOAD,
	UPLOAD_BYTES,
	CREATE,
	STEPS
};

static const struct {
	const char *name;
	enum fake_call call;
	bool unlisted, with_picture, limited;
	const char *model;
} steps[STEPS] = {
	[NAME] = {"the look at names", FAKE_LIST, .unlisted = true},
	[MODEL] = {"the list of models", FAKE_MODELS},
	[OTHER_MODEL] = {"a model that is in no list", FAKE_MODEL_GET,
		.model = "tuned"},
	[COUNT] = {"a count of tokens", FAKE_COUNT, .limited = true},
	[ATTACH] = {"the upload of a file", FAKE_UPLOAD, .with_picture = true},
	[ATTACH_BYTES] = {"a file's bytes", FAKE_UPLOAD_BYTES, .with_picture = true},
	[UPLOAD] = {"the upload", FAKE_UPLOAD},
	[UPLOAD_BYTES] = {"the upload's bytes", FAKE_UPLOAD_BYTES},
	[CREATE] = {"the create", FAKE_CREATE},
};

#define AT(step) (1u << (step))
#define MODELS (AT(MODEL) | AT(OTHER_MODEL))
#define UPLOADS (AT(ATTACH) | AT(ATTACH_BYTES) | AT(UPLOAD) | AT(UPLOAD_BYTES))

/* What comes of it at first. By close: when it has returned; in the background, which
 * returns 0: when all has settled, or the queue waits for the time that the API said. */
struct outcome {
	int ret;
	const char *state; /* how it begins, too */
	unsigned made;
	const char *error; /* how it begins */
};

#define BOUGHT                                                                         \
	{                                                                              \
		0, "JOB_STATE_", 1, ""                                                 \
	}
#define FAILED(err, error)                                                             \
	{                                                                              \
		err, "SUBMIT_FAILED", 0, error                                         \
	}
#define QUEUED(error)                                                                  \
	{                                                                              \
		0, "QUEUED", 0, error ": the job is queued"                            \
	}
#define KEY "The API refused the key."
#define NOT_REACHED "The API cannot be reached"
#define QUOTA "The API's quota or rate limit is used up"
#define LATE "The API did not answer in time."
#define UNCOUNTED "The prompts could not be counted"

static const struct row {
	unsigned at;
	const char *answers;
	struct outcome close, background;
} rows[] = {
	{~0u, "ok", BOUGHT, BOUGHT},
	{~(MODELS | AT(COUNT)), "400-key 401 403", FAILED(-EACCES, KEY), FAILED(0, KEY)},

	{AT(NAME),
		"400 404 404-page 403-page 408 409 413 429 429-4 429-soon 500 503 "
		"503-page "
		"garbage garbage+ unreached lost lost+ silent",
		FAILED(-EHOSTUNREACH, NOT_REACHED), BOUGHT},
	{AT(NAME), "408+ 409+ 499+ 500+ 503+ 504-page+ 403-page+ 404-page+ 429-page+",
		FAILED(-EHOSTUNREACH, NOT_REACHED), BOUGHT},
	{AT(NAME), "429-hour", FAILED(-EHOSTUNREACH, NOT_REACHED), QUEUED(NOT_REACHED)},
	{AT(NAME), "429-credit", FAILED(-EHOSTUNREACH, NOT_REACHED),
		FAILED(0, NOT_REACHED)},

	/* Nobody can tell: the API decides. */
	{MODELS,
		"400 400-key 401 403 404-page 403-page 408 409 413 429 429-4 429-soon "
		"429-hour 429-credit 500 503 503-page garbage garbage+ unreached lost "
		"lost+ silent",
		BOUGHT, BOUGHT},
	{MODELS, "408+ 409+ 499+ 500+ 503+ 504-page+ 403-page+ 404-page+ 429-page+", BOUGHT,
		BOUGHT},
	{AT(MODEL), "404", BOUGHT, BOUGHT},
	{AT(OTHER_MODEL), "404", FAILED(-EINVAL, "The API has no model tuned."),
		FAILED(0, "The API has no model tuned.")},

	/* Another request tells. */
	{AT(COUNT), "400 413", BOUGHT, BOUGHT},
	/* With a limit set, what is not known is not bought. */
	{AT(COUNT), "400-key 401 403", FAILED(-EACCES, UNCOUNTED), FAILED(0, UNCOUNTED)},
	{AT(COUNT), "404", FAILED(-ENOENT, UNCOUNTED), FAILED(0, UNCOUNTED)},
	{AT(COUNT), "404-page 403-page 404-page+ 403-page+ unreached",
		FAILED(-EHOSTUNREACH, UNCOUNTED), BOUGHT},
	{AT(COUNT), "408 408+ silent", FAILED(-ETIMEDOUT, UNCOUNTED), BOUGHT},
	{AT(COUNT), "409 409+", FAILED(-EBUSY, UNCOUNTED), FAILED(0, UNCOUNTED)},
	{AT(COUNT),
		"500 503 503-page garbage garbage+ lost lost+ 499+ 500+ 503+ 504-page+",
		FAILED(-EIO, UNCOUNTED), BOUGHT},
	{AT(COUNT), "429 429-4 429-soon 429-page+", FAILED(-EDQUOT, UNCOUNTED), BOUGHT},
	{AT(COUNT), "429-hour", FAILED(-EDQUOT, UNCOUNTED), QUEUED(QUOTA)},
	{AT(COUNT), "429-credit", FAILED(-EDQUOT, UNCOUNTED), FAILED(0, UNCOUNTED)},

	{UPLOADS | AT(CREATE), "400", FAILED(-EINVAL, "The API refused the job."),
		FAILED(0, "The API refused the job.")},
	{UPLOADS | AT(CREATE), "404",
		FAILED(-ENOENT, "The API knows no such model or file."),
		FAILED(0, "The API knows no such model or file.")},
	{UPLOADS | AT(CREATE), "unreached", FAILED(-EHOSTUNREACH, NOT_REACHED), BOUGHT},
	{UPLOADS, "404-page 403-page 404-page+ 403-page+",
		FAILED(-EHOSTUNREACH, NOT_REACHED), BOUGHT},
	{UPLOADS | AT(CREATE), "413", FAILED(-EFBIG, "The requests are too large."),
		FAILED(0, "The requests are too large.")},
	{UPLOADS, "408 silent", FAILED(-ETIMEDOUT, LATE), BOUGHT},
	{UPLOADS, "409", FAILED(-EBUSY, "The API failed."),
		FAILED(0, "The API failed.")},
	{UPLOADS, "500 503 503-page garbage garbage+ lost lost+",
		FAILED(-EIO, "The API failed."), BOUGHT},
	{UPLOADS, "408+", FAILED(-ETIMEDOUT, LATE), BOUGHT},
	{UPLOADS, "409+", FAILED(-EBUSY, "The API failed."),
		FAILED(0, "The API failed.")},
	{UPLOADS, "499+ 500+ 503+ 504-page+", FAILED(-EIO, "The API failed."), BOUGHT},
	{UPLOADS, "429 429-soon 429-page+", FAILED(-EDQUOT, QUOTA), BOUGHT},
	{UPLOADS | AT(CREATE), "429-4", FAILED(-EDQUOT, QUOTA), BOUGHT},
	{UPLOADS | AT(CREATE), "429-hour", FAILED(-EDQUOT, QUOTA), QUEUED(QUOTA)},
	{UPLOADS | AT(CREATE), "429-credit", FAILED(-EDQUOT, QUOTA), FAILED(0, QUOTA)},

	{AT(CREATE), "429 429-soon", BOUGHT, BOUGHT},
	/* Only a look can tell, and it tells what was made. */
	{AT(CREATE),
		"garbage+ other+ lost+ 408+ 409+ 499+ 500+ 503+ 504-page+ 403-page+ "
		"404-page+ 429-page+",
		BOUGHT, BOUGHT},
	{AT(CREATE),
		"408 409 500 503 503-page 403-page 404-page garbage lost silent",
		{-EIO, "SUBMITTING", 0, "The API's reply to the submission was lost"},
		{0, "SUBMIT_UNCERTAIN", 0,
			"It is unknown whether this job was created"}},
};

/* ---- a row's lives ------------------------------------------------------------------ */

/* Long enough for all looking to be over, whatever the server's clock says. */
enum { LONG = 4000 };

static enum step step;
static size_t answer;
static const struct outcome *outcome;

static bool is_held(void)
{
	struct seen s;

	look_here(&s);
	return answers[answer].a.retry > 1000 && s.error[0] &&
	       strcmp(s.state, "QUEUED") == 0;
}

static void submit(void)
{
	struct gb_job *job =
		draft_here(steps[step].with_picture, !steps[step].unlisted);

	fake_script(the_api, steps[step].call, answers[answer].a);
	tell_returned(BLOCKING(gb_submit, job, GB_BY_CTL));
	gb_job_unref(job);
	UNTIL(!world->o.background || is_settled() || is_held());
	look_here(&world->seen);
}

/* What dies by itself: an upload whose answer was lost, that of a create which somebody may
 * still find the job of, and what there was no network to delete. */
static bool may_stray(void)
{
	const char *name = answers[answer].name;

	return name[strlen(name) - 1] == '+' || outcome->ret == -EHOSTUNREACH ||
	       strstr("SUBMITTING SUBMIT_UNCERTAIN", outcome->state);
}

/* Uploads go last, in the background. */
static void finish(void)
{
	UNTIL(is_settled());
	finish_here();
	UNTIL(fake_uploads(the_api) <= may_stray());
}

static void only_submit(void)
{
	open_here();
	submit();
	close_here();
}

static void only_finish(void)
{
	open_here();
	finish();
	close_here();
}

static void submit_and_finish(void)
{
	open_here();
	submit();
	fake_unscript(the_api, steps[step].call);
	world->passed = LONG;
	finish();
	close_here();
}

static void begin_row(enum step s, size_t a, bool background, const struct outcome *o)
{
	step = s;
	answer = a;
	outcome = o;
	world_new("%s answered with %s%s", steps[s].name, answers[a].name,
		background ? ", in the background" : "");
	world->o.background = background;
	world->o.model = steps[s].model;
	world->o.max_tokens = steps[s].limited ? 1000000 : 0;
	world->passed = background ? LONG : 0;
}

static void bought_once(void)
{
	ROW_TRUE(world->seen.saved);
	ROW_TRUE(world->seen.jobs == 1);
	ROW_TRUE(world->seen.error[0] == '\0');
	ROW_TRUE(fake_made(the_api) == 1);
}

static void check_outcome(void)
{
	const struct outcome *o = outcome;
	bool background = world->o.background;
	const struct seen *seen = background ? &world->seen : &world->then;

	ROW_TRUE(world->returned && world->ret == o->ret);
	ROW_TRUE(strncmp(seen->state, o->state, strlen(o->state)) == 0);
	ROW_TRUE(strncmp(seen->error, o->error, strlen(o->error)) == 0);
	ROW_TRUE((*o->error == '\0') == (*seen->error == '\0'));
	ROW_TRUE(fake_made(the_api) == o->made);
}

static void go_through(enum step s, size_t a, bool background, const struct outcome *o)
{
	begin_row(s, a, background, o);
	live(only_submit);
	check_outcome();
	fake_unscript(the_api, steps[s].call);
	world->passed = LONG;
	live(only_finish);
	bought_once();
	world_free();
	if (o->made || strcmp(o->state, "QUEUED") == 0)
		return;
	begin_row(s, a, background, o);
	live(submit_and_finish);
	bought_once();
	world_free();
}

/* ---- the table ---------------------------------------------------------------------- */

static bool names(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
			return true;
	return false;
}

static const struct row *row_of(enum step s, size_t a)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((rows[i].at & AT(s)) && names(rows[i].answers, answers[a].name))
			return &rows[i];
	fail_msg("no row for %s answered with %s", steps[s].name, answers[a].name);
	return NULL;
}

static void test_step(void **state)
{
	enum step s = *(const enum step *)*state;

	for (size_t a = 0; a < ARRAY_SIZE(answers); a++) {
		/* Of creates only. */
		if (answers[a].a.what == FAKE_OTHER && s != CREATE)
			continue;
		const struct row *row = row_of(s, a);

		if (table_takes_row())
			go_through(s, a, false, &row->close);
		if (table_takes_row())
			go_through(s, a, true, &row->background);
	}
}

int main(void)
{
	static enum step all[STEPS];
	struct CMUnitTest tests[STEPS];

	for (enum step s = 0; s < STEPS; s++) {
		all[s] = s;
		tests[s] = (struct CMUnitTest){
			steps[s].name, test_step, NULL, NULL, &all[s]};
	}
	return cmocka_run_group_tests_name(
		"answers", tests, money_setup, money_teardown);
}
