/* The grammar of JSON outside strings, as json_tokens.c walks it: for each state and
 * class of byte the next state, or an action. Included there alone. */
#ifndef GB_JTOK_TABLE_H
#define GB_JTOK_TABLE_H

#include <stdint.h>

enum class {
	C_OTHER,
	C_SPACE,
	C_NEWLINE,
	C_LBRACE,
	C_RBRACE,
	C_LBRACKET,
	C_RBRACKET,
	C_COLON,
	C_COMMA,
	C_QUOTE,
	C_MINUS,
	C_PLUS,
	C_DOT,
	C_ZERO,
	C_DIGIT,
	C_A,
	C_E,
	C_EXP,
	C_F,
	C_L,
	C_N,
	C_R,
	C_S,
	C_T,
	C_U,
	N_CLASSES = 32, /* a power of two: a row of the table is found by a shift */
};

/* What a table entry may be: BAD, a state, or an action. */
enum {
	BAD,
	/* States outside strings. */
	START,  /* nothing yet */
	DONE,   /* the object is complete */
	VALUE,  /* a value must come */
	FIRST,  /* after '[': a value or ']' */
	MEMBER, /* after '{': a name or '}' */
	NAME,   /* after ',' in an object */
	COLON,  /* after a name */
	AFTER,  /* after a value */
	MINUS,
	ZERO,
	INT,
	DOT,
	FRACTION,
	EXP,
	EXP_SIGN,
	EXP_DIGITS,
	TR,
	TRU,
	TRUE_,
	FA,
	FAL,
	FALS,
	FALSE_,
	NU,
	NUL,
	NULL_,
	N_STATES,
	/* States inside strings, never in the table. */
	STRING = N_STATES,
	ESCAPE,        /* after a backslash */
	HEX,           /* in the four digits of \u */
	LOW_BACKSLASH, /* after a high surrogate */
	LOW_U,
	SKIP, /* after an error */
	/* Actions. */
	OPEN_OBJECT = 64,
	OPEN_ARRAY,
	CLOSE_OBJECT,
	CLOSE_ARRAY,
	COMMA,
	BEGIN_NAME,
	BEGIN_STRING,
	NEWLINE,
};

#define CLASSES                                                                        \
	[' '] = C_SPACE, ['\t'] = C_SPACE, ['\r'] = C_SPACE, ['{'] = C_LBRACE,         \
	['}'] = C_RBRACE, ['['] = C_LBRACKET, [']'] = C_RBRACKET, [':'] = C_COLON,     \
	[','] = C_COMMA, ['"'] = C_QUOTE, ['-'] = C_MINUS, ['+'] = C_PLUS,             \
	['.'] = C_DOT, ['0'] = C_ZERO,                                                 \
	['1' ... '9'] = C_DIGIT, ['a'] = C_A, ['e'] = C_E, ['E'] = C_EXP, ['f'] = C_F, \
	['l'] = C_L, ['n'] = C_N, ['r'] = C_R, ['s'] = C_S, ['t'] = C_T, ['u'] = C_U

static const uint8_t classes_text[256] = {CLASSES, ['\n'] = C_SPACE};
static const uint8_t classes_lines[256] = {CLASSES, ['\n'] = C_NEWLINE};

#define VALUES                                                                         \
	[C_LBRACE] = OPEN_OBJECT, [C_LBRACKET] = OPEN_ARRAY, [C_QUOTE] = BEGIN_STRING, \
	[C_MINUS] = MINUS, [C_ZERO] = ZERO, [C_DIGIT] = INT, [C_T] = TR, [C_F] = FA,   \
	[C_N] = NU, [C_NEWLINE] = NEWLINE

#define ENDS                                                                           \
	[C_SPACE] = AFTER, [C_COMMA] = COMMA, [C_RBRACE] = CLOSE_OBJECT,               \
	[C_RBRACKET] = CLOSE_ARRAY, [C_NEWLINE] = NEWLINE

#define DIGITS(next) [C_ZERO] = next, [C_DIGIT] = next

static const uint8_t table[N_STATES][N_CLASSES] = {
	[START] = {[C_SPACE] = START, [C_LBRACE] = OPEN_OBJECT, [C_NEWLINE] = NEWLINE},
	[DONE] = {[C_SPACE] = DONE, [C_NEWLINE] = NEWLINE},
	[VALUE] = {VALUES, [C_SPACE] = VALUE},
	[FIRST] = {VALUES, [C_SPACE] = FIRST, [C_RBRACKET] = CLOSE_ARRAY},
	[MEMBER] = {[C_SPACE] = MEMBER,
		[C_QUOTE] = BEGIN_NAME,
		[C_RBRACE] = CLOSE_OBJECT,
		[C_NEWLINE] = NEWLINE},
	[NAME] = {[C_SPACE] = NAME, [C_QUOTE] = BEGIN_NAME, [C_NEWLINE] = NEWLINE},
	[COLON] = {[C_SPACE] = COLON, [C_COLON] = VALUE, [C_NEWLINE] = NEWLINE},
	[AFTER] = {ENDS},
	[MINUS] = {[C_ZERO] = ZERO, [C_DIGIT] = INT, [C_NEWLINE] = NEWLINE},
	[ZERO] = {ENDS, [C_DOT] = DOT, [C_E] = EXP, [C_EXP] = EXP},
	[INT] = {ENDS, DIGITS(INT), [C_DOT] = DOT, [C_E] = EXP, [C_EXP] = EXP},
	[DOT] = {DIGITS(FRACTION), [C_NEWLINE] = NEWLINE},
	[FRACTION] = {ENDS, DIGITS(FRACTION), [C_E] = EXP, [C_EXP] = EXP},
	[EXP] = {DIGITS(EXP_DIGITS), [C_PLUS] = EXP_SIGN, [C_MINUS] = EXP_SIGN,
		[C_NEWLINE] = NEWLINE},
	[EXP_SIGN] = {DIGITS(EXP_DIGITS), [C_NEWLINE] = NEWLINE},
	[EXP_DIGITS] = {ENDS, DIGITS(EXP_DIGITS)},
	[TR] = {[C_R] = TRU, [C_NEWLINE] = NEWLINE},
	[TRU] = {[C_U] = TRUE_, [C_NEWLINE] = NEWLINE},
	[TRUE_] = {[C_E] = AFTER, [C_NEWLINE] = NEWLINE},
	[FA] = {[C_A] = FAL, [C_NEWLINE] = NEWLINE},
	[FAL] = {[C_L] = FALS, [C_NEWLINE] = NEWLINE},
	[FALS] = {[C_S] = FALSE_, [C_NEWLINE] = NEWLINE},
	[FALSE_] = {[C_E] = AFTER, [C_NEWLINE] = NEWLINE},
	[NU] = {[C_U] = NUL, [C_NEWLINE] = NEWLINE},
	[NUL] = {[C_L] = NULL_, [C_NEWLINE] = NEWLINE},
	[NULL_] = {[C_L] = AFTER, [C_NEWLINE] = NEWLINE},
};

#define BAD_NUMBER "malformed number"
#define BAD_WORD "a word that is not true, false or null"

static const char *const reasons[N_STATES] = {
	[START] = "not a JSON object",
	[DONE] = "something follows the object",
	[VALUE] = "a value is expected",
	[FIRST] = "a value or ']' is expected",
	[MEMBER] = "a name in double quotes or '}' is expected",
	[NAME] = "a name in double quotes is expected",
	[COLON] = "':' is expected",
	[AFTER] = "',' or a closing bracket is expected",
	[MINUS... EXP_DIGITS] = BAD_NUMBER,
	[TR... NULL_] = BAD_WORD,
};

#endif
