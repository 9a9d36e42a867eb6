/* src/cli/lease.c: ports that stay held when `berth free` has ended: a small process that has them, and its end.
 *
 *     time --------------> timerfd --\
 *     --with PID --------> pidfd -----poll --> the end: exit, and the kernel closes the sockets
 *     berth free --list -> listener -/        \--> an answer, or a port given back
 *
 * It is born with the ports: who started us held them and forked. Nothing is written down anywhere. Whoever wants to
 * know asks: the process listens on an abstract name that begins with its user's number, and such names are
 * per network namespace, as the ports are, and are gone with the process, however it ends. Who asks must be the same user
 * or root, which the kernel says (SO_PEERCRED).
 *
 * The time is CLOCK_BOOTTIME: ten minutes end ten minutes later, even if the machine slept.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/siphash.h"
#include "cli/free.h"

#define BACKLOG 64
#define PATIENCE_S 1 /* with who connected and says nothing */

struct lease {
	struct berth_port *ports;
	unsigned n;
	int listener, timer, with_fd; /* -1: none */
	uint64_t end_ms;	      /* CLOCK_BOOTTIME; UINT64_MAX: none */
	pid_t with;
	char by[20];
};

void lease_name_prefix(uid_t uid, char s[LEASE_NAME_MAX])
{
	static const struct siphash_key key = {.k0 = 0x62657274685f6672, .k1 = 0x65655f776f726c64};
	const char *host = free_host(), *dir = getenv("BERTH_NETWORK_DIR");
	uint64_t world;

	if (!host) {
		snprintf(s, LEASE_NAME_MAX, "berth-free-%u-machine-", uid);
		return;
	}
	world = siphash24(&key, dir, strlen(dir)) ^ siphash13(&key, host, strlen(host));
	snprintf(s, LEASE_NAME_MAX, "berth-free-%u-%016lx-", uid, (unsigned long)world);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- answering --- */

static unsigned protos_of(const struct berth_port *p)
{
	return (p->tcp >= 0 ? BERTH_PORT_TCP : 0u) | (p->udp >= 0 ? BERTH_PORT_UDP : 0u);
}

static unsigned drop(struct lease *l, const struct lease_request *q)
{
	unsigned n_dropped = 0, n_left = 0;

	for (unsigned i = 0; i < l->n; i++) {
		struct berth_port part = l->ports[i];

		if (!q->port || q->port == part.port) {
			if (!(q->protos & BERTH_PORT_TCP))
				part.tcp = -1;
			if (!(q->protos & BERTH_PORT_UDP))
				part.udp = -1;
			n_dropped += protos_of(&part) != 0;
			if (part.tcp >= 0)
				l->ports[i].tcp = -1;
			if (part.udp >= 0)
				l->ports[i].udp = -1;
			berth_port_drop(&part, 1);
		}
		if (protos_of(&l->ports[i]))
			l->ports[n_left++] = l->ports[i];
	}
	l->n = n_left;
	return n_dropped;
}

static void answer(struct lease *l, int fd, const struct lease_request *q)
{
	const uint64_t now = now_ms();
	struct lease_answer *a = calloc(1, sizeof(*a) + l->n * sizeof(struct lease_port));
	struct lease_port *p = (struct lease_port *)(a + 1);
	size_t len = sizeof(*a);

	if (!a)
		return; /* it is told by the end of the connection */
	a->magic = LEASE_MAGIC;
	a->with = l->with;
	a->left_ms = l->end_ms == UINT64_MAX ? UINT64_MAX : l->end_ms > now ? l->end_ms - now : 0;
	memcpy(a->by, l->by, sizeof(a->by));
	if (q->op == LEASE_DROP) {
		a->n = drop(l, q);
	} else {
		a->n = l->n;
		for (unsigned i = 0; i < l->n; i++)
			p[i] = (struct lease_port){l->ports[i].port, (uint16_t)protos_of(&l->ports[i])};
		len += l->n * sizeof(*p);
	}
	(void)!send(fd, a, len, MSG_NOSIGNAL);
	free(a);
}

static void serve(struct lease *l)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC);
	struct lease_request q;
	struct ucred who;
	socklen_t len = sizeof(who);

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == geteuid() || who.uid == 0) &&
	    recv(fd, &q, sizeof(q), 0) == (ssize_t)sizeof(q) && q.magic == LEASE_MAGIC)
		answer(l, fd, &q);
	close(fd);
}

_Noreturn static void live(struct lease *l)
{
	struct pollfd p[] = {{.fd = l->timer, .events = POLLIN},
			     {.fd = l->with_fd, .events = POLLIN},
			     {.fd = l->listener, .events = POLLIN}};

	while (l->n) {
		if (poll(p, COUNT_OF(p), -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents || p[1].revents)
			break;
		if (p[2].revents)
			serve(l);
	}
	_exit(0);
}

/* --- beginning --- */

static int listen_abstract(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char prefix[LEASE_NAME_MAX];
	uint64_t key = now_ms();
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), len;

	if (fd < 0)
		return -errno;
	(void)!getrandom(&key, sizeof(key), GRND_NONBLOCK);
	lease_name_prefix(geteuid(), prefix);
	len = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s%d-%08x", prefix, getpid(), (unsigned)key);
	if (bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) <
		    0 ||
	    listen(fd, BACKLOG) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int by_number(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

/* Nothing stays of who started us: neither terminal nor pipes, which others wait on, nor folder. */
static void leave(const struct lease *l, int tell)
{
	int *keep = calloc(l->n * 2 + 4, sizeof(*keep)), null;
	size_t n = 0;

	if (keep) {
		for (unsigned i = 0; i < l->n; i++) {
			keep[n++] = l->ports[i].tcp;
			keep[n++] = l->ports[i].udp;
		}
		keep[n++] = l->timer;
		keep[n++] = l->with_fd;
		keep[n++] = tell;
		qsort(keep, n, sizeof(*keep), by_number);
		for (size_t i = 0, low = 3; i < n; i++)
			if (keep[i] >= (int)low) {
				if (keep[i] > (int)low)
					(void)close_range((unsigned)low, (unsigned)keep[i] - 1, 0);
				low = (size_t)keep[i] + 1;
			}
		(void)close_range((unsigned)keep[n - 1] + 1, ~0u, 0);
		free(keep);
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		close(null);
	(void)setsid();
	(void)!chdir("/");
	umask(077);
	prctl(PR_SET_NAME, "berth-lease");
}

static int above(int fd)
{
	int r = fd < 0 || fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (r != fd)
		close(fd);
	return r;
}

_Noreturn static void be(struct lease *l, int tell)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	int r = 0;

	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &dfl, NULL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	leave(l, tell);
	l->listener = listen_abstract();
	if (l->listener < 0)
		r = l->listener;
	if (write(tell, &r, sizeof(r)) != (ssize_t)sizeof(r) || r < 0)
		_exit(1);
	close(tell);
	live(l);
}

static void read_caller(char by[20])
{
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", getppid());
	f = fopen(path, "re");
	if (f && fgets(by, 20, f))
		by[strcspn(by, "\n")] = '\0';
	if (f)
		fclose(f);
}

static int prepare(struct cli *cli, const struct free_order *o, struct lease *l)
{
	struct itimerspec at = {0};

	if (o->with) {
		l->with_fd = above((int)syscall(SYS_pidfd_open, o->with, 0));
		if (l->with_fd < 0)
			return errno == ESRCH ? cli_fail(cli, 0, "there is no process %d", o->with)
					      : cli_fail(cli, -errno, "cannot watch process %d", o->with);
	}
	if (o->lease_s) {
		l->timer = above(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC));
		l->end_ms = now_ms() + o->lease_s * 1000;
		at.it_value.tv_sec = (time_t)(l->end_ms / 1000);
		at.it_value.tv_nsec = (long)(l->end_ms % 1000) * 1000000;
		if (l->timer < 0 || timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &at, NULL) < 0)
			return cli_fail(cli, -errno, "cannot measure the time of the lease");
	}
	return 0;
}

int lease_start(struct cli *cli, const struct free_order *o, pid_t *ret)
{
	struct lease l = {.ports = o->ports,
			  .n = o->n,
			  .listener = -1,
			  .timer = -1,
			  .with_fd = -1,
			  .end_ms = UINT64_MAX,
			  .with = o->with};
	int tell[2], r = prepare(cli, o, &l), e = -ECHILD;
	pid_t pid;

	if (r != 0)
		return r;
	read_caller(l.by);
	if (pipe2(tell, O_CLOEXEC) < 0)
		return cli_fail(cli, -errno, "cannot start the process that holds the ports");
	tell[1] = above(tell[1]);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		be(&l, tell[1]);
	close(tell[1]);
	if (pid < 0 || read(tell[0], &e, sizeof(e)) != (ssize_t)sizeof(e) || e < 0)
		r = cli_fail(cli, pid < 0 ? -errno : e, "cannot start the process that holds the ports");
	close(tell[0]);
	if (l.timer >= 0)
		close(l.timer);
	if (l.with_fd >= 0)
		close(l.with_fd);
	*ret = pid;
	return r;
}
