/* tests/diff/diff_kernel.c: the heart and the kernel, asked the same random questions.
 *
 *     diff_kernel [--seed S] [--ops N] [--trace]
 *
 * In a network namespace of its own, a few sockets open, bind, change flags, listen, connect, accept,
 * disconnect and close at random on a few ports and addresses; every call is made to the kernel and to
 * a port table, and the two must give the same errno. Connections that are closed leave TIME_WAIT on
 * the side that closed first. Which port the kernel chose for port 0 is compared by predicate: the
 * table, offered that port alone, must accept it too; and when one says "none left", so must the other.
 * One difference is ours on purpose (docs/linux-bind.md): a UDP port that is chosen is never one that
 * somebody holds; Linux shares it among sockets with SO_REUSEADDR
 * or with SO_REUSEPORT. And to Linux two flows with one four-tuple may differ by the device a socket is
 * bound to; to us a four-tuple is one flow: sockets bound to a device do not connect here.
 * One is Linux's own slip (docs/linux-bind.md, "A port that is forgotten"): counted, and its sequence ends.
 *
 * Exit: 0 no difference; 1 a difference (the line that replays it is printed); 77 no namespace here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "port/demux.h"

#define N_SOCKS 10
#define N_PORTS 10 /* of a sequence; the first 4 are those asked for by number most often */
#define OPS_PER_SEQUENCE 60
#define FIRST_BASE 10000
#define LAST_BASE 60000
#define N_CLAIMS 256

struct sock {
	int fd; /* -1: none */
	enum port_proto proto;
	enum port_family family;
	uint16_t flags;
	uint32_t uid, dev;
	struct port_ref ref;
	struct port_addr bound;			      /* as bound by hand */
	bool has_bound, listening, connected, itself; /* itself: connected to itself */
	int peer;				      /* index of the other end, or -1 when it is gone */
};

static struct sock socks[N_SOCKS];
static struct port_table table;
static struct rng rng;
static uint64_t seed, n_ops, n_compared, n_linger, n_forgotten, n_kept, n_given_back, n_itself;
static bool sequence_over, may_forget[N_PORTS];
static uint16_t base;
static bool trace;
static struct port_addr v4a, v4b, v6a, v6b;

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The sequence so far, shown when it ends in a difference: the kernel chooses ports at random, so a
 * seed alone need not bring it back. */
static char story[64 * 1024];
static size_t story_len;

static void say(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(story + story_len, sizeof(story) - story_len, fmt, ap);
	va_end(ap);
	if (trace)
		fputs(story + story_len, stdout);
	if (n > 0 && story_len + (size_t)n < sizeof(story))
		story_len += (size_t)n;
}

static _Noreturn void skip(const char *what)
{
	printf("SKIP diff_kernel: %s: %s\n", what, strerror(errno));
	exit(77);
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "diff_kernel: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void compare(const char *call, int s, int kernel, int heart, const struct port_refusal *why)
{
	n_compared++;
	say("  %s(%d) kernel %s, heart %s\n", call, s, kernel ? strerrorname_np(kernel) : "0",
	    heart ? strerrorname_np(-heart) : "0");
	if (kernel == -heart)
		return;
	if (!trace)
		fputs(story, stdout);
	printf("DIFFERENCE: %s on socket %d: the kernel says %s, the heart says %s (rule %d)\n", call, s,
	       kernel ? strerrorname_np(kernel) : "0", heart ? strerrorname_np(-heart) : "0", why ? (int)why->rule : 0);
	printf("replay: diff_kernel --seed 0x%llx --ops %llu --trace\n", (unsigned long long)seed,
	       (unsigned long long)n_ops);
	exit(1);
}

/* --- addresses --- */
static socklen_t to_sockaddr(enum port_family family, const struct port_addr *a, uint16_t port,
			     struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (family == PORT_FAMILY_4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a->b + 12, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, a->b, 16);
	return sizeof(*in6);
}

static struct port_addr name_of(int fd, uint16_t *ret_port)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		die("getsockname");
	if (ss.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;

		*ret_port = ntohs(in->sin_port);
		return port_addr_from4((const uint8_t *)&in->sin_addr);
	}
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;

	*ret_port = ntohs(in6->sin6_port);
	return port_addr_from6(in6->sin6_addr.s6_addr, 0);
}

static struct port_addr draw_addr(enum port_family family)
{
	uint64_t k = rng_range(&rng, 0, 9);

	if (family == PORT_FAMILY_4)
		return k < 4 ? PORT_ADDR_ANY4 : k < 8 ? v4a : v4b;
	if (k < 4)
		return PORT_ADDR_ANY6;
	if (k < 6)
		return v6a;
	return k < 7 ? v6b : k < 8 ? v4a : k < 9 ? v4b : PORT_ADDR_ANY4;
}

static struct port_want want_of(const struct sock *s, const struct port_addr *a, uint16_t port)
{
	return (struct port_want){.proto = s->proto,
				  .family = s->family,
				  .addr = *a,
				  .port = port,
				  .flags = s->flags,
				  .uid = s->uid,
				  .dev = s->dev};
}

static int pick(bool (*ok)(const struct sock *))
{
	int start = (int)rng_range(&rng, 0, N_SOCKS - 1);

	for (int k = 0; k < N_SOCKS; k++)
		if (ok(&socks[(start + k) % N_SOCKS]))
			return (start + k) % N_SOCKS;
	return -1;
}

static bool is_free(const struct sock *s)
{
	return s->fd < 0;
}
static bool is_open(const struct sock *s)
{
	return s->fd >= 0;
}
static bool may_bind(const struct sock *s)
{
	return s->fd >= 0 && !s->connected; /* a bound one too: EINVAL is an answer */
}
static bool is_new(const struct sock *s)
{
	return s->fd >= 0 && s->proto == PORT_TCP && s->ref.generation == 0;
}
static bool may_listen(const struct sock *s)
{
	return s->fd >= 0 && s->proto == PORT_TCP && !s->connected;
}
static bool is_listener(const struct sock *s)
{
	return s->fd >= 0 && s->listening && s->dev == 0;
}
static bool may_connect(const struct sock *s)
{
	return s->fd >= 0 && s->proto == PORT_TCP && !s->listening && !s->connected;
}
static bool has_chosen(const struct sock *s)
{
	struct port_claim c;

	return may_connect(s) && port_table_get(&table, s->ref, &c) == 0 && c.flags & PORT_CHOSEN;
}
static bool is_udp(const struct sock *s)
{
	return s->fd >= 0 && s->proto == PORT_UDP;
}

/* --- the calls --- */
static void set_int(int fd, int level, int opt, int v)
{
	if (setsockopt(fd, level, opt, &v, sizeof(v)) < 0)
		die("setsockopt");
}

static void op_open(void)
{
	int i = pick(is_free);
	struct sock *s = &socks[i];

	if (i < 0)
		return;
	*s = (struct sock){.peer = -1, .ref = PORT_REF_NONE};
	s->proto = rng_chance_ppm(&rng, 700000) ? PORT_TCP : PORT_UDP;
	s->family = rng_chance_ppm(&rng, 500000) ? PORT_FAMILY_4 : PORT_FAMILY_6;
	s->uid = rng_chance_ppm(&rng, 800000) ? 0 : 1000;
	setfsuid(s->uid);
	s->fd = socket(s->family == PORT_FAMILY_4 ? AF_INET : AF_INET6,
		       (s->proto == PORT_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	setfsuid(0);
	if (s->fd < 0)
		die("socket");
	if (rng_chance_ppm(&rng, 500000))
		s->flags |= PORT_REUSEADDR;
	if (rng_chance_ppm(&rng, 400000))
		s->flags |= PORT_REUSEPORT;
	if (s->family == PORT_FAMILY_6 && rng_chance_ppm(&rng, 300000))
		s->flags |= PORT_V6ONLY;
	set_int(s->fd, SOL_SOCKET, SO_REUSEADDR, !!(s->flags & PORT_REUSEADDR));
	set_int(s->fd, SOL_SOCKET, SO_REUSEPORT, !!(s->flags & PORT_REUSEPORT));
	if (s->family == PORT_FAMILY_6)
		set_int(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, !!(s->flags & PORT_V6ONLY));
	if (rng_chance_ppm(&rng, 100000)) {
		if (setsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0)
			die("SO_BINDTODEVICE");
		s->dev = 1;
	}
	say("open(%d) %s v%d flags %x uid %u dev %u\n", i, port_proto_name[s->proto], s->family, s->flags, s->uid,
	    s->dev);
}

/* Linux 6.18 may forget that a port was bound by hand, when a socket comes to an address by connect() or
 * accept() where another is that had the port by connect() alone: when one of them leaves. */
static void note_forgotten(uint16_t port, const struct port_addr *a)
{
	struct port_claim c;
	struct port_ref ref;
	uint32_t i = 0;

	if (port < base || port >= base + N_PORTS)
		return;
	while (port_table_next(&table, &i, &ref, &c))
		if (c.proto == PORT_TCP && c.port == port && c.flags & PORT_AUTOBOUND && port_addr_equal(&c.addr, a))
			may_forget[port - base] = true;
}

/* The two answers of a kernel that forgot: a port bound by hand is chosen by connect(); a socket with SO_REUSEPORT is
 * refused that the port's memory would let in (D3). They do not have the same sockets any more. */
static bool has_forgotten(const struct sock *s, uint16_t port, int kernel, int heart)
{
	bool chosen = kernel == 0 && heart == -EADDRNOTAVAIL && s->ref.generation == 0;
	bool refused = kernel == EADDRINUSE && heart == 0 && s->flags & PORT_REUSEPORT;

	if (s->proto != PORT_TCP || !(chosen || refused) || port < base || port >= base + N_PORTS ||
	    !may_forget[port - base])
		return false;
	n_forgotten++;
	return sequence_over = true;
}

/* The kernel chose; would the heart have? */
static int same_choice(struct sock *s, struct port_want *w, int kernel, struct port_refusal *why)
{
	uint16_t port;
	int r;

	if (kernel == 0) {
		name_of(s->fd, &port);
		w->range = (struct port_range){port, port};
	}
	r = port_table_bind(&table, s->ref, w, 0, &s->ref, why);
	if (s->proto == PORT_UDP && (s->flags & (PORT_REUSEADDR | PORT_REUSEPORT)) && kernel == 0 && r == -EADDRINUSE) {
		close(s->fd); /* Linux shared it; we would not: forget the socket */
		s->fd = -1;
		return 0;
	}
	return r;
}

static void bind_to(int i, struct port_addr a, uint16_t port)
{
	int kernel, heart;
	struct sock *s = &socks[i];
	struct sockaddr_storage ss;
	struct port_refusal why = {0};

	/* An address that was bound and whose port was given back locks the socket's next one, too. */
	if (s->proto == PORT_TCP && s->has_bound && s->ref.generation == 0 && !port_addr_is_any(&s->bound) &&
	    port_addr_is_any(&a))
		return;
	struct port_want w = want_of(s, &a, port);
	socklen_t len = to_sockaddr(s->family, &a, port, &ss);
	char text[PORT_ENDPOINT_STR_MAX];

	say("bind(%d) %s\n", i, port_endpoint_print(&a, port, text));
	kernel = bind(s->fd, (struct sockaddr *)&ss, len) < 0 ? errno : 0;
	heart = port == 0 && s->ref.generation == 0 ? same_choice(s, &w, kernel, &why)
						    : port_table_bind(&table, s->ref, &w, 0, &s->ref, &why);
	if (kernel == 0 && port == 0 && s->fd >= 0) {
		name_of(s->fd, &port);
		say("  got port %u\n", port);
	}
	if (has_forgotten(s, port, kernel, heart))
		return;
	compare("bind", i, kernel, heart, &why);
	if (kernel == 0 && s->fd >= 0) {
		s->has_bound = true;
		s->bound = a;
		if (!port_addr_is4(&a) && !port_addr_is_any(&a))
			s->flags |= PORT_V6ONLY; /* Linux sets it, and it stays */
	}
}

static void op_bind(void)
{
	int i = pick(may_bind);

	if (i < 0)
		return;
	struct port_addr a = draw_addr(socks[i].family);
	uint64_t k = rng_range(&rng, 0, 19);

	bind_to(i, a, k == 0 ? 0 : (uint16_t)(base + (k < 15 ? k % 4 : k % N_PORTS)));
}

static void op_flags(void)
{
	int i = pick(is_open);
	struct sock *s = &socks[i];

	if (i < 0)
		return;
	uint16_t bit = rng_chance_ppm(&rng, 500000) ? PORT_REUSEADDR : PORT_REUSEPORT;

	/* Clearing SO_REUSEPORT on a bound TCP socket is left out: what the kernel then remembers depends
	 * on how the address was spelled (docs/linux-bind.md, "flags changed after bind"). */
	if (bit == PORT_REUSEPORT && (s->flags & bit) && s->proto == PORT_TCP && s->ref.generation != 0)
		return;
	s->flags ^= bit;
	set_int(s->fd, SOL_SOCKET, bit == PORT_REUSEADDR ? SO_REUSEADDR : SO_REUSEPORT, !!(s->flags & bit));
	say("flags(%d) now %x\n", i, s->flags);
	if (s->ref.generation != 0 && port_table_set_flags(&table, s->ref, bit, s->flags) < 0)
		die("port_table_set_flags");
}

static void op_listen(void)
{
	int i = pick(may_listen), kernel, heart;
	struct sock *s = &socks[i];
	struct port_refusal why = {0};

	if (i < 0)
		return;
	struct port_addr any = s->family == PORT_FAMILY_4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	struct port_want w = want_of(s, s->has_bound ? &s->bound : &any, 0);
	struct port_claim c;
	uint16_t port;

	say("listen(%d)\n", i);
	kernel = listen(s->fd, 16) < 0 ? errno : 0;
	if (kernel == 0 && s->ref.generation == 0) {
		name_of(s->fd, &port);
		w.range = (struct port_range){port, port};
		say("  got port %u\n", port);
	}
	heart = port_table_listen(&table, &s->ref, &w, 0, &why);
	if (port_table_get(&table, s->ref, &c) == 0 && has_forgotten(s, c.port, kernel, heart))
		return;
	compare("listen", i, kernel, heart, &why);
	if (kernel == 0)
		s->listening = true;
}

static struct port_addr source_for(const struct port_addr *to)
{
	if (port_addr_is4(to))
		return v4a; /* all of 127/8 is reached from 127.0.0.1 */
	return *to;
}

static bool is_mapped_wildcard(const struct sock *s)
{
	return s->family == PORT_FAMILY_6 && s->has_bound && port_addr_is4(&s->bound) && port_addr_is_any(&s->bound);
}

/* A connect() that was refused its four-tuple. */
static void after_refusal(struct sock *s, const struct port_addr *local)
{
	struct port_owner nobody = {0};
	int r;

	if (is_mapped_wildcard(s)) { /* it keeps the address it tried */
		s->bound = *local;
		n_kept++;
	}
	if (s->ref.generation == 0)
		return;
	r = port_table_undo(&table, s->ref, false, &nobody, 0);
	if (r < 0)
		die("undo");
	if (r == 0)
		return;
	s->ref = PORT_REF_NONE; /* bind() had chosen the port: Linux gives it back */
	n_given_back++;
}

static bool is_flowing(const struct port_tuple *tuple)
{
	struct port_claim c;
	struct port_ref ref;

	return port_demux_flow(&table, tuple, &ref) == 0 && port_table_get(&table, ref, &c) == 0 &&
	       c.state != CLAIM_LINGER;
}

static void connect_to(int i, int l)
{
	int child = pick(is_free), kernel, heart;
	struct sock *s = &socks[i], *srv = &socks[l];
	struct sockaddr_storage ss;
	struct port_refusal why = {0};
	struct port_claim lc;
	uint16_t port, my_port = 0;

	if (i < 0 || l < 0 || child < 0 || s->dev != 0 || srv->dev != 0)
		return;
	if (port_table_get(&table, srv->ref, &lc) < 0)
		die("listener's claim");
	port = lc.port;
	struct port_addr to = lc.addr;

	if (port_addr_is_any(&to))
		to = port_addr_is4(&to) ? v4a : (lc.flags & PORT_V6ONLY) || rng_chance_ppm(&rng, 500000) ? v6a : v4a;
	if ((s->family == PORT_FAMILY_4 || (s->has_bound && port_addr_is4(&s->bound))) != port_addr_is4(&to) &&
	    (s->family == PORT_FAMILY_4 || s->has_bound))
		if (!(s->has_bound && port_addr_is_any(&s->bound) && !port_addr_is4(&s->bound) &&
		      !(s->flags & PORT_V6ONLY)))
			return; /* families that cannot meet: the shim's business */
	if (port_addr_is4(&to) && (s->flags & PORT_V6ONLY))
		return;
	struct port_addr any = s->family == PORT_FAMILY_4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	struct port_want w = want_of(s, s->has_bound ? &s->bound : &any, 0);
	struct port_addr local = s->has_bound && !port_addr_is_any(&s->bound) ? s->bound : source_for(&to);
	socklen_t len = to_sockaddr(s->family, &to, port, &ss);
	char text[PORT_ENDPOINT_STR_MAX];

	bool itself = port_table_get(&table, s->ref, &lc) == 0 && lc.port == port && port_addr_equal(&local, &to);

	if (port_table_get(&table, s->ref, &lc) == 0) {
		struct port_tuple ours = {PORT_TCP, local, to, lc.port, port};
		struct port_tuple theirs = {PORT_TCP, to, local, port, lc.port};

		if (is_flowing(&theirs) && !is_flowing(&ours))
			return; /* the old child would answer the SYN: the wire's business, not the ports' */
	}
	say("connect(%d) to %d at %s\n", i, l, port_endpoint_print(&to, port, text));
	set_int(s->fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	kernel = connect(s->fd, (struct sockaddr *)&ss, len) < 0 ? errno : 0;
	if (kernel == ECONNREFUSED || kernel == ETIMEDOUT || kernel == ENETUNREACH || kernel == EINVAL) {
		say("  the kernel says %s: no business of the table's\n", strerrorname_np(kernel));
		/* What it left behind is not modelled: the socket goes. */
		if (s->ref.generation != 0 && port_table_release(&table, s->ref) < 0)
			die("release");
		close(s->fd);
		s->fd = -1;
		return;
	}
	if (kernel == 0) {
		struct port_addr mine = name_of(s->fd, &my_port);

		if (!port_addr_equal(&mine, &local))
			die("the source address is not the one expected");
		say("  from port %u\n", my_port);
		w.range = (struct port_range){my_port, my_port};
	}
	if (port_table_get(&table, s->ref, &lc) == 0)
		note_forgotten(lc.port, &local);
	heart = port_table_connect(&table, &s->ref, &w, &local, &to, port, 0, &why);
	if (kernel == 0 && has_forgotten(s, my_port, kernel, heart))
		return;
	compare("connect", i, kernel, heart, &why);
	if (kernel != 0) {
		after_refusal(s, &local);
		return;
	}
	if (itself) { /* before any listener of that port */
		s->connected = s->itself = true;
		n_itself++;
		return;
	}
	/* The connection may have gone to a sibling of srv (SO_REUSEPORT, or a more specific listener). */
	for (l = 0; l < N_SOCKS; l++) {
		struct sock *c = &socks[child];
		struct port_owner nobody = {0};
		int fd;

		if (socks[l].fd < 0 || !socks[l].listening)
			continue;
		setfsuid(socks[l].uid); /* accept(2) gives the child its caller's uid */
		fcntl(socks[l].fd, F_SETFL, O_NONBLOCK);
		fd = accept4(socks[l].fd, NULL, NULL, SOCK_CLOEXEC);
		setfsuid(0);
		if (fd < 0)
			continue;
		*c = socks[l];
		c->fd = fd;
		c->listening = false;
		c->connected = s->connected = true;
		c->peer = i;
		s->peer = child;
		heart = port_table_accept(&table, socks[l].ref, &to, &local, my_port, &nobody, 0, &c->ref);
		say("  accepted by %d as %d\n", l, child);
		compare("accept", l, 0, heart, NULL);
		note_forgotten(port, &to);
		return;
	}
	die("nobody could accept");
}

static void op_connect(void)
{
	int i = pick(may_connect);

	connect_to(i, pick(is_listener));
}

/* Another address of that port: free, unless somebody holds the wildcard. */
static void bind_beside(const struct port_claim *flow)
{
	int i = pick(is_new);

	if (i >= 0 && (socks[i].family == PORT_FAMILY_6 || port_addr_is4(&flow->addr)))
		bind_to(i, port_addr_is4(&flow->addr) ? v4b : v6b, flow->port);
}

/* From a port that has a flow to where that goes: a four-tuple in use. */
static void op_connect_again(void)
{
	int i = pick(may_connect), l = pick(is_listener);
	struct port_claim mine, flow, lc;
	struct port_ref ref;
	uint32_t at = 0;

	if (i < 0)
		return;
	while (port_table_next(&table, &at, &ref, &flow)) {
		if (flow.proto != PORT_TCP || flow.state != CLAIM_CONNECTED ||
		    (socks[i].family == PORT_FAMILY_4 && !port_addr_is4(&flow.addr)))
			continue;
		if (socks[i].ref.generation == 0) /* the wildcard; of an IPv6 socket ::ffff:0.0.0.0 */
			bind_to(i, port_addr_is4(&flow.addr) ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6, flow.port);
		if (sequence_over)
			return;
		if (port_table_get(&table, socks[i].ref, &mine) < 0 || mine.port != flow.port)
			continue;
		for (int k = 0; k < N_SOCKS; k++, l = (l + 1) % N_SOCKS)
			if (l >= 0 && is_listener(&socks[l]) && port_table_get(&table, socks[l].ref, &lc) == 0 &&
			    lc.port == flow.peer_port) {
				connect_to(i, l);
				bind_beside(&flow);
				return;
			}
	}
}

/* A port that bind() chose, shared, and the same four-tuple from both who have it. */
static void op_connect_chosen(void)
{
	int i = pick(has_chosen), j = pick(is_new), l = pick(is_listener);
	struct port_claim c;

	if (i < 0 || j < 0 || l < 0 || socks[j].family != socks[i].family ||
	    port_table_get(&table, socks[i].ref, &c) < 0)
		return;
	bind_to(j, c.addr, c.port);
	if (!sequence_over)
		connect_to(j, l);
	if (!sequence_over)
		connect_to(i, l);
}

static void op_udp(void)
{
	int i = pick(is_udp), kernel, heart;
	struct sock *s = &socks[i];
	struct sockaddr_storage ss;
	struct port_refusal why = {0};

	if (i < 0)
		return;
	if (s->connected) {
		struct port_addr back = s->has_bound ? s->bound : PORT_ADDR_ANY6;

		/* A socket bound to ::ffff:0.0.0.0 keeps the address it was used on: to Linux it had one. */
		if (s->family == PORT_FAMILY_6 && port_addr_is4(&back) && port_addr_is_any(&back)) {
			uint16_t port;

			back = name_of(s->fd, &port);
		}
		ss.ss_family = AF_UNSPEC;
		say("disconnect(%d)\n", i);
		kernel = connect(s->fd, (struct sockaddr *)&ss, sizeof(ss.ss_family)) < 0 ? errno : 0;
		heart = port_table_disconnect(&table, s->ref, &back);
		compare("disconnect", i, kernel, heart, NULL);
		s->connected = false;
		struct port_claim c;

		if (port_table_get(&table, s->ref, &c) < 0)
			s->ref = PORT_REF_NONE; /* the port had been chosen, and is given back */
		return;
	}
	bool four = s->family == PORT_FAMILY_4 || (s->has_bound && port_addr_is4(&s->bound));

	if (!four && s->family == PORT_FAMILY_6 && !s->has_bound && !(s->flags & PORT_V6ONLY))
		four = rng_chance_ppm(&rng, 300000);
	struct port_addr to = four ? v4a : v6a, any = s->family == PORT_FAMILY_4 ? PORT_ADDR_ANY4 : PORT_ADDR_ANY6;
	struct port_want w = want_of(s, s->has_bound ? &s->bound : &any, 0);
	socklen_t len = to_sockaddr(s->family, &to, 9, &ss);

	say("udp connect(%d)\n", i);
	kernel = connect(s->fd, (struct sockaddr *)&ss, len) < 0 ? errno : 0;
	if (kernel == ENETUNREACH || kernel == EINVAL) /* e.g. bound to an address that cannot reach it */
		return;
	uint16_t port;
	struct port_addr local = to;

	if (kernel == 0) {
		local = name_of(s->fd, &port);
		w.range = (struct port_range){port, port};
	}
	heart = port_table_connect(&table, &s->ref, &w, &local, &to, 9, 0, &why);
	if (heart == -EAGAIN && kernel == 0 && (s->flags & (PORT_REUSEADDR | PORT_REUSEPORT))) {
		/* Linux shared a chosen port; we would not: forget the socket. */
		close(s->fd);
		s->fd = -1;
		return;
	}
	compare("udp connect", i, kernel, heart, &why);
	s->connected = kernel == 0;
}

static void op_close(void)
{
	int i = pick(is_open);
	struct sock *s = &socks[i];

	if (i < 0)
		return;
	say("close(%d)\n", i);
	close(s->fd);
	/* The other end may put off its ACK of our FIN, and TIME_WAIT with it: make it send. Linux does so
	 * at once only when the FIN has been read. */
	if (s->connected && s->proto == PORT_TCP && s->peer >= 0) {
		char c;

		if (recv(socks[s->peer].fd, &c, 1, MSG_DONTWAIT) != 0)
			die("the end of the stream did not arrive");
		set_int(socks[s->peer].fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	}
	s->fd = -1;
	if (s->ref.generation == 0)
		return;
	if (s->proto == PORT_TCP && s->connected && (s->peer >= 0 || s->itself)) {
		/* The first to close lingers; the other, later, does not. */
		if (s->peer >= 0)
			socks[s->peer].peer = -1;
		n_linger++;
		if (port_table_linger(&table, s->ref, 60000000) < 0)
			die("linger");
	} else if (port_table_release(&table, s->ref) < 0) {
		die("release");
	}
}

/* --- the world --- */
static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void new_namespace(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	struct {
		struct in6_addr addr;
		uint32_t prefix;
		int ifindex;
	} in6 = {.prefix = 128, .ifindex = 1};
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		skip("a network namespace of its own");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		skip("bringing lo up");
	close(fd);
	memcpy(&in6.addr, v6b.b, 16);
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFADDR, &in6) < 0)
		skip("a second IPv6 address on lo");
	/* The address is tentative until a worker of the kernel's has looked at it. */
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(PORT_FAMILY_6, &v6b, 0, &ss);

	for (int i = 0; i < 1000 && bind(fd, (struct sockaddr *)&ss, len) < 0; i++)
		usleep(1000);
	close(fd);
	write_file("/proc/sys/net/ipv4/tcp_tw_reuse", "0");
	base = FIRST_BASE;
}

static void *memory;

static void new_sequence(void)
{
	struct port_settings set = {.unprivileged_start = 1024};
	static struct port_table_form form = {.n_claims = N_CLAIMS};
	uint8_t secret[16] = {0};
	char text[32];

	for (int i = 0; i < N_SOCKS; i++) {
		if (socks[i].fd >= 0)
			close(socks[i].fd);
		socks[i].fd = -1;
	}
	/* Fresh ports: the last sequence's TIME_WAITs last a minute. */
	base = (uint16_t)(base + N_PORTS);
	if (base > LAST_BASE)
		new_namespace();
	memcpy(secret, &seed, sizeof(seed));
	form.lean = !form.lean; /* the answers of both forms are the kernel's */
	if (port_table_form_init(&table, memory, port_table_form_size(&form), &form, secret) < 0 ||
	    port_table_add_local(&table, &v6b, 128) < 0)
		die("port_table_init");
	set.range = (struct port_range){base, (uint16_t)(base + N_PORTS - 1)};
	if (port_table_set_settings(&table, &set) < 0)
		die("settings");
	snprintf(text, sizeof(text), "%u %u", set.range.first, set.range.last);
	write_file("/proc/sys/net/ipv4/ip_local_port_range", text);
	story_len = 0;
	memset(may_forget, 0, sizeof(may_forget));
	say("--- ports %u to %u\n", set.range.first, set.range.last);
}

static void run(uint64_t ops)
{
	static void (*const op[])(void) = {op_open,    op_open,	   op_bind,	     op_bind,
					   op_bind,    op_listen,  op_listen,	     op_connect,
					   op_connect, op_connect, op_connect_again, op_connect_chosen,
					   op_flags,   op_close,   op_close,	     op_udp};

	for (n_ops = 0; n_ops < ops; n_ops++) {
		if (n_ops % OPS_PER_SEQUENCE == 0)
			sequence_over = false, new_sequence();
		if (sequence_over) /* the two do not have the same sockets any more */
			continue;
		op[rng_range(&rng, 0, COUNT_OF(op) - 1)]();
		if (n_ops % 16 == 0 && !port_table_check(&table)) {
			printf("DIFFERENCE: the table's checker fails\nreplay: diff_kernel --seed 0x%llx --ops %llu\n",
			       (unsigned long long)seed, (unsigned long long)n_ops + 1);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	static const uint8_t second[16] = {0xfd, 0x77, [15] = 2};
	uint64_t ops = 100000;

	if (getentropy(&seed, sizeof(seed)) < 0)
		die("getentropy");
	seed &= 0xffffffff;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--ops") == 0 && i + 1 < argc)
			ops = strtoull(argv[++i], NULL, 0) + 1;
		else if (strcmp(argv[i], "--trace") == 0)
			trace = true;
		else
			return 2;
	}
	printf("diff_kernel: seed 0x%llx, %llu operations\n", (unsigned long long)seed, (unsigned long long)ops);
	v4a = PORT_ADDR_LOOP4;
	v4b = port_addr_v4(127, 0, 0, 2);
	v6a = PORT_ADDR_LOOP6;
	v6b = port_addr_from6(second, 0);
	for (int i = 0; i < N_SOCKS; i++)
		socks[i].fd = -1;
	rng_init(&rng, seed);
	memory = aligned_alloc(64, (port_table_size(N_CLAIMS) + 63) & ~(size_t)63);
	if (memory == NULL)
		die("memory");
	new_namespace();
	run(ops);
	printf("diff_kernel: %llu answers compared, 0 differences, %llu connections left in TIME_WAIT, %llu connected to themselves, %llu addresses kept, %llu ports given back, %llu Linux forgot\n",
	       (unsigned long long)n_compared, (unsigned long long)n_linger, (unsigned long long)n_itself,
	       (unsigned long long)n_kept, (unsigned long long)n_given_back, (unsigned long long)n_forgotten);
	free(memory);
	return 0;
}
