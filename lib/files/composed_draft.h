/* Composed drafts: what kind a draft is, and making its requests from its parts
 * (make_requests.h). They are written to composed.jsonl, which then is the draft's
 * requests.jsonl. */
#ifndef GB_GATHER_H
#define GB_GATHER_H

#include "jobs/operation.h"

enum compose_draft_kind {
	GATHER_NOTHING,  /* neither requests.jsonl nor parts */
	GATHER_REQUESTS, /* requests.jsonl is complete in itself */
	GATHER_COMPOSED,
	GATHER_MIXED,    /* requests.jsonl and prompt.txt or another part */
};

/* Lock held. Files in inputs/ beside requests.jsonl may be those that its lines
 * name, so they alone do not make a mixture. */
enum compose_draft_kind compose_draft_kind(struct gb_job *job);

/* Lock held: whether there is an input in inputs/, or prompt.txt or the like. */
bool compose_draft_has_inputs(struct gb_job *job);
bool compose_draft_has_parts(struct gb_job *job);

/* From the run() of a task that gathers (task.gathers), its draft composed: make
 * composed.jsonl and put it into t->file. -EBADMSG: the draft's error says why;
 * -ECANCELED; other. */
int compose_draft_run(struct operation *t);

/* Write the draft's error for a mixture; returns err. */
int compose_draft_refuse_mixed(struct gb_job *job);

/* The names of the members that answers have by the job's schema.json, a NUL behind each,
 * malloc'ed; NULL: there is none, or it is of no object. */
int compose_draft_properties(struct gb_job *job, char **ret, size_t *ret_len);

#endif
