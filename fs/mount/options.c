#include "mount/options.h"

#include <getopt.h>
#include <string.h>

#include "gembatch.h"
#include "mount/config.h"
#include "mount/option_private.h"
#include "util/log.h"
#include "util/number.h"

#define GIB (1ull << 30)

static const char help[] =
	"usage: batchfs [-f] [-d] [-o OPTION[,...]]... [SOURCE] MOUNTPOINT\n"
	"\n"
	"Mounts the batch jobs of a Gemini API project. A job is a directory:\n"
	"mkdir makes a draft, cp of requests.jsonl into it submits, wait blocks until\n"
	"it has ended, results.jsonl has the answers, rmdir deletes it.\n"
	"MOUNTPOINT/.batchfs/README says more; unmount: fusermount3 -u MOUNTPOINT\n"
	"Without a mount: batchfs run NAME FILE, and other verbs: batchfs help\n"
	"\n"
	"  -f  stay in the foreground, log to stderr    -V  version\n"
	"  -d  the same, with every request             -h  this help\n"
	"\n"
	"SOURCE  base URL of the API (none: $GOOGLE_GEMINI_BASE_URL or Google's)\n"
	"OPTION  also in ~/.config/batchfs/ACCOUNT.conf, one a line:\n"
	"  api=v1beta|v1                 version of the API "
	"[$GOOGLE_GENAI_API_VERSION, else v1beta]\n"
	"  model=NAME                    of new jobs [$BATCHFS_MODEL, "
	"gemini-flash-latest]\n"
	"  account=NAME                  picks key file and state_dir [default]\n"
	"  api_key_file=PATH             only source of the key, else "
	"$GOOGLE_API_KEY,\n"
	"                                $GEMINI_API_KEY, "
	"~/.config/batchfs/ACCOUNT.key\n"
	"  state_dir=PATH cache_dir=PATH what must not be lost; what can be made "
	"again\n"
	"  cache_max=BYTES[K|M|G]        size of the cache [10G]\n"
	"  fetch=own|all|read            whose results are saved at their end [own]\n"
	"  submit=close|background|ctl   when a job is sent [close]\n"
	"  rmdir=any|ended               may rmdir take a job that has not ended "
	"[any]\n"
	"  trash=DAYS                    how long removed jobs' copies stay [7]\n"
	"  poll=SECONDS ttl=SECONDS      freshness [30, 5]\n"
	"  resubmit=HOURS                submit uncertain jobs again after so long [never]\n"
	"  max_tokens=N max_cost=N       submit nothing that is estimated above it [no "
	"limit]\n"
	"  on_end=COMMAND                run when a job has ended: COMMAND NAME STATE\n"
	"  split=auto|none|N             how many jobs a directory may become [auto]\n"
	"  retries=N                     ask again what is not answered, up to N times [0]\n"
	"  webhook=URL                   called by the API when a job has ended\n"
	"  inline_max=BYTES              requests up to this size go inline [0]\n"
	"  uid=N gid=N umask=OCTAL       owner and modes [you, 077]\n"
	"  offline                       use what is on disk, call nothing\n"
	"  ro, allow_other, max_read, ...  as mount(8) and mount.fuse3(8)\n";

/* Split list at commas; a backslash keeps the next character. */
static enum options_verdict set_list(struct options *o, const char *given)
{
	/* Not in place: the arguments are what ps shows. */
	_cleanup_free_ char *list = strdup(given);
	enum options_verdict verdict = OPTIONS_GO;
	char *from = list, *to = list, *word = list;

	if (!list)
		return bad_option("out of memory");
	for (;; from++) {
		if (*from == ',' || !*from) {
			bool last = !*from;

			*to = '\0';
			if (*word)
				verdict = set_option(o, word);
			if (last || verdict != OPTIONS_GO)
				return verdict;
			word = to = from + 1;
			continue;
		}
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
}

static enum options_verdict positional(struct options *o, int n, char **words)
{
	const char *given = n == 2 ? words[0] : "none", *source = given;

	if (n < 1)
		return bad_option(
			"the mountpoint is missing (batchfs -h; without a mount: batchfs "
			"help); usage: batchfs [-o OPTION...] "
			"[SOURCE] MOUNTPOINT");
	if (n > 2)
		return bad_option(
			"%s: one argument too many; usage: batchfs [-o OPTION...] "
			"[SOURCE] MOUNTPOINT",
			words[2]);
	if (!*words[n - 1])
		return bad_option("the mountpoint is an empty string");
	if (!*source || !strcmp(source, "none"))
		source = getenv("GOOGLE_GEMINI_BASE_URL");
	if (!source || !*source)
		source = "https://generativelanguage.googleapis.com";
	o->source = strdup(source);
	o->fsname = strdup(n == 2 && *given ? given : source);
	o->mountpoint = strdup(words[n - 1]);
	return o->source && o->fsname && o->mountpoint ? OPTIONS_GO : bad_option("out of memory");
}

/* As Google's SDKs read it. Other programs may need a version that has no batches. */
static int api_from_env(void)
{
	const char *name = "GOOGLE_GENAI_API_VERSION", *version = getenv(name);

	if (!version || !*version || !strcmp(version, "beta"))
		return 0;
	for (int i = 0; api_words[i]; i++)
		if (!strcmp(version, api_words[i]))
			return i;
	log_line(LOG_WARNING,
		"%s=%s is not a version that batchfs knows; %s is used instead (to "
		"choose one: -o api=...)",
		name, version, api_words[0]);
	return 0;
}

static enum options_verdict set_defaults(struct options *o, int api)
{
	const char *model = getenv("BATCHFS_MODEL");

	*o = (struct options){
		.cache_max = 10 * GIB,
		.api = api,
		.fetch = GB_FETCH_OWN,
		.submit = SUBMIT_CLOSE,
		.trash_days = 7,
		.poll_s = 30,
		.ttl_s = 5,
		.uid = getuid(),
		.gid = getgid(),
		.umask = 077,
		.max_read = BLOCK,
		.max_threads = THREADS,
		.max_idle_threads = IDLE_THREADS,
	};
	o->account = strdup("default");
	if (model && *model)
		o->model = strdup(model);
	return o->account ? OPTIONS_GO : bad_option("out of memory");
}

static enum options_verdict check_webhook(const struct options *o)
{
	if (o->webhook && strncmp(o->webhook, "https://", 8) != 0)
		return bad_option("webhook=%s: must be an https URL", o->webhook);
	return OPTIONS_GO;
}

/* The account becomes part of file names. */
static enum options_verdict check_account(const struct options *o)
{
	if (*o->account == '.' || strchr(o->account, '/') || strlen(o->account) > 100)
		return bad_option("account=%s: must be a plain file name", o->account);
	return OPTIONS_GO;
}

/* As the library reads it. */
static enum options_verdict check_split(const struct options *o)
{
	const char *end = "x";
	uint64_t n = 0;

	if (!o->split || !strcmp(o->split, "auto") || !strcmp(o->split, "none") ||
		(number_of(o->split, 10, &n, &end) && n && !*end && *o->split != '0'))
		return OPTIONS_GO;
	return bad_option(
		"split=%s: must be auto, none or a number of requests", o->split);
}

static enum options_verdict parse_words(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'}, {}};
	enum options_verdict verdict;
	int c;

	opterr = 0;
	optind = 0; /* from the beginning, as this is called twice */
	while ((c = getopt_long(argc, argv, ":fdVho:", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			o->foreground = true;
			break;
		case 'd':
			o->debug = true;
			break;
		case 'V':
			puts("batchfs " BATCHFS_VERSION);
			return OPTIONS_DONE;
		case 'h':
			fputs(help, stdout);
			return OPTIONS_DONE;
		case 'o':
			verdict = set_list(o, optarg);
			if (verdict != OPTIONS_GO)
				return verdict;
			break;
		case ':':
			return bad_option("-%c needs a value", optopt);
		default:
			if (optopt)
				return bad_option(
					"unknown option -%c (batchfs -h lists them)",
					optopt);
			return bad_option("unknown option %s (batchfs -h lists them)",
				argv[optind - 1]);
		}
	}
	return positional(o, argc - optind, argv + optind);
}

/* A path must not depend on where batchfs is started. */
static bool is_relative(const char *option)
{
	static const char *const paths[] = {"api_key_file=", "state_dir=", "cache_dir="};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (!strncmp(option, paths[i], strlen(paths[i])))
			return option[strlen(paths[i])] != '/';
	return false;
}

static int set_configured(void *o, char *option, const char *where)
{
	enum options_verdict verdict;

	option_place = where;
	if (!strncmp(option, "account", 7))
		verdict = bad_option("the account chooses this file");
	else if (is_relative(option))
		verdict = bad_option("%s: must be an absolute path", option);
	else
		verdict = set_option(o, option);
	option_place = NULL;
	return verdict;
}

/* The command line has been read and says which file comes before it. */
static enum options_verdict read_again(
	int argc, char **argv, const char *account, int api, struct options *o)
{
	int verdict = set_defaults(o, api);

	if (verdict == OPTIONS_GO && config_read(account, set_configured, o))
		verdict = OPTIONS_BAD;
	if (verdict == OPTIONS_GO)
		verdict = parse_words(argc, argv, o);
	return verdict;
}

enum options_verdict options_parse(int argc, char **argv, struct options *ret)
{
	int api = api_from_env();
	enum options_verdict verdict = set_defaults(ret, api);

	if (verdict == OPTIONS_GO)
		verdict = parse_words(argc, argv, ret);
	if (verdict == OPTIONS_GO)
		verdict = check_account(ret);
	if (verdict == OPTIONS_GO) {
		struct options once = *ret;

		verdict = read_again(argc, argv, once.account, api, ret);
		options_free(&once);
	}
	if (verdict == OPTIONS_GO)
		verdict = check_webhook(ret);
	if (verdict == OPTIONS_GO)
		verdict = check_split(ret);
	ret->foreground |= ret->debug;
	return verdict;
}

void options_free(struct options *o)
{
	free(o->source);
	free(o->fsname);
	free(o->mountpoint);
	free(o->model);
	free(o->account);
	free(o->webhook);
	free(o->split);
	free(o->on_end);
	free(o->api_key_file);
	free(o->state_dir);
	free(o->cache_dir);
	free(o->mount_words);
}
