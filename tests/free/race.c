/* tests/free/race.c [RESERVATIONS [PROGRAMS]]: many test programs that want ports at the same time, on a machine that is busy.
 *
 * Each program reserves five ports, by turns anywhere, inside the kernel's own range, in a row, for TCP and UDP, and starts a
 * server on each: with SO_REUSEADDR, with SO_REUSEPORT, with a descriptor, and with nothing at all. The first three have to listen,
 * and a caller has to reach them and nobody else; the last has to be refused with EADDRINUSE. A table in shared memory says who has
 * which number: nobody may be given one that another has. Meanwhile others bind port 0 and connect without pause, and
 * keep some hundreds of what they got.
 *
 * Beside it the usual way, in the same programs and the same moments: bind port 0, ask for the number, close, and bind
 * it when the server starts. Its failures are counted and printed, and are no failures of ours.
 *
 * The ports are a network namespace's of our own, with a range of 4,000; without the right to make one, the machine's.
 */
#include <arpa/inet.h>
#include <berth/port.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORTS = 5, DISTURBERS = 12, KEPT = 60, COMPLAINTS_MAX = 20 };
enum way { REUSEADDR, REUSEPORT, DESCRIPTOR, NOTHING, NWAYS };
static const char *const way_name[NWAYS] = {"SO_REUSEADDR", "SO_REUSEPORT", "a descriptor", "nothing"};

static struct shared {
	_Atomic int owner[65536];
	_Atomic unsigned calls, reserved, reserve_failed, twice, served[NWAYS], failed[NWAYS], complaints;
	_Atomic unsigned probed, probe_failed, disturbed;
	_Atomic bool over, go;
} * sh;

static const uint16_t low = 32768, middle = 34768, high = 36767; /* the kernel's own range */
static bool alone;

static void complain(const char *what, uint16_t port, int err)
{
	if (atomic_fetch_add(&sh->complaints, 1) < COMPLAINTS_MAX)
		printf("FAIL %s: port %u: %s\n", what, port, strerror(err));
}

/* --- one server and its caller --- */

struct place {
	struct sockaddr_storage a;
	socklen_t len;
	int family;
};

static struct place place(const char *address, uint16_t port)
{
	struct place p = {.family = strchr(address, ':') ? AF_INET6 : AF_INET};

	if (p.family == AF_INET6) {
		struct sockaddr_in6 *a = (struct sockaddr_in6 *)&p.a;

		a->sin6_family = AF_INET6;
		a->sin6_port = htons(port);
		inet_pton(AF_INET6, address, &a->sin6_addr);
		p.len = sizeof(*a);
	} else {
		struct sockaddr_in *a = (struct sockaddr_in *)&p.a;

		a->sin_family = AF_INET;
		a->sin_port = htons(port);
		inet_pton(AF_INET, address, &a->sin_addr);
		p.len = sizeof(*a);
	}
	return p;
}

/* Where the port is the same octets in both families. */
static uint16_t port_of(int fd, bool peer)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	if (peer)
		(void)getpeername(fd, (struct sockaddr *)&a, &len);
	else
		(void)getsockname(fd, (struct sockaddr *)&a, &len);
	return ntohs(a.sin6_port);
}

static int listen_on(const char *address, uint16_t port, bool reuseaddr, bool reuseport)
{
	struct place p = place(address, port);
	const int on = 1;
	int fd = socket(p.family, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (reuseaddr)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&p.a, p.len) < 0 || listen(fd, 5) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* A connection to the port reaches this listener. The caller resets it: TIME_WAIT would fill the namespace. */
static bool is_heard(const char *to, uint16_t port, int listener)
{
	const struct linger reset = {1, 0};
	const struct timeval patience = {.tv_sec = 20};
	struct place p = place(to, port);
	int c = socket(p.family, SOCK_STREAM | SOCK_CLOEXEC, 0), a = -1;
	bool ok;

	setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)); /* for accept, too */
	for (int i = 0; connect(c, (struct sockaddr *)&p.a, p.len) < 0; i++)
		if (errno != EADDRNOTAVAIL || i == 1000) { /* the range is small, and the callers' */
			complain("cannot connect", port, errno);
			close(c);
			return false;
		} else {
			usleep(1000);
		}
	a = accept(listener, NULL, NULL);
	ok = a >= 0 && port_of(a, true) == port_of(c, false);
	close(c);
	if (a >= 0)
		close(a);
	return ok;
}

static void serve(const struct berth_port *p, enum way way, unsigned turn)
{
	static const char *const at[] = {"0.0.0.0", "127.0.0.1", "::", "::1"};
	static const char *const to[] = {"127.0.0.1", "127.0.0.1", "::1", "::1"};
	unsigned i = turn % 4;
	int fd;

	if (way == DESCRIPTOR) {
		fd = berth_port_socket(p, BERTH_PORT_TCP, i == 0 ? NULL : at[i]);
		if (fd >= 0 && listen(fd, 5) < 0) {
			int r = -errno;

			close(fd);
			fd = r;
		}
	} else {
		fd = listen_on(at[i], p->port, way == REUSEADDR, way == REUSEPORT);
	}
	atomic_fetch_add(&sh->served[way], 1);
	if (way == NOTHING ? fd != -EADDRINUSE : fd < 0) {
		complain(way_name[way], p->port, fd < 0 ? -fd : 0);
		atomic_fetch_add(&sh->failed[way], 1);
	} else if (fd >= 0 && !is_heard(to[i], p->port, fd)) {
		complain("somebody else is heard", p->port, 0);
		atomic_fetch_add(&sh->failed[way], 1);
	}
	if (fd >= 0)
		close(fd);
}

/* --- the usual way --- */

/* From the lower half of the range: who asks for a number, gives it back and binds it later all the same would, with SO_REUSEADDR,
 * be let in at a port that has been reserved meanwhile, like the server it is for. The reserved ones are in the upper half. */
static uint16_t probe(void)
{
	for (int i = 0; i < 1000; i++) {
		int fd = listen_on("127.0.0.1", 0, false, false);
		uint16_t port = fd < 0 ? 0 : port_of(fd, false);

		if (fd >= 0)
			close(fd);
		if (port && (!alone || port < middle))
			return port;
	}
	return 0;
}

static void use_probed(uint16_t port)
{
	int fd = port ? listen_on("127.0.0.1", port, true, false) : -1;

	atomic_fetch_add(&sh->probed, 1);
	if (fd < 0)
		atomic_fetch_add(&sh->probe_failed, 1);
	else
		close(fd);
}

/* --- a test program --- */

static int reserve(struct berth_port p[PORTS], unsigned turn)
{
	unsigned flags =
		BERTH_PORT_TCP | (turn % 4 == 3 ? BERTH_PORT_UDP : 0u) | (turn % 8 == 5 ? BERTH_PORT_CONSECUTIVE : 0u);
	bool inside = turn % 2 && alone;

	return berth_port_reserve(flags | (inside ? BERTH_PORT_REGISTERED : 0u), inside ? middle : 0, inside ? high : 0,
				  p, PORTS, NULL);
}

static void one_turn(unsigned turn)
{
	struct berth_port p[PORTS];
	uint16_t probed[PORTS];
	int r = reserve(p, turn);

	atomic_fetch_add(&sh->calls, 1);
	if (r < 0) {
		complain("cannot reserve", 0, -r);
		atomic_fetch_add(&sh->reserve_failed, 1);
		return;
	}
	for (int i = 0; i < PORTS; i++) {
		int nobody = 0;

		atomic_fetch_add(&sh->reserved, 1);
		if (!atomic_compare_exchange_strong(&sh->owner[p[i].port], &nobody, getpid())) {
			complain("two have it", p[i].port, 0);
			atomic_fetch_add(&sh->twice, 1);
		}
		probed[i] = probe();
	}
	for (int i = 0; i < PORTS; i++) {
		serve(&p[i], (enum way)((turn + (unsigned)i) % NWAYS), turn / NWAYS + (unsigned)i);
		use_probed(probed[i]);
	}
	for (int i = 0; i < PORTS; i++)
		atomic_store(&sh->owner[p[i].port], 0);
	berth_port_drop(p, PORTS);
}

static void program(unsigned first, unsigned turns)
{
	while (!atomic_load(&sh->go))
		usleep(1000);
	for (unsigned t = 0; t < turns; t++)
		one_turn(first + t);
}

/* --- those who bind port 0 and connect --- */

static void disturb(unsigned who, uint16_t listener)
{
	static int kept[KEPT];
	struct place p = place("127.0.0.1", listener), any = place(who % 2 ? "127.0.0.1" : "0.0.0.0", 0);
	const struct linger reset = {1, 0};
	const int on = 1;

	memset(kept, -1, sizeof(kept));
	for (unsigned i = 0; !atomic_load(&sh->over); i++) {
		int *fd = &kept[i % KEPT];

		if (*fd >= 0)
			close(*fd);
		*fd = socket(AF_INET, (i % 8 == 7 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		if (i % 8 != 7 && i & 16)
			setsockopt(*fd, SOL_SOCKET, i & 32 ? SO_REUSEADDR : SO_REUSEPORT, &on, sizeof(on));
		if (who < DISTURBERS / 2) {
			if (bind(*fd, (struct sockaddr *)&any.a, any.len) == 0 && i % 8 != 7 && i & 1)
				(void)listen(*fd, 1);
		} else {
			(void)connect(*fd, (struct sockaddr *)&p.a, p.len);
		}
		atomic_fetch_add(&sh->disturbed, 1);
	}
}

/* What the connecting ones connect to. */
static void accept_all(int listener)
{
	while (!atomic_load(&sh->over)) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0)
			close(fd);
	}
}

/* --- */

static void set_range(void)
{
	char text[32];
	int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);

	snprintf(text, sizeof(text), "%u %u", low, high);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		alone = false;
	if (fd >= 0)
		close(fd);
}

static void own_namespace(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	alone = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
	if (!alone)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		perror("lo");
	close(fd);
	set_range();
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	return pid;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 100000, programs = argc > 2 ? (unsigned)atoi(argv[2]) : 200;
	unsigned turns = (n + programs * PORTS - 1) / (programs * PORTS), bad;
	pid_t helpers[DISTURBERS + 1], *tests = calloc(programs, sizeof(*tests));
	struct timespec t0, t1;
	int listener, status, lost = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED || !tests)
		return 1;
	own_namespace();
	listener = listen_on("127.0.0.1", 0, false, false);
	fflush(stdout);
	for (unsigned i = 0; i <= DISTURBERS; i++) {
		helpers[i] = child();
		if (helpers[i] == 0) {
			if (i == DISTURBERS)
				accept_all(listener);
			else
				disturb(i, port_of(listener, false));
			_exit(0);
		}
	}
	for (unsigned i = 0; i < programs; i++) {
		tests[i] = child();
		if (tests[i] == 0) {
			program(i * turns, turns);
			_exit(0);
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &t0);
	atomic_store(&sh->go, true);
	for (unsigned i = 0; i < programs; i++)
		lost += waitpid(tests[i], &status, 0) != tests[i] || status != 0;
	clock_gettime(CLOCK_MONOTONIC, &t1);
	atomic_store(&sh->over, true);
	for (unsigned i = 0; i <= DISTURBERS; i++) {
		kill(helpers[i], SIGKILL);
		waitpid(helpers[i], NULL, 0);
	}
	bad = sh->reserve_failed + sh->twice + (unsigned)lost;
	printf("%u ports reserved in %u calls by %u programs in %.1f s: %u calls failed, %u ports given twice\n",
	       sh->reserved, sh->calls, programs,
	       (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9, sh->reserve_failed,
	       sh->twice);
	for (int w = 0; w < NWAYS; w++) {
		printf("servers with %s: %u, %s %u\n", way_name[w], sh->served[w],
		       w == NOTHING ? "not refused with EADDRINUSE:" : "failed:", sh->failed[w]);
		bad += sh->failed[w];
	}
	printf("meanwhile %u times bind(0) or connect() by others%s\n", sh->disturbed,
	       alone ? ", in a range of 4,000 ports" : " (on the machine's own ports)");
	printf("the usual way, probe and close: %u, failed: %u (%.2f %%)\n", sh->probed, sh->probe_failed,
	       sh->probed ? 100.0 * sh->probe_failed / sh->probed : 0.0);
	if (lost)
		printf("%d programs did not come to their end\n", lost);
	if (sh->served[REUSEADDR] == 0 || sh->served[NOTHING] == 0 || sh->disturbed == 0) {
		printf("nothing was tried\n");
		bad++;
	}
	free(tests);
	return bad != 0;
}
