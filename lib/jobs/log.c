/* Lines for the log, to the function of gb_options. */
#include "jobs/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void client_log(struct gb_client *c, int priority, const char *fmt, ...)
{
	_cleanup_free_ char *line = NULL;
	va_list ap;

	if (!c->o.log)
		return;
	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		line = NULL;
	va_end(ap);
	if (line)
		c->o.log(c->o.arg, priority, line);
}
