/* src/network/policy.h: who may pass to the outside (docs/policy.md).
 *
 * Everything that is no host's address is outside: other machines, and the machine itself, which is the
 * network's first address (and the name gateway.berth). A program may send there if its network's policy lets it
 * and each layer of its run's does. A convenience among programs that cooperate, and no sandbox.
 *
 * The network's policy is in its `hosts` file, which lasts, and in the mapped table, where it is asked. A
 * change holds at once for every program; connections that are there stay.
 */
#ifndef BERTH_NETWORK_POLICY_H
#define BERTH_NETWORK_POLICY_H

#include "network/network.h"

/* The machine itself: the network's first address, of either family. No host ever has it. */
bool network_is_gateway(const struct network *n, const struct port_addr *addr);
void network_gateway(const struct network *n, struct port_addr *ret4, struct port_addr *ret6);

/**
 * network_policy_ask() - may be sent to addr:port, which is no host's?
 * @run:  of the program's run; NULL: it has none of its own
 * @addr: as the program gave it, but for 0.0.0.0, :: and loopbacks: these mean its own host. Given all the same
 *        (somebody leads them to the machine's own), they are asked as the gateway's address
 * @reterr: whose policy and which rule, on refusal only
 *
 * Who asks for a program asks shim_may_pass() instead, which also counts and tells. Costs a system call and a look at
 * each rule.
 *
 * Return: 0; -ENETUNREACH, closed to all that no rule allows, or the policy cannot be read; -ECONNREFUSED, a
 * rule denies it.
 */
MUST_CHECK int network_policy_ask(struct network *n, const struct port_policy_chain *run, enum port_proto proto,
				  const struct port_addr *addr, uint16_t port, struct port_policy_refusal *reterr);

/* Changes with each change of the network's policy: who remembers an answer remembers this beside it. The run's
 * never changes. 0: it cannot be read, remember nothing. */
uint64_t network_policy_generation(struct network *n);

/* The network's own. Return: 0; -EUCLEAN, damaged, and `hosts` too or not to be had. */
MUST_CHECK int network_policy_get(struct network *n, struct port_policy *ret);
/* Return: 0, and every program is asked by it from now on; negative errno, nothing has changed. */
MUST_CHECK int network_policy_set(struct network *n, const struct port_policy *p);

/* --- what was refused (refused.c): the last 256 or so pairs of a program and a destination --- */
struct network_refused {
	uint64_t count, first_us, last_us; /* CLOCK_REALTIME */
	uint32_t host;
	int32_t pid; /* the last one that tried */
	int err;
	char comm[16];
	enum port_proto proto;
	struct port_addr addr;
	uint16_t port;
	struct port_policy_refusal by;
};
/* One more: all but count and times of `what` is given. Takes no lock and never waits. */
void network_refused_put(struct network *n, const struct network_refused *what);
/* Each of them, in no order; *cursor starts at 0. What is garbled is passed over. False: no more. */
bool network_refused_next(struct network *n, uint32_t *cursor, struct network_refused *ret);

#endif
