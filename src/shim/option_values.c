/* src/shim/option_values.c: the options whose value is more than a number that was set.
 *
 * What the socket is (SO_DOMAIN, SO_ERROR, TCP_INFO), what has an effect on something else (buffers, devices, the
 * range ports are chosen from), what the kernel keeps in another unit than it was given in, and, at the end,
 * where the answer hangs on whether the socket is connected.
 */
#include <linux/capability.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>

#include "shim/gone.h"
#include "shim/options.h"

#define SNDBUF_DEFAULT 16384
#define RCVBUF_DEFAULT 131072
#define BUF_DEFAULT_UDP 212992
#define SNDBUF_ESTABLISHED 2626560 /* what loopback autotuning starts with */
#define MSS_UNCONNECTED 536
#define MSS_CLIENT4 32741
#define MSS_CLIENT6 32732
#define MSS_SERVER 32768    /* until there was data */
#define TIMESTAMP_OCTETS 12 /* that each segment loses to the option */
#define ECN_BITS 3
#define FIN_TIMEOUT_S 60
#define FIN_TIMEOUT_MAX_S 120
#define RTO_MAX_S 120
#define MTU_LOOPBACK 65535
#define IPV6_MIN_MTU_ 1280
#define INFO_OCTETS_MAX 512
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#define SO_BUF_LOCK_ 72
#define SO_TIMESTAMPING_NEW_ 65
#define TIMESTAMPING_OPT_ID (1 << 7)
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#define IP_PROTOCOL_ 52

static bool has_capability(unsigned cap)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return sys_call(SYS_capget, (long)&head, (long)data, 0, 0, 0) == 0 && data[0].effective & (1u << cap);
}

static int get_error(struct shim *s, int fd, struct tag *t, void *val, socklen_t *len)
{
	int32_t v = 0;
	socklen_t v_len = sizeof(v);

	if (t->state == SOCK_REFUSED) {
		v = ECONNREFUSED;
		t->state = SOCK_ABORTED;
		tag_set(fd, t);
	} else if (sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &v_len) < 0) {
		return -EBADF;
	} else if (v == ECONNRESET) {
		gone_reset(fd);
	} else if (v == 0) {
		v = gone_error(s, fd, t);
	}
	return option_put_int(v, false, val, len);
}

/* State numbers are the kernel's enum in include/net/tcp_states.h, which linux/tcp.h has not. */
static int get_info(int fd, const struct tag *t, void *val, socklen_t *len)
{
	enum { ESTABLISHED = 1, FIN_WAIT2 = 5, CLOSE = 7, CLOSE_WAIT = 8, LISTEN = 10 };
	union {
		struct tcp_info info;
		uint8_t octets[INFO_OCTETS_MAX];
	} u = {.octets = {0}};
	socklen_t whole = sizeof(u);

	/* How long it is, and what an unconnected one says, the kernel knows. */
	if (sock_ask_get(fd, t, 0, IPPROTO_TCP, TCP_INFO, &u, &whole) < 0) {
		memset(&u, 0, sizeof(u));
		whole = sizeof(u.info);
	}
	u.info.tcpi_state = CLOSE;
	if (t->state == SOCK_LISTENING) {
		u.info.tcpi_state = LISTEN;
	} else if (is_connected(t)) {
		struct pollfd p = {.fd = fd, .events = POLLRDHUP};
		struct timespec now = {0, 0};
		bool shut = t->flags & TAG_SHUT_WR, peer_shut;

		(void)sys_call(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0);
		peer_shut = p.revents & (POLLRDHUP | POLLHUP);
		u.info.tcpi_state = shut ? (peer_shut ? CLOSE : FIN_WAIT2) : peer_shut ? CLOSE_WAIT : ESTABLISHED;
		u.info.tcpi_snd_mss = u.info.tcpi_rcv_mss = t->family == PORT_FAMILY_6 ? MSS_CLIENT6 : MSS_CLIENT4;
		u.info.tcpi_advmss = u.info.tcpi_snd_mss;
		u.info.tcpi_pmtu = MTU_LOOPBACK;
		u.info.tcpi_rtt = 20; /* microseconds: about what a loopback measures */
		u.info.tcpi_rttvar = 10;
		u.info.tcpi_rto = 200000;
		u.info.tcpi_ato = 40000;
		u.info.tcpi_snd_cwnd = 10;
		u.info.tcpi_rcv_space = 65495;
		u.info.tcpi_options = 7; /* timestamps, SACK, window scaling */
		u.info.tcpi_snd_wscale = u.info.tcpi_rcv_wscale = 7;
	}
	return option_put(&u, whole, val, len);
}

/* --- devices: the host's two (iface.c) --- */
static int get_device(int fd, const struct tag *t, bool by_index, void *val, socklen_t *len)
{
	int32_t index = option_stored(fd, t, EXTRA_DEV, 0);
	const char *name = iface_name((unsigned)index);

	if (by_index)
		return option_put_int(index, false, val, len);
	if (!index)
		return option_put("", 0, val, len);
	if (*len < IFNAMSIZ)
		return -EINVAL;
	return name ? option_put(name, strlen(name) + 1, val, len) : -ENODEV;
}

static int set_device(int fd, struct tag *t, bool by_index, const void *val, socklen_t len)
{
	int32_t had = option_stored(fd, t, EXTRA_DEV, 0), index = 0;
	char name[IFNAMSIZ] = "";

	if (by_index) {
		int r = option_take_int(val, len, false, &index);

		if (r < 0)
			return r;
	} else {
		if (len && bad_pointer(val))
			return -EFAULT;
		memcpy(name, val ? val : "", len < IFNAMSIZ - 1 ? len : IFNAMSIZ - 1);
		index = (int32_t)iface_number(name);
		if (name[0] && !index)
			return -ENODEV;
	}
	if (had && !has_capability(CAP_NET_RAW))
		return -EPERM;
	if (index && !iface_name((unsigned)index))
		return -EINVAL;
	return option_store_int(fd, t, EXTRA_DEV, index);
}

/* --- buffers --- */
/* The size the program asked for is clamped and doubled by the kernel on the real socket,
 * read back, remembered. The send side then gets that and what a peer's buffer would take (sock_grow()). */
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
	r = option_store_int(fd, t, snd ? EXTRA_SNDBUF : EXTRA_RCVBUF, v);
	if (snd)
		sock_grow(fd, t);
	return r;
}

static int32_t buffer_lock(int fd, const struct tag *t)
{
	int32_t by_size =
		(option_is_stored(fd, t, EXTRA_SNDBUF) ? 1 : 0) | (option_is_stored(fd, t, EXTRA_RCVBUF) ? 2 : 0);

	return option_stored(fd, t, EXTRA_BUF_LOCK, by_size);
}

static int32_t buffer_default(const struct tag *t, bool snd)
{
	if (t->flags & TAG_UDP)
		return BUF_DEFAULT_UDP;
	if (snd)
		return is_connected(t) ? SNDBUF_ESTABLISHED : SNDBUF_DEFAULT;
	return RCVBUF_DEFAULT;
}

/* SO_MAX_PACING_RATE, where the tag is: 64 bits when there is room for them, all ones for none. */
static int get_pacing(int fd, const struct tag *t, void *val, socklen_t *len)
{
	uint8_t v[EXTRA_OCTETS_MAX];
	uint64_t rate = UINT64_MAX;
	size_t v_len;

	if (t->flags & TAG_EXTRA && extra_get_octets(sock_cookie(fd), EXTRA_PACING, v, &v_len) && v_len == sizeof(rate))
		memcpy(&rate, v, sizeof(rate));
	if (*len >= sizeof(rate))
		return option_put(&rate, sizeof(rate), val, len);
	return option_put_int(rate > UINT32_MAX ? -1 : (int32_t)rate, false, val, len);
}

static int set_pacing(int fd, struct tag *t, const void *val, socklen_t len)
{
	uint64_t rate;
	int32_t v;

	if (len >= sizeof(rate)) {
		memcpy(&rate, val, sizeof(rate));
	} else {
		memcpy(&v, val, sizeof(v));
		rate = v == -1 ? UINT64_MAX : (uint32_t)v;
	}
	option_store(fd, t, EXTRA_PACING, &rate, sizeof(rate));
	return 0;
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
	int32_t v = option_stored(fd, t, EXTRA_MAXSEG, 0), whole;

	whole = t->state == SOCK_ACCEPTED ? MSS_SERVER : t->family == PORT_FAMILY_6 ? MSS_CLIENT6 : MSS_CLIENT4;
	if (is_connected(t))
		v = v && v - TIMESTAMP_OCTETS < whole ? v - TIMESTAMP_OCTETS : whole;
	else if (!v)
		v = MSS_UNCONNECTED;
	return option_put_int(v, false, val, len);
}

static int get_peername(struct shim *s, int fd, const struct tag *t, void *val, socklen_t *len)
{
	struct sockaddr_in6 in6 = {0};
	struct port_addr a;
	uint16_t port;
	socklen_t whole = sizeof(in6);
	int r = sock_name(s, fd, t, true, &a, &port);

	if (r == 0)
		r = addr_write(t->family, &a, port, (struct sockaddr *)&in6, &whole);
	if (r < 0 || *len > whole)
		return r < 0 ? r : -EINVAL;
	return option_put(&in6, *len, val, len);
}

static int get_socket_level(struct shim *s, int fd, struct tag *t, int name, void *val, socklen_t *len)
{
	static const struct ucred nobody = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};

	switch (name) {
	case SO_DOMAIN:
		return option_put_int(t->family == PORT_FAMILY_6 ? AF_INET6 : AF_INET, false, val, len);
	case SO_PROTOCOL:
		return option_put_int(t->flags & TAG_UDP ? IPPROTO_UDP : IPPROTO_TCP, false, val, len);
	case SO_SNDBUF:
		return option_put_int(option_stored(fd, t, EXTRA_SNDBUF, buffer_default(t, true)), false, val, len);
	case SO_RCVBUF:
		return option_put_int(option_stored(fd, t, EXTRA_RCVBUF, buffer_default(t, false)), false, val, len);
	case SO_ERROR:
		return get_error(s, fd, t, val, len);
	case SO_ACCEPTCONN:
		return option_put_int(t->state == SOCK_LISTENING, false, val, len);
	case SO_PEERCRED:
		return option_put(&nobody, sizeof(nobody), val, len);
	case SO_PEERNAME:
		return get_peername(s, fd, t, val, len);
	case SO_BINDTODEVICE:
	case SO_BINDTOIFINDEX:
		return get_device(fd, t, name == SO_BINDTOIFINDEX, val, len);
	case SO_MAX_PACING_RATE:
		return get_pacing(fd, t, val, len);
	case SO_BUF_LOCK_:
		return option_put_int(buffer_lock(fd, t), false, val, len);
	}
	return -ENOPROTOOPT;
}

int option_get_special(struct shim *s, int fd, struct tag *t, int level, int name, void *val, socklen_t *len)
{
	struct port_addr a;
	uint16_t port = 0;

	if (level == SOL_SOCKET)
		return get_socket_level(s, fd, t, name, val, len);
	if (level == IPPROTO_TCP)
		switch (name) {
		case TCP_MAXSEG:
			return get_maxseg(fd, t, val, len);
		case TCP_DEFER_ACCEPT:
			return option_put_int(option_stored(fd, t, EXTRA_DEFER_ACCEPT, 0), false, val, len);
		case TCP_LINGER2:
			return option_put_int(option_stored(fd, t, EXTRA_LINGER2, FIN_TIMEOUT_S), false, val, len);
		case TCP_INFO:
			return get_info(fd, t, val, len);
		}
	if (level == IPPROTO_IP)
		switch (name) {
		case IP_TOS:
			return option_put_int(option_stored(fd, t, EXTRA_TOS, 0), true, val, len);
		case IP_TTL:
			return option_put_int(option_stored(fd, t, EXTRA_TTL, 64), true, val, len);
		case IP_LOCAL_PORT_RANGE:
			return option_put_int(option_stored(fd, t, EXTRA_PORT_RANGE, 0), true, val, len);
		case IP_PROTOCOL_: /* of a raw socket; the kernel has the port at that place */
			if (sock_name(s, fd, t, false, &a, &port) < 0 || !(t->flags & TAG_CLAIM || is_connected(t)))
				port = 0;
			return option_put_int(port, true, val, len);
		}
	if (level == IPPROTO_IPV6 && name == IPV6_TCLASS)
		return option_put_int(option_stored(fd, t, EXTRA_V6_TCLASS, 0), false, val, len);
	return -ENOPROTOOPT;
}

static int set_ip_level(int fd, struct tag *t, int name, int32_t v, socklen_t len)
{
	uint16_t lo = (uint16_t)v, hi = (uint16_t)((uint32_t)v >> 16);
	uint8_t ecn = t->flags & TAG_UDP ? 0 : ECN_BITS; /* TCP's own */

	switch (name) {
	case IP_TOS:
		v &= 0xff & ~ecn;
		v |= option_stored(fd, t, EXTRA_TOS, 0) & ecn;
		return option_store_int(fd, t, EXTRA_TOS, v);
	case IP_TTL:
		return !len || (v != -1 && (v < 1 || v > 255)) ? -EINVAL
							       : option_store_int(fd, t, EXTRA_TTL, v == -1 ? 64 : v);
	case IP_LOCAL_PORT_RANGE:
		if (len != sizeof(v) || (lo && hi && lo > hi))
			return -EINVAL;
		return option_store_int(fd, t, EXTRA_PORT_RANGE, v);
	}
	return -ENOPROTOOPT;
}

int option_set_special(int fd, struct tag *t, int level, int name, const void *val, socklen_t len)
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
			return set_pacing(fd, t, val, len);
		case SO_BUF_LOCK_:
			memcpy(&v, val, sizeof(v));
			return v & ~3 ? -EINVAL : option_store_int(fd, t, EXTRA_BUF_LOCK, v);
		default:
			return -ENOPROTOOPT;
		}
	if (level == IPPROTO_IP && name == IP_PROTOCOL_)
		return -ENOPROTOOPT;
	r = option_take_int(val, len, level == IPPROTO_IP, &v);
	if (r < 0)
		return r;
	if (level == IPPROTO_IP)
		return set_ip_level(fd, t, name, v, len);
	if (level == IPPROTO_TCP)
		switch (name) {
		case TCP_MAXSEG:
			if (v && (v < 88 || v > 32767))
				return -EINVAL;
			/* Both ends have agreed on one when they are connected. */
			return is_connected(t) ? 0 : option_store_int(fd, t, EXTRA_MAXSEG, v);
		case TCP_DEFER_ACCEPT:
			return option_store_int(fd, t, EXTRA_DEFER_ACCEPT, whole_retransmissions_s(v));
		case TCP_LINGER2:
			v = v == 0 ? FIN_TIMEOUT_S : v > FIN_TIMEOUT_MAX_S ? FIN_TIMEOUT_MAX_S : v < 0 ? -1 : v;
			return option_store_int(fd, t, EXTRA_LINGER2, v);
		}
	if (level == IPPROTO_IPV6 && name == IPV6_TCLASS)
		return v < -1 || v > 255 ? -EINVAL
					 : option_store_int(fd, t, EXTRA_V6_TCLASS, v == -1 ? 0 : v & ~ECN_BITS);
	return -ENOPROTOOPT;
}

/* --- what hangs on the socket's state --- */
static int get_pathmtu(void *val, socklen_t *len)
{
	struct ip6_mtuinfo m = {.ip6m_mtu = MTU_LOOPBACK + 1};

	return option_put(&m, sizeof(m), val, len);
}

bool option_get_by_state(int fd, const struct tag *t, int level, int name, void *val, socklen_t *len, int *ret)
{
	bool accepted = t->state == SOCK_ACCEPTED, v6 = t->family == PORT_FAMILY_6;
	int32_t v = -1;

	if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE && t->state == SOCK_LISTENING) {
		*len = 64; /* as much of it as this kernel knows */
		*ret = -ENOTCONN;
		return true;
	}
	if (!is_connected(t))
		return false;
	if (level == IPPROTO_IP && name == IP_MTU)
		v = v6 ? MTU_LOOPBACK + 1 : MTU_LOOPBACK;
	else if (level == IPPROTO_IP && name == IP_MULTICAST_TTL && accepted && !v6)
		v = 64; /* of the segment that opened the connection */
	else if (level == IPPROTO_IPV6 && name == IPV6_MTU && v6)
		v = MTU_LOOPBACK + 1;
	else if (level == IPPROTO_IPV6 && name == IPV6_ADDRFORM && v6)
		v = AF_INET6;
	else if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_HOPS && v6 && accepted)
		v = 64;
	else if (level == IPPROTO_IPV6 && name == IPV6_MULTICAST_IF && v6 && accepted)
		v = 1; /* where it came in */
	else if (level == IPPROTO_TCP && name == TCP_WINDOW_CLAMP && !(t->flags & TAG_UDP))
		v = 65536;
	if (level == IPPROTO_IPV6 && name == IPV6_PATHMTU && v6) {
		*ret = get_pathmtu(val, len);
		return true;
	}
	if (v < 0)
		return false;
	if (name != IP_MTU && name != IPV6_MTU && level != IPPROTO_TCP &&
	    option_is_stored(fd, t, EXTRA_KEY(level == IPPROTO_IP ? EXTRA_IP : EXTRA_IPV6, name)))
		return false;
	if (level == IPPROTO_TCP && option_is_stored(fd, t, EXTRA_WINDOW_CLAMP))
		return false;
	*ret = option_put_int(v, level == IPPROTO_IP, val, len);
	return true;
}

int option_set_by_state(const struct tag *t, int level, int name, const void *val, socklen_t len)
{
	bool connected = is_connected(t), fresh = t->state == SOCK_NEW || t->state == SOCK_BOUND;
	int32_t v = 0;

	if (len < sizeof(v) || bad_pointer(val))
		return 0;
	if (level == SOL_SOCKET && !(t->flags & TAG_UDP) && (name == SO_TIMESTAMPING || name == SO_TIMESTAMPING_NEW_)) {
		memcpy(&v, val, sizeof(v));
		return v & TIMESTAMPING_OPT_ID && !connected ? -EINVAL : 0;
	}
	memcpy(&v, val, sizeof(v));
	if (level == IPPROTO_IPV6 && connected && t->family == PORT_FAMILY_6) {
		if (name == IPV6_ADDRFORM && v == AF_INET)
			return -EADDRNOTAVAIL;
		if (name == IPV6_MTU && (!v || v >= IPV6_MIN_MTU_))
			return OPTION_DONE;
	}
	if (level != IPPROTO_TCP || t->flags & TAG_UDP)
		return 0;
	switch (name) {
	case TCP_WINDOW_CLAMP:
		return !v && !fresh ? -EINVAL : 0;
	case TCP_FASTOPEN:
	case TCP_FASTOPEN_NO_COOKIE:
		return connected ? -EINVAL : 0;
	case TCP_QUEUE_SEQ:
		return fresh ? 0 : -EPERM;
	case TCP_FASTOPEN_CONNECT:
		return fresh ? 0 : -EINVAL;
	}
	return 0;
}
