/* Whether a JSON text fits a schema, in one pass and bounded memory.
 *
 * A schema is a table of nodes, made once by whoever knows how it is written:
 *
 *     struct fit_schema *s = fit_schema_new();
 *     fit_add_node(s, &i)                   anything fits it; fill in s->nodes[i]
 *     fit_add_properties(s, i, list, n), fit_add_values, fit_add_links
 *     s->root = i
 *     fit_schema_free(s)
 *
 * and then says of any number of texts, one after the other, whether they fit:
 *
 *     struct fit *f = fit_new();
 *     fit_begin(f, s);
 *     struct text_sink to = {fit_sink, f, NULL};    all of the text
 *     fit_end(f, why)
 *     fit_free(f)
 *
 * There is no tree: for each open bracket the nodes are kept that its value has to fit,
 * of alternatives those that it still may. What cannot be decided fits: a schema with
 * more of them than there is room for, a property that is there twice (readers take
 * different ones), numbers of more digits than anybody writes.
 *
 * A schema does not change once it is complete; any number of threads may use it. A
 * struct fit is one thread's. */
#ifndef GB_JSON_FIT_H
#define GB_JSON_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- schemas -------------------------------------------------------------------- */

enum fit_kind {
	FIT_NULL = 1,
	FIT_BOOLEAN = 2,
	FIT_INTEGER = 4, /* 1.0 is one, too */
	FIT_NUMBER = 8,
	FIT_STRING = 16,
	FIT_LIST = 32,
	FIT_OBJECT = 64,
	FIT_ANY = 127,
};

/* Inclusive. */
struct fit_range {
	uint64_t min, max;
};

/* Entries of one of the arrays of a schema. */
struct fit_span {
	uint32_t first, n;
};

/* What does not concern a value of that kind is passed over. */
struct fit_node {
	uint8_t kinds;
	bool nullable;     /* null fits, whatever else there is */
	bool closed;       /* no properties but these */
	uint32_t items;    /* the node of each; 0: any */
	uint32_t required; /* of the properties, how many */
	struct fit_span properties;
	struct fit_span values;   /* strings; none: any */
	struct fit_span any_of;   /* links: one of these nodes, if there are any */
	struct fit_span all_of;   /* links: all of these, too */
	double minimum, maximum;  /* of a number */
	struct fit_range length;  /* of a string, in characters */
	struct fit_range count;   /* of items */
	struct fit_range members; /* of an object */
};

/* A name or a value, in the schema's text. */
struct fit_word {
	uint32_t at, len;
};

struct fit_property {
	struct fit_word name;
	uint32_t node; /* 0: any */
	bool required;
	bool unlisted; /* only known because it is required */
};

struct fit_schema {
	struct fit_node *nodes; /* the first stands for none */
	struct fit_property *properties;
	struct fit_word *values;
	uint32_t *links;
	char *text;
	uint32_t n_nodes, n_properties, n_values, n_links, n_text;
	uint32_t root;
};

enum { FIT_WORD_MAX = 1024 /* bytes of a name or value */ };

/* NULL: no memory. Free accepts NULL. */
struct fit_schema *fit_schema_new(void);
void fit_schema_free(struct fit_schema *s);

/* A new node. -ENOMEM; pointers into s->nodes are no longer valid. */
int fit_add_node(struct fit_schema *s, uint32_t *ret);

struct fit_named {
	const char *name;
	size_t len;
	uint32_t node;
	bool required, unlisted;
};
/* The properties of a node, or its values, of which only name and len count. Sorts the
 * list. -ENOMEM; -EFBIG: one is longer than FIT_WORD_MAX. */
int fit_add_properties(
	struct fit_schema *s, uint32_t node, struct fit_named *list, size_t n);
int fit_add_values(
	struct fit_schema *s, uint32_t node, struct fit_named *list, size_t n);
/* n nodes as an any_of or all_of. -ENOMEM. */
int fit_add_links(
	struct fit_schema *s, const uint32_t *nodes, size_t n, struct fit_span *ret);

/* Which of the node's it is; -1: none. */
int64_t fit_find_property(const struct fit_schema *s, const struct fit_node *node,
	const char *name, size_t len);
int64_t fit_find_value(const struct fit_schema *s, const struct fit_node *node,
	const char *text, size_t len);

/* ---- texts ---------------------------------------------------------------------- */

enum fit_verdict { FIT_NO_JSON, FIT_FITS, FIT_FITS_NOT };

enum { FIT_WHY_MAX = 240 };

struct fit;

struct fit *fit_new(void);
void fit_free(struct fit *f);

void fit_begin(struct fit *f, const struct fit_schema *s);
/* The put of a text_sink; returns 0. */
int fit_sink(void *arg, const void *buf, size_t n);
/* If it does not fit, why is the first place where it does not and what is wrong there,
 * in one line of UTF-8 without control characters: "/items/2/price is a string, not a
 * number". */
enum fit_verdict fit_end(struct fit *f, char why[FIT_WHY_MAX]);

#endif
