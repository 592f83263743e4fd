#include "start/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "util/log.h"
#include "util/util.h"

#define DEVICE "/dev/fuse"
#define CONTAINER "docker run --device /dev/fuse --cap-add SYS_ADMIN"
#define WITHOUT "Nothing has to be mounted for: batchfs run NAME FILE"

/* ---- the device ---------------------------------------------------------------------- */

static void explain_device(int err)
{
	struct stat st;

	if (err == ENOENT)
		log_line(LOG_ERR, "there is no " DEVICE ". A container must be given it: "
				  CONTAINER "; elsewhere: modprobe fuse. " WITHOUT);
	else if (err == ENODEV || err == ENXIO)
		log_line(LOG_ERR, DEVICE ": %s. The kernel has no FUSE: modprobe fuse. "
				  WITHOUT, strerror(err));
	else if (err == EACCES && stat(DEVICE, &st) == 0 && (st.st_mode & 06) != 06)
		log_line(LOG_ERR, DEVICE " cannot be opened by this user (its mode is %03o): "
				  "as root, chmod a+rw " DEVICE ". " WITHOUT,
			st.st_mode & 0777);
	else
		log_line(LOG_ERR, DEVICE " cannot be opened (%s). A container must be given "
				  "it: " CONTAINER ". " WITHOUT, strerror(err));
}

int place_check(void)
{
	_cleanup_close_ int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? errno : 0;

	/* A lack of descriptors and the like is said where they are needed. */
	if (!err || err == EMFILE || err == ENFILE || err == ENOMEM)
		return 0;
	explain_device(err);
	return -err;
}

/* ---- who may mount -------------------------------------------------------------------- */

/* As libfuse looks for it. */
static char *find_fusermount(void)
{
	const char *path = getenv("PATH");
	char *found = strdup("/usr/bin/fusermount3");

	while (found && access(found, F_OK) < 0 && path && *path) {
		size_t n = strcspn(path, ":");

		free(found);
		found = format("%.*s/fusermount3", (int)n, path);
		path += n + (path[n] == ':');
	}
	if (found && access(found, F_OK) == 0)
		return found;
	free(found);
	return NULL;
}

static bool may_mount(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {};

	return syscall(SYS_capget, &head, caps) < 0 ||
	       (caps[0].effective >> CAP_SYS_ADMIN & 1);
}

/* What keeps fusermount3 from mounting for an ordinary user; NULL: nothing is known. */
static const char *fusermount_lacks(const char *path)
{
	struct statvfs vfs;
	struct stat st;

	if (!path)
		return "fusermount3 is missing, which mounts for ordinary users: apt "
		       "install fuse3";
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return "this process may gain no privileges (NoNewPrivileges= of a unit, "
		       "no-new-privileges or allowPrivilegeEscalation: false of a "
		       "container), and fusermount3 needs them";
	if (stat(path, &st) == 0 && (st.st_uid != 0 || !(st.st_mode & S_ISUID)))
		return "fusermount3 is not setuid root: as root, chmod u+s it, or install "
		       "fuse3 again";
	if (statvfs(path, &vfs) == 0 && (vfs.f_flag & ST_NOSUID))
		return "fusermount3 is on a filesystem that is mounted nosuid";
	if (access(path, X_OK) < 0)
		return "fusermount3 may not be run by this user";
	if (!getpwuid(getuid()))
		return "this user has no line in /etc/passwd, and fusermount3 wants one";
	return NULL;
}

void place_explain(const char *mountpoint)
{
	_cleanup_free_ char *path = find_fusermount();
	const char *why = NULL;

	if (may_mount()) {
		log_line(LOG_ERR, "mounting on %s failed", mountpoint);
		return;
	}
	if (geteuid())
		why = fusermount_lacks(path);
	if (!why)
		why = "CAP_SYS_ADMIN is missing. A container must be given it: " CONTAINER;
	log_line(LOG_ERR, "mounting on %s failed: %s. " WITHOUT, mountpoint, why);
}
