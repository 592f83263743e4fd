#include "mount/option_private.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "util/log.h"
#include "util/number.h"
#include "util/words.h"

#define INLINE_MAX 20000000

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

const char *const api_words[] = {"v1beta", "v1", NULL};
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

static void *field(struct options *o, const struct option_row *row)
{
	return (char *)o + row->where;
}

const char *option_place;

enum options_verdict bad_option(const char *fmt, ...)
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
	double n;

	if (!number_of_money(value, &n))
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

enum options_verdict set_option(struct options *o, char *word)
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
