/* src/shim/udp_options.c: options of UDP sockets that differ from TCP's, or that have an effect.
 *
 * Values are kept in the mailbox's file, so they are the same after exec and for whoever is passed the socket.
 * The table has what is a number within bounds; below it what needs more. All others are options.c's, which
 * treats both kinds of socket alike. Defaults and bounds are Linux 6.18's.
 */
#include <netinet/udp.h>
#include <netinet/in.h>
#include <string.h>

#include "shim/outside.h"
#include "shim/udp.h"

#define SO_TIMESTAMP_NEW_ 63
#define SO_TIMESTAMPNS_NEW_ 64
#define IP_MULTICAST_ALL_ 49
#define IPV6_MULTICAST_ALL_ 29
#define IP_ORIGDSTADDR_ 20
#define IPV6_ORIGDSTADDR_ 74
#define UDP_CORK_ 1
#define UDP_NO_CHECK6_TX_ 101
#define UDP_NO_CHECK6_RX_ 102
#define UDP_SEGMENT_ 103
#define UDP_GRO_ 104

struct udp_option {
	int level, name, opt;
	int32_t dflt, min, max; /* min and max 0: a truth value */
	bool byte;		/* IP level: fewer than four octets are read as one, and written as one */
};

static const struct udp_option table[] = {
	{IPPROTO_IP, IP_TOS, UDP_OPT_TOS, 0, INT32_MIN, INT32_MAX, true},
	{IPPROTO_IP, IP_TTL, UDP_OPT_TTL, 64, 1, 255, true},
	{IPPROTO_IP, IP_MULTICAST_TTL, UDP_OPT_MC_TTL, 1, 0, 255, true},
	{IPPROTO_IP, IP_MULTICAST_LOOP, UDP_OPT_MC_LOOP, 1, 0, 0, true},
	{IPPROTO_IP, IP_MULTICAST_ALL_, MAILBOX_OPT_MC_ALL, 1, 0, 1, true},
	{IPPROTO_IP, IP_RECVERR, UDP_OPT_RECVERR, 0, 0, 0, true},
	{IPPROTO_IP, IP_PKTINFO, UDP_OPT_PKTINFO, 0, 0, 0, true},
	{IPPROTO_IP, IP_RECVTTL, UDP_OPT_RECVTTL, 0, 0, 0, true},
	{IPPROTO_IP, IP_RECVTOS, UDP_OPT_RECVTOS, 0, 0, 0, true},
	{IPPROTO_IP, IP_ORIGDSTADDR_, UDP_OPT_ORIGDST, 0, 0, 0, true},
	{IPPROTO_IP, IP_MTU_DISCOVER, UDP_OPT_MTU_DISCOVER, 1, 0, 5, true},
	{IPPROTO_IPV6, IPV6_TCLASS, UDP_OPT_TCLASS6, 0, -1, 255, false},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, UDP_OPT_HOPS6, 64, -1, 255, false},
	{IPPROTO_IPV6, IPV6_MULTICAST_HOPS, UDP_OPT_MC_HOPS6, 1, -1, 255, false},
	{IPPROTO_IPV6, IPV6_MULTICAST_LOOP, UDP_OPT_MC_LOOP6, 1, 0, 1, false},
	{IPPROTO_IPV6, IPV6_MULTICAST_ALL_, MAILBOX_OPT_MC_ALL6, 1, 0, 0, false},
	{IPPROTO_IPV6, IPV6_RECVERR, UDP_OPT_RECVERR6, 0, 0, 0, false},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO, UDP_OPT_PKTINFO6, 0, 0, 0, false},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT, UDP_OPT_RECVHOPS6, 0, 0, 0, false},
	{IPPROTO_IPV6, IPV6_RECVTCLASS, UDP_OPT_RECVTCLASS6, 0, 0, 0, false},
	{IPPROTO_IPV6, IPV6_ORIGDSTADDR_, UDP_OPT_ORIGDST6, 0, 0, 0, false},
	{IPPROTO_IPV6, IPV6_2292PKTINFO, UDP_OPT_OLDPKTINFO6, 0, 0, 0, false},
	{IPPROTO_IPV6, IPV6_2292HOPLIMIT, UDP_OPT_OLDRECVHOPS6, 0, 0, 0, false},
	{IPPROTO_UDP, UDP_CORK_, UDP_OPT_CORK, 0, 0, 0, false},
	{IPPROTO_UDP, UDP_SEGMENT_, UDP_OPT_SEGMENT, 0, 0, UINT16_MAX, false},
	{IPPROTO_UDP, UDP_GRO_, UDP_OPT_GRO, 0, 0, 0, false},
	{IPPROTO_UDP, UDP_NO_CHECK6_TX_, UDP_OPT_NO_CHECK6_TX, 0, 0, 0, false},
	{IPPROTO_UDP, UDP_NO_CHECK6_RX_, UDP_OPT_NO_CHECK6_RX, 0, 0, 0, false},
};

static const struct udp_option *find(int level, int name)
{
	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (table[i].level == level && table[i].name == name)
			return &table[i];
	return NULL;
}

static int32_t default_of(int opt)
{
	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (table[i].opt == opt)
			return table[i].dflt;
	return opt == MAILBOX_OPT_RCVBUF || opt == UDP_OPT_SNDBUF ? MAILBOX_RCVBUF_DEFAULT : 0;
}

int32_t udp_opt(const struct mailbox_state *st, int opt)
{
	return st->opts_known & (UINT64_C(1) << opt) ? st->opts[opt] : default_of(opt);
}

struct value {
	int opt;
	int32_t v;
};

static int set_value(void *ctx, struct mailbox_state *s)
{
	const struct value *v = ctx;

	s->opts[v->opt] = v->v;
	s->opts_known |= UINT64_C(1) << v->opt;
	return 0;
}

static int store(const struct udp *u, int opt, int32_t v)
{
	struct value val = {opt, v};

	return udp_change(u, set_value, &val);
}

static int32_t stored(const struct udp *u, int opt)
{
	struct mailbox_state st;

	return udp_peek(u, &st) < 0 ? default_of(opt) : udp_opt(&st, opt);
}

/* --- octets in and out --- */

static int put_octets(const void *v, size_t v_len, void *val, socklen_t *len)
{
	size_t n;

	if (!len)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	n = *len < v_len ? *len : v_len;
	if (n && !val)
		return -EFAULT;
	if (n)
		memcpy(val, v, n);
	*len = (socklen_t)n;
	return 0;
}

static int put_int(int32_t v, bool byte, void *val, socklen_t *len)
{
	if (byte && len && *len > 0 && *len < sizeof(v) && v >= 0 && v <= 255) {
		uint8_t b = (uint8_t)v;

		return put_octets(&b, 1, val, len);
	}
	return put_octets(&v, sizeof(v), val, len);
}

static int take_int(const void *val, socklen_t len, bool byte, int32_t *ret)
{
	if (byte && len < sizeof(*ret)) {
		if (len && !val)
			return -EFAULT;
		*ret = len ? *(const uint8_t *)val : 0;
		return 0;
	}
	if (len < sizeof(*ret))
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(ret, val, sizeof(*ret));
	return 0;
}

/* --- SOL_SOCKET --- */

/* What the program asked for is clamped and doubled by the kernel on the real socket and read back. */
static int set_buffer(const struct udp *u, int name, const void *val, socklen_t len)
{
	bool snd = name == SO_SNDBUF || name == SO_SNDBUFFORCE;
	int32_t v = 0;
	socklen_t v_len = sizeof(v);
	int r = sys_setsockopt(u->fd, SOL_SOCKET, name, val, len);

	if (r == 0)
		r = sys_getsockopt(u->fd, SOL_SOCKET, snd ? SO_SNDBUF : SO_RCVBUF, &v, &v_len);
	if (snd)
		sock_grow(u->fd, &(struct tag){0});
	return r < 0 ? r : store(u, snd ? UDP_OPT_SNDBUF : MAILBOX_OPT_RCVBUF, v);
}

static int set_socket_level(const struct udp *u, int name, const void *val, socklen_t len)
{
	int32_t v = 0;
	int r;

	switch (name) {
	case SO_SNDBUF:
	case SO_RCVBUF:
	case SO_SNDBUFFORCE:
	case SO_RCVBUFFORCE:
		return set_buffer(u, name, val, len);
	case SO_TIMESTAMP:
	case SO_TIMESTAMPNS:
	case SO_TIMESTAMP_NEW_:
	case SO_TIMESTAMPNS_NEW_:
	case SO_RXQ_OVFL:
		r = sys_setsockopt(u->fd, SOL_SOCKET, name, val, len);
		if (r == 0)
			r = take_int(val, len, false, &v);
		if (r < 0)
			return r;
		if (name == SO_RXQ_OVFL)
			return store(u, UDP_OPT_OVFL, v != 0);
		return store(u, UDP_OPT_STAMP,
			     !v							 ? UDP_STAMP_NONE
			     : name == SO_TIMESTAMP || name == SO_TIMESTAMP_NEW_ ? UDP_STAMP_US
										 : UDP_STAMP_NS);
	/* What these would look at is the doorbell. */
	case SO_PEEK_OFF:
		return -EOPNOTSUPP;
	}
	return UDP_NOT_HERE;
}

static int get_socket_level(const struct udp *u, int name, void *val, socklen_t *len)
{
	switch (name) {
	case SO_PROTOCOL:
		return put_int(IPPROTO_UDP, false, val, len);
	case SO_ERROR:
		return put_int(udp_take_error(u), false, val, len);
	case SO_SNDBUF:
		return put_int(stored(u, UDP_OPT_SNDBUF), false, val, len);
	case SO_RCVBUF:
		return put_int(stored(u, MAILBOX_OPT_RCVBUF), false, val, len);
	case SO_ACCEPTCONN:
		return put_int(0, false, val, len);
	case SO_PEEK_OFF:
		return put_int(-1, false, val, len);
	case SO_PEERNAME: {
		struct sockaddr_storage ss;
		socklen_t whole = sizeof(ss);
		int r = udp_name(u, true, (struct sockaddr *)&ss, &whole);

		if (len && (int)*len < 0)
			r = -EINVAL;
		if (r < 0 || !len || *len > whole)
			return r < 0 ? r : -EINVAL;
		return put_octets(&ss, *len, val, len);
	}
	}
	return UDP_NOT_HERE;
}

/* --- the other levels --- */

static enum port_family family_of(const struct udp *u)
{
	struct tag t;

	return tag_get(u->fd, &t) == 0 ? t.family : PORT_FAMILY_4;
}

static int set_number(const struct udp *u, const struct udp_option *o, const void *val, socklen_t len)
{
	int32_t v = 0;
	int r = take_int(val, len, o->byte, &v);

	if (r == 0 && !len &&
	    (o->name == IP_TTL || o->name == IP_MULTICAST_TTL || o->name == IP_MULTICAST_LOOP ||
	     o->name == IP_MULTICAST_ALL_) &&
	    o->level == IPPROTO_IP)
		r = -EINVAL; /* where their neighbours take "nothing" for 0 */
	if (r < 0)
		return r;
	if (v == -1 && (o->opt == UDP_OPT_TTL || o->opt == UDP_OPT_MC_TTL || o->min == -1))
		v = o->dflt;
	if (o->opt == UDP_OPT_TOS)
		v &= 0xff;
	if (o->min == 0 && o->max == 0)
		v = v != 0;
	else if (v < o->min || v > o->max)
		return -EINVAL;
	if (!v && (o->opt == UDP_OPT_RECVERR || o->opt == UDP_OPT_RECVERR6))
		udp_purge_errors(u);
	r = store(u, o->opt, v);
	if (r == 0 && (o->opt == UDP_OPT_MTU_DISCOVER || o->opt == UDP_OPT_RECVERR || o->opt == UDP_OPT_RECVERR6))
		udp_outer_options(u);
	if (r == 0 && o->opt == UDP_OPT_CORK && !v)
		r = udp_uncork(u);
	return r;
}

int udp_setsockopt(const struct udp *u, int level, int name, const void *val, socklen_t len)
{
	const struct udp_option *o = find(level, name);

	if (level == SOL_SOCKET)
		return set_socket_level(u, name, val, len);
	if (level == IPPROTO_IPV6 && family_of(u) != PORT_FAMILY_6)
		return -ENOPROTOOPT;
	if (o)
		return set_number(u, o, val, len);
	if (level == IPPROTO_IP || level == IPPROTO_IPV6)
		return udp_group_option(u, level, name, val, len);
	return UDP_NOT_HERE;
}

int udp_getsockopt(const struct udp *u, int level, int name, void *val, socklen_t *len)
{
	const struct udp_option *o = find(level, name);
	int32_t v;

	if (level == SOL_SOCKET)
		return get_socket_level(u, name, val, len);
	if (level == IPPROTO_IPV6 && family_of(u) != PORT_FAMILY_6)
		return -EOPNOTSUPP;
	if (o)
		return put_int(stored(u, o->opt), o->byte, val, len);
	if (level == IPPROTO_IP && name == IP_MULTICAST_IF) {
		v = stored(u, UDP_OPT_MC_IF);
		return put_octets(&v, sizeof(v), val, len);
	}
	if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF)
		return put_int(stored(u, UDP_OPT_MC_IF6), false, val, len);
	return UDP_NOT_HERE;
}

int udp_store(const struct udp *u, int opt, int32_t v)
{
	return store(u, opt, v);
}

/* --- a socket of the kernel's in the place of ours, and back (outside.c) --- */

void udp_carry_out(const struct mailbox_state *st, int to)
{
	static const struct {
		int name, opt;
	} sizes[] = {{SO_SNDBUF, UDP_OPT_SNDBUF}, {SO_RCVBUF, MAILBOX_OPT_RCVBUF}};
	static const int32_t on = 1;

	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (st->opts_known & UINT64_C(1) << table[i].opt)
			(void)sys_setsockopt(to, table[i].level, table[i].name, &st->opts[table[i].opt],
					     sizeof(st->opts[0]));
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		int32_t half = udp_opt(st, sizes[i].opt) / 2; /* kept as the kernel shows it: doubled */

		if (st->opts_known & UINT64_C(1) << sizes[i].opt)
			(void)sys_setsockopt(to, SOL_SOCKET, sizes[i].name, &half, sizeof(half));
	}
	if (udp_opt(st, UDP_OPT_STAMP) != UDP_STAMP_NONE)
		(void)sys_setsockopt(to, SOL_SOCKET,
				     udp_opt(st, UDP_OPT_STAMP) == UDP_STAMP_US ? SO_TIMESTAMP : SO_TIMESTAMPNS, &on,
				     sizeof(on));
	if (udp_opt(st, UDP_OPT_OVFL))
		(void)sys_setsockopt(to, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
}

void udp_carry_home(struct shim *s, int from, int to)
{
	struct udp u = udp_of(s, to);

	for (size_t i = 0; i < COUNT_OF(table); i++) {
		int32_t v = 0;
		socklen_t len = sizeof(v);

		if (sys_getsockopt(from, table[i].level, table[i].name, &v, &len) == 0 && len == sizeof(v) &&
		    v != table[i].dflt)
			(void)store(&u, table[i].opt, v);
	}
}
