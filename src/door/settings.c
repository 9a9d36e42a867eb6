/* src/door/settings.c: what the machine says about port numbers, and which of them are fit to be given away.
 *
 * Read anew for each reservation, from /proc/sys/net/ipv4, which is the reader's own network namespace's: three small
 * files, some 30 us. The list of reserved ports ("8080,9000-9010") may be as long as 65,536 numbers make it, and the kernel
 * gives it to one read(2) alone: the next begins at its end. So a list that fills the buffer is read again into a larger one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "door/door.h"
#include "port/service.h"

#define SYSTEM_END 1024 /* RFC 6335, 6 */
#define DYNAMIC_FIRST 49152
#define LIST_MAX (512u << 10) /* every second number: 192 KiB */

/* Octets of it, 0 at its end or where it cannot be read. */
static size_t read_some(int fd, char *buf, size_t size_bytes)
{
	ssize_t n;

	do
		n = fd < 0 ? 0 : read(fd, buf, size_bytes);
	while (n < 0 && errno == EINTR);
	return n > 0 ? (size_t)n : 0;
}

/* Up to n numbers of a file, whatever stands between them. Return: how many. */
static unsigned read_numbers(const char *path, uint32_t *ret, unsigned n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[64];
	size_t len = read_some(fd, buf, sizeof(buf));
	unsigned k = 0;
	bool in = false;

	for (size_t i = 0; i < len; i++) {
		bool digit = buf[i] >= '0' && buf[i] <= '9';

		if (digit && !in && k < n)
			ret[k] = 0;
		if (digit && k < n)
			ret[k] = ret[k] * 10 + (uint32_t)(buf[i] - '0');
		k += in && !digit;
		in = digit;
	}
	if (fd >= 0)
		close(fd);
	return k + in < n ? k + in : n;
}

static void reserve(struct door_settings *s, uint32_t first, uint32_t last)
{
	for (uint32_t p = first; p <= last && p <= UINT16_MAX; p++)
		s->reserved[p / 64] |= UINT64_C(1) << (p % 64);
}

static void parse_reserved(struct door_settings *s, const char *list, size_t len)
{
	uint32_t first = 0, number = 0;
	bool range = false, any = false;

	for (size_t i = 0; i <= len; i++) {
		char c = i < len ? list[i] : '\n';

		if (c >= '0' && c <= '9') {
			number = number > UINT16_MAX ? number : number * 10 + (uint32_t)(c - '0');
			any = true;
			continue;
		}
		if (c == '-') {
			first = number;
			range = true;
		} else {
			if (any)
				reserve(s, range ? first : number, number);
			range = any = false;
		}
		number = 0;
	}
}

static void read_reserved(struct door_settings *s)
{
	int fd = open("/proc/sys/net/ipv4/ip_local_reserved_ports", O_RDONLY | O_CLOEXEC);
	char small[512], *big = NULL, *more;
	size_t size = sizeof(small), len = read_some(fd, small, size);

	while (len == size && size < LIST_MAX) {
		size *= 2;
		more = realloc(big, size);
		if (!more || lseek(fd, 0, SEEK_SET) != 0)
			break;
		big = more;
		len = read_some(fd, big, size);
	}
	parse_reserved(s, big ? big : small, len);
	free(big);
	if (fd >= 0)
		close(fd);
}

void door_settings_read(struct door_settings *ret)
{
	uint32_t range[2], start;

	*ret = (struct door_settings){.low = 32768, .high = 60999, .unprivileged = 1024};
	if (read_numbers("/proc/sys/net/ipv4/ip_local_port_range", range, 2) == 2 && range[0] <= range[1] &&
	    range[1] <= UINT16_MAX) {
		ret->low = (uint16_t)range[0];
		ret->high = (uint16_t)range[1];
	}
	if (read_numbers("/proc/sys/net/ipv4/ip_unprivileged_port_start", &start, 1) == 1)
		ret->unprivileged = start;
	read_reserved(ret);
}

enum door_place door_place(const struct door_settings *s, uint16_t port, bool named)
{
	if (port < SYSTEM_END || port < s->unprivileged)
		return DOOR_PRIVILEGED;
	if (s->reserved[port / 64] >> (port % 64) & 1)
		return DOOR_RESERVED;
	if (port_is_browser_blocked(port))
		return DOOR_BLOCKED;
	if (!named && port_is_named(port))
		return DOOR_NAMED;
	if (port >= s->low && port <= s->high)
		return DOOR_EPHEMERAL;
	return port >= DYNAMIC_FIRST ? DOOR_DYNAMIC : DOOR_USER;
}
