/*
 * Upload sessions and the pieces that arrive for them.
 *
 * A session collects bytes in blobs/ID; when it is finished that file becomes the
 * File's. Sessions are never freed: their ids answer queries for a week.
 *
 * At most one piece of a session is alive, the one whose `gen` is the session's: a new
 * piece, a query or a cancel takes over from a connection that may be dead without our
 * knowing. piece_write locks for itself; everything else wants world_lock held.
 */
#ifndef EMU_SESSION_H
#define EMU_SESSION_H

#include "files.h"

#include <errno.h>

#define SESSION_ID 115

struct piece;

enum session_state { SESSION_ACTIVE, SESSION_FINAL, SESSION_CANCELLED, SESSION_DEAD };

struct session {
	char id[SESSION_ID + 1];
	char project[64];
	char file_id[FILE_ID]; /* asked for, or given when final */
	char *display_name, *mime;
	char sha256[65];
	enum session_state state;
	int64_t created;
	int64_t declared; /* -1: unknown */
	int64_t received; /* whole bytes in the blob */
	unsigned gen;
	struct piece *live; /* the piece whose gen it is, if any */
};

struct piece {
	struct session *session;
	unsigned gen;
	int fd;
	bool finalize;
	int64_t start;    /* offset of its first byte */
	int64_t pos;      /* of its next byte */
	int64_t received; /* of the session when it began */
	bool differs;     /* bytes sent again are not the same */
	bool ended;       /* its end was seen, it was not cut */
	int error;        /* of storing: -errno */
};

void sessions_load(void);
struct session *session_new(void);
struct session *session_find(const char *id);
void session_save(const struct session *s);
void session_cancel(struct session *s);
void session_kill(struct session *s);
/* Computes the digest if knobs want it; without the lock, after the last byte. */
void session_digest(struct session *s);
/* Makes the File. */
void session_finish(struct session *s);

struct piece *piece_new(struct session *s, int64_t off, bool finalize);
void piece_write(struct piece *p, const char *data, size_t n);
/* Takes back what this piece added. */
void piece_undo(struct piece *p);
/* Settles a piece that was cut, as the knob upload_keep says. */
void piece_free(struct piece *p);
/* Nothing that is still arriving counts any more. */
void piece_stop_all(struct session *s);

#endif
