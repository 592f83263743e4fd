#include "cli/wording.h"

#include <string.h>

#include "util/util.h"

/* Of several that fit the first counts. %: the job's name, as a shell takes it. */
static const struct phrase {
	const char *says, *means;
} phrases[] = {
	{"echo NAME > model, then: echo submit > ctl",
		"the same run or submit with -m NAME"},
	{"echo NAME > model", "the same run or submit with -m NAME"},
	{"echo auto > split, then: echo submit > ctl",
		"the same run or submit with --split auto"},
	{"Fix these lines and write the file again:",
		"Mend these lines, then: batchfs rm %, and the same command again:"},
	{"Fix what is named below, then: echo submit > ctl",
		"Mend what is named below, then: batchfs rm %, and the same command again"},
	{"Write the file again or remove it", "The same command again writes it"},
	{"write it under another name here, and mv it to requests.jsonl",
		"the same command again"},
	{"rename the directory (mv), then: echo submit > ctl", "choose another NAME"},
	{"go into inputs.txt", "go into a file, then: batchfs rm %, and run with --inputs FILE"},
	{"Make room in state_dir,",
		"Make room in state_dir (batchfs status has its path),"},
	{".batchfs/models", "batchfs models"},
	{".batchfs/status", "batchfs status"},
	{"try rmdir again", "try again: batchfs rm %"},
	{"Try rmdir again", "Try again: batchfs rm %"},
	{"rmdir", "batchfs rm %"},
	{"Mount with that key again to send it", "Use that key to send it"},
	{"Mount with that key", "Use that key"},
	{", mount again, then:", ", then:"},
};

static bool is_plain(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_.%+=:@,-";

	return name[strspn(name, plain)] == '\0' && *name != '-';
}

/* As a shell takes it: one word. */
static void put_name(FILE *out, const char *name)
{
	if (is_plain(name)) {
		fputs(name, out);
		return;
	}
	fputs(*name == '-' ? "-- '" : "'", out);
	for (; *name; name++)
		if (*name == '\'')
			fputs("'\\''", out);
		else
			fputc(*name, out);
	fputc('\'', out);
}

static void put_phrase(FILE *out, const char *means, const char *name)
{
	for (; *means; means++)
		if (*means == '%')
			put_name(out, name);
		else
			fputc(*means, out);
}

/* How much of text is `echo VERB > ctl`, which is put in other words; 0: nothing. */
static size_t put_ctl(FILE *out, const char *text, const char *name)
{
	static const char begin[] = "echo ", end[] = " > ctl";
	const char *verb = text + strlen(begin);
	size_t n;

	if (strncmp(text, begin, strlen(begin)) != 0)
		return 0;
	n = strcspn(verb, ">\n");
	if (n < 2 || strncmp(verb + n - 1, end, strlen(end)) != 0)
		return 0;
	fputs("batchfs ctl ", out);
	put_name(out, name);
	fprintf(out, " %.*s", (int)n - 1, verb);
	return strlen(begin) + n - 1 + strlen(end);
}

static size_t put_next(FILE *out, const char *text, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(phrases); i++) {
		n = strlen(phrases[i].says);
		if (strncmp(text, phrases[i].says, n) != 0)
			continue;
		put_phrase(out, phrases[i].means, name);
		return n;
	}
	if ((n = put_ctl(out, text, name)))
		return n;
	fputc(*text, out);
	return 1;
}

char *wording(const char *text, const char *name)
{
	char *said = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&said, &size);

	if (!out)
		return NULL;
	while (*text)
		text += put_next(out, text, name);
	if (!fclose(out))
		return said;
	free(said);
	return NULL;
}
