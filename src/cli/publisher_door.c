/* src/cli/publisher_door.c: one port of the machine, and the program behind it.
 *
 *     held     bound and not listening: the kernel refuses callers, and nobody else gets the port
 *     open     listening, because a listener of the host has the inner port
 *
 * A door's socket is of the family that the program's listener has, so that what accept() returns there is what it
 * would have been without berth: an AF_INET6 listener for both families sees IPv4 callers as ::ffff:a.b.c.d. As the
 * family is known only when the program listens, a door whose socket is of the other one is swapped before it opens.
 *
 * A caller is accepted here and its socket sent to the program (shim/published.c). The program's listener is asked
 * for anew for each, so a group of them (SO_REUSEPORT) shares as it does inside; one that has died is buried and the
 * next asked. Where that is asked for, or the program cannot take a socket (publisher_acceptor.c), a connection is made to its
 * listener as a client inside makes one, under a name that says where the caller is, and the octets are carried (publisher_splice.c).
 * A listener whose backlog is full takes nobody: the caller waits here, and when DOOR_WAITING_MAX do,
 * the door accepts no more and the kernel's own backlog fills.
 */
#include "cli/publisher_door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>
#include <time.h>

#include "cli/kernel_port.h"
#include "cli/proc.h"
#include "cli/published.h"
#include "cli/publisher_splice.h"
#include "network/raw.h"

#define LAZY_PORTS 64 /* a range longer than this is lazy */
#define TRIES_MAX 8   /* listeners that turn out dead, one after the other */
#define ACCEPTS_MAX 32
#define CHOICES_MAX 64
#define NETWORKS_MAX 64
#define LEAVING_MS_MAX 1000 /* until a killed process has closed what it had */

/* --- the program's listener --- */

/* From outside everybody is welcome who would be: a listener on the host's address, on all, or on its loopback. */
static int find(struct doors *d, const struct door *door, const struct port_addr *from, uint16_t from_port,
		struct port_ref *ret_ref, struct port_claim *ret, struct port_addr *ret_local)
{
	bool v4 = port_addr_is4(&door->addr);
	struct port_tuple seen = {.proto = PORT_TCP,
				  .local = v4 ? d->host.addr4 : d->host.addr6,
				  .local_port = door->inner,
				  .remote = *from,
				  .remote_port = from_port};
	int r = network_find_listener(d->net, d->host.index, &seen, ret_ref, ret);

	if (r == -ECONNREFUSED) {
		seen.local = v4 ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
		r = network_find_listener(d->net, d->host.index, &seen, ret_ref, ret);
	}
	*ret_local = seen.local;
	return r;
}

/* Whom to bring a caller to. It is the same as for the one before, unless somebody began or ceased to listen since, or they are a
 * group, which shares: a table's lock is three system calls. Who died meanwhile refuses, and is forgotten then. */
static int find_again(struct doors *d, struct door *door, const struct port_addr *from, uint16_t from_port)
{
	uint32_t seen = network_change_seen(d->net);
	int r;

	if (door->last.known && door->last.seen == seen)
		return 0;
	r = find(d, door, from, from_port, &door->last.ref, &door->last.claim, &door->last.local);
	door->last.known = r == 0 && !(door->last.claim.flags & PORT_REUSEPORT);
	door->last.seen = seen;
	return r;
}

/* One that lives. */
static int find_alive(struct doors *d, const struct door *door, struct port_ref *ret_ref, struct port_claim *ret)
{
	struct port_addr unused;

	for (int i = 0; i < TRIES_MAX; i++) {
		int r = find(d, door, &door->addr, 1, ret_ref, ret, &unused);

		if (r < 0)
			return r;
		if (network_dead(d->net, d->host.index, *ret_ref) != 0)
			return 0;
	}
	return -ECONNREFUSED;
}

/* --- holding --- */

static enum port_family family_of(const struct port_addr *a)
{
	return port_addr_is4(a) ? PORT_FAMILY_4 : PORT_FAMILY_6;
}

bool door_is_starved(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

static int hold(struct door *door)
{
	uint16_t port;

	door->family = family_of(&door->addr);
	door->fd = kernel_port_hold(&door->addr, door->outer, door->family, door->of->said.proto, &port);
	return door->fd < 0 ? door->fd : 0;
}

/* Who of a network's publishers has it. other: its name, if it is not ours. */
static bool published_in(struct network *n, const char *other, const struct door *door, char *text, size_t size_bytes,
			 int32_t *ret_pid)
{
	int file = network_publish_open(n, false);
	struct network_published p;
	struct network_host host;
	uint32_t at = 0, record;
	bool found = false;

	while (file >= 0 && !found && network_publish_next(n, file, &at, &record, &p) == 0)
		for (uint32_t i = 0; i < p.n_addrs && !found; i++)
			found = p.proto == door->of->said.proto && door->outer >= p.outer.first &&
				door->outer <= p.outer.last &&
				(port_addr_equal(&p.addrs[i], &door->addr) || port_addr_is_any(&p.addrs[i]) ||
				 port_addr_is_any(&door->addr));
	if (file >= 0)
		raw_close(file);
	if (!found)
		return false;
	*ret_pid = p.pid;
	if (network_host_at(n, p.host, &host) < 0)
		snprintf(host.name, sizeof(host.name), "?");
	if (p.pid == (int32_t)getpid())
		snprintf(text, size_bytes, "it is asked for twice, for %s:%u, too", host.name,
			 p.inner + (unsigned)(door->outer - p.outer.first));
	else
		snprintf(text, size_bytes, "berth publishes it for %s:%u%s%s (pid %d)", host.name,
			 p.inner + (unsigned)(door->outer - p.outer.first), other ? " of network " : "",
			 other ? other : "", p.pid);
	return true;
}

static bool published_by(struct doors *d, const struct door *door, char *text, size_t size_bytes)
{
	static const struct network_options only_open;
	static char names[NETWORKS_MAX][NETWORK_NAME_MAX];
	static struct network other;
	struct network_error e;
	int32_t pid;
	bool found = published_in(d->net, NULL, door, text, size_bytes, &pid);
	/* Networks are not closed again: not where this may come often (-P). */
	int n = found || door->of->said.automatic ? 0 : network_list(names, NETWORKS_MAX, &e);

	for (int i = 0; i < n && i < NETWORKS_MAX && !found; i++) {
		if (network_open(&other, names[i], &only_open, &e) < 0)
			continue;
		found = published_in(&other, names[i], door, text, size_bytes, &pid);
	}
	return found;
}

static void say_why(struct doors *d, const struct door *door, int err, char *text, size_t size_bytes)
{
	char endpoint[PORT_ENDPOINT_STR_MAX], who[KERNEL_PORT_WHO_MAX];
	unsigned start;

	published_door(&door->addr, door->outer, endpoint);
	switch (err) {
	case -EADDRINUSE:
		if (!published_by(d, door, who, sizeof(who)))
			kernel_port_who(&door->addr, door->outer, door->of->said.proto, who);
		snprintf(text, size_bytes, "cannot publish %s: %s", endpoint, who);
		break;
	case -EACCES:
		start = kernel_port_unprivileged();
		snprintf(
			text, size_bytes,
			"cannot publish %s: ports below %u need a right you do not have "
			"(net.ipv4.ip_unprivileged_port_start is %u). Publish another, as %u:%u; or lower it: sudo sysctl "
			"net.ipv4.ip_unprivileged_port_start=%u",
			endpoint, start, start, door->outer + 8000u, door->inner, door->outer);
		break;
	case -EADDRNOTAVAIL:
		snprintf(text, size_bytes, "cannot publish %s: this machine does not have that address", endpoint);
		break;
	case -EMFILE:
	case -ENFILE:
		snprintf(text, size_bytes, "cannot publish %s: no descriptors left (ulimit -n)", endpoint);
		break;
	default:
		snprintf(text, size_bytes, "cannot publish %s: %s", endpoint, strerror(-err));
	}
}

/* The machine has no such address, or not this family; nobody asked for it by name. */
static bool may_lack(const struct publish_spec *s, uint32_t i, int err)
{
	return !s->addr_given && i > 0 && (err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT || err == -EPROTONOSUPPORT);
}

static void close_all(struct publication *p)
{
	for (uint32_t i = 0; i < p->n_doors; i++) {
		if (p->doors[i].fd >= 0)
			raw_close(p->doors[i].fd);
		p->doors[i].fd = -1;
	}
}

/* Doors are in order of address, then port. Return: 0; negative errno, none is held, and *ret_at is the one. */
static int hold_all(struct publication *p, const struct publish_spec *s, uint32_t n_ports, uint32_t *ret_at)
{
	uint32_t n_addrs = s->n_addrs;

	for (uint32_t i = 0; i < n_addrs; i++)
		for (uint32_t k = 0; k < n_ports; k++) {
			int r = hold(&p->doors[i * n_ports + k]);

			if (r == 0 && p->lazy) {
				raw_close(p->doors[i * n_ports + k].fd);
				p->doors[i * n_ports + k].fd = -1;
			}
			if (r < 0 && k == 0 && may_lack(s, i, r)) {
				n_addrs = i;
				p->said.n_addrs = i;
				p->n_doors = i * n_ports;
				break;
			}
			if (r < 0) {
				close_all(p);
				*ret_at = i * n_ports + k;
				return r;
			}
		}
	return 0;
}

static void number(struct publication *p, const struct publish_spec *s, uint16_t outer, uint32_t n_ports)
{
	p->said.outer = (struct port_range){outer, (uint16_t)(outer + n_ports - 1)};
	for (uint32_t i = 0; i < p->n_doors; i++) {
		struct door *door = &p->doors[i];

		*door = (struct door){.of = p, .addr = s->addrs[i / n_ports], .fd = -1, .udp = -1};
		door->outer = (uint16_t)(outer + i % n_ports);
		door->inner = (uint16_t)(s->inner.first + i % n_ports);
	}
}

/* A publisher that was killed a moment ago is not in the way of the next one. */
static int hold_all_again(struct doors *d, struct publication *p, const struct publish_spec *s, uint32_t n_ports,
			  uint32_t *ret_at)
{
	const struct timespec moment = {.tv_nsec = 2000000};
	char who[KERNEL_PORT_WHO_MAX];
	int32_t pid;
	int r = hold_all(p, s, n_ports, ret_at);

	for (int i = 0; i < LEAVING_MS_MAX / 2 && r == -EADDRINUSE; i++) {
		if (published_in(d->net, NULL, &p->doors[*ret_at], who, sizeof(who), &pid) ? !proc_is_leaving(pid)
											   : i > 4)
			break;
		nanosleep(&moment, NULL);
		r = hold_all(p, s, n_ports, ret_at);
	}
	return r;
}

/* Any free port: one that the first address gives, if the others have it free, too. */
static int hold_any(struct publication *p, const struct publish_spec *s, uint32_t *ret_at)
{
	int r = -EADDRINUSE;

	for (int i = 0; i < CHOICES_MAX && r == -EADDRINUSE; i++) {
		uint16_t port;
		int fd = kernel_port_hold(&s->addrs[0], 0, family_of(&s->addrs[0]), s->proto, &port);

		number(p, s, fd < 0 ? 0 : port, 1);
		*ret_at = 0;
		if (fd < 0)
			return fd;
		raw_close(fd);
		r = hold_all(p, s, 1, ret_at);
	}
	return r;
}

/* A port of a range could not be had when it was needed. It is tried again at every change, and said once. */
static void cannot(struct doors *d, struct door *door, int err)
{
	char endpoint[PORT_ENDPOINT_STR_MAX];

	if (door_is_starved(err))
		d->starved = err;
	else if (err != door->said_err)
		d->say("%s is not published: %s", published_door(&door->addr, door->outer, endpoint), strerror(-err));
	door->said_err = err;
}

/* --- UDP: the sockets are publish_udp.c's --- */

static uint32_t n_ports_of(const struct publication *p)
{
	return (uint32_t)(p->said.outer.last - p->said.outer.first) + 1;
}

/* One port, on all addresses. Those that are not held are. */
static int open_udp(struct doors *d, struct publication *p, uint32_t k)
{
	uint32_t n_ports = n_ports_of(p), n = 0;
	int fds[PUBLISH_ADDRS_MAX], r = 0;

	for (uint32_t i = k; r == 0 && i < p->n_doors; i += n_ports) {
		if (p->doors[i].fd < 0)
			r = hold(&p->doors[i]);
		if (r == 0)
			fds[n++] = p->doors[i].fd;
		p->doors[i].fd = -1;
	}
	for (uint32_t i = 0; r < 0 && i < n; i++)
		raw_close(fds[i]);
	if (r == 0)
		r = publish_udp_add(d->udp, p->said.host, p->doors[k].inner, fds, n);
	p->doors[k].udp = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

static int begin_udp(struct doors *d, struct publication *p)
{
	int r = d->udp ? 0 : publish_udp_new(d->net, d->epoll, &d->udp);

	for (uint32_t k = 0; r == 0 && !p->lazy && k < n_ports_of(p); k++)
		r = open_udp(d, p, k);
	return r;
}

static void end_udp(struct doors *d, struct door *door)
{
	if (door->udp >= 0)
		publish_udp_remove(d->udp, door->udp);
	door->udp = -1;
	door->open = false;
}

bool publication_look_udp(struct doors *d, struct publication *p, bool (*bound)(uint32_t port))
{
	uint32_t up = 0;

	for (uint32_t k = 0; k < n_ports_of(p); k++) {
		struct door *door = &p->doors[k];
		int r = 0;

		if (door->udp < 0 && bound(door->inner))
			r = open_udp(d, p, k);
		if (r < 0)
			cannot(d, door, r);
		if (door->udp < 0)
			continue;
		door->said_err = 0;
		door->open = publish_udp_look(d->udp, door->udp, &d->starved);
		up += door->open;
		if (p->lazy && !door->open)
			end_udp(d, door);
	}
	return up != p->said.n_up;
}

struct publication *publication_new(struct doors *d, const struct publish_spec *s, char *text, size_t size_bytes)
{
	uint32_t n_ports = (uint32_t)(s->inner.last - s->inner.first) + 1, at = 0;
	struct publication *p = calloc(1, sizeof(*p) + sizeof(p->doors[0]) * n_ports * s->n_addrs);
	int r;

	if (!p) {
		snprintf(text, size_bytes, "cannot publish %s: %s", s->text, strerror(ENOMEM));
		return NULL;
	}
	p->lazy = n_ports > LAZY_PORTS;
	p->splice = s->splice;
	p->n_doors = n_ports * s->n_addrs;
	p->said = (struct network_published){.host = d->host.index,
					     .proto = s->proto,
					     .n_addrs = s->n_addrs,
					     .inner = s->inner.first,
					     .automatic = s->automatic,
					     .spliced = s->splice};
	memcpy(p->said.addrs, s->addrs, sizeof(p->said.addrs));
	number(p, s, s->outer.first, n_ports);
	r = s->outer.first ? hold_all_again(d, p, s, n_ports, &at) : -EADDRINUSE;
	if (!s->outer.first || (s->automatic && r < 0))
		r = hold_any(p, s, &at);
	if (r < 0) {
		say_why(d, &p->doors[at], r, text, size_bytes);
		free(p);
		return NULL;
	}
	r = s->proto == PORT_UDP ? begin_udp(d, p) : 0;
	if (r < 0) {
		snprintf(text, size_bytes, "cannot publish %s: %s", s->text, strerror(-r));
		publication_free(d, p);
		return NULL;
	}
	return p;
}

uint32_t publication_n_up(const struct publication *p)
{
	uint32_t n_ports = (uint32_t)(p->said.outer.last - p->said.outer.first) + 1, n = 0;

	for (uint32_t k = 0; k < n_ports; k++) {
		bool up = false;

		for (uint32_t i = k; i < p->n_doors && !up; i += n_ports)
			up = p->doors[i].open;
		n += up;
	}
	return n;
}

bool publication_is_spliced(const struct publication *p)
{
	bool any = p->splice;

	for (uint32_t i = 0; i < p->n_doors && !any; i++)
		any = p->doors[i].open && p->doors[i].acceptor.outside;
	return any;
}

/* --- callers --- */

static int send_socket(int over, int fd)
{
	union {
		struct cmsghdr h;
		char octets[CMSG_SPACE(sizeof(int))];
	} c = {0};
	uint8_t octet = 'k';
	struct iovec iov = {&octet, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

	c.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	return (int)raw_pass(SYS_sendmsg, over, (long)&m, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

static bool is_spliced(const struct door *door)
{
	return door->of->splice || door->acceptor.outside;
}

/* "I bring a connection of the machine's": shim/published.c. */
static size_t name_of_carrier(struct doors *d, const struct door *door, const struct port_addr *from,
			      uint16_t from_port, uint8_t path[NETWORK_NAME_OCTETS])
{
	struct port_tuple t = {.proto = PORT_TCP,
			       .local = door->addr,
			       .local_port = door->outer,
			       .remote = *from,
			       .remote_port = from_port};

	return network_name_published(d->net, &t, path);
}

/* What he called, as the program knows it: the host's own address, or its loopback. A caller at the machine's loopback is at the
 * program's, too, if it listens there: dnsmasq serves nobody at an address that it does not find among the kernel's. */
static struct port_addr called(const struct door *door, const struct port_addr *from)
{
	if (!port_addr_is_loopback(from) || !port_addr_is_any(&door->last.claim.addr))
		return door->last.local;
	return port_addr_is4(from) ? PORT_ADDR_LOOP4 : PORT_ADDR_LOOP6;
}

/* As a client on no host, with the caller's own address. It has no claim, so the number is only there to make two names of one
 * caller who came to two published ports of the same program. */
static size_t name_of_caller(struct doors *d, const struct door *door, const struct port_addr *from, uint16_t from_port,
			     uint8_t path[NETWORK_NAME_OCTETS])
{
	static uint32_t number;
	struct network_name n = {.client_host = NETWORK_HOSTS_MAX,
				 .server_host = d->host.index,
				 .client_slot = ++number,
				 .client_family = port_addr_is4(from) ? PORT_FAMILY_4 : PORT_FAMILY_6,
				 .server_family = door->last.claim.family};

	n.tuple = (struct port_tuple){.proto = PORT_TCP,
				      .local = *from,
				      .local_port = from_port,
				      .remote = called(door, from),
				      .remote_port = door->inner};
	return network_name_encode(d->net, &n, path);
}

/* A client of the listener's, under a name that says what it is. Return: descriptor; negative errno. */
static int carrier(struct doors *d, const struct door *door, const struct port_addr *from, uint16_t from_port)
{
	struct {
		sa_family_t family;
		uint8_t path[NETWORK_NAME_OCTETS];
	} un = {.family = AF_UNIX};
	int fd = (int)raw_pass(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0), r;

	if (fd < 0)
		return fd;
	for (int i = 0; i < TRIES_MAX; i++) {
		size_t len = is_spliced(door) ? name_of_caller(d, door, from, from_port, un.path)
					      : name_of_carrier(d, door, from, from_port, un.path);

		r = (int)raw_pass(SYS_bind, fd, (long)&un, (long)(offsetof(__typeof__(un), path) + len), 0, 0);
		if (r != -EADDRINUSE || !is_spliced(door))
			break;
	}
	if (r < 0) {
		raw_close(fd);
		return r;
	}
	return fd;
}

/* Return: 0, it is the program's; 1, it is ours no more, and carried; -EAGAIN, not now; -ECONNREFUSED, nobody listens. But for 1
 * the socket stays ours. */
static int bring(struct doors *d, struct door *door, int fd, const struct port_addr *from, uint16_t from_port)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		int over, r = find_again(d, door, from, from_port);

		if (r < 0)
			return r == -ECONNREFUSED ? r : -EAGAIN;
		if (is_spliced(door) && !publisher_splice_has_room())
			return -EAGAIN;
		over = carrier(d, door, from, from_port);
		if (over < 0)
			return -EAGAIN;
		r = network_path_connect(d->net, over, d->host.index, door->last.ref, &door->last.claim);
		if (r == 0 && is_spliced(door)) {
			r = publisher_splice(over, fd);
			if (r < 0)
				raw_close(over);
			return r < 0 ? -EAGAIN : 1;
		}
		if (r == 0)
			r = send_socket(over, fd);
		raw_close(over);
		if (r >= 0)
			return 0;
		door->last.known = false;
		if (r == -ECONNREFUSED || r == -ENOENT)
			(void)network_dead(d->net, d->host.index, door->last.ref);
		else if (r != -EPIPE && r != -ECONNRESET)
			return -EAGAIN;
	}
	return -EAGAIN;
}

static void put_waiting(struct doors *d, struct door *door, int fd, const struct port_addr *from, uint16_t from_port)
{
	struct waiting *w = calloc(1, sizeof(*w)), **at = &door->waiting;

	if (!w) {
		raw_close(fd);
		return;
	}
	*w = (struct waiting){.fd = fd, .from = *from, .from_port = from_port};
	while (*at)
		at = &(*at)->next;
	*at = w;
	d->n_waiting++;
	if (++door->n_waiting >= DOOR_WAITING_MAX)
		door_pause(d, door, true);
}

int door_serve(struct doors *d, struct door *door)
{
	for (int i = 0; i < ACCEPTS_MAX && door->open && !door->paused; i++) {
		struct port_addr from;
		uint16_t from_port;
		int fd = kernel_port_accept(door->fd, &from, &from_port), r;

		if (fd == -EAGAIN)
			return 0;
		if (door_is_starved(fd))
			return fd;
		if (fd < 0)
			continue; /* the caller is gone already */
		r = door->waiting ? -EAGAIN : bring(d, door, fd, &from, from_port);
		if (r == -EAGAIN)
			put_waiting(d, door, fd, &from, from_port);
		else if (r <= 0)
			raw_close(fd); /* it is the program's, or it is reset */
		if (r == -ECONNREFUSED)
			return r;
	}
	return 0;
}

void door_retry(struct doors *d, struct door *door)
{
	while (door->waiting) {
		struct waiting *w = door->waiting;
		int r = bring(d, door, w->fd, &w->from, w->from_port);

		if (r == -EAGAIN)
			break;
		if (r <= 0)
			raw_close(w->fd);
		door->waiting = w->next;
		door->n_waiting--;
		d->n_waiting--;
		free(w);
	}
	if (door->paused && door->n_waiting <= DOOR_WAITING_MAX / 2)
		door_pause(d, door, false);
}

/* --- opening and closing --- */

static void watch(struct doors *d, struct door *door, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = door};

	(void)epoll_ctl(d->epoll, op, door->fd, &e);
}

void door_pause(struct doors *d, struct door *door, bool on)
{
	if (door->open && door->paused != on)
		watch(d, door, EPOLL_CTL_MOD, on ? 0 : EPOLLIN);
	door->paused = on;
}

/* The family that the program's listener has. */
static void suit(struct door *door, enum port_family family)
{
	int fd;

	if (!port_addr_is4(&door->addr) || door->family == family)
		return;
	fd = kernel_port_swap(door->fd, &door->addr, door->outer, family, PORT_TCP);
	door->stuck = fd < 0; /* a kernel without IPv6: its callers are IPv4's then */
	if (fd < 0)
		return;
	door->fd = fd;
	door->family = family;
}

bool door_try(struct doors *d, struct door *door)
{
	struct port_claim c;
	struct port_ref ref;
	int r = 0;

	if (door->open || find_alive(d, door, &ref, &c) < 0)
		return false;
	if (door->fd < 0)
		r = hold(door);
	if (r == 0) {
		suit(door, c.family);
		r = kernel_port_listen(door->fd);
	}
	if (r < 0) {
		cannot(d, door, r);
		return false;
	}
	if (!door->of->splice)
		acceptor_look(&door->acceptor, ref, &c, network_now_us());
	door->said_err = 0;
	door->open = true;
	door->paused = false;
	watch(d, door, EPOLL_CTL_ADD, EPOLLIN);
	door->next_open = d->open;
	d->open = door;
	return true;
}

static void shut(struct doors *d, struct door *door)
{
	struct door **at = &d->open;

	if (!door->open)
		return;
	watch(d, door, EPOLL_CTL_DEL, 0);
	kernel_port_unlisten(door->fd);
	door->open = false;
	while (*at != door)
		at = &(*at)->next_open;
	*at = door->next_open;
	while (door->waiting) {
		struct waiting *w = door->waiting;

		door->waiting = w->next;
		raw_close(w->fd);
		free(w);
		d->n_waiting--;
	}
	door->n_waiting = 0;
	if (door->of->lazy) {
		raw_close(door->fd);
		door->fd = -1;
	}
}

bool door_check(struct doors *d, struct door *door)
{
	struct port_claim c;
	struct port_ref ref;

	if (find_alive(d, door, &ref, &c) < 0) {
		shut(d, door);
		return false;
	}
	if (port_addr_is4(&door->addr) && door->family != c.family && !door->stuck && !door->waiting) {
		shut(d, door); /* another listener, of the other family */
		return door_try(d, door);
	}
	if (!door->of->splice)
		acceptor_look(&door->acceptor, ref, &c, network_now_us());
	return true;
}

void publication_free(struct doors *d, struct publication *p)
{
	for (uint32_t i = 0; i < p->n_doors; i++)
		if (p->said.proto == PORT_UDP)
			end_udp(d, &p->doors[i]);
		else
			shut(d, &p->doors[i]);
	close_all(p);
	free(p);
}
