/* src/wire/print.c: one line for any packet.
 *
 * Printing goes through the parsers, so it cannot read past what they check, and through a cursor that refuses what does not fit,
 * so it cannot write past its end. What a parser refuses is said to be malformed, with its length. Everything printed is
 * a number, an address or a word of ours.
 *
 * Cost: a parse and the text; nothing is kept. Elsewhere: what ICMP says (print_icmp.c).
 */
#include "wire/print.h"

#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/print_text.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define CUT " ..."

/* "IP src > dst: ", with ports if there are some */
struct ends {
	const char *family;
	const struct port_addr *src, *dst;
};

static void put_ends(struct cursor_writer *w, const struct ends *e)
{
	wire_put(w, e->family);
	wire_put_addr(w, e->src);
	wire_put(w, " > ");
	wire_put_addr(w, e->dst);
	wire_put(w, ": ");
}

static void put_ends_ports(struct cursor_writer *w, const struct ends *e, uint16_t src_port, uint16_t dst_port)
{
	wire_put(w, e->family);
	wire_put_addr(w, e->src);
	wire_put_number(w, ":", src_port);
	wire_put(w, " > ");
	wire_put_addr(w, e->dst);
	wire_put_number(w, ":", dst_port);
	wire_put(w, ": ");
}

static void put_tcp_options(struct cursor_writer *w, const struct wire_tcp_options *o)
{
	bool first = true;

	if (o->has & WIRE_TCP_HAS_MSS) {
		wire_put_next(w, &first);
		wire_put_number(w, "mss ", o->mss);
	}
	if (o->has & WIRE_TCP_HAS_SACK_OK) {
		wire_put_next(w, &first);
		wire_put(w, "sackOK");
	}
	if (o->has & WIRE_TCP_HAS_TS) {
		wire_put_next(w, &first);
		wire_put_number(w, "ts ", o->ts_val);
		wire_put_number(w, "/", o->ts_ecr);
	}
	if (o->has & WIRE_TCP_HAS_WSCALE) {
		wire_put_next(w, &first);
		wire_put_number(w, "wscale ", o->wscale);
	}
	if (o->has & WIRE_TCP_HAS_USER_TIMEOUT) {
		wire_put_next(w, &first);
		wire_put_number(w, "uto ", o->user_timeout_s);
	}
	if (o->has & WIRE_TCP_HAS_COOKIE) {
		wire_put_next(w, &first);
		wire_put(w, o->cookie_experimental ? "tfo-x" : "tfo");
		if (o->cookie_bytes == 0)
			wire_put(w, " request");
		for (unsigned i = 0; i < o->cookie_bytes; i++) {
			wire_put(w, i ? "" : " ");
			wire_put_hex(w, o->cookie[i], 2);
		}
	}
	if (o->has & WIRE_TCP_HAS_SACK) {
		wire_put_next(w, &first);
		wire_put(w, "sack");
		for (unsigned i = 0; i < o->n_sacks; i++) {
			wire_put_number(w, " ", o->sacks[i].left);
			wire_put_number(w, "-", o->sacks[i].right);
		}
	}
	if (o->n_ignored) {
		wire_put_next(w, &first);
		wire_put_number(w, "odd ", o->n_ignored);
	}
	wire_put(w, first ? "" : ">");
}

static void put_tcp(struct cursor_writer *w, const struct ends *e, struct wire_slice s)
{
	static const struct {
		uint16_t flag;
		const char *letter;
	} letters[] = {{WIRE_TCP_SYN, "S"}, {WIRE_TCP_FIN, "F"}, {WIRE_TCP_RST, "R"},
		       {WIRE_TCP_PSH, "P"}, {WIRE_TCP_URG, "U"}, {WIRE_TCP_ECE, "E"},
		       {WIRE_TCP_CWR, "W"}, {WIRE_TCP_AE, "A"},	 {WIRE_TCP_ACK, "."}};
	struct wire_tcp t;
	int r = wire_tcp_parse(s.data, s.len_bytes, &t);

	if (r < 0) {
		put_ends(w, e);
		wire_put_malformed(w, "TCP", r, s.len_bytes);
		return;
	}
	put_ends_ports(w, e, t.src_port, t.dst_port);
	wire_put(w, "[");
	for (size_t i = 0; i < COUNT_OF(letters); i++)
		wire_put(w, t.flags & letters[i].flag ? letters[i].letter : "");
	wire_put_number(w, t.flags ? "], seq " : "none], seq ", t.seq);
	if (t.flags & WIRE_TCP_ACK)
		wire_put_number(w, ", ack ", t.ack);
	wire_put_number(w, ", win ", t.window);
	if (t.flags & WIRE_TCP_URG)
		wire_put_number(w, ", urg ", t.urgent);
	put_tcp_options(w, &t.options);
	wire_put_number(w, ", len ", t.payload.len_bytes);
}

static void put_udp(struct cursor_writer *w, const struct ends *e, struct wire_slice s)
{
	struct wire_udp u;
	int r = wire_udp_parse(s.data, s.len_bytes, &u);

	if (r < 0) {
		put_ends(w, e);
		wire_put_malformed(w, "UDP", r, s.len_bytes);
		return;
	}
	put_ends_ports(w, e, u.src_port, u.dst_port);
	wire_put_number(w, "UDP len ", u.payload.len_bytes);
}

static void put_upper(struct cursor_writer *w, const struct ends *e, uint8_t proto, struct wire_slice s)
{
	bool is4 = port_addr_is4(e->src);

	if (proto == WIRE_PROTO_TCP) {
		put_tcp(w, e, s);
		return;
	}
	if (proto == WIRE_PROTO_UDP) {
		put_udp(w, e, s);
		return;
	}
	put_ends(w, e);
	if (proto == WIRE_PROTO_ICMP4 && is4) {
		wire_put_icmp4(w, s);
	} else if (proto == WIRE_PROTO_IGMP && is4) {
		wire_put_igmp(w, s);
	} else if (proto == WIRE_PROTO_ICMP6 && !is4) {
		wire_put_icmp6(w, s);
	} else {
		wire_put_number(w, "protocol ", proto);
		wire_put_number(w, ", len ", s.len_bytes);
	}
}

static void put_fragment(struct cursor_writer *w, const struct ends *e, uint32_t id, size_t at, size_t len_bytes,
			 bool more, uint8_t proto)
{
	put_ends(w, e);
	wire_put_number(w, "fragment of ", id);
	wire_put_number(w, ", protocol ", proto);
	wire_put_number(w, ", octets ", at);
	wire_put_number(w, "+", len_bytes);
	wire_put(w, more ? ", more" : ", last");
}

static void put_ip4(struct cursor_writer *w, const uint8_t *data, size_t len_bytes)
{
	struct wire_ip4 ip;
	int r = wire_ip4_parse(data, len_bytes, &ip);
	const struct ends e = {"IP ", &ip.src, &ip.dst};

	if (r < 0) {
		wire_put_malformed(w, "IP", r, len_bytes);
		return;
	}
	if (wire_ip4_is_fragment(&ip))
		put_fragment(w, &e, ip.id, ip.fragment_at, ip.payload.len_bytes, ip.mf, ip.proto);
	else
		put_upper(w, &e, ip.proto, ip.payload);
	if (ip.options.len_bytes)
		wire_put_number(w, ", IP options ", ip.options.len_bytes);
	if ((ip.tos & WIRE_ECN_MASK) == WIRE_ECN_CE)
		wire_put(w, ", CE");
	if (!ip.checksum_good)
		wire_put(w, ", bad IP checksum");
}

static void put_ip6(struct cursor_writer *w, const uint8_t *data, size_t len_bytes)
{
	struct wire_ip6 ip;
	struct wire_ip6_problem problem;
	int r = wire_ip6_parse(data, len_bytes, &ip, &problem);
	const struct ends e = {"IP6 ", &ip.src, &ip.dst};

	if (r < 0) {
		wire_put_malformed(w, "IP6", r, len_bytes);
		if (r == -EPROTO) {
			wire_put_number(w, ", problem ", problem.code);
			wire_put_number(w, " at ", problem.pointer);
		}
		return;
	}
	if (wire_ip6_is_fragment(&ip))
		put_fragment(w, &e, ip.fragment_id, ip.fragment_at, ip.fragment.len_bytes, ip.more, ip.fragment_next);
	else
		put_upper(w, &e, ip.proto, ip.payload);
	if (ip.extensions.len_bytes)
		wire_put_number(w, ", extensions ", ip.extensions.len_bytes);
	if ((ip.tclass & WIRE_ECN_MASK) == WIRE_ECN_CE)
		wire_put(w, ", CE");
}

static void put_ip(struct cursor_writer *w, const uint8_t *data, size_t len_bytes)
{
	if (len_bytes && data[0] >> 4 == 4)
		put_ip4(w, data, len_bytes);
	else if (len_bytes && data[0] >> 4 == 6)
		put_ip6(w, data, len_bytes);
	else
		wire_put_malformed(w, "IP", -EBADMSG, len_bytes);
}

static void put_arp(struct cursor_writer *w, struct wire_slice s)
{
	struct wire_arp a;
	int r = wire_arp_parse(s.data, s.len_bytes, &a);

	if (r < 0) {
		wire_put_malformed(w, "ARP", r, s.len_bytes);
		return;
	}
	if (a.op == WIRE_ARP_REPLY) {
		wire_put(w, "ARP ");
		wire_put_addr(w, &a.sender);
		wire_put(w, " is at ");
		wire_put_mac(w, a.sender_mac);
		return;
	}
	wire_put(w, "ARP who has ");
	wire_put_addr(w, &a.target);
	wire_put(w, "? tell ");
	wire_put_addr(w, &a.sender);
}

static void put_frame(struct cursor_writer *w, const uint8_t *data, size_t len_bytes)
{
	struct wire_eth e;
	int r = wire_eth_parse(data, len_bytes, &e);

	if (r < 0) {
		wire_put_malformed(w, "Ethernet", r, len_bytes);
		return;
	}
	if (e.tagged) {
		wire_put_number(w, "VLAN ", e.tag & 0xfff);
		wire_put(w, " ");
	}
	switch (e.type) {
	case WIRE_ETH_IP4:
	case WIRE_ETH_IP6:
		if (e.payload.len_bytes && (e.payload.data[0] >> 4 == 4) == (e.type == WIRE_ETH_IP4))
			put_ip(w, e.payload.data, e.payload.len_bytes);
		else
			wire_put_malformed(w, e.type == WIRE_ETH_IP4 ? "IP" : "IP6", -EBADMSG, e.payload.len_bytes);
		break;
	case WIRE_ETH_ARP:
		put_arp(w, e.payload);
		break;
	default:
		wire_put_mac(w, e.src);
		wire_put(w, " > ");
		wire_put_mac(w, e.dst);
		wire_put(w, ": type 0x");
		wire_put_hex(w, e.type, 4);
		wire_put_number(w, ", len ", e.payload.len_bytes);
	}
}

/* The text so far, terminated, with a mark if it was cut. The cursor ends sizeof(CUT) before the end of s. */
static char *finish(struct cursor_writer *w, char *s)
{
	size_t n = cursor_writer_len(w);
	bool whole = cursor_writer_ok(w);

	memcpy(s + n, whole ? "" : CUT, whole ? 1 : sizeof(CUT));
	return s;
}

static char *print(void (*how)(struct cursor_writer *, const uint8_t *, size_t), const uint8_t *data, size_t len_bytes,
		   char *s, size_t size)
{
	struct cursor_writer w;

	if (size == 0)
		return s;
	if (size < sizeof(CUT)) {
		s[0] = '\0';
		return s;
	}
	w = cursor_writer(s, size - sizeof(CUT));
	how(&w, data, len_bytes);
	return finish(&w, s);
}

char *wire_print_frame(const uint8_t *data, size_t len_bytes, char *s, size_t size)
{
	return print(put_frame, data, len_bytes, s, size);
}

char *wire_print_ip(const uint8_t *data, size_t len_bytes, char *s, size_t size)
{
	return print(put_ip, data, len_bytes, s, size);
}
