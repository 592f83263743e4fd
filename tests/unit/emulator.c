#include "emulator.h"

bool emulator_there(void)
{
	const char *path = getenv("EMULATOR");

	return path && access(path, X_OK) == 0;
}

bool emulator_start(struct emulator *m, const char *const *args)
{
	const char *argv[32] = {getenv("EMULATOR"), NULL};
	int fds[2], n = 1;
	char line[256];

	while (args && *args && n < 31)
		argv[n++] = *args++;
	if (pipe(fds) < 0)
		return false;
	m->pid = fork();
	if (m->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	m->out = fdopen(fds[0], "r");
	return m->pid > 0 && fgets(line, sizeof line, m->out) &&
	       sscanf(line, "listening on %127s", m->base) == 1;
}

void emulator_stop(struct emulator *m)
{
	kill(m->pid, SIGTERM);
	waitpid(m->pid, NULL, 0);
	fclose(m->out);
}
