/* src/door/door.h: held doors: which numbers may be given, and the sockets that hold them. The library's inside;
 * include/berth/port.h is what it promises. */
#ifndef BERTH_DOOR_DOOR_H
#define BERTH_DOOR_DOOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/base.h"

/* What the machine says about numbers (settings.c). */
struct door_settings {
	uint16_t low, high;    /* ip_local_port_range: what bind(0) and connect() choose from */
	uint32_t unprivileged; /* ip_unprivileged_port_start */
	uint64_t reserved[1024];
};

/* Where a number lies. The first three can be given, and are tried in this order. */
enum door_place {
	DOOR_DYNAMIC,	/* 49152 and above, outside the range of the kernel's choice */
	DOOR_USER,	/* 1024 to 49151, outside */
	DOOR_EPHEMERAL, /* inside */
	DOOR_PRIVILEGED,
	DOOR_RESERVED,
	DOOR_BLOCKED, /* by browsers */
	DOOR_NAMED,
};
#define DOOR_NGIVEN 3
#define DOOR_NPLACES 7

/* Of this network namespace; what cannot be read is Linux's default. */
void door_settings_read(struct door_settings *ret);
/* named: numbers that have a name are as good as others. */
enum door_place door_place(const struct door_settings *s, uint16_t port, bool named);

/* A socket that holds the port on all addresses and lets servers with a reuse flag in (hold.c). type is SOCK_STREAM or
 * SOCK_DGRAM. Return: descriptor, close-on-exec and above 2; negative errno. */
MUST_CHECK int door_hold(int type, uint16_t port);
/* A server's socket beside it. Return: descriptor; negative errno. */
MUST_CHECK int door_beside(int type, uint16_t port, const char *address);

#endif
