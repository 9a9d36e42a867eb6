/* src/shim/env.c: who this process is in the network, and libc's own functions.
 *
 * `berth run` says where the network is in three variables. They are read once, before main() or at
 * the first call that comes earlier, because programs clear their environment (nginx's workers do).
 * Without them the shim is inert. With them, and the network not to be had (removed, another
 * version's, no right to its directory), IP stream sockets are refused: a program that was meant to
 * be in a network never falls through to the machine's own.
 *
 *     UNSET --first caller--> BUSY --> ON or INERT        (and never back)
 *
 * Signals are blocked while BUSY, so a handler cannot meet its own thread half way. Another thread
 * waits; a child that fork() made just then would wait for ever, so after a while the waiter does the
 * work itself, which is harmless: the outcome is the same.
 */
#include <dlfcn.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "network/reach.h"
#include "shim/shim.h"
#include "shim/udp.h"

enum { UNSET, BUSY, ON, INERT };
#define WAITS_MAX 100000
#define KERNEL_SIGSET_OCTETS 8

static struct shim self;
static struct shim_next next;

static ssize_t first_read(int fd, void *buf, size_t len)
{
	return shim_next()->read(fd, buf, len);
}

static ssize_t first_write(int fd, const void *buf, size_t len)
{
	return shim_next()->write(fd, buf, len);
}

static ssize_t first_readv(int fd, const struct iovec *iov, int n)
{
	return shim_next()->readv(fd, iov, n);
}

static ssize_t first_writev(int fd, const struct iovec *iov, int n)
{
	return shim_next()->writev(fd, iov, n);
}

static ssize_t first_send(int fd, const void *buf, size_t len, int flags)
{
	return shim_next()->send(fd, buf, len, flags);
}

static int first_close(int fd)
{
	return shim_next()->close(fd);
}

struct shim_hot shim_hot = {first_read, first_write, first_readv, first_writev, first_send, first_close};
static _Atomic int phase, next_phase;
static char env_preload[NETWORK_PATH_MAX + 16], env_dir[NETWORK_PATH_MAX + 32], env_host[NETWORK_NAME_MAX + 16],
	env_run[32], env_policy[PORT_POLICY_CHAIN_STR_MAX + 16];
static const char *env_list[6];

static const char *env_find(const char *name)
{
	size_t len = strlen(name);

	for (char **e = environ; e && *e; e++)
		if (!strncmp(*e, name, len) && (*e)[len] == '=')
			return *e + len + 1;
	return NULL;
}

/* NAME=value into buf, and buf into the list for exec. */
static bool env_keep(char *buf, size_t size, const char *name, const char *value, size_t value_len)
{
	size_t name_len = strlen(name);
	unsigned n = 0;

	if (name_len + value_len + 2 > size)
		return false;
	memcpy(buf, name, name_len);
	buf[name_len] = '=';
	memcpy(buf + name_len + 1, value, value_len);
	buf[name_len + 1 + value_len] = '\0';
	while (env_list[n])
		n++;
	env_list[n] = buf;
	return true;
}

/* The element of LD_PRELOAD that is this library: its last part is libberth.so. */
static bool keep_preload(void)
{
	static const char ours[] = "libberth.so";
	const char *p = env_find("LD_PRELOAD");

	while (p && *p) {
		size_t len = strcspn(p, ": ");

		if (len >= sizeof(ours) - 1 && !memcmp(p + len - (sizeof(ours) - 1), ours, sizeof(ours) - 1))
			return env_keep(env_preload, sizeof(env_preload), "LD_PRELOAD", p, len);
		p += len;
		p += strspn(p, ": ");
	}
	return false;
}

extern const char *gnu_get_libc_version(void) __attribute__((weak)); /* glibc has it */

static int start(void)
{
	const char *dir = env_find("BERTH_NETWORK_DIR"), *name = env_find("BERTH_HOST"), *run = env_find("BERTH_RUN"),
		   *policy = env_find("BERTH_POLICY");
	struct network_info info;
	struct network_error err;
	uint32_t number = 0;

	/* musl's loader loads us too; a program of another libc is the second net's (docs/second-net.md). */
	if (!gnu_get_libc_version)
		return INERT;
	if (!dir || !name || !*dir || !*name)
		return INERT;
	env_list[0] = NULL;
	(void)keep_preload(); /* loaded in another way: exec is then left as it is */
	self.err = -ENETDOWN;
	if (!env_keep(env_dir, sizeof(env_dir), "BERTH_NETWORK_DIR", dir, strlen(dir)) ||
	    !env_keep(env_host, sizeof(env_host), "BERTH_HOST", name, strlen(name)))
		return ON;
	if (run && *run && strlen(run) < 10 && strspn(run, "0123456789") == strlen(run)) {
		for (const char *c = run; *c; c++)
			number = number * 10 + (uint32_t)(*c - '0');
		self.run = number;
		self.has_run = env_keep(env_run, sizeof(env_run), "BERTH_RUN", run, strlen(run));
	}
	/* What cannot be read is passed on all the same: who is started next must not have more than we. */
	if (policy && (port_policy_chain_parse(policy, &self.policy) < 0 ||
		       !env_keep(env_policy, sizeof(env_policy), "BERTH_POLICY", policy, strlen(policy)))) {
		self.policy.garbled = 1;
		(void)env_keep(env_policy, sizeof(env_policy), "BERTH_POLICY", "garbled", strlen("garbled"));
	}
	if (network_open_dir(&self.net, dir, &err) < 0 || network_host_get(&self.net, name, true, &self.host) < 0)
		return ON;
	network_get_info(&self.net, &info);
	self.privileged_deny = info.privileged_deny;
	self.err = 0;
	return ON;
}

static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

static int find_next(void)
{
	/* dlsym() gives an object pointer; the standard way round the cast is a copy. */
#define FIND(type, name, args)                          \
	do {                                            \
		void *p = dlsym(RTLD_NEXT, #name);      \
		if (!p)                                 \
			p = (void *)(uintptr_t)missing; \
		memcpy(&next.name, &p, sizeof(p));      \
	} while (0);
#define FIND_ONE(type, name, args) FIND(type, name, args)
	SHIM_NEXT_LIST(FIND_ONE)
	shim_next_inline(&next);
	shim_hot = (struct shim_hot){next.read, next.write, next.readv, next.writev, next.send, next.close};
	return ON;
}

static int once(_Atomic int *p, int (*work)(void))
{
	uint64_t all = UINT64_MAX, before = 0;
	int seen = UNSET, saved = errno;

	for (unsigned i = 0; i < WAITS_MAX; i++) {
		seen = UNSET;
		if (atomic_compare_exchange_strong(p, &seen, BUSY))
			break;
		if (seen != BUSY)
			return seen;
		sched_yield();
	}
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, KERNEL_SIGSET_OCTETS, 0);
	seen = work();
	atomic_store(p, seen);
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, KERNEL_SIGSET_OCTETS, 0);
	errno = saved;
	return seen;
}

struct shim *shim_get(void)
{
	int now = atomic_load_explicit(&phase, memory_order_acquire);

	if (now != ON && now != INERT)
		now = once(&phase, start);
	return now == ON ? &self : NULL;
}

const struct shim_next *shim_next(void)
{
	if (atomic_load_explicit(&next_phase, memory_order_acquire) != ON)
		(void)once(&next_phase, find_next);
	return &next;
}

const char *const *shim_env(void)
{
	return env_list;
}

void shim_event(struct shim *s, char call, const struct port_want *want, const struct port_refusal *r)
{
	struct network_event e = {0};

	if (!s->has_run)
		return;
	e.at_us = network_now_us();
	e.pid = (int32_t)sys_call(SYS_getpid, 0, 0, 0, 0, 0);
	memcpy(e.comm, want->owner.comm, sizeof(e.comm));
	e.host = s->host.index;
	e.call = (uint8_t)call;
	e.want = *want;
	e.refusal = *r;
	network_event_put(&s->net, s->run, &e);
}

int shim_owner(const struct shim *s, int fd, struct port_owner *ret)
{
	return network_owner_of(&s->net, fd, ret);
}

bool shim_has_echo(void)
{
	return reach_has_echo();
}

int shim_echo(struct shim *s, int fd)
{
	(void)s;
	return reach_echo(fd);
}

int32_t shim_caller(const struct shim *s, char ret_comm[16])
{
	(void)s;
	memset(ret_comm, 0, 16);
	sys_call(SYS_prctl, PR_GET_NAME, (long)ret_comm, 0, 0, 0);
	return (int32_t)sys_call(SYS_getpid, 0, 0, 0, 0, 0);
}

uint32_t shim_euid(const struct shim *s)
{
	(void)s;
	return (uint32_t)sys_call(SYS_geteuid, 0, 0, 0, 0, 0);
}

bool shim_pumped(int fd)
{
	(void)fd;
	return false;
}

bool shim_privileged(const struct shim *s)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (!s->privileged_deny)
		return true;
	if (sys_call(SYS_capget, (long)&head, (long)data, 0, 0, 0) < 0)
		return false;
	return data[0].effective & (1u << CAP_NET_BIND_SERVICE);
}

__attribute__((constructor)) static void load(void)
{
	(void)shim_next();
	if (shim_get())
		fdset_probe();
}
