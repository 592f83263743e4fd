#include "start/verb.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "start/key.h"
#include "start/prepare.h"
#include "start/resources.h"
#include "util/log.h"
#include "util/util.h"

struct opening {
	struct options *o;
	struct key key;
	bool no_key;
};

/* What matters to somebody who waits is in `error`; the rest is for -o debug. */
static void on_verb_log(void *arg, int priority, const char *line)
{
	const struct opening *s = arg;

	if (s->o->debug || priority <= LOG_ERR)
		log_line(priority, "%s", line);
}

/* The verb takes ends of the jobs that it waits for (cli/ended.h); others stay due. */
static void on_verb_ended(void *arg, struct gb_job *job)
{
}

/* No key is an error only where no mount has it. */
static int open_for_verb(void *arg, struct gb_client **ret, char **ret_why)
{
	struct opening *s = arg;
	const struct gb_options more = {.log = on_verb_log,
		.ended = s->o->on_end ? on_verb_ended : NULL,
		.guest = true,
		.arg = s};

	if (s->no_key && !s->o->offline) {
		key_explain_none(s->o);
		*ret_why = NULL;
		return -ENOKEY;
	}
	return prepare_client(s->o, &s->key, &more, ret, ret_why);
}

static int run_verb(struct cli_args *a, struct options *o)
{
	struct opening s = {.o = o};
	const struct cli_place place = {o, open_for_verb, &s};
	int status = CLI_USAGE;

	resources_raise();
	if (prepare_source(o) || prepare_directories(o, NULL))
		goto out;
	int err = key_find(o, &s.key);
	s.no_key = err == -ENOENT;
	status = CLI_KEY;
	if (err && !s.no_key)
		goto out;
	prepare_process();
	log_open(o->debug);
	if (!o->debug)
		log_errors_only();
	status = cli_main(a, &place);
out:
	key_wipe(&s.key);
	return status;
}

/* `batchfs jobs` beside a directory jobs was perhaps meant to mount it. */
static void note_directory(int argc, char **argv)
{
	struct stat st;

	if (argc == 2 && isatty(STDERR_FILENO) && !stat(argv[1], &st) &&
		S_ISDIR(st.st_mode))
		cli_say("%s is a verb; to mount on the directory: batchfs ./%s", argv[1],
			argv[1]);
}

int verb_main(int argc, char **argv)
{
	struct cli_args a;
	struct options o = {};
	int status = cli_parse(argc, argv, &a);

	note_directory(argc, argv);
	if (status == CLI_OK)
		status = options_parse(a.mount_argc, a.mount_argv, &o) == OPTIONS_GO
				 ? run_verb(&a, &o)
				 : CLI_USAGE;
	options_free(&o);
	cli_args_free(&a);
	return status < 0 ? CLI_OK : status;
}
