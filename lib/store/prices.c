#include "store/prices.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "provider/all/ids.h"

enum { PRICES_MAX = 1 << 20 /* bytes of the file */ };

static const char *bare_model(const char *name)
{
	return remote_model_name(name);
}

/* A number from 0 up, and nothing behind it. */
static bool take_price(const char *text, double *ret)
{
	char *end;
	double value = text ? strtod(text, &end) : -1;

	if (!text || end == text || *end || !isfinite(value) || value < 0)
		return false;
	*ret = value;
	return true;
}

static bool take_row(char *line, const char *model, struct price *ret)
{
	static const char space[] = " \t\r";
	char *rest = NULL;
	const char *name = strtok_r(line, space, &rest);
	struct price p;

	if (!name || *name == '#' || strcmp(bare_model(name), model) != 0 ||
		!take_price(strtok_r(NULL, space, &rest), &p.in) ||
		!take_price(strtok_r(NULL, space, &rest), &p.out))
		return false;
	*ret = p;
	return true;
}

bool prices_find(const char *path, const char *model, struct price *ret)
{
	/* The user's own: a link is as good as a file. */
	_cleanup_close_ int fd =
		path && model ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	_cleanup_free_ char *text = fd < 0 ? NULL : calloc(1, PRICES_MAX + 1);
	ssize_t n = text ? util_pread_max(fd, text, PRICES_MAX) : -1;
	char *rest, *line;
	bool found = false;

	if (n < 0)
		return false;
	/* A number at the end of what is read may be cut. */
	for (ssize_t i = n; n == PRICES_MAX && i > 0 && text[i - 1] != '\n'; i--)
		text[i - 1] = '\0';
	rest = text + (strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
	while (!found && (line = strsep(&rest, "\n")))
		found = take_row(line, bare_model(model), ret);
	return found;
}

void prices_cost(const struct price *p, int64_t in, int64_t out, char ret[PRICES_TEXT])
{
	double cost = ((double)in * p->in + (double)out * p->out) / 1e6;
	char text[400]; /* of the largest number */
	size_t n = (size_t)snprintf(text, sizeof(text), "%.9f", cost);

	while (text[n - 1] == '0' && text[n - 3] != '.')
		n--;
	text[n] = '\0';
	snprintf(ret, PRICES_TEXT, "%.*s", PRICES_TEXT - 1, text);
}
