/* src/network/publish.h: ports published on the machine's own network: who publishes what (publish.c).
 *
 * One record is one port or one range of a host, on one or more addresses of the machine. The process that
 * publishes ("the publisher": it has the kernel's sockets) holds the record's lock, which the kernel takes away when
 * that process ends, however it ends. So a record whose lock is free is nobody's, whatever it says.
 */
#ifndef BERTH_NETWORK_PUBLISH_H
#define BERTH_NETWORK_PUBLISH_H

#include "network/network.h"

#define PUBLISH_MAX 1024u    /* records of a network */
#define PUBLISH_ADDRS_MAX 8u /* of one record */

struct network_published {
	uint32_t host; /* whose */
	enum port_proto proto;
	uint32_t n_addrs;
	struct port_addr addrs[PUBLISH_ADDRS_MAX]; /* of the machine */
	struct port_range outer;		   /* of the machine */
	uint16_t inner;				   /* the host's port that outer.first leads to; the rest follow */
	uint32_t n_up;	/* ports of the range at which a caller is heard now (TCP: that listen) */
	bool automatic; /* by -P */
	bool spliced;	/* TCP: its callers' octets are carried */
	int32_t pid;	/* the publisher, and when it started (CLOCK_BOOTTIME ticks of /proc/PID/stat) */
	uint64_t started;
	uint64_t since_unix_s;
};

/* The file of the records, made when it is missing (make) or not: -ENOENT then. Each open has locks of its own: a
 * publisher keeps one descriptor for as long as it lives, and nobody inherits it. Return: it; negative errno. */
MUST_CHECK int network_publish_open(const struct network *n, bool make);
/* Take a free record and write it. pid and started are filled in. Return: its number; -ENOSPC, all are taken; other
 * negative errno. */
MUST_CHECK int network_publish_put(const struct network *n, int file, struct network_published *p);
/* Write it again: the caller has it. */
MUST_CHECK int network_publish_set(const struct network *n, int file, uint32_t record,
				   const struct network_published *p);
/* Give it back, after the kernel's sockets are closed. */
void network_publish_drop(int file, uint32_t record);
/* The next record that somebody has, from *at on (which starts at 0). What a publisher that was killed left is
 * wiped on the way. Return: 0, *ret and its number, and *at is past it; -ENOENT, no more; other negative errno. */
MUST_CHECK int network_publish_next(const struct network *n, int file, uint32_t *at, uint32_t *ret_record,
				    struct network_published *ret);
/* Does somebody publish this port of the host? A quick look: beyond a gap of some dozens in the file it does not. */
bool network_publish_has(const struct network *n, enum port_proto proto, uint32_t host, uint16_t port);
/* Ask the publisher to give it up: the mark, which it reads when it gets PUBLISH_SIGNAL. */
#define PUBLISH_SIGNAL SIGUSR1
MUST_CHECK int network_publish_ask_end(int file, uint32_t record);
bool network_publish_is_asked(int file, uint32_t record);
/* Wait until nobody has it. Return: 0; -EINTR, a signal came first. */
MUST_CHECK int network_publish_wait_end(int file, uint32_t record);
/* A host has programs as long as somebody holds it: each `berth run` does, and its keeper, by a descriptor of this file
 * that is used for nothing else. Return: 0; negative errno. */
MUST_CHECK int network_publish_hold_host(int file, uint32_t host);
/* Return: 1, somebody holds it; 0, nobody; negative errno. */
MUST_CHECK int network_publish_host_is_held(int file, uint32_t host);
/* Sleep until nobody does. Return: 0; -EINTR. */
MUST_CHECK int network_publish_wait_host(int file, uint32_t host);
/* Does the process p->pid live, and is it the one that wrote this? */
bool network_publish_is_by(const struct network_published *p);

#endif
