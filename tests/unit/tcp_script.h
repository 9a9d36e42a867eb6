/* tests/unit/tcp_script.h: one TCP connection of a stack; its peer is a script. A row of a table is a text, steps apart by ';':
 *
 *	in SEQ+LEN [FLAGS] [ack N] [win N] [sack A-B,C-D] [urg N] [gso N] [ce] [hold]    a segment from the peer; hold: nothing is
 *			sent before the next one comes, as in a batch
 *	out SEQ+LEN [FLAGS] [ack N] [win N] [sack A-B,...|sack none] [urg N] [gso N]	the next frame is this one: what is named is compared
 *	quiet		there is no frame now		drop		frames up to now are taken away unseen
 *	send N [more] [urgent] [part]	write N octets (part: as many as fit)	want N	a write of N octets takes none: EAGAIN
 *	read N		the next N octets, and they are the right ones		read none, read eof
 *	fin		shut down sending		close	close the socket
 *	wait MS		time passes, timers run; frames stay in the queue with the time at which they left
 *	at MS		the next frame left so many ms after the last `wait` or step before it began (frames come in order)
 *	set NAME N	an option: nodelay cork quickack rcvbuf sndbuf rcvlowat notsent maxseg user_timeout
 *	ev NAMES	events since the last `ev`: in,out,pri,rdhup,hup,err or none
 *	poll NAMES	what is so now
 *	err N		the socket's error is errno N
 *	mtu N		a router says: this is too big; the path takes N
 *	attach RX TX	the program's own rings
 *
 * FLAGS are letters of S F P R U E C (ACK is always there); in an `out`, '.' means none of S F R P. Numbers of sequence are relative to
 * the initial ones: data begins with 1. A row whose last frames nobody looks at fails; `drop` says that it is meant. Windows are octets, as scaled. The peer's octet i of the stream has the value octet_of(i), and so has ours.
 */
#ifndef BERTH_TESTS_TCP_SCRIPT_H
#define BERTH_TESTS_TCP_SCRIPT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stack/tcp_data.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ip4.h"

#define SCRIPT_FRAMES 4096
#define SCRIPT_FRAME_MAX 66000

struct script_row {
	const char *name;
	const char *text;
	/* 0: mss 1460, mtu 1500, rings of 64 KiB, window 65535 without scaling; SACK, no timestamps */
	uint32_t mss, mtu, ring, win, rx_ring;
	uint32_t iface_flags, stack_flags;
	bool no_sack, ts;
	uint8_t scale; /* the peer's; 0: it offers 0 */
};

struct script_frame {
	uint64_t at_ns;
	struct wire_tcp t;
	uint32_t len;
	uint16_t gso_size;
	uint8_t tos;
	uint64_t pin;
};

struct script {
	const struct script_row *row;
	struct berth_stack *st;
	void *mem;
	uint64_t now, mark;
	uint16_t iface;
	berth_sock s, listener;
	uint32_t iss, peer_isn; /* ours, and the peer's */
	uint8_t our_scale;
	uint32_t ts_val, ts_recent;
	uint64_t written, read;
	uint32_t events;
	struct script_frame *out;
	unsigned n_out, at_out;
	const char *step; /* for messages */
	uint8_t *rings;
	uint8_t last_quote[28]; /* IP and 8 octets of TCP of the last frame with data */
};

static uint8_t octet_of(uint64_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 17 + (i >> 16));
}

#define SCRIPT_CHECK(s, e, ...)                         \
	do {                                            \
		if (!(e)) {                             \
			print_error("%s: ", (s)->step); \
			print_error(__VA_ARGS__);       \
			print_error("\n");              \
			fail();                         \
		}                                       \
	} while (0)

/* --- frames out --- */

static void script_parse_out(struct script *s, const struct berth_tx *v)
{
	static uint8_t frame[SCRIPT_FRAME_MAX];
	struct script_frame *f = &s->out[s->n_out];
	struct wire_ip4 ip;
	uint32_t at = v->head_len;

	SCRIPT_CHECK(s, s->n_out < SCRIPT_FRAMES, "too many frames");
	SCRIPT_CHECK(s, v->len < SCRIPT_FRAME_MAX, "a frame of %u octets", v->len);
	memcpy(frame, v->head, v->head_len);
	for (unsigned i = 0; i < v->n_parts; at += v->parts[i].len, i++)
		memcpy(frame + at, v->parts[i].data, v->parts[i].len);
	SCRIPT_CHECK(s, at == v->len, "len %u, but %u octets", v->len, at);
	SCRIPT_CHECK(s, wire_ip4_parse(frame, at, &ip) == 0 && ip.checksum_good, "not IPv4");
	if (ip.proto != WIRE_PROTO_TCP)
		return;
	SCRIPT_CHECK(s, v->gso || at <= (s->row->mtu ? s->row->mtu : 1500), "%u octets are more than the MTU", at);
	if (v->flags & BERTH_F_NEEDS_CSUM)
		SCRIPT_CHECK(s, wire_checksum_finish(frame, at, v->csum_start, v->csum_offset) == 0, "csum_start %u",
			     v->csum_start);
	SCRIPT_CHECK(s,
		     wire_transport_checksum_good(&ip.src, &ip.dst, WIRE_PROTO_TCP, ip.payload.data,
						  ip.payload.len_bytes),
		     "the checksum is wrong");
	memset(f, 0, sizeof(*f));
	SCRIPT_CHECK(s, wire_tcp_parse(ip.payload.data, ip.payload.len_bytes, &f->t) == 0, "not TCP");
	f->at_ns = s->now;
	f->len = (uint32_t)f->t.payload.len_bytes;
	f->gso_size = v->gso ? v->gso_size : 0;
	f->tos = ip.tos;
	f->pin = v->pin;
	if (f->t.options.has & WIRE_TCP_HAS_TS)
		s->ts_recent = f->t.options.ts_val;
	for (uint32_t i = 0; i < f->len; i++)
		SCRIPT_CHECK(s, f->t.payload.data[i] == octet_of(f->t.seq - s->iss - 1 + i),
			     "octet %u of the frame at %u is wrong", i, f->t.seq - s->iss);
	if (f->len)
		memcpy(s->last_quote, frame, sizeof(s->last_quote));
	s->n_out++;
}

static void script_events(struct script *s)
{
	struct berth_event ev[8];
	unsigned n;

	while ((n = berth_stack_events(s->st, ev, 8)) > 0)
		for (unsigned i = 0; i < n; i++)
			if (ev[i].sock == s->s)
				s->events |= ev[i].mask;
}

/* What leaves now. Two frames at a time, so that calls that end in the middle are met, too. */
static void script_pump(struct script *s)
{
	struct berth_tx v[2];
	unsigned n;

	do {
		n = berth_stack_output(s->st, v, 2, s->now);
		for (unsigned i = 0; i < n; i++)
			script_parse_out(s, &v[i]);
	} while (n == 2);
	script_events(s);
	SCRIPT_CHECK(s, berth_stack_check(s->st), "berth_stack_check() fails");
}

static void script_wait(struct script *s, uint64_t ms)
{
	uint64_t until = s->now + ms * 1000000;

	s->mark = s->now;
	for (int i = 0; i < 100000; i++) {
		uint64_t d = berth_stack_deadline(s->st);

		if (d > until)
			break;
		s->now = d > s->now ? d : s->now;
		berth_stack_tick(s->st, s->now, 64);
		script_pump(s);
	}
	s->now = until;
	berth_stack_tick(s->st, s->now, 64);
	script_pump(s);
}

/* --- segments in --- */

struct script_in {
	uint32_t seq, len, ack, win;
	uint16_t flags, urg, gso;
	bool ce;
	struct wire_tcp_options opt;
};

static void script_input(struct script *s, const struct script_in *in)
{
	static uint8_t frame[SCRIPT_FRAME_MAX];
	struct wire_tcp t = {.src_port = 5000, .dst_port = 80};
	struct wire_ip4 ip = {.src = port_addr_v4(10, 0, 0, 2),
			      .dst = port_addr_v4(10, 0, 0, 1),
			      .ttl = 64,
			      .df = true};
	struct berth_part part;
	struct berth_rx rx = {.iface = s->iface};
	int n, m;

	t.seq = s->peer_isn + in->seq;
	t.ack = s->iss + in->ack;
	t.flags = in->flags;
	t.window = (uint16_t)in->win;
	t.urgent = in->urg;
	t.options = in->opt;
	if (s->row->ts) {
		t.options.has |= WIRE_TCP_HAS_TS;
		t.options.ts_val = ++s->ts_val;
		t.options.ts_ecr = s->ts_recent;
	}
	ip.proto = WIRE_PROTO_TCP;
	ip.tos = in->ce ? WIRE_ECN_CE : 0;
	ip.payload.len_bytes = wire_tcp_options_len(&t.options) + WIRE_TCP_LEN + in->len;
	n = wire_ip4_emit(&ip, frame, sizeof(frame));
	assert_true(n > 0);
	m = wire_tcp_emit(&t, frame + n, sizeof(frame) - (size_t)n);
	assert_true(m > 0);
	for (uint32_t i = 0; i < in->len; i++)
		frame[n + m + (int)i] = octet_of(in->seq + i - ((in->flags & WIRE_TCP_SYN) == 0));
	wire_checksum_fill(&ip.src, &ip.dst, WIRE_PROTO_TCP, frame + n, (size_t)m,
			   wire_sum_at(0, (size_t)m, frame + n + m, in->len), in->len);
	/* Headers in one piece, the payload in another: as a device with scattered buffers gives it. */
	rx.head = frame;
	rx.head_len = (uint32_t)(n + m);
	if (in->len > 3) {
		rx.head_len += 3;
		part = (struct berth_part){frame + rx.head_len, in->len - 3};
		rx.parts = &part;
		rx.n_parts = 1;
	} else {
		rx.head_len += in->len;
	}
	if (in->gso) {
		rx.gso = BERTH_GSO_TCP4;
		rx.gso_size = in->gso;
		rx.flags = BERTH_F_DATA_VALID;
	}
	berth_stack_input(s->st, &rx, 1, s->now);
	script_events(s);
}

static void script_too_big(struct script *s, uint16_t mtu)
{
	static uint8_t frame[128];
	struct wire_ip4 ip = {.src = port_addr_v4(10, 9, 9, 9), .dst = port_addr_v4(10, 0, 0, 1), .ttl = 64};
	struct berth_rx rx = {.iface = s->iface, .head = frame};
	int n;

	ip.proto = WIRE_PROTO_ICMP4;
	ip.payload.len_bytes = 8 + sizeof(s->last_quote);
	n = wire_ip4_emit(&ip, frame, sizeof(frame));
	memset(frame + n, 0, 8);
	frame[n] = 3; /* destination unreachable: fragmentation needed (RFC 1191, 4) */
	frame[n + 1] = 4;
	wire_put16(frame + n + 6, mtu);
	memcpy(frame + n + 8, s->last_quote, sizeof(s->last_quote));
	wire_put16(frame + n + 2, wire_checksum(wire_sum(0, frame + n, 8 + sizeof(s->last_quote))));
	rx.head_len = (uint32_t)n + 8 + sizeof(s->last_quote);
	berth_stack_input(s->st, &rx, 1, s->now);
}

/* --- beginning and end --- */

static void script_handshake(struct script *s)
{
	const struct script_row *r = s->row;
	struct script_in in = {.flags = WIRE_TCP_SYN, .win = r->win && r->win < 65535 ? r->win : 65535};

	in.opt.has = WIRE_TCP_HAS_MSS | WIRE_TCP_HAS_WSCALE | (r->no_sack ? 0 : WIRE_TCP_HAS_SACK_OK);
	in.opt.mss = (uint16_t)(r->mss ? r->mss : 1460);
	in.opt.wscale = r->scale;
	s->ts_val = 1000;
	script_input(s, &in);
	script_pump(s);
	SCRIPT_CHECK(s, s->n_out == 1 && s->out[0].t.flags == (WIRE_TCP_SYN | WIRE_TCP_ACK), "no SYN-ACK");
	s->iss = s->out[0].t.seq;
	s->our_scale = s->out[0].t.options.wscale;
	memset(&in, 0, sizeof(in));
	in.seq = in.ack = 1;
	in.flags = WIRE_TCP_ACK;
	in.win = (r->win ? r->win : 65535) >> r->scale;
	script_input(s, &in);
	script_pump(s);
	assert_int_equal(berth_sock_accept(s->st, s->listener, 7, &s->s, NULL), 0);
	s->n_out = s->at_out = 0;
	script_events(s);
	s->events = 0;
}

/* Until our first sequence number would be so far before the end of the circle. */
static void script_wait_for_isn(struct script *s, uint32_t before)
{
	const struct port_addr us = port_addr_v4(10, 0, 0, 1), peer = port_addr_v4(10, 0, 0, 2);

	s->now += (uint64_t)(0 - before - tcp_isn(s->st, &us, 80, &peer, 5000)) * 64;
	(void)berth_stack_tick(s->st, s->now, 64);
}

/* isn_before: how far both sequences begin before the end of their circle. */
static void script_open(struct script *s, const struct script_row *r, uint32_t isn_before)
{
	struct berth_stack_config c = {.struct_size = sizeof(c),
				       .n_conns = 8,
				       .n_udp = 4,
				       .n_syn = 8,
				       .n_time_wait = 8};
	struct berth_iface f = {.struct_size = sizeof(f), .link = BERTH_LINK_IP};
	struct berth_addr us = berth_addr4(10, 0, 0, 1, 80), net = berth_addr4(0, 0, 0, 0, 0);
	size_t n;

	memset(s, 0, sizeof(*s));
	s->row = r;
	s->step = "handshake";
	s->now = 1000000000;
	memset(c.secret, 0x5a, sizeof(c.secret));
	c.flags = r->stack_flags;
	c.tx_ring_bytes = r->ring ? r->ring : 65536;
	c.rx_ring_bytes = r->rx_ring ? r->rx_ring : c.tx_ring_bytes;
	n = berth_stack_size(&c);
	s->mem = aligned_alloc(64, (n + 63) / 64 * 64);
	s->out = calloc(SCRIPT_FRAMES, sizeof(s->out[0]));
	s->rings = malloc(2 << 20);
	assert_true(s->mem && s->out && s->rings);
	memset(s->mem, 0, n);
	assert_int_equal(berth_stack_init(&s->st, s->mem, n, &c, s->now), 0);
	f.mtu_bytes = r->mtu ? r->mtu : 1500;
	f.flags = r->iface_flags;
	assert_int_equal(berth_iface_add(s->st, &f, &s->iface), 0);
	assert_int_equal(berth_addr_add(s->st, s->iface, &us, 24), 0);
	assert_int_equal(berth_route_add(s->st, &net, 0, NULL, s->iface, 0), 0);
	assert_int_equal(berth_sock_open(s->st, BERTH_TCP, BERTH_IPV4, 1, &s->listener), 0);
	assert_int_equal(berth_sock_bind(s->st, s->listener, &us), 0);
	assert_int_equal(berth_sock_listen(s->st, s->listener, 4), 0);
	s->peer_isn = 0 - isn_before;
	script_wait_for_isn(s, isn_before);
	script_handshake(s);
	assert_int_equal(s->iss, 0 - isn_before);
}

static void script_free(struct script *s)
{
	free(s->mem);
	free(s->out);
	free(s->rings);
}

/* --- steps --- */

static const char flag_letters[] = "FSRP.UEC";

static bool script_flags(const char *w, uint16_t *ret)
{
	*ret = 0;
	for (; *w; w++) {
		const char *p = strchr(flag_letters, *w);

		if (!p)
			return false;
		if (*w != '.')
			*ret |= (uint16_t)(1u << (p - flag_letters));
	}
	return true;
}

static unsigned script_sacks(struct script *s, char *w, struct wire_tcp_sack v[4])
{
	unsigned n = 0;
	char *save = NULL;

	for (char *p = strtok_r(w, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		unsigned a = 0, b = 0;

		SCRIPT_CHECK(s, n < 4 && sscanf(p, "%u-%u", &a, &b) == 2, "sack %s", p);
		v[n++] = (struct wire_tcp_sack){a, b};
	}
	return n;
}

static void step_in(struct script *s, char **save)
{
	struct script_in in = {.flags = WIRE_TCP_ACK, .win = s->row->win ? s->row->win : 65535, .ack = 1};
	uint16_t flags;
	bool hold = false;
	char *w = strtok_r(NULL, " ", save);

	SCRIPT_CHECK(s, w && sscanf(w, "%u+%u", &in.seq, &in.len) == 2, "in SEQ+LEN");
	while ((w = strtok_r(NULL, " ", save))) {
		char *arg = NULL;

		if (script_flags(w, &flags)) {
			in.flags |= flags;
			continue;
		}
		if (strcmp(w, "hold") == 0) {
			hold = true;
			continue;
		}
		if (strcmp(w, "ce") == 0) {
			in.ce = true;
			continue;
		}
		arg = strtok_r(NULL, " ", save);
		SCRIPT_CHECK(s, arg, "%s wants a number", w);
		if (strcmp(w, "ack") == 0)
			in.ack = (uint32_t)strtoul(arg, NULL, 10);
		else if (strcmp(w, "win") == 0)
			in.win = (uint32_t)strtoul(arg, NULL, 10);
		else if (strcmp(w, "urg") == 0)
			in.urg = (uint16_t)strtoul(arg, NULL, 10), in.flags |= WIRE_TCP_URG;
		else if (strcmp(w, "gso") == 0)
			in.gso = (uint16_t)strtoul(arg, NULL, 10);
		else if (strcmp(w, "sack") == 0) {
			in.opt.n_sacks = (uint8_t)script_sacks(s, arg, in.opt.sacks);
			in.opt.has |= WIRE_TCP_HAS_SACK;
			for (unsigned i = 0; i < in.opt.n_sacks; i++) {
				in.opt.sacks[i].left += s->iss;
				in.opt.sacks[i].right += s->iss;
			}
		} else
			SCRIPT_CHECK(s, false, "what is '%s'?", w);
	}
	in.win >>= s->row->scale;
	script_input(s, &in);
	if (!hold)
		script_pump(s);
}

static void compare_sacks(struct script *s, const struct script_frame *f, char *arg)
{
	struct wire_tcp_sack v[4];
	unsigned n = strcmp(arg, "none") ? script_sacks(s, arg, v) : 0;
	const struct wire_tcp_options *o = &f->t.options;

	for (unsigned i = 0; i < o->n_sacks; i++)
		if (i >= n || o->sacks[i].left - s->peer_isn != v[i].left ||
		    o->sacks[i].right - s->peer_isn != v[i].right)
			SCRIPT_CHECK(s, false, "block %u is %u-%u", i, o->sacks[i].left - s->peer_isn,
				     o->sacks[i].right - s->peer_isn);
	SCRIPT_CHECK(s, o->n_sacks == n, "%u blocks", o->n_sacks);
}

static void step_out(struct script *s, char **save)
{
	const struct script_frame *f;
	uint32_t seq = 0, len = 0, got = 0;
	uint16_t flags;
	char *w = strtok_r(NULL, " ", save);

	SCRIPT_CHECK(s, w && sscanf(w, "%u+%u", &seq, &len) == 2, "out SEQ+LEN");
	SCRIPT_CHECK(s, s->at_out < s->n_out, "there is no frame");
	f = &s->out[s->at_out++];
	SCRIPT_CHECK(s, f->t.seq - s->iss == seq && f->len == len, "it is %d+%u, ack %u, flags %#x",
		     (int)(f->t.seq - s->iss), f->len, f->t.ack - s->peer_isn, f->t.flags);
	SCRIPT_CHECK(s, f->t.flags & (WIRE_TCP_ACK | WIRE_TCP_RST), "no ACK");
	while ((w = strtok_r(NULL, " ", save))) {
		char *arg = NULL;

		if (script_flags(w, &flags)) {
			got = f->t.flags & (WIRE_TCP_SYN | WIRE_TCP_FIN | WIRE_TCP_RST | WIRE_TCP_PSH | WIRE_TCP_URG |
					    WIRE_TCP_ECE | WIRE_TCP_CWR);
			SCRIPT_CHECK(s, got == flags, "flags %#x", f->t.flags);
			continue;
		}
		arg = strtok_r(NULL, " ", save);
		SCRIPT_CHECK(s, arg, "%s wants a number", w);
		if (strcmp(w, "sack") == 0) {
			compare_sacks(s, f, arg);
			continue;
		}
		if (strcmp(w, "ack") == 0)
			got = f->t.ack - s->peer_isn;
		else if (strcmp(w, "win") == 0)
			got = (uint32_t)f->t.window << s->our_scale;
		else if (strcmp(w, "urg") == 0)
			got = f->t.urgent;
		else if (strcmp(w, "gso") == 0)
			got = f->gso_size;
		else
			SCRIPT_CHECK(s, false, "what is '%s'?", w);
		SCRIPT_CHECK(s, got == strtoul(arg, NULL, 10), "%s is %u", w, got);
	}
}

static void step_send(struct script *s, char **save)
{
	char *w = strtok_r(NULL, " ", save);
	uint32_t n = (uint32_t)strtoul(w, NULL, 10), flags = 0;
	bool part = false;
	uint8_t *data;
	int64_t r;

	while ((w = strtok_r(NULL, " ", save))) {
		if (strcmp(w, "more") == 0)
			flags |= BERTH_MORE;
		else if (strcmp(w, "urgent") == 0)
			flags |= BERTH_URGENT;
		else
			part = true;
	}
	data = malloc(n);
	assert_non_null(data);
	for (uint32_t i = 0; i < n; i++)
		data[i] = octet_of(s->written + i);
	r = berth_sock_send(s->st, s->s, data, n, flags);
	free(data);
	SCRIPT_CHECK(s, part ? r > 0 : r == n, "it took %d", (int)r);
	s->written += (uint64_t)r;
	script_pump(s);
}

static void step_read(struct script *s, char **save)
{
	char *w = strtok_r(NULL, " ", save);
	uint32_t n = (uint32_t)strtoul(w, NULL, 10);
	uint8_t *data = malloc(n + 1);
	int64_t r;

	assert_non_null(data);
	r = berth_sock_recv(s->st, s->s, data, n ? n : 1);
	if (strcmp(w, "eof") == 0)
		SCRIPT_CHECK(s, r == 0, "it gave %d", (int)r);
	else if (strcmp(w, "none") == 0)
		SCRIPT_CHECK(s, r == -EAGAIN, "it gave %d", (int)r);
	else
		SCRIPT_CHECK(s, r == n, "it gave %d", (int)r);
	for (uint32_t i = 0; r > 0 && i < n; i++)
		SCRIPT_CHECK(s, data[i] == octet_of(s->read + i), "octet %u is wrong", (uint32_t)s->read + i);
	free(data);
	s->read += n;
	script_pump(s);
}

static void step_set(struct script *s, char **save)
{
	static const struct {
		const char *name;
		enum berth_option o;
	} names[] = {
		{"nodelay", BERTH_NODELAY},	    {"cork", BERTH_CORK},
		{"quickack", BERTH_QUICKACK},	    {"rcvbuf", BERTH_RCVBUF},
		{"mtu_probing", BERTH_MTU_PROBING}, {"sndbuf", BERTH_SNDBUF},
		{"rcvlowat", BERTH_RCVLOWAT},	    {"notsent", BERTH_NOTSENT_LOWAT},
		{"maxseg", BERTH_MAXSEG},	    {"user_timeout", BERTH_USER_TIMEOUT_MS},
	};
	char *w = strtok_r(NULL, " ", save), *arg = strtok_r(NULL, " ", save);

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(names[i].name, w) == 0) {
			SCRIPT_CHECK(s, berth_sock_set(s->st, s->s, names[i].o, strtoul(arg, NULL, 10)) == 0,
				     "refused");
			script_pump(s);
			return;
		}
	SCRIPT_CHECK(s, false, "no option '%s'", w);
}

static void compare_events(struct script *s, uint32_t got, char **save)
{
	static const char *const names[] = {"in", "out", "rdhup", "hup", "err", "pri"};
	uint32_t want = 0;
	char *w = strtok_r(NULL, " ", save), *sub = NULL;

	for (char *p = strtok_r(w, ",", &sub); p; p = strtok_r(NULL, ",", &sub))
		for (unsigned i = 0; i < COUNT_OF(names); i++)
			if (strcmp(names[i], p) == 0)
				want |= 1u << i;
	SCRIPT_CHECK(s, got == want, "they are %#x", got);
}

static void script_other(struct script *s, const char *w, char **save)
{
	if (strcmp(w, "wait") == 0) {
		script_wait(s, strtoul(strtok_r(NULL, " ", save), NULL, 10));
	} else if (strcmp(w, "at") == 0) {
		uint64_t ms = strtoul(strtok_r(NULL, " ", save), NULL, 10);
		uint64_t was = s->at_out < s->n_out ? (s->out[s->at_out].at_ns - s->mark) / 1000000 : 0;

		SCRIPT_CHECK(s, s->at_out < s->n_out, "there is no frame");
		SCRIPT_CHECK(s, was >= ms && was <= ms + 1 + ms / 50, "it left at %u", (unsigned)was);
	} else if (strcmp(w, "fin") == 0) {
		SCRIPT_CHECK(s, berth_sock_shutdown(s->st, s->s, BERTH_SHUT_WR) == 0, "refused");
		script_pump(s);
	} else if (strcmp(w, "close") == 0) {
		SCRIPT_CHECK(s, berth_sock_close(s->st, s->s) == 0, "refused");
		script_pump(s);
	} else if (strcmp(w, "ev") == 0) {
		compare_events(s, s->events, save);
		s->events = 0;
	} else if (strcmp(w, "poll") == 0) {
		compare_events(s, (uint32_t)berth_sock_poll(s->st, s->s), save);
	} else if (strcmp(w, "err") == 0) {
		uint64_t err = 0;

		SCRIPT_CHECK(s, berth_sock_get(s->st, s->s, BERTH_SO_ERROR, &err) == 0, "stale");
		SCRIPT_CHECK(s, err == strtoul(strtok_r(NULL, " ", save), NULL, 10), "it is %u", (unsigned)err);
	} else if (strcmp(w, "want") == 0) {
		uint8_t one[1] = {0};

		SCRIPT_CHECK(s, berth_sock_send(s->st, s->s, one, 1, 0) == -EAGAIN, "there is room");
	} else if (strcmp(w, "mtu") == 0) {
		script_too_big(s, (uint16_t)strtoul(strtok_r(NULL, " ", save), NULL, 10));
		script_pump(s);
	} else if (strcmp(w, "attach") == 0) {
		uint32_t rx = (uint32_t)strtoul(strtok_r(NULL, " ", save), NULL, 10);
		uint32_t tx = (uint32_t)strtoul(strtok_r(NULL, " ", save), NULL, 10);

		SCRIPT_CHECK(s,
			     rx + tx <= 2 << 20 && berth_sock_attach(s->st, s->s, s->rings, rx, s->rings + rx, tx) == 0,
			     "refused");
		script_pump(s);
	} else {
		SCRIPT_CHECK(s, false, "what is '%s'?", w);
	}
}

static void script_step(struct script *s, char *text)
{
	char *save = NULL, *w = strtok_r(text, " \n\t", &save);

	if (!w)
		return;
	if (strcmp(w, "in") == 0)
		step_in(s, &save);
	else if (strcmp(w, "out") == 0)
		step_out(s, &save);
	else if (strcmp(w, "send") == 0)
		step_send(s, &save);
	else if (strcmp(w, "read") == 0)
		step_read(s, &save);
	else if (strcmp(w, "set") == 0)
		step_set(s, &save);
	else if (strcmp(w, "quiet") == 0)
		SCRIPT_CHECK(s, s->at_out == s->n_out, "%d+%u left, flags %#x", (int)(s->out[s->at_out].t.seq - s->iss),
			     s->out[s->at_out].len, s->out[s->at_out].t.flags);
	else if (strcmp(w, "drop") == 0)
		s->at_out = s->n_out;
	else
		script_other(s, w, &save);
}

static void script_run(struct script *s, const char *text)
{
	char *copy = strdup(text), *save = NULL;

	assert_non_null(copy);
	for (char *p = strtok_r(copy, ";", &save); p; p = strtok_r(NULL, ";", &save)) {
		char said[160];

		while (*p == ' ')
			p++;
		snprintf(said, sizeof(said), "%s", p);
		s->step = said;
		script_step(s, p);
	}
	s->step = "end";
	free(copy);
}

/* Each row a few times: the end of the circle lies in its first segment, and in later ones. */
static void script_test(void **state)
{
	static const uint32_t isns_before[] = {0x8000, 3, 600, 1461, 2048, 5000, 20000};

	for (size_t i = 0; i < COUNT_OF(isns_before); i++) {
		struct script s;

		script_open(&s, *state, isns_before[i]);
		script_run(&s, s.row->text);
		script_run(&s, "quiet"); /* what nobody expected */
		script_free(&s);
	}
}

static size_t script_tests(struct CMUnitTest *to, const struct script_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (struct CMUnitTest){rows[i].name, script_test, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	return n;
}

#endif
