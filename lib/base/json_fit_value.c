/* Values without others in them, and what is said of those that do not fit. */
#include "base/json_fit_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

uint8_t fit_kind_of(char first)
{
	switch (first) {
	case '{':
		return FIT_OBJECT;
	case '[':
		return FIT_LIST;
	case '"':
		return FIT_STRING;
	case 't':
	case 'f':
		return FIT_BOOLEAN;
	case 'n':
		return FIT_NULL;
	default:
		return FIT_NUMBER;
	}
}

/* Rounding keeps the order, so a number that is out of bounds as a double is out of
 * them; and one that is whole stays whole. */
void fit_take_number(struct fit_value *v, const char *digits)
{
	v->number = strtod(digits, NULL);
	v->has_number = true;
	v->kinds = FIT_NUMBER;
	if (isinf(v->number) || v->number == floor(v->number))
		v->kinds |= FIT_INTEGER;
}

static bool in_range(const struct fit_range *r, uint64_t n)
{
	return n >= r->min && n <= r->max;
}

static enum fit_fault judge_number(const struct fit_node *n, const struct fit_value *v)
{
	return v->number < n->minimum   ? FIT_FAULT_MINIMUM
	       : v->number > n->maximum ? FIT_FAULT_MAXIMUM
					: FIT_GOOD;
}

static enum fit_fault judge_string(
	const struct fit_schema *s, const struct fit_node *n, const struct fit_value *v)
{
	if (n->values.n &&
		(v->len > FIT_WORD_MAX || fit_find_value(s, n, v->text, v->len) < 0))
		return FIT_FAULT_VALUE;
	if (in_range(&n->length, v->characters))
		return FIT_GOOD;
	return v->characters < n->length.min ? FIT_FAULT_SHORT : FIT_FAULT_LONG;
}

static enum fit_fault judge_links(const struct fit_schema *s, const struct fit_node *n,
	struct fit_value *v, unsigned nest)
{
	enum fit_fault fault = FIT_GOOD;
	bool any = !n->any_of.n;

	for (uint32_t i = 0; !fault && i < n->all_of.n; i++)
		fault = fit_judge(s, s->links[n->all_of.first + i], v, nest + 1);
	for (uint32_t i = 0; !any && i < n->any_of.n; i++)
		any = !fit_judge(s, s->links[n->any_of.first + i], v, nest + 1);
	return fault ? fault : any ? FIT_GOOD : FIT_FAULT_CHOICE;
}

enum fit_fault fit_judge(
	const struct fit_schema *s, uint32_t node, struct fit_value *v, unsigned nest)
{
	const struct fit_node *n = &s->nodes[node];
	enum fit_fault fault = FIT_GOOD;

	if ((v->kinds == FIT_NULL && n->nullable) || nest > FIT_NEST_MAX ||
		v->steps++ > FIT_STEPS_MAX)
		return FIT_GOOD;
	if (!(n->kinds & v->kinds))
		return FIT_FAULT_KIND;
	if (v->has_number)
		fault = judge_number(n, v);
	else if (v->has_text)
		fault = judge_string(s, n, v);
	return fault ? fault : judge_links(s, n, v, nest);
}

bool fit_reads_strings(const struct fit_node *n)
{
	return n->kinds & FIT_STRING &&
	       (n->values.n || n->any_of.n || n->all_of.n || n->length.min ||
		       n->length.max != UINT64_MAX);
}

/* ---- words ---------------------------------------------------------------------- */

void fit_show(char *ret, size_t size, const char *text, size_t len)
{
	size_t have = strlen(ret), room = size - have - 1;
	size_t n =
		util_utf8_cut(text, len, room < FIT_SHOWN_MAX ? room : FIT_SHOWN_MAX);

	for (size_t i = 0; i < n; i++) {
		bool control = (unsigned char)text[i] < ' ' || text[i] == 0x7f;

		ret[have + i] = control ? '?' : text[i];
	}
	ret[have + n] = '\0';
}

static const struct {
	uint8_t kind;
	const char *name;
} kind_names[] = {
	{FIT_STRING, "a string"},
	{FIT_NUMBER, "a number"},
	{FIT_INTEGER, "a whole number"},
	{FIT_BOOLEAN, "true or false"},
	{FIT_LIST, "a list"},
	{FIT_OBJECT, "an object"},
	{FIT_NULL, "null"},
};

static void say_kinds(char *ret, size_t size, uint8_t kinds)
{
	const char *before = "";
	size_t have = strlen(ret);

	/* A whole number is one of the numbers. */
	if (kinds & FIT_NUMBER)
		kinds &= (uint8_t)~FIT_INTEGER;
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (kinds & kind_names[i].kind && have < size) {
			have += (size_t)snprintf(ret + have, size - have, "%s%s",
				before, kind_names[i].name);
			before = " or ";
		}
}

static const char *const fault_texts[] = {
	[FIT_FAULT_VALUE] = "is none of the values in enum",
	[FIT_FAULT_CHOICE] = "fits none of anyOf",
	[FIT_FAULT_MINIMUM] = "is below minimum",
	[FIT_FAULT_MAXIMUM] = "is above maximum",
	[FIT_FAULT_SHORT] = "is shorter than minLength",
	[FIT_FAULT_LONG] = "is longer than maxLength",
	[FIT_FAULT_FEW] = "has fewer items than minItems",
	[FIT_FAULT_MANY] = "has more items than maxItems",
	[FIT_FAULT_FEW_MEMBERS] = "has fewer members than minProperties",
	[FIT_FAULT_MANY_MEMBERS] = "has more members than maxProperties",
	[FIT_FAULT_STRANGE] = "is not a property of the schema",
};

void fit_say(char *ret, size_t size, const struct fit_schema *s,
	const struct fit_node *n, enum fit_fault fault, uint8_t kinds,
	struct fit_word word)
{
	ret[0] = '\0';
	if (fault == FIT_FAULT_KIND) {
		snprintf(ret, size, "is ");
		say_kinds(ret, size, kinds);
		snprintf(ret + strlen(ret), size - strlen(ret), ", not ");
		say_kinds(ret, size, n->kinds);
	} else if (fault == FIT_FAULT_MISSING) {
		snprintf(ret, size, "has no ");
		fit_show(ret, size, s->text + word.at, word.len);
	} else {
		snprintf(ret, size, "%s", fault_texts[fault]);
	}
}
