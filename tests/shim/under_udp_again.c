/* tests/shim/under_udp_again.c: under_udp.c: a datagram that goes the way of one before, until something changes. */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "under_udp.h"

/* Three times, so that the last goes a remembered way; it must come out at `to`. */
static bool thrice(int from, int there)
{
	bool ok = true;

	for (int i = 0; i < 3; i++)
		ok = ok && send(from, &(char){(char)('a' + i)}, 1, 0) == 1;
	for (int i = 0; i < 3; i++)
		ok = ok && get(there, 200) == 1 && buf[0] == 'a' + i;
	return ok;
}

static int ttl_of(int fd)
{
	char control[64];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int ttl = -1;

	if (recvmsg(fd, &m, MSG_DONTWAIT) >= 0 && (c = CMSG_FIRSTHDR(&m)) && c->cmsg_type == IP_TTL)
		memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
	return ttl;
}

/* What is remembered of a datagram (udp_again.c) is forgotten as soon as it would be wrong, whoever made it so. */
static void the_same_way_again(void)
{
	int s = udp(AF_INET), any, exact, peer, other = bound("127.0.0.1", 7900), st;
	union addr a, me;
	socklen_t len = addr(&a, "0.0.0.0", 7800), me_len = addr(&me, "127.0.0.1", 7801);
	pid_t pid;

	any = udp(AF_INET);
	setsockopt(any, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	WANT(bind(any, &a.sa, len) == 0 && bind(s, &me.sa, me_len) == 0);
	len = addr(&a, "127.0.0.1", 7800);
	WANT(connect(s, &a.sa, len) == 0);
	WANT(thrice(s, any));
	exact = udp(AF_INET); /* a better match comes, then one that is connected to us, and both go */
	setsockopt(exact, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	WANT(bind(exact, &a.sa, len) == 0);
	WANT(thrice(s, exact));
	peer = udp(AF_INET);
	setsockopt(peer, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	WANT(bind(peer, &a.sa, len) == 0 && connect(peer, &me.sa, me_len) == 0);
	WANT(thrice(s, peer));
	close(peer);
	WANT(thrice(s, exact));
	close(exact);
	WANT(thrice(s, any));
	/* the sender's own options, errors, peer and end */
	setsockopt(any, IPPROTO_IP, IP_RECVTTL, &(int){1}, sizeof(int));
	WANT(send(s, "t", 1, 0) == 1 && ttl_of(any) == 64);
	setsockopt(s, IPPROTO_IP, IP_TTL, &(int){9}, sizeof(int));
	WANT(send(s, "t", 1, 0) == 1 && ttl_of(any) == 9);
	setsockopt(s, IPPROTO_UDP, UDP_CORK, &(int){1}, sizeof(int));
	WANT(send(s, "co", 2, 0) == 2 && send(s, "rk", 2, 0) == 2 && get(any, 0) == -2);
	setsockopt(s, IPPROTO_UDP, UDP_CORK, &(int){0}, sizeof(int));
	WANT(get(any, 200) == 4 && get(any, 0) == -2);
	WANT(send(s, buf, 65508, 0) < 0 && errno == EMSGSIZE && send(s, buf, 65507, 0) == 65507);
	WANT(get(any, 200) == 65507);
	close(any);
	WANT(send(s, "r", 1, 0) == 1 && send(s, "r", 1, 0) < 0 && errno == ECONNREFUSED);
	pid = fork(); /* a child turns the socket it shares with us elsewhere */
	if (pid == 0) {
		len = addr(&a, "127.0.0.1", 7900);
		_exit(connect(s, &a.sa, len) != 0);
	}
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
	WANT(thrice(s, other));
	WANT(to(s, "a", 1, "127.0.0.1", 7900) == 1 && to(s, "b", 1, "127.0.0.1", 7999) == 1);
	WANT(get(other, 200) == 1 && buf[0] == 'a' && get(other, 0) == -2);
	WANT(send(s, "c", 1, 0) == 1 && get(other, 200) == 1); /* what another peer refused is not its error */
	WANT(shutdown(s, SHUT_WR) == 0 && send(s, "e", 1, 0) < 0 && errno == EPIPE);
	close(other);
	close(s);
}

/* Three times to an address; it must come out at `there`, and nowhere before. */
static bool thrice_to(int from, const void *name, socklen_t len, int there)
{
	bool ok = true;

	for (int i = 0; i < 3; i++)
		ok = ok && sendto(from, &(char){(char)('a' + i)}, 1, 0, name, len) == 1 && get(there, 200) == 1 &&
		     buf[0] == 'a' + i;
	return ok;
}

/* The same with two families, names of several lengths, and ends that nobody saw. */
static void the_same_way_by_other_names(void)
{
	int any = udp(AF_INET6), s6 = udp(AF_INET6), s4 = udp(AF_INET), exact, dev, st;
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	union addr four, six, mapped, all = {0};
	socklen_t len4 = addr(&four, "127.0.0.1", 7820), len6 = addr(&six, "::1", 7820);
	pid_t pid;

	addr(&mapped, "::ffff:127.0.0.1", 7820);
	addr(&all, "::", 7820);
	setsockopt(any, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	WANT(bind(any, &all.sa, len6) == 0);
	for (int i = 0; i < 2; i++) {
		WANT(thrice_to(s6, &mapped, len6, any) && thrice_to(s6, &six, len6, any));
		WANT(thrice_to(s6, &six, 24, any) && thrice_to(s4, &four, len4, any) && thrice_to(s4, &four, 28, any));
		WANT(sendto(s4, "x", 1, 0, &four.sa, 8) < 0 && errno == EINVAL);
		WANT(sendto(s6, "x", 1, 0, &mapped.sa, 16) < 0 && errno == EINVAL);
		WANT(sendto(s4, "x", 1, MSG_OOB, &four.sa, len4) < 0 && errno == EOPNOTSUPP);
		WANT(sendto(s4, "x", 1, MSG_CONFIRM, &four.sa, len4) == 1 && get(any, 200) == 1);
		WANT(sendto(s4, NULL, 0, 0, &four.sa, len4) == 0 && get(any, 200) == 0);
	}
	exact = udp(AF_INET);
	setsockopt(exact, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	WANT(bind(exact, &four.sa, len4) == 0);
	WANT(thrice_to(s6, &mapped, len6, exact) && thrice_to(s4, &four, len4, exact));
	WANT(thrice_to(s6, &six, len6, any));
	pid = fork();
	if (pid == 0)
		_exit(close(exact) != 0);
	WANT(waitpid(pid, &st, 0) == pid && st == 0 && thrice_to(s4, &four, len4, exact));
	WANT(dup2(0, exact) == exact && thrice_to(s4, &four, len4, any));
	close(exact);
	dev = udp(AF_INET);
	setsockopt(dev, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	WANT(setsockopt(dev, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0 && bind(dev, &four.sa, len4) == 0);
	WANT(thrice_to(s4, &four, len4, dev));
	close(dev);
	WANT(thrice_to(s4, &four, len4, any));
	WANT(connect(s6, &six.sa, len6) == 0 && thrice_to(s6, &unspec, sizeof(unspec), any));
	WANT(connect(s6, &unspec, sizeof(unspec)) == 0);
	WANT(sendto(s6, "x", 1, 0, &unspec, sizeof(unspec)) < 0 && errno == EDESTADDRREQ);
	WANT(connect(s4, &four.sa, len4) == 0 && thrice(s4, any));
	pid = fork();
	if (pid == 0)
		_exit(shutdown(s4, SHUT_WR) != 0);
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
	WANT(send(s4, "x", 1, 0) < 0 && errno == EPIPE);
	close(any);
	close(s4);
	close(s6);
}

/* Names of mailboxes, one after the other; with `known`, those that are not in it. */
static void mailboxes(const char *known, char *ret, size_t size)
{
	char path[4200];
	struct dirent *e;
	DIR *d;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "%s/s", network_dir);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (strstr(e->d_name, ".box") && !(known && strstr(known, e->d_name)))
			snprintf(ret + strlen(ret), size - strlen(ret), "%s", e->d_name);
	if (d)
		closedir(d);
}

/* While a sendmmsg() waits for a mailbox's lock, the network's table is cut short: the messages that follow must look again
 * before they touch it. Afterwards they go as before. */
static void cut_between_messages(void)
{
	enum { LOCK_WORD = 8, LOCK_SINCE = 9 }; /* of eight octets each (mailbox_map.h) */
	static char before[60000], name[256];
	char path[4600];
	struct mmsghdr v[4] = {0};
	struct iovec iov = {(char[]){"m"}, 1};
	volatile uint64_t *box;
	struct timespec now;
	struct stat ns;
	int fd, s, st, r;
	pid_t pid;

	mailboxes(NULL, before, sizeof(before));
	r = bound("127.0.0.1", 7950);
	mailboxes(before, name, sizeof(name));
	snprintf(path, sizeof(path), "%s/s/%s", network_dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	box = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	WANT(r >= 0 && box != MAP_FAILED && stat("/proc/self/ns/pid", &ns) == 0);
	if (box == MAP_FAILED)
		return;
	s = dial("127.0.0.1", 7950);
	WANT(thrice(s, r));
	clock_gettime(CLOCK_BOOTTIME, &now);
	box[LOCK_SINCE] = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	box[LOCK_WORD] = (uint64_t)(uint32_t)ns.st_ino << 32 | (uint32_t)getpid();
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 4; i++)
			v[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
		_exit(sendmmsg(s, v, 4, 0) != 4);
	}
	usleep(100000);
	WANT(get(r, 0) == -2 && waitpid(pid, &st, WNOHANG) == 0); /* it waits with the first */
	snprintf(path, sizeof(path), "%s/table", network_dir);
	WANT(truncate(path, 0) == 0);
	box[LOCK_SINCE] = 0;
	box[LOCK_WORD] = 0;
	WANT(waitpid(pid, &st, 0) == pid && st == 0);
	for (int i = 0; i < 4; i++)
		WANT(get(r, 200) == 1);
	WANT(thrice(s, r));
	munmap((void *)(uintptr_t)box, 4096);
	close(fd);
	close(r);
	close(s);
}

const struct check under_udp_again[] = {
	{"the same way again, until something changes", the_same_way_again},
	{"the same way by other names", the_same_way_by_other_names},
	{"the table is cut short between two messages of one call", cut_between_messages},
};
const size_t n_under_udp_again = sizeof(under_udp_again) / sizeof(under_udp_again[0]);
