/* A resumable JSON tokenizer for texts of any size, in bounded memory.
 *
 * It checks the whole grammar of RFC 8259 and UTF-8, and stops only where its user
 * asked it to: at brackets, at the end of a member name, at strings and commas the user
 * wants. Numbers, words, white space and unwanted strings cause no event. The text is
 * one object, or, with `lines`, one object per line.
 *
 *     struct jtok j;
 *     jtok_init(&j, lines);
 *     for each chunk:
 *             jtok_feed(&j, buf, n);             // buf is borrowed until the next feed
 *             while ((e = jtok_next(&j)) != JTOK_MORE)
 *                     ... switch (e)
 *     jtok_complete(&j)                          // was the object whole?
 *
 * How: outside strings a table indexed by state and class of byte gives the next state
 * or an action; inside strings 16 bytes at a time are looked through for a quote, a
 * backslash, a control character or the start of a longer character. Any byte may be
 * the last of a chunk; `state` keeps where the tokenizer was.
 *
 * Names and wanted strings come unescaped: JTOK_PIECE for each part, the last part
 * with JTOK_NAME or JTOK_STRING itself. A string without escapes in one chunk is a
 * single event. Surrogates must come in pairs. Nesting ends at JTOK_DEPTH_MAX.
 *
 * No memory is allocated; a struct jtok is used by one thread at a time. */
#ifndef GB_JTOK_H
#define GB_JTOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JTOK_DEPTH_MAX 512

enum jtok_event {
	JTOK_MORE,    /* the chunk is used up */
	JTOK_OPEN,    /* a bracket was opened and counts in depth */
	JTOK_CLOSE,   /* a bracket was closed and counts no more */
	JTOK_PIECE,   /* text, len: part of a name or wanted string */
	JTOK_NAME,    /* text, len: the last part of a member name */
	JTOK_STRING,  /* text, len: the last part of a wanted string */
	JTOK_COMMA,   /* a comma at depth comma_depth */
	JTOK_NEWLINE, /* only with lines: the line ends here, whatever the state */
	JTOK_BAD,     /* see reason; with lines the rest of the line is skipped */
};

struct jtok {
	/* For the user to read. */
	const uint8_t *text; /* with PIECE, NAME, STRING; valid until jtok_next */
	size_t len;
	uint64_t quote;     /* offset of the opening quote of the last string */
	unsigned depth;     /* brackets open */
	const char *reason; /* with BAD: static text */
	/* For the user to set at any event. */
	bool want;            /* the next string, if it is a value, is wanted */
	unsigned comma_depth; /* commas at this depth are wanted; 0: none */
	/* Names at this depth or deeper are reported only if they begin with `initial`,
	 * or have escapes, or were cut; 0: all are reported. */
	unsigned quiet_depth;
	char initial;
	/* Where it is: buf <= p <= end; buf[0] is at offset base. */
	const uint8_t *p, *buf, *end;
	uint64_t base;
	/* Its own. */
	const uint8_t *classes;
	bool lines, is_name;
	uint8_t state, utf8, digits;
	uint32_t code, high;
	uint8_t utf8_text[4];
	uint64_t objects[(JTOK_DEPTH_MAX + 64) / 64]; /* bit d: depth d is an object */
};

void jtok_init(struct jtok *j, bool lines);

/* The next n bytes. Only after JTOK_MORE or at the start. */
void jtok_feed(struct jtok *j, const void *buf, size_t n);

enum jtok_event jtok_next(struct jtok *j);

/* Offset of the next byte to be looked at. At an event: one past the event's text. */
static inline uint64_t jtok_offset(const struct jtok *j)
{
	return j->base + (uint64_t)(j->p - j->buf);
}

/* Whether the innermost open bracket is a brace. */
static inline bool jtok_in_object(const struct jtok *j)
{
	return j->objects[j->depth / 64] >> (j->depth % 64) & 1;
}

/* Only white space has been seen (on this line). */
bool jtok_blank(const struct jtok *j);

/* A complete object has been seen (on this line), with nothing but white space around
 * it. */
bool jtok_complete(const struct jtok *j);

/* With lines, after JTOK_NEWLINE: expect the next object. */
void jtok_next_line(struct jtok *j);

#endif
