#include "requests/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static void warnings_append(struct warnings *w, const char *line, size_t n)
{
	char *bigger = realloc(w->text, w->len + n + 2);

	if (!bigger)
		return;
	w->text = bigger;
	memcpy(w->text + w->len, line, n);
	w->len += n;
	w->text[w->len++] = '\n';
	w->text[w->len] = '\0';
}

void warnings_add(struct warnings *w, const char *fmt, ...)
{
	char *line = NULL;
	va_list ap;
	int n;

	if (w->n++ >= WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n >= 0)
		warnings_append(w, line, (size_t)n);
	if (n >= 0)
		free(line);
}

void warnings_text(struct warnings *w, const char *text)
{
	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		warnings_add(w, "%.*s", (int)n, text);
	}
}

char *warnings_text_take(struct warnings *w)
{
	char more[48];
	char *text;

	if (w->n > WARNINGS_MAX) {
		snprintf(more, sizeof more, "and %llu more",
			(unsigned long long)(w->n - WARNINGS_MAX));
		warnings_append(w, more, strlen(more));
	}
	text = w->text ? w->text : strdup("");
	*w = (struct warnings){0};
	return text;
}
