/* The table that a schema is. */
#include "base/json_fit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` entries behind the first n. Nearly always there is some already, and
 * reallocarray has nothing to do. */
static int fit_grow(void *array, uint32_t n, size_t more, size_t each)
{
	void **at = array, *bigger;
	size_t room = 16, want = n + more;

	if (want > UINT32_MAX / 2)
		return -ENOMEM;
	while (room < want)
		room *= 2;
	bigger = reallocarray(*at, room, each);
	if (!bigger)
		return -ENOMEM;
	*at = bigger;
	return 0;
}

struct fit_schema *fit_schema_new(void)
{
	struct fit_schema *s = calloc(1, sizeof *s);
	uint32_t none;

	if (s && fit_add_node(s, &none)) {
		fit_schema_free(s);
		return NULL;
	}
	return s;
}

void fit_schema_free(struct fit_schema *s)
{
	if (!s)
		return;
	free(s->nodes);
	free(s->properties);
	free(s->values);
	free(s->links);
	free(s->text);
	free(s);
}

int fit_add_node(struct fit_schema *s, uint32_t *ret)
{
	static const struct fit_range any = {0, UINT64_MAX};

	if (fit_grow(&s->nodes, s->n_nodes, 1, sizeof *s->nodes))
		return -ENOMEM;
	s->nodes[s->n_nodes] = (struct fit_node){.kinds = FIT_ANY,
		.minimum = -INFINITY,
		.maximum = INFINITY,
		.length = any,
		.count = any,
		.members = any};
	*ret = s->n_nodes++;
	return 0;
}

/* ---- words ---------------------------------------------------------------------- */

static int compare_words(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return a_len ? memcmp(a, b, a_len) : 0;
}

static int by_name(const void *a, const void *b)
{
	const struct fit_named *x = a, *y = b;

	return compare_words(x->name, x->len, y->name, y->len);
}

static int add_word(
	struct fit_schema *s, const struct fit_named *from, struct fit_word *ret)
{
	if (from->len > FIT_WORD_MAX)
		return -EFBIG;
	if (fit_grow(&s->text, s->n_text, from->len, 1))
		return -ENOMEM;
	if (from->len)
		memcpy(s->text + s->n_text, from->name, from->len);
	*ret = (struct fit_word){s->n_text, (uint32_t)from->len};
	s->n_text += (uint32_t)from->len;
	return 0;
}

int fit_add_properties(
	struct fit_schema *s, uint32_t node, struct fit_named *list, size_t n)
{
	int err = fit_grow(&s->properties, s->n_properties, n, sizeof *s->properties);
	uint32_t required = 0;

	if (n)
		qsort(list, n, sizeof *list, by_name);
	for (size_t i = 0; !err && i < n; i++) {
		struct fit_property *p = &s->properties[s->n_properties + i];

		*p = (struct fit_property){.node = list[i].node,
			.required = list[i].required,
			.unlisted = list[i].unlisted};
		err = add_word(s, &list[i], &p->name);
		required += p->required;
	}
	if (err)
		return err;
	s->nodes[node].properties = (struct fit_span){s->n_properties, (uint32_t)n};
	s->nodes[node].required = required;
	s->n_properties += (uint32_t)n;
	return 0;
}

int fit_add_values(
	struct fit_schema *s, uint32_t node, struct fit_named *list, size_t n)
{
	int err = fit_grow(&s->values, s->n_values, n, sizeof *s->values);

	if (n)
		qsort(list, n, sizeof *list, by_name);
	for (size_t i = 0; !err && i < n; i++)
		err = add_word(s, &list[i], &s->values[s->n_values + i]);
	if (err)
		return err;
	s->nodes[node].values = (struct fit_span){s->n_values, (uint32_t)n};
	s->n_values += (uint32_t)n;
	return 0;
}

int fit_add_links(
	struct fit_schema *s, const uint32_t *nodes, size_t n, struct fit_span *ret)
{
	if (fit_grow(&s->links, s->n_links, n, sizeof *s->links))
		return -ENOMEM;
	if (n)
		memcpy(s->links + s->n_links, nodes, n * sizeof *nodes);
	*ret = (struct fit_span){s->n_links, (uint32_t)n};
	s->n_links += (uint32_t)n;
	return 0;
}

/* ---- finding -------------------------------------------------------------------- */

static int64_t find_word(const struct fit_schema *s, const void *first, size_t each,
	uint32_t n, const char *text, size_t len)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct fit_word *w =
			(const void *)((const char *)first + middle * each);
		int order = compare_words(text, len, s->text + w->at, w->len);

		if (order == 0)
			return middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

int64_t fit_find_property(const struct fit_schema *s, const struct fit_node *node,
	const char *name, size_t len)
{
	const struct fit_span *in = &node->properties;

	return in->n ? find_word(s, s->properties + in->first, sizeof *s->properties,
			       in->n, name, len)
		     : -1;
}

int64_t fit_find_value(const struct fit_schema *s, const struct fit_node *node,
	const char *text, size_t len)
{
	const struct fit_span *in = &node->values;

	return in->n ? find_word(s, s->values + in->first, sizeof *s->values, in->n,
			       text, len)
		     : -1;
}
