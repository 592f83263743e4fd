/* Shared by uploads.c (what is known) and uploads_log.c (the log file). */
#ifndef GB_REGISTRY_PRIVATE_H
#define GB_REGISTRY_PRIVATE_H

#include "store/uploads.h"

#include <jansson.h>
#include <pthread.h>

enum {
	REMEMBERED = 30 * 86400, /* seconds after its end */
	SESSION_LIFE = 2 * 86400,
};

struct user;
struct body;

/* A job's need of an entry: in two lists. */
struct ref {
	struct known *entry;
	struct user *user;
	struct ref *next, **prev;           /* of the entry */
	struct ref *user_next, **user_prev; /* of the user */
	bool held;
	char name[];
};

struct user {
	char lid[LID_SIZE];
	struct ref *refs;
	unsigned held;
	uint64_t claims; /* how often something was held for it */
};

struct known {
	struct known *next, **prev;
	struct body *body; /* all entries of this content, in a list */
	struct known *same_next, **same_prev;
	char sha256[65];
	const char *mime, *api_mime, *origin, *key_print; /* interned */
	char *file, *uri;
	int64_t size;
	time_t expires;
	bool dead;   /* not at the API (any more) */
	bool busy;   /* being deleted */
	struct ref *refs;
	unsigned held;
};

struct session {
	struct session *next;
	char sha256[65];
	const char *mime, *origin, *key_print; /* interned */
	int64_t size;
	time_t at;
	char *url;
};

struct word {
	struct word *next;
	char text[];
};

struct uploads {
	pthread_mutex_t lock; /* guards all below, and appends */
	int dir;              /* STATE, borrowed */
	int fd;               /* the log; -1: it must be rewritten first */
	bool torn;            /* the last append did not end in a newline */
	struct known *entries;
	struct session *sessions;
	struct uploads_turn *turns;
	struct word *words;
	void *by_sha256, *by_file, *by_lid; /* tsearch */
};

/* uploads.c; the lock is held, or no other thread exists yet. */
bool uploads_is_hex(const char *text, size_t n);
struct known *uploads_find_file(struct uploads *r, const char *file);
struct user *uploads_find_user(struct uploads *r, const char *lid);
/* held false: only notes where a copy is; a reference that holds the entry keeps
 * holding it. */
_must_check_ int uploads_add_ref(struct uploads *r, struct known *e, const char *lid,
	const char *name, bool held);
void uploads_drop_ref(struct ref *ref);
void uploads_drop(struct uploads *r, struct known *e);
void uploads_drop_session(struct session **at);
int uploads_apply_up(
	struct uploads *r, const struct content *c, const struct placed *p);
int uploads_apply_session(
	struct uploads *r, const struct content *c, const char *url, time_t at);
void uploads_apply_end(struct user *u);
void uploads_apply_forget(struct uploads *r, struct user *u);

/* uploads_copies.c; the same. Add to and remove from the list of its content. */
_must_check_ int uploads_join_body(struct uploads *r, struct known *e);
void uploads_leave_body(struct uploads *r, struct known *e);
/* The entry that can be used, and lives until `until` at least: one that lid holds, else the
 * one that lives longest; or NULL. */
struct known *uploads_find_content(
	struct uploads *r, const struct content *c, const char *lid, time_t until);
/* Whether a job refers to this content, by whichever upload of it. */
bool uploads_is_used(const struct known *e);
/* Where the content may be, "LID NAME" per line, malloc'ed. */
char *uploads_copies(const struct known *e);
/* e is about to be dropped: another upload of its content takes over its copies. */
void uploads_hand_on(struct uploads *r, struct known *e);

/* uploads_log.c */
json_t *uploads_up_json(const struct content *c, const struct placed *p);
json_t *uploads_ref_json(const char *file, const char *lid, const char *name);
json_t *uploads_session_json(const struct content *c, const char *url, time_t at);
/* The lock is held, and what happened is in memory already. */
_must_check_ int uploads_append_take(struct uploads *r, json_t *j);

#endif
