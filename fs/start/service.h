/*
 * What a service manager is told (systemd.service(5), Type=notify): lines to the socket
 * that NOTIFY_SOCKET names. Without one nothing is said. The variable is removed, so
 * that commands which are run do not speak for the mount.
 */
#ifndef FS_SERVICE_H
#define FS_SERVICE_H

#include <stdbool.h>

/* From main, before any thread. */
void service_open(void);
bool service_is_there(void);
/* Any thread. The mount can be used; it ends. */
void service_ready(const char *mountpoint);
void service_stopping(void);

#endif
