/* Options, start, end. What the emulator is: docs/emulator.md. */
#include "caches.h"
#include "faults.h"
#include "files.h"
#include "jobs.h"
#include "keys.h"
#include "knobs.h"
#include "life.h"
#include "responder.h"
#include "server.h"
#include "session.h"
#include "store.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>

struct options {
	struct server_options server;
	const char *data, *command;
	int command_jobs;
	char *address;
};

enum { OPT_TLS = 256, OPT_KNOBS, OPT_JOBS, OPT_PENDING, OPT_RUNNING, OPT_VERSION };

static const struct option longs[] = {
	{"listen", required_argument, NULL, 'l'},
	{"data", required_argument, NULL, 'd'},
	{"key", required_argument, NULL, 'k'},
	{"set", required_argument, NULL, 's'},
	{"fault", required_argument, NULL, 'f'},
	{"log", required_argument, NULL, 'L'},
	{"prefix", required_argument, NULL, 'p'},
	{"responder", required_argument, NULL, 'r'},
	{"responder-jobs", required_argument, NULL, OPT_JOBS},
	{"pending", required_argument, NULL, OPT_PENDING},
	{"running", required_argument, NULL, OPT_RUNNING},
	{"tls", required_argument, NULL, OPT_TLS},
	{"help-knobs", no_argument, NULL, OPT_KNOBS},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"usage: gemini-emulator [OPTION]...\n"
	"  --listen ADDR:PORT     default 127.0.0.1:0, any free port\n"
	"  --data DIR             keep everything there; default: a temporary "
	"directory\n"
	"  --key KEY[=PROJECT]    accept this key (repeatable); default: any key\n"
	"  --pending, --running SECONDS   how long jobs are PENDING and RUNNING\n"
	"  --responder COMMAND    makes the answers: prompt on stdin, answer on "
	"stdout\n"
	"  --responder-jobs N     commands at a time (2)\n"
	"  --set NAME=VALUE       turn a knob (repeatable); --help-knobs lists them\n"
	"  --fault QUERY          arm a fault, e.g. 'match=create&kind=drop_after'\n"
	"  --log FILE             one line a request\n"
	"  --prefix PATH          the API is found below this path, too\n"
	"  --tls CERT KEY         https, with these PEM files\n"
	"  --help, --version      print this, or the version\n"
	"Prints 'listening on URL' when it is ready. See gemini-emulator(1).\n";

static void die(const char *what, const char *which) __attribute__((noreturn));

static void die(const char *what, const char *which)
{
	fprintf(stderr, "gemini-emulator: %s: %s\n", what, which);
	exit(2);
}

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	struct buf b = {0};
	char chunk[4096];
	size_t n;

	if (!f)
		die("cannot read", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&b, chunk, n);
	fclose(f);
	return b.p;
}

static void parse_listen(struct options *o, const char *arg)
{
	const char *colon = strrchr(arg, ':');
	char *address;

	if (!colon)
		die("--listen wants ADDR:PORT", arg);
	address = xstrndup(arg, colon - arg);
	if (*address == '[' && address[strlen(address) - 1] == ']') {
		address[strlen(address) - 1] = '\0';
		memmove(address, address + 1, strlen(address));
	}
	o->address = address;
	o->server.address = address;
	o->server.port = strtoul(colon + 1, NULL, 10);
}

static void check(int r, const char *what)
{
	if (r < 0)
		die("bad argument", what);
}

static void parse_one(struct options *o, int c, char **argv, int argc)
{
	switch (c) {
	case 'l':
		parse_listen(o, optarg);
		break;
	case 'd':
		o->data = optarg;
		break;
	case 'k':
		check(keys_add(optarg), optarg);
		break;
	case 's':
		check(knob_assign(optarg), optarg);
		break;
	case 'f':
		check(fault_arm(optarg), optarg);
		break;
	case 'L':
		o->server.log = optarg;
		break;
	case 'p':
		o->server.prefix = optarg;
		break;
	case 'r':
		o->command = optarg;
		break;
	case OPT_JOBS:
		o->command_jobs = atoi(optarg);
		break;
	case OPT_PENDING:
		check(knob_set("pending", optarg), optarg);
		break;
	case OPT_RUNNING:
		check(knob_set("running", optarg), optarg);
		break;
	case OPT_TLS:
		if (optind >= argc)
			die("--tls wants CERT KEY", optarg);
		o->server.cert = slurp(optarg);
		o->server.key = slurp(argv[optind++]);
		break;
	case OPT_KNOBS:
		knobs_help(stdout);
		exit(0);
	case OPT_VERSION:
		puts("gemini-emulator " EMULATOR_VERSION);
		exit(0);
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static void parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		parse_one(o, c, argv, argc);
	if (optind < argc)
		die("unexpected argument", argv[optind]);
}

/* Signals are waited for here, so that ending is ordinary code. */
static void await_signal(const sigset_t *set)
{
	int sig;

	while (sigwait(set, &sig) != 0)
		;
}

static void block_signals(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGINT);
	sigaddset(ret_set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret_set, NULL);
}

static void load_all(void)
{
	files_load();
	sessions_load();
	jobs_load();
	caches_load();
}

int main(int argc, char **argv)
{
	struct options o = {.server.address = "127.0.0.1", .command_jobs = 2};
	sigset_t signals;
	unsigned port;
	int r;

	knobs_init();
	parse(&o, argc, argv);
	responder_set(o.command, o.command_jobs);
	block_signals(&signals);
	r = store_open(o.data);
	if (r < 0)
		die("cannot open the data directory", strerror(-r));
	load_all();
	life_start();
	r = server_start(&o.server, &port);
	if (r == 0) {
		printf(strchr(o.server.address, ':') ? "listening on %s://[%s]:%u\n"
						     : "listening on %s://%s:%u\n",
			o.server.cert ? "https" : "http", o.server.address, port);
		fflush(stdout);
		await_signal(&signals);
	} else {
		complain("cannot listen: %s", strerror(-r));
	}
	stop_request();
	server_stop();
	life_stop();
	store_close();
	free(o.server.cert);
	free(o.server.key);
	free(o.address);
	return r < 0;
}
