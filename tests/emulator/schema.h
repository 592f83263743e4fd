/* The fields of the messages that clients send, as tables. */
#ifndef EMU_SCHEMA_H
#define EMU_SCHEMA_H

#include <stdbool.h>

enum field_type {
	TYPE_ANY,
	TYPE_STRING,
	TYPE_ENUM,
	TYPE_NUMBER, /* also as a string */
	TYPE_BOOL,
	TYPE_STRUCT, /* any object */
	TYPE_MESSAGE,
};

struct field {
	const char *name; /* lowerCamel; snake_case goes as well */
	enum field_type type;
	bool repeated;
	const struct message *message;
};

struct message {
	const char *name;
	const struct field *fields; /* ends with a name of NULL */
	const struct field *map;    /* instead: any names, values like this */
};

extern const struct message schema_upload;     /* {"file": File} */
extern const struct message schema_batch_body; /* {"batch": GenerateContentBatch} */
extern const struct message schema_embed_body; /* {"batch": EmbedContentBatch} */
extern const struct message schema_batch;      /* what PATCH takes */
extern const struct message schema_line;       /* a line of an input file, both forms */
extern const struct message schema_embed_line;
extern const struct message schema_cache; /* CachedContent */
extern const struct message schema_count; /* what countTokens takes */

/* Names of the outer form {"key":…, "request":…}, for telling the forms apart. */
bool schema_is_outer(const struct field *f);

#endif
