/* tests/packetdrill/adapter.c: berth's stack as a library that packetdrill drives.
 *
 *	packetdrill --so_filename=libberth-packetdrill.so --so_flags=mtu=1500 script.pkt
 *
 * Each function takes the world's lock, makes the call on the stack, and lets the stack send (world_settle()). Calls that would
 * block wait in virtual time (world_wait()). A script's %{ }% block asks libc's getsockopt() for TCP_INFO: preload the same file
 * (LD_PRELOAD) and it is answered here, too.
 */
#include "interface.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NO_LIMIT UINT64_MAX

static struct world *the_world; /* for close() and getsockopt(), which have no userdata */

static struct world *begin(void *u)
{
	struct world *w = u;

	pthread_mutex_lock(&w->lock);
	world_call_begins(w);
	return w;
}

/* Ends every call: a negative errno becomes -1 and errno. */
static int64_t end(struct world *w, int64_t r)
{
	world_settle(w);
	world_call_done(w);
	pthread_mutex_unlock(&w->lock);
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

/* Pipes are the kernel's, whoever is asked to read them. */
static bool is_ours(struct world *w, int fd)
{
	bool ours = false;

	if (w != NULL) {
		pthread_mutex_lock(&w->lock);
		ours = world_fd(w, fd) != NULL;
		pthread_mutex_unlock(&w->lock);
	}
	return ours;
}

static struct fd *socket_of(struct world *w, int number)
{
	struct fd *f = world_fd(w, number);

	return f != NULL && f->kind == FD_SOCKET ? f : NULL;
}

/* --- addresses --- */

static int address_in(const struct fd *f, const struct sockaddr *sa, socklen_t len, struct berth_addr *ret)
{
	*ret = (struct berth_addr){.port = 0};
	if (sa == NULL || len < sizeof(sa->sa_family))
		return -EINVAL;
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)sa;

		if (f->domain != AF_INET)
			return -EAFNOSUPPORT;
		ret->ip[10] = ret->ip[11] = 0xff;
		memcpy(ret->ip + 12, &in->sin_addr, 4);
		ret->port = ntohs(in->sin_port);
		return 0;
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in = (const void *)sa;

		if (f->domain != AF_INET6)
			return -EAFNOSUPPORT;
		memcpy(ret->ip, &in->sin6_addr, 16);
		ret->port = ntohs(in->sin6_port);
		return 0;
	}
	return sa->sa_family == AF_INET || sa->sa_family == AF_INET6 ? -EINVAL : -EAFNOSUPPORT;
}

static void address_out(const struct fd *f, const struct berth_addr *a, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
	const void *from = f->domain == AF_INET ? (void *)&in : (void *)&in6;
	socklen_t n = f->domain == AF_INET ? sizeof(in) : sizeof(in6);

	if (sa == NULL || len == NULL)
		return;
	memcpy(&in.sin_addr, a->ip + 12, 4);
	memcpy(&in6.sin6_addr, a->ip, 16);
	memcpy(sa, from, *len < n ? *len : n);
	*len = n;
}

/* --- waiting for a socket --- */

struct wish {
	berth_sock sock;
	int bits;
};

static bool wish_true(struct world *w, void *arg)
{
	struct wish *wish = arg;
	int now = berth_sock_poll(w->st, wish->sock);

	return now < 0 || (now & (wish->bits | BERTH_EV_ERR | BERTH_EV_HUP));
}

/* Wait as the socket's mode and timeout say. Return: 0, go on; -EAGAIN. */
static int wait_for(struct world *w, struct fd *f, int bits, int flags, uint64_t timeout_us)
{
	struct wish wish = {f->sock, bits};

	if (f->nonblocking || flags & MSG_DONTWAIT)
		return -EAGAIN;
	world_settle(w);
	return world_wait(w, wish_true, &wish, timeout_us != 0 ? timeout_us : NO_LIMIT) ? 0 : -EAGAIN;
}

/* --- the calls --- */

static void pd_free(void *u)
{
	the_world = NULL;
	world_fini(u);
	free(u);
}

static int pd_socket(void *u, int domain, int type, int protocol)
{
	struct world *w = begin(u);
	int proto = (type & 0xf) == SOCK_STREAM ? BERTH_TCP : BERTH_UDP;
	struct fd *f;
	int r;

	if (domain != AF_INET && domain != AF_INET6)
		return (int)end(w, -EAFNOSUPPORT);
	if (((type & 0xf) != SOCK_STREAM && (type & 0xf) != SOCK_DGRAM) || (protocol != 0 && protocol != proto))
		return (int)end(w, -EPROTONOSUPPORT);
	f = world_fd_new(w, FD_SOCKET);
	if (f == NULL)
		return (int)end(w, -EMFILE);
	r = berth_sock_open(w->st, proto, domain == AF_INET ? BERTH_IPV4 : BERTH_IPV6, (uint64_t)f->number, &f->sock);
	if (r < 0) {
		world_fd_free(f);
		return (int)end(w, r);
	}
	f->domain = domain;
	f->type = type & 0xf;
	f->nonblocking = type & SOCK_NONBLOCK;
	f->sndbuf = sysctl_buffer(w, "tcp_wmem", 262144);
	f->rcvbuf = sysctl_buffer(w, "tcp_rmem", 540000);
	sysctl_apply(w, f);
	return (int)end(w, f->number);
}

static int pd_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);
	struct berth_addr a;
	int r = f == NULL ? -EBADF : address_in(f, sa, len, &a);

	if (r == 0)
		r = berth_sock_bind(w->st, f->sock, &a);
	if (r == 0)
		f->bound = true;
	return (int)end(w, r);
}

static int pd_listen(void *u, int fd, int backlog)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);
	int r;

	if (f == NULL)
		return (int)end(w, -EBADF);
	sysctl_apply(w, f);
	if ((sysctl_fastopen(w) & (FASTOPEN_SERVER | FASTOPEN_ALL)) == (FASTOPEN_SERVER | FASTOPEN_ALL) &&
	    !(f->chosen >> BERTH_FASTOPEN & 1))
		(void)berth_sock_set(w->st, f->sock, BERTH_FASTOPEN, backlog > 0 ? (uint64_t)backlog : 1);
	if (!(sysctl_fastopen(w) & FASTOPEN_SERVER))
		(void)berth_sock_set(w->st, f->sock, BERTH_FASTOPEN, 0);
	r = berth_sock_listen(w->st, f->sock, backlog < 0 ? 0 : (unsigned)backlog);
	f->listening = r == 0;
	return (int)end(w, r);
}

static int pd_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd), *child;
	struct berth_addr peer;
	berth_sock s;
	int r;

	if (f == NULL)
		return (int)end(w, -EBADF);
	if (f->type != SOCK_STREAM)
		return (int)end(w, -EOPNOTSUPP);
	do {
		r = berth_sock_accept(w->st, f->sock, 0, &s, &peer);
		if (r != -EAGAIN)
			break;
		r = wait_for(w, f, BERTH_EV_IN, 0, f->rcv_timeout_us);
	} while (r == 0);
	if (r < 0)
		return (int)end(w, r);
	child = world_fd_new(w, FD_SOCKET);
	if (child == NULL) {
		berth_sock_abort(w->st, s);
		return (int)end(w, -EMFILE);
	}
	child->sock = s;
	child->domain = f->domain;
	child->type = f->type;
	child->connected = true;
	child->sndbuf = f->sndbuf;
	child->rcvbuf = f->rcvbuf;
	address_out(f, &peer, sa, len);
	return (int)end(w, child->number);
}

/* connect(AF_UNSPEC): a reset, and a socket as it was before connect(): with the options and the address that the program gave it. */
static int disconnect(struct world *w, struct fd *f)
{
	struct berth_addr local;
	berth_sock s;
	int r;

	if (f->type == SOCK_DGRAM)
		return berth_sock_connect(w->st, f->sock, NULL);
	r = berth_sock_open(w->st, BERTH_TCP, f->domain == AF_INET ? BERTH_IPV4 : BERTH_IPV6, (uint64_t)f->number, &s);
	if (r < 0)
		return r;
	for (int o = 0; o < BERTH_NOPTIONS; o++) {
		uint64_t v;

		if (f->chosen >> o & 1 && berth_sock_get(w->st, f->sock, (enum berth_option)o, &v) == 0)
			(void)berth_sock_set(w->st, s, (enum berth_option)o, v);
	}
	r = berth_sock_names(w->st, f->sock, &local, NULL);
	berth_sock_abort(w->st, f->sock);
	f->sock = s;
	f->connecting = f->connected = f->deferred = f->listening = false;
	return f->bound && r == 0 ? berth_sock_bind(w->st, s, &local) : 0;
}

/* How much may go with a SYN to a? Asked of a socket whose SYN never leaves. */
static uint64_t fastopen_room(struct world *w, const struct fd *f, const struct berth_addr *a)
{
	uint64_t room = 0;
	berth_sock s;

	if (!(sysctl_fastopen(w) & FASTOPEN_CLIENT) ||
	    berth_sock_open(w->st, BERTH_TCP, f->domain == AF_INET ? BERTH_IPV4 : BERTH_IPV6, 0, &s) < 0)
		return 0;
	if (berth_sock_set(w->st, s, BERTH_FASTOPEN, 1) == 0 && berth_sock_connect(w->st, s, a) == -EINPROGRESS)
		(void)berth_sock_get(w->st, s, BERTH_FASTOPEN_ROOM, &room);
	berth_sock_abort(w->st, s);
	return room;
}

/* Until it is connected, or is not. */
static int connect_wait(struct world *w, struct fd *f, int flags)
{
	uint64_t err = 0;

	f->connecting = true;
	if (!(berth_sock_poll(w->st, f->sock) & (BERTH_EV_OUT | BERTH_EV_ERR | BERTH_EV_HUP)) &&
	    wait_for(w, f, BERTH_EV_OUT, flags, f->snd_timeout_us) < 0)
		return -EINPROGRESS;
	f->connecting = false;
	if (berth_sock_get(w->st, f->sock, BERTH_SO_ERROR, &err) == 0 && err != 0)
		return -(int)err;
	f->connected = true;
	return 0;
}

static int pd_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);
	struct berth_addr a;
	int r = f == NULL ? -EBADF : 0;

	if (r == 0 && sa != NULL && len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC)
		return (int)end(w, disconnect(w, f));
	if (r == 0)
		r = address_in(f, sa, len, &a);
	if (r < 0)
		return (int)end(w, r);
	if (f->connecting)
		/* the second call of a program that did not wait */
		return (int)end(w, berth_sock_poll(w->st, f->sock) & (BERTH_EV_OUT | BERTH_EV_ERR | BERTH_EV_HUP)
					   ? connect_wait(w, f, 0)
					   : berth_sock_connect(w->st, f->sock, &a));
	if (f->deferred)
		return (int)end(w, -EISCONN);
	sysctl_apply(w, f);
	if (f->fastopen_connect && f->type == SOCK_STREAM && !f->connected) {
		f->peer = a;
		f->deferred = fastopen_room(w, f, &a) > 0;
		if (f->deferred)
			return (int)end(w, 0);
		(void)berth_sock_set(w->st, f->sock, BERTH_FASTOPEN, sysctl_fastopen(w) & FASTOPEN_CLIENT);
	}
	r = berth_sock_connect(w->st, f->sock, &a);
	if (r == -EINPROGRESS)
		r = connect_wait(w, f, 0);
	f->connected = f->connected || r == 0;
	return (int)end(w, r);
}

/* --- receiving --- */

static int64_t receive_once(struct world *w, struct fd *f, uint8_t *buf, uint32_t n, int flags)
{
	struct berth_part v[2];
	int64_t have;
	uint32_t done = 0;

	if (!(flags & (MSG_PEEK | MSG_TRUNC)))
		return berth_sock_recv(w->st, f->sock, buf, n);
	have = berth_sock_rx_peek(w->st, f->sock, v);
	for (int i = 0; have > 0 && i < 2 && done < n && done < (uint64_t)have; i++) {
		uint32_t take = v[i].len < n - done ? v[i].len : n - done;

		if (!(flags & MSG_TRUNC)) /* tcp(7): with MSG_TRUNC the octets are dropped, not copied */
			memcpy(buf + done, v[i].data, take);
		done += take;
	}
	if (have > 0 && !(flags & MSG_PEEK))
		berth_sock_rx_consume(w->st, f->sock, done);
	return have <= 0 ? have : done;
}

static int64_t receive_stream(struct world *w, struct fd *f, uint8_t *buf, uint32_t n, int flags)
{
	uint32_t done = 0;
	int64_t r;

	for (;;) {
		r = receive_once(w, f, buf + done, n - done, flags);
		if (r > 0)
			done += (uint32_t)r;
		if (r == 0 || done == n || (r > 0 && !(flags & MSG_WAITALL)))
			return done;
		if (r < 0 && r != -EAGAIN)
			return done > 0 ? (int64_t)done : r;
		if (r < 0 && wait_for(w, f, BERTH_EV_IN | BERTH_EV_RDHUP, flags, f->rcv_timeout_us) < 0)
			return done > 0 ? (int64_t)done : -EAGAIN;
	}
}

static int64_t receive_datagram(struct world *w, struct fd *f, uint8_t *buf, uint32_t n, int flags,
				struct berth_addr *ret_from)
{
	struct berth_dgram d = {.data = buf, .len = n, .iface = BERTH_IFACE_ANY};
	int64_t r;

	do {
		d.len = n;
		r = berth_sock_udp_recv(w->st, f->sock, &d, 1);
		if (r == 0)
			r = -EAGAIN;
		if (r != -EAGAIN)
			break;
	} while (wait_for(w, f, BERTH_EV_IN, flags, f->rcv_timeout_us) == 0);
	if (r < 0)
		return r;
	*ret_from = d.peer;
	return d.len < n || flags & MSG_TRUNC ? d.len : n;
}

static int64_t receive(struct world *w, int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
	struct fd *f = socket_of(w, fd);
	struct berth_addr from = {.port = 0};
	int64_t r;

	if (f == NULL)
		return -EBADF;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (flags & MSG_OOB)
		return -EINVAL;
	if (n > INT32_MAX)
		n = INT32_MAX;
	if (buf == NULL && n > 0 && !(flags & MSG_TRUNC) && berth_sock_poll(w->st, f->sock) & BERTH_EV_IN)
		return -EFAULT;
	if (f->type == SOCK_DGRAM) {
		r = receive_datagram(w, f, buf, (uint32_t)n, flags, &from);
		if (r >= 0)
			address_out(f, &from, sa, len);
		return r;
	}
	if (len != NULL)
		*len = 0;
	r = receive_stream(w, f, buf, (uint32_t)n, flags);
	return r == -ENOTCONN && f->connecting ? 0 : r; /* connect() failed: Linux says end of file */
}

static ssize_t pd_recvfrom(void *u, int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
	struct world *w = begin(u);

	return end(w, receive(w, fd, buf, n, flags, sa, len));
}

static ssize_t pd_read(void *u, int fd, void *buf, size_t n)
{
	return is_ours(u, fd) ? pd_recvfrom(u, fd, buf, n, 0, NULL, NULL) : read(fd, buf, n);
}

static ssize_t pd_recv(void *u, int fd, void *buf, size_t n, int flags)
{
	return pd_recvfrom(u, fd, buf, n, flags, NULL, NULL);
}

static size_t iov_len(const struct iovec *iov, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static ssize_t receive_iov(void *u, int fd, const struct iovec *iov, size_t n, int flags, struct sockaddr *sa,
			   socklen_t *len)
{
	size_t room = iov_len(iov, n), at = 0;
	uint8_t *buf = malloc(room + 1);
	ssize_t r = buf != NULL ? pd_recvfrom(u, fd, buf, room, flags, sa, len) : -1;

	for (size_t i = 0; i < n && r > 0 && at < (size_t)r; i++) {
		size_t take = (size_t)r - at < iov[i].iov_len ? (size_t)r - at : iov[i].iov_len;

		memcpy(iov[i].iov_base, buf + at, take);
		at += take;
	}
	free(buf);
	return r;
}

static ssize_t pd_readv(void *u, int fd, const struct iovec *iov, int n)
{
	if (!is_ours(u, fd))
		return readv(fd, iov, n);
	return receive_iov(u, fd, iov, n < 0 ? 0 : (size_t)n, 0, NULL, NULL);
}

/* TCP_INQ: how much is left to be read, as a control message. */
static void tell_inq(void *u, int fd, struct msghdr *m)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);
	struct cmsghdr *h = m->msg_controllen >= CMSG_SPACE(sizeof(int)) ? CMSG_FIRSTHDR(m) : NULL;
	struct berth_part v[2];
	int64_t left;
	int n;

	m->msg_controllen = 0;
	if (f != NULL && f->inq && h != NULL) {
		left = berth_sock_rx_peek(w->st, f->sock, v);
		n = left > 0 ? (int)left : left == 0; /* Linux counts a FIN as one */
		h->cmsg_level = IPPROTO_TCP;
		h->cmsg_type = TCP_CM_INQ;
		h->cmsg_len = CMSG_LEN(sizeof(n));
		memcpy(CMSG_DATA(h), &n, sizeof(n));
		m->msg_controllen = CMSG_SPACE(sizeof(n));
	}
	end(w, 0);
}

static ssize_t pd_recvmsg(void *u, int fd, struct msghdr *m, int flags)
{
	socklen_t len = m->msg_namelen;
	ssize_t r = receive_iov(u, fd, m->msg_iov, m->msg_iovlen, flags, m->msg_name, &len);

	if (r >= 0) {
		m->msg_namelen = m->msg_name != NULL ? len : 0;
		m->msg_flags = 0;
		tell_inq(u, fd, m);
	}
	return r;
}

/* --- sending --- */

static int64_t send_stream(struct world *w, struct fd *f, const uint8_t *buf, size_t n, int flags)
{
	uint32_t how = (flags & MSG_MORE ? BERTH_MORE : 0) | (flags & MSG_OOB ? BERTH_URGENT : 0);
	size_t done = 0;

	if (n == 0) {
		struct berth_part v[2];
		int64_t r = berth_sock_tx_space(w->st, f->sock, v);

		return r < 0 ? r : 0;
	}
	while (done < n) {
		size_t part = n - done < 1u << 30 ? n - done : 1u << 30;
		int64_t r = berth_sock_send(w->st, f->sock, buf + done, (uint32_t)part, how);

		if (r > 0)
			done += (size_t)r;
		if (r < 0 && r != -EAGAIN)
			return done > 0 ? (int64_t)done : r;
		if (r <= 0 && wait_for(w, f, BERTH_EV_OUT, flags, f->snd_timeout_us) < 0)
			return done > 0 ? (int64_t)done : -EAGAIN;
		world_settle(w);
	}
	return (int64_t)done;
}

/* sendto(MSG_FASTOPEN), or the first write after a connect() that TCP_FASTOPEN_CONNECT put off: connect, with what may go with the SYN;
 * the rest when it is connected, for who waits. */
static int64_t send_fastopen(struct world *w, struct fd *f, const uint8_t *buf, size_t n, int flags,
			     const struct sockaddr *sa, socklen_t len)
{
	struct berth_addr to = f->peer;
	uint64_t room;
	int64_t sent = 0, more;
	int r;

	if (!f->deferred && (!(sysctl_fastopen(w) & FASTOPEN_CLIENT) ||
			     (sa != NULL && len >= sizeof(sa->sa_family) && sa->sa_family == AF_UNSPEC)))
		return -EOPNOTSUPP;
	r = f->deferred ? 0 : address_in(f, sa, len, &to);
	if (r < 0)
		return r;
	if (f->connecting) {
		if (!(berth_sock_poll(w->st, f->sock) & (BERTH_EV_OUT | BERTH_EV_ERR | BERTH_EV_HUP)))
			return -EALREADY;
		r = connect_wait(w, f, flags);
		return r < 0 ? r : send_stream(w, f, buf, n, flags);
	}
	sysctl_apply(w, f);
	f->deferred = false;
	room = f->connected ? 0 : fastopen_room(w, f, &to);
	(void)berth_sock_set(w->st, f->sock, BERTH_FASTOPEN, 1);
	r = berth_sock_connect(w->st, f->sock, &to);
	if (r != -EINPROGRESS)
		return r;
	if (room > n)
		room = n;
	if (room > 0)
		sent = berth_sock_send(w->st, f->sock, buf, (uint32_t)room, 0);
	if (sent < 0)
		return sent;
	r = connect_wait(w, f, flags);
	if (r < 0)
		return sent > 0 ? sent : r;
	if ((size_t)sent == n)
		return sent;
	more = send_stream(w, f, buf + sent, n - (size_t)sent, flags);
	return more < 0 ? (sent > 0 ? sent : more) : sent + more;
}

static int64_t transmit(struct world *w, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
			socklen_t len)
{
	struct fd *f = socket_of(w, fd);
	struct berth_addr to = {.port = 0};
	int64_t sent;
	int r;

	if (f == NULL)
		return -EBADF;
	if (buf == NULL && n > 0)
		return -EFAULT;
	if (f->type == SOCK_DGRAM) {
		struct berth_dgram d = {.data = (void *)(uintptr_t)buf, .len = (uint32_t)n, .iface = BERTH_IFACE_ANY};

		r = sa != NULL ? address_in(f, sa, len, &to) : 0;
		if (r < 0)
			return r;
		d.peer = to;
		r = berth_sock_udp_send(w->st, f->sock, &d, 1);
		return r == 1 ? (int64_t)n : r == 0 ? -EAGAIN : r;
	}
	if (flags & MSG_FASTOPEN || f->deferred)
		return send_fastopen(w, f, buf, n, flags, sa, len);
	sent = send_stream(w, f, buf, n, flags);
	return sent == -ENOTCONN ? -EPIPE : sent; /* what Linux says to who writes to a stream that is none */
}

static ssize_t pd_sendto(void *u, int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa,
			 socklen_t len)
{
	struct world *w = begin(u);

	return end(w, transmit(w, fd, buf, n, flags, sa, len));
}

static ssize_t pd_write(void *u, int fd, const void *buf, size_t n)
{
	return is_ours(u, fd) ? pd_sendto(u, fd, buf, n, 0, NULL, 0) : write(fd, buf, n);
}

static ssize_t pd_send(void *u, int fd, const void *buf, size_t n, int flags)
{
	return pd_sendto(u, fd, buf, n, flags, NULL, 0);
}

static ssize_t send_iov(void *u, int fd, const struct iovec *iov, size_t n, int flags, const struct sockaddr *sa,
			socklen_t len)
{
	size_t sum = iov_len(iov, n), at = 0;
	uint8_t *buf = malloc(sum + 1);
	ssize_t r;

	if (buf == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (iov[i].iov_len != 0)
			memcpy(buf + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	r = pd_sendto(u, fd, buf, sum, flags, sa, len);
	free(buf);
	return r;
}

static ssize_t pd_writev(void *u, int fd, const struct iovec *iov, int n)
{
	if (!is_ours(u, fd))
		return writev(fd, iov, n);
	return send_iov(u, fd, iov, n < 0 ? 0 : (size_t)n, 0, NULL, 0);
}

static ssize_t pd_sendmsg(void *u, int fd, const struct msghdr *m, int flags)
{
	return send_iov(u, fd, m->msg_iov, m->msg_iovlen, flags, m->msg_name, m->msg_namelen);
}

/* --- descriptors --- */

static int pd_fcntl(void *u, int fd, int cmd, ...)
{
	struct world *w = begin(u);
	struct fd *f = world_fd(w, fd);
	va_list ap;
	int arg, r = 0;

	va_start(ap, cmd);
	arg = va_arg(ap, int);
	va_end(ap);
	if (f == NULL) {
		end(w, 0);
		return fcntl(fd, cmd, arg);
	}
	switch (cmd) {
	case F_GETFL:
		r = O_RDWR | (f->nonblocking ? O_NONBLOCK : 0);
		break;
	case F_SETFL:
		f->nonblocking = arg & O_NONBLOCK;
		break;
	case F_GETFD:
	case F_SETFD:
		break;
	default:
		r = -EINVAL;
	}
	return (int)end(w, r);
}

static int pd_ioctl(void *u, int fd, unsigned long request, ...)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);
	struct berth_tcp_info info = {.struct_size = sizeof(info)};
	struct berth_part v[2];
	int64_t n;
	int *arg, r = 0;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, int *);
	va_end(ap);
	if (f == NULL) {
		end(w, 0);
		return ioctl(fd, request, arg);
	}
	switch (request) {
	case FIONREAD: /* SIOCINQ */
		n = f->listening ? -EINVAL : berth_sock_rx_peek(w->st, f->sock, v);
		if (f->listening)
			r = -EINVAL;
		else
			*arg = n > 0 ? (int)n : 0;
		break;
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		r = f->listening ? -EINVAL : berth_sock_tcp_info(w->st, f->sock, &info);
		if (r == 0)
			*arg = (int)(info.notsent_bytes + (request == SIOCOUTQ ? info.snd_nxt - info.snd_una : 0));
		break;
	case FIONBIO:
		f->nonblocking = *arg != 0;
		break;
	default:
		r = -EINVAL;
	}
	return (int)end(w, r);
}

static bool sent_all(struct world *w, void *arg)
{
	struct fd *f = arg;
	struct berth_tcp_info info = {.struct_size = sizeof(info)};

	return berth_sock_tcp_info(w->st, f->sock, &info) < 0 ||
	       (info.notsent_bytes == 0 && info.snd_nxt == info.snd_una);
}

static int pd_close(void *u, int fd)
{
	struct world *w = begin(u);
	struct fd *f = world_fd(w, fd);

	if (f == NULL) {
		end(w, 0);
		return (int)syscall(SYS_close, fd);
	}
	if (f->kind == FD_SOCKET && f->linger.on && f->linger.seconds == 0 && !f->listening)
		berth_sock_abort(w->st, f->sock);
	else if (f->kind == FD_SOCKET) {
		if (f->linger.on && !f->nonblocking && !f->listening && f->type == SOCK_STREAM) {
			berth_sock_shutdown(w->st, f->sock, BERTH_SHUT_WR);
			world_wait(w, sent_all, f, (uint64_t)f->linger.seconds * 1000000);
		}
		berth_sock_close(w->st, f->sock);
	}
	world_fd_free(f);
	return (int)end(w, 0);
}

static int pd_shutdown(void *u, int fd, int how)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);
	static const int hows[] = {BERTH_SHUT_RD, BERTH_SHUT_WR, BERTH_SHUT_RD | BERTH_SHUT_WR};
	int r = f == NULL ? -EBADF : how < 0 || how > 2 ? -EINVAL : berth_sock_shutdown(w->st, f->sock, hows[how]);

	if (r == 0 && f->listening)
		f->listening = false;
	return (int)end(w, r);
}

static int pd_getsockopt(void *u, int fd, int level, int option, void *value, socklen_t *len)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);

	return (int)end(w, f == NULL ? -EBADF : option_get(w, f, level, option, value, len));
}

static int pd_setsockopt(void *u, int fd, int level, int option, const void *value, socklen_t len)
{
	struct world *w = begin(u);
	struct fd *f = socket_of(w, fd);

	return (int)end(w, f == NULL ? -EBADF : option_set(w, f, level, option, value, len));
}

/* --- readiness --- */

/* poll's bits, of which epoll's are the same numbers. */
static uint32_t ready_now(struct world *w, const struct fd *f)
{
	int r = berth_sock_poll(w->st, f->sock);
	uint32_t bits = 0;

	if (r < 0)
		return POLLNVAL;
	if (f->deferred)
		return POLLOUT | POLLWRNORM;
	bits |= r & BERTH_EV_IN ? POLLIN | POLLRDNORM : 0;
	bits |= r & BERTH_EV_OUT ? POLLOUT | POLLWRNORM : 0;
	bits |= r & BERTH_EV_RDHUP ? POLLRDHUP | POLLIN | POLLRDNORM : 0;
	bits |= r & BERTH_EV_HUP ? POLLHUP : 0;
	bits |= r & BERTH_EV_ERR ? POLLERR : 0;
	bits |= r & BERTH_EV_PRI ? POLLPRI : 0;
	return bits;
}

struct poll_wish {
	struct pollfd *fds;
	nfds_t n;
};

static int poll_count(struct world *w, struct pollfd *fds, nfds_t n)
{
	int count = 0;

	for (nfds_t i = 0; i < n; i++) {
		struct fd *f = fds[i].fd >= 0 ? world_fd(w, fds[i].fd) : NULL;
		uint32_t wanted = (uint32_t)fds[i].events | POLLERR | POLLHUP | POLLNVAL;

		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		if (f == NULL)
			(void)poll(&fds[i], 1, 0); /* a pipe, or nothing */
		else
			fds[i].revents = f->kind == FD_SOCKET ? (short)(ready_now(w, f) & wanted) : 0;
		count += fds[i].revents != 0;
	}
	return count;
}

static bool poll_true(struct world *w, void *arg)
{
	struct poll_wish *p = arg;

	return poll_count(w, p->fds, p->n) > 0;
}

static int pd_poll(void *u, struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct world *w = begin(u);
	struct poll_wish p = {fds, n};

	if (timeout_ms != 0)
		world_wait(w, poll_true, &p, timeout_ms < 0 ? NO_LIMIT : (uint64_t)timeout_ms * 1000);
	return (int)end(w, poll_count(w, fds, n));
}

static int pd_epoll_create(void *u, int size)
{
	struct world *w = begin(u);
	struct fd *f = size > 0 ? world_fd_new(w, FD_EPOLL) : NULL;

	return (int)end(w, size <= 0 ? -EINVAL : f == NULL ? -EMFILE : f->number);
}

static struct watch *watch_of(struct fd *e, int fd, bool make)
{
	for (unsigned i = 0; i < sizeof(e->watches) / sizeof(e->watches[0]); i++)
		if (e->watches[i].used && e->watches[i].fd == fd)
			return &e->watches[i];
	for (unsigned i = 0; make && i < sizeof(e->watches) / sizeof(e->watches[0]); i++)
		if (!e->watches[i].used)
			return &e->watches[i];
	return NULL;
}

static int pd_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *ev)
{
	struct world *w = begin(u);
	struct fd *e = world_fd(w, epfd), *f = world_fd(w, fd);
	struct watch *k;
	bool known;

	if (e == NULL || f == NULL)
		return (int)end(w, -EBADF);
	if (e->kind != FD_EPOLL || f->kind == FD_EPOLL)
		return (int)end(w, -EINVAL);
	k = watch_of(e, fd, true);
	known = k != NULL && k->used;
	if (op == EPOLL_CTL_ADD && known)
		return (int)end(w, -EEXIST);
	if (op != EPOLL_CTL_ADD && !known)
		return (int)end(w, -ENOENT);
	if (k == NULL)
		return (int)end(w, -ENOSPC);
	if (op == EPOLL_CTL_DEL)
		k->used = false;
	else
		*k = (struct watch){.fd = fd, .events = ev->events, .data = ev->data.u64, .used = true};
	return (int)end(w, 0);
}

struct epoll_wish {
	struct fd *e;
	struct epoll_event *evs;
	int max, n;
	unsigned from[16]; /* which watch each is */
};

/* Edge triggered watches say a bit again only after it was off in between, or when something came or went (world_settle()). */
static bool epoll_true(struct world *w, void *arg)
{
	struct epoll_wish *p = arg;

	p->n = 0;
	for (unsigned i = 0; i < sizeof(p->e->watches) / sizeof(p->e->watches[0]) && p->n < p->max; i++) {
		struct watch *k = &p->e->watches[i];
		struct fd *f = k->used && !k->spent ? world_fd(w, k->fd) : NULL;
		uint32_t now;

		if (f == NULL || f->kind != FD_SOCKET)
			continue;
		now = ready_now(w, f) & (k->events | EPOLLERR | EPOLLHUP);
		if (k->events & EPOLLET && (now & ~k->said) == 0) {
			k->said &= now;
			continue;
		}
		if (now == 0)
			continue;
		p->from[p->n] = i;
		p->evs[p->n].events = now;
		p->evs[p->n++].data.u64 = k->data;
	}
	return p->n > 0;
}

static int pd_epoll_wait(void *u, int epfd, struct epoll_event *evs, int max, int timeout_ms)
{
	struct world *w = begin(u);
	struct fd *e = world_fd(w, epfd);
	struct epoll_wish p = {.e = e, .evs = evs, .max = max};

	if (e == NULL || e->kind != FD_EPOLL || max <= 0)
		return (int)end(w, e == NULL ? -EBADF : -EINVAL);
	if (timeout_ms == 0)
		epoll_true(w, &p);
	else
		world_wait(w, epoll_true, &p, timeout_ms < 0 ? NO_LIMIT : (uint64_t)timeout_ms * 1000);
	for (int i = 0; i < p.n; i++) {
		struct watch *k = &e->watches[p.from[i]];

		k->said = evs[i].events;
		k->spent = k->events & EPOLLONESHOT;
	}
	return (int)end(w, p.n);
}

/* --- the wire and the clock --- */

static int pd_netdev_send(void *u, const void *buf, size_t count)
{
	struct world *w = begin(u);

	world_inject(w, buf, (uint32_t)count);
	end(w, 0);
	return 0;
}

static int pd_netdev_receive(void *u, void *buf, size_t *count, long long *time_usecs)
{
	struct world *w = begin(u);
	uint64_t until = w->now_us + w->patience_us;
	struct packet_out *o;

	if (w->out_n == 0)
		world_advance(w, until, true);
	/* One that does not fit is none: "not yet" would be asked again for ever. */
	if (w->out_n == 0 || w->out[w->out_first].len > *count) {
		*count = 0;
		*time_usecs = (long long)w->now_us;
		end(w, 0);
		return 0;
	}
	o = &w->out[w->out_first];
	memcpy(buf, o->data, o->len);
	*count = o->len;
	*time_usecs = (long long)o->at_us;
	free(o->data);
	w->out_first = (w->out_first + 1) % WORLD_PACKETS;
	w->out_n--;
	end(w, 0);
	return 0;
}

static int pd_usleep(void *u, useconds_t us)
{
	struct world *w = begin(u);

	world_advance(w, w->now_us + us, false);
	return (int)end(w, 0);
}

static int pd_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
	struct world *w = u;
	uint64_t now;

	(void)tz;
	pthread_mutex_lock(&w->lock);
	now = world_clock(w);
	pthread_mutex_unlock(&w->lock);
	tv->tv_sec = (time_t)(now / 1000000);
	tv->tv_usec = (suseconds_t)(now % 1000000);
	return 0;
}

static int pd_pipe(void *u, int fds[2])
{
	(void)u;
	return pipe(fds);
}

/* Between a socket of ours and a real pipe. */
static ssize_t pd_splice(void *u, int in, loff_t *off_in, int out, loff_t *off_out, size_t len, unsigned flags)
{
	struct world *w = u;
	static char buf[1 << 16];
	bool from_us, to_us;
	ssize_t r;

	(void)flags;
	pthread_mutex_lock(&w->lock);
	from_us = world_fd(w, in) != NULL;
	to_us = world_fd(w, out) != NULL;
	pthread_mutex_unlock(&w->lock);
	/* packetdrill gives the addresses of its numbers; a script's NULL is the number 0. */
	if ((off_in != NULL && *off_in != 0) || (off_out != NULL && *off_out != 0)) {
		errno = ESPIPE;
		return -1;
	}
	len = len < sizeof(buf) ? len : sizeof(buf);
	r = from_us ? pd_recv(u, in, buf, len, 0) : read(in, buf, len);
	if (r <= 0)
		return r;
	return to_us ? pd_send(u, out, buf, (size_t)r, 0) : write(out, buf, (size_t)r);
}

/* --- what packetdrill looks up, and what it asks libc for --- */

EXPORT void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc);
EXPORT void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc)
{
	struct world *w = malloc(sizeof(*w));

	if (w == NULL || world_init(w, flags) != 0)
		exit(1);
	the_world = w;
	*ifc = (struct packetdrill_interface){
		.userdata = w,
		.free = pd_free,
		.socket = pd_socket,
		.bind = pd_bind,
		.listen = pd_listen,
		.accept = pd_accept,
		.connect = pd_connect,
		.read = pd_read,
		.readv = pd_readv,
		.recv = pd_recv,
		.recvfrom = pd_recvfrom,
		.recvmsg = pd_recvmsg,
		.write = pd_write,
		.writev = pd_writev,
		.send = pd_send,
		.sendto = pd_sendto,
		.sendmsg = pd_sendmsg,
		.fcntl = pd_fcntl,
		.ioctl = pd_ioctl,
		.close = pd_close,
		.shutdown = pd_shutdown,
		.getsockopt = pd_getsockopt,
		.setsockopt = pd_setsockopt,
		.poll = pd_poll,
		.netdev_send = pd_netdev_send,
		.netdev_receive = pd_netdev_receive,
		.usleep = pd_usleep,
		.gettimeofday = pd_gettimeofday,
		.epoll_create = pd_epoll_create,
		.epoll_ctl = pd_epoll_ctl,
		.epoll_wait = pd_epoll_wait,
		.pipe = pd_pipe,
		.splice = pd_splice,
	};
}

EXPORT int close(int fd)
{
	return is_ours(the_world, fd) ? pd_close(the_world, fd) : (int)syscall(SYS_close, fd);
}

EXPORT int getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	return is_ours(the_world, fd) ? pd_getsockopt(the_world, fd, level, option, value, len)
				      : (int)syscall(SYS_getsockopt, fd, level, option, value, len);
}
