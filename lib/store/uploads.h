/*
 * Which contents are at the API as files that requests refer to, and which jobs need
 * them.
 *
 * STATE/attachments is a log: a version, then lines of JSON, each with its CRC-32C
 * before it, appended as things happen, and rewritten atomically when the registry is
 * opened and some lines can be left out. Lost or damaged lines cost an upload, no more;
 * a damaged file is moved to aside/, and its good lines stay.
 *
 *   entry      a content (SHA-256 and MIME type) that was uploaded under an origin and
 *              a key: file, URI, size, expiry
 *   reference  a local job (LID) whose lines use the entry, and the name of the local
 *              copy in its files/. It holds the entry until the job has ended
 *              (uploads_end). Afterwards it only says where the copy is (until
 *              uploads_forget), also if that is in the trash
 *   session    an upload that was begun, so that the next start can resume it
 *
 * An entry that nobody holds is to be deleted at the API (uploads_next_idle). Deleted
 * and expired entries are remembered as long as a local copy of their content may be
 * needed again, at most 30 days. Each of them leads to all copies of its content. All
 * times are by the server's clock (uploads_expire).
 *
 * Any thread; one lock of its own, held over appends to the log. Never call with
 * client.lock held.
 */
#ifndef GB_REGISTRY_H
#define GB_REGISTRY_H

#include "base/util.h"

#include "store/state_dir.h"

#include <time.h>

struct uploads;

/* What identifies an upload. Borrowed strings. */
struct content {
	const char *sha256; /* 64 hex digits */
	const char *mime;   /* as libmagic found it, before the API named it */
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

/* The URI for request lines, as the API gave it: https, or below origin. It ends in
 * /files/ID of file and needs no escape in JSON. */
bool uploads_uri_valid(const char *uri, const char *file, const char *origin);
bool uploads_mime_valid(const char *mime);

/* lid_known(arg, lid): 1: the job still exists; 0: it does not, and its references are
 * dropped; or the errno if that is unknown. *ret_damaged: something was moved to
 * aside/. */
_must_check_ int uploads_open(struct store *s,
	int (*lid_known)(void *arg, const char *lid), void *arg, struct uploads **ret,
	bool *ret_damaged);
void uploads_close(struct uploads *r);

/* One upload a content at a time: who is to upload something takes the turn, and ends it
 * when it is there (uploads_add) or has failed. The turn is the caller's, and in memory
 * alone. false: another has it; look again later whether the content is there, or the turn
 * is free. */
struct uploads_turn {
	struct content content; /* set before; what it points to stays until the end */
	struct uploads_turn *next;
};
_must_check_ bool uploads_turn_take(struct uploads *r, struct uploads_turn *t);
void uploads_turn_end(struct uploads *r, struct uploads_turn *t);

/* An upload has ended: this content is at the API, and lid holds it. name: its copy in
 * files/, "" if it has none. */
_must_check_ int uploads_add(struct uploads *r, const struct content *c,
	const struct placed *p, const char *lid, const char *name);
/* If the content is at the API at least until `until`, lid holds it too: of several uploads
 * the one that lid holds already. -ENOENT: it is not. */
_must_check_ int uploads_take(struct uploads *r, const struct content *c, time_t until,
	const char *lid, const char *name, struct placed *ret);

/* A URI of ours: 0, and *ret_copies lists where local copies of its content may be,
 * "LID NAME" per line, whichever upload they belong to (malloc'ed, "" for none), sha256
 * its content, *ret_mime (malloc'ed) the MIME type it was uploaded as. *ret_until: how
 * long it lives for this origin and key; 0: not at all. -ENOENT: not ours. */
int uploads_lookup(struct uploads *r, const char *uri, const char *origin,
	const char *key_print, char sha256[65], char **ret_mime, char **ret_copies,
	time_t *ret_until);
/* lid holds the entry of a URI of ours. -ENOENT: it is gone. */
_must_check_ int uploads_hold(
	struct uploads *r, const char *uri, const char *lid, const char *name);

/* The session of an upload of this content that was begun, malloc'ed; NULL: none. With
 * url NULL the session is forgotten. */
char *uploads_session(struct uploads *r, const struct content *c, time_t now);
_must_check_ int uploads_keep_session(
	struct uploads *r, const struct content *c, const char *url, time_t now);

/* The job has ended, or its local copies are gone: it holds nothing any more. */
void uploads_end(struct uploads *r, const char *lid);
void uploads_forget(struct uploads *r, const char *lid);
/* The same as uploads_end for who decides that without a lock: how often something was
 * held for lid, which is asked before; and the end, if nothing more was held since. */
uint64_t uploads_claims(struct uploads *r, const char *lid);
void uploads_end_since(struct uploads *r, const char *lid, uint64_t claims);
/* Whether lid holds something. */
bool uploads_holds(struct uploads *r, const char *lid);

/* A file of this origin and key that nobody holds, malloc'ed; NULL: none. It is not
 * used for anybody until uploads_deleted says what became of it. */
char *uploads_next_idle(
	struct uploads *r, const char *origin, const char *key_print, time_t now);
/* Forget what has expired at the API. now must be a clock that the server has confirmed
 * (engine_server_clock). */
void uploads_expire(struct uploads *r, time_t now);
/* gone: it is not at the API any more; else it is still there and may be used again. */
void uploads_deleted(struct uploads *r, const char *file, bool gone);
/* The API says that it does not have what lid holds. None of these entries is used
 * again. Returns how many there were. */
unsigned uploads_doubt(struct uploads *r, const char *lid);

/* What was appended is on disk. */
_must_check_ int uploads_sync(struct uploads *r);

#endif
