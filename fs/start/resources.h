/* Limits of this process, set once at the start. */
#ifndef FS_RESOURCES_H
#define FS_RESOURCES_H

/* Raise the limit of descriptors as far as allowed, and load now what would need one
 * later. */
void resources_raise(void);

#endif
