/* Where the answers of a job come from: which jobs have what, and what is opened to make
 * an index and to read by one. */
#ifndef GB_ANSWERS_SOURCES_H
#define GB_ANSWERS_SOURCES_H

#include <sys/stat.h>

#include "answers/index.h"
#include "jobs/job.h"

/* client.lock held: whether the requests are local; whether there are no results and will
 * be none; whether an index can be made of what is on this machine. */
bool answers_sent_here(const struct gb_job *job);
bool answers_ended_with_nothing(const struct gb_job *job);
bool answers_can_be_made(const struct gb_job *job);
/* client.lock held: the table that the requests were made of, or NULL. */
const char *answers_table_name(struct gb_job *job);

/* Directory (the caller closes it) and name of the index of a job whose results are saved
 * or that has none. */
int answers_index_place(struct gb_job *job, char name[192]);

/* Descriptors, the caller closes; -ENOENT: there is no such file. The requests of a part of
 * round 0 are `at` of its directory's. */
int answers_open_requests(struct gb_job *job, struct stat *st, struct span *ret_at);
int answers_open_table(struct gb_job *job, struct stat *st, bool *ret_tabs);

/* The arg of answers_read_results and answers_readv_results, which are those of a
 * text_source. */
struct answers_from {
	struct gb_results *results;
	struct gb_waiter *w; /* NULL: a worker, which may wait */
};
ssize_t answers_read_results(void *arg, uint64_t off, void *buf, size_t n);
int answers_readv_results(void *arg, uint64_t off, struct iovec *v, int n);
/* The same of an object and a waiter. */
ssize_t answers_read_from(struct gb_results *r, struct gb_waiter *w, uint64_t off,
	void *buf, size_t n);
int answers_readv_from(struct gb_results *r, struct gb_waiter *w, uint64_t off,
	struct iovec *v, int n);

/* The sources of an index: results NULL and descriptors -1 if there are none. */
struct answers_opened {
	struct gb_results *results;
	int requests, table;
	bool tabs;
	struct answers_stamp stamp;
};
#define ANSWERS_NOT_OPEN                                                               \
	(struct answers_opened){.requests = -1, .table = -1,                           \
		.stamp = {.results_size = -1, .requests_size = -1, .table_size = -1}}

/* 0, -EAGAIN: the cache has lost the results, or what opening answers; close it in any case. */
int answers_open_all(struct gb_job *job, struct answers_opened *ret);
/* Only the requests and the table. */
int answers_open_asked(struct gb_job *job, struct answers_opened *ret);
void answers_close_all(struct answers_opened *o);

#endif
