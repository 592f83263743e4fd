/*
 * Which contents are at the API as files that requests refer to, and who needs them.
 *
 * STATE/attachments is a log: a version, then lines of JSON, each with its CRC-32C
 * before it, appended as things happen and written anew, atomically, when the registry
 * is opened with something to leave out. What is lost or damaged costs an upload, no
 * more: a file that was damaged goes to aside/, its good lines stay.
 *
 *   entry      a content (SHA-256 and MIME type) that was uploaded under an origin and
 * a key: file, URI, size, expiry reference  a local job (LID) whose lines use it, and
 * the name of the local copy below its files/. It holds the entry until the job has
 * ended (registry_end); afterwards it only tells where the copy is (until
 * registry_forget), also when that is in the trash. session    an upload that was begun, so that the next start can go
 * on with it
 *
 * An entry that nobody holds is to be deleted at the API (registry_next_idle). Deleted
 * and expired ones are remembered as long as a local copy of their content may be needed
 * again, at most 30 days. Any of them leads to all copies of its content. All times are by the server's clock (registry_expire).
 *
 * Any thread; one lock of its own, held over appends to the log. Never call with
 * client.lock held.
 */
#ifndef GB_REGISTRY_H
#define GB_REGISTRY_H

#include "base/util.h"

#include "store/state_dir.h"

#include <time.h>

struct registry;

/* What is the same upload. Borrowed strings. */
struct content {
	const char *sha256; /* 64 hex digits */
	const char *mime;   /* as it was found, before the API named it */
	const char *origin, *key_print;
	int64_t size;
};

/* Where it is at the API. */
struct placed {
	char *file; /* its id at the API */
	char *uri;
	char *mime; /* as the API calls it */
	time_t expires;
};
void placed_clear(struct placed *p);

/* A URI that stands on lines, as the API gave it: https, or below origin; ends in
 * /files/ID of file; nothing that would need an escape in JSON. */
bool registry_uri_valid(const char *uri, const char *file, const char *origin);
bool registry_mime_valid(const char *mime);

/* lid_known(arg, lid): 1: the job is still there; 0: it is not, and its references are
 * dropped; or why that cannot be told. *ret_damaged: something was moved to aside/. */
_must_check_ int registry_open(struct store *s, int (*lid_known)(void *arg, const char *lid),
	void *arg, struct registry **ret, bool *ret_damaged);
void registry_close(struct registry *r);

/* An upload has ended: this content is there, and lid holds it. name: its copy of it below
 * files/, "" where it has none. */
_must_check_ int registry_add(struct registry *r, const struct content *c, const struct placed *p,
	const char *lid, const char *name);
/* Is the content there at least until `until`? Then lid holds it, too. -ENOENT: no. */
_must_check_ int registry_take(struct registry *r, const struct content *c, time_t until,
	const char *lid, const char *name, struct placed *ret);

/* A URI of ours: 0, and *ret_copies has "LID NAME" a line of where local copies of its
 * content may be, whichever upload they are known by (malloc'ed, "" for none), sha256 its content, *ret_mime (malloc'ed) the MIME type it
 * was uploaded as. *ret_until: how long it lives for this origin and key; 0: not at
 * all. -ENOENT: not ours. */
int registry_lookup(struct registry *r, const char *uri, const char *origin,
	const char *key_print, char sha256[65], char **ret_mime, char **ret_copies,
	time_t *ret_until);
/* lid holds the entry of a URI of ours. -ENOENT: it is gone. */
_must_check_ int registry_hold(
	struct registry *r, const char *uri, const char *lid, const char *name);

/* The session an upload of this content was begun with, malloc'ed; NULL: none. url
 * NULL forgets it. */
char *registry_session(struct registry *r, const struct content *c, time_t now);
_must_check_ int registry_keep_session(
	struct registry *r, const struct content *c, const char *url, time_t now);

/* The job has ended, or its local copies have gone: it holds nothing any more. */
void registry_end(struct registry *r, const char *lid);
void registry_forget(struct registry *r, const char *lid);
/* Whether lid holds something. */
bool registry_holds(struct registry *r, const char *lid);

/* A file of this origin and key that nobody holds, malloc'ed; NULL: none. Nobody is
 * given it until registry_deleted says what became of it. */
char *registry_next_idle(
	struct registry *r, const char *origin, const char *key_print, time_t now);
/* Forget what the API has dropped by itself. Not by a guess: now is a clock that the
 * server has confirmed (engine_server_clock). */
void registry_expire(struct registry *r, time_t now);
/* gone: it is not at the API any more; else it is there, and may be given out again. */
void registry_deleted(struct registry *r, const char *file, bool gone);
/* The API says that it does not have what lid holds, whatever we believe: nothing of
 * that is given to anybody again. How many that were. */
unsigned registry_doubt(struct registry *r, const char *lid);

/* What was appended is on disk. */
_must_check_ int registry_sync(struct registry *r);

#endif
