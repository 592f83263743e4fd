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

struct registry {
	pthread_mutex_t lock; /* guards all below, and appends */
	int dir;              /* STATE, borrowed */
	int fd;               /* the log; -1: it must be rewritten first */
	bool torn;            /* the last append did not end in a newline */
	struct known *entries;
	struct session *sessions;
	struct word *words;
	void *by_sha256, *by_file, *by_lid; /* tsearch */
};

/* uploads.c; the lock is held, or no other thread exists yet. */
bool registry_is_hex(const char *text, size_t n);
struct known *registry_find_file(struct registry *r, const char *file);
struct user *registry_find_user(struct registry *r, const char *lid);
/* held false: only notes where a copy is; a reference that holds the entry keeps
 * holding it. */
_must_check_ int registry_add_ref(struct registry *r, struct known *e, const char *lid,
	const char *name, bool held);
void registry_drop_ref(struct ref *ref);
void registry_drop(struct registry *r, struct known *e);
void registry_drop_session(struct session **at);
int registry_apply_up(
	struct registry *r, const struct content *c, const struct placed *p);
int registry_apply_session(
	struct registry *r, const struct content *c, const char *url, time_t at);
void registry_apply_end(struct user *u);
void registry_apply_forget(struct registry *r, struct user *u);

/* uploads_copies.c; the same. Add to and remove from the list of its content. */
_must_check_ int registry_join_body(struct registry *r, struct known *e);
void registry_leave_body(struct registry *r, struct known *e);
/* The entry that can be used and lives longest; or NULL. */
struct known *registry_find_content(struct registry *r, const struct content *c);
/* Whether a job refers to this content, by whichever upload of it. */
bool registry_is_used(const struct known *e);
/* Where the content may be, "LID NAME" per line, malloc'ed. */
char *registry_copies(const struct known *e);
/* e is about to be dropped: another upload of its content takes over its copies. */
void registry_hand_on(struct registry *r, struct known *e);

/* uploads_log.c */
json_t *registry_up_json(const struct content *c, const struct placed *p);
json_t *registry_ref_json(const char *file, const char *lid, const char *name);
json_t *registry_session_json(const struct content *c, const char *url, time_t at);
/* The lock is held, and what happened is in memory already. */
_must_check_ int registry_append_take(struct registry *r, json_t *j);

#endif
