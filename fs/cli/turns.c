#include "cli/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/await.h"
#include "util/util.h"

#define LOOK_US 100000 /* between tries */

/* -1: it is not there; then nobody takes turns. Verbs make it. A mount does not: it
 * leaves a directory that it refuses as it is. */
static int open_turns(const struct options *o, bool make)
{
	_cleanup_free_ char *path = format("%s/turns", o->state_dir);
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0);

	return path ? open(path, flags, 0600) : -1;
}

bool turns_wanted(const struct options *o)
{
	_cleanup_close_ int fd = open_turns(o, true);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* The lock, queued for; or -1: it cannot be made yet. -EINTR, -EBUSY: too late. */
static int take_turn(const struct options *o, double until, int *ret)
{
	int fd = open_turns(o, until < 0);

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		int err = cli_stopped()                        ? -EINTR
			  : until >= 0 && seconds_now() >= until ? -EBUSY
							       : 0;

		if (err) {
			close(fd);
			return err;
		}
		usleep(LOOK_US);
	}
	*ret = fd;
	return 0;
}

int turns_alone(const struct options *o, int *ret)
{
	return take_turn(o, -1, ret);
}

/* Whether a mount, or something that nobody can wait for, has the state directory. */
static int look_at_holder(const struct options *o, char **ret_mount)
{
	int err = gb_state_holder(o->state_dir, ret_mount);

	if (err == -EBUSY && *ret_mount && **ret_mount)
		return -EREMOTE;
	free(STEAL_PTR(*ret_mount));
	return 0;
}

static bool can_wait(const struct options *o, double until)
{
	_cleanup_free_ char *holder = NULL;

	return !(until >= 0 && seconds_now() >= until) &&
	       gb_state_holder(o->state_dir, &holder) != -EREMOTE;
}

/* Until whoever has the state directory gives it back. */
static int open_in_turn(const struct cli_place *place, double until, int *turn,
	struct gb_client **ret, char **ret_mount, char **ret_why)
{
	int err;

	while (!(err = look_at_holder(place->o, ret_mount))) {
		if (*turn < 0 && (err = take_turn(place->o, until, turn)))
			return err;
		err = place->open(place->arg, ret, ret_why);
		if (err != -EBUSY || !can_wait(place->o, until))
			return err;
		free(STEAL_PTR(*ret_why));
		usleep(LOOK_US);
		if (cli_stopped())
			return -EINTR;
	}
	return err;
}

int turns_open(const struct cli_place *place, double seconds, struct gb_client **ret,
	char **ret_mount, char **ret_why)
{
	double until = seconds < 0 ? -1 : seconds_now() + seconds;
	_cleanup_close_ int turn = -1;

	*ret_mount = *ret_why = NULL;
	return open_in_turn(place, until, &turn, ret, ret_mount, ret_why);
}
