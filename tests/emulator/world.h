/*
 * The one lock around everything the emulator knows: files, upload sessions, jobs,
 * caches. It is held for look-ups and changes of records, never while bytes of bodies
 * move, input is checked or answers are made. Also the registry those records are in.
 */
#ifndef EMU_WORLD_H
#define EMU_WORLD_H

#include "util.h"

void world_lock(void);
void world_unlock(void);

/*
 * Records by id and in order of addition. A record's first member must be its id, a
 * char array. The registry owns nothing. All under world_lock.
 */
struct registry {
	void *tree;
	void **items;
	size_t n, cap;
};

void registry_add(struct registry *r, void *item);
void *registry_find(const struct registry *r, const char *id);
void registry_remove(struct registry *r, void *item);

#endif
