/* src/stack/udp_sent.c: which datagrams left lately, so that an ICMP "too big" is believed of those alone (RFC 8201, 4; RFC 8899, 4.6).
 *
 * TCP knows by its sequence numbers what is in flight (RFC 5927, 4.1). A datagram has none, so what left is remembered for 4 to 12
 * seconds, by a name that is hashed from what every error quotes:
 *
 *	addresses, ports, UDP's length		a stranger guesses them
 *	IPv4: the identification		drawn by chance for each datagram that a router might find too big (RFC 6864, 4.1 allows any)
 *	IPv6: UDP's checksum, 8 octets of data	all errors quote them (RFC 4443, 3.2); the checksum if it was made here
 *	IPv6: the flow's label			20 bits by a key, not kept here but made again (udp_icmp_error())
 *
 *	note --> bits[now]		check: all its bits in bits[now], or all of them in bits[!now]
 *	4 s --> the other half is emptied, and is now
 *
 * So whoever knows what was said, because he asked for it in another's name, still misses 16 bits of IPv4, for each datagram anew, or 20 of
 * IPv6, a flow's for good: nothing in IPv6's header may differ from datagram to datagram. IPv4's checksum is left out: address
 * translators do not always mend it in what they quote.
 *
 * A name is three bits of 64 Ki (Bloom, 1970). Below some thousand large datagrams in 4 seconds a name that was not noted is believed
 * once in 10,000 times; the more there are the more is believed, and nothing that left is ever forgotten too early: a path whose
 * errors are not heard is a black hole, one whose MTU is too low is only slow.
 *
 * Only what is larger than the floors of pmtu.c is noted: nothing smaller can make an MTU low. Datagrams of a train that the device
 * cuts have one name for all: their identifications count up from a multiple of 64.
 */
#include "stack/udp.h"
#include "wire/udp.h"

#define HALF_NS UINT64_C(4000000000)
#define TRAIN_IDS 64u

/* What is in a name. Which kind a datagram was its quotation does not tell: check asks for all. */
enum kind {
	ONE,
	DEFERRED, /* IPv6: the device made its checksum */
	TRAIN,	  /* ... and cut it from a train */
	NKINDS,
};

static void turn(struct udp_sent *s, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - s->since_ns;

	if (age_ns < HALF_NS)
		return;
	s->now = !s->now;
	memset(s->bits[s->now], 0, sizeof(s->bits[0]));
	if (age_ns >= 2 * HALF_NS)
		memset(s->bits[!s->now], 0, sizeof(s->bits[0]));
	s->since_ns = now_ns;
}

static uint64_t name(const struct berth_stack *st, const struct udp_quote *q, enum kind kind)
{
	uint8_t n[16 + 16 + WIRE_UDP_LEN + 2 + 1 + UDP_QUOTE_DATA] = {0};
	bool v4 = port_addr_is4(q->peer);

	memcpy(n, q->local->b, 16);
	memcpy(n + 16, q->peer->b, 16);
	memcpy(n + 32, q->udp, !v4 && kind == ONE ? WIRE_UDP_LEN : WIRE_UDP_LEN - 2);
	if (v4)
		wire_put16(n + 40, (uint16_t)(kind == TRAIN ? q->id & ~(TRAIN_IDS - 1) : q->id));
	n[42] = (uint8_t)kind;
	if (!v4 && kind != TRAIN)
		memcpy(n + 43, q->data, UDP_QUOTE_DATA);
	return siphash13(&st->keys.udp_sent, n, sizeof(n));
}

/* The i-th bit of a name. */
static uint32_t bit_of(uint64_t hash, unsigned i)
{
	return (uint32_t)(hash >> 16 * i) & (UDP_SENT_BITS - 1);
}

void udp_sent_note(struct berth_stack *st, const struct udp_quote *q, bool deferred, bool train)
{
	struct udp_sent *s = st->udp->sent;
	uint64_t hash = name(st, q, train ? TRAIN : deferred && !port_addr_is4(q->peer) ? DEFERRED : ONE);

	turn(s, st->now_ns);
	for (unsigned i = 0; i < 3; i++)
		s->bits[s->now][bit_of(hash, i) / 64] |= UINT64_C(1) << bit_of(hash, i) % 64;
}

static bool has(const uint64_t *bits, uint64_t hash)
{
	for (unsigned i = 0; i < 3; i++)
		if (!(bits[bit_of(hash, i) / 64] >> bit_of(hash, i) % 64 & 1))
			return false;
	return true;
}

bool udp_sent_lately(struct berth_stack *st, const struct udp_quote *q)
{
	struct udp_sent *s = st->udp->sent;

	turn(s, st->now_ns);
	for (unsigned kind = 0; kind < NKINDS; kind++) {
		uint64_t hash;

		if (q->data == NULL && !port_addr_is4(q->peer) && kind != TRAIN)
			continue;
		hash = name(st, q, (enum kind)kind);
		if (has(s->bits[0], hash) || has(s->bits[1], hash))
			return true;
	}
	return false;
}

uint16_t udp_sent_id(struct berth_stack *st, bool train)
{
	return (uint16_t)(stack_random(st) & (train ? ~(uint64_t)(TRAIN_IDS - 1) : UINT64_MAX));
}
