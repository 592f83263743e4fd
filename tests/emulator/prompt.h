/* What a request asks: its text, its attachments, its magic words. */
#ifndef EMU_PROMPT_H
#define EMU_PROMPT_H

#include "tokens.h"
#include "util.h"

#define PROMPT_FILES 16

struct prompt {
	struct buf text; /* texts of the last user turn */
	struct buf system;
	struct {
		const char *uri,
			*mime; /* borrowed from the request; uri NULL: inline */
		int64_t size;
		char sha256[65]; /* of an upload, as far as it is known */
	} files[PROMPT_FILES];
	size_t n_files;
	struct tokens tokens; /* of the whole request */
};

void prompt_read(json_t *request, struct prompt *ret);
void prompt_free(struct prompt *p);

/* Is "[emu:WORD]" or "[emu:WORD N]" in the text? N (or 0) goes to ret_n. */
bool prompt_asks(const struct prompt *p, const char *word, int64_t *ret_n);

/* Has this Content no text at all? */
bool prompt_is_empty(json_t *content);

/* What is wrong with a request's combination of fields, or NULL. */
const char *prompt_fault(json_t *request, bool embed);

#endif
