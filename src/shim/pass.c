/* src/shim/pass.c: may the caller send to the outside? Asked, counted and told in one place.
 *
 * Who carries something out of the network asks here, with the address as the program gave it. A refusal is counted
 * in the network's table (`berth ls --refused`) and told through the ring of the caller's run.
 */
#include <string.h>

#include "network/policy.h"
#include "shim/shim.h"

static void tell(struct shim *s, char call, const struct network_refused *what, const struct port_refusal *why)
{
	struct port_want want = {.proto = what->proto,
				 .family = port_addr_is4(&what->addr) ? PORT_FAMILY_4 : PORT_FAMILY_6,
				 .addr = what->addr,
				 .port = what->port};

	memcpy(want.owner.comm, what->comm, sizeof(want.owner.comm));
	shim_event(s, call, &want, why);
}

int shim_may_pass(struct shim *s, enum port_proto proto, const struct port_addr *addr, uint16_t port)
{
	struct network_refused what = {.host = s->host.index, .proto = proto, .addr = *addr, .port = port};
	struct port_refusal why = {.err = -ENETUNREACH};
	bool nobodys = network_covers(&s->net, addr) && !network_is_gateway(&s->net, addr);

	if (!nobodys) {
		why.err = network_policy_ask(&s->net, &s->policy, proto, addr, port, &why.policy);
		if (why.err == 0)
			return 0;
		why.rule = PORT_RULE_POLICY;
	}
	what.pid = shim_caller(s, what.comm);
	what.err = why.err;
	what.by = why.policy;
	if (!nobodys)
		network_refused_put(&s->net, &what);
	tell(s, nobodys ? 'c' : 'p', &what, &why);
	return why.err;
}
