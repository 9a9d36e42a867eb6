/* src/wire/print_icmp.c: what ICMP, neighbour discovery and multicast membership say, in a few words: print.h.
 *
 * As in print.c, all goes through the parsers. A message that its own parser refuses is malformed, though ICMP's took its header.
 */
#include "wire/print_text.h"

#include "wire/group.h"
#include "wire/icmp.h"
#include "wire/nd.h"

/* The packet an error is about: protocol and ends. */
static void put_quoted(struct cursor_writer *w, enum port_family family, struct wire_slice quoted)
{
	struct wire_embedded q;

	if (wire_embedded_parse(family, quoted, &q) < 0) {
		wire_put_number(w, ", quotes ", quoted.len_bytes);
		wire_put(w, " octets");
		return;
	}
	wire_put(w, ", about ");
	switch (q.proto) {
	case WIRE_PROTO_TCP:
		wire_put(w, "TCP ");
		break;
	case WIRE_PROTO_UDP:
		wire_put(w, "UDP ");
		break;
	default:
		wire_put_number(w, "protocol ", q.proto);
		wire_put(w, " ");
	}
	wire_put_addr(w, &q.src);
	if (q.n_known >= 4 && (q.proto == WIRE_PROTO_TCP || q.proto == WIRE_PROTO_UDP)) {
		wire_put_number(w, ":", q.src_port);
		wire_put(w, " > ");
		wire_put_addr(w, &q.dst);
		wire_put_number(w, ":", q.dst_port);
	} else {
		wire_put(w, " > ");
		wire_put_addr(w, &q.dst);
	}
	if (q.proto == WIRE_PROTO_TCP && q.n_known == 8)
		wire_put_number(w, " seq ", q.seq);
}

static void put_echo(struct cursor_writer *w, bool reply, uint16_t id, uint16_t seq, size_t len_bytes)
{
	wire_put_number(w, reply ? "echo reply, id " : "echo request, id ", id);
	wire_put_number(w, ", seq ", seq);
	wire_put_number(w, ", len ", len_bytes);
}

void wire_put_icmp4(struct cursor_writer *w, struct wire_slice s)
{
	static const char *const unreachable[] = {"net",	 "host", "protocol", "port", "fragmentation needed",
						  "source route"};
	struct wire_icmp4 i;
	int r = wire_icmp4_parse(s.data, s.len_bytes, &i);

	if (r < 0) {
		wire_put_malformed(w, "ICMP", r, s.len_bytes);
		if (s.len_bytes)
			wire_put_number(w, ", type ", s.data[0]);
		return;
	}
	wire_put(w, "ICMP ");
	switch (i.type) {
	case WIRE_ICMP4_ECHO:
	case WIRE_ICMP4_ECHO_REPLY:
		put_echo(w, i.type == WIRE_ICMP4_ECHO_REPLY, i.id, i.seq, i.payload.len_bytes);
		return;
	case WIRE_ICMP4_UNREACHABLE:
		wire_put(w, "unreachable: ");
		if (i.code < COUNT_OF(unreachable))
			wire_put(w, unreachable[i.code]);
		else
			wire_put_number(w, "code ", i.code);
		if (i.code == WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED)
			wire_put_number(w, ", mtu ", i.mtu);
		break;
	case WIRE_ICMP4_TIME_EXCEEDED:
		wire_put(w, i.code == WIRE_ICMP_REASSEMBLY_EXCEEDED ? "reassembly time exceeded" : "time exceeded");
		break;
	default:
		wire_put_number(w, "parameter problem at ", i.pointer);
	}
	put_quoted(w, PORT_FAMILY_4, i.payload);
}

static void put_nd_options(struct cursor_writer *w, const struct wire_nd_options *o)
{
	bool first = true;

	if (o->has & WIRE_ND_HAS_SOURCE_MAC) {
		wire_put_next(w, &first);
		wire_put(w, "source ");
		wire_put_mac(w, o->source_mac);
	}
	if (o->has & WIRE_ND_HAS_TARGET_MAC) {
		wire_put_next(w, &first);
		wire_put(w, "target ");
		wire_put_mac(w, o->target_mac);
	}
	if (o->has & WIRE_ND_HAS_NONCE) {
		wire_put_next(w, &first);
		wire_put(w, "nonce");
	}
	if (o->has & WIRE_ND_HAS_MTU) {
		wire_put_next(w, &first);
		wire_put_number(w, "mtu ", o->mtu);
	}
	for (unsigned i = 0; i < o->n_prefixes; i++) {
		const struct wire_nd_prefix *p = &o->prefixes[i];
		char s[PORT_ADDR_STR_MAX];

		wire_put_next(w, &first);
		wire_put(w, port_addr_print(&p->prefix, s));
		wire_put_number(w, "/", p->prefix_bits);
		wire_put(w, p->autonomous ? " auto" : "");
	}
	wire_put(w, first ? "" : ">");
}

static void put_target(struct cursor_writer *w, const char *what, const struct port_addr *target,
		       const struct wire_nd_options *o)
{
	wire_put(w, what);
	wire_put_addr(w, target);
	put_nd_options(w, o);
}

/* An advertisement or a redirect are big: each has its own frame on the stack, and leaves it. */
static int put_ra(struct cursor_writer *w, struct wire_slice s)
{
	struct wire_nd_ra m;
	int r = wire_nd_ra_parse(s.data, s.len_bytes, &m);

	if (r < 0)
		return r;
	wire_put_number(w, "ND router advertisement, lifetime ", m.lifetime_s);
	wire_put(w, m.managed ? ", managed" : "");
	put_nd_options(w, &m.options);
	return 0;
}

static int put_nd(struct cursor_writer *w, uint8_t type, struct wire_slice s)
{
	struct wire_nd_rs rs;
	struct wire_nd_ns ns;
	struct wire_nd_na na;
	struct wire_nd_redirect redirect;
	int r;

	switch (type) {
	case WIRE_ICMP6_ND_RS:
		r = wire_nd_rs_parse(s.data, s.len_bytes, &rs);
		if (r < 0)
			return r;
		wire_put(w, "ND router solicitation");
		put_nd_options(w, &rs.options);
		return 0;
	case WIRE_ICMP6_ND_RA:
		return put_ra(w, s);
	case WIRE_ICMP6_ND_NS:
		r = wire_nd_ns_parse(s.data, s.len_bytes, &ns);
		if (r == 0)
			put_target(w, "ND who has ", &ns.target, &ns.options);
		return r;
	case WIRE_ICMP6_ND_NA:
		r = wire_nd_na_parse(s.data, s.len_bytes, &na);
		if (r < 0)
			return r;
		wire_put(w, na.router ? "ND router" : "ND host");
		wire_put(w, na.solicited ? " answers" : " says");
		wire_put(w, na.override ? ", override" : "");
		put_target(w, ": ", &na.target, &na.options);
		return 0;
	default:
		r = wire_nd_redirect_parse(s.data, s.len_bytes, &redirect);
		if (r < 0)
			return r;
		wire_put(w, "ND redirect: to ");
		wire_put_addr(w, &redirect.dst);
		put_target(w, " by way of ", &redirect.target, &redirect.options);
		return 0;
	}
}

static void put_sources(struct cursor_writer *w, enum port_family family, struct wire_slice sources, unsigned n)
{
	wire_put(w, n ? " {" : "");
	for (unsigned i = 0; i < n && cursor_writer_ok(w); i++) {
		struct port_addr a = wire_group_source(family, sources, i);

		wire_put(w, i ? " " : "");
		wire_put_addr(w, &a);
	}
	wire_put(w, n ? "}" : "");
}

static void put_records(struct cursor_writer *w, enum port_family family, const struct wire_group *g)
{
	static const char *const changes[] = {"?", "in", "ex", "to-in", "to-ex", "allow", "block"};
	struct wire_slice rest = g->body;
	struct wire_group_record r;
	bool first = true;

	for (unsigned i = 0; i < g->n_records && cursor_writer_ok(w) && wire_group_record_next(family, &rest, &r);
	     i++) {
		wire_put_next(w, &first);
		wire_put(w, changes[(unsigned)r.change < COUNT_OF(changes) ? (unsigned)r.change : 0]);
		wire_put(w, " ");
		wire_put_addr(w, &r.address);
		put_sources(w, family, r.sources, r.n_sources);
	}
	wire_put(w, first ? "" : ">");
}

static void put_group(struct cursor_writer *w, enum port_family family, const struct wire_group *g)
{
	wire_put(w, family == PORT_FAMILY_4 ? "IGMPv" : "MLDv");
	cursor_put_decimal(w, family == PORT_FAMILY_4 ? g->version : g->version - 1u);
	switch (g->kind) {
	case WIRE_GROUP_QUERY:
		wire_put(w, " query");
		break;
	case WIRE_GROUP_LEAVE:
		wire_put(w, " leave");
		break;
	case WIRE_GROUP_REPORT3:
		wire_put(w, " report");
		put_records(w, family, g);
		return;
	case WIRE_GROUP_REPORT1:
	case WIRE_GROUP_REPORT2:
		wire_put(w, " report");
	}
	if (!port_addr_is_any(&g->address)) {
		wire_put(w, " ");
		wire_put_addr(w, &g->address);
	}
	if (g->kind == WIRE_GROUP_QUERY)
		put_sources(w, family, g->body, g->n_sources);
}

void wire_put_igmp(struct cursor_writer *w, struct wire_slice s)
{
	struct wire_group g;
	int r = wire_igmp_parse(s.data, s.len_bytes, &g);

	if (r < 0)
		wire_put_malformed(w, "IGMP", r, s.len_bytes);
	else
		put_group(w, PORT_FAMILY_4, &g);
}

static void put_error6(struct cursor_writer *w, const struct wire_icmp6 *i)
{
	static const char *const unreachable[] = {"no route", "prohibited", "scope", "address",
						  "port",     "policy",	    "reject"};

	wire_put(w, "ICMP6 ");
	switch (i->type) {
	case WIRE_ICMP6_UNREACHABLE:
		wire_put(w, "unreachable: ");
		if (i->code < COUNT_OF(unreachable))
			wire_put(w, unreachable[i->code]);
		else
			wire_put_number(w, "code ", i->code);
		break;
	case WIRE_ICMP6_TOO_BIG:
		wire_put_number(w, "packet too big, mtu ", i->mtu);
		break;
	case WIRE_ICMP6_TIME_EXCEEDED:
		wire_put(w, i->code == WIRE_ICMP_REASSEMBLY_EXCEEDED ? "reassembly time exceeded" : "time exceeded");
		break;
	case WIRE_ICMP6_PARAMETER_PROBLEM:
		wire_put_number(w, "parameter problem ", i->code);
		wire_put_number(w, " at ", i->pointer);
		break;
	default:
		wire_put_number(w, "error of type ", i->type);
	}
	put_quoted(w, PORT_FAMILY_6, i->payload);
}

void wire_put_icmp6(struct cursor_writer *w, struct wire_slice s)
{
	struct wire_icmp6 i;
	struct wire_group g;
	int r = wire_icmp6_parse(s.data, s.len_bytes, &i);

	if (r == 0) {
		switch (i.type) {
		case WIRE_ICMP6_ECHO:
		case WIRE_ICMP6_ECHO_REPLY:
			wire_put(w, "ICMP6 ");
			put_echo(w, i.type == WIRE_ICMP6_ECHO_REPLY, i.id, i.seq, i.payload.len_bytes);
			return;
		case WIRE_ICMP6_MLD_QUERY:
		case WIRE_ICMP6_MLD_REPORT1:
		case WIRE_ICMP6_MLD_DONE:
		case WIRE_ICMP6_MLD_REPORT2:
			r = wire_mld_parse(s.data, s.len_bytes, &g);
			if (r == 0)
				put_group(w, PORT_FAMILY_6, &g);
			break;
		case WIRE_ICMP6_ND_RS:
		case WIRE_ICMP6_ND_RA:
		case WIRE_ICMP6_ND_NS:
		case WIRE_ICMP6_ND_NA:
		case WIRE_ICMP6_ND_REDIRECT:
			r = put_nd(w, i.type, s);
			break;
		default:
			put_error6(w, &i);
		}
	}
	if (r == 0)
		return;
	wire_put_malformed(w, "ICMP6", r, s.len_bytes);
	if (s.len_bytes)
		wire_put_number(w, ", type ", s.data[0]);
}
