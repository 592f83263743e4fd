/* The walk along a text: which nodes each open bracket has to fit, and each value. */
#include "base/json_fit_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* A node that the value of an open bracket has to fit. */
struct check {
	uint32_t node;
	uint32_t owner;   /* the check that fails with it */
	uint32_t child;   /* the node of the member or item at hand; 0: any */
	uint32_t seen;    /* where its bits are: which properties were there */
	uint32_t missing; /* required properties that were not */
	uint32_t choices; /* of its alternatives, those that did not fail */
	bool choice;      /* one of the owner's alternatives */
	bool failed;
};

/* An open bracket. */
struct level {
	uint32_t checks, seen; /* where its own begin */
	uint64_t n;            /* items or members before the one at hand */
	bool list;
	uint8_t name_len;
	char name[FIT_SHOWN_MAX + 8]; /* of the member at hand, cut */
};

struct fit {
	const struct fit_schema *s;
	struct jtok tok;
	struct check checks[FIT_CHECKS_MAX];
	uint32_t n_checks;
	uint8_t seen[FIT_SEEN_MAX];
	uint32_t n_seen;
	struct level levels[JTOK_DEPTH_MAX + 1];
	unsigned skip; /* depth of a bracket in which nothing is asked; 0: none */
	bool bad;      /* it is no JSON */
	bool over;     /* it is decided: only whether it is JSON remains */
	bool failed;
	char why[FIT_WHY_MAX];
	/* The value at hand: it is expected, its first byte, and a number's digits. */
	bool expected, in_number;
	char first, digits[FIT_NUMBER_MAX];
	size_t n_digits;
	/* A name or wanted string, as far as it came. */
	char text[FIT_WORD_MAX + 1];
	size_t n_text;
	uint64_t characters;
	/* What came and has not been looked at: it comes in bits. */
	char buffer[FIT_BUFFER];
	size_t buffered;
};

struct fit *fit_new(void)
{
	return malloc(sizeof(struct fit));
}

void fit_free(struct fit *f)
{
	free(f);
}

/* ---- failing -------------------------------------------------------------------- */

static void decide(struct fit *f)
{
	f->over = true;
	f->skip = 1;
	f->expected = false;
	f->tok.want = false;
	f->tok.comma_depth = 1;
	f->tok.quiet_depth = 1;
}

/* Where the value at hand is, or (level: one less) the innermost that is open. */
static void put_place(struct fit *f, unsigned level)
{
	char *why = f->why;

	snprintf(why, FIT_WHY_MAX, "%s", level < 2 ? "the answer" : "");
	for (unsigned i = 2; i <= level && strlen(why) < FIT_WHY_MAX / 2; i++) {
		const struct level *l = &f->levels[i];
		size_t have = strlen(why);

		if (l->list)
			snprintf(why + have, FIT_WHY_MAX - have, "/%ju",
				(uintmax_t)l->n);
		else
			snprintf(why + have, FIT_WHY_MAX - have, "/");
		if (!l->list)
			fit_show(why, FIT_WHY_MAX, l->name, l->name_len);
	}
}

struct fault {
	enum fit_fault what;
	unsigned level; /* see put_place */
	uint32_t node;
	uint8_t kinds; /* of the value */
	struct fit_word word;
};

static void say_why(struct fit *f, const struct fault *fault)
{
	char what[FIT_WHY_MAX / 2];

	put_place(f, fault->level);
	fit_say(what, sizeof what, f->s, &f->s->nodes[fault->node], fault->what,
		fault->kinds, fault->word);
	snprintf(f->why + strlen(f->why), FIT_WHY_MAX - strlen(f->why), " %s", what);
}

/* A check fails with what its value has in it; with its alternatives only if none is
 * left. The last of these to fail is the one that was meant. */
static void fit_fail(struct fit *f, uint32_t i, const struct fault *fault)
{
	struct check *c = &f->checks[i];

	while (i && !c->failed) {
		c->failed = true;
		i = c->owner;
		if (c->choice && --f->checks[i].choices > 0)
			return;
		c = &f->checks[i];
	}
	if (i || c->failed)
		return;
	c->failed = true;
	f->failed = true;
	say_why(f, fault);
	decide(f);
}

/* ---- values that have none in them ---------------------------------------------- */

static struct fit_value value_at_hand(const struct fit *f)
{
	struct fit_value v = {.kinds = fit_kind_of(f->first)};

	if (v.kinds == FIT_STRING) {
		v.has_text = f->n_text != SIZE_MAX;
		v.text = f->text;
		v.len = f->n_text;
		v.characters = f->characters;
	} else if (v.kinds == FIT_NUMBER && f->n_digits < FIT_NUMBER_MAX) {
		fit_take_number(&v, f->digits);
	} else if (v.kinds == FIT_NUMBER) {
		v.kinds |= FIT_INTEGER;
	}
	return v;
}

static void judge_value(struct fit *f, unsigned depth)
{
	struct level *l = &f->levels[depth];
	struct fit_value v = value_at_hand(f);

	f->expected = false;
	for (uint32_t i = l->checks; i < f->n_checks && !f->over; i++) {
		const struct check *c = &f->checks[i];
		struct fault fault = {
			.level = depth, .node = c->child, .kinds = v.kinds};

		if (c->failed || !c->child)
			continue;
		fault.what = fit_judge(f->s, c->child, &v, 0);
		if (fault.what)
			fit_fail(f, i, &fault);
	}
	l->n += l->list;
}

/* What came before an event: the tokenizer passes over numbers and words, and over
 * strings that are not wanted. */
static void capture_value(struct fit *f, const uint8_t *p, const uint8_t *end)
{
	for (; p < end && !f->first; p++) {
		/* An end: of a list without items. */
		if (*p && strchr(" \t\n\r:]", *p))
			continue;
		f->first = (char)*p;
		f->in_number = fit_kind_of(f->first) == FIT_NUMBER;
		break;
	}
	for (; p < end && f->in_number; p++) {
		f->in_number = *p && strchr("+-.0123456789eE", *p);
		if (f->in_number && f->n_digits < FIT_NUMBER_MAX)
			f->digits[f->n_digits++] = (char)*p;
	}
	if (f->n_digits < FIT_NUMBER_MAX)
		f->digits[f->n_digits] = '\0';
}

static void expect_value(struct fit *f)
{
	const struct level *l = &f->levels[f->tok.depth];

	f->expected = true;
	f->in_number = false;
	f->first = '\0';
	f->n_digits = 0;
	f->n_text = SIZE_MAX;
	for (uint32_t i = l->checks; i < f->n_checks && !f->tok.want; i++) {
		const struct check *c = &f->checks[i];

		f->tok.want = !c->failed && c->child &&
			      fit_reads_strings(&f->s->nodes[c->child]);
	}
	if (f->tok.want)
		f->n_text = 0;
	f->characters = 0;
}

static void expect_item(struct fit *f)
{
	const struct level *l = &f->levels[f->tok.depth];

	for (uint32_t i = l->checks; i < f->n_checks; i++)
		f->checks[i].child = f->s->nodes[f->checks[i].node].items;
	expect_value(f);
}

/* ---- members -------------------------------------------------------------------- */

/* The property of a check that the name is. */
static void take_property(struct fit *f, uint32_t i, const char *name, size_t len)
{
	struct check *c = &f->checks[i];
	const struct fit_node *n = &f->s->nodes[c->node];
	struct fault strange = {
		.what = FIT_FAULT_STRANGE, .level = f->tok.depth, .node = c->node};
	int64_t k = fit_find_property(f->s, n, name, len);
	const struct fit_property *p =
		k < 0 ? NULL : &f->s->properties[n->properties.first + (uint32_t)k];

	c->child = 0;
	if (n->closed && (!p || p->unlisted))
		fit_fail(f, i, &strange);
	if (!p)
		return;
	uint8_t *bits = &f->seen[c->seen + (uint32_t)k / 8];
	uint8_t bit = (uint8_t)(1 << k % 8);

	if (*bits & bit) {
		decide(f);
		return;
	}
	*bits |= bit;
	c->missing -= p->required;
	c->child = p->node;
}

static void take_name(struct fit *f, const char *name, size_t len)
{
	struct level *l = &f->levels[f->tok.depth];

	l->name_len = (uint8_t)(len < sizeof l->name ? len : sizeof l->name);
	memcpy(l->name, name, l->name_len);
	l->n++;
	for (uint32_t i = l->checks; i < f->n_checks && !f->over; i++)
		if (!f->checks[i].failed)
			take_property(f, i, name, len);
	if (!f->over)
		expect_value(f);
}

static void fit_add_text(struct fit *f)
{
	size_t room = f->n_text < sizeof f->text ? sizeof f->text - f->n_text : 0;
	size_t n = f->tok.len < room ? f->tok.len : room;

	if (n)
		memcpy(f->text + f->n_text, f->tok.text, n);
	f->n_text += f->tok.len;
	if (f->tok.is_name)
		return;
	for (size_t i = 0; i < f->tok.len; i++)
		f->characters += (f->tok.text[i] & 0xc0) != 0x80;
}

static void end_name(struct fit *f)
{
	/* Hardly any name comes in pieces. */
	if (f->n_text == 0) {
		take_name(f, (const char *)f->tok.text, f->tok.len);
	} else {
		fit_add_text(f);
		take_name(f, f->text,
			f->n_text < sizeof f->text ? f->n_text : sizeof f->text);
	}
}

/* ---- brackets ------------------------------------------------------------------- */

static bool has_room(const struct fit *f, const struct fit_node *n, unsigned nest)
{
	return f->n_checks < FIT_CHECKS_MAX && nest <= FIT_NEST_MAX &&
	       FIT_SEEN_MAX - f->n_seen > n->properties.n / 8 + 1;
}

/* The value of the bracket just opened has to fit this node, and those it links to. */
static void open_check(
	struct fit *f, uint32_t node, uint32_t owner, bool choice, unsigned nest)
{
	const struct fit_node *n = &f->s->nodes[node];
	uint32_t i = f->n_checks;
	struct fault kind = {.what = choice ? FIT_FAULT_CHOICE : FIT_FAULT_KIND,
		.level = f->tok.depth - 1,
		.node = node,
		.kinds = jtok_in_object(&f->tok) ? FIT_OBJECT : FIT_LIST};

	if (!has_room(f, n, nest)) {
		decide(f);
		return;
	}
	f->checks[f->n_checks++] = (struct check){.node = node,
		.owner = owner,
		.choice = choice,
		.choices = n->any_of.n,
		.missing = n->required,
		.seen = f->n_seen};
	memset(f->seen + f->n_seen, 0, n->properties.n / 8 + 1);
	f->n_seen += n->properties.n / 8 + 1;
	if (!(n->kinds & kind.kinds))
		fit_fail(f, i, &kind);
	for (uint32_t k = 0; k < n->all_of.n && !f->over && !f->checks[i].failed; k++)
		open_check(f, f->s->links[n->all_of.first + k], i, false, nest + 1);
	for (uint32_t k = 0; k < n->any_of.n && !f->over && !f->checks[i].failed; k++)
		open_check(f, f->s->links[n->any_of.first + k], i, true, nest + 1);
}

static void skip_this(struct fit *f)
{
	f->skip = f->tok.depth;
	f->tok.comma_depth = 0;
	f->tok.quiet_depth = f->tok.depth;
}

static void fit_on_open(struct fit *f)
{
	struct level *l = &f->levels[f->tok.depth], *around = l - 1;

	f->expected = false;
	*l = (struct level){.checks = f->n_checks,
		.seen = f->n_seen,
		.list = !jtok_in_object(&f->tok)};
	for (uint32_t i = around->checks; i < l->checks && !f->over; i++)
		if (!f->checks[i].failed && f->checks[i].child)
			open_check(f, f->checks[i].child, i, false, 0);
	if (f->over)
		return;
	if (f->n_checks == l->checks) {
		skip_this(f);
		return;
	}
	f->tok.comma_depth = f->tok.depth;
	f->n_text = 0;
	if (l->list)
		expect_item(f);
}

static struct fit_word missing_name(const struct fit *f, const struct check *c)
{
	const struct fit_node *n = &f->s->nodes[c->node];
	const struct fit_property *p = &f->s->properties[n->properties.first];
	uint32_t k = 0;

	while (!p[k].required || f->seen[c->seen + k / 8] >> (k % 8) & 1)
		k++;
	return p[k].name;
}

static void close_check(struct fit *f, uint32_t i, const struct level *l)
{
	const struct check *c = &f->checks[i];
	const struct fit_node *n = &f->s->nodes[c->node];
	const struct fit_range *r = l->list ? &n->count : &n->members;
	struct fault fault = {.level = f->tok.depth, .node = c->node};

	if (!l->list && c->missing) {
		fault.what = FIT_FAULT_MISSING;
		fault.word = missing_name(f, c);
	} else if (l->n < r->min) {
		fault.what = l->list ? FIT_FAULT_FEW : FIT_FAULT_FEW_MEMBERS;
	} else if (l->n > r->max) {
		fault.what = l->list ? FIT_FAULT_MANY : FIT_FAULT_MANY_MEMBERS;
	}
	if (fault.what)
		fit_fail(f, i, &fault);
}

static void fit_on_close(struct fit *f)
{
	struct level *l = &f->levels[f->tok.depth + 1];

	if (f->skip && f->skip <= f->tok.depth)
		return;
	for (uint32_t i = l->checks; i < f->n_checks && !f->over; i++)
		if (!f->checks[i].failed)
			close_check(f, i, l);
	if (f->over)
		return;
	f->skip = 0;
	f->tok.quiet_depth = 0;
	f->tok.comma_depth = f->tok.depth;
	f->n_checks = l->checks;
	f->n_seen = l->seen;
	f->n_text = 0;
	f->levels[f->tok.depth].n += f->levels[f->tok.depth].list;
}

/* ---- the walk ------------------------------------------------------------------- */

/* A value that is no bracket ends with what follows it. */
static void end_expected(struct fit *f, unsigned depth)
{
	if (f->expected && f->first)
		judge_value(f, depth);
}

static void fit_on_comma(struct fit *f)
{
	end_expected(f, f->tok.depth);
	f->n_text = 0;
	if (f->levels[f->tok.depth].list && !f->over)
		expect_item(f);
}

static void fit_event(struct fit *f, enum jtok_event e)
{
	f->bad |= e == JTOK_BAD || (e == JTOK_COMMA && f->tok.depth == 1);
	if (f->bad || (f->skip && e != JTOK_CLOSE) || f->over)
		return;
	switch (e) {
	case JTOK_OPEN:
		fit_on_open(f);
		break;
	case JTOK_CLOSE:
		if (!f->skip)
			end_expected(f, f->tok.depth + 1);
		f->expected = false;
		fit_on_close(f);
		break;
	case JTOK_PIECE:
		fit_add_text(f);
		break;
	case JTOK_NAME:
		end_name(f);
		break;
	case JTOK_STRING:
		fit_add_text(f);
		judge_value(f, f->tok.depth);
		break;
	case JTOK_COMMA:
		fit_on_comma(f);
		break;
	default:
		break;
	}
}

static void fit_feed(struct fit *f, const void *buf, size_t n)
{
	enum jtok_event e;

	if (f->bad)
		return;
	jtok_feed(&f->tok, buf, n);
	do {
		const uint8_t *from = f->tok.p;

		e = jtok_next(&f->tok);
		if (f->expected && (!f->first || f->in_number))
			capture_value(f, from, f->tok.p);
		if (e != JTOK_MORE)
			fit_event(f, e);
	} while (e != JTOK_MORE && !f->bad);
}

/* The tokenizer knows objects only: the text is the value of the one member of one, and
 * a comma beside it would be a second. */
void fit_begin(struct fit *f, const struct fit_schema *s)
{
	static const char before[] = "{\"\":";

	f->s = s;
	f->skip = 0;
	f->bad = f->over = f->failed = f->expected = false;
	f->buffered = 0;
	f->checks[0] = (struct check){.child = s->root};
	f->n_checks = 1;
	f->n_seen = 0;
	f->levels[0] = f->levels[1] = (struct level){0};
	jtok_init(&f->tok, false);
	jtok_feed(&f->tok, before, sizeof before - 1);
	while (jtok_next(&f->tok) != JTOK_MORE)
		;
	f->tok.comma_depth = 1;
	expect_value(f);
}

int fit_sink(void *arg, const void *buf, size_t n)
{
	struct fit *f = arg;

	if (n > sizeof f->buffer - f->buffered) {
		fit_feed(f, f->buffer, f->buffered);
		f->buffered = 0;
	}
	if (n > sizeof f->buffer) {
		fit_feed(f, buf, n);
		return 0;
	}
	memcpy(f->buffer + f->buffered, buf, n);
	f->buffered += n;
	return 0;
}

enum fit_verdict fit_end(struct fit *f, char why[FIT_WHY_MAX])
{
	fit_feed(f, f->buffer, f->buffered);
	if (f->bad || jtok_complete(&f->tok))
		return FIT_NO_JSON;
	fit_feed(f, "}", 1);
	if (f->bad || !jtok_complete(&f->tok))
		return FIT_NO_JSON;
	if (!f->failed)
		return FIT_FITS;
	memcpy(why, f->why, FIT_WHY_MAX);
	return FIT_FITS_NOT;
}
