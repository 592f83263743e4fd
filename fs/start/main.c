/*
 * batchfs: mounts the batch jobs of a Gemini API project.
 *
 * Without -f the process forks (verdict.h). The child does everything.
 *
 * The way out is always the same, whether it began with fusermount3 -u, a signal or
 * an aborted connection: every parked request is answered (gb_shutdown), the session
 * loop ends, then gembatch writes down what it has to.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/turns.h"
#include "start/environment.h"
#include "kernel/handle.h"
#include "start/key.h"
#include "closing/last_close.h"
#include "util/ignored.h"
#include "util/log.h"
#include "mount/ino.h"
#include "mount/mount.h"
#include "kernel/notify.h"
#include "start/on_end.h"
#include "kernel/pending.h"
#include "start/paths.h"
#include "start/place.h"
#include "start/prepare.h"
#include "closing/proc.h"
#include "start/resources.h"
#include "start/service.h"
#include "start/session.h"
#include "start/verb.h"
#include "start/verdict.h"
#include "kernel/tree.h"

#define WAKE SIGUSR2 /* interrupts the main thread's wait for the end of the loop */

/* ---- what libraries say ------------------------------------------------------------
 */

/* A text of several lines becomes one: syslog takes lines. */
static void on_log(void *arg, int priority, const char *text)
{
	_cleanup_free_ char *line = strdup(text);

	for (char *p = line; p && (p = strchr(p, '\n')); p++)
		*p = p[1] ? ' ' : '\0';
	log_line(priority, "%s", line ? line : text);
}

static void on_changed(void *arg, uint32_t slot, unsigned what)
{
	const struct mount *m = arg;

	notify_changed(m->notify, slot, what);
}

static void on_ended(void *arg, struct gb_job *job)
{
	const struct mount *m = arg;

	on_end_add(m->on_end, job);
}

static _printf_(2, 0) void on_fuse_log(
	enum fuse_log_level level, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;
	size_t n;

	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	n = strlen(text);
	if (n && text[n - 1] == '\n')
		text[n - 1] = '\0';
	log_line((int)level, "%s", text);
}

/* ---- preparing
 * ------------------------------------------------------------------------ */

static int find_key(const struct options *o, struct key *ret)
{
	int err = key_find(o, ret);

	if (err != -ENOENT)
		return err;
	if (o->offline)
		return 0;
	key_explain_none(o);
	return err;
}

/* Asked before prepare_process, which hides our own /proc from ourselves, too. */
static void check_proc(struct options *o)
{
	if (o->submit == SUBMIT_CTL || o->readonly || proc_usable())
		return;
	log_line(LOG_WARNING, "/proc does not show which processes have files open: "
			      "as with submit=ctl no close of requests.jsonl submits, "
			      "only mv and ctl do");
	o->submit = SUBMIT_CTL;
	o->blind = true;
}

struct opening {
	struct mount *m;
	const struct key *key;
	const char *mountpoint;
};

static int open_for_mount(void *arg, struct gb_client **ret, char **ret_why)
{
	const struct opening *s = arg;
	const struct gb_options more = {
		.holder = s->mountpoint,
		.log = on_log,
		.changed = on_changed,
		.ended = s->m->o->on_end ? on_ended : NULL,
		.arg = s->m,
	};

	return prepare_client(s->m->o, s->key, &more, ret, ret_why);
}

#define VERBS_GIVE_WAY 20.0 /* seconds in which a verb that waits gives it back */

/* A verb that has the state directory is asked for it; another mount is not, and gembatch
 * says who it is. */
static int open_client(struct mount *m, struct key *key, const char *mountpoint)
{
	struct opening s = {m, key, mountpoint};
	const struct cli_place place = {m->o, open_for_mount, &s};
	_cleanup_free_ char *why = NULL, *other = NULL;
	int err = turns_open(&place, VERBS_GIVE_WAY, &m->gb, &other, &why);

	if (err == -EREMOTE || (err == -EBUSY && !why))
		err = open_for_mount(&s, &m->gb, &why);
	key_wipe(key);
	if (err)
		log_line(LOG_ERR, "%s", why ? why : strerror(-err));
	else if (why)
		log_line(LOG_WARNING, "%s", why);
	return err;
}

/* ---- the session --------------------------------------------------------------------
 */

static int make_parts(struct mount *m)
{
	int err = closes_new(m, &m->closes);

	if (!err)
		closes_foresee(m);
	if (!err)
		err = handles_new(&m->handles);
	if (!err)
		err = pending_lot_new(&m->lot);
	if (err)
		log_line(LOG_ERR, "%s", strerror(-err));
	return err;
}

enum stage { STARTING, MOUNTING, SERVING, ENDED };

struct signals {
	struct mount *m;
	pthread_t main, thread;
	sigset_t set;
	_Atomic(enum stage) stage;
};

/* The signals that end the mount. */
static const struct ending {
	int sig;
	const char *name;
} endings[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGHUP, "SIGHUP"},
	{SIGQUIT, "SIGQUIT"}, {SIGXCPU, "SIGXCPU"}, {SIGALRM, "SIGALRM"}};

static const char *ending_name(int sig)
{
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		if (endings[i].sig == sig)
			return endings[i].name;
	return "a signal";
}

static void on_wake(int sig)
{
}

static void on_nothing(int sig)
{
}

/* Signals that would end the process by default although the user does not want that.
 * Beyond `ulimit -f` a write must fail (EFBIG), not kill. Handlers are used because
 * execve resets them, so that programs we start behave as usual. */
static void survive_signals(void)
{
	static const int harmless[] = {SIGXFSZ, SIGPIPE, SIGUSR1, SIGIO, SIGPROF,
		SIGVTALRM, SIGSTKFLT, SIGPWR};
	const struct sigaction nothing = {
		.sa_handler = on_nothing, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		sigaction(harmless[i], &nothing, NULL);
}

/* A signal before anything is mounted: what is on disk is always good enough to
 * begin with again, so there is nothing to undo. */
static void give_up_start(struct signals *s, int sig)
{
	if (atomic_load(&s->stage) == STARTING) {
		log_line(LOG_ERR, "stopped before it was mounted (%s)",
			ending_name(sig));
		_exit(1);
	}
	while (atomic_load(&s->stage) == MOUNTING)
		usleep(1000);
}

static void *run_signals(void *arg)
{
	struct signals *s = arg;
	int sig;

	while (sigwait(&s->set, &sig))
		;
	give_up_start(s, sig);
	if (atomic_load(&s->stage) == ENDED)
		return NULL;
	log_line(LOG_INFO, "%s: unmounting", ending_name(sig));
	service_stopping();
	atomic_store(&s->m->ending, true);
	gb_shutdown(s->m->gb);
	fuse_session_exit(s->m->se);
	/* The main thread may not be waiting yet when it is woken. */
	while (atomic_load(&s->stage) != ENDED) {
		pthread_kill(s->main, WAKE);
		usleep(20000);
	}
	return NULL;
}

/* From here on in every thread, those of libraries included, signals wait for the
 * thread that takes them. */
static int start_signals(struct signals *s)
{
	struct sigaction wake = {.sa_handler = on_wake};

	sigemptyset(&s->set);
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		sigaddset(&s->set, endings[i].sig);
	/* Blocked, it would be heard in spite of nohup. */
	if (is_ignored(SIGHUP))
		sigdelset(&s->set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &s->set, NULL);
	sigaction(WAKE, &wake, NULL);
	s->main = pthread_self();
	return -pthread_create(&s->thread, NULL, run_signals, s);
}

static void stop_signals(struct signals *s)
{
	atomic_store(&s->stage, ENDED);
	pthread_kill(s->thread, SIGTERM);
	pthread_join(s->thread, NULL);
}

static int run_loop(struct mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, m->o->max_threads);
	fuse_loop_cfg_set_idle_threads(config, m->o->max_idle_threads);
	fuse_loop_cfg_set_clone_fd(config, m->o->clone_fd);
	err = fuse_session_loop_mt(m->se, config);
	fuse_loop_cfg_destroy(config);
	return err;
}

/* ---- one after the other
 * ------------------------------------------------------------- */

static int serve(struct mount *m, struct signals *s, struct verdict *v)
{
	int err;

	atomic_store(&s->stage, MOUNTING);
	err = session_mount(m, v->mountpoint);
	if (!err)
		err = notify_start(m->notify, m);
	if (!err)
		err = verdict_start(v);
	if (!err)
		err = on_end_start(m->on_end);
	/* Threads that wait for the end of this stage check it next. */
	atomic_store(&s->stage, err ? ENDED : SERVING);
	if (err)
		return err;
	err = run_loop(m);
	if (err < 0)
		log_line(LOG_ERR, "%s: the session ended: %s", v->mountpoint,
			strerror(-err));
	/* Again, if it began otherwise: answers what is parked. */
	atomic_store(&m->ending, true);
	gb_shutdown(m->gb);
	return err < 0 ? err : 0;
}

/* With a client: mount, serve, and take everything down again. */
static int run_mount(
	struct mount *m, struct signals *s, const char *mountpoint, int verdict_fd)
{
	struct verdict verdict = {.mountpoint = mountpoint, .fd = verdict_fd};
	int err = make_parts(m);

	if (!err)
		err = serve(m, s, &verdict);
	closes_stop(m->closes);
	stop_signals(s);
	notify_stop(m->notify);
	if (m->se)
		fuse_session_unmount(m->se);
	verdict_stop(&verdict);
	on_end_stop(m->on_end);
	handles_free(m);
	gb_close(m->gb);
	pending_lot_free(m->lot);
	if (m->se)
		fuse_session_destroy(m->se);
	closes_free(m->closes);
	return err;
}

static int serve_mount(
	struct mount *m, struct key *key, const char *mountpoint, int verdict_fd)
{
	struct signals s = {.m = m};
	int err = start_signals(&s);

	if (err)
		return err;
	fuse_set_log_func(on_fuse_log);
	clock_gettime(CLOCK_REALTIME, &m->started); /* wall: shown */
	m->ino_base = ino_new_base();
	err = notify_new(&m->notify);
	if (!err)
		err = on_end_new(m->o->on_end, mountpoint, &m->on_end);
	if (!err)
		err = open_client(m, key, mountpoint);
	if (!err)
		err = run_mount(m, &s, mountpoint, verdict_fd);
	else
		stop_signals(&s);
	on_end_free(m->on_end);
	notify_free(m->notify);
	return err;
}

static void wipe_in_parent(void *key)
{
	key_wipe(key);
}

static int start_mount(struct options *o)
{
	_cleanup_free_ char *mountpoint = NULL;
	struct mount m = {.o = o};
	struct key key = {};
	int verdict_fd = -1;
	int err = prepare_source(o);

	resources_raise();
	if (!err)
		err = find_key(o, &key);
	if (!err)
		err = paths_check_mountpoint(o, &mountpoint);
	if (!err && paths_passed_fd(o->mountpoint) < 0)
		err = place_check();
	if (!err)
		err = prepare_directories(o, mountpoint);
	if (err)
		goto out;
	check_proc(o);
	if (!o->foreground) {
		err = verdict_fork(wipe_in_parent, &key, &verdict_fd);
		if (err) {
			log_line(LOG_ERR, "cannot go to the background: %s",
				strerror(-err));
			goto out;
		}
	}
	prepare_process();
	err = serve_mount(&m, &key, mountpoint, verdict_fd);
out:
	key_wipe(&key);
	return err;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* A plain word that nothing can be mounted on, and no source: what else can it be? */
static bool is_mistyped_verb(int argc, char **argv)
{
	const char *word = argv[1];

	if (!*word || strpbrk(word, "-/:.") || !strcmp(word, "none") ||
		!access(word, F_OK))
		return false;
	return cli_nearest_verb(word) || argc == 2 || !is_directory(argv[argc - 1]);
}

int main(int argc, char **argv)
{
	struct options o;
	enum options_verdict verdict;
	int err = 0;

	resources_hold_standard();
	survive_signals();
	if (argc > 1 && cli_is_verb(argv[1])) {
		log_open(false);
		environment_clean();
		return verb_main(argc, argv);
	}
	if (argc > 1 && is_mistyped_verb(argc, argv))
		return cli_no_verb(argv[1]);
	verdict = options_parse(argc, argv, &o);
	log_open(o.debug);
	environment_clean();
	service_open();
	if (verdict == OPTIONS_GO)
		err = start_mount(&o);
	options_free(&o);
	return verdict == OPTIONS_BAD || err ? 1 : 0;
}
