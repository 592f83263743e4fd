/* Touches and frees memory.
 *
 *     bench_warm MIB
 *
 * On a virtual machine whose host takes free memory back, memory that was not used for a
 * second or two costs four times as much to fill as other memory does: who runs after a
 * pause pays for that, in the kernel, whatever is measured. So the bench does this before
 * each command that it times. */
#include <err.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	char *p;

	if (size == 0)
		errx(1, "usage: bench_warm MIB");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	return 0;
}
