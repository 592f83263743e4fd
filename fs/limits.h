/* What a process may have of the machine, set once at the start. */
#ifndef FS_LIMITS_H
#define FS_LIMITS_H

/* As many descriptors as this user may have, and what later would need one loaded now. */
void limits_raise(void);

#endif
