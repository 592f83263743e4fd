#include "cli/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util/util.h"

#define LOOK_US 100000 /* between tries */

/* -1: it cannot be made; then nobody takes turns. */
static int open_turns(const struct options *o)
{
	_cleanup_free_ char *path = format("%s/turns", o->state_dir);

	return path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
}

bool turns_wanted(const struct options *o)
{
	_cleanup_close_ int fd = open_turns(o);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Queue for the next turn. -EINTR. */
static int take_turn(int fd)
{
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		if (cli_stopped())
			return -EINTR;
		usleep(LOOK_US);
	}
	return 0;
}

int turns_open(const struct cli_place *place, struct gb_client **ret, char **ret_mount,
	char **ret_why)
{
	_cleanup_close_ int fd = open_turns(place->o);
	int err = take_turn(fd);

	*ret_mount = NULL;
	while (!err) {
		if (gb_state_holder(place->o->state_dir, ret_mount) == -EBUSY &&
			*ret_mount && **ret_mount)
			return -EREMOTE;
		free(STEAL_PTR(*ret_mount));
		err = place->open(place->arg, ret, ret_why);
		/* Locked, but by whom one cannot wait for, is not for us to wait. */
		if (err != -EBUSY || gb_state_holder(place->o->state_dir, ret_mount) ==
					     -EREMOTE)
			return err;
		free(STEAL_PTR(*ret_mount));
		free(STEAL_PTR(*ret_why));
		usleep(LOOK_US);
		err = cli_stopped() ? -EINTR : 0;
	}
	return err;
}
