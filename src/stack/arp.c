/* src/stack/arp.c: how an IPv4 neighbour is asked, and answers (RFC 826, RFC 5227).
 *
 * A message is looked at for four things: does it claim an address of ours (a conflict), is it a question for us (answer it and remember
 * who asks), is it the answer to a question of ours, does it mention a neighbour we know already. Nothing is learnt from messages
 * between others: the table holds who we talk to. Requests for all, once answered, are worth a STALE entry only; that somebody sends
 * frames with a sender's address proves nothing.
 */
#include "stack/ip_state.h"

static void send(struct berth_stack *st, uint16_t iface, const struct wire_arp *a, const uint8_t to[6])
{
	uint32_t i;
	struct pkt *p = pkt_take(st, &i);
	int r;

	if (!p)
		return;
	r = wire_arp_emit(a, p->data + p->off, WIRE_ARP_LEN);
	ASSERT(r == WIRE_ARP_LEN);
	p->len = WIRE_ARP_LEN;
	st->n.arp_out++;
	ip_link_send(st, iface, i, to, WIRE_ETH_ARP);
}

void arp_ask(struct berth_stack *st, uint16_t iface, const struct port_addr *src, const struct port_addr *target,
	     const uint8_t *to)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct wire_arp a = {.op = WIRE_ARP_REQUEST, .sender = *src, .target = *target};

	memcpy(a.sender_mac, iface_at(st, iface)->mac, 6);
	send(st, iface, &a, to ? to : all);
}

static void answer(struct berth_stack *st, uint16_t iface, const struct wire_arp *asked)
{
	struct wire_arp a = {.op = WIRE_ARP_REPLY, .sender = asked->target, .target = asked->sender};

	memcpy(a.sender_mac, iface_at(st, iface)->mac, 6);
	memcpy(a.target_mac, asked->sender_mac, 6);
	send(st, iface, &a, asked->sender_mac);
}

/* RFC 5227, 2.1.1 and 2.4: somebody uses our address, or probes for the one that we probe for. */
static bool conflict(struct berth_stack *st, uint16_t iface, const struct wire_arp *a)
{
	uint32_t i = port_addr_is_any(&a->sender) ? NIL : addr_find(st, &a->sender);

	if (i == NIL && port_addr_is_any(&a->sender) && a->op == WIRE_ARP_REQUEST) {
		i = addr_find(st, &a->target);
		if (i != NIL && !(st->ip->addrs[i].flags & BERTH_ADDR_TENTATIVE))
			return false; /* a probe for what we have: the answer defends it */
	}
	if (i == NIL || st->ip->addrs[i].iface != iface)
		return false;
	addr_conflict(st, i);
	return true;
}

void arp_input(struct berth_stack *st, uint16_t iface, const uint8_t *data, size_t len)
{
	struct wire_arp a;
	bool for_us;
	uint32_t n;
	int r = wire_arp_parse(data, len, &a);

	if (r < 0) {
		st->n.dropped_malformed++;
		return;
	}
	st->n.arp_in++;
	if (memcmp(a.sender_mac, iface_at(st, iface)->mac, 6) == 0)
		return; /* our own, sent back by the link */
	if (wire_mac_is_multicast(a.sender_mac) || port_addr_is_multicast(&a.sender) ||
	    port_addr_is_loopback(&a.sender) || ip_is_broadcast(st, iface, &a.sender)) {
		st->n.dropped_policy++;
		return;
	}
	if (conflict(st, iface, &a))
		return;
	for_us = !port_addr_is_loopback(&a.target) && ip_is_local(st, &a.target);
	n = port_addr_is_any(&a.sender) ? NIL : neigh_find(st, iface, &a.sender);
	if (a.op == WIRE_ARP_REQUEST && for_us) {
		if (n == NIL && !port_addr_is_any(&a.sender))
			n = neigh_get(st, iface, &a.sender, false);
		if (n != NIL)
			neigh_learn(st, n, a.sender_mac);
		answer(st, iface, &a);
	} else if (n != NIL && a.op == WIRE_ARP_REPLY) {
		/* An answer to us is solicited; one to all is an announcement. Both replace what we have (RFC 826). */
		neigh_answer(st, n, a.sender_mac, for_us, true);
	} else if (n != NIL) {
		neigh_learn(st, n, a.sender_mac);
	}
}
