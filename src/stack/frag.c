/* src/stack/frag.c: datagrams that come in pieces (RFC 791, 3.2; RFC 8200, 4.5), within hard bounds (S17).
 *
 *	datagram: (src, dst, id, protocol) --> pieces [from, to), ascending, apart    block 0 | block 1 | --- | block 31
 *								 octet n lies in block n / 2048, taken when it is first needed
 *
 * Pieces that touch become one, so a datagram in order has one piece, and what is missing is what lies between them.
 *
 * Bounds: 64 datagrams, frag_bytes of memory, of both a quarter for one source; when room is needed, the oldest goes: the source's own
 * when it has its share, so that neither a lost fragment nor a few that somebody forged end its reassembly until they time out. A
 * /64 of IPv6 has no more than a quarter either, whatever addresses its owner makes up. (Who has a /48 is held by the bound of all.) 32
 * pieces apart from each other and 64 fragments for one datagram. A fragment that is not the last holds 48 octets at least (IPv4: what
 * the smallest MTU carries) or makes a packet of 640 (IPv6: half of what every link carries; who splits evenly makes no smaller ones).
 * 30 seconds for IPv4, 60 for IPv6; then the sender is told, if the first fragment is there.
 *
 * A fragment that overlaps others ends the datagram, in both families (RFC 5722; RFC 1858 and 3128 say what overlaps are for), and
 * what still comes of it is dropped until its time is over. One that is there already with the same octets was doubled on the way
 * and is passed over. Names are found by keyed hashes (S18). ECN: RFC 3168, 5.3.
 *
 * Always true (frag_check())
 *   F1  a block is free or in exactly one datagram;
 *   F2  pieces are ascending, not empty, do not touch, and end at most at total;
 *   F3  a datagram in use has a timer.
 */
#include "stack/ip_state.h"

#define TIMEOUT4_NS (30 * SECOND_NS)
#define TIMEOUT6_NS (60 * SECOND_NS)
#define FRAGMENTS_MAX 64
#define SHARE 4 /* a source has at most this part of everything */
#define MIN4 48
#define MIN6 (640 - WIRE_IP6_LEN - WIRE_IP6_FRAGMENT_LEN)
#define NO_BLOCK UINT16_MAX

/* A fragment, of either family. */
struct fragment {
	struct port_addr src, dst;
	uint16_t iface;
	uint32_t id;
	uint8_t proto;
	uint8_t ecn;
	uint32_t from, len;
	bool more, not_unicast;
	const uint8_t *head; /* the packet up to the payload */
	size_t head_len;
	const uint8_t *payload;
	uint16_t proto_at, unfragmentable;
};

static uint64_t name_of(const struct berth_stack *st, const struct fragment *f)
{
	uint8_t name[38] = {0};

	memcpy(name, f->src.b, 16);
	memcpy(name + 16, f->dst.b, 16);
	wire_put32(name + 32, f->id);
	name[36] = is4(&f->src) ? f->proto : 0; /* RFC 8200: addresses and identification alone */
	name[37] = (uint8_t)f->src.scope;
	return siphash13(&st->keys.frag_hash, name, sizeof(name)) | 1;
}

static bool is_of(const struct frag_datagram *d, const struct fragment *f)
{
	return d->used && d->id == f->id && same_addr(&d->src, &f->src) && same_addr(&d->dst, &f->dst) &&
	       (!is4(&f->src) || d->proto == f->proto);
}

static uint32_t lookup(const struct berth_stack *st, const struct fragment *f, uint64_t name)
{
	for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
		if (st->ip->frag_hash[i] == name && is_of(&st->ip->frags[i], f))
			return i;
	return NIL;
}

uint32_t ip_frag_bytes(const struct berth_stack *st)
{
	return (st->ip->n_frag_blocks - st->ip->n_frag_free) * FRAG_BLOCK;
}

static void free_blocks(struct berth_stack *st, struct frag_datagram *d)
{
	struct ip_state *ip = st->ip;

	for (unsigned i = 0; i < FRAG_BLOCKS; i++) {
		if (d->blocks[i] != NO_BLOCK)
			ip->frag_free[ip->n_frag_free++] = d->blocks[i];
		d->blocks[i] = NO_BLOCK;
	}
	d->n_blocks = 0;
}

static void end(struct berth_stack *st, uint32_t index)
{
	free_blocks(st, &st->ip->frags[index]);
	wheel_cancel(&st->wheel, TIMER_FRAG, index);
	st->ip->frags[index].used = false;
	st->ip->frag_hash[index] = 0;
}

/* It is refused, and so is what still comes of it, until its time is over. */
static void spoil(struct berth_stack *st, struct frag_datagram *d)
{
	free_blocks(st, d);
	d->n_pieces = 0;
	d->head_len = 0;
	d->spoilt = true;
}

/* One source, or two addresses that one owner can have: the /64 of IPv6. */
static bool same_net(const struct port_addr *a, const struct port_addr *b)
{
	return is4(a) || is4(b) ? same_addr(a, b) : memcmp(a->b, b->b, 8) == 0 && a->scope == b->scope;
}

typedef bool (*same_source)(const struct port_addr *, const struct port_addr *);

/* The oldest that is in use, besides keep, of who is the same as src or (NULL) of anybody; NIL. */
static uint32_t oldest(const struct berth_stack *st, uint32_t keep, bool with_blocks, const struct port_addr *src,
		       same_source same)
{
	const struct frag_datagram *d = st->ip->frags;
	uint32_t found = NIL;

	for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
		if (d[i].used && i != keep && (!with_blocks || d[i].n_blocks) && (!same || same(&d[i].src, src)) &&
		    (found == NIL || d[i].begun_ns < d[found].begun_ns))
			found = i;
	return found;
}

static void evict(struct berth_stack *st, uint32_t index)
{
	end(st, index);
	st->n.frag_evicted++;
}

/* What a source has, and what its net has. */
struct has {
	uint32_t datagrams, blocks;
};

static struct has count(const struct berth_stack *st, const struct port_addr *src, same_source same)
{
	struct has n = {0, 0};

	for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
		if (st->ip->frags[i].used && same(&st->ip->frags[i].src, src)) {
			n.datagrams++;
			n.blocks += st->ip->frags[i].n_blocks;
		}
	return n;
}

/* A slot for one more of this source: its own oldest's when it has its share, its net's, another's if need be. */
static uint32_t make_room(struct berth_stack *st, const struct port_addr *src)
{
	uint32_t i = 0, most = FRAG_DATAGRAMS / SHARE;

	if (count(st, src, same_addr).datagrams >= most) {
		i = oldest(st, NIL, false, src, same_addr);
	} else if (count(st, src, same_net).datagrams >= most) {
		i = oldest(st, NIL, false, src, same_net);
	} else {
		while (i < FRAG_DATAGRAMS && st->ip->frags[i].used)
			i++;
		if (i == FRAG_DATAGRAMS)
			i = oldest(st, NIL, false, NULL, NULL);
	}
	if (st->ip->frags[i].used)
		evict(st, i);
	return i;
}

static uint32_t begin(struct berth_stack *st, const struct fragment *f, uint64_t name)
{
	uint32_t i = make_room(st, &f->src);
	struct frag_datagram *d;

	d = &st->ip->frags[i];
	memset(d, 0, offsetof(struct frag_datagram, head));
	d->used = true;
	d->src = f->src;
	d->dst = f->dst;
	d->id = f->id;
	d->proto = f->proto;
	d->iface = f->iface;
	d->begun_ns = st->now_ns;
	memset(d->blocks, 0xff, sizeof(d->blocks));
	timer_init(&d->timer);
	wheel_set(&st->wheel, TIMER_FRAG, i, st->now_ns + (is4(&f->src) ? TIMEOUT4_NS : TIMEOUT6_NS));
	st->ip->frag_hash[i] = name;
	return i;
}

/* Evicts the oldest with blocks, besides index, of who is the same. */
static bool evict_one(struct berth_stack *st, uint32_t index, same_source same)
{
	uint32_t other = oldest(st, index, true, &st->ip->frags[index].src, same);

	if (other == NIL)
		return false;
	evict(st, other);
	return true;
}

/* Blocks for [from, to), others' if need be, the source's own first; false: one datagram alone is more than its share. */
static bool take_blocks(struct berth_stack *st, uint32_t index, uint32_t from, uint32_t to)
{
	struct ip_state *ip = st->ip;
	struct frag_datagram *d = &ip->frags[index];
	uint32_t n_wanted = 0, first = from / FRAG_BLOCK, last = (to - 1) / FRAG_BLOCK;
	uint32_t most = (ip->n_frag_blocks + SHARE - 1) / SHARE;

	for (uint32_t b = first; b <= last; b++)
		n_wanted += d->blocks[b] == NO_BLOCK;
	if (d->n_blocks + n_wanted > most)
		return false;
	while (n_wanted && count(st, &d->src, same_addr).blocks + n_wanted > most)
		if (!evict_one(st, index, same_addr))
			return false;
	while (n_wanted && count(st, &d->src, same_net).blocks + n_wanted > most)
		if (!evict_one(st, index, same_net))
			return false;
	while (ip->n_frag_free < n_wanted)
		if (!evict_one(st, index, NULL))
			return false;
	for (uint32_t b = first; b <= last; b++)
		if (d->blocks[b] == NO_BLOCK) {
			d->blocks[b] = ip->frag_free[--ip->n_frag_free];
			d->n_blocks++;
		}
	return true;
}

/* Octets [from, to), piece by piece of a block: the next one's place, and how much of it. */
static uint8_t *place(const struct berth_stack *st, const struct frag_datagram *d, uint32_t from, uint32_t to,
		      uint32_t *ret_len)
{
	uint32_t in_block = from % FRAG_BLOCK, room = FRAG_BLOCK - in_block;

	*ret_len = to - from < room ? to - from : room;
	return st->ip->frag_blocks + (size_t)d->blocks[from / FRAG_BLOCK] * FRAG_BLOCK + in_block;
}

static void store(struct berth_stack *st, const struct frag_datagram *d, uint32_t from, const uint8_t *data,
		  uint32_t len)
{
	uint32_t n = 0;

	for (uint32_t at = 0; at < len; at += n) {
		uint8_t *to = place(st, d, from + at, from + len, &n);

		memcpy(to, data + at, n);
	}
}

static void load(const struct berth_stack *st, const struct frag_datagram *d, uint32_t from, uint8_t *data,
		 uint32_t len)
{
	uint32_t n = 0;

	for (uint32_t at = 0; at < len; at += n) {
		const uint8_t *p = place(st, d, from + at, from + len, &n);

		memcpy(data + at, p, n);
	}
}

static bool holds(const struct berth_stack *st, const struct frag_datagram *d, uint32_t from, const uint8_t *data,
		  uint32_t len)
{
	uint32_t n = 0;

	for (uint32_t at = 0; at < len; at += n) {
		const uint8_t *p = place(st, d, from + at, from + len, &n);

		if (memcmp(p, data + at, n) != 0)
			return false;
	}
	return true;
}

enum where {
	FREE_PLACE,
	DOUBLED,
	OVERLAPS,
};

/* How [from, to) lies to the pieces; *ret_at: the piece before which it belongs. */
static enum where compare(const struct berth_stack *st, const struct frag_datagram *d, const struct fragment *f,
			  unsigned *ret_at)
{
	uint32_t from = f->from, to = f->from + f->len;
	unsigned at = 0;

	while (at < d->n_pieces && d->pieces[at].to <= from)
		at++;
	*ret_at = at;
	if (at == d->n_pieces || d->pieces[at].from >= to)
		return FREE_PLACE;
	if (d->pieces[at].from <= from && to <= d->pieces[at].to && holds(st, d, from, f->payload, f->len))
		return DOUBLED;
	return OVERLAPS;
}

/* False: too many pieces. */
static bool insert(struct frag_datagram *d, unsigned at, uint32_t from, uint32_t to)
{
	bool before = at && d->pieces[at - 1].to == from, after = at < d->n_pieces && d->pieces[at].from == to;

	if (before && after) {
		d->pieces[at - 1].to = d->pieces[at].to;
		d->n_pieces--;
		memmove(&d->pieces[at], &d->pieces[at + 1], (d->n_pieces - at) * sizeof(d->pieces[0]));
	} else if (before) {
		d->pieces[at - 1].to = to;
	} else if (after) {
		d->pieces[at].from = from;
	} else {
		if (d->n_pieces == FRAG_PIECES_MAX)
			return false;
		memmove(&d->pieces[at + 1], &d->pieces[at], (d->n_pieces - at) * sizeof(d->pieces[0]));
		d->pieces[at].from = from;
		d->pieces[at].to = to;
		d->n_pieces++;
	}
	return true;
}

/* Do the ends agree: nothing behind the last fragment, and one end only? */
static bool ends_agree(const struct frag_datagram *d, const struct fragment *f)
{
	uint32_t to = f->from + f->len, last = d->n_pieces ? d->pieces[d->n_pieces - 1].to : 0;

	if (d->have_last)
		return f->more ? to <= d->total : to == d->total;
	return f->more || last <= to;
}

/* Takes what the first fragment alone has. False: its headers are too long. */
static bool keep_head(struct frag_datagram *d, const struct fragment *f)
{
	if (f->from)
		return true;
	if (f->head_len > FRAG_HEAD_MAX)
		return false;
	memcpy(d->head, f->head, f->head_len);
	d->head_len = (uint16_t)f->head_len;
	d->proto = f->proto;
	d->proto_at = f->proto_at;
	d->unfragmentable = f->unfragmentable;
	d->first_len = f->len;
	return true;
}

/* Into datagram index; true: it is whole. */
static bool add(struct berth_stack *st, uint32_t index, const struct fragment *f)
{
	struct frag_datagram *d = &st->ip->frags[index];
	enum where where;
	unsigned at;

	if (d->spoilt)
		return false;
	where = compare(st, d, f, &at);
	if (where == DOUBLED && ends_agree(d, f))
		return false;
	if (where != FREE_PLACE || !ends_agree(d, f)) {
		st->n.frag_overlap++;
		spoil(st, d);
		return false;
	}
	if (++d->n_fragments > FRAGMENTS_MAX || !take_blocks(st, index, f->from, f->from + f->len) ||
	    !keep_head(d, f) || !insert(d, at, f->from, f->from + f->len)) {
		st->n.frag_evicted++;
		spoil(st, d);
		return false;
	}
	store(st, d, f->from, f->payload, f->len);
	d->ecn_seen |= (uint8_t)(1u << f->ecn);
	d->not_unicast |= f->not_unicast;
	if (!f->more) {
		d->have_last = true;
		d->total = f->from + f->len;
	}
	return d->have_last && d->n_pieces == 1 && d->pieces[0].from == 0 && d->pieces[0].to == d->total;
}

/* --- a whole one --- */

/* RFC 3168, 5.3: one that was marked marks all; marked and not capable together is nobody's doing. */
static bool ecn_of(const struct frag_datagram *d, uint8_t *tos)
{
	bool ce = d->ecn_seen & 1u << WIRE_ECN_CE;

	if (ce && (d->ecn_seen & 1u << WIRE_ECN_NOT_ECT))
		return false;
	if (ce)
		*tos |= WIRE_ECN_CE;
	return true;
}

static bool whole4(struct berth_stack *st, const struct frag_datagram *d, size_t *ret_len)
{
	uint8_t *s = st->scratch;
	size_t len = d->head_len + (size_t)d->total;

	if (len > WIRE_IP4_TOTAL_MAX)
		return false;
	memcpy(s, d->head, d->head_len);
	wire_put16(s + 2, (uint16_t)len);
	wire_put16(s + 6, 0);
	if (!ecn_of(d, &s[1]))
		return false;
	wire_put16(s + 10, 0);
	wire_put16(s + 10, wire_checksum(wire_sum(0, s, d->head_len)));
	load(st, d, 0, s + d->head_len, d->total);
	*ret_len = len;
	return true;
}

static bool whole6(struct berth_stack *st, const struct frag_datagram *d, size_t *ret_len)
{
	uint8_t *s = st->scratch, tclass;
	size_t head = WIRE_IP6_LEN + (size_t)d->unfragmentable, payload = d->unfragmentable + (size_t)d->total;

	if (payload > WIRE_IP6_PAYLOAD_MAX)
		return false;
	memcpy(s, d->head, head);
	wire_put16(s + 4, (uint16_t)payload);
	s[d->proto_at] = d->proto;
	tclass = (uint8_t)(wire_get16(s) >> 4);
	if (!ecn_of(d, &tclass))
		return false;
	wire_put16(s, (uint16_t)(6u << 12 | (unsigned)tclass << 4 | (s[1] & 0x0f)));
	load(st, d, 0, s + head, d->total);
	*ret_len = head + d->total;
	return true;
}

static bool input(struct berth_stack *st, const struct fragment *f, size_t *ret_len, bool *ret_not_unicast)
{
	uint64_t name = name_of(st, f);
	uint32_t i = lookup(st, f, name);
	const struct frag_datagram *d;
	bool whole;

	st->n.frag_in++;
	if (i == NIL)
		i = begin(st, f, name);
	whole = add(st, i, f);
	if (whole) {
		d = &st->ip->frags[i];
		*ret_not_unicast = d->not_unicast;
		whole = is4(&d->src) ? whole4(st, d, ret_len) : whole6(st, d, ret_len);
		end(st, i);
		if (whole)
			st->n.frag_done++;
		else
			st->n.dropped_malformed++;
	}
	ASSERT_SLOW(frag_check(st));
	return whole;
}

bool frag_input4(struct berth_stack *st, uint16_t iface, const uint8_t *data, const struct wire_ip4 *ip,
		 bool not_unicast, size_t *ret_len, bool *ret_not_unicast)
{
	struct fragment f = {.src = ip->src, .dst = ip->dst, .iface = iface, .id = ip->id, .proto = ip->proto};

	f.ecn = ip->tos & WIRE_ECN_MASK;
	f.from = ip->fragment_at;
	f.len = (uint32_t)ip->payload.len_bytes;
	f.more = ip->mf;
	f.not_unicast = not_unicast;
	f.head = data;
	f.head_len = (size_t)(ip->payload.data - data);
	f.payload = ip->payload.data;
	if (!f.len || (f.more && (f.len % 8 || f.len < MIN4))) {
		st->n.dropped_malformed++;
		return false;
	}
	return input(st, &f, ret_len, ret_not_unicast);
}

/* RFC 8200, 4.5: a fragment before the last whose length is no multiple of 8. */
static void odd_length(struct berth_stack *st, const struct fragment *f)
{
	struct packet p = {.src = f->src, .dst = f->dst, .ip = f->head, .iface = f->iface, .proto = WIRE_PROTO_NONE};

	p.ip_len = (uint32_t)f->head_len + f->len;
	p.not_unicast = f->not_unicast || port_addr_is_multicast(&f->dst);
	icmp_parameter_problem6(st, &p, WIRE_IP6_PROBLEM_FIELD, 4, false);
}

bool frag_input6(struct berth_stack *st, uint16_t iface, const uint8_t *data, const struct wire_ip6 *ip,
		 bool not_unicast, size_t *ret_len, bool *ret_not_unicast)
{
	struct fragment f = {.iface = iface, .id = ip->fragment_id, .proto = ip->fragment_next};

	f.src = with_scope(ip->src, iface);
	f.dst = with_scope(ip->dst, iface);
	f.ecn = ip->tclass & WIRE_ECN_MASK;
	f.from = ip->fragment_at;
	f.len = (uint32_t)ip->fragment.len_bytes;
	f.more = ip->more;
	f.not_unicast = not_unicast;
	f.head = data;
	f.head_len = (size_t)(ip->fragment.data - data);
	f.payload = ip->fragment.data;
	f.proto_at = ip->fragment_named;
	f.unfragmentable = ip->unfragmentable_bytes;
	if (f.more && f.len % 8)
		odd_length(st, &f);
	if (!f.len || (f.more && (f.len % 8 || f.len < MIN6))) {
		st->n.dropped_malformed++;
		return false;
	}
	return input(st, &f, ret_len, ret_not_unicast);
}

/* --- time --- */

/* The sender is told which datagram it was, by its first fragment (RFC 792; RFC 8200, 4.5). */
static void tell(struct berth_stack *st, const struct frag_datagram *d)
{
	struct packet p = {.src = d->src, .dst = d->dst, .iface = d->iface, .proto = d->proto, .ip = st->scratch};
	uint32_t len = d->first_len < IP6_MTU_MIN ? d->first_len : IP6_MTU_MIN;

	memcpy(st->scratch, d->head, d->head_len);
	load(st, d, 0, st->scratch + d->head_len, len);
	p.ip_len = d->head_len + len;
	p.l4 = st->scratch + d->head_len;
	p.l4_head = p.l4_len = len;
	p.not_unicast = d->not_unicast || !ip_is_local(st, &d->dst);
	icmp_send_error(st, &p, ICMP_ERR_TIME_EXCEEDED, WIRE_ICMP_REASSEMBLY_EXCEEDED);
}

void frag_timer(struct berth_stack *st, uint32_t index)
{
	struct frag_datagram *d = &st->ip->frags[index];

	if (!d->spoilt) {
		st->n.frag_timeout++;
		if (d->head_len)
			tell(st, d);
	}
	end(st, index);
}

void frag_forget_iface(struct berth_stack *st, uint16_t iface, bool only6)
{
	for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
		const struct frag_datagram *d = &st->ip->frags[i];

		if (d->used && d->iface == iface && !(only6 && is4(&d->src)))
			end(st, i);
	}
}

static bool pieces_ok(const struct frag_datagram *d)
{
	for (unsigned i = 0; i < d->n_pieces; i++)
		if (d->pieces[i].from >= d->pieces[i].to || (i && d->pieces[i].from <= d->pieces[i - 1].to) ||
		    (d->have_last && d->pieces[i].to > d->total))
			return false;
	return d->n_pieces <= FRAG_PIECES_MAX;
}

bool frag_check(const struct berth_stack *st)
{
	const struct ip_state *ip = st->ip;
	uint32_t n_blocks = ip->n_frag_free;

	for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
		const struct frag_datagram *d = &ip->frags[i];
		unsigned n = 0;

		if (!d->used)
			continue;
		for (unsigned b = 0; b < FRAG_BLOCKS; b++)
			n += d->blocks[b] != NO_BLOCK;
		if (n != d->n_blocks || !pieces_ok(d) || !timer_is_set(&d->timer))
			return false;
		n_blocks += n;
	}
	return n_blocks == ip->n_frag_blocks;
}
