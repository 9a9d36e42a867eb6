/* src/shim/carry.c: what a program has set on a socket of ours, set on the kernel's socket that takes its place.
 *
 * A value is in the tag (one bit), in extra.c (what was given to setsockopt(), or what Linux makes of it), or for
 * UDP in the mailbox. Each is set on the kernel's socket in the order in which it was first set. What names a
 * device is left out: berth0 is none of the machine's.
 *
 * The values are also written down for the new socket's cookie, so that one that comes back to a host of the
 * network (outside.c) finds them.
 */
#include <netinet/tcp.h>
#include <string.h>

#include "shim/options.h"
#include "shim/outside.h"

static const struct {
	uint16_t bit;
	int level, name;
	bool six;
} flags[] = {
	{TAG_REUSEADDR, SOL_SOCKET, SO_REUSEADDR, false}, {TAG_REUSEPORT, SOL_SOCKET, SO_REUSEPORT, false},
	{TAG_NODELAY, IPPROTO_TCP, TCP_NODELAY, false},	  {TAG_CORK, IPPROTO_TCP, TCP_CORK, false},
	{TAG_V6ONLY, IPPROTO_IPV6, IPV6_V6ONLY, true},	  {TAG_NOPORT, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, false},
	{TAG_FREEBIND, IPPROTO_IP, IP_FREEBIND, false},
};

static int level_of(int key)
{
	static const int levels[] = {[EXTRA_SOCKET] = SOL_SOCKET,
				     [EXTRA_IP] = IPPROTO_IP,
				     [EXTRA_IPV6] = IPPROTO_IPV6,
				     [EXTRA_TCP] = IPPROTO_TCP,
				     [EXTRA_UDP] = IPPROTO_UDP};

	return (size_t)(key >> 8) < COUNT_OF(levels) ? levels[key >> 8] : 0;
}

static void carry_value(uint64_t cookie, int key, int to)
{
	uint8_t v[EXTRA_OCTETS_MAX] = {0};
	int32_t half;
	size_t len;

	if (key == EXTRA_DEV || !extra_get_octets(cookie, key, v, &len))
		return;
	if (key == EXTRA_SNDBUF || key == EXTRA_RCVBUF) { /* kept as the kernel shows it: doubled */
		memcpy(&half, v, sizeof(half));
		half /= 2;
		if (sys_setsockopt(to, SOL_SOCKET, key == EXTRA_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &half,
				   sizeof(half)) < 0)
			(void)sys_setsockopt(to, SOL_SOCKET, key & 0xff, &half, sizeof(half));
		return;
	}
	(void)sys_setsockopt(to, level_of(key), key & 0xff, v, (socklen_t)len);
}

void carry_out(int from, int to, const struct tag *t)
{
	static const int32_t on = 1;
	uint64_t cookie;
	unsigned at = 0;
	int key;

	for (size_t i = 0; i < COUNT_OF(flags); i++)
		if (t->flags & flags[i].bit && (!flags[i].six || t->family == PORT_FAMILY_6) &&
		    !(t->flags & TAG_UDP && flags[i].level == IPPROTO_TCP))
			(void)sys_setsockopt(to, flags[i].level, flags[i].name, &on, sizeof(on));
	if (!(t->flags & TAG_EXTRA))
		return;
	sock_inherit(from, to, t, true);
	cookie = sock_cookie(from);
	while (extra_next(cookie, &at, &key))
		carry_value(cookie, key, to);
}

/* Those that AF_UNIX has as well, and programs set late. */
static void carry_native(int from, int to)
{
	static const int names[] = {SO_KEEPALIVE, SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SO_OOBINLINE, SO_PRIORITY};

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		uint8_t v[16];
		socklen_t len = sizeof(v);

		if (sys_getsockopt(from, SOL_SOCKET, names[i], v, &len) == 0)
			(void)sys_setsockopt(to, SOL_SOCKET, names[i], v, len);
	}
}

void carry_home(int from, struct tag *t)
{
	unsigned at = 0;
	int key;

	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		int32_t v = 0;
		socklen_t len = sizeof(v);

		if ((!flags[i].six || t->family == PORT_FAMILY_6) &&
		    !(t->flags & TAG_UDP && flags[i].level == IPPROTO_TCP) &&
		    sys_getsockopt(from, flags[i].level, flags[i].name, &v, &len) == 0 && v)
			t->flags |= flags[i].bit;
	}
	if (extra_next(sock_cookie(from), &at, &key))
		t->flags |= TAG_EXTRA;
}

void carry_values_home(int from, int to, const struct tag *t)
{
	if (t->flags & TAG_EXTRA)
		sock_inherit(from, to, t, true);
	carry_native(from, to);
}
