#include "store/uploads_private.h"
#include "provider/all/ids.h"

#include <errno.h>
#include <search.h>
#include <string.h>

enum { MIME_MAX = 120, URI_MAX = 512 };

/* ---- what is believed ------------------------------------------------------------ */

bool uploads_mime_valid(const char *mime)
{
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789/+-._;= ";

	return mime && strchr(mime, '/') && strlen(mime) <= MIME_MAX &&
	       strspn(mime, chars) == strlen(mime);
}

bool uploads_uri_valid(const char *uri, const char *file, const char *origin)
{
	size_t n = strlen(uri), f = file ? strlen(file) : 0, o = strlen(origin);
	bool home = strncmp(uri, origin, o) == 0 && uri[o] == '/';

	if (!file || !remote_id_valid(REMOTE_FILE, file) || n > URI_MAX || n <= f ||
		(!home && strncmp(uri, "https://", 8) != 0))
		return false;
	for (const char *p = uri; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("\"\\<>^`{|}", *p))
			return false;
	return uri[n - f - 1] == '/' && strcmp(uri + n - f, file) == 0;
}

bool uploads_is_hex(const char *text, size_t n)
{
	return text && strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

void placed_clear(struct placed *p)
{
	free(p->file);
	free(p->uri);
	free(p->mime);
	*p = (struct placed){0};
}

/* ---- memory ------------------------------------------------------------------------
 */

static int by_file(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->file, ((const struct known *)b)->file);
}

static int by_lid(const void *a, const void *b)
{
	return strcmp(((const struct user *)a)->lid, ((const struct user *)b)->lid);
}

/* A few words that thousands of entries share. */
static const char *intern(struct uploads *r, const char *text)
{
	struct word *w = r->words;

	while (w && strcmp(w->text, text) != 0)
		w = w->next;
	if (w)
		return w->text;
	w = malloc(sizeof(*w) + strlen(text) + 1);
	if (!w)
		return NULL;
	strcpy(w->text, text);
	w->next = r->words;
	r->words = w;
	return w->text;
}

struct known *uploads_find_file(struct uploads *r, const char *file)
{
	struct known key = {.file = (char *)file};
	struct known **found = tfind(&key, &r->by_file, by_file);

	return found ? *found : NULL;
}

struct user *uploads_find_user(struct uploads *r, const char *lid)
{
	struct user key, **found;

	snprintf(key.lid, sizeof(key.lid), "%s", lid);
	found = tfind(&key, &r->by_lid, by_lid);
	return found ? *found : NULL;
}

static struct user *make_user(struct uploads *r, const char *lid)
{
	struct user *u = uploads_find_user(r, lid);

	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	snprintf(u->lid, sizeof(u->lid), "%s", lid);
	if (tsearch(u, &r->by_lid, by_lid))
		return u;
	free(u);
	return NULL;
}

static void set_held(struct ref *ref, bool held)
{
	ref->entry->held += held - ref->held;
	ref->user->held += held - ref->held;
	ref->held = held;
}

void uploads_drop_ref(struct ref *ref)
{
	set_held(ref, false);
	*ref->prev = ref->next;
	if (ref->next)
		ref->next->prev = ref->prev;
	*ref->user_prev = ref->user_next;
	if (ref->user_next)
		ref->user_next->user_prev = ref->user_prev;
	free(ref);
}

int uploads_add_ref(struct uploads *r, struct known *e, const char *lid,
	const char *name, bool held)
{
	struct user *u = make_user(r, lid);
	struct ref *ref = e->refs;

	if (!u)
		return -ENOMEM;
	while (ref && (ref->user != u || strcmp(ref->name, name) != 0))
		ref = ref->next;
	if (!ref) {
		ref = calloc(1, sizeof(*ref) + strlen(name) + 1);
		if (!ref)
			return -ENOMEM;
		ref->entry = e;
		ref->user = u;
		ref->next = e->refs;
		ref->prev = &e->refs;
		ref->user_next = u->refs;
		ref->user_prev = &u->refs;
		strcpy(ref->name, name);
		if (ref->next)
			ref->next->prev = &ref->next;
		if (ref->user_next)
			ref->user_next->user_prev = &ref->user_next;
		e->refs = u->refs = ref;
	}
	if (held)
		set_held(ref, true);
	return 0;
}

void uploads_drop(struct uploads *r, struct known *e)
{
	while (e->refs)
		uploads_drop_ref(e->refs);
	uploads_leave_body(r, e);
	if (uploads_find_file(r, e->file) == e)
		tdelete(e, &r->by_file, by_file);
	*e->prev = e->next;
	if (e->next)
		e->next->prev = e->prev;
	free(e->file);
	free(e->uri);
	free(e);
}

/* Into list and trees. */
static int link_entry(struct uploads *r, struct known *e)
{
	if (uploads_join_body(r, e))
		return -ENOMEM;
	if (!tsearch(e, &r->by_file, by_file)) {
		uploads_leave_body(r, e);
		return -ENOMEM;
	}
	e->next = r->entries;
	e->prev = &r->entries;
	if (e->next)
		e->next->prev = &e->next;
	r->entries = e;
	return 0;
}

static struct session **find_session(struct uploads *r, const struct content *c)
{
	struct session **at = &r->sessions;

	while (*at &&
		(strcmp((*at)->sha256, c->sha256) != 0 || (*at)->size != c->size ||
			strcmp((*at)->mime, c->mime) != 0 ||
			strcmp((*at)->origin, c->origin) != 0 ||
			strcmp((*at)->key_print, c->key_print) != 0))
		at = &(*at)->next;
	return at;
}

void uploads_drop_session(struct session **at)
{
	struct session *s = *at;

	if (!s)
		return;
	*at = s->next;
	explicit_bzero(s->url, strlen(s->url));
	free(s->url);
	free(s);
}

/* ---- what happens, in memory --------------------------------------------------------
 */

int uploads_apply_up(
	struct uploads *r, const struct content *c, const struct placed *p)
{
	struct known *old = uploads_find_file(r, p->file), *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	if (old)
		uploads_drop(r, old);
	uploads_drop_session(find_session(r, c));
	snprintf(e->sha256, sizeof(e->sha256), "%s", c->sha256);
	e->mime = intern(r, c->mime);
	e->api_mime = intern(r, p->mime);
	e->origin = intern(r, c->origin);
	e->key_print = intern(r, c->key_print);
	e->file = strdup(p->file);
	e->uri = strdup(p->uri);
	e->size = c->size;
	e->expires = p->expires;
	if (e->mime && e->api_mime && e->origin && e->key_print && e->file && e->uri &&
		link_entry(r, e) == 0)
		return 0;
	free(e->file);
	free(e->uri);
	free(e);
	return -ENOMEM;
}

int uploads_apply_session(
	struct uploads *r, const struct content *c, const char *url, time_t at)
{
	struct session *s;

	uploads_drop_session(find_session(r, c));
	if (!url)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	snprintf(s->sha256, sizeof(s->sha256), "%s", c->sha256);
	s->mime = intern(r, c->mime);
	s->origin = intern(r, c->origin);
	s->key_print = intern(r, c->key_print);
	s->size = c->size;
	s->at = at;
	s->url = strdup(url);
	if (!s->mime || !s->origin || !s->key_print || !s->url) {
		free(s->url);
		free(s);
		return -ENOMEM;
	}
	s->next = r->sessions;
	r->sessions = s;
	return 0;
}

void uploads_apply_end(struct user *u)
{
	for (struct ref *ref = u->refs; ref; ref = ref->user_next)
		set_held(ref, false);
}

void uploads_apply_forget(struct uploads *r, struct user *u)
{
	while (u->refs)
		uploads_drop_ref(u->refs);
	tdelete(u, &r->by_lid, by_lid);
	free(u);
}

void uploads_close(struct uploads *r)
{
	if (!r)
		return;
	while (r->entries)
		uploads_drop(r, r->entries);
	while (r->sessions)
		uploads_drop_session(&r->sessions);
	for (struct word *w = r->words, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	tdestroy(r->by_lid, free);
	util_closep(&r->fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* ---- entries
 * ------------------------------------------------------------------------------------
 */

/* Lock held: a reference, in memory and in the log. */
static int hold_upload(
	struct uploads *r, struct known *e, const char *lid, const char *name)
{
	int err = uploads_add_ref(r, e, lid, name, true);

	if (!err)
		uploads_find_user(r, lid)->claims++;
	return err ? err
		   : uploads_append_take(r, uploads_ref_json(e->file, lid, name));
}

int uploads_add(struct uploads *r, const struct content *c, const struct placed *p,
	const char *lid, const char *name)
{
	pthread_mutex_lock(&r->lock);
	int err = uploads_apply_up(r, c, p);
	if (!err)
		err = uploads_append_take(r, uploads_up_json(c, p));
	if (!err)
		err = hold_upload(r, uploads_find_file(r, p->file), lid, name);
	pthread_mutex_unlock(&r->lock);
	return err;
}

static int placed_copy(const struct known *e, struct placed *ret)
{
	struct placed p = {
		strdup(e->file), strdup(e->uri), strdup(e->api_mime), e->expires};

	if (!p.file || !p.uri || !p.mime) {
		placed_clear(&p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

int uploads_take(struct uploads *r, const struct content *c, time_t until,
	const char *lid, const char *name, struct placed *ret)
{
	struct placed p = {0};

	pthread_mutex_lock(&r->lock);
	struct known *e = uploads_find_content(r, c, lid, until);
	int err = e ? 0 : -ENOENT;
	if (!err)
		err = placed_copy(e, &p);
	if (!err)
		err = hold_upload(r, e, lid, name);
	pthread_mutex_unlock(&r->lock);
	if (err)
		placed_clear(&p);
	else
		*ret = p;
	return err;
}

/* Lock held. */
static struct known *find_uri(struct uploads *r, const char *uri)
{
	const char *slash = strrchr(uri, '/');
	char file[REMOTE_ID_SIZE];
	struct known *e = NULL;

	if (remote_id_from(REMOTE_FILE, slash ? slash + 1 : "", file))
		e = uploads_find_file(r, file);
	return e && strcmp(e->uri, uri) == 0 ? e : NULL;
}

int uploads_lookup(struct uploads *r, const char *uri, const char *origin,
	const char *key_print, char sha256[65], char **ret_mime, char **ret_copies,
	time_t *ret_until)
{
	int err = 0;

	pthread_mutex_lock(&r->lock);
	struct known *e = find_uri(r, uri);
	char *copies = e ? uploads_copies(e) : NULL, *mime = e ? strdup(e->mime) : NULL;
	if (!e)
		err = -ENOENT;
	else if (!copies || !mime)
		err = -ENOMEM;
	if (!err) {
		bool ours = strcmp(e->origin, origin) == 0 &&
			    strcmp(e->key_print, key_print) == 0;

		memcpy(sha256, e->sha256, sizeof(e->sha256));
		*ret_until = ours && !e->dead && !e->busy ? e->expires : 0;
		*ret_mime = STEAL_PTR(mime);
		*ret_copies = STEAL_PTR(copies);
	}
	pthread_mutex_unlock(&r->lock);
	free(mime);
	free(copies);
	return err;
}

int uploads_hold(
	struct uploads *r, const char *uri, const char *lid, const char *name)
{
	pthread_mutex_lock(&r->lock);
	struct known *e = find_uri(r, uri);
	int err = e && !e->dead && !e->busy ? hold_upload(r, e, lid, name) : -ENOENT;
	pthread_mutex_unlock(&r->lock);
	return err;
}

char *uploads_session(struct uploads *r, const struct content *c, time_t now)
{
	pthread_mutex_lock(&r->lock);
	struct session *s = *find_session(r, c);
	char *url = s && s->at > now - SESSION_LIFE ? strdup(s->url) : NULL;
	pthread_mutex_unlock(&r->lock);
	return url;
}

int uploads_keep_session(
	struct uploads *r, const struct content *c, const char *url, time_t now)
{
	pthread_mutex_lock(&r->lock);
	bool void_already = !url && !*find_session(r, c);
	int err = void_already ? 0 : uploads_apply_session(r, c, url, now);
	if (!err && !void_already)
		err = uploads_append_take(r, uploads_session_json(c, url, now));
	pthread_mutex_unlock(&r->lock);
	return err;
}

/* ---- ends
 * ------------------------------------------------------------------------------------------
 */

/* Lock held. */
static void end_user(struct uploads *r, struct user *u)
{
	if (!u || !u->held)
		return;
	uploads_apply_end(u);
	/* An upload that cannot be noted is held until it expires. */
	DROP(uploads_append_take(
		r, json_pack("{ss ss}", "op", "end", "lid", u->lid)));
}

void uploads_end(struct uploads *r, const char *lid)
{
	pthread_mutex_lock(&r->lock);
	end_user(r, uploads_find_user(r, lid));
	pthread_mutex_unlock(&r->lock);
}

uint64_t uploads_claims(struct uploads *r, const char *lid)
{
	pthread_mutex_lock(&r->lock);
	struct user *u = uploads_find_user(r, lid);
	uint64_t claims = u ? u->claims : 0;
	pthread_mutex_unlock(&r->lock);
	return claims;
}

void uploads_end_since(struct uploads *r, const char *lid, uint64_t claims)
{
	pthread_mutex_lock(&r->lock);
	struct user *u = uploads_find_user(r, lid);
	if (u && u->claims == claims)
		end_user(r, u);
	pthread_mutex_unlock(&r->lock);
}

void uploads_forget(struct uploads *r, const char *lid)
{
	pthread_mutex_lock(&r->lock);
	struct user *u = uploads_find_user(r, lid);
	if (u) {
		uploads_apply_forget(r, u);
		/* A start forgets whom it does not find. */
		DROP(uploads_append_take(
			r, json_pack("{ss ss}", "op", "forget", "lid", lid)));
	}
	pthread_mutex_unlock(&r->lock);
}

bool uploads_holds(struct uploads *r, const char *lid)
{
	pthread_mutex_lock(&r->lock);
	struct user *u = uploads_find_user(r, lid);
	bool holds = u && u->held;
	pthread_mutex_unlock(&r->lock);
	return holds;
}

char *uploads_next_idle(
	struct uploads *r, const char *origin, const char *key_print, time_t now)
{
	char *file = NULL;

	pthread_mutex_lock(&r->lock);
	struct known *e = r->entries;
	while (e && (e->held || e->dead || e->busy || e->expires <= now ||
			    strcmp(e->origin, origin) != 0 ||
			    strcmp(e->key_print, key_print) != 0))
		e = e->next;
	file = e ? strdup(e->file) : NULL;
	if (file)
		e->busy = true;
	pthread_mutex_unlock(&r->lock);
	return file;
}

/* Lock held. */
static void bury(struct uploads *r, struct known *e)
{
	e->dead = true;
	/* The API refuses it, should a start take it for alive, and then it is buried
	 * again. */
	DROP(uploads_append_take(
		r, json_pack("{ss ss}", "op", "gone", "file", e->file)));
	if (!uploads_is_used(e))
		uploads_drop(r, e);
}

void uploads_deleted(struct uploads *r, const char *file, bool gone)
{
	pthread_mutex_lock(&r->lock);
	struct known *e = uploads_find_file(r, file);
	if (e)
		e->busy = false;
	if (e && gone)
		bury(r, e);
	pthread_mutex_unlock(&r->lock);
}

unsigned uploads_doubt(struct uploads *r, const char *lid)
{
	unsigned n = 0;

	pthread_mutex_lock(&r->lock);
	struct user *u = uploads_find_user(r, lid);
	for (struct ref *ref = u ? u->refs : NULL; ref; ref = ref->user_next) {
		if (!ref->held || ref->entry->dead)
			continue;
		bury(r, ref->entry);
		n++;
	}
	pthread_mutex_unlock(&r->lock);
	return n;
}

int uploads_sync(struct uploads *r)
{
	pthread_mutex_lock(&r->lock);
	_cleanup_close_ int fd = r->fd < 0 ? -1 : dup(r->fd);
	pthread_mutex_unlock(&r->lock);
	return fd >= 0 && fdatasync(fd) < 0 ? -errno : 0;
}
