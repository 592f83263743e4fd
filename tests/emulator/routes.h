/* The table of everything the emulator answers to: methods, paths, handlers. */
#ifndef EMU_ROUTES_H
#define EMU_ROUTES_H

#include "http.h"

struct route {
	const char *method;
	/* `{}` stands for one or more characters other than '/' and ':' */
	const char *pattern;
	const char *op; /* name in faults and counts */
	bool open;      /* needs no key */
	/* Finer name of the operation, looked at before anything is done; optional. */
	const char *(*name)(struct request *rq);
	/* Before the body comes; may make a reply or set `piece`; optional. */
	void (*begin)(struct request *rq);
	/* After the body has come, unless begin replied. */
	void (*handle)(struct request *rq);
};

/* NULL when nothing answers there. `arg` gets what `{}` stood for. */
const struct route *route_find(const char *method, const char *path, char arg[MAX_ARG]);

#endif
