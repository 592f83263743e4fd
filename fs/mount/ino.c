#include "mount/ino.h"

#include <sys/random.h>

#define NUMBER_BITS 26
#define SLOT_BITS 22
#define VIRTUAL_BITS 7
#define MASK(bits) ((1u << (bits)) - 1)

_Static_assert(NUMBER_ANSWERS + GB_ANSWER_NUMBERS <= 1u << NUMBER_BITS,
	"every node of responses/ has an inode number");

_Static_assert(GB_FILE_NUMBER_MAX < NUMBER_DOORS, "no file's number is a door");

uint64_t ino_new_base(void)
{
	uint16_t bits;

	do
		if (getrandom(&bits, sizeof bits, 0) != sizeof bits)
			bits = getpid();
	while (!bits);
	return (uint64_t)bits << (SLOT_BITS + NUMBER_BITS);
}

fuse_ino_t ino_of_meta(const struct mount *m, uint32_t number)
{
	return m->ino_base | number;
}

fuse_ino_t ino_of_job(const struct mount *m, uint32_t slot, uint32_t number)
{
	return m->ino_base | (uint64_t)(slot + 1) << NUMBER_BITS | number;
}

fuse_ino_t ino_door(struct mount *m, fuse_ino_t ino)
{
	uint32_t n = atomic_fetch_add(&m->doors, 1) << VIRTUAL_BITS;

	return ino | NUMBER_DOORS | (n & (NUMBER_DOORS - 1));
}

fuse_ino_t ino_behind_door(fuse_ino_t ino)
{
	uint32_t number = ino & MASK(NUMBER_BITS);

	if (ino == FUSE_ROOT_ID || number < NUMBER_DOORS || number >= NUMBER_ANSWERS)
		return ino;
	return ino - number + (number & MASK(VIRTUAL_BITS));
}

bool ino_split(const struct mount *m, fuse_ino_t ino, struct ino_parts *ret)
{
	ino = ino_behind_door(ino);
	uint32_t slot = ino >> NUMBER_BITS & MASK(SLOT_BITS);

	if ((ino ^ m->ino_base) >> (SLOT_BITS + NUMBER_BITS))
		return false;
	*ret = (struct ino_parts){
		.meta = !slot, .slot = slot - 1, .number = ino & MASK(NUMBER_BITS)};
	return true;
}
