/* Names both ways. Up to the first newline: an id's tail; then a display name, and the
 * same bytes once more as a directory name that a person has made.
 *
 * Checked: what comes out is always one component of a path; decoding brings back what
 * was not cut, so that no two display names make one directory; what a person typed is
 * sent as something that makes the same directory, or as it is. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/dir_names.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

static void check_component(const char *name)
{
	size_t n = strlen(name);

	check(n > 0 && n < NAME_SIZE, "length");
	check(util_utf8_valid(name, n), "UTF-8");
	check(name[0] != '.', "no leading dot");
	for (const unsigned char *s = (const unsigned char *)name; *s; s++)
		check(*s >= 0x20 && *s != 0x7f && *s != '/' &&
				!(*s == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f),
			"no slash, no control character");
}

static void try_encode(const char *display, const char *tail)
{
	char name[NAME_SIZE], marked[NAME_SIZE], back[NAME_SIZE];
	size_t n = strlen(tail);

	name_encode(display, tail, name);
	check_component(name);
	name_mark(name, tail, marked);
	check_component(marked);
	check(strlen(marked) > n && marked[strlen(marked) - n - 1] == '~' &&
			strcmp(marked + strlen(marked) - n, tail) == 0,
		"marked by its tail");
	if (!*display) {
		check(strcmp(name, tail) == 0, "an empty name is the tail");
		return;
	}
	check(name_decode(name, back) == 0, "what was made can be decoded");
	if (strcmp(back, display) != 0)
		check(strlen(name) > n && name[strlen(name) - n - 1] == '~' &&
				strlen(display) + n >= NAME_SIZE / 3 - 2,
			"only a cut name is not the same again");
}

static void try_decode(const char *name)
{
	char display[NAME_SIZE], again[NAME_SIZE];
	int err = name_decode(name, display);

	if (err) {
		check(err == -EINVAL || err == -ENAMETOOLONG || err == -EILSEQ || err == -EPERM,
			"errno");
		return;
	}
	check(util_utf8_valid(display, strlen(display)), "UTF-8 is sent");
	name_encode(display, "", again);
	check(strcmp(again, name) == 0 || strcmp(display, name) == 0,
		"the same directory, or as it is");
}

static void try_part(const char *part, size_t n)
{
	char *out = malloc(NAME_PART_SIZE(n));
	size_t len;

	if (!out)
		return;
	len = name_encode_part(part, n, out);
	check(len < NAME_PART_SIZE(n) && strlen(out) == len && len > 0, "length of a part");
	check(!strchr(out, '/') && out[0] != '.', "a part is no path");
	check(name_cut(out, len, 100) <= 100, "a cut part fits");
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	char tail[129] = "x";
	size_t t = 0;

	for (; t < n && data[t] != '\n' && t < sizeof tail - 1; t++)
		tail[t] = letters[data[t] % (sizeof letters - 1)];
	tail[t ? t : 1] = '\0';
	t += t < n;
	char *text = strndup((const char *)data + t, n - t);
	if (!text)
		return 0;
	if (util_utf8_valid(text, strlen(text))) {
		try_encode(text, tail);
		try_part(text, strlen(text));
	}
	try_decode(text);
	free(text);
	return 0;
}
