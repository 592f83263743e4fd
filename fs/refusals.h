/*
 * Who was refused an unlink, so that the rmdir that follows is refused too.
 *
 * rm -r gives up at the first file that it may not remove. find -delete does not: it
 * goes on to the directory, and here that would delete the job at the API, results and
 * all. A person who says rmdir means it; a program that has just failed to empty the
 * directory does not. Remembered for a minute, for few processes. Any thread.
 */
#ifndef FS_REFUSALS_H
#define FS_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Process (0: not known, and nothing is noted) was refused an unlink in dir. */
void refusals_note(pid_t process, uint64_t dir);
bool refusals_hit(pid_t process, uint64_t dir);

#endif
