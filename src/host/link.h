/* src/host/link.h: interfaces and addresses of the machine, by netlink. */
#ifndef BERTH_HOST_LINK_H
#define BERTH_HOST_LINK_H

#include "host/root.h"
#include "port/addr.h"

struct host_link {
	uint32_t index, mtu;
	uint32_t master; /* a bridge's or bond's index; 0: none */
	bool is_up, is_loopback, has_carrier;
	uint16_t port; /* of a tunnel in the kernel (vxlan, geneve), which holds it in UDP; 0: none, or not told */
	char name[16];
	char kind[16]; /* "bridge", "veth", "wireguard", "vxlan", "tun"; "": a device */
};

struct host_addr {
	struct port_addr addr; /* scope: the link, when it is link-local */
	uint32_t link;	       /* index */
	uint8_t prefix_bits;   /* as written: 24 of 10.0.0.1/24 */
	bool is_tentative;     /* IPv6: being checked; nothing can be bound to it yet */
	bool is_deprecated;
};

struct host_links {
	struct host_link *links; /* by index */
	struct host_addr *addrs; /* by link, as the kernel lists them */
	size_t n_links, n_addrs;
};

/* Return: 0; negative errno: without netlink nothing is known. */
MUST_CHECK int host_links_read(const struct host_root *root, struct host_links *ret);
void host_links_free(struct host_links *l);
/* NULL: no such. */
const struct host_link *host_link_by_index(const struct host_links *l, uint32_t index);
/* Is it an address of this machine's: one of the list, or of 127.0.0.0/8? */
bool host_addr_is_local(const struct host_links *l, const struct port_addr *a);

#endif
