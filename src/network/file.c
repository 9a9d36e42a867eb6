/* src/network/file.c: a file of the network's that is mapped whole, beside `table`.
 *
 * For what belongs to the network's programs and need not be true for the network to work. It is made at first
 * use, long and with nothing behind it: who writes to a page makes it real first (map_region.c says why).
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "network/internal.h"

/* Past RLIMIT_FSIZE the kernel would send the program a SIGXFSZ. */
bool file_too_long(uint64_t len_bytes)
{
	struct {
		uint64_t cur, max;
	} limit = {UINT64_MAX, UINT64_MAX};

	(void)raw_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);
	return len_bytes > limit.cur;
}

int file_reserve(int fd, uint64_t len_bytes)
{
	int r;

	if (file_too_long(len_bytes))
		return -EFBIG;
	r = raw_fallocate(fd, 0, 0, len_bytes);
	if (r == -EOPNOTSUPP || r == -ENOSYS)
		r = (int)raw_call(SYS_ftruncate, fd, (long)len_bytes, 0, 0, 0, 0);
	return r == -EINTR ? -EAGAIN : r;
}

uint8_t *network_file_map(const struct network *n, const char *leaf, size_t len_bytes)
{
	int fd = reach_open(n, leaf, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	void *p = NULL;
	long size;

	if (fd < 0)
		return NULL;
	size = raw_pass(SYS_lseek, fd, 0, SEEK_END, 0, 0);
	if (size >= 0 && (size_t)size < len_bytes)
		size = file_too_long(len_bytes)					   ? -EFBIG
		       : raw_pass(SYS_ftruncate, fd, (long)len_bytes, 0, 0, 0) < 0 ? -1
										   : (long)len_bytes;
	if (size >= (long)len_bytes)
		p = raw_mmap(len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	raw_close(fd);
	return p;
}
