/*
 * The emulator for one test: started with what the test wants of it, killed after.
 * The binary is named by the environment, EMULATOR; without it such tests skip.
 */
#ifndef TEST_EMULATOR_H
#define TEST_EMULATOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct emulator {
	pid_t pid;
	FILE *out;
	char base[128];
};

bool emulator_there(void);

/* args: more arguments, NULL-terminated. */
bool emulator_start(struct emulator *m, const char *const *args);

void emulator_stop(struct emulator *m);

#endif
