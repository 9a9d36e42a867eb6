/* src/shim/ask.c: what the kernel says of an option.
 *
 * There are more than two hundred socket options, each with lengths, bounds, defaults and errors of its own
 * that change from kernel to kernel. Ours have the answers of the machine they run on because the machine is
 * asked: a socket of the kernel's own, of the same family and type, is made, told what was set before, told or
 * asked what the program wants, and closed. It is never bound, connected or seen by anybody. The program's own
 * pointers are given to it, so a bad one is EFAULT.
 *
 * A program with a seccomp filter of its own may be killed for a socket() it would not make: then what it sets is
 * taken unseen, and what it asks for is what was set, or 0.
 *
 * It costs three system calls, 2 us, and a descriptor for that long. The options that programs set on each
 * connection do not come here (options.c has them in its table): neither do those that would do something to the
 * machine (joining a multicast group), and those whose answer hangs on what the socket is doing.
 */
#include "shim/options.h"

int sock_ask_open(const struct tag *t)
{
	return sys_socket(t->family == PORT_FAMILY_6 ? AF_INET6 : AF_INET,
			  (t->flags & TAG_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
}

int sock_ask_set(const struct tag *t, int level, int name, const void *val, socklen_t len)
{
	int fd, r;

	if (confined())
		return bad_pointer(val) && len ? -EFAULT : 0;
	fd = sock_ask_open(t);
	if (fd < 0)
		return fd;
	r = sys_setsockopt(fd, level, name, val, len);
	sys_close(fd);
	return r;
}

int sock_ask_get(int ours, const struct tag *t, int key, int level, int name, void *val, socklen_t *len)
{
	uint8_t v[EXTRA_OCTETS_MAX] = {0};
	size_t v_len = sizeof(int32_t);
	int fd, r;

	if (confined()) {
		if (!key)
			return -EPERM;
		if (t->flags & TAG_EXTRA && !extra_get_octets(sock_cookie(ours), key, v, &v_len))
			v_len = sizeof(int32_t);
		return option_put(v, v_len, val, len);
	}
	fd = sock_ask_open(t);
	if (fd < 0)
		return fd;
	if (key && t->flags & TAG_EXTRA && extra_get_octets(sock_cookie(ours), key, v, &v_len))
		(void)sys_setsockopt(fd, level, name, v, (socklen_t)v_len);
	r = sys_getsockopt(fd, level, name, val, len);
	sys_close(fd);
	return r;
}
