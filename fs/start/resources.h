/* Limits of this process, set once at the start. */
#ifndef FS_RESOURCES_H
#define FS_RESOURCES_H

/* Raise the limit of descriptors as far as allowed, and load now what would need one
 * later. */
void resources_raise(void);
/* What was closed of descriptors 0 to 2 refuses reads and writes from now on: no file that
 * is opened later gets such a number, and with it what is printed. */
void resources_hold_standard(void);

#endif
