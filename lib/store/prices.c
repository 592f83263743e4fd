#include "store/prices.h"

#include <errno.h>
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

enum row { ROW_NOTHING, ROW_PRICE, ROW_BAD };

/* Words where prices would be: the first row only names its columns. */
static bool is_heading(const char *in, const char *out)
{
	static const char digits[] = "0123456789";

	return in && out && !strpbrk(in, digits) && !strpbrk(out, digits);
}

static enum row take_row(char *line, bool first, const char **ret_name, struct price *ret)
{
	static const char space[] = " \t\r";
	char *rest = NULL;
	const char *name = strtok_r(line, space, &rest);
	const char *in = name ? strtok_r(NULL, space, &rest) : NULL;
	const char *out = in ? strtok_r(NULL, space, &rest) : NULL;

	if (!name || *name == '#' || (first && is_heading(in, out)))
		return ROW_NOTHING;
	if (!take_price(in, &ret->in) || !take_price(out, &ret->out))
		return ROW_BAD;
	*ret_name = bare_model(name);
	return ROW_PRICE;
}

/* The file's text, malloc'ed. */
static int read_prices(const char *path, char **ret)
{
	/* The user's own: a link is as good as a file. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = fd < 0 ? NULL : calloc(1, PRICES_MAX + 1);

	if (fd < 0)
		return -errno;
	if (!text)
		return -ENOMEM;
	ssize_t n = util_pread_max(fd, text, PRICES_MAX);
	if (n < 0)
		return (int)n;
	/* A number at the end of what is read may be cut. */
	for (ssize_t i = n; n == PRICES_MAX && i > 0 && text[i - 1] != '\n'; i--)
		text[i - 1] = '\0';
	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		memmove(text, text + 3, strlen(text + 3) + 1);
	*ret = STEAL_PTR(text);
	return 0;
}

/* The first price of the model, and the first bad line (0: none). */
static int search_prices(
	const char *path, const char *model, struct price *ret, unsigned *ret_bad)
{
	_cleanup_free_ char *text = NULL;
	int err = path && model ? read_prices(path, &text) : -ENOENT;
	char *rest = text, *line;
	bool found = false, first = true;

	if (err)
		return err;
	for (unsigned number = 1; (line = strsep(&rest, "\n")); number++) {
		bool blank = !line[strspn(line, " \t\r")] || *line == '#';
		const char *name = NULL;
		struct price p;
		enum row row = take_row(line, first, &name, &p);

		first &= blank;
		if (row == ROW_BAD && !*ret_bad)
			*ret_bad = number;
		if (row != ROW_PRICE || found || strcmp(name, bare_model(model)) != 0)
			continue;
		*ret = p;
		found = true;
	}
	return found ? 0 : -ENOENT;
}

bool prices_find(const char *path, const char *model, struct price *ret)
{
	unsigned bad = 0;

	return search_prices(path, model, ret, &bad) == 0;
}

int prices_look(const char *path, const char *model, struct price *ret,
	unsigned *ret_line)
{
	unsigned bad = 0;
	int err = search_prices(path, model, ret, &bad);

	if (!bad)
		return err;
	*ret_line = bad;
	return -EBADMSG;
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
