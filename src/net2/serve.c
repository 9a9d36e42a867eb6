/* src/net2/serve.c: doing a control call for a program that made it past libc.
 *
 * The program's descriptor is got from it (pidfd_getfd): that is the same open file, so what the shim's
 * functions do to it they do to the program's socket: its tag, its name, its listening. A new socket is
 * made here and installed there. What a pointer points at is copied once and judged by the copy.
 *
 *     stopped call --> whose? --> descriptor --> not ours: the kernel does it
 *                                            \-> ours: copy arguments, is the caller still there?, the
 *                                                shim's function, copy results, answer
 *
 * Nothing here may wait: a call that would block is given back with what it waits for, and served again
 * from the start then. A blocking descriptor cannot be made non-blocking for us alone (the flag belongs
 * to the open file), so where somebody else may take what poll(2) has shown us (another process in accept(2)),
 * a timer interrupts us.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "net2/asked.h"
#include "net2/data.h"
#include "net2/letters.h"
#include "net2/owed.h"
#include "net2/replace.h"
#include "net2/shim_calls.h"
#include "shim/outside.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define OTHER_SOCKETCALL 102
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

#define ADDR_MAX 128 /* sizeof(struct sockaddr_storage): what the kernel would copy */
#define OPTION_MAX 4096
#define GUARD_US 2000

struct ask_counts serve_counts;

/* --- answers --- */

/* Of a function that answers as libc's do. */
static struct reply of(int r)
{
	return reply_value(r < 0 ? -errno : r);
}

struct reply serve_wait(struct call *c, uint32_t events, int timeout_option)
{
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	if (!c->until_us && getsockopt(c->fd, SOL_SOCKET, timeout_option, &tv, &len) == 0 && (tv.tv_sec || tv.tv_usec))
		c->until_us = network_now_us() + (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
	return (struct reply){.kind = REPLY_WAIT, .fd = -1, .events = events};
}

/* --- the moment in which a call of ours could block --- */

void serve_guard(bool on)
{
	struct itimerval t = {.it_value.tv_usec = on ? GUARD_US : 0, .it_interval.tv_usec = on ? GUARD_US : 0};

	setitimer(ITIMER_REAL, &t, NULL); /* again and again, so that a signal just before the call is not the last */
}

bool serve_is_nonblocking(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	return fl < 0 || fl & O_NONBLOCK;
}

/* --- calls --- */

static void told(struct call *c)
{
	if (c->t->told)
		return;
	c->t->told = true;
	serve_say(false, "calls the kernel past libc: served by the second net");
}

static struct reply serve_udp(struct call *c, int domain, int type)
{
	int fd = letters_new(c->t, domain, type);

	if (fd < 0)
		return reply_value(fd == -ENOSPC ? -ENOBUFS : fd);
	told(c);
	return reply_socket(fd, type & SOCK_CLOEXEC);
}

static struct reply serve_socket(struct call *c)
{
	int domain = (int)c->n.data.args[0], type = (int)c->n.data.args[1], protocol = (int)c->n.data.args[2], fd;
	int kind = type & 0xf;

	if (kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) {
		fd = shim_socket(domain, type | SOCK_CLOEXEC, protocol);
		if (fd < 0)
			return of(fd);
		told(c);
		return reply_socket(fd, type & SOCK_CLOEXEC);
	}
	if (kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))
		return serve_udp(c, domain, type);
	return reply_plain(REPLY_KERNEL); /* raw, ICMP, SCTP: not berth's, as in the shim */
}

/* The address that a call gives. Return: 0; negative errno. */
static int take_address(const struct call *c, uint64_t from, uint64_t len, uint8_t ret[ADDR_MAX],
			const struct sockaddr **ret_sa)
{
	memset(ret, 0, ADDR_MAX);
	*ret_sa = from ? (const struct sockaddr *)(const void *)ret : NULL;
	if (!from || (int32_t)len < 0 || (uint32_t)len > ADDR_MAX)
		return 0; /* the shim says what is wrong with it */
	return target_read(c->t, from, ret, (uint32_t)len);
}

static struct reply serve_bind(struct call *c)
{
	_Alignas(8) uint8_t octets[ADDR_MAX];
	const struct sockaddr *sa;
	int r = take_address(c, c->n.data.args[1], c->n.data.args[2], octets, &sa);

	if (r < 0)
		return reply_value(r);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	return of(shim_bind(c->fd, sa, (socklen_t)c->n.data.args[2]));
}

static struct reply serve_listen(struct call *c)
{
	struct replace p;
	struct reply r;

	replace_begin(c, &p); /* one that was shut down is replaced */
	r = of(shim_listen(c->fd, (int)c->n.data.args[1]));
	replace_end(c, &p);
	return r;
}

/* A connect() under way outside, on a socket that waits: in the kernel, by the program itself. */
static bool is_kernels(const struct call *c, int64_t r, bool may_block)
{
	struct tag t;

	return r == -EINPROGRESS && may_block && tag_get(c->fd, &t) < 0;
}

struct reply serve_connect_to(struct call *c, const struct sockaddr *sa, socklen_t len)
{
	bool may_block = !serve_is_nonblocking(c->fd);
	struct replace p;
	int r;

	replace_begin(c, &p);
	if (may_block)
		serve_guard(true);
	r = shim_connect(c->fd, sa, len);
	if (may_block)
		serve_guard(false);
	r = r < 0 ? -errno : r;
	replace_end(c, &p);
	if (r == -EINTR && may_block)
		return serve_wait(c, 0, SO_SNDTIMEO); /* the listener's backlog is full */
	return is_kernels(c, r, may_block) ? reply_plain(REPLY_KERNEL) : reply_value(r);
}

static struct reply serve_connect(struct call *c)
{
	_Alignas(8) uint8_t octets[ADDR_MAX];
	const struct sockaddr *sa;
	int r = take_address(c, c->n.data.args[1], c->n.data.args[2], octets, &sa);

	if (r < 0)
		return reply_value(r);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	return serve_connect_to(c, sa, (socklen_t)c->n.data.args[2]);
}

/* Of a socket that is the kernel's. It may be one that was outside, and comes back to a host. */
static struct reply serve_connect_again(struct call *c)
{
	_Alignas(8) uint8_t octets[ADDR_MAX];
	const struct sockaddr *sa;
	struct replace p;
	int r;

	if (take_address(c, c->n.data.args[1], c->n.data.args[2], octets, &sa) < 0)
		return reply_plain(REPLY_KERNEL);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	replace_begin(c, &p);
	if (!outside_again(shim_get(), c->fd, sa, (socklen_t)c->n.data.args[2], &r)) {
		replace_end(c, &p);
		return reply_plain(REPLY_KERNEL);
	}
	replace_end(c, &p);
	return is_kernels(c, r, !serve_is_nonblocking(c->fd)) ? reply_plain(REPLY_KERNEL) : reply_value(r);
}

/* A name or value whose length is given and taken at len_at. */
static struct reply give_back(struct call *c, const void *octets, size_t len_bytes, uint64_t to, socklen_t len,
			      uint64_t len_at, int64_t v)
{
	int r = target_write(c->t, to, octets, len_bytes);

	if (r == 0)
		r = target_write(c->t, len_at, &len, sizeof(len));
	return reply_value(r < 0 ? r : v);
}

static struct reply serve_name(struct call *c, int (*call)(int, struct sockaddr *, socklen_t *))
{
	_Alignas(8) uint8_t octets[ADDR_MAX];
	uint64_t to = c->n.data.args[1], len_at = c->n.data.args[2];
	socklen_t len, room;
	int r;

	if (!len_at || target_read(c->t, len_at, &len, sizeof(len)) < 0)
		return reply_value(-EFAULT);
	room = len;
	r = call(c->fd, to ? (struct sockaddr *)(void *)octets : NULL, &len);
	if (r < 0)
		return of(r);
	return give_back(c, octets, room < len ? room : len, to, len, len_at, 0);
}

/* A connection that an earlier accept() had no descriptor for (owed.c). Return: as shim_accept4(); -EAGAIN: none. */
static int accept_owed(struct call *c, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct port_addr peer;
	uint16_t port;
	struct tag t;
	int fd;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) || !serve_is_wanted(c->n.id))
		return -EAGAIN;
	fd = owed_take(c->fd);
	if (fd < 0)
		return -EAGAIN;
	(void)fcntl(fd, F_SETFL, O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0));
	if (sa && tag_get(fd, &t) < 0) { /* a published port's caller, on a socket of the kernel's */
		if (sys_getpeername(fd, sa, len) < 0)
			*len = 0;
		return fd;
	}
	if (sa &&
	    (sock_name(shim_get(), fd, &t, true, &peer, &port) < 0 || addr_write(t.family, &peer, port, sa, len) < 0))
		*len = 0;
	return fd;
}

static struct reply accepted(struct call *c, int fd, int flags, const uint8_t *name, socklen_t room, socklen_t len)
{
	struct reply r = reply_socket(fd, flags & SOCK_CLOEXEC);

	if (c->n.data.args[1]) {
		struct reply w =
			give_back(c, name, room < len ? room : len, c->n.data.args[1], len, c->n.data.args[2], 0);
		if (w.value < 0) {
			close(fd);
			return w;
		}
	}
	r.accepted = true;
	return r;
}

static struct reply serve_accept(struct call *c, int flags)
{
	_Alignas(8) uint8_t octets[ADDR_MAX];
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	bool wants_name = c->n.data.args[1] != 0, may_block = !serve_is_nonblocking(c->fd);
	struct sockaddr *sa = wants_name ? (struct sockaddr *)(void *)octets : NULL;
	socklen_t len = 0, room;
	struct tag t;
	int fd;

	if (tag_get(c->fd, &t) < 0)
		return reply_plain(REPLY_KERNEL);
	if (wants_name && target_read(c->t, c->n.data.args[2], &len, sizeof(len)) < 0)
		return reply_value(-EFAULT);
	room = len;
	fd = owed_any() && t.state == SOCK_LISTENING ? accept_owed(c, sa, &len, flags) : -EAGAIN;
	if (fd >= 0)
		return accepted(c, fd, flags, octets, room, len);
	if (t.state == SOCK_LISTENING && may_block && poll(&p, 1, 0) == 0)
		return serve_wait(c, POLLIN, SO_RCVTIMEO);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	if (may_block)
		serve_guard(true);
	fd = shim_accept4(c->fd, sa, sa ? &len : NULL, flags | SOCK_CLOEXEC);
	if (may_block)
		serve_guard(false);
	if (fd < 0)
		return errno == EINTR && may_block ? serve_wait(c, POLLIN, SO_RCVTIMEO) : of(fd);
	return accepted(c, fd, flags, octets, room, len);
}

static struct reply serve_getsockopt(struct call *c)
{
	_Alignas(8) uint8_t octets[OPTION_MAX];
	uint64_t to = c->n.data.args[3], len_at = c->n.data.args[4];
	socklen_t len;
	int r;

	if (!len_at || target_read(c->t, len_at, &len, sizeof(len)) < 0)
		return reply_value(-EFAULT);
	if ((int32_t)len > OPTION_MAX)
		len = OPTION_MAX;
	memset(octets, 0, sizeof(octets));
	r = shim_getsockopt(c->fd, (int)c->n.data.args[1], (int)c->n.data.args[2], to ? octets : NULL, &len);
	if (r < 0)
		return of(r);
	return give_back(c, octets, len < OPTION_MAX ? len : OPTION_MAX, to, len, len_at, r);
}

static struct reply serve_setsockopt(struct call *c)
{
	_Alignas(8) uint8_t octets[OPTION_MAX];
	uint64_t from = c->n.data.args[3];
	socklen_t len = (socklen_t)c->n.data.args[4];

	if ((int32_t)len > OPTION_MAX)
		len = OPTION_MAX;
	if (from && (int32_t)len > 0 && target_read(c->t, from, octets, len) < 0)
		return reply_value(-EFAULT);
	if (!serve_is_wanted(c->n.id))
		return reply_plain(REPLY_NONE);
	return of(shim_setsockopt(c->fd, (int)c->n.data.args[1], (int)c->n.data.args[2], from ? octets : NULL, len));
}

static struct reply serve_on_socket(struct call *c)
{
	switch (c->n.data.nr) {
	case SYS_bind:
		return serve_bind(c);
	case SYS_listen:
		return serve_listen(c);
	case SYS_connect:
		return serve_connect(c);
#ifdef SYS_accept
	case SYS_accept:
		return serve_accept(c, 0);
#endif
	case SYS_accept4:
		return serve_accept(c, (int)c->n.data.args[3]);
	case SYS_getsockname:
		return serve_name(c, shim_getsockname);
	case SYS_getpeername:
		return serve_name(c, shim_getpeername);
	case SYS_getsockopt:
		return serve_getsockopt(c);
	case SYS_setsockopt:
		return serve_setsockopt(c);
	case SYS_shutdown:
		return of(shim_shutdown(c->fd, (int)c->n.data.args[1]));
	}
	return data_serve(c);
}

/* --- dispatch --- */

/* Another architecture's program: its sockets would be the machine's own. */
static struct reply serve_foreign(struct call *c)
{
	uint32_t domain = (uint32_t)c->n.data.args[0];

	if (c->t->context->allow_outside)
		return reply_plain(REPLY_KERNEL);
#ifdef OTHER_SOCKETCALL
	if (c->n.data.nr == OTHER_SOCKETCALL) {
		if (c->n.data.args[0] != 1) /* SYS_SOCKET */
			return reply_plain(REPLY_KERNEL);
		if (target_read(c->t, (uint32_t)c->n.data.args[1], &domain, sizeof(domain)) < 0)
			return reply_value(-EFAULT);
	}
#endif
	if (domain != AF_INET && domain != AF_INET6)
		return reply_plain(REPLY_KERNEL);
	if (!c->t->told) {
		c->t->told = true;
		serve_say(true,
			  "is a program of another architecture: berth cannot serve it, and gives it no IP sockets");
	}
	return reply_value(-EAFNOSUPPORT);
}

/* One that was outside and is now to serve does so on its host. */
static struct reply serve_home(struct call *c)
{
	struct replace p;
	struct tag t;
	bool back;
	int r;

	replace_begin(c, &p);
	back = outside_serves(shim_get(), c->fd, c->n.data.nr == SYS_listen, &r);
	replace_end(c, &p);
	if (!back)
		return reply_plain(REPLY_KERNEL);
	if (r < 0 || tag_get(c->fd, &t) < 0)
		return reply_value(r);
	return serve_on_socket(c);
}

/* A socket of the kernel's, which may have been ours until it went outside. */
static struct reply serve_on_kernels(struct call *c)
{
	switch (c->n.data.nr) {
	case SYS_bind:
	case SYS_listen:
		return serve_home(c);
	case SYS_connect:
		return serve_connect_again(c);
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		return data_outside(c);
	}
	return reply_plain(REPLY_KERNEL);
}

static struct reply serve_known(struct call *c)
{
	struct reply r;
	struct tag t;
	char rule[200];

	if (c->n.data.arch != OUR_ARCH)
		return serve_foreign(c);
	if (c->n.data.nr == SYS_socket)
		return serve_socket(c);
	if (c->n.data.nr == SYS_setsockopt && (int)c->n.data.args[0] == -1 && (int)c->n.data.args[1] == ASK_LEVEL)
		return asked_serve(c);
	c->fd = target_fd(c->t, (int)c->n.data.args[0]);
	if (c->fd == -EPERM && !c->t->told) {
		c->t->told = true;
		target_rule(c->t, rule, sizeof(rule));
		serve_say(true, "makes socket calls that berth cannot serve: %s", rule);
	}
	if (c->fd == -EMFILE || c->fd == -ENFILE || c->fd == -ENOMEM)
		return reply_value(-ENOBUFS);
	if (c->fd < 0) /* no such descriptor. Or unseen: if it is ours, IP calls fail on what it really is */
		return reply_plain(REPLY_KERNEL);
	/* What was read so far is its, or a stranger's that got its number: only now is it sure. */
	if (!serve_is_wanted(c->n.id))
		r = reply_plain(REPLY_NONE);
	else if (tag_get(c->fd, &t) < 0)
		r = serve_on_kernels(c);
	else
		r = serve_on_socket(c);
	return r;
}

struct reply serve(struct call *c)
{
	struct reply r;
	int err;

	c->fd = -1;
	c->t = target_get((int32_t)c->n.pid, &err);
	if (!c->t) /* who still waits must not wait for ever */
		return serve_is_wanted(c->n.id) ? reply_value(err == -ESRCH ? -EPERM : -ENOBUFS)
						: reply_plain(REPLY_NONE);
	context_enter(c->t);
	r = serve_known(c);
	context_leave();
	if (r.kind == REPLY_KERNEL)
		serve_counts.n_passed_on++;
	else if (r.kind != REPLY_WAIT && !c->asked)
		serve_counts.n_served++;
	return r;
}
