/* src/network/raw.h: system calls made inline; the answer is a negative errno and errno stays as it was.
 *
 * This code runs inside other people's processes, below functions that this very project replaces
 * (connect, bind, close...), in signal handlers and in vfork children. So libc's wrappers are not asked:
 * some are ours by then, all write errno, and some are cancellation points.
 */
#ifndef BERTH_NETWORK_RAW_H
#define BERTH_NETWORK_RAW_H

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/base.h"
#include "network/pass.h"

#if defined(__x86_64__)
static inline long raw_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	/* The sixth register is cleared: see pass.h. */
	__asm__ volatile("syscall\n\txorl %%r9d, %%r9d"
			 : "=a"(ret), "+r"(r9)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}
#elif defined(__aarch64__)
static inline long raw_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0\n\tmov x5, xzr"
			 : "+r"(x0), "+r"(x5)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
}
#else
#error "berth knows the system calls of x86_64 and aarch64"
#endif

/* A socket call of our own, of at most five arguments, which the second net lets through. */
static inline long raw_pass(long nr, long a, long b, long c, long d, long e)
{
	return raw_call(nr, a, b, c, d, e, pass_value(nr, a));
}

/* In a loop that waits for another processor. */
static inline void raw_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause");
#else
	__asm__ volatile("yield");
#endif
}

static inline int raw_openat(int dir, const char *path, int flags, unsigned mode)
{
	return (int)raw_call(SYS_openat, dir, (long)path, flags, (long)mode, 0, 0);
}

static inline void raw_close(int fd)
{
	(void)raw_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

static inline long raw_pread(int fd, void *buf, size_t len_bytes, uint64_t at)
{
	return raw_call(SYS_pread64, fd, (long)buf, (long)len_bytes, (long)at, 0, 0);
}

static inline long raw_pwrite(int fd, const void *buf, size_t len_bytes, uint64_t at)
{
	return raw_call(SYS_pwrite64, fd, (long)buf, (long)len_bytes, (long)at, 0, 0);
}

static inline int raw_mkdirat(int dir, const char *path, unsigned mode)
{
	return (int)raw_call(SYS_mkdirat, dir, (long)path, (long)mode, 0, 0, 0);
}

static inline int raw_unlinkat(int dir, const char *path, int flags)
{
	return (int)raw_call(SYS_unlinkat, dir, (long)path, flags, 0, 0, 0);
}

static inline int raw_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return (int)raw_call(SYS_renameat, from_dir, (long)from, to_dir, (long)to, 0, 0);
}

static inline long raw_getdents(int fd, void *buf, size_t len_bytes)
{
	return raw_call(SYS_getdents64, fd, (long)buf, (long)len_bytes, 0, 0, 0);
}

static inline int raw_flock(int fd, int op)
{
	return (int)raw_call(SYS_flock, fd, op, 0, 0, 0, 0);
}

static inline int raw_fallocate(int fd, int mode, uint64_t at, uint64_t len_bytes)
{
	return (int)raw_call(SYS_fallocate, fd, mode, (long)at, (long)len_bytes, 0, 0);
}

/* libc's fstat() is a plain wrapper that nobody replaces, but for errno. */
int raw_fstat(int fd, struct stat *ret);
int raw_lstatat(int dir, const char *path, struct stat *ret);

/* NULL when it cannot be. */
static inline void *raw_mmap(size_t len_bytes, int prot, int flags, int fd)
{
	long r = raw_call(SYS_mmap, 0, (long)len_bytes, prot, flags, fd, 0);

	return r < 0 && r > -4096 ? NULL : (void *)r;
}

static inline void raw_munmap(void *p, size_t len_bytes)
{
	(void)raw_call(SYS_munmap, (long)p, (long)len_bytes, 0, 0, 0, 0);
}

static inline int32_t raw_getpid(void)
{
	return (int32_t)raw_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

/* Never cached: a vfork child shares its parent's memory and a fork child inherits it. */
static inline int32_t raw_gettid(void)
{
	return (int32_t)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static inline uint32_t raw_geteuid(void)
{
	return (uint32_t)raw_call(SYS_geteuid, 0, 0, 0, 0, 0, 0);
}

static inline uint64_t raw_sigmask_block_all(void)
{
	uint64_t all = UINT64_MAX, old = 0;

	(void)raw_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&old, sizeof(old), 0, 0);
	return old;
}

static inline void raw_sigmask_restore(uint64_t old)
{
	(void)raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old), 0, 0);
}

/* Can these eight octets be read, or would touching them be SIGBUS (the file was cut short)? The kernel
 * reads them for a request it then refuses, and says EFAULT where we would have died: 0.1 us. */
static inline bool raw_readable(const void *p)
{
	return raw_call(SYS_rt_sigprocmask, 99, (long)p, 0, sizeof(uint64_t), 0, 0) != -14 /* EFAULT */;
}

static inline int raw_getrandom(void *buf, size_t len_bytes)
{
	return (int)raw_call(SYS_getrandom, (long)buf, (long)len_bytes, 0, 0, 0, 0);
}

static inline void raw_sleep_us(uint64_t us)
{
	struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	(void)raw_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&t, 0, 0, 0);
}

#endif
