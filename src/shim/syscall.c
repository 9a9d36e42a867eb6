/* src/shim/syscall.c: syscall(2), for programs that make the socket calls by number.
 *
 * The second net would see them, too, at 12 us each; here they are what the function of that name is. Every other
 * number goes straight to the kernel from a few instructions that use no stack of ours, as libc's own do: a
 * program may make a call that returns twice.
 *
 * What is ours may pass through libc's function if it is not about a socket of ours, so errno and the result are
 * the same as those of libc's syscall(): -1 and errno.
 */
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shim/shim.h"

EXPORTED(int, socket, (int, int, int));
EXPORTED(int, bind, (int, const struct sockaddr *, socklen_t));
EXPORTED(int, listen, (int, int));
EXPORTED(int, accept, (int, struct sockaddr *, socklen_t *));
EXPORTED(int, accept4, (int, struct sockaddr *, socklen_t *, int));
EXPORTED(int, connect, (int, const struct sockaddr *, socklen_t));
EXPORTED(int, getsockname, (int, struct sockaddr *, socklen_t *));
EXPORTED(int, getpeername, (int, struct sockaddr *, socklen_t *));
EXPORTED(int, getsockopt, (int, int, int, void *, socklen_t *));
EXPORTED(int, setsockopt, (int, int, int, const void *, socklen_t));
EXPORTED(int, shutdown, (int, int));
EXPORTED(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t));
EXPORTED(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *));
EXPORTED(ssize_t, sendmsg, (int, const struct msghdr *, int));
EXPORTED(ssize_t, recvmsg, (int, struct msghdr *, int));
EXPORTED(int, sendmmsg, (int, struct mmsghdr *, unsigned, int));
EXPORTED(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *));
EXPORTED(ssize_t, read, (int, void *, size_t));
EXPORTED(ssize_t, write, (int, const void *, size_t));
EXPORTED(ssize_t, readv, (int, const struct iovec *, int));
EXPORTED(ssize_t, writev, (int, const struct iovec *, int));
EXPORTED(int, ioctl, (int, unsigned long, ...));
EXPORTED(int, close, (int));
EXPORTED(int, dup, (int));
#ifdef SYS_dup2
EXPORTED(int, dup2, (int, int));
#endif
EXPORTED(int, dup3, (int, int, int));
EXPORTED(int, pidfd_getfd, (int, int, unsigned));
EXPORTED(int, fcntl, (int, int, ...));
EXPORTED(int, execve, (const char *, char *const *, char *const *));
EXPORTED(int, execveat, (int, const char *, char *const *, char *const *, int));

long shim_syscall_failed(long r);
long shim_syscall_ours(long nr, long a, long b, long c, long d, long e, long f);

/* The kernel's answer was an error. */
__attribute__((used)) long shim_syscall_failed(long r)
{
	errno = (int)-r;
	return -1;
}

__attribute__((used)) long shim_syscall_ours(long nr, long a, long b, long c, long d, long e, long f)
{
	switch (nr) {
	case SYS_socket:
		return shim_socket((int)a, (int)b, (int)c);
	case SYS_bind:
		return shim_bind((int)a, (const struct sockaddr *)b, (socklen_t)c);
	case SYS_listen:
		return shim_listen((int)a, (int)b);
	case SYS_accept:
		return shim_accept((int)a, (struct sockaddr *)b, (socklen_t *)c);
	case SYS_accept4:
		return shim_accept4((int)a, (struct sockaddr *)b, (socklen_t *)c, (int)d);
	case SYS_connect:
		return shim_connect((int)a, (const struct sockaddr *)b, (socklen_t)c);
	case SYS_getsockname:
		return shim_getsockname((int)a, (struct sockaddr *)b, (socklen_t *)c);
	case SYS_getpeername:
		return shim_getpeername((int)a, (struct sockaddr *)b, (socklen_t *)c);
	case SYS_getsockopt:
		return shim_getsockopt((int)a, (int)b, (int)c, (void *)d, (socklen_t *)e);
	case SYS_setsockopt:
		return shim_setsockopt((int)a, (int)b, (int)c, (const void *)d, (socklen_t)e);
	case SYS_shutdown:
		return shim_shutdown((int)a, (int)b);
	case SYS_sendto:
		return shim_sendto((int)a, (const void *)b, (size_t)c, (int)d, (const struct sockaddr *)e,
				   (socklen_t)f);
	case SYS_recvfrom:
		return shim_recvfrom((int)a, (void *)b, (size_t)c, (int)d, (struct sockaddr *)e, (socklen_t *)f);
	case SYS_sendmsg:
		return shim_sendmsg((int)a, (const struct msghdr *)b, (int)c);
	case SYS_recvmsg:
		return shim_recvmsg((int)a, (struct msghdr *)b, (int)c);
	case SYS_sendmmsg:
		return shim_sendmmsg((int)a, (struct mmsghdr *)b, (unsigned)c, (int)d);
	case SYS_recvmmsg:
		return shim_recvmmsg((int)a, (struct mmsghdr *)b, (unsigned)c, (int)d, (struct timespec *)e);
	case SYS_read:
		return shim_read((int)a, (void *)b, (size_t)c);
	case SYS_write:
		return shim_write((int)a, (const void *)b, (size_t)c);
	case SYS_readv:
		return shim_readv((int)a, (const struct iovec *)b, (int)c);
	case SYS_writev:
		return shim_writev((int)a, (const struct iovec *)b, (int)c);
	case SYS_ioctl:
		return shim_ioctl((int)a, (unsigned long)b, (void *)c);
	case SYS_dup:
		return shim_dup((int)a);
#ifdef SYS_dup2
	case SYS_dup2:
		return shim_dup2((int)a, (int)b);
#endif
	case SYS_dup3:
		return shim_dup3((int)a, (int)b, (int)c);
	case SYS_fcntl:
		return shim_fcntl((int)a, (int)b, c);
	case SYS_pidfd_getfd:
		return shim_pidfd_getfd((int)a, (int)b, (unsigned)c);
	case SYS_close:
		return shim_close((int)a);
	case SYS_seccomp:
	case SYS_prctl:
		nr = confine_syscall(nr, a, b, c, d, e);
		return nr < 0 && nr > -4096 ? shim_syscall_failed(nr) : nr;
	case SYS_execve:
		return shim_execve((const char *)a, (char *const *)b, (char *const *)c);
	case SYS_execveat:
		return shim_execveat((int)a, (const char *)b, (char *const *)c, (char *const *)d, (int)e);
	}
	nr = raw_call(nr, a, b, c, d, e, f);
	return nr < 0 && nr > -4096 ? shim_syscall_failed(nr) : nr;
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
/* The socket calls have neighbouring numbers; the others are looked for one by one. */
#if defined(__x86_64__)
#define IF(nr) "cmp $" TEXT(nr) ",%rdi\n je 1f\n"
__asm__(".pushsection .text\n.globl syscall\n.type syscall,@function\nsyscall:\n endbr64\n"
	"lea -" TEXT(SYS_socket) "(%rdi),%rax\n cmp $" TEXT(SYS_getsockopt) "-" TEXT(SYS_socket) ",%rax\n jbe 1f\n" IF(
		SYS_accept4) IF(SYS_recvmmsg) IF(SYS_sendmmsg) IF(SYS_read) IF(SYS_write) IF(SYS_readv) IF(SYS_writev)
		IF(SYS_ioctl) IF(SYS_close) IF(SYS_seccomp) IF(SYS_prctl) IF(SYS_dup) IF(SYS_dup2) IF(SYS_dup3) IF(
			SYS_fcntl) IF(SYS_execve) IF(SYS_pidfd_getfd)
			IF(SYS_execveat) "mov %rdi,%rax\n mov %rsi,%rdi\n mov %rdx,%rsi\n mov %rcx,%rdx\n mov %r8,%r10\n"
					 "mov %r9,%r8\n mov 8(%rsp),%r9\n syscall\n cmp $-4095,%rax\n jae 2f\n ret\n"
					 "1: jmp shim_syscall_ours\n"
					 "2: mov %rax,%rdi\n jmp shim_syscall_failed\n"
					 ".size syscall,.-syscall\n.popsection\n");
#elif defined(__aarch64__)
#define IF(nr) "cmp x0,#" TEXT(nr) "\n b.eq 1f\n"
__asm__(".pushsection .text\n.globl syscall\n.type syscall,%function\nsyscall:\n"
	"sub x9,x0,#" TEXT(SYS_socket) "\n cmp x9,#" TEXT(SYS_recvmsg) "-" TEXT(SYS_socket) "\n b.ls 1f\n" IF(
		SYS_accept4) IF(SYS_recvmmsg) IF(SYS_sendmmsg) IF(SYS_read) IF(SYS_write) IF(SYS_readv) IF(SYS_writev)
		IF(SYS_ioctl) IF(SYS_close) IF(SYS_seccomp) IF(SYS_prctl) IF(SYS_dup) IF(SYS_dup3) IF(SYS_fcntl)
			IF(SYS_execve) IF(SYS_pidfd_getfd) IF(
				SYS_execveat) "mov x8,x0\n mov x0,x1\n mov x1,x2\n mov x2,x3\n mov x3,x4\n mov x4,x5\n"
					      "mov x5,x6\n svc 0\n cmn x0,#4095\n b.cs 2f\n ret\n"
					      "1: b shim_syscall_ours\n"
					      "2: b shim_syscall_failed\n"
					      ".size syscall,.-syscall\n.popsection\n");
#endif
