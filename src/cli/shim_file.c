/* src/cli/shim_file.c: finding the preload library, and knowing that the loader will take it.
 *
 * The loader would ignore a library that is missing or of another architecture with no more than a
 * line from each program, and run the programs outside. So it is checked here, once, and named.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/elf.h"
#include "cli/shim_file.h"

static int beside_us(char *ret, size_t size_bytes)
{
	char exe[PATH_MAX], file[PATH_MAX + 32], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return -ENOENT;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	snprintf(file, sizeof(file), "%s/../shim/libberth.so", exe);
	if (!realpath(file, exe)) {
		int err = -errno;

		snprintf(ret, size_bytes, "%s", file); /* for whoever says what is wrong with it */
		return err;
	}
	return snprintf(ret, size_bytes, "%s", exe) < (int)size_bytes ? 0 : -ENAMETOOLONG;
}

int shim_file_find(char *ret, size_t size_bytes, char *reterr_what, size_t what_bytes)
{
	int r = beside_us(ret, size_bytes);

	if (r == -ENOENT || r == -ENOTDIR) {
		snprintf(ret, size_bytes, "%s/berth/libberth.so", BERTH_LIBDIR);
		r = access(ret, R_OK) < 0 ? -errno : 0;
	}
	if (r < 0) {
		snprintf(reterr_what, what_bytes,
			 "the preload library %s cannot be read: %s (is berth installed whole?)", ret, strerror(-r));
		return r;
	}
	r = elf_is_our_library(ret);
	if (r < 0) {
		snprintf(reterr_what, what_bytes, "the preload library %s is %s", ret,
			 r == -ELIBBAD	 ? "for another architecture"
			 : r == -ENOEXEC ? "not a shared library"
					 : strerror(-r));
		return r;
	}
	if (strpbrk(ret, " :")) { /* LD_PRELOAD separates with both */
		snprintf(reterr_what, what_bytes,
			 "the preload library's path has a space or a colon, which LD_PRELOAD cannot hold: %s", ret);
		return -EINVAL;
	}
	return 0;
}
