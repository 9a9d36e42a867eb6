/* src/port/explain.c: from a refusal to words for a person in trouble.
 *
 * A refusal says which claim was in the way and which rule decided. From these two follow a stable
 * reason (for programs), four kinds of sentence (what, who, why, what to try), and nothing else: no
 * guess about the world. Numbers come first, names second.
 *
 * Advice is the dangerous part: a flag that does not help costs its reader an hour. So each line of
 * advice is added only where the rule makes it true against the claim in the way
 * (docs/linux-bind.md, R1 to R7):
 *   E1  SO_REUSEADDR is advised only if the holder has it and (TCP) does not listen;
 *   E2  SO_REUSEPORT is advised only if the holder has it and is the same user's (in TIME-WAIT,
 *       anybody's);
 *   E3  an address is advised only if it meets no part of the holder's.
 * A third socket may still be in the way of the advice; only asking again tells.
 *
 * Cost: formatting. Elsewhere: finding the process behind a claim (cli/), a free port (table.c).
 */
#include "port/explain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND_US UINT64_C(1000000)

const char *const port_reason_name[PORT_NREASONS] = {
	[PORT_REASON_OK] = "OK",
	[PORT_REASON_IN_USE_LISTEN] = "IN_USE_LISTEN",
	[PORT_REASON_IN_USE_BOUND] = "IN_USE_BOUND",
	[PORT_REASON_IN_USE_FLOW] = "IN_USE_FLOW",
	[PORT_REASON_IN_USE_LINGER] = "IN_USE_LINGER",
	[PORT_REASON_OTHER_USER] = "OTHER_USER",
	[PORT_REASON_FAMILY_SPLIT] = "FAMILY_SPLIT",
	[PORT_REASON_PRIVILEGED] = "PRIVILEGED",
	[PORT_REASON_NOT_LOCAL] = "NOT_LOCAL",
	[PORT_REASON_RANGE_FULL] = "RANGE_FULL",
	[PORT_REASON_TUPLE_IN_USE] = "TUPLE_IN_USE",
	[PORT_REASON_TABLE_FULL] = "TABLE_FULL",
	[PORT_REASON_ALREADY_BOUND] = "ALREADY_BOUND",
	[PORT_REASON_BAD_ARGUMENT] = "BAD_ARGUMENT",
	[PORT_REASON_NO_SUCH_HOST] = "NO_SUCH_HOST",
	[PORT_REASON_LOCK_STOPPED] = "LOCK_STOPPED",
	[PORT_REASON_POLICY_DENIED] = "POLICY_DENIED",
};

/* Writes what fits, always terminated. */
PRINTF_LIKE(3, 4) static void say(char *s, size_t len_bytes, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, len_bytes, fmt, ap);
	va_end(ap);
}

PRINTF_LIKE(2, 3) static void try_next(struct port_explanation *e, const char *fmt, ...)
{
	va_list ap;

	for (size_t i = 0; i < COUNT_OF(e->try_); i++) {
		if (e->try_[i][0])
			continue;
		va_start(ap, fmt);
		vsnprintf(e->try_[i], sizeof(e->try_[i]), fmt, ap);
		va_end(ap);
		return;
	}
}

/* ---- who owns which part (R1, R2) ---- */

static bool is_dual(uint8_t family, const struct port_addr *a, uint16_t flags)
{
	return family == PORT_FAMILY_6 && !port_addr_is4(a) && port_addr_is_any(a) && !(flags & PORT_V6ONLY);
}

static bool by_dual(const struct port_claim *by)
{
	return is_dual(by->family, &by->addr, by->flags);
}

static bool want_dual(const struct port_want *w)
{
	return is_dual((uint8_t)w->family, &w->addr, w->flags);
}

/* One side is [::] for both families, the other has IPv4 only: only that half meets. */
static bool family_split(const struct port_want *w, const struct port_claim *by)
{
	return (want_dual(w) && port_addr_is4(&by->addr)) || (by_dual(by) && port_addr_is4(&w->addr));
}

/* Would a socket of its own family, bound to a, meet the holder? E3 stands on this. */
static bool meets(const struct port_addr *a, const struct port_claim *by)
{
	if (port_addr_is4(a) != port_addr_is4(&by->addr))
		return by_dual(by);
	return port_addr_is_any(&by->addr) || port_addr_is_any(a) || port_addr_equal(a, &by->addr);
}

static bool listens(const struct port_claim *by)
{
	return by->proto == PORT_TCP && by->state == CLAIM_LISTENING;
}

/* ---- the reason ---- */

static enum port_reason in_use(const struct port_want *want, const struct port_refusal *r)
{
	if (r->rule == PORT_RULE_R4_UID)
		return PORT_REASON_OTHER_USER;
	if (!r->by_valid)
		return PORT_REASON_IN_USE_BOUND;
	if (r->by.state == CLAIM_LINGER)
		return PORT_REASON_IN_USE_LINGER;
	if (want->proto == PORT_TCP && (r->by.state == CLAIM_CONNECTED || r->by.state == CLAIM_ACCEPTED))
		return PORT_REASON_IN_USE_FLOW;
	if (family_split(want, &r->by))
		return PORT_REASON_FAMILY_SPLIT;
	return listens(&r->by) ? PORT_REASON_IN_USE_LISTEN : PORT_REASON_IN_USE_BOUND;
}

/* No rule of the table's: the error says what refused. */
static enum port_reason reason_of_error(int err)
{
	switch (err) {
	case 0:
		return PORT_REASON_OK;
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return PORT_REASON_NO_SUCH_HOST;
	case -ETIMEDOUT:
		return PORT_REASON_LOCK_STOPPED;
	case -ENOBUFS:
		return PORT_REASON_TABLE_FULL;
	case -EACCES:
		return PORT_REASON_PRIVILEGED;
	case -EADDRNOTAVAIL:
		return PORT_REASON_NOT_LOCAL;
	case -EADDRINUSE:
		return PORT_REASON_IN_USE_BOUND;
	default:
		return PORT_REASON_BAD_ARGUMENT;
	}
}

enum port_reason port_explain_reason(const struct port_want *want, const struct port_refusal *r)
{
	if (r->err == 0)
		return PORT_REASON_OK;
	switch (r->rule) {
	case PORT_RULE_POLICY:
		return PORT_REASON_POLICY_DENIED;
	case PORT_RULE_ARGUMENT:
		return r->by_valid && r->err == -EINVAL ? PORT_REASON_ALREADY_BOUND : PORT_REASON_BAD_ARGUMENT;
	case PORT_RULE_NOT_LOCAL:
		return PORT_REASON_NOT_LOCAL;
	case PORT_RULE_PRIVILEGED:
		return PORT_REASON_PRIVILEGED;
	case PORT_RULE_R1_OVERLAP:
	case PORT_RULE_R2_COLLAPSE:
	case PORT_RULE_R4_SHARING:
	case PORT_RULE_R4_UID:
	case PORT_RULE_R5_LISTEN:
	case PORT_RULE_R6_UDP:
		return in_use(want, r);
	case PORT_RULE_RANGE_FULL:
		return PORT_REASON_RANGE_FULL;
	case PORT_RULE_TUPLE:
		return PORT_REASON_TUPLE_IN_USE;
	case PORT_RULE_TABLE_FULL:
		return PORT_REASON_TABLE_FULL;
	case PORT_RULE_NONE:
		break;
	}
	return reason_of_error(r->err);
}

/* ---- what ---- */

static const char *where(const struct port_want *w, char s[PORT_ADDR_STR_MAX])
{
	return port_addr_print(&w->addr, s);
}

/* "80/tcp (http)" */
static void print_port(uint16_t port, enum port_proto proto, char *s, size_t len_bytes)
{
	struct port_service service;

	if (port != 0 && port_service_name(port, proto, NULL, &service) == 0)
		say(s, len_bytes, "%u/%s (%s)", port, port_proto_name[proto], service.name);
	else
		say(s, len_bytes, "%u/%s", port, port_proto_name[proto]);
}

static const char *kind_of(const struct port_claim *by)
{
	if (by->proto != PORT_TCP)
		return "a bound socket";
	switch (by->state) {
	case CLAIM_LISTENING:
		return "a listener";
	case CLAIM_CONNECTED:
		return "an outgoing connection";
	case CLAIM_ACCEPTED:
		return "an accepted connection";
	case CLAIM_LINGER:
		return "a closed connection in TIME-WAIT";
	default:
		return "a bound socket that does not listen";
	}
}

static void say_what(const struct port_want *w, const struct port_refusal *r, struct port_explanation *e)
{
	char port[48], at[PORT_ADDR_STR_MAX], theirs[PORT_ENDPOINT_STR_MAX];

	print_port(w->port, w->proto, port, sizeof(port));
	where(w, at);
	switch (e->reason) {
	case PORT_REASON_OK:
		say(e->what, sizeof(e->what), "%s on %s is free", port, at);
		return;
	case PORT_REASON_IN_USE_LISTEN:
	case PORT_REASON_IN_USE_BOUND:
	case PORT_REASON_IN_USE_FLOW:
	case PORT_REASON_IN_USE_LINGER:
	case PORT_REASON_OTHER_USER:
	case PORT_REASON_FAMILY_SPLIT:
		if (r->by_valid)
			say(e->what, sizeof(e->what), "%s on %s is in use on this host: %s holds %s", port, at,
			    kind_of(&r->by), port_endpoint_print(&r->by.addr, r->by.port, theirs));
		else
			say(e->what, sizeof(e->what), "%s on %s is in use on this host", port, at);
		return;
	case PORT_REASON_PRIVILEGED:
		say(e->what, sizeof(e->what), "%s on %s is a privileged port, and this program may not have it", port,
		    at);
		return;
	case PORT_REASON_NOT_LOCAL:
		say(e->what, sizeof(e->what), "%s is not an address of this host", at);
		return;
	case PORT_REASON_RANGE_FULL:
		say(e->what, sizeof(e->what), "no free %s port is left to choose from on %s", port_proto_name[w->proto],
		    at);
		return;
	case PORT_REASON_TUPLE_IN_USE:
		say(e->what, sizeof(e->what),
		    "this very connection exists already: the same two addresses and the same two ports");
		return;
	case PORT_REASON_TABLE_FULL:
		say(e->what, sizeof(e->what), "this host's port table is full");
		return;
	case PORT_REASON_ALREADY_BOUND:
		say(e->what, sizeof(e->what), "this socket has a port already: %u/%s", r->by.port,
		    port_proto_name[w->proto]);
		return;
	case PORT_REASON_BAD_ARGUMENT:
		if (r->err == -EOPNOTSUPP)
			say(e->what, sizeof(e->what), "a UDP socket cannot listen");
		else
			say(e->what, sizeof(e->what), "this call makes no sense for %s on %s", port, at);
		return;
	case PORT_REASON_NO_SUCH_HOST:
		say(e->what, sizeof(e->what), "no host of this network has the address");
		return;
	case PORT_REASON_LOCK_STOPPED:
		say(e->what, sizeof(e->what), "the port table is locked by a process that is stopped");
		return;
	case PORT_REASON_POLICY_DENIED:
		say(e->what, sizeof(e->what), "%s of %s may not be sent to", port, at);
		return;
	}
}

/* ---- who ---- */

char *port_age_print(uint64_t age_us, char s[24])
{
	uint64_t n = age_us / SECOND_US;

	if (n < 60)
		say(s, 24, "%u s", (unsigned)n);
	else if (n < 3600)
		say(s, 24, "%u min", (unsigned)(n / 60));
	else if (n < 48 * 3600)
		say(s, 24, "%u h", (unsigned)(n / 3600));
	else
		say(s, 24, "%llu days", (unsigned long long)(n / 86400));
	return s;
}

static void say_who(const struct port_refusal *r, const struct port_holder *h, struct port_explanation *e)
{
	char pid[24] = "", user[48] = "", age[32] = "", age_s[24], program[33] = "";
	bool known = h && (h->pid > 0 || h->program[0]);

	if (r->by_valid && r->by.state == CLAIM_LINGER) {
		say(e->who, sizeof(e->who),
		    "nobody: its program has closed it, the system keeps the port until TIME-WAIT ends");
		return;
	}
	if (!known && !r->by_valid)
		return;
	/* What was written down at bind; a pid may have gone to somebody else since. */
	if (known && h->program[0])
		say(program, sizeof(program), "%.31s", h->program);
	else if (r->by_valid && r->by.owner.comm[0])
		say(program, sizeof(program), "%.16s", r->by.owner.comm);
	if (known && h->pid > 0)
		say(pid, sizeof(pid), "pid %d", h->pid);
	else if (!known && r->by.owner.pid > 0)
		say(pid, sizeof(pid), "pid %d when it bound", r->by.owner.pid);
	if (!pid[0] && !program[0])
		return;
	if (h && h->user[0])
		say(user, sizeof(user), "%suser %.31s", pid[0] ? ", " : "", h->user);
	else if (r->by_valid)
		say(user, sizeof(user), "%suid %u", pid[0] ? ", " : "", r->by.uid);
	if (h && h->age_us != NEVER_US)
		say(age, sizeof(age), ", since %s", port_age_print(h->age_us, age_s));
	say(e->who, sizeof(e->who), "%s (%s%s)%s%s%.255s", program[0] ? program : "a program", pid, user, age,
	    h && h->command[0] ? ": " : "", h ? h->command : "");
}

/* ---- why ---- */

static const char *why_sharing(const struct port_want *w, const struct port_claim *by)
{
	bool mine_a = w->flags & PORT_REUSEADDR, theirs_a = by->flags & PORT_REUSEADDR;

	if (listens(by) && mine_a && !(w->flags & by->flags & PORT_REUSEPORT))
		return "SO_REUSEADDR does not let two sockets share a port when one listens; only SO_REUSEPORT on both does [R4]";
	if (mine_a && !theirs_a)
		return "SO_REUSEADDR works only when both sockets set it, and the holder did not [R4, R7]";
	return "a flag on one socket alone is worth nothing: both must set the same one, and they did not [R4, R7]";
}

static const char *why(const struct port_want *w, const struct port_refusal *r, enum port_reason reason)
{
	switch (reason) {
	case PORT_REASON_OK:
		return "";
	case PORT_REASON_FAMILY_SPLIT:
		return want_dual(w)
			       ? "[::] takes both families unless IPV6_V6ONLY is set, and the IPv4 half is taken [R1]"
			       : "the holder's [::] takes both families, because it was bound without IPV6_V6ONLY [R1]";
	case PORT_REASON_OTHER_USER:
		return "both sockets set SO_REUSEPORT, but that shares a port between sockets of one user only [R4]";
	case PORT_REASON_ALREADY_BOUND:
		return "a socket is bound once, and keeps that port until it is closed [C3, 7]";
	case PORT_REASON_NO_SUCH_HOST:
		return "the address is inside the network's own subnet, which is never sent outside, and no host has it";
	case PORT_REASON_LOCK_STOPPED:
		return "a process was stopped (SIGSTOP, a debugger) while it changed the table, and it must finish first";
	case PORT_REASON_POLICY_DENIED: /* why_barred() */
	default:
		break;
	}
	switch (r->rule) {
	case PORT_RULE_ARGUMENT:
		return "the address, family, port or state of the socket does not fit this call [C3, 4]";
	case PORT_RULE_NOT_LOCAL:
		return "a socket binds only to an address of its own host, or to all of them [C3, 5]";
	case PORT_RULE_PRIVILEGED:
		return "ports below the first unprivileged one need a right that this program does not have [C3, 6]";
	case PORT_RULE_R1_OVERLAP:
		return "two sockets meet when their addresses are equal or one is the wildcard, and no sharing was asked for [R1]";
	case PORT_RULE_R2_COLLAPSE:
		return "an IPv6 connection of a socket bound to [::] for both families still keeps 0.0.0.0 from others [R2]";
	case PORT_RULE_R4_SHARING:
		return r->by_valid ? why_sharing(w, &r->by)
				   : "both sockets must ask for sharing, with the same flag [R4]";
	case PORT_RULE_R4_UID:
		return "SO_REUSEPORT shares a port between sockets of one user only [R4]";
	case PORT_RULE_R5_LISTEN:
		return "both set SO_REUSEADDR, but when one of them listens that does not share a port; SO_REUSEPORT on both does [R5]";
	case PORT_RULE_R6_UDP:
		return "UDP sockets share a port only when both set SO_REUSEADDR, or both SO_REUSEPORT as one user [R6, R7]";
	case PORT_RULE_RANGE_FULL:
		return "every port of the range to choose from is held by somebody [D5]";
	case PORT_RULE_TUPLE:
		return "a connection is known by its two addresses and two ports, and no two may be the same [RFC 9293, 3.3]";
	case PORT_RULE_TABLE_FULL:
		return "every place for a claim in this host's table is taken, and the table cannot grow";
	case PORT_RULE_NONE:
	case PORT_RULE_POLICY:
		break;
	}
	return "";
}

static void say_why_barred(const struct port_refusal *r, struct port_explanation *e)
{
	const char *whose = r->policy.by == PORT_POLICY_RUN ? "this run" : "this network";
	char rule[PORT_POLICY_RULE_STR_MAX];

	if (r->policy.by == PORT_POLICY_GARBLED)
		say(e->why, sizeof(e->why),
		    "the rules of this network or of this run cannot be read, and so nothing may pass");
	else if (r->policy.has_rule)
		say(e->why, sizeof(e->why), "%s has the rule --deny %s", whose,
		    port_policy_rule_print(&r->policy.rule, rule));
	else
		say(e->why, sizeof(e->why), "%s is closed to the outside, and no --allow of it meets this address",
		    whose);
}

/* ---- what would work, best first ---- */

static void try_port(const struct port_want *w, uint16_t near, struct port_explanation *e)
{
	char port[48];

	if (near == 0 || near == w->port)
		return;
	print_port(near, w->proto, port, sizeof(port));
	try_next(e, "use port %s: it is free", port);
}

/* E1, E2. */
static void try_flags(const struct port_want *w, const struct port_claim *by, struct port_explanation *e)
{
	uint16_t lacks = (uint16_t)(by->flags & ~w->flags);
	bool user_ok = by->uid == w->uid || by->state == CLAIM_LINGER;

	if ((lacks & PORT_REUSEADDR) && !listens(by))
		try_next(
			e,
			w->proto == PORT_UDP
				? "set SO_REUSEADDR before bind(): the holder has it; one of the two then gets each datagram"
				: "set SO_REUSEADDR before bind(): the holder has it and does not listen");
	if ((lacks & PORT_REUSEPORT) && user_ok)
		try_next(
			e,
			"set SO_REUSEPORT before bind(): the holder has it and is the same user's; both then share what arrives");
	if ((by->flags & w->flags & PORT_REUSEPORT) && !user_ok)
		try_next(e, "run this program as the holder's user (uid %u): SO_REUSEPORT is set on both", by->uid);
}

/* E3. An address of this host that does not meet the holder's; loopbacks, as every host has them. */
static void try_address(const struct port_want *w, const struct port_claim *by, struct port_explanation *e)
{
	const struct port_addr candidates[] = {PORT_ADDR_LOOP4, PORT_ADDR_LOOP6, port_addr_v4(127, 0, 0, 2)};
	char s[PORT_ENDPOINT_STR_MAX], theirs[PORT_ADDR_STR_MAX];

	if (want_dual(w) && port_addr_is4(&by->addr)) {
		try_next(e, "set IPV6_V6ONLY before bind(): [::]:%u then takes IPv6 only and does not meet the holder",
			 w->port);
		return;
	}
	if (by_dual(by) && listens(by) && port_addr_is4(&w->addr)) {
		try_next(e, "start the holder with IPV6_V6ONLY set: its [::]:%u then leaves IPv4 to others", by->port);
		return;
	}
	for (size_t i = 0; i < COUNT_OF(candidates); i++) {
		if (meets(&candidates[i], by))
			continue;
		try_next(e, "bind %s: it does not meet the holder's %s",
			 port_endpoint_print(&candidates[i], w->port, s), port_addr_print(&by->addr, theirs));
		return;
	}
}

static void try_waiting(const struct port_claim *by, const struct port_holder *h, struct port_explanation *e)
{
	uint64_t now_us;

	/* No clock here: the age a caller measured tells the time, if it gave one. */
	if (h && h->age_us != NEVER_US && by->expires_us != NEVER_US) {
		now_us = by->since_us + h->age_us;
		if (now_us >= by->since_us && now_us < by->expires_us) {
			try_next(e, "wait %llu s: TIME-WAIT ends then",
				 (unsigned long long)((by->expires_us - now_us + SECOND_US - 1) / SECOND_US));
			return;
		}
	}
	try_next(e, "wait until TIME-WAIT ends, about a minute after the connection was closed");
}

static void try_in_use(const struct port_want *w, const struct port_refusal *r, const struct port_holder *h,
		       uint16_t near, struct port_explanation *e)
{
	if (r->by_valid && e->reason == PORT_REASON_FAMILY_SPLIT && want_dual(w))
		try_address(w, &r->by, e); /* the same port, as most people meant it */
	try_port(w, near, e);
	if (!r->by_valid)
		return;
	try_flags(w, &r->by, e);
	if (r->by.state == CLAIM_LINGER)
		try_waiting(&r->by, h, e);
	if (!(e->reason == PORT_REASON_FAMILY_SPLIT && want_dual(w)))
		try_address(w, &r->by, e);
}

/* More exact than any rule that refused it, or the same. */
static void try_to_allow(const struct port_want *w, const struct port_refusal *r, struct port_explanation *e)
{
	struct port_policy_rule rule = {.ports = {w->port, w->port}, .proto = (uint8_t)w->proto, .allow = true};
	char s[PORT_POLICY_RULE_STR_MAX];

	port_policy_rule_at(&rule, &w->addr);
	port_policy_rule_print(&rule, s);
	switch (r->policy.by) {
	case PORT_POLICY_RUN:
		try_next(e, "add %s--allow %s to its berth run", r->policy.closed ? "" : "--open ", s);
		try_next(e, "leave --isolated, --allow and --deny out there: then only the network's rules hold");
		return;
	case PORT_POLICY_NETWORK:
		try_next(e, "berth net policy NETWORK --allow %s, which holds at once", s);
		try_next(e, "berth net policy NETWORK --open, if everything may pass");
		return;
	default:
		try_next(
			e,
			"berth net policy NETWORK shows the network's; the run's are in BERTH_POLICY, which berth run writes");
	}
}

static void say_try(const struct port_want *w, const struct port_refusal *r, const struct port_holder *h, uint16_t near,
		    struct port_explanation *e)
{
	switch (e->reason) {
	case PORT_REASON_OK:
		return;
	case PORT_REASON_IN_USE_LISTEN:
	case PORT_REASON_IN_USE_BOUND:
	case PORT_REASON_IN_USE_FLOW:
	case PORT_REASON_IN_USE_LINGER:
	case PORT_REASON_OTHER_USER:
	case PORT_REASON_FAMILY_SPLIT:
		try_in_use(w, r, h, near, e);
		return;
	case PORT_REASON_PRIVILEGED:
		try_port(w, near, e);
		try_next(e, "make the network anew without --privileged-ports=deny (berth net rm NAME comes first)");
		return;
	case PORT_REASON_NOT_LOCAL:
		try_next(e, "bind %s, which means every address of this host",
			 port_addr_is4(&w->addr) ? "0.0.0.0" : "[::]");
		try_next(e, "set IP_FREEBIND, if the address will come later");
		return;
	case PORT_REASON_RANGE_FULL:
		if (near)
			try_next(e, "name a port yourself instead of 0: %u is free", near);
		try_next(e, "close sockets that are no longer needed; each holds a port of the range");
		if (w->range.first || w->range.last)
			try_next(e, "widen IP_LOCAL_PORT_RANGE, which this socket has narrowed");
		return;
	case PORT_REASON_TUPLE_IN_USE:
		try_next(e, "connect from another local port, or do not bind before connect(): one is then chosen");
		return;
	case PORT_REASON_TABLE_FULL:
		try_next(e, "look whether the disk with the network's folder is full, or 'ulimit -f' too low");
		try_next(e, "close sockets that are no longer needed");
		return;
	case PORT_REASON_ALREADY_BOUND:
		try_next(e, "open a new socket for the new port");
		return;
	case PORT_REASON_BAD_ARGUMENT:
		if (r->err == -EOPNOTSUPP)
			try_next(e, "receive on the bound UDP socket: it needs no listen()");
		return;
	case PORT_REASON_NO_SUCH_HOST:
		try_next(e, "connect to a host of this network by its name; berth net show lists them");
		return;
	case PORT_REASON_LOCK_STOPPED:
		if (h && h->pid > 0)
			try_next(e, "let it go on: kill -CONT %d", h->pid);
		else
			try_next(e, "let the stopped process go on (SIGCONT), or end it");
		return;
	case PORT_REASON_POLICY_DENIED:
		try_to_allow(w, r, e);
		return;
	}
}

void port_explain(const struct port_want *want, const struct port_refusal *r, const struct port_holder *holder,
		  uint16_t near, struct port_explanation *ret)
{
	*ret = (struct port_explanation){
		.reason = port_explain_reason(want, r),
		.rule = r->rule,
		.err = r->err,
	};
	ASSERT((unsigned)want->proto < PORT_NPROTOS);
	say_what(want, r, ret);
	say_who(r, holder, ret);
	if (ret->reason == PORT_REASON_POLICY_DENIED)
		say_why_barred(r, ret);
	else
		say(ret->why, sizeof(ret->why), "%s", why(want, r, ret->reason));
	say_try(want, r, holder, near, ret);
}
