/* The command line of a verb: options before or after NAME, one table for what each is,
 * and to which verbs it belongs. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "util/util.h"
#include "util/words.h"

#define VERBS_SUBMIT "run submit "
#define VERBS_WAIT "run wait "
#define META ".batchfs"

enum kind { TEXT, FLAG, SECONDS, MOUNT /* handed on to options_parse as -o */ };

struct arg_row {
	const char *name;
	char letter; /* 0: none */
	enum kind kind;
	size_t where;
	const char *verbs; /* NULL: all */
	const char *value, *help;
};

#define AT(field) offsetof(struct cli_args, field)

static const struct arg_row arg_rows[] = {
	{"model", 'm', TEXT, AT(model), VERBS_SUBMIT, "MODEL",
		"model of the job (batchfs models lists them)"},
	{"inputs", 0, TEXT, AT(inputs), VERBS_SUBMIT, "DIR|FILE",
		"a request per file; per line; per row of a .csv or .tsv"},
	{"prompt", 0, TEXT, AT(prompt), VERBS_SUBMIT, "TEXT|@FILE",
		"what is asked about each input"},
	{"system", 0, TEXT, AT(system), VERBS_SUBMIT, "TEXT|@FILE",
		"the system instruction"},
	{"schema", 0, TEXT, AT(schema), VERBS_SUBMIT, "FILE",
		"answers are JSON of this schema"},
	{"defaults", 0, TEXT, AT(defaults), VERBS_SUBMIT, "FILE",
		"other members of each request, as JSON"},
	{"split", 0, TEXT, AT(split), VERBS_SUBMIT, "auto|none|N",
		"how many of the API's jobs it may become"},
	{"retries", 0, TEXT, AT(retries), VERBS_SUBMIT, "N",
		"ask again by itself, up to N times"},
	{"queue", 0, FLAG, AT(queue), "submit ", NULL,
		"return when the requests are safe here"},
	{"results", 0, FLAG, AT(raw), "run cat ", NULL,
		"the API's own lines in place of answers.tsv"},
	{"to", 0, TEXT, AT(to), "run ", "DIR", "the answers as files in DIR"},
	{"timeout", 0, SECONDS, AT(timeout), VERBS_WAIT, "SECONDS",
		"wait no longer (exit status 75)"},
	{"json", 0, FLAG, AT(json), "status ", NULL, "as a JSON object"},
	{"long", 'l', FLAG, AT(details), "ls ", NULL, "with what is known of each job"},
	{"quiet", 'q', FLAG, AT(quiet), NULL, NULL, "no progress"},
	{"source", 's', MOUNT, 0, NULL, "SOURCE", "the API's base URL"},
	{"options", 'o', MOUNT, 0, NULL, "OPTION[,...]",
		"as for a mount: account=, api_key_file=, state_dir= ..."},
	{"help", 'h', FLAG, 0, NULL, NULL, "this"},
};

/* Whether the list, each with a space behind it, has the verb; NULL: all. */
static bool has_verb(const char *verbs, const struct cli_verb *v)
{
	size_t n = strlen(v->name);

	for (const char *p = verbs; p && *p; p = strchr(p, ' ') + 1)
		if (!strncmp(p, v->name, n) && p[n] == ' ')
			return true;
	return !verbs;
}

static bool fits_verb(const struct arg_row *r, const struct cli_verb *v)
{
	return has_verb(r->verbs, v);
}

/* ---- help ------------------------------------------------------------------------ */

#define VERBS_SHOW "ls status jobs models history "
#define VERBS_TELL "cancel fetch retry ctl rm "

/* Of each status the first row that fits. */
static const struct status_row {
	enum cli_exit status;
	const char *verbs, *means;
} status_rows[] = {
	{CLI_OK, "run ", "all requests are answered"},
	{CLI_OK, "submit ", "the job exists, or its first part does (--queue: the "
			    "requests are\n       safe here)"},
	{CLI_OK, "wait ", "all ended in JOB_STATE_SUCCEEDED"},
	{CLI_OK, NULL, "done"},
	{CLI_FAILED, "run ", "the job failed or was refused"},
	{CLI_FAILED, "submit ", "it was refused"},
	{CLI_FAILED, "wait ", "any other end"},
	{CLI_FAILED, "cat ls ", "there is none, and none will come"},
	{CLI_FAILED, NULL, "it failed or was refused"},
	{CLI_USAGE, VERBS_SUBMIT, "usage, or NAME is taken by other requests"},
	{CLI_USAGE, NULL, "usage"},
	{CLI_PARTLY, "run ", "some requests have no answer"},
	{CLI_LATER, "run ", "not ended or not bought yet, or the results cannot be had now; "
			    "the\n       same command again goes on"},
	{CLI_LATER, "submit ", "not bought yet; the same command again goes on"},
	{CLI_LATER, "wait ", "not ended yet"},
	{CLI_LATER, "cat ls ", "it is not there yet (batchfs wait NAME), or cannot be had "
			       "now"},
	{CLI_LATER, "rm ", "accepted, and not done yet; or the API cannot be reached"},
	{CLI_LATER, VERBS_TELL, "not now: the API cannot be reached, or its quota is used "
				"up"},
	{CLI_KEY, NULL, "the key was refused, or there is none"},
	{CLI_SIGNAL + 2, VERBS_SUBMIT VERBS_WAIT, "interrupted; the job goes on"},
};

static void help_statuses(const struct cli_verb *v)
{
	int last = -1;

	puts("\nExit status:");
	for (size_t i = 0; i < ARRAY_SIZE(status_rows); i++) {
		const struct status_row *r = &status_rows[i];

		if ((int)r->status == last || !has_verb(r->verbs, v))
			continue;
		last = (int)r->status;
		printf("  %3d  %s\n", last, r->means);
	}
}

static void help_verb(const struct cli_verb *v)
{
	printf("batchfs %s [OPTION...]%s%s\n\n%s\n\n", v->name, *v->usage ? " " : "",
		v->usage, v->help);
	for (size_t i = 0; i < ARRAY_SIZE(arg_rows); i++) {
		const struct arg_row *r = &arg_rows[i];
		char left[64], letter[8] = "    ";

		if (!fits_verb(r, v))
			continue;
		if (r->letter)
			snprintf(letter, sizeof(letter), "-%c, ", r->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, r->name,
			r->value ? " " : "", r->value ? r->value : "");
		printf("  %-26s %s\n", left, r->help);
	}
	help_statuses(v);
}

static void help_all(void)
{
	puts("Without a mount:\n");
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		_cleanup_free_ char *left =
			format("%s%s%s", v->name, *v->usage ? " " : "", v->usage);

		printf("  batchfs %-30s %s\n", left ? left : v->name, v->brief);
	}
	puts("\nbatchfs help VERB says more; batchfs -h is about "
	     "mounting; man batchfs has all.");
}

const char *cli_nearest_verb(const char *word)
{
	struct words_search s = {.word = word};

	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		words_offer(&s, v->name);
	words_offer(&s, "help");
	return s.nearest;
}

int cli_no_verb(const char *word)
{
	const char *nearest = cli_nearest_verb(word);

	if (nearest)
		cli_say("there is no verb %s: did you mean %s? (batchfs help lists them)",
			word, nearest);
	else
		cli_say("%s is no verb (batchfs help lists them), and no directory to "
			"mount on (batchfs -h)",
			word);
	return CLI_USAGE;
}

static int help(const char *name)
{
	const struct cli_verb *v = name ? cli_verb_find(name) : NULL;

	if (!v && name && strcmp(name, "help") != 0 && *name != '-')
		return cli_no_verb(name);
	if (v)
		help_verb(v);
	else
		help_all();
	return -1;
}

/* ---- completion ------------------------------------------------------------------ */

static void complete_verbs(void)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		printf("%s\t%s\n", v->name, v->brief);
	puts("help\twhat a verb does, and its options");
}

static void complete_options(const struct cli_verb *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(arg_rows); i++) {
		const struct arg_row *r = &arg_rows[i];

		if (!fits_verb(r, v))
			continue;
		printf("--%s\t%s\t%s\n", r->name, r->value ? r->value : "", r->help);
		if (r->letter)
			printf("-%c\t%s\t%s\n", r->letter, r->value ? r->value : "",
				r->help);
	}
}

/* What the completions of the shells ask: `complete`, the verbs, a line each with
 * its help behind a tab; `complete VERB`, its options: name, value, help. */
static int complete(const char *verb)
{
	const struct cli_verb *v = verb ? cli_verb_find(verb) : NULL;

	if (!verb)
		complete_verbs();
	else if (v)
		complete_options(v);
	return -1;
}

bool cli_is_verb(const char *word)
{
	return !strcmp(word, "help") || !strcmp(word, "complete") ||
	       cli_verb_find(word);
}

/* ---- parsing --------------------------------------------------------------------- */

static int set_seconds(const char *name, const char *value, double *ret)
{
	char *end;

	*ret = strtod(value, &end);
	if (end != value && !*end && *ret >= 0)
		return CLI_OK;
	cli_say("--%s: %s is no number of seconds", name, value);
	return CLI_USAGE;
}

static int set_arg(
	struct cli_args *a, const struct arg_row *r, char *value, char **source)
{
	void *to = (char *)a + r->where;

	switch (r->kind) {
	case TEXT:
		*(const char **)to = value;
		return CLI_OK;
	case FLAG:
		*(bool *)to = true;
		return CLI_OK;
	case SECONDS:
		return set_seconds(r->name, value, to);
	case MOUNT:
		break;
	}
	if (r->letter == 's') {
		*source = value;
		return CLI_OK;
	}
	a->mount_argv[a->mount_argc++] = (char *)"-o";
	a->mount_argv[a->mount_argc++] = value;
	return CLI_OK;
}

/* getopt's two forms of the table. */
struct forms {
	struct option longs[ARRAY_SIZE(arg_rows) + 1];
	char shorts[2 * ARRAY_SIZE(arg_rows) + 2];
};

static void make_forms(struct forms *f)
{
	char *s = f->shorts;

	*f = (struct forms){};
	*s++ = ':';
	for (size_t i = 0; i < ARRAY_SIZE(arg_rows); i++) {
		const struct arg_row *r = &arg_rows[i];

		f->longs[i] = (struct option){r->name,
			r->value ? required_argument : no_argument, NULL, 256 + (int)i};
		if (r->letter)
			*s++ = r->letter;
		if (r->letter && r->value)
			*s++ = ':';
	}
}

static const struct arg_row *row_of(int c)
{
	if (c >= 256)
		return &arg_rows[c - 256];
	for (size_t i = 0; i < ARRAY_SIZE(arg_rows); i++)
		if (arg_rows[i].letter == c)
			return &arg_rows[i];
	return NULL;
}

static int bad_arg(const struct cli_args *a, int c, char **argv)
{
	cli_say("%s %s (batchfs help %s)",
		c == ':' ? "a value is missing after" : "unknown option",
		argv[optind - 1], a->verb->name);
	return CLI_USAGE;
}

static int parse_args(int argc, char **argv, struct cli_args *a, char **source)
{
	struct forms f;
	int c, status = CLI_OK;

	make_forms(&f);
	opterr = 0;
	optind = 0;
	while (!status &&
		(c = getopt_long(argc, argv, f.shorts, f.longs, NULL)) != -1) {
		const struct arg_row *r = row_of(c);

		if (!r)
			return bad_arg(a, c, argv);
		if (r->letter == 'h')
			return help(a->verb->name);
		if (!fits_verb(r, a->verb)) {
			cli_say("--%s does not go with %s (batchfs help %s)", r->name,
				a->verb->name, a->verb->name);
			return CLI_USAGE;
		}
		status = set_arg(a, r, optarg, source);
	}
	a->names = argv + optind;
	a->n = (size_t)(argc - optind);
	return status;
}

/* A name that means another place means nothing to the API either. */
static bool is_name(const char *name, bool files)
{
	size_t n = files ? strcspn(name, "/") : strlen(name);
	const char *rest = name + n;

	if (!n || memchr(name, '/', n))
		return false;
	for (; *rest; rest += strcspn(rest, "/")) {
		rest++;
		if (!strncmp(rest, "..", 2) && (!rest[2] || rest[2] == '/'))
			return false;
	}
	return *name != '.' || (files && n == strlen(META) && !strncmp(name, META, n));
}

static int check_names(const struct cli_args *a)
{
	const struct cli_verb *v = a->verb;
	size_t names = v->first && a->n ? 1 : a->n;

	if ((int)a->n < v->min || (v->max >= 0 && (int)a->n > v->max)) {
		cli_say("usage: batchfs %s%s%s (batchfs help %s)", v->name,
			*v->usage ? " " : "", v->usage, v->name);
		return CLI_USAGE;
	}
	for (size_t i = 0; i < names; i++) {
		if (is_name(a->names[i], v->files))
			continue;
		cli_say("%s: %s cannot be a NAME", v->name, a->names[i]);
		return CLI_USAGE;
	}
	return CLI_OK;
}

/* -o retries=N, the source, and something for the mountpoint. */
static int end_mount_args(struct cli_args *a, char *source)
{
	if (a->retries) {
		a->retries_option = format("retries=%s", a->retries);
		if (!a->retries_option)
			return CLI_FAILED;
		a->mount_argv[a->mount_argc++] = (char *)"-o";
		a->mount_argv[a->mount_argc++] = a->retries_option;
	}
	a->mount_argv[a->mount_argc++] = source ? source : (char *)"none";
	a->mount_argv[a->mount_argc++] = (char *)"/";
	return CLI_OK;
}

int cli_parse(int argc, char **argv, struct cli_args *ret)
{
	char *source = NULL;
	int status;

	*ret = (struct cli_args){.timeout = -1};
	if (!strcmp(argv[1], "help"))
		return help(argc > 2 ? argv[2] : NULL);
	if (!strcmp(argv[1], "complete"))
		return complete(argc > 2 ? argv[2] : NULL);
	ret->verb = cli_verb_find(argv[1]);
	/* Each argument becomes two at most. */
	ret->mount_argv = calloc(2 * (size_t)argc + 8, sizeof(char *));
	if (!ret->mount_argv)
		return CLI_FAILED;
	ret->mount_argv[ret->mount_argc++] = argv[0];
	status = parse_args(argc - 1, argv + 1, ret, &source);
	if (!status)
		status = check_names(ret);
	return status ? status : end_mount_args(ret, source);
}

void cli_args_free(struct cli_args *a)
{
	free(a->retries_option);
	free(a->mount_argv);
}
