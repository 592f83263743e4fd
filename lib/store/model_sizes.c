#include "store/model_sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SIZES "sizes"

static bool size_parse(const char *line, struct model_size *m)
{
	int n = 0;

	*m = (struct model_size){0};
	return sscanf(line, "%127s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
			    "%n",
		       m->model, &m->taken, &m->taken_requests, &m->refused,
		       &m->refused_requests, &m->refused_at, &n) == 6 &&
	       !line[n] && m->taken >= 0 && m->refused >= 0;
}

int model_sizes_read(struct store *s, struct model_size **ret, size_t *ret_n)
{
	_cleanup_free_ struct model_size *all = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int err = util_read_file(s->state, SIZES, 1 << 20, &text, NULL);

	if (util_reading(err) == READ_FAILED)
		return err;
	all = calloc(MODEL_SIZES_MAX, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (char *rest = err ? NULL : text, *line; n < MODEL_SIZES_MAX &&
	     (line = strsep(&rest, "\n"));)
		n += size_parse(line, &all[n]);
	*ret = STEAL_PTR(all);
	*ret_n = n;
	return 0;
}

int model_sizes_write(struct store *s, const struct model_size *all, size_t n)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
			   "\n",
			all[i].model, all[i].taken, all[i].taken_requests,
			all[i].doubted ? 0 : all[i].refused,
			all[i].doubted ? 0 : all[i].refused_requests,
			all[i].refused_at);
	int err = fclose(f) ? -ENOMEM : 0;
	if (!err)
		err = util_write_file(s->state, SIZES, text, len, true);
	free(text);
	return err;
}
