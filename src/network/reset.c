/* src/network/reset.c: flows that end with a reset.
 *
 * SO_LINGER with a time of 0 makes TCP's close() a reset: the other end reads ECONNRESET and not an end of
 * file. An AF_UNIX socket that closes cannot say so, and close() is not ours. So the end that sets the
 * option writes it down in the flow's claim, which is the client's, and the end that finds its peer gone
 * looks there. The claim is still there although its socket is not: it is released by the next who wants
 * the port. If it was, or is another's by now (its four-tuple says so), the end is an ordinary one.
 *
 * Programs that do so are rare. A word in the file's header says whether there is one in this network: without
 * it nobody pays for the question.
 */
#include "network/internal.h"

static int claim_of(struct network *n, const struct network_name *f, struct port_ref *ret, struct port_claim *ret_claim)
{
	int r = f->client_host >= NETWORK_HOSTS_MAX
			? -ESTALE
			: network_get_slot(n, f->client_host, f->client_slot, ret, ret_claim);

	if (r < 0)
		return r;
	if (ret_claim->state != CLAIM_CONNECTED || ret_claim->port != f->tuple.local_port ||
	    ret_claim->peer_port != f->tuple.remote_port || !port_addr_equal(&ret_claim->peer, &f->tuple.remote))
		return -ESTALE;
	return 0;
}

void network_reset_mark(struct network *n, const struct network_name *flow, bool by_client, bool on)
{
	uint16_t bit = by_client ? PORT_RESETS : PORT_PEER_RESETS;
	struct map_header *hd;
	struct port_claim c;
	struct port_ref ref;
	int r;

	if (!on && !network_resets(n))
		return;
	r = claim_of(n, flow, &ref, &c);
	if (r == 0 && ((c.flags & bit) != 0) != on)
		r = network_set_flags(n, flow->client_host, ref, bit, on ? bit : 0);
	hd = r == 0 && on ? map_header(n) : NULL;
	if (hd)
		atomic_store(&hd->resets, 1);
}

bool network_reset_seen(struct network *n, const struct network_name *flow, bool by_client)
{
	struct port_claim c;
	struct port_ref ref;

	return network_resets(n) && claim_of(n, flow, &ref, &c) == 0 &&
	       c.flags & (by_client ? PORT_RESETS : PORT_PEER_RESETS);
}

bool network_resets(const struct network *n)
{
	const struct map_header *hd = (const void *)map_base(n);

	/* Asked at the end of a stream: there may have been nobody else to notice that the file was cut short. */
	return raw_readable(&hd->resets) && atomic_load(&hd->resets) != 0;
}
