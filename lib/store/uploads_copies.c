/* All uploads of one content: which of them can be given out, and where on this disk
 * the content lies. A retry is uploaded anew, so a chain of retries is many entries and
 * one directory that has the files. */
#include "store/uploads_private.h"

#include <errno.h>
#include <search.h>
#include <string.h>

/* Of one SHA-256. */
struct body {
	char sha256[65];
	struct known *entries; /* the newest first */
};

static int by_sha256(const void *a, const void *b)
{
	return strcmp(
		((const struct body *)a)->sha256, ((const struct body *)b)->sha256);
}

static struct body *find_body(struct uploads *r, const char *sha256)
{
	struct body key, **found;

	snprintf(key.sha256, sizeof(key.sha256), "%s", sha256);
	found = tfind(&key, &r->by_sha256, by_sha256);
	return found ? *found : NULL;
}

static struct body *make_body(struct uploads *r, const char *sha256)
{
	struct body *b = find_body(r, sha256);

	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	snprintf(b->sha256, sizeof(b->sha256), "%s", sha256);
	if (tsearch(b, &r->by_sha256, by_sha256))
		return b;
	free(b);
	return NULL;
}

int uploads_join_body(struct uploads *r, struct known *e)
{
	struct body *b = make_body(r, e->sha256);

	if (!b)
		return -ENOMEM;
	e->body = b;
	e->same_next = b->entries;
	e->same_prev = &b->entries;
	if (e->same_next)
		e->same_next->same_prev = &e->same_next;
	b->entries = e;
	return 0;
}

void uploads_leave_body(struct uploads *r, struct known *e)
{
	struct body *b = e->body;

	*e->same_prev = e->same_next;
	if (e->same_next)
		e->same_next->same_prev = e->same_prev;
	e->body = NULL;
	if (b->entries)
		return;
	tdelete(b, &r->by_sha256, by_sha256);
	free(b);
}

/* Of entries with the same bytes: whether it can be used in place of c. */
static bool has_content(const struct known *e, const struct content *c)
{
	return !e->dead && !e->busy && strcmp(e->mime, c->mime) == 0 &&
	       strcmp(e->origin, c->origin) == 0 &&
	       strcmp(e->key_print, c->key_print) == 0;
}

static bool is_held_by(const struct known *e, const struct user *u)
{
	const struct ref *ref = e->refs;

	while (ref && (ref->user != u || !ref->held))
		ref = ref->next;
	return ref;
}

struct known *uploads_find_content(
	struct uploads *r, const struct content *c, const char *lid, time_t until)
{
	struct body *b = find_body(r, c->sha256);
	const struct user *u = uploads_find_user(r, lid);
	struct known *best = NULL;

	for (struct known *e = b ? b->entries : NULL; e; e = e->same_next) {
		if (!has_content(e, c) || e->expires < until)
			continue;
		if (u && (best || e->same_next) && is_held_by(e, u))
			return e;
		if (!best || e->expires > best->expires)
			best = e;
	}
	return best;
}

bool uploads_is_used(const struct known *e)
{
	const struct known *same = e->body->entries;

	while (same && !same->refs)
		same = same->same_next;
	return same != NULL;
}

static void put_copies(FILE *f, const struct known *e)
{
	for (const struct ref *ref = e->refs; ref; ref = ref->next)
		if (*ref->name)
			fprintf(f, "%s %s\n", ref->user->lid, ref->name);
}

char *uploads_copies(const struct known *e)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	put_copies(f, e);
	for (const struct known *same = e->body->entries; same; same = same->same_next)
		if (same != e)
			put_copies(f, same);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

void uploads_hand_on(struct uploads *r, struct known *e)
{
	struct known *heir = e->body->entries == e ? e->same_next : e->body->entries;

	for (struct ref *ref = e->refs; ref && heir; ref = ref->next)
		if (*ref->name)
			/* Without memory one copy is not found. */
			DROP(uploads_add_ref(
				r, heir, ref->user->lid, ref->name, false));
}
