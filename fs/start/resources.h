/* What a process may have of the machine, set once at the start. */
#ifndef FS_RESOURCES_H
#define FS_RESOURCES_H

/* As many descriptors as this user may have, and what later would need one loaded now. */
void resources_raise(void);

#endif
