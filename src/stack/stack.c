/* src/stack/stack.c: a stack's memory, its keys and its clock, and the three loops that drive it: input, output, tick.
 *
 * Memory is one piece. It is laid out twice by the same code: berth_stack_size() lets it count, berth_stack_init() lets it lay.
 *
 *	struct berth_stack | packet buffers | scratch | port table | IP's | TCP's | UDP's
 *
 * Input goes through a batch of up to 32 frames twice: all headers are looked at and all flows looked up together (the port
 * table's memory is asked for before it is needed), then each packet is dealt with. What the first pass found may be old when the second
 * comes to it, because a packet before it changed things; a claim that is not as it was is looked up again.
 *
 * Output serves what is complete (st->control) before streams, and sockets in turn, at most QUANTUM frames each: one with a full ring
 * cannot starve the others. Frames for ourselves come back in here, and nowhere else, so that no call is ever within another.
 *
 * Cost of a call: input is bounded by its frames, tick by its budget, output by TURNS(n) socket visits.
 */
#include <errno.h>
#include <string.h>

#include "stack/ip_state.h"
#include "stack/tcp.h"
#include "stack/udp.h"

#define BATCH 32u
#define QUANTUM 8u
#define TURNS(n) (4 * (n) + 64)
#define RING_MIN 4096u
#define RING_MAX (1u << 30)
/* Away from NEVER_NS, so that a deadline after now is never lost. */
#define TIME_MOST (UINT64_MAX / 2)

/* --- configuration --- */
static void or_default(uint32_t *v, uint32_t to)
{
	if (*v == 0)
		*v = to;
}

static bool ring_ok(uint32_t n)
{
	return n >= RING_MIN && n <= RING_MAX && (n & (n - 1)) == 0;
}

static uint64_t n_claims(const struct berth_stack_config *c)
{
	return (uint64_t)c->n_conns + c->n_udp + c->n_time_wait;
}

/* Nobody asks a stack's claims whose they are, and its TIME-WAIT records end them. */
static struct port_table_form ports_form(const struct berth_stack_config *c)
{
	uint32_t n = (uint32_t)n_claims(c);

	return (struct port_table_form){.n_claims = n, .n_places = c->n_places < n ? c->n_places : n, .lean = true};
}

static bool numbers_ok(const struct berth_stack_config *c)
{
	const uint32_t most = 1u << 22;

	return n_claims(c) <= PORT_TABLE_CLAIMS_MAX && c->n_syn <= most && c->n_udp <= 1u << 18 && c->n_ifaces <= 250 &&
	       c->n_addrs <= 4096 && c->n_routes <= 65536 && c->n_neighs <= most && c->n_groups <= 65536 &&
	       c->n_packets <= most && c->n_rings <= most && c->n_bursts <= 1u << 26 && c->n_gaps <= most &&
	       c->n_work <= most && c->frag_bytes <= 1u << 30 && c->n_sources <= 4096 && c->n_filter_sources <= 256;
}

/* The caller's numbers with defaults put in. */
static int config_read(const struct berth_stack_config *from, struct berth_stack_config *ret)
{
	struct berth_stack_config c;
	int r = struct_in(&c, sizeof(c), offsetof(struct berth_stack_config, n_conns), from);

	if (r < 0)
		return r;
	if ((c.flags & ~(uint32_t)BERTH_STACK_PIN) != 0)
		return -EINVAL;
	or_default(&c.n_conns, 1024);
	or_default(&c.n_udp, 256);
	or_default(&c.n_syn, 1024);
	or_default(&c.n_time_wait, 4096);
	or_default(&c.n_ifaces, 4);
	or_default(&c.n_addrs, 32);
	or_default(&c.n_routes, 64);
	or_default(&c.n_neighs, 256);
	or_default(&c.n_groups, 64);
	or_default(&c.n_packets, 256);
	or_default(&c.frag_bytes, 256 * 1024);
	or_default(&c.n_rings, c.n_conns);
	or_default(&c.rx_ring_bytes, 64 * 1024);
	or_default(&c.tx_ring_bytes, 64 * 1024);
	or_default(&c.udp_ring_bytes, 128 * 1024);
	if (c.n_rings <= 1u << 22)
		or_default(&c.n_bursts, 16 * c.n_rings);
	or_default(&c.n_gaps, c.n_conns < 4 ? 1 : c.n_conns / 4);
	or_default(&c.n_work, c.n_conns);
	or_default(&c.n_sources, 256);
	or_default(&c.n_filter_sources, 64);
	if (!numbers_ok(&c) || !ring_ok(c.rx_ring_bytes) || !ring_ok(c.tx_ring_bytes) || !ring_ok(c.udp_ring_bytes))
		return -EINVAL;
	*ret = c;
	return 0;
}

/* --- memory --- */
void *arena_take(struct arena *a, size_t n)
{
	size_t at = a->at;

	a->at += (n + 63) & ~(size_t)63;
	if (a->base == NULL)
		return NULL;
	ASSERT(a->at <= a->len);
	return a->base + at;
}

struct own_parts {
	void *pkts, *ports;
};

static struct own_parts layout(struct berth_stack *st, struct arena *a)
{
	const struct port_table_form form = ports_form(&st->cfg);
	struct own_parts own;

	own.pkts = arena_take(a, slab_size(st->cfg.n_packets, PKT_BYTES));
	st->scratch = arena_take(a, STACK_SCRATCH_BYTES);
	own.ports = arena_take(a, port_table_form_size(&form));
	ip_layout(st, a);
	tcp_layout(st, a);
	udp_layout(st, a);
	return own;
}

size_t berth_stack_size(const struct berth_stack_config *config)
{
	struct berth_stack counting = {0};
	struct arena a = {0};

	if (config_read(config, &counting.cfg) < 0)
		return 0;
	(void)arena_take(&a, sizeof(counting));
	(void)layout(&counting, &a);
	return a.at;
}

/* --- keys --- */
/* Both halves of the secret go into each key: the second one is the key under which the first one's is hashed, so that halves that are
 * equal make a good key, too. */
static struct siphash_key key_for(const uint8_t secret[32], const char *purpose)
{
	struct siphash_key a = siphash_key_from(secret), b = siphash_key_from(secret + 16);
	uint64_t words[3];

	a = siphash_key_derive(&a, purpose);
	b = siphash_key_derive(&b, purpose);
	words[0] = a.k0;
	words[1] = a.k1;
	words[2] = 0;
	a.k0 = siphash24(&b, words, sizeof(words));
	words[2] = 1;
	a.k1 = siphash24(&b, words, sizeof(words));
	return a;
}

static void keys_make(struct stack_keys *k, const uint8_t secret[32])
{
	k->isn = key_for(secret, "isn");
	k->ts = key_for(secret, "timestamp offset");
	k->ip_id = key_for(secret, "ip id");
	k->frag_id = key_for(secret, "fragment id");
	k->flow_label = key_for(secret, "flow label");
	k->cookie[0] = key_for(secret, "cookie 0");
	k->cookie[1] = key_for(secret, "cookie 1");
	k->syn_hash = key_for(secret, "syn cache");
	k->neigh_hash = key_for(secret, "neighbours");
	k->frag_hash = key_for(secret, "reassembly");
	k->pmtu_hash = key_for(secret, "path mtu");
	k->udp_sent = key_for(secret, "datagrams sent");
	k->icmp_hash = key_for(secret, "icmp sources");
	k->rst_hash = key_for(secret, "reset sources");
	k->iid = key_for(secret, "interface identifier");
	k->random = key_for(secret, "random");
}

uint64_t stack_random(struct berth_stack *st)
{
	uint64_t n = st->random_counter++;

	return siphash24(&st->keys.random, &n, sizeof(n));
}

uint32_t stack_random_below(struct berth_stack *st, uint32_t n)
{
	ASSERT(n > 0);
	return (uint32_t)((stack_random(st) >> 32) * n >> 32);
}

/* --- making one --- */
static bool all_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any == 0;
}

static int ports_init(struct berth_stack *st, void *mem)
{
	const struct port_table_form form = ports_form(&st->cfg);
	struct siphash_key k = key_for(st->cfg.secret, "ports");
	struct port_settings s;
	uint8_t secret[16];
	int r;

	memcpy(secret, &k.k0, 8);
	memcpy(secret + 8, &k.k1, 8);
	r = port_table_form_init(&st->ports, mem, port_table_form_size(&form), &form, secret);
	if (r < 0)
		return r;
	port_table_get_settings(&st->ports, &s);
	s.unprivileged_start = 0;
	return port_table_set_settings(&st->ports, &s);
}

int berth_stack_init(struct berth_stack **ret, void *mem, size_t len_bytes, const struct berth_stack_config *config,
		     uint64_t now_ns)
{
	struct berth_stack_config cfg;
	struct arena a = {.base = mem, .len = len_bytes};
	struct own_parts own;
	struct berth_stack *st;
	int r = config_read(config, &cfg);

	if (r < 0)
		return r;
	if ((uintptr_t)mem % 64 != 0 || mem == NULL || all_zero(cfg.secret, sizeof(cfg.secret)))
		return -EINVAL;
	if (len_bytes < berth_stack_size(config))
		return -ENOMEM;
	st = arena_take(&a, sizeof(*st));
	st->cfg = cfg;
	st->now_ns = now_ns < TIME_MOST ? now_ns : TIME_MOST;
	st->events = st->ready = st->waiting = (struct sock_queue){NIL, NIL};
	st->control = st->held = (struct pkt_queue){NIL, NIL, 0};
	keys_make(&st->keys, cfg.secret);
	wheel_init(&st->wheel, st->now_ns);
	own = layout(st, &a);
	slab_init(&st->pkts, own.pkts, cfg.n_packets, PKT_BYTES);
	r = ports_init(st, own.ports);
	if (r < 0)
		return r;
	memset(st->cfg.secret, 0, sizeof(st->cfg.secret)); /* the keys are made */
	ip_init(st);
	tcp_init(st);
	udp_init(st);
	*ret = st;
	return 0;
}

/* --- time --- */
/* Time goes forward. */
static void time_is(struct berth_stack *st, uint64_t now_ns)
{
	if (now_ns > TIME_MOST)
		now_ns = TIME_MOST;
	if (now_ns > st->now_ns)
		st->now_ns = now_ns;
}

/* What output() gave out before is written by now. */
static void give_held(struct berth_stack *st)
{
	for (uint32_t i; (i = pkt_queue_take(st, &st->held)) != NIL;)
		pkt_give(st, i);
}

/* --- in --- */
static void count_in(struct berth_stack *st, const struct berth_rx *rx)
{
	st->n.frames_in++;
	st->n.octets_in += rx->head_len;
	for (unsigned i = 0; i < rx->n_parts; i++)
		st->n.octets_in += rx->parts[i].len;
}

static void find_flows(struct berth_stack *st, struct packet *const v[], const struct port_tuple *tuples, unsigned n)
{
	struct port_ref refs[BATCH];
	uint64_t users[BATCH];
	unsigned longest = port_demux_batch(&st->ports, tuples, n, refs, users);

	if (longest > st->n.flow_chain_max)
		st->n.flow_chain_max = longest;
	for (unsigned i = 0; i < n; i++) {
		const struct slab *s;
		uint32_t index;

		v[i]->has_flow = refs[i].generation != 0;
		if (!v[i]->has_flow)
			continue;
		v[i]->flow = refs[i];
		v[i]->flow_sock = (uint32_t)users[i];
		s = v[i]->flow_sock & SOCK_ID_UDP ? &st->udps : &st->conns;
		index = v[i]->flow_sock & ~SOCK_ID_UDP;
		if (index < s->n_max && !(v[i]->flow_sock & SOCK_ID_TIME_WAIT)) {
			__builtin_prefetch(s->items + (size_t)index * s->item_bytes);
			__builtin_prefetch(s->items + (size_t)index * s->item_bytes + 64);
		}
	}
}

/* The port in the first two octets of a transport header, or in those after. */
static uint16_t port_in(const struct packet *p, unsigned at)
{
	return wire_get16(p->l4 + at);
}

static void input_batch(struct berth_stack *st, const struct berth_rx *v, unsigned n)
{
	struct packet peeked[BATCH], *found[BATCH];
	struct port_tuple tuples[BATCH];
	bool ok[BATCH];
	unsigned n_found = 0;

	for (unsigned i = 0; i < n; i++) {
		struct packet *p = &peeked[i];

		count_in(st, &v[i]);
		ok[i] = ip_peek(st, &v[i], p) == 0;
		if (!ok[i])
			continue;
		p->has_flow = false;
		if (p->l4_head < 4)
			continue;
		tuples[n_found] = (struct port_tuple){
			.proto = p->proto == BERTH_UDP ? PORT_UDP : PORT_TCP,
			.local = p->dst,
			.remote = p->src,
			.local_port = port_in(p, 2),
			.remote_port = port_in(p, 0),
		};
		found[n_found++] = p;
	}
	find_flows(st, found, tuples, n_found);
	for (unsigned i = 0; i < n; i++) {
		uint64_t user;

		if (ok[i] && peeked[i].has_flow &&
		    (port_table_get_user(&st->ports, peeked[i].flow, &user) < 0 || user != peeked[i].flow_sock))
			peeked[i].has_flow = false;
		ip_input(st, &v[i], ok[i] ? &peeked[i] : NULL);
	}
}

void berth_stack_input(struct berth_stack *st, const struct berth_rx *v, unsigned n, uint64_t now_ns)
{
	time_is(st, now_ns);
	give_held(st);
	for (unsigned at = 0; at < n; at += BATCH)
		input_batch(st, v + at, n - at < BATCH ? n - at : BATCH);
}

/* --- out --- */
static uint64_t pin_of(const struct berth_stack *st, uint32_t pkt_index)
{
	return PIN_NOT_TCP | (uint64_t)(st->pkts.generation[pkt_index] & 0x3fffffff) << 32 | pkt_index;
}

/* Headers go into the descriptor; what is longer than that stays in the buffer until it is written. */
static void output_control(struct berth_stack *st, struct berth_tx *v)
{
	uint32_t i = pkt_queue_take(st, &st->control);
	struct pkt *p = pkt_at(st, i);
	uint16_t head = p->len < BERTH_TX_HEAD_MAX ? p->len : BERTH_TX_HEAD_MAX;

	memcpy(v->head, p->data + p->off, head);
	v->head_len = head;
	v->n_parts = 0;
	v->len = p->len;
	v->iface = p->iface;
	v->gso = BERTH_GSO_NONE;
	v->flags = p->flags;
	v->gso_size = v->hdr_len = 0;
	v->csum_start = p->csum_start;
	v->csum_offset = p->csum_offset;
	v->pin = 0;
	if (head == p->len) {
		pkt_give(st, i);
		return;
	}
	v->parts[0] = (struct berth_part){p->data + p->off + head, (uint32_t)(p->len - head)};
	v->n_parts = 1;
	if (st->cfg.flags & BERTH_STACK_PIN) {
		v->pin = pin_of(st, i);
		p->next = i; /* its own follower: that is how berth_stack_unpin() knows it */
		st->n_pinned++;
	} else {
		pkt_queue_add(st, &st->held, i);
	}
}

void berth_stack_unpin(struct berth_stack *st, uint64_t pin)
{
	uint32_t i = (uint32_t)pin;

	if (!(pin & PIN_NOT_TCP)) {
		if (pin != 0)
			tcp_unpin(st, pin);
	} else if (pin & PIN_UDP) {
		udp_unpin(st, pin);
	} else if (slab_used(&st->pkts, i) && pin_of(st, i) == pin && pkt_at(st, i)->next == i) {
		pkt_give(st, i);
		st->n_pinned--;
	}
}

/* The frames of one socket, and the next one's turn. */
static unsigned output_sock(struct berth_stack *st, struct berth_tx *v, unsigned n)
{
	uint32_t id = st->ready.first;
	unsigned got;

	n = n < QUANTUM ? n : QUANTUM;
	if (id & SOCK_ID_UDP)
		got = udp_output(st, id & ~SOCK_ID_UDP, v, n);
	else
		got = tcp_output(st, id, v, n);
	if (st->ready.first == id) {
		/* With nothing sent it would be asked for ever. */
		ASSERT(got > 0);
		sock_turn(st, id);
	}
	return got;
}

static void come_back_in(struct berth_stack *st, const struct berth_tx *tx)
{
	struct berth_rx rx = {
		.head = tx->head,
		.parts = tx->parts,
		.head_len = tx->head_len,
		.n_parts = tx->n_parts,
		.iface = tx->iface,
		.gso = tx->gso,
		.flags = (uint8_t)(tx->flags | BERTH_F_DATA_VALID),
		.gso_size = tx->gso_size,
		.csum_start = tx->csum_start,
		.csum_offset = tx->csum_offset,
	};

	ip_input(st, &rx, NULL);
	if (tx->pin != 0)
		berth_stack_unpin(st, tx->pin);
}

/* Of n frames that were made, those that leave, closed up; returns how many. */
static unsigned keep_leaving(struct berth_stack *st, struct berth_tx *v, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		if (ip_loops(st, v[i].iface)) {
			come_back_in(st, &v[i]);
			continue;
		}
		st->n.frames_out++;
		st->n.octets_out += v[i].len;
		if (kept != i)
			v[kept] = v[i];
		kept++;
	}
	return kept;
}

unsigned berth_stack_output(struct berth_stack *st, struct berth_tx *v, unsigned n, uint64_t now_ns)
{
	unsigned filled = 0;

	time_is(st, now_ns);
	for (uint64_t turns = TURNS((uint64_t)n); filled < n && turns > 0; turns--) {
		unsigned got = 1;

		if (st->control.n > 0)
			output_control(st, &v[filled]);
		else if (st->ready.first != NIL)
			got = output_sock(st, &v[filled], n - filled);
		else
			break;
		filled += keep_leaving(st, &v[filled], got);
	}
	return filled;
}

/* --- time goes by --- */
uint64_t berth_stack_deadline(const struct berth_stack *st)
{
	return st->control.n > 0 || st->ready.first != NIL ? st->now_ns : wheel_deadline(&st->wheel);
}

unsigned berth_stack_tick(struct berth_stack *st, uint64_t now_ns, unsigned budget)
{
	enum timer_kind kind;
	uint32_t index;
	unsigned n = 0;

	time_is(st, now_ns);
	give_held(st);
	for (; n < budget && wheel_pop(&st->wheel, st->now_ns, &kind, &index); n++) {
		switch (kind) {
		case TIMER_TCP:
		case TIMER_SYN:
		case TIMER_TIME_WAIT:
			tcp_timer(st, kind, index);
			break;
		case TIMER_NEIGH:
		case TIMER_FRAG:
		case TIMER_ADDR:
		case TIMER_ROUTE:
		case TIMER_GROUP:
		case TIMER_IFACE:
		case TIMER_PMTU:
			ip_timer(st, kind, index);
			break;
		}
	}
	return n;
}

/* --- settings, counters, the checker --- */
int berth_stack_set_ports(struct berth_stack *st, const struct berth_port_settings *p)
{
	struct port_settings s = {.range = {p->ephemeral_first, p->ephemeral_last},
				  .unprivileged_start = p->unprivileged_start};

	return port_table_set_settings(&st->ports, &s);
}

int berth_stack_reserve_ports(struct berth_stack *st, uint16_t first, uint16_t last, bool reserved)
{
	return port_table_reserve(&st->ports, (struct port_range){first, last}, reserved);
}

int berth_stack_counters(const struct berth_stack *st, struct berth_counters *ret)
{
	return struct_out(ret, &st->n, sizeof(st->n), offsetof(struct berth_counters, frames_in));
}

int berth_stack_usage(const struct berth_stack *st, struct berth_usage *ret)
{
	const struct tcp_state *t = st->tcp;
	struct berth_usage u = {.n_orphans = t->n_orphans,
				.n_ports = port_table_n_claims(&st->ports),
				.n_frag_bytes = ip_frag_bytes(st)};

#define USED(slab) ((struct berth_used){(slab).n_used, (slab).n_peak, (slab).n_max})
	u.conns = USED(st->conns);
	u.work = USED(t->work);
	u.rings = USED(t->rings);
	u.bursts = USED(t->bursts);
	u.gaps = USED(t->gaps);
	u.syns = USED(t->syns);
	u.time_waits = USED(t->time_waits);
	u.udp = USED(st->udps);
	u.packets = USED(st->pkts);
	u.sources = USED(st->ip->filters);
#undef USED
	return struct_out(ret, &u, sizeof(u), offsetof(struct berth_usage, conns));
}

static bool pkts_check(const struct berth_stack *st, const struct pkt_queue *q)
{
	uint32_t n = 0;

	for (uint32_t i = q->first; n < q->n; n++) {
		if (!slab_used(&st->pkts, i))
			return false;
		i = ((const struct pkt *)slab_at(&st->pkts, i))->next;
	}
	return true;
}

bool berth_stack_check(const struct berth_stack *st)
{
	return slab_check(&st->conns) && slab_check(&st->udps) && slab_check(&st->pkts) && wheel_check(&st->wheel) &&
	       pkts_check(st, &st->control) && pkts_check(st, &st->held) && sock_check(st) &&
	       port_table_check(&st->ports) && ip_check(st) && tcp_check(st) && udp_check(st);
}
