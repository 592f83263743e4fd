/* Signals that are to stay ignored. Any thread. */
#ifndef FS_IGNORED_H
#define FS_IGNORED_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether whoever started us had it ignored, as nohup and & of a script do. */
static inline bool is_ignored(int sig)
{
	struct sigaction now;

	return !sigaction(sig, NULL, &now) && now.sa_handler == SIG_IGN;
}

#endif
