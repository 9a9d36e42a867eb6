/* src/host/bind.h: what the machine's own kernel would answer to a bind, and who is in the way.
 *
 * The sockets of a port become claims in a table of the heart's (port/table.h), which is asked as a network's is. What no list of
 * the kernel's tells (SO_REUSEADDR and SO_REUSEPORT of a socket that we may not ask) is assumed once so and once so: an answer
 * that is the same both ways is certain. Nothing is bound here.
 */
#ifndef BERTH_HOST_BIND_H
#define BERTH_HOST_BIND_H

#include "host/owners.h"
#include "host/socket.h"

/* How a socket has its port: what a list of listeners does not show, too. */
enum host_how {
	HOST_HOW_LISTENS,
	HOST_HOW_IDLE,	     /* TCP: bound, and neither listens nor is connected */
	HOST_HOW_OUTGOING,   /* TCP: a connection that this side made */
	HOST_HOW_ACCEPTED,   /* TCP: a connection that a listener took, which there still is */
	HOST_HOW_FLOW,	     /* TCP: a connection, and who made it cannot be told: no listener has its address */
	HOST_HOW_TIME_WAIT,  /* closed; ends by itself */
	HOST_HOW_ORPHAN,     /* closed by its program; the kernel still sends, and waits for the peer */
	HOST_HOW_UNACCEPTED, /* in a listener's queue */
	HOST_HOW_UDP,
	HOST_HOW_UDP_CONNECTED,
};
#define HOST_NHOWS 10
extern const char *const host_how_name[HOST_NHOWS]; /* "listens", "idle", "outgoing"; stable: docs/reasons.md */

struct host_bind_row {
	const struct host_socket *socket;
	struct port_claim claim; /* with the options, where they are known */
	enum host_how how;
	bool flags_known;  /* SO_REUSEADDR and SO_REUSEPORT */
	bool v6only_known; /* connections do not tell it themselves */
	size_t n_same;	   /* sockets like this one, itself included, to which the rules are the same */
};

struct host_bind {
	struct host_bind_row *rows;
	size_t n;
};

/* The sockets of one port and protocol, out of a list that may hold more and must stay. Flags are asked of the sockets
 * themselves when there are owners. Return: 0; -ENOMEM. */
MUST_CHECK int host_bind_read(const struct host_sockets *s, enum port_proto proto, uint16_t port,
			      const struct host_owners *owners, uint64_t now_us, struct host_bind *ret);
/* Flags are asked of the sockets themselves, where owners says who has them. */
void host_bind_ask_flags(struct host_bind *b, const struct host_owners *owners);
void host_bind_free(struct host_bind *b);

struct host_verdict {
	struct port_refusal refusal;	 /* err 0: it would work */
	const struct host_bind_row *row; /* the one in the way, when refusal.by_valid */
	bool certain;			 /* every option that matters is known */
};

/**
 * host_bind_ask() - would it be refused, by whom, by which rule?
 * @want: the address is taken to be one of this machine's, as only the kernel can say (port_want.flags: PORT_PRIVILEGED, when
 *        a low port is allowed)
 * @unprivileged_start: of the namespace's settings
 *
 * Return: 0, *ret has the answer; -ENOMEM.
 */
MUST_CHECK int host_bind_ask(const struct host_bind *b, const struct port_want *want, bool listen,
			     uint16_t unprivileged_start, struct host_verdict *ret);

#endif
