#include "util/log.h"

#include <stdatomic.h>

#include "util/log_lines.h"

static atomic_bool to_syslog;
static bool with_debug, errors_only;

void log_open(bool debug)
{
	with_debug = debug;
}

void log_errors_only(void)
{
	errors_only = true;
}

void log_to_syslog(void)
{
	openlog("batchfs", LOG_PID, LOG_DAEMON);
	atomic_store(&to_syslog, true);
}

static const char *prefix(int priority)
{
	if (priority <= LOG_ERR)
		return "";
	if (priority == LOG_WARNING)
		return "warning: ";
	return priority == LOG_DEBUG ? "debug: " : "";
}

void log_vline(int priority, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (priority >= LOG_DEBUG && !with_debug)
		return;
	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	/* Not the lines about requests: a reader of the log would cause more of
	 * them. */
	if (priority < LOG_DEBUG)
		log_lines_add(prefix(priority), text);
	if (atomic_load(&to_syslog))
		syslog(priority, "%s", text);
	else if (priority <= LOG_ERR || !errors_only)
		fprintf(stderr, "batchfs: %s%s\n", prefix(priority), text);
}

void log_line(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vline(priority, fmt, ap);
	va_end(ap);
}
