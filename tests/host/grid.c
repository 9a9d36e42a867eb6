/* tests/host/grid.c: `why` against the bind itself, several thousand times.
 *
 *     host_grid [--user-ns]     77: no network namespace can be made here
 *
 * In a network namespace of its own, for each way to hold a port (nobody, listening, bound and idle, connected out, accepted and
 * outlived its listener, TIME_WAIT, UDP bound, UDP connected), each address and each set of flags, a holder takes a port
 * of its own. Then every asker (protocol, address, family, flags) is asked about twice: kernel_answer(), which is what `berth why` says, and a
 * socket that does it. The errors must be equal, with the flags of the holder seen and without; and where the model says that it is
 * certain, it must be right by itself, with no bind made.
 *
 * Then ports with up to three holders, drawn from a seed: there the rules are about all of them, TCP remembers who shared (D3), and
 * UDP asks the newest first, which no list tells: so of UDP an answer may be uncertain.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checks.h"
#include "cli/kernel_answer.h"
#include "cli/kernel_probe.h"
#include "host/host.h"
#include "world.h"

_Atomic int failures;

#define PORT_FIRST 20000
enum { A = PORT_REUSEADDR, P = PORT_REUSEPORT, V = PORT_V6ONLY };

static struct place {
	const char *name, *text;
	enum port_family family;
	uint16_t flags;
	struct port_addr addr;
} places[] = {
	{"0.0.0.0", "0.0.0.0", PORT_FAMILY_4, 0},
	{"127.0.0.1", "127.0.0.1", PORT_FAMILY_4, 0},
	{"127.0.0.2", "127.0.0.2", PORT_FAMILY_4, 0},
	{"[::]", "::", PORT_FAMILY_6, 0},
	{"[::] v6only", "::", PORT_FAMILY_6, V},
	{"[::1]", "::1", PORT_FAMILY_6, 0},
	{"::ffff:127.0.0.1", "127.0.0.1", PORT_FAMILY_6, 0},
	{"192.0.2.1 (not local)", "192.0.2.1", PORT_FAMILY_4, 0},
};
#define N_LOCAL 7 /* of them can be held */
static const uint16_t flag_sets[] = {0, A, P, A | P};
static const char *const flag_names[] = {"-", "A", "P", "AP"};

enum kind { NOBODY, LISTENING, IDLE, CLIENT, CHILD, LINGERING, UDP_BOUND, UDP_CONNECTED, N_KINDS };
static const char *const kind_names[N_KINDS] = {"nobody", "listening", "idle",	    "client",
						"child",  "time-wait", "udp-bound", "udp-connected"};

static bool many; /* holders */
static int n_asked, n_certain[2], n_all[2], n_errors[3];

static int socket_of(const struct place *p, enum port_proto proto, uint16_t flags)
{
	int one = 1, only = (p->flags & V) != 0;
	int fd = socket(p->family == PORT_FAMILY_4 ? AF_INET : AF_INET6,
			(proto == PORT_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	if (p->family == PORT_FAMILY_6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (flags & A)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (flags & P)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	return fd;
}

static socklen_t address_of(const struct port_addr *a, enum port_family family, uint16_t port, union addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (family == PORT_FAMILY_4) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		memcpy(&ret->in.sin_addr, a->b + 12, 4);
		return sizeof(ret->in);
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(port);
	memcpy(&ret->in6.sin6_addr, a->b, 16);
	return sizeof(ret->in6);
}

static int bind_at(int fd, const struct place *p, uint16_t port)
{
	union addr u;
	socklen_t len = address_of(&p->addr, p->family, port, &u);

	return bind(fd, &u.sa, len) < 0 ? -errno : 0;
}

static int connect_at(int fd, const struct port_addr *a, enum port_family family, uint16_t port)
{
	union addr u;
	socklen_t len = address_of(a, family, port, &u);

	return connect(fd, &u.sa, len) < 0 ? -errno : 0;
}

/* Where a socket bound there can reach, and be reached. */
static struct port_addr near(const struct place *p)
{
	if (!port_addr_is_any(&p->addr))
		return p->addr;
	return p->family == PORT_FAMILY_4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
}

static uint16_t port_of(int fd)
{
	union addr u = {0};
	socklen_t len = sizeof(u);

	getsockname(fd, &u.sa, &len);
	return ntohs(u.sa.sa_family == AF_INET ? u.in.sin_port : u.in6.sin6_port);
}

/* --- holders --- */

struct holder {
	int fds[3];
	int n;
};

static void keep(struct holder *h, int fd)
{
	h->fds[h->n++] = fd;
}

static void let_go(struct holder *h)
{
	while (h->n > 0)
		close(h->fds[--h->n]);
}

/* A listener that is no holder: on a port of the kernel's choice. */
static int listener_elsewhere(const struct place *p)
{
	struct place at = {.family = p->family, .addr = near(p)};
	int fd = socket_of(&at, PORT_TCP, 0);

	if (bind_at(fd, &at, 0) < 0 || listen(fd, 8) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool hold_client(struct holder *h, const struct place *p, uint16_t flags, uint16_t port)
{
	int l = listener_elsewhere(p), fd = socket_of(p, PORT_TCP, flags);
	struct port_addr to = near(p);

	keep(h, l);
	keep(h, fd);
	return l >= 0 && bind_at(fd, p, port) == 0 && connect_at(fd, &to, p->family, port_of(l)) == 0;
}

/* Accepted, the listener closed; linger: and closed by us first, so that the port is in TIME_WAIT. */
static bool hold_child(struct holder *h, const struct place *p, uint16_t flags, uint16_t port, bool linger)
{
	struct place from = {.family = p->family, .addr = near(p)};
	int l = socket_of(p, PORT_TCP, flags), caller = socket_of(&from, PORT_TCP, 0), child = -1;
	char octet;

	keep(h, caller);
	if (bind_at(l, p, port) == 0 && listen(l, 8) == 0 && connect_at(caller, &from.addr, p->family, port) == 0)
		child = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	close(l);
	if (child < 0)
		return false;
	if (!linger) {
		keep(h, child);
		return true;
	}
	close(child);
	(void)!read(caller, &octet, 1); /* the end: FIN has come */
	let_go(h);
	return true;
}

static bool hold(struct holder *h, enum kind kind, const struct place *p, uint16_t flags, uint16_t port)
{
	bool udp = kind == UDP_BOUND || kind == UDP_CONNECTED;
	struct port_addr to = near(p);
	int fd;

	*h = (struct holder){0};
	switch (kind) {
	case NOBODY:
		return true;
	case CLIENT:
		return hold_client(h, p, flags, port);
	case CHILD:
	case LINGERING:
		return hold_child(h, p, flags, port, kind == LINGERING);
	default:
		fd = socket_of(p, udp ? PORT_UDP : PORT_TCP, flags);
		keep(h, fd);
		return bind_at(fd, p, port) == 0 && (kind != LISTENING || listen(fd, 8) == 0) &&
		       (kind != UDP_CONNECTED || connect_at(fd, &to, p->family, 9) == 0);
	}
}

/* The port as everything is over: in TIME_WAIT, once the last ACK is in. */
static bool is_lingering(const struct host_sockets *s)
{
	return s->n == 1 && s->rows[0].state == HOST_TIME_WAIT;
}

/* --- askers --- */

static int do_it(const struct place *p, enum port_proto proto, uint16_t flags, uint16_t port, bool listens)
{
	int fd = socket_of(p, proto, flags), r = bind_at(fd, p, port);

	if (r == 0 && listens && listen(fd, 8) < 0)
		r = -errno;
	close(fd);
	return r;
}

static const char *name_of(int r)
{
	return r == 0 ? "ok" : strerrorname_np(-r);
}

struct asked {
	const struct host_bind *b;
	const char *who;
	const struct place *p;
	struct port_want want;
	size_t flags;
	int seen;
};

/* Once. False, and said when it is the last try: it is wrong. */
static bool ask_once(const struct asked *q, bool last)
{
	enum port_proto proto = q->want.proto;
	bool listens = proto == PORT_TCP, right = true;
	struct host_verdict v;
	struct kernel_answer a;
	const char *wrong = NULL;
	int real;

	if (host_bind_ask(q->b, &q->want, listens, 1024, &v) < 0 ||
	    kernel_answer(q->b, &q->want, listens, 1024, true, &a) < 0)
		return false;
	real = do_it(q->p, proto, flag_sets[q->flags], q->want.port, listens);
	if (a.refusal.err != real && a.certain)
		wrong = "why says";
	else if (v.certain && v.refusal.err != real && real != -EADDRNOTAVAIL)
		wrong = "the model is certain of";
	else if (!a.certain && (proto == PORT_TCP || (q->seen && !many)))
		wrong = "there is no certain answer, but";
	else if (real == -EADDRINUSE && a.certain && !a.row)
		wrong = "nobody is named, but";
	if (wrong) {
		right = false;
		if (last)
			printf("    %s; asker %s %s %s: %s %s, the bind %s\n", q->who, port_proto_name[proto],
			       q->p->name, flag_names[q->flags], wrong,
			       name_of(wrong[0] == 't' ? v.refusal.err : a.refusal.err), name_of(real));
	} else {
		n_asked++;
		n_all[q->seen]++;
		n_certain[q->seen] += v.certain;
		n_errors[real == 0 ? 0 : real == -EADDRINUSE ? 1 : 2]++;
	}
	return right;
}

/* Whoever walks through /proc at this moment may hold a socket of ours open for some microseconds after we closed it. So what is
 * wrong is asked again; what is really wrong stays so. */
static void ask(const struct host_bind *b, const char *who, const struct place *p, enum port_proto proto, size_t flags,
		uint16_t port, int seen)
{
	const struct asked q = {
		.b = b,
		.who = who,
		.p = p,
		.want = {.proto = proto,
			 .family = p->family,
			 .addr = p->addr,
			 .port = port,
			 .flags = (uint16_t)(flag_sets[flags] | p->flags),
			 .uid = geteuid()},
		.flags = flags,
		.seen = seen,
	};

	for (int i = 0; i < 6; i++) {
		if (ask_once(&q, i == 5))
			return;
		usleep(2000);
	}
	failures++;
}

static void ask_all(const char *who, uint16_t port, const struct host_sockets *s, const struct host_owners *o)
{
	for (int proto = 0; proto < PORT_NPROTOS; proto++) {
		for (int seen = 0; seen < 2; seen++) {
			struct host_bind b;

			if (host_bind_read(s, (enum port_proto)proto, port, seen ? o : NULL, 0, &b) < 0) {
				failures++;
				return;
			}
			for (size_t i = 0; i < COUNT_OF(places); i++)
				for (size_t f = 0; f < COUNT_OF(flag_sets); f++)
					ask(&b, who, &places[i], (enum port_proto)proto, f, port, seen);
			host_bind_free(&b);
		}
	}
}

static bool read_port(uint16_t port, enum kind kind, struct host_sockets *ret)
{
	struct host_filter f = {.protos = 1 << HOST_TCP | 1 << HOST_UDP, .ports = {port, port}};

	for (int i = 0; i < 5000; i++) {
		if (host_sockets_read(NULL, &f, ret) < 0)
			return false;
		if (kind != LINGERING || is_lingering(ret))
			return true;
		host_sockets_free(ret);
		usleep(1000);
	}
	return false;
}

static void case_of(enum kind kind, const struct place *p, size_t flags, uint16_t port)
{
	struct holder h;
	struct host_sockets s = {0};
	struct host_owners o = {0};
	char who[128];

	snprintf(who, sizeof(who), "holder %s %s %s", kind_names[kind], p->name, flag_names[flags]);
	if (!hold(&h, kind, p, flag_sets[flags], port) || !read_port(port, kind, &s)) {
		printf("    %s: could not be made: %s\n", who, strerror(errno));
		failures++;
	} else {
		host_owners_read(NULL, &o);
		ask_all(who, port, &s, &o);
		host_owners_free(&o);
		host_sockets_free(&s);
	}
	let_go(&h);
}

/* --- several holders --- */

#define MIXES 120

static uint32_t draw(uint64_t *seed, uint32_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % n;
}

static void case_of_many(uint64_t *seed, uint16_t port)
{
	enum port_proto proto = draw(seed, 3) == 0 ? PORT_UDP : PORT_TCP;
	int fds[3], n = 0, wanted = 2 + (int)draw(seed, 2);
	struct host_sockets s = {0};
	struct host_owners o = {0};
	char who[200] = "holders";

	for (int i = 0; i < 20 && n < wanted; i++) {
		const struct place *p = &places[draw(seed, N_LOCAL)];
		size_t f = draw(seed, COUNT_OF(flag_sets));
		bool listens = proto == PORT_TCP && draw(seed, 3) == 0;
		int fd = socket_of(p, proto, flag_sets[f]);

		if (bind_at(fd, p, port) < 0 || (listens && listen(fd, 8) < 0)) {
			close(fd);
			continue;
		}
		fds[n++] = fd;
		snprintf(who + strlen(who), sizeof(who) - strlen(who), " %s %s %s%s,", port_proto_name[proto], p->name,
			 flag_names[f], listens ? " listening" : "");
	}
	if (n < 1 || !read_port(port, NOBODY, &s) || s.n != (size_t)n) {
		printf("    %s: could not be made, or is not listed\n", who);
		failures++;
	} else {
		host_owners_read(NULL, &o);
		ask_all(who, port, &s, &o);
		host_owners_free(&o);
	}
	host_sockets_free(&s);
	while (n > 0)
		close(fds[--n]);
}

int main(int argc, char **argv)
{
	static struct world w;
	uint16_t port = PORT_FIRST;
	int r = world_enter(&w, argc > 1 && strcmp(argv[1], "--user-ns") == 0);

	if (r != 0)
		return r;
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		struct port_parse_error e;

		if (port_addr_parse(places[i].text, &places[i].addr, &e) < 0)
			return 99;
	}
	for (int kind = 0; kind < N_KINDS; kind++) {
		int before = failures;

		for (size_t i = 0; i < (kind == NOBODY ? 1 : N_LOCAL); i++)
			for (size_t f = 0; f < (kind == NOBODY ? 1 : COUNT_OF(flag_sets)); f++)
				case_of((enum kind)kind, &places[i], f, port++);
		printf("%s: holder %s\n", failures == before ? "ok" : "FAIL", kind_names[kind]);
	}
	many = true;
	for (uint64_t i = 0, seed = 5; i < MIXES; i++) {
		int before = failures;
		uint64_t was = seed;

		case_of_many(&seed, port++);
		if (failures != before)
			printf("FAIL: mix %llu, seed %llu\n", (unsigned long long)i, (unsigned long long)was);
	}
	printf("%d questions: %d would work, %d in use, %d no such address; the model alone was certain of %d of %d with the "
	       "holders' flags, of %d of %d without\n",
	       n_asked, n_errors[0], n_errors[1], n_errors[2], n_certain[1], n_all[1], n_certain[0], n_all[0]);
	/* A grid that is all of one answer shows nothing. */
	if (n_errors[0] < 1000 || n_errors[1] < 1000 || n_certain[1] * 10 < n_all[1] * 8) {
		printf("FAIL: the grid is lopsided\n");
		failures++;
	}
	return failures ? 1 : 0;
}
