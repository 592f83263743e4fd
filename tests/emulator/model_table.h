/* The models as a table, and what can be said of them without a request. */
#ifndef EMU_MODEL_TABLE_H
#define EMU_MODEL_TABLE_H

#include "util.h"

enum {
	GEN = 1,
	BATCH = 2,
	EMBED = 4,
	RETIRED = 8,   /* refused */
	IMAGEN = 16,
	UNLISTED = 32,
	FAILING = 64,  /* jobs are taken, and every line fails with code 5 */
};

/* Aliases and names that are routed to another model have it in `answers`: its name is the
 * modelVersion of what they answer. */
struct model {
	const char *name, *version, *display, *description;
	int in, out;
	int can;
	bool thinking;
	const char *answers;
};

size_t model_count(void);
const struct model *model_at(size_t i);
/* NULL: there is none. */
const struct model *model_find(const char *name);
/* Who answers when this one is asked. */
const char *model_version(const char *name);
bool model_fails(const char *name);

#endif
