/* src/shim/options.c: getsockopt and setsockopt of an IP socket that is none.
 *
 * One table says what becomes of an option:
 *
 *     TAG      one bit, kept on the socket itself
 *     STORE    a number within bounds, kept by extra.c: the options that programs set on each connection
 *     NATIVE   AF_UNIX has it with the same meaning (SO_KEEPALIVE, SO_LINGER, the timeouts)
 *     ASK      the kernel's own TCP or UDP judges it (ask.c), extra.c keeps it
 *     BOTH     NATIVE for its effect, ASK for its answers
 *     NEVER    ASK, but what the kernel would grant is refused: we could not do it
 *     SPECIAL  a function in option_values.c
 *     REFUSE   what the kernel answers, an errno for getsockopt and one for setsockopt
 *
 * What is not in the table is NATIVE at SOL_SOCKET and ASK at every other level; so an option that nobody has
 * heard of here is right on the kernel that has it. Joining a multicast group is never asked: it would tell
 * the machine's network.
 *
 * tests/shim/options.c tries every number of every level on the kernel and here; docs/sockets.md says what each
 * option does.
 */
#include <linux/tcp.h>
#include <string.h>

#include "shim/gone.h"
#include "shim/options.h"
#include "shim/udp.h"

enum what { TAG, STORE, NATIVE, ASK, BOTH, NEVER, SPECIAL, REFUSE };

struct option {
	int level, name;
	enum what what;
	int arg;	  /* TAG: the bit; NEVER, REFUSE: errno */
	int32_t dflt;	  /* REFUSE: the errno of setsockopt */
	int32_t min, max; /* STORE: else -EINVAL; both 0: any truth value, kept as 0 or 1 */
	bool byte;	  /* IP level: fewer than four octets are read as one (none: 0), and written as one */
};

/* Linux has them since 6.x; this libc's headers may not. */
enum {
	SO_BUF_LOCK_ = 72,
	SO_TXREHASH_ = 74,
	SO_PASSPIDFD_ = 76,
	SO_PEERPIDFD_ = 77,
	SO_DEVMEM_DONTNEED_ = 80,
	SO_PASSRIGHTS_ = 83,
	SO_INQ_ = 84,
	IPV6_FREEBIND_ = 78,
};
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#define IP_PROTOCOL_ 52

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
	{SOL_SOCKET, SO_BUF_LOCK_, SPECIAL},
	{SOL_SOCKET, SO_RCVLOWAT, BOTH},
	{SOL_SOCKET, SO_ATTACH_FILTER, NEVER, ENOPROTOOPT}, /* what it would look at, headers, is not there */
	{SOL_SOCKET, SO_ATTACH_BPF, NEVER, ENOPROTOOPT},
	{SOL_SOCKET, SO_TXREHASH_, ASK},
	{SOL_SOCKET, SO_DEVMEM_DONTNEED_, ASK},
	{SOL_SOCKET, SO_PEERSEC, REFUSE, ENOPROTOOPT, ENOPROTOOPT},
	{SOL_SOCKET, SO_PEERGROUPS, REFUSE, ENODATA, ENOPROTOOPT},
	{SOL_SOCKET, SO_PEERPIDFD_, REFUSE, ENODATA, ENOPROTOOPT},
	{SOL_SOCKET, SO_PASSCRED, REFUSE, EOPNOTSUPP, EOPNOTSUPP},
	{SOL_SOCKET, SO_PASSSEC, REFUSE, EOPNOTSUPP, EOPNOTSUPP},
	{SOL_SOCKET, SO_PASSPIDFD_, REFUSE, EOPNOTSUPP, EOPNOTSUPP},
	{SOL_SOCKET, SO_PASSRIGHTS_, REFUSE, EOPNOTSUPP, EOPNOTSUPP},
	{SOL_SOCKET, SO_INQ_, REFUSE, ENOPROTOOPT, ENOPROTOOPT}, /* AF_UNIX's own */
	/* as before Linux 4.14: nothing would ever complete */
	{SOL_SOCKET, SO_ZEROCOPY, REFUSE, ENOPROTOOPT, ENOPROTOOPT},
	{SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, NEVER, ENOPROTOOPT},
	{SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, NEVER, ENOPROTOOPT},

	{IPPROTO_TCP, TCP_NODELAY, TAG, TAG_NODELAY},
	{IPPROTO_TCP, TCP_CORK, TAG, TAG_CORK},
	{IPPROTO_TCP, TCP_MAXSEG, SPECIAL},
	{IPPROTO_TCP, TCP_INFO, SPECIAL},
	{IPPROTO_TCP, TCP_KEEPIDLE, STORE, 0, 7200, 1, 32767},
	{IPPROTO_TCP, TCP_KEEPINTVL, STORE, 0, 75, 1, 32767},
	{IPPROTO_TCP, TCP_KEEPCNT, STORE, 0, 9, 1, 127},
	{IPPROTO_TCP, TCP_SYNCNT, STORE, 0, 6, 1, 127},
	{IPPROTO_TCP, TCP_LINGER2, SPECIAL},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, SPECIAL},
	{IPPROTO_TCP, TCP_QUICKACK, STORE, 0, 1, 0, 0},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, STORE, 0, 0, 0, INT32_MAX},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, STORE, 0, 0, INT32_MIN, INT32_MAX},
	{IPPROTO_TCP, TCP_REPAIR, NEVER, EPERM},
	{IPPROTO_TCP, TCP_REPAIR_QUEUE, NEVER, EPERM},
	{IPPROTO_TCP, TCP_QUEUE_SEQ, NEVER, EPERM},
	{IPPROTO_TCP, TCP_REPAIR_OPTIONS, NEVER, EPERM},
	{IPPROTO_TCP, TCP_REPAIR_WINDOW, NEVER, EPERM},
	{IPPROTO_TCP, TCP_MD5SIG, NEVER, ENOPROTOOPT}, /* nobody here would check a signature */
	{IPPROTO_TCP, TCP_MD5SIG_EXT, NEVER, ENOPROTOOPT},
	{IPPROTO_TCP, 38 /* TCP_AO_ADD_KEY */, NEVER, ENOPROTOOPT},
	{IPPROTO_TCP, 39 /* TCP_AO_DEL_KEY */, NEVER, ENOPROTOOPT},
	{IPPROTO_TCP, 40 /* TCP_AO_INFO */, NEVER, ENOPROTOOPT},
	{IPPROTO_TCP, 42 /* TCP_AO_REPAIR */, NEVER, ENOPROTOOPT},
	{IPPROTO_TCP, TCP_ULP, NEVER, ENOENT}, /* the kernel's TLS wants the kernel's TCP: programs do their own */

	{IPPROTO_UDP, 100 /* UDP_ENCAP */, NEVER, ENOPROTOOPT}, /* for the kernel's IPsec */

	{IPPROTO_IP, IP_TOS, SPECIAL},
	{IPPROTO_IP, IP_TTL, SPECIAL},
	{IPPROTO_IP, IP_LOCAL_PORT_RANGE, SPECIAL},
	{IPPROTO_IP, IP_PROTOCOL_, SPECIAL},
	{IPPROTO_IP, IP_FREEBIND, TAG, TAG_FREEBIND, .byte = true},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, TAG, TAG_NOPORT, .byte = true},

	{IPPROTO_IPV6, IPV6_V6ONLY, TAG, TAG_V6ONLY},
	{IPPROTO_IPV6, IPV6_TCLASS, SPECIAL},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, STORE, 0, 64, -1, 255},
	{IPPROTO_IPV6, IPV6_FREEBIND_, TAG, TAG_FREEBIND},
};

static const struct option native = {.what = NATIVE}, ask = {.what = ASK};

static const struct option *find(const struct tag *t, int level, int name)
{
	bool udp = t->flags & TAG_UDP;

	for (size_t i = 0; i < COUNT_OF(options); i++)
		if (options[i].level == level && options[i].name == name &&
		    !(level == IPPROTO_IPV6 && t->family != PORT_FAMILY_6) && !(level == IPPROTO_TCP && udp) &&
		    !(level == IPPROTO_UDP && !udp))
			return &options[i];
	return level == SOL_SOCKET ? &native : &ask;
}

/* --- octets in and out --- */
int option_put(const void *v, size_t v_len, void *val, socklen_t *len)
{
	size_t n;

	if (bad_pointer(len))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	n = *len < v_len ? *len : v_len;
	if (n && bad_pointer(val))
		return -EFAULT;
	if (n)
		memcpy(val, v, n);
	*len = (socklen_t)n;
	return 0;
}

int option_put_int(int32_t v, bool byte, void *val, socklen_t *len)
{
	if (byte && len && *len > 0 && *len < sizeof(v) && v >= 0 && v <= 255) {
		uint8_t b = (uint8_t)v;

		return option_put(&b, 1, val, len);
	}
	return option_put(&v, sizeof(v), val, len);
}

int option_take_int(const void *val, socklen_t len, bool byte, int32_t *ret)
{
	if (byte && len < sizeof(*ret)) {
		if (len && bad_pointer(val))
			return -EFAULT;
		*ret = len ? *(const uint8_t *)val : 0;
		return 0;
	}
	if (len < sizeof(*ret))
		return -EINVAL;
	if (bad_pointer(val))
		return -EFAULT;
	memcpy(ret, val, sizeof(*ret));
	return 0;
}

/* --- values in extra.c --- */
static int key_of(int level, int name)
{
	static const int levels[] = {[EXTRA_SOCKET] = SOL_SOCKET,
				     [EXTRA_IP] = IPPROTO_IP,
				     [EXTRA_IPV6] = IPPROTO_IPV6,
				     [EXTRA_TCP] = IPPROTO_TCP,
				     [EXTRA_UDP] = IPPROTO_UDP};

	for (int i = EXTRA_SOCKET; i <= EXTRA_UDP && name >= 0 && name <= 255; i++)
		if (levels[i] == level)
			return EXTRA_KEY(i, name);
	return 0;
}

bool option_is_stored(int fd, const struct tag *t, int key)
{
	int32_t v;

	return t->flags & TAG_EXTRA && extra_get(sock_cookie(fd), (enum extra)key, &v);
}

int32_t option_stored(int fd, const struct tag *t, int key, int32_t dflt)
{
	int32_t v = dflt;

	if (t->flags & TAG_EXTRA && !extra_get(sock_cookie(fd), (enum extra)key, &v))
		v = dflt;
	return v;
}

void option_store(int fd, struct tag *t, int key, const void *v, size_t v_len)
{
	struct extra_id id;

	extra_id_of(fd, &id);
	extra_put_octets(&id, key, v, v_len);
	if (!(t->flags & TAG_EXTRA)) {
		t->flags |= TAG_EXTRA;
		tag_set(fd, t);
	}
}

int option_store_int(int fd, struct tag *t, int key, int32_t v)
{
	option_store(fd, t, key, &v, sizeof(v));
	return 0;
}

/* Is it something a child does not have from its listener? */
static bool is_own(int key)
{
	switch (key) {
	case EXTRA_KEY(EXTRA_SOCKET, SO_PRIORITY):
	case EXTRA_KEY(EXTRA_TCP, TCP_DEFER_ACCEPT):
	case EXTRA_KEY(EXTRA_TCP, TCP_QUICKACK):
	case EXTRA_KEY(EXTRA_TCP, TCP_FASTOPEN):
	case EXTRA_KEY(EXTRA_IP, IP_OPTIONS):
		return true;
	}
	return false;
}

void sock_inherit(int from, int to, const struct tag *from_tag, bool all)
{
	uint8_t v[EXTRA_OCTETS_MAX];
	struct extra_id id;
	uint64_t cookie;
	unsigned at = 0;
	size_t len;
	int key;

	if (!(from_tag->flags & TAG_EXTRA))
		return;
	cookie = sock_cookie(from);
	extra_id_of(to, &id);
	while (extra_next(cookie, &at, &key)) {
		const struct option *o;

		if ((!all && is_own(key)) || !extra_get_octets(cookie, key, v, &len))
			continue;
		extra_put_octets(&id, key, v, len);
		o = key >> 8 == EXTRA_SOCKET ? find(from_tag, SOL_SOCKET, key & 0xff) : &ask;
		if (o->what == NATIVE || o->what == BOTH)
			(void)sys_setsockopt(to, SOL_SOCKET, key & 0xff, v, (socklen_t)len);
		if (key == EXTRA_SNDBUF)
			sock_grow(to, from_tag);
	}
}

/* Of an option that means something else to a socket of the kernel's, or only here. */
static bool is_ours_only(int key)
{
	switch (key) {
	case EXTRA_DEV:
	case EXTRA_PORT_RANGE:
	case EXTRA_BUF_LOCK:
	case EXTRA_TRANSPARENT:
	case EXTRA_V6_TRANSPARENT:
		return true;
	}
	return false;
}

void sock_inherit_published(int listener, int fd, const struct tag *t)
{
	static const int levels[] = {[EXTRA_SOCKET] = SOL_SOCKET,
				     [EXTRA_IP] = IPPROTO_IP,
				     [EXTRA_IPV6] = IPPROTO_IPV6,
				     [EXTRA_TCP] = IPPROTO_TCP};
	const int on = 1;
	uint8_t v[EXTRA_OCTETS_MAX];
	uint64_t cookie;
	unsigned at = 0;
	size_t len;
	int key;

	if (t->flags & TAG_NODELAY)
		(void)sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (t->flags & TAG_CORK)
		(void)sys_setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	if (!(t->flags & TAG_EXTRA))
		return;
	cookie = sock_cookie(listener);
	while (extra_next(cookie, &at, &key)) {
		int32_t half;

		if (is_own(key) || is_ours_only(key) || key >> 8 >= (int)COUNT_OF(levels) ||
		    !extra_get_octets(cookie, key, v, &len))
			continue;
		if ((key == EXTRA_SNDBUF || key == EXTRA_RCVBUF) && len == sizeof(half)) {
			memcpy(&half, v, sizeof(half)); /* kept as it is told; the kernel doubles what it is given */
			half /= 2;
			memcpy(v, &half, sizeof(half));
		}
		(void)sys_setsockopt(fd, levels[key >> 8], key & 0xff, v, (socklen_t)len);
	}
}

/* --- one option --- */
static int set_flag(struct shim *s, int fd, struct tag *t, const struct option *o, const void *val, socklen_t len)
{
	struct port_claim c;
	struct port_ref ref;
	int32_t v;
	int r = option_take_int(val, len, o->byte, &v);

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

/* Joining and leaving multicast groups: IP_ADD_MEMBERSHIP to MCAST_MSFILTER, and IPv6's. */
static bool is_membership(int level, int name)
{
	return (level == IPPROTO_IP && name >= IP_ADD_MEMBERSHIP && name <= IP_DROP_SOURCE_MEMBERSHIP) ||
	       ((level == IPPROTO_IP || level == IPPROTO_IPV6) && name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER) ||
	       (level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP ||
					  name == IPV6_JOIN_ANYCAST || name == IPV6_LEAVE_ANYCAST));
}

static int ask_and_keep(int fd, struct tag *t, const struct option *o, int level, int name, const void *val,
			socklen_t len)
{
	int key = key_of(level, name), r;

	if (t->flags & TAG_UDP && is_membership(level, name))
		return len < 8 ? -EINVAL : val ? 0 : -EFAULT;
	r = option_set_by_state(t, level, name, val, len);
	if (r == OPTION_DONE)
		return 0;
	if (r == 0)
		r = sock_ask_set(t, level, name, val, len);
	if (r < 0)
		return r;
	if (o->what == NEVER)
		return -o->arg;
	if (!val && level == IPPROTO_IPV6 && len >= sizeof(int32_t))
		return option_store_int(fd, t, key, 0);
	if (key && len <= EXTRA_OCTETS_MAX)
		option_store(fd, t, key, val ? val : "", val ? len : 0);
	return 0;
}

static int set_native(int fd, struct tag *t, int level, int name, const void *val, socklen_t len)
{
	int r = option_set_by_state(t, level, name, val, len);

	if (r == 0)
		r = sys_setsockopt(fd, level, name, val, len);
	/* what a child of this socket must have, should it become a listener */
	if (r == 0 && level == SOL_SOCKET && !is_connected(t) && len <= EXTRA_OCTETS_MAX && name >= 0 && name <= 255)
		option_store(fd, t, EXTRA_KEY(EXTRA_SOCKET, name), val, len);
	return r;
}

/* IPv6's is the one level that takes NULL for 0. */
static const void *or_zero(const struct tag *t, int level, const void *val, socklen_t *len)
{
	static const int32_t zero;

	if (val || level != IPPROTO_IPV6 || t->family != PORT_FAMILY_6 || *len < sizeof(zero))
		return val;
	*len = sizeof(zero);
	return &zero;
}

int sock_setsockopt(struct shim *s, int fd, struct tag *t, int level, int name, const void *val, socklen_t len)
{
	const struct option *o = find(t, level, name);
	int32_t v;
	int r;

	if ((int)len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET && o->what != NATIVE && name != SO_BINDTODEVICE) {
		r = option_take_int(val, len, false, &v);
		if (r < 0)
			return r;
	}
	if (o->what != ASK)
		val = or_zero(t, level, val, &len);
	switch (o->what) {
	case TAG:
		return set_flag(s, fd, t, o, val, len);
	case STORE:
		r = option_take_int(val, len, o->byte, &v);
		if (r < 0)
			return r;
		if (o->min == 0 && o->max == 0)
			v = v != 0;
		else if (v < o->min || v > o->max)
			return -EINVAL;
		return option_store_int(fd, t, key_of(level, name), v == -1 && o->min == -1 ? o->dflt : v);
	case NATIVE:
		r = set_native(fd, t, level, name, val, len);
		if (r == 0 && level == SOL_SOCKET && name == SO_LINGER)
			gone_linger(s, fd, t);
		return r;
	case BOTH:
	case ASK:
	case NEVER:
		r = ask_and_keep(fd, t, o, level, name, val, len);
		if (r == 0 && o->what == BOTH)
			(void)sys_setsockopt(fd, level, name, val, len);
		return r;
	case SPECIAL:
		return option_set_special(fd, t, level, name, val, len);
	case REFUSE:
		return -o->dflt;
	}
	return -ENOPROTOOPT;
}

int sock_getsockopt(struct shim *s, int fd, struct tag *t, int level, int name, void *val, socklen_t *len)
{
	const struct option *o = find(t, level, name);
	int r;

	if (bad_pointer(len))
		return -EFAULT;
	if ((int)*len < 0 && level == IPPROTO_IPV6 && o->what != ASK)
		*len = sizeof(int32_t); /* the one level that takes it for a large number */
	if ((int)*len < 0 && o->what != ASK)
		return -EINVAL;
	if (option_get_by_state(fd, t, level, name, val, len, &r))
		return r;
	switch (o->what) {
	case TAG:
		return option_put_int((t->flags & o->arg) != 0, o->byte, val, len);
	case STORE:
		return option_put_int(option_stored(fd, t, key_of(level, name), o->dflt), o->byte, val, len);
	case NATIVE:
		return sys_getsockopt(fd, level, name, val, len);
	case BOTH:
	case ASK:
	case NEVER:
		return sock_ask_get(fd, t, key_of(level, name), level, name, val, len);
	case SPECIAL:
		return option_get_special(s, fd, t, level, name, val, len);
	case REFUSE:
		return -o->arg;
	}
	return -ENOPROTOOPT;
}

/* Not shim_ret(): an option's errno may be one that means something else of a network (EPROTO). */
static int answer(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

EXPORT(int, getsockopt, (int fd, int level, int name, void *val, socklen_t *len))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0)
		return shim_next()->getsockopt(fd, level, name, val, len);
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);
		bool bad = bad_pointer(len);
		socklen_t l = bad ? 0 : (int)*len < 0 && level == IPPROTO_IPV6 ? sizeof(int32_t) : *len;
		int r = bad ? -EFAULT : udp_getsockopt(&u, level, name, val, &l);

		if (r == 0)
			*len = l;
		if (r != UDP_NOT_HERE)
			return answer(r);
	}
	return answer(sock_getsockopt(s, fd, &t, level, name, val, len));
}

EXPORT(int, setsockopt, (int fd, int level, int name, const void *val, socklen_t len))
{
	struct shim *s = shim_calls();
	struct tag t;

	if (!s || tag_get(fd, &t) < 0)
		return shim_next()->setsockopt(fd, level, name, val, len);
	if (t.flags & TAG_UDP) {
		struct udp u = udp_of(s, fd);
		int r = (int)len < 0 ? -EINVAL : udp_setsockopt(&u, level, name, or_zero(&t, level, val, &len), len);

		if (r != UDP_NOT_HERE)
			return answer(r);
		r = sock_setsockopt(s, fd, &t, level, name, val, len);
		if (t.flags & TAG_CLAIM) /* SO_REUSEPORT makes and unmakes groups */
			network_udp_changed(&s->net, t.host);
		if (r == 0 && level == IPPROTO_IPV6 && name == IPV6_MTU_DISCOVER)
			udp_outer_options(&u);
		return answer(r);
	}
	return answer(sock_setsockopt(s, fd, &t, level, name, val, len));
}
