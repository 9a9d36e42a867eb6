/* src/stack/event.c: which sockets changed; and the lists that sockets stand in.
 *
 * A socket stands in the queue of events once, with all bits that were not said yet: a million segments are one event. What is told is
 * pulled (berth_stack_events()); nothing calls the program, so nothing can call back in (S25).
 *
 * A socket that the program closed has one thing left to say, that it is gone. Its block waits for that: the event names its handle,
 * and only then may the slot become another socket.
 *
 * Lists are doubly linked by socket ids, so that a socket leaves in constant time wherever it stands.
 */
#include "stack/tcp_control.h"
#include "stack/udp.h"

/* --- lists --- */
static struct sock_link *link_of(struct berth_stack *st, uint32_t id, bool ev)
{
	struct sock *s = sock_at(st, id);

	return ev ? &s->ev : &s->tx;
}

void sock_list_add(struct berth_stack *st, struct sock_queue *q, uint32_t id, bool ev)
{
	struct sock_link *l = link_of(st, id, ev);

	*l = (struct sock_link){NIL, q->last};
	if (q->last != NIL)
		link_of(st, q->last, ev)->next = id;
	else
		q->first = id;
	q->last = id;
}

void sock_list_remove(struct berth_stack *st, struct sock_queue *q, uint32_t id, bool ev)
{
	struct sock_link *l = link_of(st, id, ev);

	if (l->prev != NIL)
		link_of(st, l->prev, ev)->next = l->next;
	else
		q->first = l->next;
	if (l->next != NIL)
		link_of(st, l->next, ev)->prev = l->prev;
	else
		q->last = l->prev;
}

bool sock_list_check(const struct berth_stack *st, const struct sock_queue *q, bool ev, uint32_t flag, uint32_t *ret_n)
{
	uint32_t prev = NIL, n = 0;

	for (uint32_t id = q->first; id != NIL;) {
		const struct slab *slab = id & SOCK_ID_UDP ? &st->udps : &st->conns;
		const struct sock *s;
		const struct sock_link *l;

		if (!slab_used(slab, id & ~SOCK_ID_UDP) || ++n > st->conns.n_max + st->udps.n_max)
			return false;
		s = slab_at(slab, id & ~SOCK_ID_UDP);
		l = ev ? &s->ev : &s->tx;
		if (l->prev != prev || !(s->flags & flag))
			return false;
		prev = id;
		id = l->next;
	}
	*ret_n = n;
	return q->last == prev;
}

/* --- events --- */
/* The program has no handle of a connection that it did not accept yet. */
static bool is_unborn(const struct sock *s, uint32_t id)
{
	return !(id & SOCK_ID_UDP) && ((const struct tcp_conn *)(const void *)s)->f & TF_IN_ACCEPT;
}

void event_add(struct berth_stack *st, uint32_t id, uint32_t bits)
{
	struct sock *s = sock_at(st, id);

	if (s->flags & SOCK_ORPHAN)
		bits &= BERTH_EV_CLOSED;
	if (bits == 0 || is_unborn(s, id)) /* tcp_accept() says what there is then */
		return;
	s->ev_mask |= (uint8_t)bits;
	if (s->flags & SOCK_EV_QUEUED)
		return;
	s->flags |= SOCK_EV_QUEUED;
	sock_list_add(st, &st->events, id, true);
}

void event_forget(struct berth_stack *st, uint32_t id)
{
	struct sock *s = sock_at(st, id);

	s->ev_mask = 0;
	if (!(s->flags & SOCK_EV_QUEUED))
		return;
	s->flags &= ~(uint32_t)SOCK_EV_QUEUED;
	sock_list_remove(st, &st->events, id, true);
}

unsigned berth_stack_events(struct berth_stack *st, struct berth_event *v, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && st->events.first != NIL; i++) {
		uint32_t id = st->events.first;
		struct sock *s = sock_at(st, id);

		v[i] = (struct berth_event){sock_handle(st, id), s->user, s->ev_mask, s->err};
		event_forget(st, id);
		if (v[i].mask & BERTH_EV_CLOSED)
			tcp_block_free(st, tcp_at(st, id)); /* the last thing it says was said */
	}
	return i;
}
