#include "faults.h"

#include <errno.h>
#include <pthread.h>

#define MAX_FAULTS 64

static const char *const kind_names[] = {
	[FAULT_NONE] = "none",
	[FAULT_STATUS] = "status",
	[FAULT_DROP_BEFORE] = "drop_before",
	[FAULT_DROP_AFTER] = "drop_after",
	[FAULT_HTML] = "html",
	[FAULT_GARBAGE] = "garbage",
	[FAULT_REDIRECT] = "redirect",
	[FAULT_HUGEJSON] = "hugejson",
	[FAULT_WIDEJSON] = "widejson",
	[FAULT_DEEPJSON] = "deepjson",
	[FAULT_CUT_BODY] = "cut_body",
	[FAULT_STALL_BODY] = "stall_body",
	[FAULT_STALL] = "stall",
	[FAULT_CUT] = "cut",
	[FAULT_TRUNCATE] = "truncate",
	[FAULT_DRIP] = "drip",
	[FAULT_WRONGTYPES] = "wrongtypes",
	[FAULT_LYING_RANGE] = "lying_range",
	[FAULT_CHANGED_LENGTH] = "changed_length",
	[FAULT_CHANGED_BYTES] = "changed_bytes",
	[FAULT_HEADER] = "header",
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault armed[MAX_FAULTS]; /* lock */
static size_t n_armed;                 /* lock */

static enum fault_kind kind_of(const char *name)
{
	for (size_t i = 1; name && i < ARRAY_LEN(kind_names); i++)
		if (!strcmp(kind_names[i], name))
			return i;
	return FAULT_NONE;
}

void fault_clear(struct fault *f)
{
	free(f->match);
	free(f->text);
	free(f->location);
	*f = (struct fault){0};
}

static int64_t number(const char *(*get)(void *cls, const char *name), void *cls,
	const char *name, int64_t fallback)
{
	const char *s = get(cls, name);

	return s && *s ? strtoll(s, NULL, 10) : fallback;
}

static char *text_dup(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

int fault_arm_words(const char *(*get)(void *cls, const char *name), void *cls)
{
	const char *match = get(cls, "match"), *seconds = get(cls, "seconds");
	struct fault f = {.kind = kind_of(get(cls, "kind"))};
	int r = -ENOSPC;

	if (!match || f.kind == FAULT_NONE)
		return -EINVAL;
	f.match = xstrdup(match);
	f.text = text_dup(get(cls, "text"));
	f.location = text_dup(get(cls, "location"));
	f.status = number(get, cls, "status", 0);
	f.after = number(get, cls, "after", 0);
	f.seconds = seconds ? strtod(seconds, NULL) : 1;
	f.at = number(get, cls, "at",
		f.kind == FAULT_CUT_BODY || f.kind == FAULT_STALL_BODY ? 0 : -1);
	f.bytes = number(get, cls, "bytes", 0);
	f.count = number(get, cls, "count", 1);
	f.skip = number(get, cls, "skip", 0);
	pthread_mutex_lock(&lock);
	if (n_armed < MAX_FAULTS) {
		armed[n_armed++] = f;
		r = 0;
	}
	pthread_mutex_unlock(&lock);
	if (r < 0)
		fault_clear(&f);
	return r;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(char *s)
{
	char *o = s;

	for (; *s; s++) {
		if (*s == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			*o++ = hex(s[1]) << 4 | hex(s[2]);
			s += 2;
		} else {
			*o++ = *s == '+' ? ' ' : *s;
		}
	}
	*o = '\0';
}

struct words {
	char *name[16], *value[16];
	size_t n;
};

static const char *word(void *cls, const char *name)
{
	struct words *w = cls;

	for (size_t i = 0; i < w->n; i++)
		if (!strcmp(w->name[i], name))
			return w->value[i];
	return NULL;
}

int fault_arm(const char *query)
{
	_cleanup_free_ char *copy = xstrdup(query);
	struct words w = {.n = 0};
	char *save = NULL;

	for (char *p = strtok_r(copy, "&", &save); p && w.n < ARRAY_LEN(w.name);
		p = strtok_r(NULL, "&", &save)) {
		char *eq = strchr(p, '=');

		if (!eq)
			return -EINVAL;
		*eq = '\0';
		unescape(eq + 1);
		w.name[w.n] = p;
		w.value[w.n++] = eq + 1;
	}
	return fault_arm_words(word, &w);
}

static bool matches(
	const struct fault *f, const char *op, const char *method, const char *path)
{
	const char *space = strchr(f->match, ' ');
	size_t n;

	if (!strcmp(f->match, "*"))
		return strcmp(op, "emu");
	if (!space)
		return !strcmp(f->match, op);
	n = space - f->match;
	return strlen(method) == n && !memcmp(f->match, method, n) &&
	       !strncmp(path, space + 1, strlen(space + 1));
}

/* Counts one firing; the caller holds the lock. */
static struct fault fire(size_t i)
{
	struct fault copy = armed[i];

	if (armed[i].count == 1) {
		memmove(armed + i, armed + i + 1, (--n_armed - i) * sizeof(armed[0]));
		return copy;
	}
	if (armed[i].count)
		armed[i].count--;
	copy.match = xstrdup(copy.match);
	copy.text = text_dup(copy.text);
	copy.location = text_dup(copy.location);
	return copy;
}

struct fault fault_take(const char *op, const char *method, const char *path)
{
	struct fault found = {0};

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n_armed; i++) {
		if (!matches(&armed[i], op, method, path))
			continue;
		if (armed[i].skip) {
			armed[i].skip--;
			continue;
		}
		found = fire(i);
		break;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

bool fault_replaces(const struct fault *f)
{
	return f->kind == FAULT_STATUS ||
	       (f->kind >= FAULT_HTML && f->kind <= FAULT_DEEPJSON);
}

bool fault_forestalls(const struct fault *f)
{
	return f->kind == FAULT_DROP_BEFORE || (fault_replaces(f) && !f->after);
}

json_t *faults_json(void)
{
	json_t *all = json_array();

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n_armed; i++)
		json_array_append_new(
			all, json_pack("{ss ss sI sI}", "match", armed[i].match, "kind",
				     kind_names[armed[i].kind], "count",
				     (json_int_t)armed[i].count, "skip",
				     (json_int_t)armed[i].skip));
	pthread_mutex_unlock(&lock);
	return all;
}

void faults_reset(void)
{
	pthread_mutex_lock(&lock);
	while (n_armed)
		fault_clear(&armed[--n_armed]);
	pthread_mutex_unlock(&lock);
}
