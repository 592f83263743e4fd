/*
 * The requests of a composed draft: a line of requests.jsonl for every input, made from
 * the draft's parts.
 *
 *     composed_new(&parts, out, &c)      prompt.txt, system.txt, schema.json, defaults
 *     composed_add(c, "a/cat.png", fd)   for each file below inputs/, in order; or
 *     composed_add_lines(c, fd, cancel)  inputs.txt; or
 *     composed_add_table(c, &table)      inputs.csv, inputs.tsv
 *     composed_end(c)
 *     composed_complaints(c)             what the user has to fix, or NULL
 *     composed_free(c)
 *
 * A line:
 *
 *     {"key":"a/cat.png","request":{"contents":[{"role":"user","parts":[
 *       {"text":PROMPT},
 *       {"file_data":{"file_uri":"inputs/a/cat.png","mime_type":"image/png"}}]}],
 *       "systemInstruction":…,"generationConfig":{…}, what defaults.json has}}
 *
 * (on one line) or {"text":…} as second part where the input is text: UTF-8 without
 * NUL, at most COMPOSED_TEXT_MAX bytes. The URI is the draft's own name for the file:
 * the code that sends the line uploads the file and replaces the URI.
 *
 * A row of a table is one text of "name: value" lines, or what prompt.txt makes of it
 * (make_requests_table.c), and file parts for the cells that name files.
 *
 * For a model that makes embeddings:
 *
 *     {"key":"a.txt","request":{"content":{"parts":[{"text":…}]}, what defaults.json
 *     has}}
 *
 * one text each, because models make one vector of all parts; nothing is asked about
 * it, so there is no prompt.txt, system.txt or schema.json.
 *
 * What is wrong with the parts or an input is a complaint, one line each. The rest is
 * still examined, so that everything can be fixed at once. Other failures (reading,
 * writing, memory) are returned and end it. Lines are written to out as they are made;
 * only one text is in memory. One thread at a time.
 */
#ifndef GB_COMPOSED_H
#define GB_COMPOSED_H

#include "provider/compose.h"

#define COMPOSED_TEXT_MAX (1 << 20)

extern const struct compose_grammar gemini_compose;

/* out is written to from its present offset. Negative errno. */
int composed_new(const struct composed_parts *parts, int out, struct composed **ret);
void composed_free(struct composed *c);

/* key: the path below inputs/. Also 0 with complaints; -EFBIG: it is more than can be
 * sent. */
int composed_add(struct composed *c, const char *key, int fd);
/* cancel may be NULL; -ECANCELED. */
int composed_add_lines(struct composed *c, int fd, const atomic_bool *cancel);

/* A request for each row that is not blank. As composed_add. */
int composed_add_table(struct composed *c, const struct composed_table *table);

/* The names of the properties in schema.json, each followed by a NUL, malloc'ed; NULL:
 * it is not a schema of objects. -ENOMEM, errno of reading. */
int composed_properties(int schema, char **ret, size_t *ret_len);

/* A complaint of the caller's own: "NAME: what is wrong". */
void composed_complain(struct composed *c, const char *name, const char *what);

/* Write what is still in memory; after it the counts are final. */
int composed_end(struct composed *c);
uint64_t composed_requests(const struct composed *c);
/* How many requests refer to a file. */
uint64_t composed_attachments(const struct composed *c);
/* One per line, the first ten, malloc'ed; NULL: none. */
char *composed_complaints(const struct composed *c);

#endif
