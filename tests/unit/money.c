#include "money.h"

#include "base/waiter.h"
#include "client/open_with.h"
#include "jobs/hooks.h"
#include "jobs/job.h"
#include "store/journal.h"
#include "submit/parts_send.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define REQUEST(text)                                                                  \
	"\"request\":{\"contents\":[{\"parts\":[{\"text\":\"" text "\"}" PICTURE "]}]" \
	"}"
#define PICTURE ""
static const char plain[] =
	"{\"key\":\"a\"," REQUEST("hi") "}\n{\"key\":\"b\"," REQUEST("ho") "}\n";
#undef PICTURE
#define PICTURE ",{\"fileData\":{\"fileUri\":\"pic.png\"}}"
static const char pictured[] =
	"{\"key\":\"a\"," REQUEST("hi") "}\n{\"key\":\"b\"," REQUEST("ho") "}\n";
static const unsigned char png[] =
	"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0";

struct world *world;
struct gb_client *client;
static char top[64], dirs[2][96];
static bool in_life;

/* ---- points ------------------------------------------------------------------------ */

void __real_test_point(const char *name);
void __wrap_test_point(const char *name);
double __real_record_span(int64_t since);
double __wrap_record_span(int64_t since);

static pthread_mutex_t points_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned count_pass(const char *name)
{
	unsigned n = 1;

	pthread_mutex_lock(&points_lock);
	for (unsigned i = 0; i < world->n_trace; i++)
		n += strcmp(world->trace[i].name, name) == 0;
	if (world->n_trace < POINTS) {
		struct point *p = &world->trace[world->n_trace++];

		snprintf(p->name, sizeof(p->name), "%s", name);
		p->n = n;
	}
	pthread_mutex_unlock(&points_lock);
	return n;
}

void __wrap_test_point(const char *name)
{
	if (!in_life)
		return;
	unsigned n = count_pass(name);
	if (world->stop.n == n && strcmp(world->stop.name, name) == 0)
		kill(getpid(), SIGKILL);
	void (*at)(const char *) = world->at;

	if (at)
		at(name);
}

double __wrap_record_span(int64_t since)
{
	return __real_record_span(since) + world->passed;
}

static void pass_call(enum fake_call call, const char *when)
{
	static const char *const names[FAKE_CALLS] = {[FAKE_CHECK_KEY] = "check-key",
		[FAKE_MODELS] = "models",
		[FAKE_MODEL_GET] = "model",
		[FAKE_LIST] = "list",
		[FAKE_GET] = "get",
		[FAKE_INLINE_OUTPUT] = "inline",
		[FAKE_COUNT] = "count",
		[FAKE_CREATE] = "create",
		[FAKE_CANCEL] = "cancel",
		[FAKE_REMOVE] = "remove",
		[FAKE_UPLOAD] = "upload",
		[FAKE_UPLOAD_BYTES] = "bytes",
		[FAKE_FILE_REMOVE] = "file-remove",
		[FAKE_FILES_USED] = "files-used",
		[FAKE_DOWNLOAD] = "download",
		[FAKE_OUTPUT_SIZE] = "output-size"};
	char point[POINT_NAME];

	snprintf(point, sizeof(point), "api-%s%s", names[call], when);
	__wrap_test_point(point);
}

static void call_comes(struct fake_provider *f, enum fake_call call)
{
	pass_call(call, "");
}

static void call_done(struct fake_provider *f, enum fake_call call)
{
	pass_call(call, "+");
}

/* ---- rows ---------------------------------------------------------------------------- */

int money_setup(void **state)
{
	bool shm = access("/dev/shm", W_OK) == 0;

	snprintf(top, sizeof(top), "%s/gembatch-money-XXXXXX",
		shm ? "/dev/shm" : "/tmp");
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return world != MAP_FAILED && mkdtemp(top) ? 0 : -1;
}

int money_teardown(void **state)
{
	munmap(world, sizeof(*world));
	return util_remove_tree(AT_FDCWD, top);
}

/* What a row needs not wait for. */
static void shorten(void)
{
	static const char *const names[] = {"BACKOFF", "OWN", "QUEUE", "SETTLE",
		"CLOSE", "LOOK", "REMOVAL", "REFUSED", "MISSING", "SAVE", "REST"};
	static const char *const seconds[] = {"0.001", "0.01", "0.002", "600", "0.03",
		"0.002", "0.002", "0.002", "0.002", "0.002", "0.001"};
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "BATCHFS_TEST_%s_SECONDS", names[i]);
		setenv(name, seconds[i], 1);
	}
}

void world_new(const char *row, ...)
{
	static unsigned n;
	va_list ap;

	memset(world, 0, sizeof(*world));
	va_start(ap, row);
	vsnprintf(world->row, sizeof(world->row), row, ap);
	va_end(ap);
	fake_provider_init(the_api);
	the_api->before = call_comes;
	the_api->after = call_done;
	the_api->ends_at_once = true;
	world->o = (struct gb_options){.ttl_s = -1, .poll_s = 3600, .trash_days = 7};
	n++;
	snprintf(dirs[0], sizeof(dirs[0]), "%s/state%u", top, n);
	snprintf(dirs[1], sizeof(dirs[1]), "%s/cache%u", top, n);
	shorten();
}

void world_free(void)
{
	fake_provider_clear(the_api);
	util_remove_tree(AT_FDCWD, dirs[0]);
	util_remove_tree(AT_FDCWD, dirs[1]);
}

void row_true(bool yes, const char *what, int line)
{
	if (yes)
		return;
	fail_msg("%s: line %d: %s\nreturned %d: %d; then %s, now %s%s (%u in the "
		 "tree), %u made, "
		 "%u there\nerror: %s",
		world->row, line, what, world->returned, world->ret, world->then.state,
		world->seen.there ? "" : "gone ", world->seen.state, world->seen.jobs,
		fake_made(the_api), fake_there(the_api),
		world->seen.error[0] ? world->seen.error : world->then.error);
}

/* Members of a journal that tell how far things are, and whether others are there. */
static uint32_t print_journal(const char *path, uint32_t crc)
{
	_cleanup_free_ char *text = NULL;
	struct record r;
	size_t n;

	if (util_read_file(AT_FDCWD, path, 1 << 20, &text, &n) ||
		record_parse(text, n, &r))
		return crc + 1;
	const struct record_batch *o = r.batch;
	const int told[] = {o->phase, r.removal, o->id != NULL, o->input_file != NULL,
		o->session != NULL, o->source != NULL, r.error != NULL, o->home,
		r.composed, r.background, o->end_logged, o->counted, r.name_unchecked,
		r.err, (int)r.n_put_by, r.late};

	record_clear(&r);
	return util_crc32c(crc, told, sizeof(told));
}

static uint32_t print_dir(const char *dir, int depth)
{
	uint32_t sum = 0;
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		_cleanup_free_ char *path = util_format("%s/%s", dir, e->d_name);
		/* Jobs and what is in the trash have names by chance. */
		bool chance = depth == 1 && e->d_type == DT_DIR;
		uint32_t crc =
			chance ? 1 : util_crc32c(0, e->d_name, strlen(e->d_name));
		if (e->d_type == DT_DIR)
			crc = 31 * crc + print_dir(path, depth + 1);
		else if (strcmp(e->d_name, "journal") == 0)
			crc = print_journal(path, crc);
		else if (strcmp(e->d_name, "attachments") == 0 && stat(path, &st) == 0)
			crc += (uint32_t)st.st_size; /* it tells what is held */
		sum += 17 * crc;                     /* in whatever order */
	}
	if (d)
		closedir(d);
	return sum;
}

uint32_t world_print(void)
{
	const unsigned there[] = {fake_made(the_api), fake_there(the_api),
		fake_uploads(the_api), world->step, world->returned,
		(unsigned)world->ret};

	return util_crc32c(print_dir(dirs[0], 0), there, sizeof(there));
}

static unsigned count_files(const char *dir, const char *name, char *ret_path)
{
	char path[512];
	unsigned n = 0;
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strcmp(e->d_name, name) == 0 && ret_path)
			snprintf(ret_path, 512, "%s", path);
		n += strcmp(e->d_name, name) == 0;
		if (e->d_type == DT_DIR)
			n += count_files(path, name, ret_path);
	}
	if (d)
		closedir(d);
	return n;
}

int state_here(const char *dir)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dirs[0], dir);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

unsigned files_below(const char *dir, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dirs[0], dir);
	return count_files(path, name, NULL);
}

bool results_are_of(const struct fake_job *j)
{
	_cleanup_free_ char *text = NULL;
	char path[512];
	size_t n;

	return count_files(dirs[0], "results.jsonl", path) == 1 &&
	       util_read_file(AT_FDCWD, path, 1 << 20, &text, &n) == 0 &&
	       n == strlen(j->results) && memcmp(text, j->results, n) == 0;
}

/* A row that hangs ends by a signal. */
static void be_born(void (*fn)(void))
{
	in_life = true;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(120);
	fn();
	_exit(0);
}

/* The API's lock is in memory that lives share, and robust: the kernel lets go of it for who
 * is killed with it. qemu-user has no such locks, and whoever asks next waits for ever. */
static bool kills_let_go_of_locks(void)
{
	void *head;
	size_t size;

	return syscall(SYS_get_robust_list, 0, &head, &size) == 0 || errno != ENOSYS;
}

void money_needs_kills(void)
{
	if (kills_let_go_of_locks())
		return;
	/* Older cmockas call a test that skips itself failed. */
	puts("1..0 # SKIP nobody can be killed: no robust futexes, as under qemu-user");
	exit(0);
}

bool live(void (*fn)(void))
{
	int status = 0;

	world->n_trace = 0;
	world->said[0] = '\0';
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		be_born(fn);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail_msg("%s: no child", world->row);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && world->stop.n)
		return false;
	if (status)
		fail_msg("%s, killed at %s#%u: %s %d: %s", world->row, world->stop.name,
			world->stop.n, WIFSIGNALED(status) ? "signal" : "exit",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			world->said);
	return true;
}

unsigned trace_of(void (*fn)(void), struct point *ret)
{
	world->stop.n = 0;
	live(fn);
	memcpy(ret, world->trace, sizeof(world->trace));
	return world->n_trace;
}

/* ---- in a life --------------------------------------------------------------------- */

static void tell_unrest(char *to, size_t size);

void expect(bool yes, const char *what, const char *file, int line)
{
	struct seen s;

	if (yes)
		return;
	look_here(&s);
	int n = snprintf(world->said, sizeof(world->said),
		"%s:%d: %s; %s, %u made, ret %d, %.200s", file, line, what,
		s.there ? s.state : "gone", fake_made(the_api), world->ret, s.error);
	if (client && n < (int)sizeof(world->said))
		tell_unrest(world->said + n, sizeof(world->said) - n);
	_exit(9);
}

void a_moment(void)
{
	usleep(200);
}

int came_to(struct waiter_sync *s, int err)
{
	return (int)waiter_sync_end(s, err);
}

void open_here(void)
{
	struct gb_options o = world->o;
	char *why = NULL;

	o.source = "http://127.0.0.1:1"; /* never called */
	o.key = o.key ? o.key : "some-key";
	o.state_dir = dirs[0];
	o.cache_dir = dirs[1];
	int err = client_open_with(&o, &the_api->table, the_api, &client, &why);
	if (err)
		snprintf(world->said, sizeof(world->said), "open: %d: %s", err, why);
	if (err)
		_exit(8);
	free(why);
}

void close_here(void)
{
	gb_close(client);
	client = NULL;
}

void write_file(struct gb_job *job, const char *name, const void *buf, size_t n)
{
	struct gb_file *f = gb_file_by_name(job, NULL, name);

	if (!f)
		EXPECT(gb_file_create(job, NULL, name, true, &f) == 0);
	EXPECT(gb_file_truncate(f, 0) == 0);
	EXPECT(gb_file_write(f, buf, n, 0) == 0);
	gb_file_settle(f);
	gb_file_unref(f);
}

void write_requests(struct gb_job *job, const char *name, bool with_picture)
{
	const char *text = with_picture ? pictured : plain;

	if (with_picture)
		write_file(job, "pic.png", png, sizeof(png));
	write_file(job, name, text, strlen(text));
}

struct gb_job *draft_here(bool with_picture, bool listed)
{
	struct gb_job *job;

	EXPECT(gb_draft_create(client, "job", listed, &job) == 0);
	write_requests(job, GB_REQUESTS, with_picture);
	return job;
}

struct gb_job *job_here(void)
{
	return gb_job_by_name(client, "job");
}

void rename_here(
	const char *dir, void (*fill)(struct gb_job *from, struct gb_job *job))
{
	struct gb_job *job, *from;

	EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	if (strcmp(dir, "job") == 0)
		from = gb_job_ref(job);
	else
		EXPECT(gb_draft_create(client, dir, true, &from) == 0);
	fill(from, job);
	tell_returned(BLOCKING(gb_submit_rename, from, NULL, "tmp", job));
	gb_job_unref(from);
	gb_job_unref(job);
}

void tell_returned(int ret)
{
	world->ret = ret;
	world->returned = true;
	look_here(&world->then);
}

void look_here(struct seen *ret)
{
	struct gb_job *job = client ? job_here() : NULL;
	struct gb_info i;

	*ret = (struct seen){.there = job != NULL};
	for (uint32_t at = 0; client; ret->jobs++) {
		struct gb_job *one = gb_job_next(client, at);

		if (!one)
			break;
		at = one->slot + 1;
		gb_job_unref(one);
	}
	if (!job)
		return;
	gb_job_info(job, &i);
	ret->bound = i.id != NULL;
	ret->saved = i.results_safe;
	snprintf(ret->state, sizeof(ret->state), "%s", i.state);
	char *error = gb_job_error(job);
	snprintf(ret->error, sizeof(ret->error), "%s", error ? error : "");
	free(error);
	gb_job_unref(job);
}

/* Lock held. */
static bool rests(struct gb_job *job)
{
	enum phase p = job_phase(job);

	if (job->batch->fetching || job->batch->sealing || !job->dir ||
		job->dir->forgotten)
		return !job->batch->fetching && !job->batch->sealing;
	return !job->dir->task && !job->dir->rec.removal && p != PHASE_UPLOADING &&
	       !job->dir->cutting && !parts_due(job) && p != PHASE_QUEUED &&
	       p != PHASE_SUBMITTING && !client->hooks->results_awaited(job);
}

/* What does not rest, for a message. */
static void tell_unrest(char *to, size_t size)
{
	int n = snprintf(to, size, "%s", client->operations ? " operations" : "");

	client_lock(client);
	for (uint32_t i = 0; i < client->n_slots && n < (int)size; i++) {
		struct gb_job *job = client->slots[i];

		if (rests(job))
			continue;
		n += snprintf(to + n, size - n, " [%u%s phase %d", i,
			job->parent ? " part" : "", job_phase(job));
		if (job->dir && n < (int)size)
			n += snprintf(to + n, size - n,
				" task %d removal %d/%d readers %u due %d",
				job->dir->task != NULL, job->dir->rec.removal,
				job->dir->removing, job->dir->part_readers,
				parts_due(job));
		if (n < (int)size)
			n += snprintf(to + n, size - n, "]");
	}
	client_unlock(client);
}

bool is_settled(void)
{
	bool all = true;

	client_lock(client);
	for (uint32_t i = 0; i < client->n_slots; i++)
		all &= rests(client->slots[i]);
	all &= !client->operations;
	client_unlock(client);
	return all;
}

bool is_saved(void)
{
	look_here(&world->seen);
	return world->seen.saved && is_settled();
}

static bool has_phase(enum phase p)
{
	struct gb_job *job = job_here();

	client_lock(client);
	bool yes = job && job_phase(job) == p;
	client_unlock(client);
	gb_job_unref(job);
	return yes;
}

static void buy(struct gb_job *job)
{
	int ret = has_phase(PHASE_UNCERTAIN) ? BLOCKING(gb_resubmit, job)
					     : BLOCKING(gb_submit, job, GB_BY_CTL);

	/* A list, or the queue, may be quicker. */
	EXPECT(ret == 0 || ret == -EBUSY);
}

void fill_requests(struct gb_job *job)
{
	struct gb_file *f = gb_file_by_name(job, NULL, GB_REQUESTS);
	struct stat st = {0};

	if (!f || gb_file_stat(f, &st) || !st.st_size)
		write_requests(job, GB_REQUESTS, false);
	gb_file_unref(f);
}

void finish_here(void)
{
	struct gb_job *job = job_here();

	if (!job)
		EXPECT(gb_draft_create(client, "job", true, &job) == 0);
	if (has_phase(PHASE_DRAFT) || has_phase(PHASE_FAILED))
		(world->fill ? world->fill : fill_requests)(job);
	if (!has_phase(PHASE_SENT))
		buy(job);
	gb_job_unref(job);
	UNTIL(is_saved());
}
