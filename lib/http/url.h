/*
 * Where requests may go: the base URL, what is joined to it, which redirects are
 * followed. Decisions only, no state, any thread. libcurl parses the URLs, so that the
 * host that is checked here is the host that libcurl connects to.
 */
#ifndef GB_URL_H
#define GB_URL_H

#include <stdbool.h>
#include <sys/socket.h>

struct url_base {
	char *origin; /* scheme://host[:port], lower case, default port left out */
	char *prefix; /* path without trailing slash: "" or "/gateway" */
	bool plain;   /* http: a loopback address */
	/* Of the API: version goes in place of the segment `written` in paths; "": as
	 * they say. */
	char version[16], written[16];
};

/* 0; -EINVAL: not a URL, another scheme, or a user, query or fragment in it; -EACCES:
 * plain http to another machine. *ret_why (malloc'ed) says so in one line. */
int url_base_parse(const char *text, struct url_base *ret, char **ret_why);
void url_base_clear(struct url_base *b);

/* Malloc'ed URLs, NULL when memory is out or the argument is none. path begins with '/'
 * and is encoded already. Of session only path and query are used, on the origin; with
 * under_prefix after the prefix, unless the path begins with it. */
char *url_join(const struct url_base *b, const char *path);
char *url_session(const struct url_base *b, const char *session, bool under_prefix);

/* Whether a GET may follow a redirect to url: https, or, when the base itself is
 * plain, http on a loopback host; no user part. *ret_home: same origin as the
 * base's, so that the key may go along. */
bool url_redirect(const struct url_base *b, const char *url, bool *ret_home);

/* location relative to the page at url; malloc'ed, NULL if that is not a URL. */
char *url_resolve(const char *url, const char *location);

/* scheme://host[:port] of url, in lower case; malloc'ed, NULL when it has none. */
char *url_origin(const char *url);

bool url_is_plain(const char *url);

/* localhost, 127/8, ::1 (with or without brackets). Names are not looked up. */
bool url_loopback_host(const char *host);
bool url_loopback_addr(const struct sockaddr *sa);

/* Cut every URL in a library's text to scheme://host[:port], in place, and remove what
 * is before any other '@' in a word: users and passwords of proxies. In doubt it cuts
 * too much. */
void url_hide(char *text);

/* Percent-encode everything but unreserved characters. malloc'ed. */
char *url_escape(const char *text);

#endif
