#include "requests/line_parser_private.h"
#include "base/util.h"

/* The request that the innermost object is or belongs to. */
struct lines_request *lines_request_of(struct lines *l)
{
	static const uint8_t below[] = {[IN_CONFIG] = 1, [IN_THINKING] = 2,
		[IN_CONTENTS] = 1, [IN_CONTENT] = 2, [IN_METADATA] = 0};

	return &l->requests[l->tok.depth - below[lines_place(l)] - 1];
}

static void refuse_request(
	struct lines_request *r, const char *name, const char *what, uint64_t column)
{
	if (r->parts & 1u << PART_MISPLACED)
		return;
	r->parts |= 1u << PART_MISPLACED;
	r->name = name;
	r->what = what;
	r->column = column;
}

/* Whether the number behind the name just read is more than 1, as far as is at hand. */
static bool exceeds_one(const struct lines *l)
{
	const uint8_t *p = l->tok.p, *end = l->tok.end;

	while (p < end && strchr(" \t:\"", *p) && *p)
		p++;
	if (end - p < 2 || p[0] < '1' || p[0] > '9')
		return false;
	return p[0] > '1' || (p[1] >= '0' && p[1] <= '9');
}

static void warn(struct lines *l, const struct placement *row)
{
	if (row->warning != WARN_CANDIDATES || exceeds_one(l))
		lines_request_of(l)->warned |= (uint16_t)(1u << row->warning);
}

/* Apart, as few names come here. */
static __attribute__((noinline)) void on_known_name(
	struct lines *l, const struct placement *row)
{
	struct lines_request *r = lines_request_of(l);
	uint64_t column = lines_column(l, l->tok.quote);

	if (row->part == PART_MISPLACED) {
		refuse_request(r, row->name, row->what, column);
		return;
	}
	if (row->part == PART_WARNED) {
		warn(l, row);
		return;
	}
	if (row->part == PART_THINKING) {
		l->member = THINKING;
		return;
	}
	r->parts |= 1u << row->part;
	if (row->part == PART_CACHED) {
		r->cached_column = column;
		r->warned |= 1u << WARN_CACHED;
	} else if (row->part == PART_CONFIG || row->part == PART_SYSTEM) {
		l->member = row->part == PART_CONFIG ? CONFIG : SYSTEM;
	}
	l->row = row;
	l->tok.want = l->member != OTHER;
}

void lines_on_request_name(struct lines *l, uint8_t place, const char *text, size_t len)
{
	const struct placement *row =
		placement_find(l->grammar, lines_place_of(place), text, len);

	if (row && row->part != PART_UNWANTED)
		on_known_name(l, row);
}

/* The value of generationConfig or systemInstruction is a string. */
void lines_on_request_string(struct lines *l)
{
	refuse_request(lines_request_of(l), l->row->name,
		l->member == CONFIG ? l->grammar->no_object : l->grammar->string,
		lines_column(l, l->tok.quote));
}

/* The role of a turn. */
void lines_on_role(struct lines *l, const char *text, size_t len)
{
	struct lines_request *r = lines_request_of(l);

	r->prefilled = lines_is(text, len, "model");
	if (!l->grammar->is_role(text, len))
		refuse_request(
			r, "role", l->grammar->role, lines_column(l, l->tok.quote));
}

/* The end of a request of which something may be wrong. */
void lines_judge_request(struct lines *l, struct lines_request *r)
{
	const unsigned beside = 1u << PART_SYSTEM | 1u << PART_TOOLS;

	if (r->parts & 1u << PART_CACHED && r->parts & beside)
		refuse_request(
			r, "cachedContent", l->grammar->beside, r->cached_column);
	if (!(r->parts & 1u << PART_MISPLACED) || l->line.reason)
		return;
	l->line.name = r->name;
	lines_bad(l, r->what, r->column);
}

/* ---- keys by other names --------------------------------------------------------- */

/* What a member could be the key for, less wanted first; 0: it cannot. */
static uint8_t rank_of(uint8_t place, const char *text, size_t len)
{
	static const char *const names[] = {"key", "custom_id", "id"};

	for (uint8_t i = place == IN_LINE; i < ARRAY_SIZE(names); i++)
		if (lines_is(text, len, names[i]))
			return place == IN_LINE ? i : i + RANK_METADATA;
	return 0;
}

void lines_want_borrowed(struct lines *l, uint8_t place, const char *text, size_t len)
{
	uint8_t rank = rank_of(place, text, len);

	if (!rank || (l->borrowed.rank && rank > l->borrowed.rank))
		return;
	l->member = BORROWED;
	l->rank = rank;
	l->tok.want = true;
	siphash_init(&l->hash, l->seed);
}

/* A member that stands for the key if there is none. That of metadata ends later. */
void lines_on_borrowed(struct lines *l)
{
	siphash_add(&l->hash, l->tok.text, l->tok.len);
	l->borrowed = (struct lines_borrowed){
		.rank = l->rank,
		.member_start = l->top_start,
		.member_end = jtok_offset(&l->tok),
		.key_start = l->tok.quote,
		.key_end = jtok_offset(&l->tok),
		.hash = siphash_end(&l->hash),
	};
}

void lines_borrow_key(struct lines *l)
{
	const struct lines_borrowed *b = &l->borrowed;

	l->line.borrowed = true;
	l->line.warned |= 1u << WARN_BORROWED;
	l->line.member_start = b->member_start;
	l->line.member_end = b->member_end;
	l->line.key_start = b->key_start;
	l->line.key_end = b->key_end;
	l->line.hash = b->hash;
}
