/*
 * The web server: libmicrohttpd with a thread a connection, so that one stalled client
 * holds up nobody. Finds routes, feeds bodies, applies faults, sends replies, writes
 * the request log. server_start once, server_stop once; keys and prefix before start.
 */
#ifndef EMU_SERVER_H
#define EMU_SERVER_H

#include "http.h"

struct server_options {
	const char *address; /* numeric IPv4 or IPv6 */
	unsigned port;       /* 0: any */
	char *cert, *key;    /* PEM texts for https, or NULL */
	const char *log;     /* file, or NULL */
	const char *prefix;  /* path under which the API is found as well, or NULL */
};

/* 0 or -errno; the port in use goes to ret_port. */
int server_start(const struct server_options *o, unsigned *ret_port);
void server_stop(void);

#endif
