#include "mount/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "util/util.h"
#include "gembatch.h"
#include "mount/config.h"
#include "util/log.h"
#include "util/number.h"
#include "util/words.h"

#define INLINE_MAX 20000000
#define GIB (1ull << 30)

enum kind {
	TEXT,   /* char *: anything but nothing */
	NUMBER, /* int between lo and hi */
	COUNT,  /* uint64_t between lo and hi */
	SIZE,   /* uint64_t between lo and hi; K, M, G, T at the end */
	MONEY,  /* double above 0 */
	OCTAL,  /* mode_t */
	CHOICE, /* int: which of the words */
	FLAG,   /* bool, no value */
	MOUNT,  /* passed on to FUSE, with or without a value */
	SKIP,   /* mount(8)'s own, passed over */
	REFUSE, /* libfuse knows it, and batchfs cannot take it: why says so */
};

struct option_row {
	const char *name;
	enum kind kind;
	size_t where;
	uint64_t lo, hi;
	const char *const *words;
	const char *why;
};

static const char *const api_words[] = {"v1beta", "v1", NULL};
static const char *const fetch_words[] = {"own", "all", "read", NULL};
static const char *const submit_words[] = {"close", "background", "ctl", NULL};
static const char *const rmdir_words[] = {"any", "ended", NULL};

static const char decides_cache[] =
	"batchfs decides file by file what the kernel may cache, and for how long";
static const char high_level[] =
	"it belongs to a part of libfuse that batchfs does not use";

static const char mounts_for[] =
	"mount.fuse3(8) does that before it starts batchfs: mount -t fuse.batchfs";

#define AT(field) offsetof(struct options, field)

static const struct option_row rows[] = {
	{"model", TEXT, AT(model)},
	{"account", TEXT, AT(account)},
	{"api_key_file", TEXT, AT(api_key_file)},
	{"state_dir", TEXT, AT(state_dir)},
	{"cache_dir", TEXT, AT(cache_dir)},
	{"cache_max", SIZE, AT(cache_max), 1, INT64_MAX},
	{"api", CHOICE, AT(api), .words = api_words},
	{"fetch", CHOICE, AT(fetch), .words = fetch_words},
	{"submit", CHOICE, AT(submit), .words = submit_words},
	{"rmdir", CHOICE, AT(rmdir), .words = rmdir_words},
	{"trash", NUMBER, AT(trash_days), 0, 36500},
	{"poll", NUMBER, AT(poll_s), 1, 86400},
	{"ttl", NUMBER, AT(ttl_s), 0, 86400},
	{"resubmit", NUMBER, AT(resubmit_hours), 2, 10000},
	{"max_tokens", COUNT, AT(max_tokens), 1, INT64_MAX},
	{"max_cost", MONEY, AT(max_cost)},
	{"inline_max", SIZE, AT(inline_max), 0, INLINE_MAX},
	{"on_end", TEXT, AT(on_end)},
	{"webhook", TEXT, AT(webhook)},
	{"split", TEXT, AT(split)},
	{"retries", NUMBER, AT(retries), 0, 1000},
	{"uid", NUMBER, AT(uid), 0, INT_MAX},
	{"gid", NUMBER, AT(gid), 0, INT_MAX},
	{"umask", OCTAL, AT(umask), 0, 0777},
	{"offline", FLAG, AT(offline)},
	{"nonempty", FLAG, AT(nonempty)},
	{"debug", FLAG, AT(debug)},
	{"ro", FLAG, AT(readonly)},
	{"max_read", SIZE, AT(max_read), 4096, BLOCK},
	{"max_threads", NUMBER, AT(max_threads), 1, 1000},
	{"max_idle_threads", NUMBER, AT(max_idle_threads), 1, 1000},
	{"clone_fd", FLAG, AT(clone_fd)},
	{"nosymfollow", FLAG, AT(nosymfollow)},
	{"default_permissions", FLAG, AT(default_permissions)},

	{"allow_other", MOUNT},
	{"allow_root", MOUNT},
	{"auto_unmount", MOUNT},
	{"fsname", MOUNT},
	{"subtype", MOUNT},
	{"context", MOUNT},
	{"fscontext", MOUNT},
	{"defcontext", MOUNT},
	{"rootcontext", MOUNT},
	{"rw", MOUNT},
	{"suid", MOUNT},
	{"nosuid", MOUNT},
	{"dev", MOUNT},
	{"nodev", MOUNT},
	{"exec", MOUNT},
	{"noexec", MOUNT},
	{"sync", MOUNT},
	{"async", MOUNT},
	{"dirsync", MOUNT},
	{"noatime", MOUNT},
	{"nodiratime", MOUNT},

	{"symfollow", SKIP},
	{"atime", SKIP},               /* there are none to keep */
	{"diratime", SKIP},
	{"relatime", SKIP},
	{"norelatime", SKIP},
	{"strictatime", SKIP},
	{"nostrictatime", SKIP},
	{"lazytime", SKIP},
	{"nolazytime", SKIP},
	{"defaults", SKIP},
	{"auto", SKIP},
	{"noauto", SKIP},
	{"user", SKIP},
	{"nouser", SKIP},
	{"users", SKIP},
	{"owner", SKIP},
	{"group", SKIP},
	{"nofail", SKIP},
	{"_netdev", SKIP},
	{"comment", SKIP},

	{"kernel_cache", REFUSE, .why = decides_cache},
	{"auto_cache", REFUSE, .why = decides_cache},
	{"noauto_cache", REFUSE, .why = decides_cache},
	{"direct_io", REFUSE, .why = decides_cache},
	{"writeback_cache", REFUSE, .why = decides_cache},
	{"entry_timeout", REFUSE, .why = decides_cache},
	{"attr_timeout", REFUSE, .why = decides_cache},
	{"ac_attr_timeout", REFUSE, .why = decides_cache},
	{"negative_timeout", REFUSE, .why = decides_cache},
	{"max_write", REFUSE, .why = decides_cache},
	{"remember", REFUSE, .why = high_level},
	{"noforget", REFUSE, .why = high_level},
	{"hard_remove", REFUSE, .why = high_level},
	{"use_ino", REFUSE, .why = high_level},
	{"readdir_ino", REFUSE, .why = high_level},
	{"intr", REFUSE, .why = high_level},
	{"intr_signal", REFUSE, .why = high_level},
	{"modules", REFUSE, .why = high_level},
	{"setuid", REFUSE, .why = mounts_for},
	{"drop_privileges", REFUSE, .why = mounts_for},
	{"blkdev", REFUSE, .why = "batchfs has no device"},
};

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

static void *field(struct options *o, const struct option_row *row)
{
	return (char *)o + row->where;
}

/* FILE:LINE of what is being set; NULL: the command line. */
static const char *option_place;

static enum options_verdict bad_option(const char *fmt, ...) _printf_(1, 2);
static enum options_verdict bad_option(const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	log_line(LOG_ERR, "%s%s%s", option_place ? option_place : "",
		option_place ? ": " : "", text ? text : "out of memory");
	return OPTIONS_BAD;
}

static enum options_verdict unknown(const char *name)
{
	struct words_search s = {.word = name};

	/* It may be a key. */
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz_-")] || strlen(name) > 40)
		return bad_option("this is no option (batchfs -h lists them; a key is "
				  "never given here: api_key_file=PATH)");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		words_offer(&s, rows[i].name);
	if (s.nearest)
		return bad_option(
			"unknown option %s (did you mean %s?)", name, s.nearest);
	return bad_option("unknown option %s (batchfs -h lists them)", name);
}

static const struct option_row *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static enum options_verdict set_number(
	struct options *o, const struct option_row *row, const char *value)
{
	const char *end = "";
	uint64_t n;
	bool ok;

	if (row->kind == SIZE)
		ok = number_of_size(value, &n);
	else
		ok = number_of(value, row->kind == OCTAL ? 8 : 10, &n, &end);
	if (!ok || *end)
		return bad_option("%s=%s: not a number", row->name, value);
	if (n < row->lo || n > row->hi)
		return bad_option(row->kind == OCTAL ? "%s=%s: %#jo to %#jo"
					      : "%s=%s: must be from %ju to %ju",
			row->name, value, (uintmax_t)row->lo, (uintmax_t)row->hi);
	if (row->kind == SIZE || row->kind == COUNT)
		*(uint64_t *)field(o, row) = n;
	else
		*(unsigned *)field(o, row) = n; /* int, uid_t, gid_t and mode_t */
	return OPTIONS_GO;
}

/* Digits and a point; what is no number of money guards none. */
static enum options_verdict set_money(
	struct options *o, const struct option_row *row, const char *value)
{
	char *end;
	double n = strtod(value, &end);

	if (value[strspn(value, "0123456789.")] || *end || end == value)
		return bad_option("%s=%s: not a number", row->name, value);
	if (!(n > 0) || n > 1e15)
		return bad_option("%s=%s: must be above 0", row->name, value);
	*(double *)field(o, row) = n;
	return OPTIONS_GO;
}

_Static_assert(sizeof(uid_t) == sizeof(int) && sizeof(mode_t) == sizeof(int),
	"set_number stores them alike");

static enum options_verdict set_choice(
	struct options *o, const struct option_row *row, const char *value)
{
	char words[128] = "";

	for (int i = 0; row->words[i]; i++) {
		if (!strcmp(row->words[i], value)) {
			*(int *)field(o, row) = i;
			return OPTIONS_GO;
		}
		strcat(words, i ? ", " : "");
		strcat(words, row->words[i]);
	}
	return bad_option("%s=%s: must be one of %s", row->name, value, words);
}

static enum options_verdict set_option_text(
	struct options *o, const struct option_row *row, const char *value)
{
	char **text = field(o, row);
	char *copy;

	if (!*value)
		return bad_option("%s= needs a value", row->name);
	copy = strdup(value);
	if (!copy)
		return bad_option("out of memory");
	free(*text);
	*text = copy;
	return OPTIONS_GO;
}

/* Keep word (name or name=value) for FUSE, commas escaped its way. */
static enum options_verdict add_mount_word(struct options *o, const char *word)
{
	size_t had = o->mount_words ? strlen(o->mount_words) : 0;
	char *to = realloc(o->mount_words, had + 2 * strlen(word) + 2);

	if (!to)
		return bad_option("out of memory");
	o->mount_words = to;
	to += had;
	if (had)
		*to++ = ',';
	for (; *word; word++) {
		if (*word == ',' || *word == '\\')
			*to++ = '\\';
		*to++ = *word;
	}
	*to = '\0';
	return OPTIONS_GO;
}

static enum options_verdict set_option(struct options *o, char *word)
{
	_cleanup_free_ char *whole = strdup(word);
	char *value = strchr(word, '=');
	const struct option_row *row;

	if (value)
		*value++ = '\0';
	if (!strncmp(word, "x-", 2) || !strncmp(word, "X-", 2))
		return OPTIONS_GO;
	if (!strcmp(word, "remount"))
		return bad_option(
			"a mounted batchfs cannot be remounted: unmount it first");
	row = find_option(word);
	if (!row)
		return unknown(word);
	switch (row->kind) {
	case SKIP:
		return OPTIONS_GO;
	case MOUNT:
		if (!strcmp(word, "rw"))
			o->readonly = false;
		return whole ? add_mount_word(o, whole) : bad_option("out of memory");
	case REFUSE:
		return bad_option("option %s is not supported: %s", word, row->why);
	case FLAG:
		if (value)
			return bad_option("option %s takes no value", word);
		*(bool *)field(o, row) = true;
		return OPTIONS_GO;
	default:
		break;
	}
	if (!value)
		return bad_option("option %s needs a value: %s=...", word, word);
	if (row->kind == TEXT)
		return set_option_text(o, row, value);
	if (row->kind == CHOICE)
		return set_choice(o, row, value);
	if (row->kind == MONEY)
		return set_money(o, row, value);
	return set_number(o, row, value);
}

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
