/*
 * Where log lines go: stderr while the program starts and with -f, syslog once it is in
 * the background; and always to log_lines.h. Any thread. Never the key, never prompt
 * text.
 */
#ifndef FS_LOG_H
#define FS_LOG_H

#include <stdbool.h>
#include <syslog.h>

#include "util/util.h"

/* LOG_DEBUG lines are dropped unless debug. */
void log_open(bool debug);
/* From now on only errors go to stderr. */
void log_errors_only(void);
/* From now on to syslog. */
void log_to_syslog(void);
void log_line(int priority, const char *fmt, ...) _printf_(2, 3);
void log_vline(int priority, const char *fmt, va_list ap) _printf_(2, 0);

#endif
