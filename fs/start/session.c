#include "start/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "kernel/ops.h"
#include "start/paths.h"
#include "start/place.h"
#include "util/log.h"

/* Source and type first, so that the user's words may follow. The source as it was
 * given: mount(8) finds by it what is mounted already. */
static char *mount_words(const struct options *o)
{
	char source[1024];
	size_t n = 0;

	for (const char *p = o->fsname; *p && n < sizeof source - 3; p++) {
		if (*p == ',' || *p == '\\')
			source[n++] = '\\';
		source[n++] = *p;
	}
	source[n] = '\0';
	return format(
		"default_permissions,subtype=batchfs,max_read=%ju,fsname=%s%s%s%s",
		(uintmax_t)o->max_read, source, o->readonly ? ",ro" : "",
		o->mount_words ? "," : "", o->mount_words ? o->mount_words : "");
}

#define NOSYMFOLLOW 0x00200000 /* MOUNT_ATTR_NOSYMFOLLOW of Linux 5.14 */

/* libfuse knows the word since 3.17 only. */
static void forbid_links(const char *mountpoint)
{
	struct {
		uint64_t set, clear, propagation, userns;
	} attr = {.set = NOSYMFOLLOW};

	if (syscall(SYS_mount_setattr, AT_FDCWD, mountpoint, 0, &attr, sizeof attr) < 0)
		log_line(LOG_WARNING,
			"nosymfollow has no effect: %s (the only links here are from a "
			"job's id to its directory)",
			strerror(errno));
}

/* Who mounted it said what the kernel checks. */
static int check_passed(const struct mount *m, const char *mountpoint)
{
	if (paths_passed_fd(m->o->mountpoint) < 0 || m->o->default_permissions)
		return 0;
	log_line(LOG_ERR,
		"%s was mounted by another program, without default_permissions: add "
		"that option. Without it the kernel does not check who may do what",
		mountpoint);
	return -EINVAL;
}

int session_mount(struct mount *m, const char *mountpoint)
{
	bool passed = paths_passed_fd(m->o->mountpoint) >= 0;
	const char *where = passed ? m->o->mountpoint : mountpoint;
	_cleanup_free_ char *words = mount_words(m->o);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = check_passed(m, mountpoint);

	if (err)
		return err;
	err = -ENOMEM;
	if (words && !fuse_opt_add_arg(&args, "batchfs") &&
		!fuse_opt_add_arg(&args, "-o") && !fuse_opt_add_arg(&args, words) &&
		(!m->o->debug || !fuse_opt_add_arg(&args, "-d"))) {
		m->se = fuse_session_new(&args, &ops_table, sizeof ops_table, m);
		err = m->se && !fuse_session_mount(m->se, where) ? 0 : -EIO;
	}
	fuse_opt_free_args(&args);
	if (err)
		place_explain(mountpoint);
	else if (m->o->nosymfollow && !passed) /* who mounted it did that */
		forbid_links(mountpoint);
	return err;
}
