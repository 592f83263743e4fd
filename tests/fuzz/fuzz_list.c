/* Pages of the lists, of jobs and of models, of any bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "provider/gemini/parse.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

static void jobs(const char *text, size_t n)
{
	struct remote_page p;
	int r = gemini_page_parse(text, n, "asked", &p);

	check(r == 0 || r == -EPROTO, "error of jobs");
	if (r < 0)
		return;
	for (size_t i = 0; i < p.n; i++)
		check(util_id_valid(p.batches[i].id, "batches/"), "id");
	check(!p.next || (*p.next && strcmp(p.next, "asked") != 0), "token");
	remote_page_clear(&p);
}

static void check_name(const char *name)
{
	check(*name && !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					  "0123456789_.-")],
		"name");
}

static void models(const char *text, size_t n)
{
	struct remote_models all = {0};
	char *next = NULL;
	int r = gemini_models_parse(text, n, &all, &next);

	check(r == 0 || r == -EPROTO, "error of models");
	for (size_t i = 0; i < all.n; i++)
		check_name(all.list[i].name);
	remote_models_clear(&all);
	free(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	jobs((const char *)data, n);
	models((const char *)data, n);
	return 0;
}
