#include "start/service.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util/log.h"
#include "util/util.h"

static struct sockaddr_un manager = {.sun_family = AF_UNIX};
static socklen_t manager_size; /* 0: there is none */

void service_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	if (n > 1 && n < sizeof manager.sun_path && strchr("/@", *path)) {
		memcpy(manager.sun_path, path, n);
		if (*path == '@')
			*manager.sun_path = '\0'; /* an abstract name */
		manager_size = offsetof(struct sockaddr_un, sun_path) + n;
	}
	unsetenv("NOTIFY_SOCKET");
}

bool service_is_there(void)
{
	return manager_size;
}

static void service_say(const char *text)
{
	_cleanup_close_ int fd = -1;

	if (!text || !manager_size)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL,
			      (const struct sockaddr *)&manager, manager_size) < 0)
		log_line(LOG_WARNING, "the service manager cannot be told: %s",
			strerror(errno));
}

void service_ready(const char *mountpoint)
{
	_cleanup_free_ char *text = format("READY=1\nMAINPID=%d\nSTATUS=mounted on %s",
		(int)getpid(), mountpoint);

	service_say(text);
}

void service_stopping(void)
{
	service_say("STOPPING=1\nSTATUS=unmounting");
}
