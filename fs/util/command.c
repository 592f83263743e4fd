#include "util/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include "util/util.h"

extern char **environ;

/* Signals are ours to block, not the command's; nor is the terminal's Ctrl-C for it. */
static int spawn_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setpgroup(attr, 0);
	return posix_spawnattr_setflags(attr,
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

int command_start(const char *command, const char *dir, const char *name,
	const char *state, int out, pid_t *ret)
{
	_cleanup_free_ char *text = format("%s \"$@\"", command);
	const char *argv[] = {"/bin/sh", "-c", text, "batchfs", name, state, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int err;

	if (!text)
		return -ENOMEM;
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	err = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&files, out, 1);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&files, out, 2);
	if (!err && dir)
		err = posix_spawn_file_actions_addchdir_np(&files, dir);
	if (!err)
		err = spawn_attributes(&attr);
	if (!err)
		err = posix_spawn(ret, argv[0], &files, &attr, (char **)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}
