/* src/port/explain.h: from a refusal to sentences a person can use, and a code a program can.
 *
 * No I/O: whoever can look up a process (cli/) fills struct port_holder.
 */
#ifndef BERTH_PORT_EXPLAIN_H
#define BERTH_PORT_EXPLAIN_H

#include "port/service.h"
#include "port/table.h"

/* Stable: scripts match on the names ("IN_USE_LISTEN"). Documented in docs/reasons.md. */
enum port_reason {
	PORT_REASON_OK,		   /* it would work */
	PORT_REASON_IN_USE_LISTEN, /* a listener has it */
	PORT_REASON_IN_USE_BOUND,  /* a bound socket that does not listen (UDP: any) has it */
	PORT_REASON_IN_USE_FLOW,   /* a connection, outgoing or accepted, has it */
	PORT_REASON_IN_USE_LINGER, /* TIME-WAIT */
	PORT_REASON_OTHER_USER,	   /* SO_REUSEPORT on both sides, but of two users */
	PORT_REASON_FAMILY_SPLIT,  /* only the other family's half overlaps: [::] dual against 0.0.0.0 or reverse */
	PORT_REASON_PRIVILEGED,
	PORT_REASON_NOT_LOCAL,
	PORT_REASON_RANGE_FULL,
	PORT_REASON_TUPLE_IN_USE,
	PORT_REASON_TABLE_FULL,
	PORT_REASON_ALREADY_BOUND,
	PORT_REASON_BAD_ARGUMENT,
	PORT_REASON_NO_SUCH_HOST,  /* connect to an address that is no host's */
	PORT_REASON_LOCK_STOPPED,  /* the table's lock is held by a stopped process */
	PORT_REASON_POLICY_DENIED, /* the way out is barred, by the network or by the run */
};
#define PORT_NREASONS 17
extern const char *const port_reason_name[PORT_NREASONS]; /* "IN_USE_LISTEN" */

/* The holder, at the time of asking. Empty strings and 0: not known. */
struct port_holder {
	int32_t pid;
	char program[32];
	char command[256]; /* command line, spaces between arguments */
	char user[32];
	uint64_t age_us; /* since it took the port; NEVER_US unknown */
};

struct port_explanation {
	enum port_reason reason;
	enum port_rule rule;
	int err;	   /* negative errno */
	char what[192];	   /* "port 80/tcp on 0.0.0.0 is in use: a listener has it" */
	char who[512];	   /* "python3 (pid 4242, user alice), since 3 min: python3 -m http.server 80"; or "" */
	char why[256];	   /* the rule in a sentence */
	char try_[3][160]; /* what would work, best first; "" when fewer */
};

enum port_reason port_explain_reason(const struct port_want *want, const struct port_refusal *r);
/* @near: a free port for want, or 0. @holder may be NULL. */
void port_explain(const struct port_want *want, const struct port_refusal *r, const struct port_holder *holder,
		  uint16_t near, struct port_explanation *ret);
/* "3 s", "12 min", "5 h", "2 days" */
char *port_age_print(uint64_t age_us, char s[24]);

#endif
