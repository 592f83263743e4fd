/* What is on a line of results, or of requests, as far as answers need it: the walk of
 * result_grammar.h.
 *
 *     line_walk_init(&w, WALK_RESULTS, seed, &calls, arg);
 *     line_walk_run(&w, source, from, to)      bytes [from, to) of it
 *
 * Lines may be of any length and cut anywhere: of texts and pictures only their place
 * (struct span) and their decoded length are kept. Members are known in both spellings,
 * camelCase and snake_case. A line without "key" has custom_id or id beside the result,
 * or key, custom_id or id in "metadata", for one. Of candidates only the first counts.
 * calls.part gets each of its parts at the part's end; calls.line gets each line that
 * is not blank, complete or damaged, at its end. A callback's result other than 0 ends
 * the run with that value.
 *
 * Offsets are those of the source. One thread at a time; the only memory is the struct,
 * and one buffer while it runs. */
#ifndef GB_ANSWER_LINE_H
#define GB_ANSWER_LINE_H

#include "base/json_tokens.h"
#include "provider/result_grammar.h"

extern const struct result_grammar gemini_results;

enum { LINE_PLACES = 12 };

struct line_walk {
	struct jtok tok;
	const struct line_calls *calls;
	void *arg;
	enum line_walk_of of;
	struct keyseed seed;
	struct siphash hash;
	struct answer_line line;
	struct line_part part;
	uint64_t line_start;
	uint8_t places[LINE_PLACES]; /* by depth */
	uint8_t member;      /* what the value after this name is */
	bool first_candidate;
	bool key_begins;     /* no part of the present key has been seen yet */
	struct line_word name, scalar;
	bool capturing;      /* scalar is being read */
	bool after_damage;
};

void line_walk_init(struct line_walk *w, enum line_walk_of of, struct keyseed seed,
	const struct line_calls *calls, void *arg);

/* 0, the result of a callback, or of the source; -EIO if it ends too early; -ECANCELED
 * soon after *cancel (may be NULL) has become true. */
int line_walk_run(struct line_walk *w, const struct text_source *source, uint64_t from,
	uint64_t to, const atomic_bool *cancel);

#endif
