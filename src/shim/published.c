/* src/shim/published.c: accept() of a connection that came to the machine's own kernel.
 *
 * A publisher (cli/publisher.c) listens on a port of the machine for a listener of ours. A caller it hears is brought
 * here: the publisher connects to the listener's path under a name that says whose connection it has
 * (network_name_published()), sends the kernel's socket as a message, and closes. What accept() returns to the program
 * is that socket: nothing of ours is between it and its caller from then on, and its names are the kernel's.
 *
 * The name wakes accept() before the message is there, by a microsecond or two; so we look a few times, and let the
 * publisher have this processor if it was on it, before we sleep for it: that would be two switches and a wake-up more. A
 * publisher that was killed between the two is an end of file; one that was stopped there costs WAIT_MS and its caller,
 * whom it brings again when it goes on.
 *
 * A program has one descriptor left, which accept() took for the client, and none for what it brings. So the message is
 * looked at and stays where it is; and if that did not work, the supervisor puts the socket in the client's place (ASK_TAKE).
 *
 * Who can connect to the path is a program of this network; still a descriptor is taken only from the network's user
 * or root, and only if it is a stream of the IP families.
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "network/reach.h"
#include "shim/gone.h"
#include "shim/shim.h"

#define WAIT_MS 1000
#define LOOKS 16

static bool is_trusted(const struct shim *s, int client)
{
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);

	return sys_getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == shim_euid(s));
}

/* TCP is a stream and of the IP families, all in one question. */
bool published_is_stream(int fd)
{
	int proto = 0;
	socklen_t len = sizeof(proto);

	return sys_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len) == 0 && proto == IPPROTO_TCP;
}

int published_receive(int client, int flags)
{
	union {
		struct cmsghdr h;
		char octets[CMSG_SPACE(sizeof(int))];
	} c = {0};
	uint8_t octet;
	struct iovec iov = {&octet, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	long r = sys_call(SYS_recvmsg, client, (long)&m,
			  MSG_PEEK | MSG_DONTWAIT | (flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0), 0, 0);
	int fd;

	if (r < 0)
		return (int)r;
	if (r != 1 || m.msg_controllen < CMSG_LEN(sizeof(int)) || c.h.cmsg_type != SCM_RIGHTS ||
	    c.h.cmsg_level != SOL_SOCKET)
		return m.msg_flags & MSG_CTRUNC ? -EMFILE : -ENOENT;
	memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

int published_take(struct shim *s, int listener, const struct tag *t, int client, const void *path, size_t len_bytes,
		   int flags, struct port_tuple *ret)
{
	const struct linger none = {.l_onoff = 0};
	struct pollfd p = {.fd = client, .events = POLLIN};
	const struct timespec wait = {.tv_sec = WAIT_MS / 1000, .tv_nsec = WAIT_MS % 1000 * 1000000L};
	int fd;

	if (network_name_is_published(&s->net, path, len_bytes, ret) < 0 || !is_trusted(s, client))
		return -ENOENT;
	fd = published_receive(client, flags);
	for (int i = 0; fd == -EAGAIN && i < LOOKS; i++) {
		(void)sys_call(SYS_sched_yield, 0, 0, 0, 0, 0);
		fd = published_receive(client, flags);
	}
	if (fd == -EAGAIN) {
		struct timespec left = wait; /* the kernel writes into it */

		(void)sys_call(SYS_ppoll, (long)&p, 1, (long)&left, 0, 0);
		fd = published_receive(client, flags);
	}
	if (fd == -EMFILE && reach_take(client, flags & SOCK_CLOEXEC) == 0)
		fd = client;
	else
		sys_close(client); /* and what is still in it */
	if (fd < 0)
		return -ECONNABORTED;
	if (!published_is_stream(fd)) {
		sys_close(fd);
		return -ECONNABORTED;
	}
	gone_forget(fd); /* the number may have been a stream of ours */
	(void)sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)); /* until here its end was a reset */
	if (!(flags & SOCK_NONBLOCK))
		(void)sys_fcntl(fd, F_SETFL, O_RDWR); /* it comes non-blocking, as most servers want it */
	sock_inherit_published(listener, fd, t);
	return fd;
}
