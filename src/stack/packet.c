/* src/stack/packet.c: 2 KiB buffers for what belongs to no stream (ARP, ND, ICMP, IGMP, segments without a connection), and queues
 * of them.
 *
 * A buffer has one owner at a time: whoever took it, the queue it is in, or (ip_send()) IP. There are n_packets, for the whole stack;
 * when none is left what was to be sent is not sent, and counted. Streams need none, so they go on.
 */
#include "stack/stack.h"

struct pkt *pkt_take(struct berth_stack *st, uint32_t *ret_index)
{
	uint32_t i = slab_take_dirty(&st->pkts);
	struct pkt *p;

	if (i == NIL) {
		st->n.dropped_no_buffer++;
		return NULL;
	}
	p = pkt_at(st, i);
	p->next = NIL;
	p->off = PKT_HEADROOM;
	p->len = 0;
	p->iface = BERTH_IFACE_ANY;
	p->flags = 0;
	p->l2_done = 0;
	p->csum_start = p->csum_offset = 0;
	p->hops_to = NIL;
	*ret_index = i;
	return p;
}

void pkt_give(struct berth_stack *st, uint32_t index)
{
	slab_give(&st->pkts, index);
}

void pkt_queue_add(struct berth_stack *st, struct pkt_queue *q, uint32_t index)
{
	pkt_at(st, index)->next = NIL;
	if (q->n == 0)
		q->first = index;
	else
		pkt_at(st, q->last)->next = index;
	q->last = index;
	q->n++;
}

uint32_t pkt_queue_take(struct berth_stack *st, struct pkt_queue *q)
{
	uint32_t i = q->first;

	if (q->n == 0)
		return NIL;
	q->first = pkt_at(st, i)->next;
	q->n--;
	return i;
}
