/*
 * Inode numbers.
 *
 *   16 random bits of this mount, never 0 | 22 bits slot + 1 | 26 bits number
 *
 * The slot is the job's in gembatch's table; 0 stands for .batchfs. Number 0 is the
 * directory itself, 1 to 126 are virtual files by their tables (virtual_files.h), 255
 * is the symlink named after the job's ID, from 256 on they are gembatch's file
 * numbers, those from 2^24 on are doors, and those from 2^25 on the nodes of
 * responses/, which is the first of them. A part has a slot of its own. A directory
 * that is its own first part is shown in parts/ by its numbers plus 128.
 *
 * The kernel lets one write at a time into a file, however long it waits. So `ctl` is
 * known to it by another number, a door, after each look at its name: whoever writes
 * `cancel` does not wait for whoever waits for `submit`. A door has the file's number
 * in its low bits.
 *
 * The root is 1, as FUSE wants it. Numbers are never reused, so nothing is counted, and
 * FORGET has nothing to do. A number whose job or file is gone gives ESTALE, which
 * makes the kernel look the name up again. The random bits let the scan of /proc
 * (last_close.h) tell our files from those of other filesystems.
 *
 * Any thread.
 */
#ifndef FS_INO_H
#define FS_INO_H

#include "mount/mount.h"

#define NUMBER_OWN_PART 128
#define NUMBER_LINK 255
#define NUMBER_FILES 256
#define NUMBER_DOORS (UINT32_C(1) << 24)
#define NUMBER_ANSWERS (UINT32_C(1) << 25)

/* The random bits, for mount.ino_base. */
uint64_t ino_new_base(void);

/* Of .batchfs and what is in it; of a job and what is in it. */
fuse_ino_t ino_of_meta(const struct mount *m, uint32_t number);
fuse_ino_t ino_of_job(const struct mount *m, uint32_t slot, uint32_t number);

/* A door of its own to the virtual file ino. */
fuse_ino_t ino_door(struct mount *m, fuse_ino_t ino);
/* What it is a door to; other numbers stay as they are. */
fuse_ino_t ino_behind_door(fuse_ino_t ino);

struct ino_parts {
	bool meta;     /* .batchfs */
	uint32_t slot; /* if not */
	uint32_t number;
};

/* Take apart an inode number of this mount, other than the root's, or what is behind it
 * if it is a door; false: it is not one. */
bool ino_split(const struct mount *m, fuse_ino_t ino, struct ino_parts *ret);

#endif
