/* src/stack/neigh.c: the neighbours: who has which link address, and is he still there (RFC 4861, 7.3; the same for ARP).
 *
 *	NONE --- sent to ---> INCOMPLETE --- answer ---> REACHABLE --- time ---> STALE --- sent to ---> DELAY --- 5 s ---> PROBE
 *	  ^			  |			    ^                                              |		   |
 *	  |			  | 3 questions		    `-------- answer, or the transport's word -----+---------------'
 *	  `----- 1 s ------- FAILED <------------------------------- 3 questions ---------------------------------------- (PROBE)
 *
 * A question to everybody three times, a second apart; a known one is asked alone. REACHABLE ends when somebody looks: no timer.
 * A router that failed is doubted until it answers: route.c takes another one if there is one, and meanwhile the doubted one is asked every
 * half a minute, in nobody's way. Other entries are forgotten a second after they failed.
 *
 * At most three packets wait for one neighbour, the newest ones (RFC 4861, 7.2.2), and a quarter of all packets for all neighbours: who
 * asks in many names gets answers that wait for nobody, and the rest of the stack must be able to speak. Sockets do not queue here at
 * all: they are told -EINPROGRESS, wait in st->waiting and are woken when anything is resolved or has failed (S19).
 *
 * The table has a fixed size. Room is made by looking at sixteen entries from a hand that goes round: free, failed, never used, stale,
 * then the one that was used longest ago. Strangers (questions that name their sender) push out only what we do not use. Found by a
 * keyed hash, on chains of at most NEIGH_CHAIN_MAX (S18): there is one key for the stack's life, and who found out which addresses
 * share a chain would make looking slow. On a full chain an entry of that chain makes room.
 *
 * Always true (neigh_check())
 *   N1  an entry in use is on exactly one chain, its hash's; no two have the same name;
 *   N2  packets wait only where the state is INCOMPLETE; n_queued is at most NEIGH_QUEUE_MAX, n_neigh_queued their sum;
 *   N3  INCOMPLETE, DELAY, PROBE and FAILED have a timer, the others none;
 *   N4  no chain has more than NEIGH_CHAIN_MAX entries.
 */
#include "stack/ip_state.h"

#define SOLICITS 3
#define DELAY_FIRST_PROBE_NS (5 * SECOND_NS)
#define FAILED_NS SECOND_NS
#define ROUTER_RETRY_NS (30 * SECOND_NS)
#define EVICT_LOOKS 16
#define QUEUE_SHARE 4 /* of all packets that part may wait for neighbours */

#define TO(s) (1u << NEIGH_##s)
static const uint16_t edges[NEIGH_NSTATES] = {
	[NEIGH_NONE] = TO(INCOMPLETE) | TO(STALE) | TO(REACHABLE) | TO(STATIC),
	[NEIGH_INCOMPLETE] = TO(REACHABLE) | TO(STALE) | TO(FAILED) | TO(STATIC),
	[NEIGH_REACHABLE] = TO(REACHABLE) | TO(STALE) | TO(STATIC),
	[NEIGH_STALE] = TO(STALE) | TO(DELAY) | TO(REACHABLE) | TO(STATIC),
	[NEIGH_DELAY] = TO(PROBE) | TO(REACHABLE) | TO(STALE) | TO(STATIC),
	[NEIGH_PROBE] = TO(REACHABLE) | TO(STALE) | TO(FAILED) | TO(STATIC),
	[NEIGH_FAILED] = TO(INCOMPLETE) | TO(REACHABLE) | TO(STALE) | TO(STATIC),
	[NEIGH_STATIC] = TO(STATIC),
};

static void set_state(struct neigh *n, enum neigh_state to)
{
	ASSERT(edges[n->state] & (1u << to));
	n->state = (uint8_t)to;
}

static uint32_t bucket_of(const struct berth_stack *st, uint16_t iface, const struct port_addr *a)
{
	uint8_t name[18] = {(uint8_t)iface, (uint8_t)(iface >> 8)};

	memcpy(name + 2, a->b, 16);
	return (uint32_t)siphash13(&st->keys.neigh_hash, name, sizeof(name)) & st->ip->neigh_mask;
}

uint32_t neigh_find(const struct berth_stack *st, uint16_t iface, const struct port_addr *a)
{
	uint32_t i = st->ip->neigh_first[bucket_of(st, iface, a)];

	while (i != NIL && !(st->ip->neighs[i].iface == iface && memcmp(st->ip->neighs[i].addr.b, a->b, 16) == 0))
		i = st->ip->neighs[i].hash_next;
	return i;
}

static void drop_queue(struct berth_stack *st, struct neigh *n)
{
	for (unsigned i = 0; i < n->n_queued; i++) {
		pkt_give(st, n->queue[i]);
		st->n.dropped_no_route++;
	}
	st->ip->n_neigh_queued -= n->n_queued;
	n->n_queued = 0;
}

void neigh_remove(struct berth_stack *st, uint32_t index)
{
	struct neigh *n = &st->ip->neighs[index];
	uint32_t *at = &st->ip->neigh_first[bucket_of(st, n->iface, &n->addr)];

	ASSERT(n->used);
	while (*at != index)
		at = &st->ip->neighs[*at].hash_next;
	*at = n->hash_next;
	wheel_cancel(&st->wheel, TIMER_NEIGH, index);
	drop_queue(st, n);
	n->used = false;
	if (n->routed)
		route_changed(st);
}

/* What an entry is worth, least first. */
static unsigned worth(const struct neigh *n)
{
	switch ((enum neigh_state)n->state) {
	case NEIGH_FAILED:
		return 1;
	case NEIGH_NONE:
		return 2;
	case NEIGH_STALE:
		return n->routed ? 5 : 3;
	case NEIGH_INCOMPLETE:
		return 4;
	case NEIGH_DELAY:
	case NEIGH_PROBE:
	case NEIGH_REACHABLE:
		return 6;
	case NEIGH_STATIC:
		break;
	}
	return 7;
}

/* May n be pushed out, for one that we asked for or for a stranger; and is it the better one to push out? */
static bool may_go(const struct neigh *n, bool asked_for)
{
	return worth(n) <= (asked_for ? 6u : 3u);
}

static bool goes_before(const struct neigh *a, const struct neigh *b)
{
	return worth(a) < worth(b) || (worth(a) == worth(b) && a->used_ns < b->used_ns);
}

static void evict(struct berth_stack *st, uint32_t index)
{
	neigh_remove(st, index);
	st->n.neigh_evicted++;
}

/* Room for one more on a chain; false: all that are on it are worth more. *ret_n: how many there are now. */
static bool make_room_on_chain(struct berth_stack *st, uint32_t bucket, bool asked_for, uint32_t *ret_n)
{
	const struct ip_state *ip = st->ip;
	uint32_t best = NIL, n = 0;

	for (uint32_t i = ip->neigh_first[bucket]; i != NIL; i = ip->neighs[i].hash_next, n++)
		if (may_go(&ip->neighs[i], asked_for) &&
		    (best == NIL || goes_before(&ip->neighs[i], &ip->neighs[best])))
			best = i;
	*ret_n = n;
	if (n < NEIGH_CHAIN_MAX)
		return true;
	if (best == NIL)
		return false;
	evict(st, best);
	--*ret_n;
	return true;
}

/* A slot for a new entry; NIL. Looks at all of them only while the first sixteen are all static. */
static uint32_t make_room(struct berth_stack *st, bool asked_for)
{
	struct ip_state *ip = st->ip;
	uint32_t best = NIL, n_max = st->cfg.n_neighs;

	for (uint32_t looks = 0; looks < n_max && (looks < EVICT_LOOKS || best == NIL); looks++) {
		uint32_t i = ip->neigh_hand = ip->neigh_hand + 1 < n_max ? ip->neigh_hand + 1 : 0;
		const struct neigh *n = &ip->neighs[i];

		if (!n->used)
			return i;
		if (may_go(n, asked_for) && (best == NIL || goes_before(n, &ip->neighs[best])))
			best = i;
	}
	if (best != NIL)
		evict(st, best);
	return best;
}

uint32_t neigh_get(struct berth_stack *st, uint16_t iface, const struct port_addr *a, bool asked_for)
{
	uint32_t i = neigh_find(st, iface, a), bucket, n_chain;
	struct neigh *n;

	if (i == NIL) {
		bucket = bucket_of(st, iface, a);
		if (!make_room_on_chain(st, bucket, asked_for, &n_chain))
			return NIL;
		i = make_room(st, asked_for);
		if (i == NIL)
			return NIL;
		if (n_chain + 1 > st->n.neigh_chain_max)
			st->n.neigh_chain_max = n_chain + 1;
		n = &st->ip->neighs[i];
		*n = (struct neigh){.addr = *a, .iface = iface, .state = NEIGH_NONE, .used = true};
		n->hash_next = st->ip->neigh_first[bucket];
		timer_init(&n->timer);
		st->ip->neigh_first[bucket] = i;
	}
	if (asked_for && st->ip->neighs[i].state != NEIGH_FAILED)
		st->ip->neighs[i].used_ns = st->now_ns;
	return i;
}

/* --- asking --- */

static void ask(struct berth_stack *st, const struct neigh *n, bool alone)
{
	struct port_addr src = PORT_ADDR_ANY4;

	if (!route_source(st, n->iface, &n->addr, false, &src)) {
		if (!is4(&n->addr))
			return; /* without an address of our own only duplicate detection asks */
		src = PORT_ADDR_ANY4;
	}
	if (is4(&n->addr))
		arp_ask(st, n->iface, &src, &n->addr, alone ? n->mac : NULL);
	else
		nd_ask(st, n->iface, &src, &n->addr, alone ? n->mac : NULL, NULL);
}

static void ask_again_later(struct berth_stack *st, uint32_t index)
{
	const struct iface *f = iface_at(st, st->ip->neighs[index].iface);

	wheel_set(&st->wheel, TIMER_NEIGH, index, st->now_ns + f->retrans_ms * MS_NS);
}

static bool is_gateway(const struct berth_stack *st, const struct neigh *n)
{
	for (uint32_t i = 0; i < st->ip->n_routes; i++) {
		const struct ip_route_entry *e = &st->ip->routes[st->ip->route_order[i]];

		if (e->has_gateway && e->iface == n->iface && same_addr(&e->gateway, &n->addr))
			return true;
	}
	return false;
}

static void failed(struct berth_stack *st, uint32_t index)
{
	struct neigh *n = &st->ip->neighs[index];
	bool gateway = is_gateway(st, n);

	set_state(n, NEIGH_FAILED);
	st->n.neigh_failed++;
	drop_queue(st, n);
	n->used_ns = st->now_ns; /* of FAILED: when that was */
	wheel_set(&st->wheel, TIMER_NEIGH, index, st->now_ns + (gateway ? ROUTER_RETRY_NS : FAILED_NS));
	if (gateway && !n->doubted) {
		n->doubted = true;
		route_changed(st);
	}
	sock_wake_waiting(st);
}

static void begin_asking(struct berth_stack *st, uint32_t index)
{
	struct neigh *n = &st->ip->neighs[index];

	set_state(n, NEIGH_INCOMPLETE);
	n->n_probes = 1;
	ask(st, n, false);
	ask_again_later(st, index);
}

void neigh_timer(struct berth_stack *st, uint32_t index)
{
	struct neigh *n = &st->ip->neighs[index];

	switch ((enum neigh_state)n->state) {
	case NEIGH_DELAY:
		set_state(n, NEIGH_PROBE);
		n->n_probes = 0;
		FALLTHROUGH;
	case NEIGH_PROBE:
	case NEIGH_INCOMPLETE:
		if (n->n_probes == SOLICITS) {
			failed(st, index);
			return;
		}
		n->n_probes++;
		ask(st, n, n->state == NEIGH_PROBE);
		ask_again_later(st, index);
		return;
	case NEIGH_FAILED:
		if (is_gateway(st, n))
			begin_asking(st, index);
		else
			neigh_remove(st, index);
		return;
	case NEIGH_NONE:
	case NEIGH_REACHABLE:
	case NEIGH_STALE:
	case NEIGH_STATIC:
		return;
	}
}

/* --- answers --- */

static void flush(struct berth_stack *st, struct neigh *n)
{
	for (unsigned i = 0; i < n->n_queued; i++)
		ip_link_send(st, n->iface, n->queue[i], n->mac, is4(&n->addr) ? WIRE_ETH_IP4 : WIRE_ETH_IP6);
	st->ip->n_neigh_queued -= n->n_queued;
	n->n_queued = 0;
}

static void become(struct berth_stack *st, uint32_t index, enum neigh_state to)
{
	struct neigh *n = &st->ip->neighs[index];
	bool was_waited_for = n->state == NEIGH_INCOMPLETE || n->state == NEIGH_FAILED;

	set_state(n, to);
	wheel_cancel(&st->wheel, TIMER_NEIGH, index);
	if (to == NEIGH_REACHABLE)
		n->reachable_until_ns = st->now_ns + iface_reachable_ns(st, iface_at(st, n->iface));
	if (n->doubted) {
		n->doubted = false;
		route_changed(st);
	}
	flush(st, n);
	if (was_waited_for)
		sock_wake_waiting(st);
}

void neigh_learn(struct berth_stack *st, uint32_t index, const uint8_t mac[6])
{
	struct neigh *n = &st->ip->neighs[index];
	bool known = n->state >= NEIGH_REACHABLE && n->state <= NEIGH_PROBE;

	if (n->state == NEIGH_STATIC || wire_mac_is_multicast(mac))
		return;
	if (known && memcmp(n->mac, mac, 6) == 0)
		return;
	memcpy(n->mac, mac, 6);
	become(st, index, NEIGH_STALE);
}

/* RFC 4861, 7.2.5 */
void neigh_answer(struct berth_stack *st, uint32_t index, const uint8_t *mac, bool solicited, bool override)
{
	struct neigh *n = &st->ip->neighs[index];
	bool known = n->state >= NEIGH_REACHABLE && n->state <= NEIGH_PROBE, other;

	if (n->state == NEIGH_STATIC || (mac && wire_mac_is_multicast(mac)))
		return;
	if (!known) { /* INCOMPLETE, and what we did not ask for: then nothing is learnt (7.2.5, first) */
		if (n->state != NEIGH_INCOMPLETE || !mac)
			return;
		memcpy(n->mac, mac, 6);
		become(st, index, solicited ? NEIGH_REACHABLE : NEIGH_STALE);
		return;
	}
	other = mac && memcmp(n->mac, mac, 6) != 0;
	if (other && !override) {
		if (n->state == NEIGH_REACHABLE)
			become(st, index, NEIGH_STALE);
		return;
	}
	if (other)
		memcpy(n->mac, mac, 6);
	if (solicited)
		become(st, index, NEIGH_REACHABLE);
	else if (other)
		become(st, index, NEIGH_STALE);
}

/* --- for who sends --- */

int ip_route_ready(struct berth_stack *st, const struct ip_route *rt)
{
	const struct iface *f = iface_at(st, rt->iface);
	struct neigh *n;

	if (!f || !f->up)
		return -EHOSTUNREACH; /* it went, and nothing leads there any more */
	if (rt->neigh == NIL)
		return 0;
	n = &st->ip->neighs[rt->neigh];
	if (!n->used)
		return -EHOSTUNREACH; /* the route is stale: ask for another */
	if (n->state != NEIGH_FAILED)
		n->used_ns = st->now_ns;
	switch ((enum neigh_state)n->state) {
	case NEIGH_REACHABLE:
		if (n->reachable_until_ns > st->now_ns)
			return 0;
		set_state(n, NEIGH_STALE);
		FALLTHROUGH;
	case NEIGH_STALE:
		set_state(n, NEIGH_DELAY);
		wheel_set(&st->wheel, TIMER_NEIGH, rt->neigh, st->now_ns + DELAY_FIRST_PROBE_NS);
		return 0;
	case NEIGH_DELAY:
	case NEIGH_PROBE:
	case NEIGH_STATIC:
		return 0;
	case NEIGH_FAILED:
		if (st->now_ns - n->used_ns < FAILED_NS)
			return -EHOSTUNREACH;
		FALLTHROUGH;
	case NEIGH_NONE:
		begin_asking(st, rt->neigh);
		return -EINPROGRESS;
	case NEIGH_INCOMPLETE:
		return -EINPROGRESS;
	}
	return -EHOSTUNREACH;
}

void ip_route_confirm(struct berth_stack *st, const struct ip_route *rt)
{
	struct neigh *n;

	if (rt->neigh == NIL || rt->epoch != st->route_epoch)
		return;
	n = &st->ip->neighs[rt->neigh];
	if (!n->used)
		return;
	if (n->state == NEIGH_REACHABLE)
		n->reachable_until_ns = st->now_ns + iface_reachable_ns(st, iface_at(st, n->iface));
	else if (n->state == NEIGH_STALE || n->state == NEIGH_DELAY || n->state == NEIGH_PROBE)
		become(st, rt->neigh, NEIGH_REACHABLE);
}

void neigh_queue(struct berth_stack *st, uint32_t index, uint32_t pkt_index)
{
	struct neigh *n = &st->ip->neighs[index];
	bool full =
		st->ip->n_neigh_queued >= NEIGH_QUEUE_MAX && st->ip->n_neigh_queued >= st->cfg.n_packets / QUEUE_SHARE;

	ASSERT(n->used && n->state == NEIGH_INCOMPLETE);
	if (full && n->n_queued == 0) {
		pkt_give(st, pkt_index);
		st->n.dropped_no_route++;
		return;
	}
	if (full || n->n_queued == NEIGH_QUEUE_MAX) {
		pkt_give(st, n->queue[0]);
		st->n.dropped_no_route++;
		memmove(n->queue, n->queue + 1, sizeof(n->queue) - sizeof(n->queue[0]));
		n->n_queued--;
		st->ip->n_neigh_queued--;
	}
	pkt_at(st, pkt_index)->hops_to = index;
	n->queue[n->n_queued++] = pkt_index;
	st->ip->n_neigh_queued++;
}

/* --- the public calls --- */

int berth_neigh_add(struct berth_stack *st, uint16_t iface, const struct berth_addr *a, const uint8_t mac[6])
{
	struct port_addr at = with_scope(addr_of(a), iface);
	uint32_t i;

	if (!iface_at(st, iface) || iface == IP_IFACE_SELF)
		return -ENODEV;
	if (port_addr_is_any(&at) || port_addr_is_multicast(&at) || wire_mac_is_multicast(mac) ||
	    st->ip->ifaces[iface].link != BERTH_LINK_ETHERNET)
		return -EINVAL;
	i = neigh_get(st, iface, &at, true);
	if (i == NIL)
		return -ENOBUFS;
	memcpy(st->ip->neighs[i].mac, mac, 6);
	become(st, i, NEIGH_STATIC);
	ASSERT_SLOW(neigh_check(st));
	return 0;
}

int berth_neigh_remove(struct berth_stack *st, uint16_t iface, const struct berth_addr *a)
{
	struct port_addr at = with_scope(addr_of(a), iface);
	uint32_t i;

	if (!iface_at(st, iface))
		return -ENODEV;
	i = neigh_find(st, iface, &at);
	if (i == NIL)
		return -ESRCH;
	neigh_remove(st, i);
	sock_wake_waiting(st);
	return 0;
}

_Static_assert((int)BERTH_NEIGH_NONE == NEIGH_NONE && (int)BERTH_NEIGH_INCOMPLETE == NEIGH_INCOMPLETE &&
		       (int)BERTH_NEIGH_REACHABLE == NEIGH_REACHABLE && (int)BERTH_NEIGH_STALE == NEIGH_STALE &&
		       (int)BERTH_NEIGH_DELAY == NEIGH_DELAY && (int)BERTH_NEIGH_PROBE == NEIGH_PROBE &&
		       (int)BERTH_NEIGH_FAILED == NEIGH_FAILED && (int)BERTH_NEIGH_PERMANENT == NEIGH_STATIC,
	       "the public numbers are ours");

int berth_neigh_next(struct berth_stack *st, uint32_t *cursor, struct berth_neigh_info *ret)
{
	for (; *cursor < st->cfg.n_neighs; ++*cursor) {
		const struct neigh *n = &st->ip->neighs[*cursor];
		struct berth_neigh_info i;

		if (!n->used)
			continue;
		i = (struct berth_neigh_info){
			.addr = addr_public(&n->addr, 0),
			.iface = n->iface,
			.state = n->state,
			.is_router = n->is_router,
			.n_queued = n->n_queued,
		};
		if (n->state != NEIGH_NONE && n->state != NEIGH_INCOMPLETE && n->state != NEIGH_FAILED)
			memcpy(i.mac, n->mac, sizeof(i.mac));
		++*cursor;
		return struct_out(ret, &i, sizeof(i), offsetof(struct berth_neigh_info, state)) < 0 ? -EINVAL : 1;
	}
	return 0;
}

bool neigh_check(const struct berth_stack *st)
{
	const struct ip_state *ip = st->ip;
	uint32_t n_queued = 0;

	for (uint32_t i = 0; i < st->cfg.n_neighs; i++) {
		const struct neigh *n = &ip->neighs[i];
		bool timed = n->state == NEIGH_INCOMPLETE || n->state == NEIGH_DELAY || n->state == NEIGH_PROBE ||
			     n->state == NEIGH_FAILED;

		if (!n->used)
			continue;
		if (neigh_find(st, n->iface, &n->addr) != i || timed != timer_is_set(&n->timer))
			return false;
		n_queued += n->n_queued;
		if (n->n_queued > NEIGH_QUEUE_MAX || (n->n_queued && n->state != NEIGH_INCOMPLETE))
			return false;
	}
	for (uint32_t b = 0; b <= ip->neigh_mask; b++) {
		uint32_t n_chain = 0;

		for (uint32_t i = ip->neigh_first[b]; i != NIL; i = ip->neighs[i].hash_next)
			if (++n_chain > NEIGH_CHAIN_MAX)
				return false;
	}
	return n_queued == ip->n_neigh_queued;
}
