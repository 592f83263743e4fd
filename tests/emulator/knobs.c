#include "knobs.h"
#include "scoped.h"

#include <errno.h>
#include <pthread.h>

enum kind { BOOL, NUM, PER, ENUM, TEXT };

struct spec {
	const char *name;
	enum kind kind;
	const char *def, *choices, *help;
};

#define KNOB_SPEC(id, kind, def, choices, help) {#id, kind, def, choices, help},
static const struct spec specs[] = {KNOBS(KNOB_SPEC)};
#undef KNOB_SPEC

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* lock; numbers, choices and booleans alike are in num */
static struct {
	double num;
	char *text;
} values[KNOB_COUNT];

static int parse_bool(const char *s, double *ret_num)
{
	static const char *const words[][2] = {
		{"off", "on"}, {"0", "1"}, {"false", "true"}, {"no", "yes"}};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (int v = 0; v < 2; v++)
			if (!strcmp(s, words[i][v])) {
				*ret_num = v;
				return 0;
			}
	return -EINVAL;
}

static int parse_num(const char *s, double *ret_num)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end)
		return -EINVAL;
	*ret_num = v;
	return 0;
}

static int parse_enum(const char *choices, const char *s, double *ret_num)
{
	size_t n = strlen(s);

	for (int i = 0;; i++) {
		size_t len = strcspn(choices, "|");

		if (len == n && !memcmp(choices, s, n)) {
			*ret_num = i;
			return 0;
		}
		if (!choices[len])
			return -EINVAL;
		choices += len + 1;
	}
}

static int parse(const struct spec *s, const char *value, double *ret_num)
{
	switch (s->kind) {
	case BOOL:
		return parse_bool(value, ret_num);
	case NUM:
		return parse_num(value, ret_num);
	case PER:
		return scoped_ok(value) ? 0 : -EINVAL;
	case ENUM:
		return parse_enum(s->choices, value, ret_num);
	case TEXT:
		break;
	}
	return 0;
}

static int set(enum knob k, const char *value)
{
	double num = 0;
	int r = parse(&specs[k], value, &num);

	if (r < 0)
		return r;
	pthread_mutex_lock(&lock);
	values[k].num = num;
	free(values[k].text);
	values[k].text = xstrdup(value);
	pthread_mutex_unlock(&lock);
	return 0;
}

void knobs_init(void)
{
	for (int k = 0; k < KNOB_COUNT; k++)
		if (set(k, specs[k].def) < 0)
			abort();
}

double knob_num(enum knob k)
{
	double v;

	pthread_mutex_lock(&lock);
	v = values[k].num;
	pthread_mutex_unlock(&lock);
	return v;
}

char *knob_text_dup(enum knob k)
{
	char *s;

	pthread_mutex_lock(&lock);
	s = xstrdup(values[k].text ? values[k].text : "");
	pthread_mutex_unlock(&lock);
	return s;
}

int knob_set(const char *name, const char *value)
{
	for (int k = 0; k < KNOB_COUNT; k++)
		if (!strcmp(specs[k].name, name))
			return set(k, value);
	return -ENOENT;
}

int knob_assign(const char *assignment)
{
	_cleanup_free_ char *name = xstrdup(assignment);
	char *eq = strchr(name, '=');

	if (!eq)
		return -EINVAL;
	*eq = '\0';
	return knob_set(name, eq + 1);
}

json_t *knobs_json(void)
{
	static const char *const kinds[] = {"bool", "number", "scoped", "choice", "text"};
	json_t *all = json_object();

	for (int k = 0; k < KNOB_COUNT; k++) {
		_cleanup_free_ char *v = knob_text_dup(k);

		json_object_set_new(all, specs[k].name,
			json_pack("{ss ss ss ss ss}", "value", v, "default",
				specs[k].def, "kind", kinds[specs[k].kind], "choices",
				specs[k].choices, "help", specs[k].help));
	}
	return all;
}

void knobs_help(FILE *to)
{
	for (int k = 0; k < KNOB_COUNT; k++) {
		const struct spec *s = &specs[k];

		fprintf(to, "%-18s %s", s->name, s->help);
		if (*s->choices)
			fprintf(to, " (%s)", s->choices);
		fprintf(to, " [%s]\n", s->def);
	}
}
