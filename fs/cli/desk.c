#include "cli/desk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/turns.h"
#include "util/util.h"

int desk_open(const struct cli_place *place, struct desk **ret)
{
	_cleanup_free_ char *mount = NULL, *why = NULL;
	struct gb_client *gb = NULL;
	int err = turns_open(place, &gb, &mount, &why);

	if (err == -EREMOTE)
		return desk_mounted_new(mount, ret);
	if (!err && why)
		cli_say("warning: %s", why);
	if (err && err != -ENOKEY && err != -EINTR)
		cli_say("%s", why ? why : strerror(-err));
	return err ? err : desk_direct_new(place, gb, ret);
}

void desk_close(struct desk *d)
{
	if (d)
		d->ops->close(d);
}

struct text {
	FILE *out;
};

static int to_file(void *arg, const char *bytes, size_t n)
{
	struct text *t = arg;

	return fwrite(bytes, 1, n, t->out) == n ? 0 : -ENOMEM;
}

int desk_text(struct desk *d, const char *name, const char *path, char **ret)
{
	char *text = NULL;
	size_t size = 0;
	struct text t = {open_memstream(&text, &size)};
	int err = t.out ? d->ops->read(d, name, path, to_file, &t) : -ENOMEM;

	if (t.out && fclose(t.out) && !err)
		err = -ENOMEM;
	if (err) {
		free(text);
		return err;
	}
	if (size && text[size - 1] == '\n')
		text[size - 1] = '\0';
	*ret = text;
	return 0;
}

long long desk_number(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, n) && line[n] == ' ')
			return strtoll(line + n, NULL, 10);
	}
	return -1;
}
