/* src/shim/sockaddr.c: socket addresses, as programs give them and want them back.
 *
 * A port_addr holds IPv4 as ::ffff:a.b.c.d, which is also how an AF_INET6 socket shows it; so what
 * differs is only the shape: sockaddr_in for AF_INET sockets, sockaddr_in6 for the others.
 */
#include <string.h>

#include "shim/shim.h"

struct port_addr addr_any(enum port_family f)
{
	return f == PORT_FAMILY_6 ? PORT_ADDR_ANY6 : PORT_ADDR_ANY4;
}

void addr_read(enum port_family f, const struct sockaddr *sa, socklen_t len, struct port_addr *ret, uint16_t *ret_port)
{
	if (f == PORT_FAMILY_4) {
		struct sockaddr_in in;
		uint8_t octets[4];

		memcpy(&in, sa, sizeof(in));
		memcpy(octets, &in.sin_addr, sizeof(octets));
		*ret = port_addr_from4(octets);
		*ret_port = ntohs(in.sin_port);
	} else {
		struct sockaddr_in6 in6 = {0};

		memcpy(&in6, sa, len < sizeof(in6) ? len : sizeof(in6)); /* RFC 2133's had no scope */
		*ret = port_addr_from6(in6.sin6_addr.s6_addr, 0);
		if (port_addr_is_linklocal6(ret))
			ret->scope = in6.sin6_scope_id;
		*ret_port = ntohs(in6.sin6_port);
	}
}

int addr_write(enum port_family f, const struct port_addr *a, uint16_t port, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = a->scope};
	size_t whole = f == PORT_FAMILY_6 ? sizeof(in6) : sizeof(in), room;

	if (bad_pointer(len))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	room = *len < whole ? *len : whole;
	if (room && bad_pointer(sa))
		return -EFAULT;
	memcpy(&in.sin_addr, a->b + 12, 4);
	memcpy(&in6.sin6_addr, a->b, 16);
	if (room)
		memcpy(sa, f == PORT_FAMILY_6 ? (void *)&in6 : (void *)&in, room);
	*len = (socklen_t)whole;
	return 0;
}
