#include "stats.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* lock */
static json_t *ops;
static int64_t total, bytes_in, bytes_out;

void stats_call(const char *op)
{
	pthread_mutex_lock(&lock);
	if (!ops)
		ops = json_object();
	json_object_set_new(ops, op,
		json_integer(json_integer_value(json_object_get(ops, op)) + 1));
	total++;
	pthread_mutex_unlock(&lock);
}

void stats_bytes(int64_t in, int64_t out)
{
	pthread_mutex_lock(&lock);
	bytes_in += in;
	bytes_out += out;
	pthread_mutex_unlock(&lock);
}

json_t *stats_json(void)
{
	json_t *j;

	pthread_mutex_lock(&lock);
	j = json_pack("{so sI sI sI}", "ops", ops ? json_copy(ops) : json_object(),
		"total", (json_int_t)total, "bytesIn", (json_int_t)bytes_in, "bytesOut",
		(json_int_t)bytes_out);
	pthread_mutex_unlock(&lock);
	return j;
}

void stats_reset(void)
{
	pthread_mutex_lock(&lock);
	json_decref(ops);
	ops = NULL;
	total = bytes_in = bytes_out = 0;
	pthread_mutex_unlock(&lock);
}
