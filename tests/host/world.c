/* tests/host/world.c: makes sockets of every kind that has a port, and writes down what each is.
 *
 * What is written down comes from what was asked for (addresses, flags, states by how TCP works) and from the socket
 * itself (fstat, SO_COOKIE, getsockname), never from a list of the kernel's.
 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../address.h"

#define NOBODY 65534

#define MUST(e)                                                                            \
	do {                                                                               \
		if (!(e)) {                                                                \
			printf("world: line %d: %s: %s\n", __LINE__, #e, strerror(errno)); \
			_exit(99);                                                         \
		}                                                                          \
	} while (0)

/* --- the namespace --- */

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void loopback_up(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &r) == 0);
	close(fd);
}

int world_enter(struct world *w, bool user_ns)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	*w = (struct world){.is_root = uid == 0 && !user_ns};
	if (unshare(CLONE_NEWNET | (w->is_root ? 0 : CLONE_NEWUSER)) < 0) {
		printf("no network namespace can be made here (%s)\n", strerror(errno));
		return 77;
	}
	if (!w->is_root) {
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_file("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "0 %u 1", gid);
		write_file("/proc/self/gid_map", map);
	}
	loopback_up();
	return 0;
}

/* --- writing down --- */

static struct port_addr to_addr(const union addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return port_addr_from4((const uint8_t *)&a->in.sin_addr);
	return port_addr_from6((const uint8_t *)&a->in6.sin6_addr, 0);
}

static uint16_t to_port(const union addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

static struct made *note(struct world *w, const char *what, int fd, enum host_state state)
{
	struct made *m = &w->made[w->n++];
	socklen_t len = sizeof(int);
	union addr a = {0}, peer = {0};
	struct stat st;
	int v = 0;

	MUST(w->n < MADE_MAX);
	*m = (struct made){.what = what, .state = (uint8_t)state, .fd = fd, .uid = geteuid()};
	MUST(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len) == 0);
	m->proto = v == SOCK_STREAM ? HOST_TCP : v == SOCK_DGRAM ? HOST_UDP : HOST_RAW;
	MUST(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len) == 0);
	m->family = v == AF_INET ? PORT_FAMILY_4 : PORT_FAMILY_6;
	MUST(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, &len) == 0);
	m->reuseaddr = v != 0;
	MUST(getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &v, &len) == 0);
	m->reuseport = v != 0;
	len = sizeof(m->cookie);
	MUST(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &m->cookie, &len) == 0);
	len = sizeof(a);
	MUST(getsockname(fd, &a.sa, &len) == 0);
	m->addr = to_addr(&a);
	m->port = to_port(&a);
	len = sizeof(peer);
	m->peer = m->family == PORT_FAMILY_4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	if (getpeername(fd, &peer.sa, &len) == 0) {
		m->peer = to_addr(&peer);
		m->peer_port = to_port(&peer);
	}
	MUST(fstat(fd, &st) == 0);
	m->inode = st.st_ino;
	m->pids[0] = getpid();
	m->holder = HOST_HELD_BY_PROCESS;
	/* One IPv6 address is IPv6 alone, whatever was set (RULES-OF-PORTS, C2). */
	m->is |= (state == HOST_LISTEN || state == HOST_BOUND) && m->family == PORT_FAMILY_6 &&
				 !port_addr_is4(&m->addr) && !port_addr_is_any(&m->addr)
			 ? HOST_IS_V6ONLY
			 : 0;
	return m;
}

/* The row that a socket leaves when nobody has it any more. */
static struct made *note_ghost(struct world *w, const struct made *of, const char *what, enum host_state state,
			       enum host_holder holder)
{
	struct made *m = &w->made[w->n++];

	MUST(w->n < MADE_MAX);
	*m = *of;
	m->what = what;
	m->state = (uint8_t)state;
	m->holder = holder;
	m->inode = m->cookie = 0;
	m->uid = 0;
	m->pids[0] = 0;
	m->fd = -1;
	return m;
}

static struct made *note_other_end(struct world *w, const struct made *of, const char *what, enum host_state state,
				   enum host_holder holder)
{
	struct made *m = note_ghost(w, of, what, state, holder);

	m->addr = of->peer;
	m->port = of->peer_port;
	m->peer = of->addr;
	m->peer_port = of->port;
	return m;
}

/* --- sockets --- */

static void set(int fd, int level, int name, int v)
{
	MUST(setsockopt(fd, level, name, &v, sizeof(v)) == 0);
}

enum { ADDR = 1, PORT = 2, V6ONLY = 4, LISTENS = 8, DGRAM = 16, DEVICE = 32, FREEBIND = 64 };

static int make(const char *address, int port, int how)
{
	union addr a;
	socklen_t len = addr(&a, address, port);
	int fd = socket(a.sa.sa_family, (how & DGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	if (a.sa.sa_family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (how & V6ONLY) != 0);
	if (how & ADDR)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (how & PORT)
		set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (how & FREEBIND)
		set(fd, IPPROTO_IP, IP_FREEBIND, 1);
	if (how & DEVICE)
		MUST(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
	MUST(bind(fd, &a.sa, len) == 0);
	if (how & LISTENS)
		MUST(listen(fd, 8) == 0);
	return fd;
}

static const struct simple {
	const char *what, *address;
	int port, how;
} simple[] = {
	{"a listener on IPv4", "127.0.0.1", 4001, LISTENS},
	{"a listener on all of IPv4", "0.0.0.0", 4002, LISTENS},
	{"a listener on IPv6", "::1", 4003, LISTENS},
	{"a listener on both families", "::", 4004, LISTENS},
	{"a listener on all of IPv6 alone", "::", 4005, LISTENS | V6ONLY},
	{"one half of a split door", "127.0.0.1", 4006, LISTENS},
	{"the other half", "::1", 4006, LISTENS},
	{"a listener at ::ffff:127.0.0.1", "::ffff:127.0.0.1", 4007, LISTENS},
	{"one of two that share by SO_REUSEPORT", "127.0.0.1", 4008, LISTENS | PORT},
	{"the other", "127.0.0.1", 4008, LISTENS | PORT},
	{"bound and idle", "127.0.0.1", 4010, 0},
	{"bound and idle on both families", "::", 4011, 0},
	{"bound and idle on IPv6 alone", "::", 4012, V6ONLY},
	{"one of two that are bound by SO_REUSEADDR", "0.0.0.0", 4013, ADDR},
	{"the other", "0.0.0.0", 4013, ADDR},
	{"bound to a device", "0.0.0.0", 4014, DEVICE},
	{"bound to an address that is not here", "192.0.2.1", 4015, FREEBIND},
	{"UDP on IPv4", "127.0.0.1", 4020, DGRAM},
	{"UDP on both families", "::", 4021, DGRAM},
	{"UDP on IPv6 alone", "::", 4022, DGRAM | V6ONLY},
	{"UDP shared by SO_REUSEADDR", "0.0.0.0", 4023, DGRAM | ADDR},
	{"the other", "0.0.0.0", 4023, DGRAM | ADDR},
	{"UDP on the number of a TCP listener", "127.0.0.1", 4001, DGRAM},
};

static void make_simple(struct world *w)
{
	for (size_t i = 0; i < COUNT_OF(simple); i++) {
		const struct simple *s = &simple[i];
		int fd = make(s->address, s->port, s->how);
		struct made *m = note(w, s->what, fd, s->how & LISTENS ? HOST_LISTEN : HOST_BOUND);

		m->is |= s->how & V6ONLY ? HOST_IS_V6ONLY : 0;
		m->is |= s->how & FREEBIND ? HOST_IS_FREEBIND : 0;
	}
}

static int connect_to(const char *address, int port, int flags)
{
	union addr a;
	socklen_t len = addr(&a, address, port);
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	MUST(fd >= 0 && (connect(fd, &a.sa, len) == 0 || errno == EINPROGRESS));
	return fd;
}

static int accept_at(int fd)
{
	int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	MUST(c >= 0);
	return c;
}

/* Until the peer's end of file is here. */
static void wait_eof(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLRDHUP};

	do
		MUST(poll(&p, 1, 10000) == 1);
	while (!(p.revents & POLLRDHUP));
}

static int tcp_state(int fd)
{
	struct tcp_info t = {0};
	socklen_t len = sizeof(t);

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) == 0);
	return t.tcpi_state;
}

static void wait_state(int fd, int state)
{
	for (int i = 0; tcp_state(fd) != state; i++) {
		MUST(i < 2000);
		usleep(5000);
	}
}

/* A client and its server, both open. */
static void make_pair(struct world *w, const char *listen_at, const char *connect_at, int port)
{
	int l = make(listen_at, port, LISTENS), c = connect_to(connect_at, port, 0), s = accept_at(l);

	note(w, "the listener of a connection", l, HOST_LISTEN);
	note(w, "a client", c, HOST_ESTABLISHED);
	note(w, "what was accepted", s, HOST_ESTABLISHED)->is |= HOST_IS_ACCEPTED;
}

static void make_half_closed(struct world *w)
{
	int l = make("127.0.0.1", 4034, LISTENS), c = connect_to("127.0.0.1", 4034, 0), s = accept_at(l);
	struct made *m;

	MUST(shutdown(c, SHUT_WR) == 0);
	wait_eof(s);
	wait_state(c, TCP_FIN_WAIT2);
	note(w, "the listener of a half-closed connection", l, HOST_LISTEN);
	m = note(w, "a client that said its last", c, HOST_FIN_WAIT2);
	m->is |= HOST_IS_SHUT_WR;
	note(w, "a server that may still speak", s, HOST_CLOSE_WAIT)->is |= HOST_IS_ACCEPTED | HOST_IS_SHUT_RD;
}

/* A client that is gone while its server is not: the kernel keeps it for a minute. */
static void make_orphan(struct world *w)
{
	int l = make("127.0.0.1", 4035, LISTENS), c = connect_to("127.0.0.1", 4035, 0), s = accept_at(l);
	struct made *server;

	note(w, "the listener of an orphan's peer", l, HOST_LISTEN);
	server = note(w, "an orphan's peer", s, HOST_CLOSE_WAIT);
	server->is |= HOST_IS_ACCEPTED | HOST_IS_SHUT_RD;
	MUST(shutdown(c, SHUT_WR) == 0);
	wait_eof(s);
	wait_state(c, TCP_FIN_WAIT2);
	close(c);
	note_other_end(w, server, "an orphan", HOST_FIN_WAIT2, HOST_HELD_ORPHAN)->is = 0;
}

/* Who closes first has TIME_WAIT: a client, or a server on its listener's port. */
static void make_time_wait(struct world *w, int port, bool server_first)
{
	int l = make("127.0.0.1", port, LISTENS), c = connect_to("127.0.0.1", port, 0), s = accept_at(l);
	int first = server_first ? s : c, second = server_first ? c : s;
	struct world scratch = {0};
	struct made *m = note(&scratch, "", first, HOST_ESTABLISHED);

	close(first);
	wait_eof(second);
	close(second);
	if (server_first)
		note(w, "the listener of what is in TIME_WAIT", l, HOST_LISTEN);
	else
		close(l);
	m = note_ghost(w, m, server_first ? "a server in TIME_WAIT" : "a client in TIME_WAIT", HOST_TIME_WAIT,
		       HOST_HELD_TIME_WAIT);
	m->is = server_first ? HOST_IS_ACCEPTED : 0;
}

/* Callers that nobody accepts: in the queue, and with TCP_DEFER_ACCEPT before it. */
static void make_callers(struct world *w)
{
	int l = make("127.0.0.1", 4038, LISTENS), d = make("127.0.0.1", 4039, 0), c;

	set(d, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60);
	MUST(listen(d, 8) == 0);
	c = connect_to("127.0.0.1", 4038, 0);
	note(w, "a listener that accepts nobody", l, HOST_LISTEN);
	note_other_end(w, note(w, "a client that waits", c, HOST_ESTABLISHED), "in the queue", HOST_ESTABLISHED,
		       HOST_HELD_UNACCEPTED)
		->is |= HOST_IS_ACCEPTED;
	c = connect_to("127.0.0.1", 4039, 0);
	note(w, "a listener that defers", d, HOST_LISTEN);
	note_other_end(w, note(w, "a client that says nothing", c, HOST_ESTABLISHED), "half open", HOST_SYN_RECV,
		       HOST_HELD_UNACCEPTED)
		->is |= HOST_IS_ACCEPTED;
}

/* A queue that is full: who comes then is not answered. */
static void make_unanswered(struct world *w)
{
	int l = make("127.0.0.1", 4040, 0), c;

	MUST(listen(l, 0) == 0);
	note(w, "a listener with a full queue", l, HOST_LISTEN);
	c = connect_to("127.0.0.1", 4040, 0);
	note_other_end(w, note(w, "a client in the queue", c, HOST_ESTABLISHED), "the queue's one place",
		       HOST_ESTABLISHED, HOST_HELD_UNACCEPTED)
		->is |= HOST_IS_ACCEPTED;
	c = connect_to("127.0.0.1", 4040, SOCK_NONBLOCK);
	{
		struct made *m = note(w, "a client that is not answered", c, HOST_SYN_SENT);

		m->peer = port_addr_v4(127, 0, 0, 1);
		m->peer_port = 4040;
	}
}

static void make_connected_udp(struct world *w)
{
	union addr a;
	socklen_t len;
	int fd = make("127.0.0.1", 4050, DGRAM);

	len = addr(&a, "127.0.0.1", 4020);
	MUST(connect(fd, &a.sa, len) == 0);
	note(w, "UDP connected", fd, HOST_ESTABLISHED);
	fd = make("::", 4051, DGRAM);
	len = addr(&a, "::1", 4021);
	MUST(connect(fd, &a.sa, len) == 0);
	note(w, "UDP connected on IPv6", fd, HOST_ESTABLISHED);
}

/* Sent in a message that nobody reads, and closed. */
static void make_in_flight(struct world *w)
{
	char space[CMSG_SPACE(sizeof(int))] = {0}, octet = 'x';
	struct iovec v = {&octet, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	int fd = make("127.0.0.1", 4060, LISTENS), pair[2];
	struct made *m = note(w, "in a message that nobody has read", fd, HOST_LISTEN);

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	MUST(sendmsg(pair[0], &h, 0) == 1);
	close(fd);
	m->pids[0] = 0;
	m->fd = -1;
	m->holder = HOST_HELD_NOBODY;
}

/* A child that has no socket of ours but `keep` (-1: none). */
static pid_t start(struct world *w, int keep, int *ret_up)
{
	int up[2];
	pid_t pid;

	MUST(pipe2(up, O_CLOEXEC) == 0);
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 3; fd < 1024; fd++)
			if (fd != keep && fd != up[1])
				close(fd);
	} else {
		w->children[w->n_children++] = pid;
		close(up[1]);
	}
	*ret_up = up[pid == 0];
	return pid;
}

/* The child's rows, through the pipe. */
static void take_rows(struct world *w, int up)
{
	struct made m;
	ssize_t n;

	while ((n = read(up, &m, sizeof(m))) == sizeof(m))
		w->made[w->n++] = m;
	MUST(n == 0);
	close(up);
}

/* A socket of two processes, under two numbers. */
static void make_shared(struct world *w)
{
	int fd = make("127.0.0.1", 4061, LISTENS), up;
	struct made *m = note(w, "a listener of two processes", fd, HOST_LISTEN);
	pid_t pid = start(w, fd, &up);

	if (pid == 0) {
		MUST(dup2(fd, 777) == 777);
		close(fd);
		close(up);
		for (;;)
			pause();
	}
	take_rows(w, up);
	m->pids[m->pids[0] < pid] = pid;
	if (m->pids[0] == pid) {
		m->pids[1] = getpid();
		m->fd = 777;
	}
}

/* Another user's, which only root can make here. */
static void make_user(struct world *w)
{
	struct world own = {0};
	int up;

	if (!w->is_root || start(w, -1, &up) != 0) {
		if (w->is_root)
			take_rows(w, up);
		return;
	}
	MUST(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	     setresuid(NOBODY, NOBODY, NOBODY) == 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten with the old user */
	prctl(PR_SET_DUMPABLE, 1);	  /* as after an exec: the user may look into it */
	note(&own, "another user's listener", make("127.0.0.1", 4062, LISTENS), HOST_LISTEN);
	note(&own, "another user's UDP", make("127.0.0.1", 4062, DGRAM), HOST_BOUND);
	note(&own, "another user's, bound", make("127.0.0.1", 4063, 0), HOST_BOUND);
	MUST(write(up, own.made, (size_t)own.n * sizeof(own.made[0])) ==
	     (ssize_t)((size_t)own.n * sizeof(own.made[0])));
	close(up);
	for (;;)
		pause();
}

/* The same numbers in another network namespace: no row of ours. */
static void make_elsewhere(struct world *w)
{
	int up;

	if (start(w, -1, &up) != 0) {
		take_rows(w, up);
		return;
	}
	MUST(unshare(CLONE_NEWNET) == 0);
	loopback_up();
	(void)make("127.0.0.1", 4001, LISTENS);
	(void)make("127.0.0.1", 4099, LISTENS);
	close(up);
	for (;;)
		pause();
}

static void make_mptcp(struct world *w)
{
	union addr a;
	socklen_t len = addr(&a, "127.0.0.1", 4064);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262);

	if (fd < 0) /* a kernel without it */
		return;
	MUST(bind(fd, &a.sa, len) == 0 && listen(fd, 1) == 0);
	note(w, "a listener of MPTCP's", fd, HOST_LISTEN)->cookie = 0; /* the row is a subflow's */
}

static void make_raw(struct world *w)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	struct made *m;

	if (fd < 0)
		return;
	m = note(w, "raw", fd, HOST_BOUND);
	m->port = IPPROTO_ICMP;
	m->cookie = 0; /* text has none */
}

void world_make(struct world *w)
{
	make_simple(w);
	make_pair(w, "127.0.0.1", "127.0.0.1", 4030);
	make_pair(w, "::1", "::1", 4031);
	make_pair(w, "::", "::1", 4032);
	make_pair(w, "::", "127.0.0.1", 4033);
	make_half_closed(w);
	make_orphan(w);
	make_time_wait(w, 4036, false);
	make_time_wait(w, 4037, true);
	make_callers(w);
	make_unanswered(w);
	make_connected_udp(w);
	make_in_flight(w);
	make_mptcp(w);
	make_raw(w);
	make_shared(w);
	make_user(w);
	make_elsewhere(w);
}

void world_end(struct world *w)
{
	for (int i = 0; i < w->n_children; i++) {
		kill(w->children[i], SIGKILL);
		waitpid(w->children[i], NULL, 0);
	}
	w->n_children = 0;
}
