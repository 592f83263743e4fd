#include "cli/desk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/await.h"
#include "cli/turns.h"
#include "util/util.h"

#define STARTING 10.0 /* seconds that a mount has until it can be used */

static int pause_for_mount(const char *mount, double until)
{
	if (cli_stopped())
		return -EINTR;
	if (seconds_now() < until) {
		usleep(100000);
		return -EAGAIN;
	}
	cli_say("the state directory is in use by a mount on %s, which cannot be used from "
		"here",
		mount);
	return -EBUSY;
}

/* -EAGAIN: a mount has the state directory, and is starting or ending. */
static int enter(struct desk *d, double until)
{
	_cleanup_free_ char *mount = NULL, *why = NULL;
	struct gb_client *gb = NULL;
	int err = turns_open(d->place, -1, &gb, &mount, &why);

	if (err == -EREMOTE) {
		err = desk_mounted_enter(d, mount);
		return err == -EAGAIN ? pause_for_mount(mount, until) : err;
	}
	if (!err && why)
		cli_say("warning: %s", why);
	if (err && err != -ENOKEY && err != -EINTR)
		cli_say("%s", why ? why : strerror(-err));
	return err ? err : desk_direct_enter(d, gb);
}

static int enter_patiently(struct desk *d)
{
	double until = seconds_now() + STARTING;
	int err;

	do
		err = enter(d, until);
	while (err == -EAGAIN);
	return err;
}

int desk_open(const struct cli_place *place, struct desk *ret)
{
	*ret = (struct desk){.place = place};
	return enter_patiently(ret);
}

void desk_close(struct desk *d)
{
	if (d->ops)
		d->ops->close(d);
	d->ops = NULL;
	d->way = NULL;
}

int desk_again(struct desk *d)
{
	desk_close(d);
	return enter_patiently(d);
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

const char *desk_value(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, n) && line[n] == ' ')
			return line + n + 1;
	}
	return NULL;
}

long long desk_number(const char *text, const char *name)
{
	const char *value = desk_value(text, name);

	return value ? strtoll(value, NULL, 10) : -1;
}

int desk_row(struct desk *d, const char *name, char **ret_table, char **ret_heads,
	char **ret_row)
{
	_cleanup_free_ char *table = NULL;
	char *rest, *row;
	size_t n = strlen(name);
	int err = desk_text(d, ".batchfs", "jobs", &table);

	rest = table;
	*ret_heads = err ? NULL : strsep(&rest, "\n");
	while (!err && (row = strsep(&rest, "\n")))
		if (!strncmp(row, name, n) && row[n] == '\t') {
			*ret_row = row;
			*ret_table = STEAL_PTR(table);
			return 0;
		}
	return err ? err : -ENOENT;
}

int desk_column(struct desk *d, const char *name, const char *heading, char **ret)
{
	_cleanup_free_ char *table = NULL;
	char *heads, *row, *head, *cell;
	int err = desk_row(d, name, &table, &heads, &row);

	while (!err && (head = strsep(&heads, "\t")) && (cell = strsep(&row, "\t")))
		if (!strcmp(head, heading))
			return (*ret = strdup(cell)) ? 0 : -ENOMEM;
	return err ? err : -ENOENT;
}

bool desk_offers(struct desk *d, const char *name, const char *verb)
{
	_cleanup_free_ char *verbs = NULL;
	size_t n = strlen(verb);
	bool found = false;

	if (desk_text(d, name, "ctl", &verbs))
		return false;
	for (const char *p = verbs; !found && p; p = strchr(p, '\n')) {
		p += *p == '\n';
		found = !strncmp(p, verb, n) && (p[n] == '\n' || !p[n]);
	}
	return found;
}
