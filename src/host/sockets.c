/* src/host/sockets.c: every socket of the machine: by netlink where that can be had, else by /proc/net.
 *
 * Parts are read one after the other, a protocol of a family each; TCP's two families are one part, because the kernel walks
 * all connections for either. A part that netlink does not give comes from the text file; the rows that came before
 * the failure are taken back first (sink->again()).
 *
 * The list is not a moment's: while the kernel walks its tables, sockets move in them. A socket that begins to listen
 * between two walks comes twice; it is recognised by its cookie, and the later row is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/diag.h"
#include "host/owners.h"
#include "host/text.h"

const char *const host_proto_name[HOST_NPROTOS] = {"tcp", "udp", "raw"};
const char *const host_state_name[HOST_NSTATES] = {
	"?",	  "established", "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2",   "time-wait",
	"closed", "close-wait",	 "last-ack", "listening",    "closing",	   "syn-received", "bound",
};

/* --- netlink's transport --- */

static ssize_t send_to_kernel(void *ctx, const void *buf, size_t n)
{
	ssize_t r = mnl_socket_sendto(ctx, buf, n);

	return r < 0 ? -errno : r;
}

static ssize_t receive_from_kernel(void *ctx, void *buf, size_t room)
{
	ssize_t r = mnl_socket_recvfrom(ctx, buf, room);

	return r < 0 ? -errno : r;
}

/* A netlink socket, of the namespace that root says. Return: 0; negative errno. */
static int open_wire(const struct host_root *root, struct host_diag_wire *ret)
{
	bool shared = root && root->diag_fd > 0;
	static _Atomic uint32_t seq; /* a shared one may still hold answers to an earlier question */
	int copy = -1, r = 0;
	struct mnl_socket *nl;

	if (root && root->no_netlink)
		return -EOPNOTSUPP;
	if (shared) {
		copy = fcntl(root->diag_fd, F_DUPFD_CLOEXEC, 3);
		nl = copy < 0 ? NULL : mnl_socket_fdopen(copy);
	} else {
		nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	}
	if (!nl) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return r;
	}
	if (!shared && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		mnl_socket_close(nl);
		return r;
	}
	*ret = (struct host_diag_wire){
		.send = send_to_kernel,
		.receive = receive_from_kernel,
		.ctx = nl,
		.port_id = mnl_socket_get_portid(nl),
		.seq = atomic_fetch_add(&seq, 64),
		.shared = shared,
	};
	return 0;
}

static void close_wire(struct host_diag_wire *w)
{
	if (w->ctx)
		mnl_socket_close(w->ctx);
}

/* Kernels tell of bound and idle TCP sockets since 6.8. */
static bool tells_bound(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 8));
}

/* --- one part --- */

struct reading {
	const struct host_root *root;
	const struct host_filter *f;
	const struct host_sink *sink;
	struct host_notes *notes;
	struct host_diag_wire wire;
	int wire_err; /* negative errno: there is no wire */
	int stop;
};

/* family 0: both in one walk of the kernel's, which it does for TCP. */
static int read_netlink(struct reading *rd, enum host_proto proto, enum port_family family)
{
	const struct host_diag_ask ask = {
		.proto = proto,
		.family = family,
		.states = rd->f->states ? rd->f->states : ~0u,
		.ports = rd->f->ports,
		.info = rd->f->info,
	};
	int r;

	if (rd->wire_err)
		return rd->wire_err;
	r = host_diag_dump(&rd->wire, &ask, rd->sink, rd->notes, &rd->stop);
	if (r < 0)
		rd->sink->again(rd->sink->ctx);
	return r;
}

static int read_text(struct reading *rd, enum host_proto proto, enum port_family family)
{
	int r = host_text_read(rd->root, proto, family, rd->f, rd->sink, rd->notes, &rd->stop);

	/* No IPv6 here, or no raw sockets: none there. */
	return r == -ENOENT && (family == PORT_FAMILY_6 || proto == HOST_RAW) ? 0 : r;
}

static int read_part(struct reading *rd, enum host_proto proto, enum port_family family)
{
	int r = read_netlink(rd, proto, family);

	if (r == 0)
		return 0;
	if (proto == HOST_RAW && r == -ENOENT)
		rd->notes->raw_from_text = true;
	else
		rd->notes->netlink_err = r;
	return read_text(rd, proto, family);
}

static int read_proto(struct reading *rd, enum host_proto proto)
{
	int r = 0;

	if (proto == HOST_TCP && rd->f->family == 0 && read_netlink(rd, proto, 0) == 0)
		return 0;
	if (rd->f->family != PORT_FAMILY_6)
		r = read_part(rd, proto, PORT_FAMILY_4);
	if (r == 0 && rd->stop == 0 && rd->f->family != PORT_FAMILY_4)
		r = read_part(rd, proto, PORT_FAMILY_6);
	return r;
}

int host_sockets_each(const struct host_root *root, const struct host_filter *f, const struct host_sink *sink,
		      struct host_notes *ret_notes)
{
	struct reading rd = {.root = root, .f = f, .sink = sink, .notes = ret_notes};
	int r = 0;

	*ret_notes = (struct host_notes){0};
	rd.wire_err = open_wire(root, &rd.wire);
	for (int proto = 0; proto < HOST_NPROTOS && r == 0 && rd.stop == 0; proto++) {
		if (!f->protos || f->protos & (1u << proto))
			r = read_proto(&rd, (enum host_proto)proto);
	}
	close_wire(&rd.wire);
	ret_notes->no_bound = ret_notes->netlink_err != 0 || !tells_bound();
	return r < 0 ? r : rd.stop;
}

/* --- kept, and in order --- */

enum { GONE = UINT8_MAX }; /* a state no socket has */

struct keeping {
	struct host_sockets *s;
	size_t n_before; /* rows of the parts that are done */
	bool info;
};

static int make_room(struct keeping *k)
{
	size_t more = k->s->room ? k->s->room * 2 : 128;
	void *rows = realloc(k->s->rows, more * sizeof(*k->s->rows)), *infos;

	if (!rows)
		return -ENOMEM;
	k->s->rows = rows;
	if (k->info) {
		infos = realloc(k->s->infos, more * sizeof(*k->s->infos));
		if (!infos)
			return -ENOMEM;
		k->s->infos = infos;
	}
	k->s->room = more;
	return 0;
}

static int keep(void *ctx, const struct host_socket *s, const struct host_tcp_info *info)
{
	struct keeping *k = ctx;

	if (k->s->n == k->s->room && make_room(k) < 0)
		return -ENOMEM;
	if (k->info)
		k->s->infos[k->s->n] = info ? *info : (struct host_tcp_info){0};
	k->s->rows[k->s->n++] = *s;
	return 0;
}

static void forget(void *ctx)
{
	struct keeping *k = ctx;

	k->s->n = k->n_before;
}

static void begin(void *ctx)
{
	struct keeping *k = ctx;

	k->n_before = k->s->n;
}

#define BY(a, b)                                   \
	do {                                       \
		if ((a) != (b))                    \
			return (a) < (b) ? -1 : 1; \
	} while (0)

/* By what a socket is bound to. */
static int compare_place(const struct host_socket *x, const struct host_socket *y)
{
	int r;

	BY(x->port, y->port);
	BY(x->proto, y->proto);
	r = memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));
	if (r != 0)
		return r;
	BY(x->family, y->family);
	return 0;
}

static int compare(const struct host_socket *x, const struct host_socket *y)
{
	int r = compare_place(x, y);

	if (r != 0)
		return r;
	BY(x->peer_port, y->peer_port);
	r = memcmp(x->peer.b, y->peer.b, sizeof(x->peer.b));
	if (r != 0)
		return r;
	BY(x->cookie, y->cookie);
	BY(x->inode, y->inode);
	return (x->state > y->state) - (x->state < y->state);
}

/* Rows are big and move badly. So what is sorted is their numbers, each beside the front of what compare() looks at: port,
 * protocol, the address (whole, of IPv4 and of ::1 and its like), family, and the upper part of the peer's port. Few rows
 * agree in all that, and of those the rows themselves are compared. */
struct sort_key {
	uint64_t front;
	uint32_t row;
};

static uint64_t front_of(const struct host_socket *s)
{
	static const uint8_t zeros[12];
	const uint8_t *b = s->addr.b;
	bool is_low = memcmp(b, zeros, sizeof(zeros)) == 0, is_4 = port_addr_is4(&s->addr);
	const uint8_t *part = is_low || is_4 ? b + 12 : b;
	uint64_t key = (uint64_t)s->port << 48 | (uint64_t)s->proto << 46;

	/* the order that memcmp() has: ::1 and its like, what little is between, IPv4, all other IPv6 */
	key |= (uint64_t)(is_low ? 0 : is_4 ? 2 : memcmp(b, PORT_ADDR_ANY4.b, 12) < 0 ? 1 : 3) << 44;
	key |= (uint64_t)part[0] << 36 | (uint64_t)part[1] << 28 | (uint64_t)part[2] << 20 | (uint64_t)part[3] << 12;
	if (is_low || is_4)
		key |= (uint64_t)(s->family == PORT_FAMILY_6) << 11 | s->peer_port >> 5;
	return key;
}

static int by_front(const void *a, const void *b, void *rows)
{
	const struct sort_key *x = a, *y = b;
	const struct host_socket *s = rows;
	int r;

	if (x->front != y->front)
		return x->front < y->front ? -1 : 1;
	r = compare(&s[x->row], &s[y->row]);
	return r ? r : (x->row > y->row) - (x->row < y->row);
}

/* Leave out rows whose socket comes again later in the list, which is truer. The cookies go into a hash table of row
 * numbers + 1; no memory for one: the rows stay. */
static void drop_twice(struct host_sockets *s)
{
	size_t size = 64, n = 0;
	uint32_t *table;

	while (size < s->n * 2)
		size *= 2;
	table = calloc(size, sizeof(*table));
	if (!table)
		return;
	for (size_t i = 0; i < s->n; i++) {
		const struct host_socket *r = &s->rows[i];
		size_t at = (size_t)(r->cookie * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (size - 1);

		if (!r->cookie)
			continue;
		while (table[at] && s->rows[table[at] - 1].cookie != r->cookie)
			at = (at + 1) & (size - 1);
		if (table[at])
			s->rows[table[at] - 1].state = GONE;
		table[at] = (uint32_t)i + 1;
	}
	free(table);
	for (size_t i = 0; i < s->n; i++) {
		if (s->rows[i].state == GONE)
			continue;
		s->rows[n] = s->rows[i];
		if (s->infos)
			s->infos[n] = s->infos[i];
		n++;
	}
	s->n = n;
}

static int put_in_order(struct host_sockets *s)
{
	struct sort_key *order = malloc((s->n ? s->n : 1) * sizeof(*order));
	struct host_socket *rows = malloc((s->n ? s->n : 1) * sizeof(*rows));
	struct host_tcp_info *infos = s->infos ? malloc((s->n ? s->n : 1) * sizeof(*infos)) : NULL;

	if (!order || !rows || (s->infos && !infos)) {
		free(order);
		free(rows);
		free(infos);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->n; i++)
		order[i] = (struct sort_key){front_of(&s->rows[i]), (uint32_t)i};
	qsort_r(order, s->n, sizeof(order[0]), by_front, s->rows);
	for (size_t i = 0; i < s->n; i++) {
		rows[i] = s->rows[order[i].row];
		if (infos)
			infos[i] = s->infos[order[i].row];
	}
	free(order);
	free(s->rows);
	free(s->infos);
	s->rows = rows;
	s->infos = infos;
	s->room = s->n ? s->n : 1;
	return 0;
}

bool host_socket_is_dual(const struct host_socket *s)
{
	return s->family == PORT_FAMILY_6 && !port_addr_is4(&s->addr) && port_addr_is_any(&s->addr) &&
	       !(s->is & HOST_IS_V6ONLY);
}

static bool covers(const struct host_socket *listener, const struct port_addr *a)
{
	if (!port_addr_is_any(&listener->addr))
		return port_addr_equal(&listener->addr, a);
	return port_addr_is4(&listener->addr) == port_addr_is4(a) || host_socket_is_dual(listener);
}

/* Rows of one port: which connections have a listener's address? Rows of one address stand together, so the
 * listeners are asked once for each address. */
static void mark_port(struct host_socket *r, size_t n)
{
	const struct host_socket *listeners[64];
	const struct port_addr *last = NULL;
	size_t n_listeners = 0;
	bool accepted = false;

	for (size_t i = 0; i < n && n_listeners < COUNT_OF(listeners); i++)
		if (r[i].proto == HOST_TCP && r[i].state == HOST_LISTEN &&
		    (n_listeners == 0 || compare_place(listeners[n_listeners - 1], &r[i]) != 0))
			listeners[n_listeners++] = &r[i];
	for (size_t i = 0; i < n && n_listeners > 0; i++) {
		if (r[i].proto != HOST_TCP || r[i].state == HOST_LISTEN || r[i].state == HOST_BOUND ||
		    r[i].state == HOST_SYN_SENT)
			continue;
		if (!last || !port_addr_equal(last, &r[i].addr)) {
			last = &r[i].addr;
			accepted = false;
			for (size_t k = 0; k < n_listeners && !accepted; k++)
				accepted = covers(listeners[k], last);
		}
		r[i].is |= accepted ? HOST_IS_ACCEPTED : 0;
	}
}

static void mark_accepted(struct host_sockets *s)
{
	size_t from = 0;

	for (size_t i = 1; i <= s->n; i++)
		if (i == s->n || s->rows[i].port != s->rows[from].port) {
			mark_port(s->rows + from, i - from);
			from = i;
		}
}

int host_sockets_read(const struct host_root *root, const struct host_filter *f, struct host_sockets *ret)
{
	struct keeping k = {.s = ret, .info = f->info};
	const struct host_sink sink = {.each = keep, .again = forget, .begin = begin, .ctx = &k};
	int r;

	*ret = (struct host_sockets){0};
	r = host_sockets_each(root, f, &sink, &ret->notes);
	if (r == 0) {
		drop_twice(ret);
		r = put_in_order(ret);
	}
	if (r < 0) {
		host_sockets_free(ret);
		return r;
	}
	mark_accepted(ret);
	return 0;
}

void host_sockets_free(struct host_sockets *s)
{
	free(s->rows);
	free(s->infos);
	*s = (struct host_sockets){0};
}

/* --- in the words of a network --- */

static enum claim_state to_claim_state(const struct host_socket *s)
{
	switch (s->state) {
	case HOST_LISTEN:
		return CLAIM_LISTENING;
	case HOST_BOUND:
		return CLAIM_HELD;
	case HOST_TIME_WAIT:
		return CLAIM_LINGER;
	default:
		return s->is & HOST_IS_ACCEPTED || s->state == HOST_SYN_RECV ? CLAIM_ACCEPTED : CLAIM_CONNECTED;
	}
}

bool host_socket_claim(const struct host_socket *s, uint64_t now_us, struct port_claim *ret)
{
	if (s->proto >= PORT_NPROTOS)
		return false;
	*ret = (struct port_claim){
		.addr = s->addr,
		.peer = s->peer,
		.port = s->port,
		.peer_port = s->peer_port,
		.proto = s->proto,
		.family = s->family,
		.state = (uint8_t)to_claim_state(s),
		.flags = s->is & HOST_IS_V6ONLY ? PORT_V6ONLY : 0,
		.uid = s->uid,
		.dev = s->dev,
		.since_us = NEVER_US,
		.expires_us = s->state == HOST_TIME_WAIT ? now_us + (uint64_t)s->timer_ms * 1000 : NEVER_US,
		.owner = {.inode = s->inode, .cookie = s->cookie},
	};
	return true;
}

void host_socket_sought(const struct host_socket *s, struct host_sought *ret)
{
	*ret = (struct host_sought){.inode = s->inode, .has_uid = (s->have & HOST_HAS_UID) != 0, .uid = s->uid};
}

enum host_holder host_socket_holder(const struct host_socket *s, size_t n_owners, bool all_seen)
{
	if (n_owners > 0)
		return HOST_HELD_BY_PROCESS;
	if (s->state == HOST_TIME_WAIT)
		return HOST_HELD_TIME_WAIT;
	if (s->inode != 0)
		return all_seen ? HOST_HELD_NOBODY : HOST_HELD_UNSEEN;
	switch (s->state) {
	case HOST_SYN_RECV:
	case HOST_ESTABLISHED:
	case HOST_CLOSE_WAIT: /* an orphan is past this: close() leaves it in LAST_ACK */
		return HOST_HELD_UNACCEPTED;
	default:
		return HOST_HELD_ORPHAN;
	}
}
