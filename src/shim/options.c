/* src/shim/options.c: getsockopt and setsockopt of a TCP socket that is none.
 *
 * One table says what becomes of each option:
 *
 *     TAG      one bit, kept on the socket itself: reads back everywhere, after exec too
 *     STORE    a number within bounds, kept in this process (extra.c); AF_UNIX does nothing with it
 *     NATIVE   AF_UNIX has it with the same meaning (SO_KEEPALIVE, SO_LINGER, the timeouts)
 *     SPECIAL  a function below
 *     REFUSE   what the kernel answers to TCP sockets: an errno
 *
 * An option that is not in the table is ENOPROTOOPT at the IP, IPv6 and TCP levels, and the kernel's
 * own affair at SOL_SOCKET. Values are the defaults of Linux 6.18.
 */
#include <linux/tcp.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shim/shim.h"
#include "shim/udp.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#define SO_PASSPIDFD_ 76
#define SO_PEERPIDFD_ 77
#define SO_PASSRIGHTS_ 83
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#define IPV6_FREEBIND_ 78
#define IPV6_TRANSPARENT_ 75

#define SNDBUF_DEFAULT 16384
#define RCVBUF_DEFAULT 131072
#define SNDBUF_ESTABLISHED 2626560 /* what loopback autotuning starts with */
#define MSS_UNCONNECTED 536
#define MSS_LOOPBACK4 32741
#define MSS_LOOPBACK6 32741
#define ECN_BITS 3
#define FIN_TIMEOUT_S 60
#define FIN_TIMEOUT_MAX_S 120
#define RTO_MAX_S 120
#define MTU_LOOPBACK 65535

enum what { TAG, STORE, NATIVE, SPECIAL, REFUSE };

struct option {
	int level, name;
	enum what what;
	int arg; /* TAG: the bit; STORE: enum extra; REFUSE: errno */
	int32_t dflt;
	int32_t min, max; /* STORE: else -EINVAL; both 0: any truth value, kept as 0 or 1 */
	bool byte;	  /* IP level: fewer than four octets are read as one (none: 0), and written as one */
};

static const struct option options[] = {
	{SOL_SOCKET, SO_REUSEADDR, TAG, TAG_REUSEADDR},
	{SOL_SOCKET, SO_REUSEPORT, TAG, TAG_REUSEPORT},
	{SOL_SOCKET, SO_DOMAIN, SPECIAL},
	{SOL_SOCKET, SO_PROTOCOL, SPECIAL},
	{SOL_SOCKET, SO_SNDBUF, SPECIAL},
	{SOL_SOCKET, SO_RCVBUF, SPECIAL},
	{SOL_SOCKET, SO_SNDBUFFORCE, SPECIAL},
	{SOL_SOCKET, SO_RCVBUFFORCE, SPECIAL},
	{SOL_SOCKET, SO_ERROR, SPECIAL},
	{SOL_SOCKET, SO_ACCEPTCONN, SPECIAL},
	{SOL_SOCKET, SO_PEERCRED, SPECIAL},
	{SOL_SOCKET, SO_PEERNAME, SPECIAL},
	{SOL_SOCKET, SO_BINDTODEVICE, SPECIAL},
	{SOL_SOCKET, SO_BINDTOIFINDEX, SPECIAL},
	{SOL_SOCKET, SO_MAX_PACING_RATE, SPECIAL},
	{SOL_SOCKET, SO_PEERSEC, REFUSE, ENOPROTOOPT},
	{SOL_SOCKET, SO_PEERGROUPS, REFUSE, ENODATA},
	{SOL_SOCKET, SO_PEERPIDFD_, REFUSE, ENODATA},
	{SOL_SOCKET, SO_PASSCRED, REFUSE, EOPNOTSUPP},
	{SOL_SOCKET, SO_PASSSEC, REFUSE, EOPNOTSUPP},
	{SOL_SOCKET, SO_PASSPIDFD_, REFUSE, EOPNOTSUPP},
	{SOL_SOCKET, SO_PASSRIGHTS_, REFUSE, EOPNOTSUPP},
	{SOL_SOCKET, SO_ZEROCOPY, REFUSE, ENOPROTOOPT}, /* as before Linux 4.14: nothing would ever complete */
	{SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, REFUSE, ENOPROTOOPT},
	{SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, REFUSE, ENOPROTOOPT},

	{IPPROTO_TCP, TCP_NODELAY, TAG, TAG_NODELAY},
	{IPPROTO_TCP, TCP_CORK, TAG, TAG_CORK},
	{IPPROTO_TCP, TCP_MAXSEG, SPECIAL},
	{IPPROTO_TCP, TCP_INFO, SPECIAL},
	{IPPROTO_TCP, TCP_CONGESTION, SPECIAL},
	{IPPROTO_TCP, TCP_KEEPIDLE, STORE, EXTRA_KEEPIDLE, 7200, 1, 32767},
	{IPPROTO_TCP, TCP_KEEPINTVL, STORE, EXTRA_KEEPINTVL, 75, 1, 32767},
	{IPPROTO_TCP, TCP_KEEPCNT, STORE, EXTRA_KEEPCNT, 9, 1, 127},
	{IPPROTO_TCP, TCP_SYNCNT, STORE, EXTRA_SYNCNT, 6, 1, 127},
	{IPPROTO_TCP, TCP_LINGER2, SPECIAL},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, SPECIAL},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, STORE, EXTRA_WINDOW_CLAMP, 0, INT32_MIN, INT32_MAX},
	{IPPROTO_TCP, TCP_QUICKACK, STORE, EXTRA_QUICKACK, 1, 0, 0},
	{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, STORE, EXTRA_THIN_LINEAR, 0, 0, 1},
	{IPPROTO_TCP, TCP_THIN_DUPACK, STORE, EXTRA_THIN_DUPACK, 0, 0, 1},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, STORE, EXTRA_USER_TIMEOUT, 0, 0, INT32_MAX},
	{IPPROTO_TCP, TCP_FASTOPEN, STORE, EXTRA_FASTOPEN, 0, 0, INT32_MAX},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, STORE, EXTRA_NOTSENT_LOWAT, 0, INT32_MIN, INT32_MAX},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, STORE, EXTRA_FASTOPEN_CONNECT, 0, 0, 1},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, STORE, EXTRA_FASTOPEN_NO_COOKIE, 0, 0, 1},
	{IPPROTO_TCP, TCP_INQ, STORE, EXTRA_INQ, 0, 0, 1},
	{IPPROTO_TCP, TCP_TX_DELAY, STORE, EXTRA_TX_DELAY, 0, 0, INT32_MAX},

	{IPPROTO_IP, IP_TOS, SPECIAL},
	{IPPROTO_IP, IP_TTL, SPECIAL},
	{IPPROTO_IP, IP_OPTIONS, SPECIAL},
	{IPPROTO_IP, IP_MTU, SPECIAL},
	{IPPROTO_IP, IP_LOCAL_PORT_RANGE, SPECIAL},
	{IPPROTO_IP, IP_FREEBIND, TAG, TAG_FREEBIND, .byte = true},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, TAG, TAG_NOPORT, .byte = true},
	{IPPROTO_IP, IP_TRANSPARENT, STORE, EXTRA_TRANSPARENT, 0, 0, 0, true},
	{IPPROTO_IP, IP_RECVERR, STORE, EXTRA_RECVERR, 0, 0, 0, true},
	{IPPROTO_IP, IP_MTU_DISCOVER, STORE, EXTRA_MTU_DISCOVER, 1, 0, 5, true},
	{IPPROTO_IP, IP_PKTINFO, STORE, EXTRA_PKTINFO, 0, 0, 0, true},
	{IPPROTO_IP, IP_RECVTOS, STORE, EXTRA_RECVTOS, 0, 0, 0, true},
	{IPPROTO_IP, IP_RECVTTL, STORE, EXTRA_RECVTTL, 0, 0, 0, true},
	{IPPROTO_IP, IP_MINTTL, STORE, EXTRA_MINTTL, 0, 0, 255, true},

	{IPPROTO_IPV6, IPV6_V6ONLY, TAG, TAG_V6ONLY},
	{IPPROTO_IPV6, IPV6_TCLASS, SPECIAL},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, STORE, EXTRA_V6_HOPS, 64, -1, 255},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO, STORE, EXTRA_V6_PKTINFO, 0, 0, 0},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT, STORE, EXTRA_V6_RECVHOPS, 0, 0, 0},
	{IPPROTO_IPV6, IPV6_RECVTCLASS, STORE, EXTRA_V6_RECVTCLASS, 0, 0, 0},
	{IPPROTO_IPV6, IPV6_RECVERR, STORE, EXTRA_V6_RECVERR, 0, 0, 0},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER, STORE, EXTRA_V6_MTU_DISCOVER, 1, 0, 5},
	{IPPROTO_IPV6, IPV6_DONTFRAG, STORE, EXTRA_V6_DONTFRAG, 0, 0, 0},
	{IPPROTO_IPV6, IPV6_MTU, SPECIAL},
	{IPPROTO_IPV6, IPV6_FREEBIND_, TAG, TAG_FREEBIND},
	{IPPROTO_IPV6, IPV6_TRANSPARENT_, STORE, EXTRA_TRANSPARENT, 0, 0, 0},
};

static const struct option native = {.what = NATIVE};

static const struct option *find(const struct tag *t, int level, int name)
{
	if (level == IPPROTO_IPV6 && t->family != PORT_FAMILY_6)
		return NULL;
	for (size_t i = 0; i < COUNT_OF(options); i++)
		if (options[i].level == level && options[i].name == name)
			return &options[i];
	return level == SOL_SOCKET ? &native : NULL;
}

/* --- octets in and out, as the kernel's own functions treat lengths --- */

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

/* --- values in this process --- */

static int32_t stored(int fd, const struct tag *t, enum extra e, int32_t dflt)
{
	int32_t v = dflt;

	if (t->flags & TAG_EXTRA && !extra_get(sock_cookie(fd), e, &v))
		v = dflt;
	return v;
}

static int store(int fd, struct tag *t, enum extra e, int32_t v)
{
	extra_put(sock_cookie(fd), e, v);
	if (!(t->flags & TAG_EXTRA)) {
		t->flags |= TAG_EXTRA;
		tag_set(fd, t);
	}
	return 0;
}

static bool is_connected(const struct tag *t)
{
	return t->state == SOCK_CONNECTED || t->state == SOCK_ACCEPTED;
}

/* --- single options --- */

static int get_error(int fd, struct tag *t, void *val, socklen_t *len)
{
	int32_t v = 0;
	socklen_t v_len = sizeof(v);

	if (t->state == SOCK_REFUSED) {
		v = ECONNREFUSED;
		t->state = SOCK_ABORTED;
		tag_set(fd, t);
	} else if (sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &v_len) < 0) {
		return -EBADF;
	}
	return put_int(v, false, val, len);
}

/* State numbers are the kernel's enum in include/net/tcp_states.h, which linux/tcp.h has not. */
static int get_info(const struct tag *t, void *val, socklen_t *len)
{
	enum { ESTABLISHED = 1, FIN_WAIT2 = 5, CLOSE = 7, LISTEN = 10 };
	struct tcp_info info = {.tcpi_state = CLOSE};

	if (t->state == SOCK_LISTENING) {
		info.tcpi_state = LISTEN;
	} else if (is_connected(t)) {
		info.tcpi_state = t->flags & TAG_SHUT_WR ? FIN_WAIT2 : ESTABLISHED;
		info.tcpi_snd_mss = info.tcpi_advmss = info.tcpi_rcv_mss =
			t->family == PORT_FAMILY_6 ? MSS_LOOPBACK6 : MSS_LOOPBACK4;
		info.tcpi_pmtu = MTU_LOOPBACK;
		info.tcpi_rtt = 20; /* microseconds: about what a loopback measures */
		info.tcpi_rttvar = 10;
		info.tcpi_rto = 200000;
		info.tcpi_snd_cwnd = 10;
	}
	return put_octets(&info, sizeof(info), val, len);
}

static int get_device(int fd, const struct tag *t, bool by_index, void *val, socklen_t *len)
{
	struct ifreq ifr = {0};

	ifr.ifr_ifindex = stored(fd, t, EXTRA_DEV, 0);
	if (by_index)
		return put_int(ifr.ifr_ifindex, false, val, len);
	if (!ifr.ifr_ifindex)
		return put_octets("", 0, val, len);
	if (len && *len < IFNAMSIZ)
		return -EINVAL;
	if (sys_call(SYS_ioctl, fd, SIOCGIFNAME, (long)&ifr, 0, 0) < 0)
		return -ENODEV;
	return put_octets(ifr.ifr_name, strnlen(ifr.ifr_name, IFNAMSIZ - 1) + 1, val, len);
}

static int set_device(int fd, struct tag *t, bool by_index, const void *val, socklen_t len)
{
	struct ifreq ifr = {0};
	int32_t index;

	if (by_index) {
		int r = take_int(val, len, false, &index);

		if (r < 0)
			return r;
		ifr.ifr_ifindex = index;
		if (index && sys_call(SYS_ioctl, fd, SIOCGIFNAME, (long)&ifr, 0, 0) < 0)
			return -EINVAL;
		return store(fd, t, EXTRA_DEV, index);
	}
	if ((int)len < 0)
		return -EINVAL;
	if (len && !val)
		return -EFAULT;
	memcpy(ifr.ifr_name, val ? val : "", len < IFNAMSIZ - 1 ? len : IFNAMSIZ - 1);
	if (!ifr.ifr_name[0])
		return store(fd, t, EXTRA_DEV, 0);
	if (sys_call(SYS_ioctl, fd, SIOCGIFINDEX, (long)&ifr, 0, 0) < 0)
		return -ENODEV;
	return store(fd, t, EXTRA_DEV, ifr.ifr_ifindex);
}

/* Buffers: the size the program asked for is clamped and doubled by the kernel on the real socket,
 * read back, remembered; then the send side is put back to as large as can be (sock_grow()). */
static int set_buffer(int fd, struct tag *t, int name, const void *val, socklen_t len)
{
	bool snd = name == SO_SNDBUF || name == SO_SNDBUFFORCE;
	int32_t v = 0;
	socklen_t v_len = sizeof(v);
	int r = sys_setsockopt(fd, SOL_SOCKET, name, val, len);

	if (r < 0)
		return r;
	r = sys_getsockopt(fd, SOL_SOCKET, snd ? SO_SNDBUF : SO_RCVBUF, &v, &v_len);
	if (r < 0)
		return r;
	if (snd)
		sock_grow(fd);
	return store(fd, t, snd ? EXTRA_SNDBUF : EXTRA_RCVBUF, v);
}

/* Which algorithms there are, and which is the default, only the kernel's TCP can tell: a socket of its
 * own is asked. What was chosen is remembered as a place in this list. */
static const char *const congestion_names[] = {"",    "cubic",	   "reno",  "bbr",   "dctcp",	 "bic",
					       "cdg", "highspeed", "htcp",  "hybla", "illinois", "lp",
					       "nv",  "scalable",  "vegas", "veno",  "westwood", "yeah"};

static int ask_tcp(bool write, int name, void *val, socklen_t *len)
{
	int fd = sys_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	r = write ? sys_setsockopt(fd, IPPROTO_TCP, name, val, *len) : sys_getsockopt(fd, IPPROTO_TCP, name, val, len);
	sys_close(fd);
	return r;
}

static int get_congestion(int fd, const struct tag *t, void *val, socklen_t *len)
{
	char name[16] = {0}; /* TCP_CA_NAME_MAX: all of it is copied */
	int32_t i = stored(fd, t, EXTRA_CONGESTION, 0);
	socklen_t name_len = sizeof(name);

	if (i > 0 && (size_t)i < COUNT_OF(congestion_names))
		strcpy(name, congestion_names[i]);
	else if (ask_tcp(false, TCP_CONGESTION, name, &name_len) < 0)
		strcpy(name, "cubic");
	return put_octets(name, sizeof(name), val, len);
}

static int set_congestion(int fd, struct tag *t, const void *val, socklen_t len)
{
	char name[16] = {0};
	socklen_t name_len;
	int r;

	if (len < 1)
		return -EINVAL;
	if (!val)
		return -EFAULT;
	memcpy(name, val, len < sizeof(name) - 1 ? len : sizeof(name) - 1);
	name_len = (socklen_t)strlen(name);
	r = name_len ? ask_tcp(true, TCP_CONGESTION, name, &name_len) : -ENOENT;
	for (size_t i = 1; r == 0 && i < COUNT_OF(congestion_names); i++)
		if (!strcmp(name, congestion_names[i]))
			return store(fd, t, EXTRA_CONGESTION, (int32_t)i);
	return r < 0 ? r : -ENOENT;
}

/* The kernel keeps TCP_DEFER_ACCEPT as a number of retransmissions, and says it in seconds again. */
static int32_t whole_retransmissions_s(int32_t want_s)
{
	int32_t timeout_s = 1, period_s = 1;

	if (want_s <= 0)
		return 0;
	for (int n = 1; n < 255 && want_s > period_s; n++) {
		timeout_s = timeout_s * 2 > RTO_MAX_S ? RTO_MAX_S : timeout_s * 2;
		period_s += timeout_s;
	}
	return period_s;
}

static int get_maxseg(int fd, const struct tag *t, void *val, socklen_t *len)
{
	int32_t v = stored(fd, t, EXTRA_MAXSEG, 0), whole = t->family == PORT_FAMILY_6 ? MSS_LOOPBACK6 : MSS_LOOPBACK4;

	if (is_connected(t))
		v = v && v < whole ? v : whole;
	else if (!v)
		v = MSS_UNCONNECTED;
	return put_int(v, false, val, len);
}

static int get_special(struct shim *s, int fd, struct tag *t, int level, int name, void *val, socklen_t *len)
{
	int32_t snd = is_connected(t) ? SNDBUF_ESTABLISHED : SNDBUF_DEFAULT;

	if (level == SOL_SOCKET)
		switch (name) {
		case SO_DOMAIN:
			return put_int(t->family == PORT_FAMILY_6 ? AF_INET6 : AF_INET, false, val, len);
		case SO_PROTOCOL:
			return put_int(IPPROTO_TCP, false, val, len);
		case SO_SNDBUF:
			return put_int(stored(fd, t, EXTRA_SNDBUF, snd), false, val, len);
		case SO_RCVBUF:
			return put_int(stored(fd, t, EXTRA_RCVBUF, RCVBUF_DEFAULT), false, val, len);
		case SO_ERROR:
			return get_error(fd, t, val, len);
		case SO_ACCEPTCONN:
			return put_int(t->state == SOCK_LISTENING, false, val, len);
		case SO_PEERCRED: {
			static const struct ucred nobody = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};

			return put_octets(&nobody, sizeof(nobody), val, len);
		}
		case SO_PEERNAME: {
			struct sockaddr_in6 in6 = {0};
			struct port_addr a;
			uint16_t port;
			socklen_t whole = sizeof(in6);
			int r = sock_name(s, fd, t, true, &a, &port);

			if (r < 0)
				return r;
			r = addr_write(t->family, &a, port, (struct sockaddr *)&in6, &whole);
			if (r < 0 || !len || *len < whole)
				return r < 0 ? r : -EINVAL;
			return put_octets(&in6, whole, val, len);
		}
		case SO_BINDTODEVICE:
		case SO_BINDTOIFINDEX:
			return get_device(fd, t, name == SO_BINDTOIFINDEX, val, len);
		case SO_MAX_PACING_RATE: {
			uint64_t rate = (uint32_t)stored(fd, t, EXTRA_PACING, -1);

			if (len && *len >= sizeof(rate)) {
				rate = rate == UINT32_MAX ? UINT64_MAX : rate;
				return put_octets(&rate, sizeof(rate), val, len);
			}
			return put_int((int32_t)rate, false, val, len);
		}
		}
	if (level == IPPROTO_TCP)
		switch (name) {
		case TCP_MAXSEG:
			return get_maxseg(fd, t, val, len);
		case TCP_DEFER_ACCEPT:
			return put_int(stored(fd, t, EXTRA_DEFER_ACCEPT, 0), false, val, len);
		case TCP_LINGER2:
			return put_int(stored(fd, t, EXTRA_LINGER2, FIN_TIMEOUT_S), false, val, len);
		case TCP_INFO:
			return get_info(t, val, len);
		case TCP_CONGESTION:
			return get_congestion(fd, t, val, len);
		}
	if (level == IPPROTO_IP)
		switch (name) {
		case IP_TOS:
			return put_int(stored(fd, t, EXTRA_TOS, 0), true, val, len);
		case IP_TTL:
			return put_int(stored(fd, t, EXTRA_TTL, 64), true, val, len);
		case IP_OPTIONS:
			return put_octets("", 0, val, len);
		case IP_LOCAL_PORT_RANGE:
			return put_int(stored(fd, t, EXTRA_PORT_RANGE, 0), false, val, len);
		case IP_MTU:
			return is_connected(t) ? put_int(MTU_LOOPBACK, true, val, len) : -ENOTCONN;
		}
	if (level == IPPROTO_IPV6 && name == IPV6_TCLASS)
		return put_int(stored(fd, t, EXTRA_V6_TCLASS, 0), false, val, len);
	if (level == IPPROTO_IPV6 && name == IPV6_MTU)
		return is_connected(t) ? put_int(MTU_LOOPBACK + 1, false, val, len) : -ENOTCONN;
	return -ENOPROTOOPT;
}

static int set_special(int fd, struct tag *t, int level, int name, const void *val, socklen_t len)
{
	int32_t v;
	int r;

	if (level == SOL_SOCKET)
		switch (name) {
		case SO_SNDBUF:
		case SO_RCVBUF:
		case SO_SNDBUFFORCE:
		case SO_RCVBUFFORCE:
			return set_buffer(fd, t, name, val, len);
		case SO_BINDTODEVICE:
		case SO_BINDTOIFINDEX:
			return set_device(fd, t, name == SO_BINDTOIFINDEX, val, len);
		case SO_MAX_PACING_RATE:
			r = take_int(val, len, false, &v);
			return r < 0 ? r : store(fd, t, EXTRA_PACING, v);
		}
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return set_congestion(fd, t, val, len);
	if (level == IPPROTO_IP && name == IP_OPTIONS)
		return len == 0 ? 0 : -EINVAL;
	r = take_int(val, len, level == IPPROTO_IP, &v);
	if (r < 0)
		return r;
	if (level == IPPROTO_TCP && name == TCP_MAXSEG)
		return v && (v < 88 || v > 32767) ? -EINVAL : store(fd, t, EXTRA_MAXSEG, v);
	if (level == IPPROTO_TCP && name == TCP_DEFER_ACCEPT)
		return store(fd, t, EXTRA_DEFER_ACCEPT, whole_retransmissions_s(v));
	if (level == IPPROTO_TCP && name == TCP_LINGER2) {
		v = v == 0 ? FIN_TIMEOUT_S : v > FIN_TIMEOUT_MAX_S ? FIN_TIMEOUT_MAX_S : v < 0 ? -1 : v;
		return store(fd, t, EXTRA_LINGER2, v);
	}
	if (level == IPPROTO_IP && name == IP_TOS) /* the last two bits are congestion control's own */
		return store(fd, t, EXTRA_TOS, v & 0xff & ~ECN_BITS);
	if (level == IPPROTO_IPV6 && name == IPV6_TCLASS)
		return v < -1 || v > 255 ? -EINVAL : store(fd, t, EXTRA_V6_TCLASS, v == -1 ? 0 : v & ~ECN_BITS);
	if (level == IPPROTO_IP && name == IP_TTL)
		return !len || (v != -1 && (v < 1 || v > 255)) ? -EINVAL : store(fd, t, EXTRA_TTL, v == -1 ? 64 : v);
	if (level == IPPROTO_IP && name == IP_LOCAL_PORT_RANGE) {
		uint16_t lo = (uint16_t)v, hi = (uint16_t)((uint32_t)v >> 16);

		return lo && hi && lo > hi ? -EINVAL : store(fd, t, EXTRA_PORT_RANGE, v);
	}
	return -ENOPROTOOPT;
}

/* --- flags on the socket --- */

static int set_flag(struct shim *s, int fd, struct tag *t, const struct option *o, const void *val, socklen_t len)
{
	struct port_claim c;
	struct port_ref ref;
	int32_t v;
	int r = take_int(val, len, o->byte, &v);

	if (r == 0 && o->arg == TAG_FREEBIND && !len)
		r = -EINVAL; /* where its neighbours take "nothing" for 0 */
	if (r < 0)
		return r;
	if (o->arg == TAG_V6ONLY && (t->state != SOCK_NEW || t->slot & LATE_CODE))
		return -EINVAL;
	t->flags = (uint16_t)(v ? t->flags | o->arg : t->flags & ~o->arg);
	tag_set(fd, t);
	if (o->arg & (TAG_REUSEADDR | TAG_REUSEPORT) && sock_claim(s, fd, t, &ref, &c) == 0) {
		uint16_t bit = o->arg == TAG_REUSEADDR ? PORT_REUSEADDR : PORT_REUSEPORT;

		r = network_set_flags(&s->net, t->host, ref, bit, v ? bit : 0);
		(void)r; /* the claim is gone: nobody is left to share with */
	}
	return 0;
}

static int sock_getsockopt(struct shim *s, int fd, struct tag *t, int level, int name, void *val, socklen_t *len)
{
	const struct option *o = find(t, level, name);
	int32_t v;

	if (!o)
		return t->family == PORT_FAMILY_6 || level == IPPROTO_TCP || level == IPPROTO_IP ? -ENOPROTOOPT
												 : -EOPNOTSUPP;
	switch (o->what) {
	case TAG:
		return put_int((t->flags & o->arg) != 0, o->byte, val, len);
	case STORE:
		v = stored(fd, t, (enum extra)o->arg, o->dflt);
		return put_int(v == -1 && o->min == -1 ? o->dflt : v, o->byte, val, len);
	case NATIVE:
		return sys_getsockopt(fd, level, name, val, len);
	case SPECIAL:
		return get_special(s, fd, t, level, name, val, len);
	case REFUSE:
		return -o->arg;
	}
	return -ENOPROTOOPT;
}

static int sock_setsockopt(struct shim *s, int fd, struct tag *t, int level, int name, const void *val, socklen_t len)
{
	const struct option *o = find(t, level, name);
	int32_t v;
	int r;

	if (level == IPPROTO_TCP && name != TCP_CONGESTION && len < sizeof(v))
		return -EINVAL;
	if (!o)
		return -ENOPROTOOPT;
	switch (o->what) {
	case TAG:
		return set_flag(s, fd, t, o, val, len);
	case STORE:
		r = take_int(val, len, o->byte, &v);
		if (r < 0)
			return r;
		if (o->min == 0 && o->max == 0)
			v = v != 0;
		else if (v < o->min || v > o->max)
			return -EINVAL;
		return store(fd, t, (enum extra)o->arg, v);
	case NATIVE:
		r = sys_setsockopt(fd, level, name, val, len);
		if (r == 0 && !(t->flags & TAG_INHERIT)) {
			t->flags |= TAG_INHERIT;
			tag_set(fd, t);
		}
		return r;
	case SPECIAL:
		return set_special(fd, t, level, name, val, len);
	case REFUSE:
		return -o->arg;
	}
	return -ENOPROTOOPT;
}

EXPORT(int, getsockopt, (int fd, int level, int name, void *val, socklen_t *len))
{
	struct shim *s = shim_get();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0)
		return shim_next()->getsockopt(fd, level, name, val, len);
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);
		int r = udp_getsockopt(&u, level, name, val, len);

		if (r != UDP_NOT_HERE)
			return shim_ret(r);
	}
	return shim_ret(sock_getsockopt(s, fd, &t, level, name, val, len));
}

EXPORT(int, setsockopt, (int fd, int level, int name, const void *val, socklen_t len))
{
	struct shim *s = shim_get();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0)
		return shim_next()->setsockopt(fd, level, name, val, len);
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);
		int r = udp_setsockopt(&u, level, name, val, len);

		if (r != UDP_NOT_HERE)
			return shim_ret(r);
		r = sock_setsockopt(s, fd, &t, level, name, val, len);
		if (t.flags & TAG_CLAIM) /* SO_REUSEPORT makes and unmakes groups */
			network_udp_changed(&s->net, t.host);
		return shim_ret(r);
	}
	return shim_ret(sock_setsockopt(s, fd, &t, level, name, val, len));
}
