/*
 * Places where nothing can be mounted: containers, chroots, machines without fuse3. What
 * is missing there, and what to do. From main, or under its eyes.
 */
#ifndef FS_PLACE_H
#define FS_PLACE_H

/* Before the start: whether /dev/fuse can be opened; or a negative errno after a line
 * that says what is wrong. */
int place_check(void);
/* After a mount has failed: one line about the likely cause. */
void place_explain(const char *mountpoint);

#endif
