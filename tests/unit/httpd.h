/*
 * A server for tests that want replies no decent server gives. Listens on a
 * loopback port; every connection has a thread, which reads heads and leaves the
 * rest to the test's handler. Remembers all heads.
 */
#ifndef TEST_HTTPD_H
#define TEST_HTTPD_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct httpd_request {
	int number; /* from 0, over all connections */
	char head[8192];
	int64_t length; /* Content-Length, 0: none */
	char *body;     /* once read */
};

struct httpd {
	/* Answer on fd; false closes the connection. */
	bool (*handle)(struct httpd *h, int fd, struct httpd_request *r);
	void *arg;
	int listener;
	int port;
	char base[64];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	int conns[64]; /* lock; -1: free */
	int live;      /* lock */
	int requests;  /* lock */
	int accepted;  /* lock */
	char *heads;   /* lock; all of them */
};

bool httpd_send(int fd, const void *buf, size_t n);

__attribute__((format(printf, 2, 3))) bool httpd_print(int fd, const char *fmt, ...);

/* A whole reply: headers are lines ending in CRLF, or "". */
bool httpd_reply(int fd, int status, const char *headers, const char *body);

/* Read n bytes of body (all of it: r->length). */
bool httpd_body(int fd, struct httpd_request *r, int64_t n);

/* Close with a reset. */
void httpd_reset(int fd);

void httpd_start(struct httpd *h,
	bool (*handle)(struct httpd *h, int fd, struct httpd_request *r));

void httpd_stop(struct httpd *h);

int httpd_requests(struct httpd *h);

int httpd_accepts(struct httpd *h);

int httpd_count(struct httpd *h, const char *text);

#endif
