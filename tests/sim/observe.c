/* tests/sim/observe.c: somebody who sees every frame as its stack gave it out, and as it comes in, and knows what must be true of it
 * whatever the world is like:
 *
 *	- it is sound: headers parse, lengths and checksums are right, it is no longer than the interface's MTU allows;
 *	- nothing is acknowledged, by ACK or SACK, that the other end never sent (RFC 9293, 3.4);
 *	- nothing is sent beyond the window that the other end granted (3.8.6), but for a probe of one octet;
 *	- a granted window is not taken back (SHLD-14), up to what scaling rounds off;
 *	- nobody is silent for longer than the rules allow (silence.c).
 *
 * One record per direction of a four-tuple. What a stack may know is what arrived: the granted edge moves with observe_in().
 * A new SYN begins a new incarnation; what belonged to the old one is accepted for the other end's sake.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "wire/checksum.h"

#define N_SLOTS 8192u

struct direction {
	bool used;
	struct port_addr src, dst;
	uint16_t src_port, dst_port;
	bool has_syn;	   /* this direction's SYN was seen go out */
	uint32_t isn, end; /* sent: [isn, end) */
	bool has_old;
	uint32_t old_end; /* of the incarnation before */
	bool offers_scale, has_scale;
	uint8_t scale;	  /* of windows that this direction advertises */
	uint32_t granted; /* right edge this direction gave the other, as sent out */
	bool has_granted;
	uint32_t edge; /* right edge that this direction may use, as it arrived */
	bool has_edge, zero_window;
	struct sim_end *owner;
	struct silence silence;
};

struct observer {
	struct direction slots[N_SLOTS];
	unsigned n;
};

struct observer *observer_new(void)
{
	return calloc(1, sizeof(struct observer));
}

void observer_free(struct observer *o)
{
	free(o);
}

static struct direction *find(struct observer *o, const struct port_addr *src, const struct port_addr *dst,
			      uint16_t src_port, uint16_t dst_port)
{
	struct {
		uint8_t src[16], dst[16];
		uint16_t ports[2];
	} key;
	struct siphash_key k = {1, 2};
	uint32_t i;

	memcpy(key.src, src->b, 16);
	memcpy(key.dst, dst->b, 16);
	key.ports[0] = src_port;
	key.ports[1] = dst_port;
	i = (uint32_t)siphash13(&k, &key, sizeof(key)) % N_SLOTS;
	for (unsigned n = 0; n < N_SLOTS; n++, i = (i + 1) % N_SLOTS) {
		struct direction *d = &o->slots[i];

		if (!d->used) {
			if (o->n > N_SLOTS * 3 / 4)
				return NULL; /* a storm: the first flows are watched, the rest is not */
			o->n++;
			d->used = true;
			d->src = *src;
			d->dst = *dst;
			d->src_port = src_port;
			d->dst_port = dst_port;
			return d;
		}
		if (d->src_port == src_port && d->dst_port == dst_port && memcmp(d->src.b, src->b, 16) == 0 &&
		    memcmp(d->dst.b, dst->b, 16) == 0)
			return d;
	}
	return NULL;
}

static int32_t diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static const char *flags_text(uint16_t flags, char text[10])
{
	static const char letters[] = "FSRPAUEC";
	char *p = text;

	for (int i = 0; i < 8; i++)
		if (flags & 1u << i)
			*p++ = letters[i];
	*p = 0;
	return text;
}

static void trace_frame(struct sim *s, const char *what, const struct sim_host *h, const struct link_view *v,
			uint8_t gso)
{
	char flags[10], options[160] = "";
	size_t n = 0;

	if (!s->trace)
		return;
	if (!v->has_tcp) {
		sim_note(s, "host %u %s proto %u, %u octets", h->index, what, v->family ? v->proto : 0, v->ip_len);
		return;
	}
	if (v->tcp.options.has & WIRE_TCP_HAS_TS)
		n += (size_t)snprintf(options, sizeof(options), " ts %u %u", v->tcp.options.ts_val,
				      v->tcp.options.ts_ecr);
	for (unsigned i = 0; i < v->tcp.options.n_sacks; i++)
		n += (size_t)snprintf(options + n, sizeof(options) - n, " sack %u-%u", v->tcp.options.sacks[i].left,
				      v->tcp.options.sacks[i].right);
	sim_note(s, "host %u %s %u>%u %s seq %u+%zu ack %u win %u%s%s", h->index, what, v->tcp.src_port,
		 v->tcp.dst_port, flags_text(v->tcp.flags, flags), v->tcp.seq, v->tcp.payload.len_bytes, v->tcp.ack,
		 v->tcp.window, options, gso ? " (super)" : "");
}

/* --- a frame by itself --- */

static void check_sound(struct sim *s, struct sim_host *h, const struct berth_tx *tx, const uint8_t *data,
			const struct link_view *v)
{
	uint32_t longest = v->ip_len;

	if (tx->gso != BERTH_GSO_NONE) {
		uint32_t header =
			v->has_tcp ? v->ip_len - (uint32_t)v->tcp.payload.len_bytes : v->l4_at - v->ip_at + 8u;

		if (!(h->iface_flags & (v->family == 4 ? BERTH_IF_TSO4 : BERTH_IF_TSO6)) &&
		    !(h->iface_flags & BERTH_IF_USO))
			sim_fail(s, "a frame is sound", "host %u: a super-frame for a device without", h->index);
		if (tx->gso_size == 0 || !(tx->flags & BERTH_F_NEEDS_CSUM))
			sim_fail(s, "a frame is sound", "host %u: a super-frame, size %u, flags %u", h->index,
				 tx->gso_size, tx->flags);
		sim_expect_u64(s, "hdr_len is where the payload begins", tx->hdr_len, v->ip_at + header);
		longest = header + tx->gso_size;
	}
	if (longest > h->mtu_bytes)
		sim_fail(s, "a frame is sound", "host %u: %u octets of IP, MTU %u", h->index, longest, h->mtu_bytes);
	if (tx->flags & BERTH_F_NEEDS_CSUM) {
		if (!(h->iface_flags & BERTH_IF_TX_CSUM))
			sim_fail(s, "a frame is sound", "host %u: a checksum for a device that makes none", h->index);
		sim_expect_u64(s, "csum_start is the transport's", tx->csum_start, v->l4_at);
		return;
	}
	if (!link_checksum_good(data, v))
		sim_fail(s, "a frame is sound", "host %u: a bad checksum, protocol %u, %u octets", h->index, v->proto,
			 v->ip_len);
}

/* --- TCP --- */

static void on_syn(struct direction *d, const struct wire_tcp *t, uint64_t now_ns)
{
	if (d->has_syn && d->isn == t->seq)
		return; /* again */
	d->has_old = d->has_syn;
	d->old_end = d->end;
	d->has_syn = true;
	d->isn = d->end = t->seq;
	d->offers_scale = t->options.has & WIRE_TCP_HAS_WSCALE;
	d->scale = d->offers_scale ? t->options.wscale : 0;
	d->has_granted = d->has_edge = d->zero_window = false;
	d->owner = NULL;
	silence_syn(&d->silence, t->seq, now_ns);
}

static void check_acks(struct sim *s, struct sim_host *h, const struct direction *peer, const struct wire_tcp *t)
{
	if (!(t->flags & WIRE_TCP_ACK) || (t->flags & WIRE_TCP_RST) || !peer->has_syn)
		return;
	if (diff(t->ack, peer->end) > 0 && !(peer->has_old && diff(t->ack, peer->old_end) <= 0))
		sim_fail(s, "nothing is acknowledged that was not sent", "host %u port %u: ack %u, sent to %u",
			 h->index, t->src_port, t->ack, peer->end);
	for (unsigned i = 0; i < t->options.n_sacks; i++)
		if (diff(t->options.sacks[i].right, peer->end) > 0 && !peer->has_old)
			sim_fail(s, "nothing is acknowledged that was not sent",
				 "host %u port %u: sack to %u, sent to %u", h->index, t->src_port,
				 t->options.sacks[i].right, peer->end);
}

static void check_window(struct sim *s, struct sim_host *h, struct direction *d, const struct wire_tcp *t, uint32_t end)
{
	uint32_t len = (uint32_t)t->payload.len_bytes;

	if (d->has_edge && len && diff(t->seq + len, d->edge) > 0 && !(len == 1 && diff(t->seq, d->edge) <= 0))
		sim_fail(s, "in flight within the peer's window", "host %u port %u: %u+%u, granted to %u", h->index,
			 t->src_port, t->seq, len, d->edge);
	if (diff(end, d->end) > 0)
		d->end = end;
}

static void check_grant(struct sim *s, struct sim_host *h, struct direction *d, const struct direction *peer,
			const struct wire_tcp *t)
{
	uint8_t scale = (t->flags & WIRE_TCP_SYN) || !peer->offers_scale || !d->offers_scale ? 0 : d->scale;
	uint32_t right = t->ack + ((uint32_t)t->window << scale);

	if (!(t->flags & WIRE_TCP_ACK) || (t->flags & WIRE_TCP_RST) || !peer->has_syn || peer->has_old || d->has_old)
		return;
	if (!s->windows_shrink && d->has_granted && diff(right, d->granted) + (int32_t)(1u << d->scale) < 0)
		sim_fail(s, "a granted window is not taken back", "host %u port %u: right edge %u, was %u", h->index,
			 t->src_port, right, d->granted);
	if (!d->has_granted || diff(right, d->granted) > 0)
		d->granted = right;
	d->has_granted = true;
}

static void watch_out(struct sim *s, struct sim_host *h, const struct link_view *v)
{
	const struct wire_tcp *t = &v->tcp;
	struct direction *d = find(s->observer, &v->src, &v->dst, t->src_port, t->dst_port);
	struct direction *peer = find(s->observer, &v->dst, &v->src, t->dst_port, t->src_port);
	uint32_t end =
		t->seq + (uint32_t)t->payload.len_bytes + !!(t->flags & WIRE_TCP_FIN) + !!(t->flags & WIRE_TCP_SYN);

	if (!d || !peer || s->is_attacked)
		return;
	if (t->flags & WIRE_TCP_SYN)
		on_syn(d, t, s->now_ns);
	if (!d->has_syn || (t->flags & WIRE_TCP_RST))
		return;
	if (!d->owner)
		d->owner = app_end_at(s, h, t->src_port, &v->dst, t->dst_port);
	check_acks(s, h, peer, t);
	check_window(s, h, d, t, end);
	check_grant(s, h, d, peer, t);
	silence_sent(&d->silence, t, s->now_ns);
}

void observe_out(struct sim *s, struct sim_host *h, const struct berth_tx *tx, const uint8_t *data, uint32_t len)
{
	enum berth_link link = h->ifaces[0].wire->link;
	struct link_view v;

	for (unsigned i = 0; i < h->n_ifaces; i++)
		if (h->ifaces[i].wire->ports[h->ifaces[i].port].iface == tx->iface)
			link = h->ifaces[i].wire->link;
	if (link_view(data, len, link, &v) < 0)
		sim_fail(s, "a frame is sound", "host %u: %u octets that no parser takes", h->index, len);
	trace_frame(s, "sends", h, &v, tx->gso);
	if (v.family == 0)
		return;
	check_sound(s, h, tx, data, &v);
	if (v.has_tcp)
		flight_sent(h, &v);
	if (v.has_tcp)
		watch_out(s, h, &v);
	else if (v.proto == WIRE_PROTO_TCP && !v.fragment)
		sim_fail(s, "a frame is sound", "host %u: a TCP header that does not parse", h->index);
}

/* Damage in front of the transport header, which its checksum does not cover: the stack drops that, too. */
static bool is_for(const struct sim_host *h, enum berth_link link, const struct berth_rx *rx, const struct link_view *v)
{
	static const uint8_t first[4] = {2};

	if (link == BERTH_LINK_ETHERNET && (memcmp(rx->head, first, sizeof(first)) != 0 || rx->head[5] != h->octet))
		return false;
	return v->family != 4 || wire_checksum(wire_sum(0, rx->head + v->ip_at, (uint32_t)(v->l4_at - v->ip_at))) == 0;
}

void observe_in(struct sim *s, struct sim_host *h, enum berth_link link, const struct berth_rx *rx)
{
	struct direction *d, *peer;
	const struct wire_tcp *t;
	struct link_view v;
	uint32_t right;
	uint8_t scale;
	bool damaged;

	if (link_view(rx->head, rx->head_len, link, &v) < 0)
		return;
	damaged = s->has_corruption && !(rx->flags & (BERTH_F_NEEDS_CSUM | BERTH_F_DATA_VALID)) &&
		  (!link_checksum_good(rx->head, &v) || !is_for(h, link, rx, &v));
	trace_frame(s, damaged ? "   gets, damaged," : "   gets", h, &v, rx->gso);
	if (damaged || !v.has_tcp || s->is_attacked)
		return;
	t = &v.tcp;
	d = find(s->observer, &v.dst, &v.src, t->dst_port, t->src_port);
	peer = find(s->observer, &v.src, &v.dst, t->src_port, t->dst_port);
	if (!d || !peer || !d->has_syn || !(t->flags & WIRE_TCP_ACK) || (t->flags & WIRE_TCP_RST))
		return;
	/* of this incarnation? */
	if (diff(t->ack, d->isn) < 0 || diff(t->ack, d->end) > 0)
		return;
	scale = (t->flags & WIRE_TCP_SYN) || !peer->offers_scale || !d->offers_scale ? 0 : peer->scale;
	right = t->ack + ((uint32_t)t->window << scale);
	if (!d->has_edge || diff(right, d->edge) > 0)
		d->edge = right;
	d->has_edge = true;
	if (diff(d->end, d->silence.una) <= 0 && t->payload.len_bytes == 0)
		d->silence.since_ns = s->now_ns; /* it told its window: what a probe would ask */
	silence_got(&d->silence, t, (uint32_t)t->window << scale, d->has_granted ? d->granted : t->seq, s->now_ns);
}

struct silence *observe_silence(struct sim *s, const struct sim_look *t, bool *ret_has_work)
{
	struct direction *d = find(s->observer, &t->local, &t->peer, t->local_port, t->peer_port);
	uint32_t written;

	if (!d || !d->has_syn || d->isn != t->iss)
		return NULL;
	written = d->isn + 1;
	if (d->owner)
		written += (uint32_t)d->owner->sent + d->owner->is_shut;
	*ret_has_work = diff(d->end, d->silence.una) > 0 || diff(written, d->end) > 0;
	return &d->silence;
}
