/*
 * The FUSE session: mounting it, and where it was mounted already (mount.fuse3(8) does
 * that before it drops privileges, and passes a descriptor). That one stays mounted, dead,
 * where the session does not end by an unmount: only root can remove it.
 */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "mount/mount.h"

/* Set m->se. After a failure a line has said what is wrong. */
int session_mount(struct mount *m, const char *mountpoint);

#endif
