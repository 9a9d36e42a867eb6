/* src/shim/nameserver.c: the machine's name server on a loopback address.
 *
 * systemd-resolved (127.0.0.53), docker (127.0.0.11), dnsmasq and unbound (127.0.0.1) serve names on the machine's
 * loopback, and /etc/resolv.conf says so. To a program under berth a loopback is its own host's, where nobody
 * has port 53: no name would be found. So port 53 of an address that /etc/resolv.conf names is the machine's,
 * unless somebody on the host has it. Policy asks for it as for the gateway.
 *
 * The file is read each time: only who asks port 53 of a loopback address comes here.
 */
#include <arpa/inet.h>
#include <string.h>

#include "port/demux.h"
#include "shim/outside.h"

#define DOMAIN 53
#define FILE_MAX 4096

/* An address as resolv.conf writes it; what is behind a '%' is an interface. */
static bool is_address(const char *text, const struct port_addr *a)
{
	char copy[64];
	uint8_t octets[16];
	size_t len = strcspn(text, " \t\r\n%;#");
	struct port_addr b;

	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, octets) == 1)
		b = port_addr_from4(octets);
	else if (inet_pton(AF_INET6, copy, octets) == 1)
		b = port_addr_from6(octets, 0);
	else
		return false;
	return port_addr_equal(a, &b);
}

bool nameserver_is_named(const struct port_addr *a, uint16_t port)
{
	static const char word[] = "nameserver";
	char buf[FILE_MAX + 1];
	long n = 0;
	int fd;

	if (port != DOMAIN || !port_addr_is_loopback(a) || confined())
		return false;
	fd = raw_openat(AT_FDCWD, "/etc/resolv.conf", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = raw_pread(fd, buf, FILE_MAX, 0);
	raw_close(fd);
	buf[n > 0 ? n : 0] = '\0';
	for (const char *line = buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, word, sizeof(word) - 1) == 0) {
			line += sizeof(word) - 1;
			if (is_address(line + strspn(line, " \t"), a))
				return true;
		}
	}
	return false;
}

/* Has anybody on the host the port? */
static bool is_taken(struct shim *s, enum port_proto proto, const struct port_addr *a, uint16_t port)
{
	struct port_tuple seen = {.proto = proto, .local = *a, .local_port = port, .remote = *a, .remote_port = 1};
	struct network_lock l;
	struct port_ref ref;
	int r = network_lock(&s->net, s->host.index, &l);

	if (r < 0)
		return true;
	r = port_demux_listener(&l.table, &seen, 0, &ref);
	network_unlock(&l);
	return r == 0 && network_dead(&s->net, s->host.index, ref) < 0;
}

bool nameserver_is(struct shim *s, enum port_proto proto, const struct port_addr *a, uint16_t port)
{
	return nameserver_is_named(a, port) && !is_taken(s, proto, a, port);
}
