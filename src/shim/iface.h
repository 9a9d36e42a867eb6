/* src/shim/iface.h: the network interfaces of a host. */
#ifndef BERTH_SHIM_IFACE_H
#define BERTH_SHIM_IFACE_H

#include "shim/shim.h"

#define IFACE_N 2
struct iface {
	unsigned index;
	const char *name;
	unsigned flags;
	struct port_addr addr4, mask4, broadcast4; /* as ::ffff:a.b.c.d; no broadcast: all zero */
	struct port_addr addr6, mask6;
	uint8_t hardware[6];
};
#define IFACE_MTU 65536
/* The n-th, 0 or 1. False: the network is not there. */
bool iface_get(struct shim *s, unsigned n, struct iface *ret);

#endif
