/* Runs a fuzz target over the files of a directory, for builds without libFuzzer:
 *
 *     replay_NAME DIRECTORY
 *
 * A finding aborts; its file name has been printed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int main(int argc, char **argv)
{
	int dir = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1, files = 0;
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *e;

	if (!d) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	while ((e = readdir(d))) {
		uint8_t *exact;
		char *text;
		size_t n;

		if (util_read_file(dir, e->d_name, 16 << 20, &text, &n) < 0)
			continue;
		printf("%s\n", e->d_name);
		fflush(stdout);
		/* Without the NUL, so that the sanitizer sees the end. */
		exact = realloc(text, n ? n : 1);
		LLVMFuzzerTestOneInput(exact, n);
		free(exact);
		files++;
	}
	closedir(d);
	return files == 0;
}
