/* Shared by json_fit.c, which walks along a text, and json_fit_value.c, which looks at
 * values and says what is wrong with them. */
#ifndef GB_JSON_FIT_PRIVATE_H
#define GB_JSON_FIT_PRIVATE_H

#include "base/json_fit.h"
#include "base/json_tokens.h"

enum {
	FIT_CHECKS_MAX = 4096,
	FIT_SEEN_MAX = 64 << 10, /* bytes */
	FIT_NUMBER_MAX = 64,
	FIT_SHOWN_MAX = 40,    /* bytes of a name in why */
	FIT_NEST_MAX = 24,     /* links in links of one value */
	FIT_STEPS_MAX = 10000, /* nodes for one value */
	FIT_BUFFER = 16 << 10,
};

/* Why a value does not fit a node. */
enum fit_fault {
	FIT_GOOD,
	FIT_FAULT_KIND,
	FIT_FAULT_VALUE,
	FIT_FAULT_CHOICE,
	FIT_FAULT_MINIMUM,
	FIT_FAULT_MAXIMUM,
	FIT_FAULT_SHORT,
	FIT_FAULT_LONG,
	FIT_FAULT_FEW,
	FIT_FAULT_MANY,
	FIT_FAULT_FEW_MEMBERS,
	FIT_FAULT_MANY_MEMBERS,
	FIT_FAULT_MISSING, /* word: the property */
	FIT_FAULT_STRANGE, /* a property that the schema does not have */
};

/* A value without others in it, as far as nodes ask. */
struct fit_value {
	uint8_t kinds; /* of FIT_INTEGER and FIT_NUMBER both, where it is both */
	bool has_number, has_text;
	double number;
	const char *text; /* its first bytes, FIT_WORD_MAX + 1 at most */
	size_t len;       /* of all bytes */
	uint64_t characters;
	unsigned steps; /* that were taken to judge it */
};

/* What kind the value is that begins with this byte. */
uint8_t fit_kind_of(char first);
/* Fill in kinds and number from the digits. */
void fit_take_number(struct fit_value *v, const char *digits);
/* FIT_GOOD or the first fault. */
enum fit_fault fit_judge(
	const struct fit_schema *s, uint32_t node, struct fit_value *v, unsigned nest);
/* Whether a node, or one of those it links to, asks what is in a string. */
bool fit_reads_strings(const struct fit_node *n);
/* What is wrong, to be put behind where it is. */
void fit_say(char *ret, size_t size, const struct fit_schema *s,
	const struct fit_node *n, enum fit_fault fault, uint8_t kinds,
	struct fit_word word);
/* Append text to a line, cut and without control characters. */
void fit_show(char *ret, size_t size, const char *text, size_t len);

#endif
