/* src/shim/pass.c: may the caller send to the outside? Asked, counted and told in one place.
 *
 * Who carries something out of the network asks here, with the address as the program gave it. A refusal is counted
 * in the network's table (`berth ls --refused`) and told through the ring of the caller's run.
 */
#include <string.h>

#include "network/policy.h"
#include "shim/shim.h"

static void tell(struct shim *s, char call, enum port_proto proto, const struct port_addr *addr, uint16_t port,
		 const struct network_asker *who, const struct port_refusal *why)
{
	struct port_want want = {.proto = proto,
				 .family = port_addr_is4(addr) ? PORT_FAMILY_4 : PORT_FAMILY_6,
				 .addr = *addr,
				 .port = port};

	memcpy(want.owner.comm, who->comm, sizeof(want.owner.comm));
	shim_event(s, call, &want, why);
}

int shim_may_pass(struct shim *s, enum port_proto proto, const struct port_addr *addr, uint16_t port)
{
	struct network_asker who = {.host = s->host.index, .run = &s->policy};
	struct port_refusal why = {.err = -ENETUNREACH};
	int r;

	who.pid = shim_caller(s, who.comm);
	if (network_covers(&s->net, addr) && !network_is_gateway(&s->net, addr)) {
		tell(s, 'c', proto, addr, port, &who, &why);
		return -ENETUNREACH;
	}
	r = network_policy_ask(&s->net, &who, proto, addr, port, &why.policy);
	if (r < 0) {
		why.err = r;
		why.rule = PORT_RULE_POLICY;
		tell(s, 'p', proto, addr, port, &who, &why);
	}
	return r;
}
