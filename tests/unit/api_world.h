/* A client and, in this process, an API that has many jobs, stalls or refuses everything:
 * world is what it does. open_world makes both; run the group with make_top, remove_top. */
#ifndef API_WORLD_H
#define API_WORLD_H

#include "jobs/job.h"
#include "client_fixture.h"
#include "httpd.h"

#include <errno.h>
#include <time.h>

enum { PAGE = 100 };

#define RETRY_AT_ONCE                                                                  \
	"{\"error\":{\"code\":503,\"message\":\"no\",\"details\":[{\"@type\":"         \
	"\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"0s\"}]}}"

static struct world {
	struct httpd server;
	atomic_int jobs;        /* that lists have */
	atomic_bool stalls;     /* lists get no answer */
	atomic_int slow_us;     /* before each answer */
	atomic_bool forgets;    /* what is not in lists is not there */
	_Atomic(const char *) refusal; /* headers of a refusal; NULL: all is well */
	atomic_int status;      /* of refusals; 0: 503 */
	atomic_int refused;     /* so many calls were */
	atomic_int ended;       /* so many have succeeded, from j0 on */
	atomic_int omitted;     /* the one that lists do not have; 0: none */
	atomic_bool no_config;  /* lists do not tell input files */
	time_t now;
} world;

static void print_job(FILE *out, int n, bool listed)
{
	time_t created = world.now - 10 - n;
	char when[32];
	struct tm tm;

	strftime(when, sizeof(when), "%FT%TZ", gmtime_r(&created, &tm));
	fprintf(out,
		"{\"name\":\"batches/j%d\",\"metadata\":{\"displayName\":\"j%d\","
		"\"createTime\":\"%s\",\"state\":\"BATCH_STATE_%s\"",
		n, n, when, n < world.ended ? "SUCCEEDED" : "RUNNING");
	if (!listed || !world.no_config)
		fprintf(out, ",\"inputConfig\":{\"fileName\":\"files/f%d\"}", n);
	if (n < world.ended)
		fprintf(out,
			"},\"done\":true,\"response\":{\"responsesFile\":"
			"\"files/o%d\"",
			n);
	fputs("}}", out);
}

static void print_page(FILE *out, int from)
{
	int end = from + PAGE < world.jobs ? from + PAGE : world.jobs;

	bool any = false;

	fputs("{\"operations\":[", out);
	for (int i = from; i < end; i++) {
		if (world.omitted && i == world.omitted)
			continue;
		fputs(any ? "," : "", out);
		print_job(out, i, true);
		any = true;
	}
	fputs("]", out);
	if (end < world.jobs)
		fprintf(out, ",\"nextPageToken\":\"%d\"", end);
	fputs("}", out);
}

static bool serve(struct httpd *h, int fd, struct httpd_request *r)
{
	const char *list = strstr(r->head, "/batches?"),
		   *token = strstr(r->head, "pageToken=");
	const char *get = strstr(r->head, "/batches/j"), *refusal = world.refusal;
	_cleanup_free_ char *body = NULL;
	size_t n;
	FILE *out;

	if (refusal && !strstr(r->head, "/models") && ++world.refused)
		return httpd_reply(fd, world.status ? world.status : 503, refusal,
			*refusal ? "" : RETRY_AT_ONCE);
	usleep((useconds_t)world.slow_us);
	while (list && world.stalls)
		usleep(5000);
	if (get && world.forgets && atoi(get + 10) >= world.jobs)
		return httpd_reply(fd, 404, "",
			"{\"error\":{\"code\":404,\"message\":\"m\",\"status\":"
			"\"NOT_FOUND\"}}");
	out = open_memstream(&body, &n);
	if (list)
		print_page(out, token ? atoi(token + 10) : 0);
	else if (get)
		print_job(out, atoi(get + 10), false);
	else
		fputs("{\"models\":[{\"name\":\"models/m\"}]}", out);
	fclose(out);
	return httpd_reply(fd, 200, "Content-Type: application/json\r\n", body);
}

static inline int lists(void)
{
	return httpd_count(&world.server, "GET /v1beta/batches?");
}
static inline int gets(void)
{
	return httpd_count(&world.server, "GET /v1beta/batches/");
}

static inline struct gb_client *open_world(int jobs, int poll)
{
	struct gb_options o = {.state_dir = state_dir,
		.cache_dir = cache_dir,
		.key = "secret-key",
		.poll_s = poll,
		.ttl_s = -1,
		.trash_days = 1};
	static int n;
	struct gb_client *c;
	char *why = NULL;

	memset(&world, 0, sizeof(world));
	world.jobs = jobs;
	world.now = time(NULL);
	httpd_start(&world.server, serve);
	o.source = world.server.base;
	snprintf(state_dir, sizeof(state_dir), "%s/poll%d", top, ++n);
	snprintf(cache_dir, sizeof(cache_dir), "%s/pollcache%d", top, n);
	assert_int_equal(gb_open(&o, &c, &why), 0);
	free(why);
	return c;
}

static inline void close_world(struct gb_client *c)
{
	world.stalls = false;
	gb_close(c);
	httpd_stop(&world.server);
}

static inline int list_now(struct gb_client *c)
{
	struct waiter_sync s;

	waiter_sync_init(&s);
	int err = gb_list_refresh(c, GB_LIST_FRESH, &s.w);
	return (int)waiter_sync_end(&s, err);
}

static inline int read_state(struct gb_client *c, const char *name)
{
	struct gb_job *job = gb_job_by_name(c, name);
	struct waiter_sync s;

	assert_non_null(job);
	waiter_sync_init(&s);
	int err = gb_job_refresh(job, &s.w);
	if (err == -EINPROGRESS)
		err = waiter_sync_wait(&s);
	gb_job_unref(job);
	return err;
}

static inline void over(struct gb_waiter *w, int err)
{
}

#endif
