/* src/net2/filter.c: the filter of the second net, and putting it on.
 *
 * One filter for a tree of programs, put on by the outermost `berth run` and never taken off:
 *
 *     socket of an IP family                          stop
 *     listen accept accept4 shutdown
 *     getsockname getpeername getsockopt setsockopt
 *     sendmsg recvmsg sendmmsg recvmmsg               stop, unless the sixth register says it is berth's own
 *     bind, connect                                   the same, but for addresses of AF_UNIX's and netlink's length
 *     sendto, recvfrom                                stop, if there is an address (sendto: of another length)
 *     io_uring_setup                                  ENOSYS: programs fall back to calls that are seen
 *     the same calls of another architecture          stop: their sockets are refused
 *     all else                                        never looked at
 *
 * "Stop" is SECCOMP_RET_USER_NOTIF: the call waits until the supervisor has answered it. For all else the
 * program below decides by number and architecture alone; the kernel finds that out once, when the
 * filter is put on, and keeps a bit for each call (Linux 5.11): they cost what they cost without.
 *
 * Written by hand and not by libseccomp, because one page says it all, the flags of Linux 5.19 are newer
 * than what Debian has of the library, and the rules of the other architecture differ from ours.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "net2/filter.h"
#include "network/pass.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define OTHER_ARCH AUDIT_ARCH_I386
#define OTHER_SOCKET 359
#define OTHER_SOCKETCALL 102
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define OTHER_ARCH AUDIT_ARCH_ARM
#define OTHER_SOCKET 281
#endif
#define IO_URING_SETUP 425 /* on every architecture */

#define LOW(field) ((uint32_t)offsetof(struct seccomp_data, field))
#define HIGH(field) (LOW(field) + 4) /* both machines are little endian */

struct maker {
	struct sock_filter *f;
	unsigned n;
};

static void put(struct maker *m, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	ASSERT(m->n < FILTER_MAX);
	m->f[m->n++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

static void load(struct maker *m, uint32_t offset)
{
	put(m, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void give(struct maker *m, uint32_t action)
{
	put(m, BPF_RET | BPF_K, action, 0, 0);
}

/* Go on at the next instruction if A is k; else skip n. */
static void only_if(struct maker *m, uint32_t k, uint8_t n)
{
	put(m, BPF_JMP | BPF_JEQ | BPF_K, k, 0, n);
}

/* Eight instructions that let a call through whose sixth register has pass_value(). */
#define PASS_LENGTH 8
static void pass_ours(struct maker *m, uint32_t nr)
{
	load(m, HIGH(args[5]));
	only_if(m, PASS_HIGH, PASS_LENGTH - 2);
	load(m, LOW(args[0]));
	put(m, BPF_ALU | BPF_ADD | BPF_K, PASS_LOW(nr), 0, 0);
	put(m, BPF_MISC | BPF_TAX, 0, 0, 0);
	load(m, LOW(args[5]));
	put(m, BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1);
	give(m, SECCOMP_RET_ALLOW);
}

static void stop_unless_ours(struct maker *m, uint32_t nr)
{
	only_if(m, nr, PASS_LENGTH + 1);
	pass_ours(m, nr);
	give(m, SECCOMP_RET_USER_NOTIF);
}

/* The length of an address tells whose it is: these two are no IP address's. (Were it one after all, the socket is
 * an AF_UNIX one of ours, and the kernel refuses it.) So libc's own calls to its name service cache, to syslog and
 * to netlink are not stopped. */
#define UNIX_LENGTH 110
#define NETLINK_LENGTH 12
static void pass_length(struct maker *m, uint32_t offset)
{
	load(m, offset);
	put(m, BPF_JMP | BPF_JEQ | BPF_K, UNIX_LENGTH, 1, 0);
	put(m, BPF_JMP | BPF_JEQ | BPF_K, NETLINK_LENGTH, 0, 1);
	give(m, SECCOMP_RET_ALLOW);
}

static void stop_named(struct maker *m, uint32_t nr)
{
	only_if(m, nr, PASS_LENGTH + 5);
	pass_ours(m, nr);
	pass_length(m, LOW(args[2]));
	give(m, SECCOMP_RET_USER_NOTIF);
}

static void stop_if_address(struct maker *m, uint32_t nr)
{
	bool send = nr == SYS_sendto; /* recvfrom() has a pointer there */

	only_if(m, nr, send ? 10 : 6);
	load(m, LOW(args[4]));
	only_if(m, 0, 3);
	load(m, HIGH(args[4]));
	only_if(m, 0, 1);
	give(m, SECCOMP_RET_ALLOW);
	if (send)
		pass_length(m, LOW(args[5]));
	give(m, SECCOMP_RET_USER_NOTIF);
}

static void stop_ip_sockets(struct maker *m)
{
	only_if(m, SYS_socket, PASS_LENGTH + 5);
	pass_ours(m, SYS_socket);
	load(m, LOW(args[0]));
	put(m, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0);
	put(m, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0);
	give(m, SECCOMP_RET_ALLOW);
	give(m, SECCOMP_RET_USER_NOTIF);
}

/* What a program of the machine's other architecture may not: have IP sockets. */
static void other_architecture(struct maker *m)
{
	load(m, LOW(nr));
	put(m, BPF_JMP | BPF_JEQ | BPF_K, OTHER_SOCKET, 0, 1);
	give(m, SECCOMP_RET_USER_NOTIF);
#ifdef OTHER_SOCKETCALL
	put(m, BPF_JMP | BPF_JEQ | BPF_K, OTHER_SOCKETCALL, 0, 1);
	give(m, SECCOMP_RET_USER_NOTIF);
#endif
	put(m, BPF_JMP | BPF_JEQ | BPF_K, IO_URING_SETUP, 0, 1);
	give(m, SECCOMP_RET_ERRNO | ENOSYS);
	give(m, SECCOMP_RET_ALLOW);
}

unsigned filter_make(struct sock_filter ret[FILTER_MAX])
{
	static const uint32_t stopped[] = {
		SYS_accept4,	SYS_sendmsg,	SYS_recvmsg,  SYS_listen,   SYS_getsockname, SYS_getpeername,
		SYS_getsockopt, SYS_setsockopt, SYS_shutdown, SYS_sendmmsg, SYS_recvmmsg,
#ifdef SYS_accept
		SYS_accept,
#endif
	};
	struct maker m = {.f = ret};
	unsigned jump;

	load(&m, LOW(arch));
	jump = m.n;
	put(&m, BPF_JMP | BPF_JEQ | BPF_K, OTHER_ARCH, 0, 0); /* not: over what follows, set below */
	other_architecture(&m);
	ret[jump].jf = (uint8_t)(m.n - jump - 1);
	put(&m, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	give(&m, SECCOMP_RET_ERRNO | ENOSYS);
	load(&m, LOW(nr));
#ifdef X32_BIT
	put(&m, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1); /* as a kernel without x32 */
	give(&m, SECCOMP_RET_ERRNO | ENOSYS);
#endif
	stop_ip_sockets(&m);
	stop_if_address(&m, SYS_sendto);
	stop_if_address(&m, SYS_recvfrom);
	stop_named(&m, SYS_connect);
	stop_named(&m, SYS_bind);
	for (size_t i = 0; i < COUNT_OF(stopped); i++)
		stop_unless_ours(&m, stopped[i]);
	only_if(&m, IO_URING_SETUP, 1);
	give(&m, SECCOMP_RET_ERRNO | ENOSYS);
	give(&m, SECCOMP_RET_ALLOW);
	return m.n;
}

int filter_install(bool *ret_killable)
{
	struct sock_filter f[FILTER_MAX];
	struct sock_fprog prog = {.len = (unsigned short)filter_make(f), .filter = f};
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	bool asked = false;

	for (;;) {
		long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);

		*ret_killable = flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
		if (fd >= 0)
			return (int)fd;
		if (errno == EACCES && !asked) { /* not privileged: rights may only be lost from here on */
			asked = true;
			if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
				return -errno;
		} else if (errno == EINVAL && *ret_killable) { /* before Linux 5.19 */
			flags &= ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
		} else {
			return -errno;
		}
	}
}

bool filter_release_at_least(unsigned major, unsigned minor)
{
	struct utsname u;
	unsigned a, b;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &a, &b) != 2)
		return false;
	return a > major || (a == major && b >= minor);
}

int filter_possible(void)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -ENOSYS;
	/* Linux 5.14 brought SECCOMP_ADDFD_FLAG_SEND, and nothing tells but the release. */
	return filter_release_at_least(5, 14) ? 0 : -ENOSYS;
}
