/* src/network/file.c: a file of the network's that is mapped whole, beside `table`.
 *
 * For what belongs to the network's programs and need not be true for the network to work. It is made at first
 * use, long and with nothing behind it: who writes to a page makes it real first (map.c says why).
 */
#include <sys/mman.h>
#include <unistd.h>

#include "network/internal.h"

uint8_t *network_file_map(const struct network *n, const char *leaf, size_t len_bytes)
{
	int fd = reach_open(n, leaf, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	void *p = NULL;
	long size;

	if (fd < 0)
		return NULL;
	size = raw_pass(SYS_lseek, fd, 0, SEEK_END, 0, 0);
	if (size >= 0 && (size_t)size < len_bytes)
		size = raw_pass(SYS_ftruncate, fd, (long)len_bytes, 0, 0, 0) < 0 ? -1 : (long)len_bytes;
	if (size >= (long)len_bytes)
		p = raw_mmap(len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	raw_close(fd);
	return p;
}
