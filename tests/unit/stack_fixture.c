/* tests/unit/stack_fixture.c: see stack_fixture.h. */
#include "stack_fixture.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/checksum.h"
#include "wire/icmp.h"

#define WORDS 48

struct words {
	char text[512];
	char *v[WORDS];
	int n, at;
};

static void split(struct words *w, const char *line)
{
	char *save = NULL;

	*w = (struct words){0};
	snprintf(w->text, sizeof(w->text), "%s", line);
	for (char *p = strtok_r(w->text, " ", &save); p != NULL && w->n < WORDS; p = strtok_r(NULL, " ", &save))
		w->v[w->n++] = p;
}

static const char *word(struct words *w)
{
	return w->at < w->n ? w->v[w->at++] : NULL;
}

#define FAIL(f, ...)                                                               \
	do {                                                                       \
		print_error("%s, line %d: ", (f)->row ? (f)->row : "", (f)->line); \
		print_error(__VA_ARGS__);                                          \
		print_error("\n");                                                 \
		fail();                                                            \
	} while (0)

static uint64_t number(struct stack_fixture *f, struct words *w)
{
	const char *p = word(w);
	char *end;
	uint64_t n;

	if (p == NULL)
		FAIL(f, "a number is missing");
	n = strtoull(p, &end, 0);
	if (*end != '\0')
		FAIL(f, "'%s' is no number", p);
	return n;
}

/* --- segments as text --- */

/* What a line says of a segment; any_: the number is *. */
struct text_seg {
	struct wire_tcp t;
	uint32_t len;
	uint8_t tos;
	bool seq_absolute, has_ack, has_win, has_urg, has_seq;
	bool any_seq, any_ack, any_win, any_mss, any_ws, any_tsval, any_tsecr, has_tos;
	uint8_t no; /* options that must not be there */
};

static uint16_t flags_of(struct stack_fixture *f, const char *p)
{
	static const char letters[] = "FSRPAUEC";
	uint16_t flags = 0;

	for (; *p; p++) {
		const char *at = strchr(letters, *p);

		if (at == NULL)
			FAIL(f, "flag '%c'", *p);
		flags |= (uint16_t)(1u << (at - letters));
	}
	return flags;
}

static uint32_t wild(struct stack_fixture *f, struct words *w, bool *ret_any)
{
	if (w->at < w->n && strcmp(w->v[w->at], "*") == 0) {
		w->at++;
		*ret_any = true;
		return 0;
	}
	if (w->at < w->n && w->v[w->at][0] == '-')
		return (uint32_t)strtol(w->v[w->at++], NULL, 10);
	return (uint32_t)number(f, w);
}

static void seq_of(struct stack_fixture *f, struct text_seg *s, const char *p)
{
	char *end;

	s->has_seq = true;
	if (*p == '*') {
		s->any_seq = true;
		end = (char *)(uintptr_t)(p + 1);
	} else {
		if (*p == '=') {
			s->seq_absolute = true;
			p++;
		}
		s->t.seq = (uint32_t)strtoll(p, &end, 0);
	}
	if (*end == '+')
		s->len = (uint32_t)strtoul(end + 1, &end, 0);
	if (*end != '\0')
		FAIL(f, "'%s' is no sequence number", p);
}

static void option_of(struct stack_fixture *f, struct text_seg *s, const char *p, struct words *w)
{
	struct wire_tcp_options *o = &s->t.options;

	if (strcmp(p, "mss") == 0) {
		o->has |= WIRE_TCP_HAS_MSS;
		o->mss = (uint16_t)wild(f, w, &s->any_mss);
	} else if (strcmp(p, "ws") == 0) {
		o->has |= WIRE_TCP_HAS_WSCALE;
		o->wscale = (uint8_t)wild(f, w, &s->any_ws);
	} else if (strcmp(p, "sackok") == 0) {
		o->has |= WIRE_TCP_HAS_SACK_OK;
	} else if (strcmp(p, "ts") == 0) {
		o->has |= WIRE_TCP_HAS_TS;
		o->ts_val = wild(f, w, &s->any_tsval);
		if (w->at < w->n && strcmp(w->v[w->at], "echo") == 0) {
			w->at++;
			o->ts_ecr = f->out.options.ts_val;
		} else {
			o->ts_ecr = wild(f, w, &s->any_tsecr);
		}
	} else if (strcmp(p, "sack") == 0) {
		unsigned l = 0, r = 0;
		const char *block = word(w);

		if (block == NULL || sscanf(block, "%u-%u", &l, &r) != 2 || o->n_sacks == WIRE_TCP_SACKS_MAX)
			FAIL(f, "sack L-R");
		o->has |= WIRE_TCP_HAS_SACK;
		o->sacks[o->n_sacks++] = (struct wire_tcp_sack){l, r};
	} else if (strcmp(p, "uto") == 0) {
		o->has |= WIRE_TCP_HAS_USER_TIMEOUT;
		o->user_timeout_s = (uint32_t)number(f, w);
	} else if (strcmp(p, "cookie") == 0) {
		const char *hex = word(w);
		unsigned octet;

		o->has |= WIRE_TCP_HAS_COOKIE;
		for (; hex && hex[0] && hex[1] && sscanf(hex, "%2x", &octet) == 1; hex += 2)
			o->cookie[o->cookie_bytes++] = (uint8_t)octet;
	} else {
		FAIL(f, "'%s'?", p);
	}
}

static void text_parse(struct stack_fixture *f, struct words *w, struct text_seg *s)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} no[] = {{"no-mss", WIRE_TCP_HAS_MSS},	       {"no-ws", WIRE_TCP_HAS_WSCALE},
		  {"no-sackok", WIRE_TCP_HAS_SACK_OK}, {"no-sack", WIRE_TCP_HAS_SACK},
		  {"no-ts", WIRE_TCP_HAS_TS},	       {"no-uto", WIRE_TCP_HAS_USER_TIMEOUT},
		  {"no-cookie", WIRE_TCP_HAS_COOKIE}};
	const char *p = word(w);

	*s = (struct text_seg){0};
	if (p == NULL)
		FAIL(f, "flags are missing");
	s->t.flags = flags_of(f, p);
	p = word(w);
	if (p == NULL)
		FAIL(f, "a sequence number is missing");
	seq_of(f, s, p);
	while ((p = word(w)) != NULL) {
		bool was_no = false;

		for (size_t i = 0; i < COUNT_OF(no); i++) {
			if (strcmp(p, no[i].word) == 0) {
				s->no |= no[i].bit;
				was_no = true;
			}
		}
		if (was_no)
			continue;
		if (strcmp(p, "ack") == 0) {
			s->has_ack = true;
			s->t.ack = wild(f, w, &s->any_ack);
		} else if (strcmp(p, "win") == 0) {
			s->has_win = true;
			s->t.window = (uint16_t)wild(f, w, &s->any_win);
		} else if (strcmp(p, "urg") == 0) {
			s->has_urg = true;
			s->t.urgent = (uint16_t)number(f, w);
		} else if (strcmp(p, "ect") == 0 || strcmp(p, "ce") == 0 || strcmp(p, "not-ect") == 0) {
			s->has_tos = true;
			s->tos = *p == 'e' ? WIRE_ECN_ECT0 : *p == 'c' ? WIRE_ECN_CE : WIRE_ECN_NOT_ECT;
		} else {
			option_of(f, s, p, w);
		}
	}
}

static void segment_print(const struct stack_fixture *f, char *buf, size_t room)
{
	const struct wire_tcp *t = &f->out;
	const struct wire_tcp_options *o = &t->options;
	int n = 0;

	for (unsigned i = 0; i < 8; i++)
		if (t->flags >> i & 1)
			n += snprintf(buf + n, room - (size_t)n, "%c", "FSRPAUEC"[i]);
	n += snprintf(buf + n, room - (size_t)n, " %u", t->seq - f->our_iss);
	if (f->out_len)
		n += snprintf(buf + n, room - (size_t)n, "+%u", f->out_len);
	if (t->flags & WIRE_TCP_ACK)
		n += snprintf(buf + n, room - (size_t)n, " ack %u", t->ack - FIX_PEER_ISS);
	n += snprintf(buf + n, room - (size_t)n, " win %u", t->window);
	if (t->flags & WIRE_TCP_URG)
		n += snprintf(buf + n, room - (size_t)n, " urg %u", t->urgent);
	if (o->has & WIRE_TCP_HAS_MSS)
		n += snprintf(buf + n, room - (size_t)n, " mss %u", o->mss);
	if (o->has & WIRE_TCP_HAS_WSCALE)
		n += snprintf(buf + n, room - (size_t)n, " ws %u", o->wscale);
	if (o->has & WIRE_TCP_HAS_SACK_OK)
		n += snprintf(buf + n, room - (size_t)n, " sackok");
	if (o->has & WIRE_TCP_HAS_TS)
		n += snprintf(buf + n, room - (size_t)n, " ts %u %u", o->ts_val, o->ts_ecr);
	for (unsigned i = 0; i < o->n_sacks; i++)
		n += snprintf(buf + n, room - (size_t)n, " sack %u-%u", o->sacks[i].left - FIX_PEER_ISS,
			      o->sacks[i].right - FIX_PEER_ISS);
	if (o->has & WIRE_TCP_HAS_USER_TIMEOUT)
		n += snprintf(buf + n, room - (size_t)n, " uto %u", o->user_timeout_s);
	if (f->out_tos & WIRE_ECN_MASK)
		snprintf(buf + n, room - (size_t)n, " ecn %u", f->out_tos & WIRE_ECN_MASK);
}

/* --- the streams' pattern --- */

static uint8_t pattern(uint64_t at, bool ours)
{
	return (uint8_t)(at * 7 + (at >> 8) * 3 + (ours ? 1 : 2));
}

/* Data with a SYN begins one number later. */
static unsigned syn_of(const struct text_seg *s)
{
	return s->t.flags & WIRE_TCP_SYN ? 1 : 0;
}

/* --- packets --- */

static struct port_addr port_of(const struct berth_addr *a)
{
	return port_addr_from6(a->ip, 0);
}

void stack_fixture_packet(struct stack_fixture *f, const uint8_t *data, uint32_t len)
{
	struct berth_rx rx = {.head = data, .head_len = len, .iface = f->iface};

	berth_stack_input(f->st, &rx, 1, f->now_ns);
}

static size_t ip_put(const struct stack_fixture *f, uint8_t *buf, size_t room, size_t payload_bytes, uint8_t proto,
		     uint8_t tos)
{
	int n;

	if (f->is6) {
		struct wire_ip6 ip = {.src = port_of(&f->peers),
				      .dst = port_of(&f->ours),
				      .hops = 64,
				      .proto = proto,
				      .tclass = tos};

		ip.payload.len_bytes = payload_bytes;
		n = wire_ip6_emit(&ip, buf, room);
	} else {
		struct wire_ip4 ip = {.src = port_of(&f->peers),
				      .dst = port_of(&f->ours),
				      .ttl = 64,
				      .proto = proto,
				      .tos = tos};

		ip.payload.len_bytes = payload_bytes;
		n = wire_ip4_emit(&ip, buf, room);
	}
	assert_true(n > 0);
	return (size_t)n;
}

static void arrives(struct stack_fixture *f, const struct text_seg *s)
{
	static uint8_t buf[65536 + 100];
	struct port_addr src = port_of(&f->peers), dst = port_of(&f->ours);
	struct wire_tcp t = s->t;
	uint8_t header[WIRE_TCP_LEN_MAX];
	size_t ip, n;
	int r;

	t.src_port = f->peer_port;
	t.dst_port = f->local_port;
	t.seq = s->seq_absolute ? s->t.seq : FIX_PEER_ISS + s->t.seq;
	t.ack = t.flags & WIRE_TCP_ACK ? f->our_iss + s->t.ack : 0;
	for (unsigned i = 0; i < t.options.n_sacks; i++) {
		t.options.sacks[i].left += f->our_iss;
		t.options.sacks[i].right += f->our_iss;
	}
	if (!s->has_win && !(t.flags & WIRE_TCP_RST))
		t.window = 65535;
	r = wire_tcp_emit(&t, header, sizeof(header));
	assert_true(r > 0);
	n = (size_t)r;
	ip = ip_put(f, buf, sizeof(buf), n + s->len, WIRE_PROTO_TCP, s->tos);
	memcpy(buf + ip, header, n);
	for (uint32_t i = 0; i < s->len; i++)
		buf[ip + n + i] = pattern((uint64_t)s->t.seq + syn_of(s) + i, false);
	wire_checksum_fill(&src, &dst, WIRE_PROTO_TCP, buf + ip, n, wire_sum(0, buf + ip + n, s->len), s->len);
	stack_fixture_packet(f, buf, (uint32_t)(ip + n + s->len));
}

uint32_t stack_fixture_next(struct stack_fixture *f, uint8_t *data, uint32_t room)
{
	struct berth_tx tx;
	uint32_t n;

	if (berth_stack_output(f->st, &tx, 1, f->now_ns) == 0)
		return 0;
	n = tx.head_len;
	assert_true(tx.len <= room && tx.head_len <= tx.len);
	memcpy(data, tx.head, tx.head_len);
	for (unsigned i = 0; i < tx.n_parts; i++) {
		assert_true(n + tx.parts[i].len <= tx.len);
		memcpy(data + n, tx.parts[i].data, tx.parts[i].len);
		n += tx.parts[i].len;
	}
	assert_int_equal(n, tx.len);
	return n;
}

/* The next TCP segment that leaves, taken apart into f->out; false: none. */
static bool leaves(struct stack_fixture *f)
{
	struct port_addr src = port_of(&f->ours), dst = port_of(&f->peers);
	struct wire_slice l4;
	uint32_t n = stack_fixture_next(f, f->out_octets, sizeof(f->out_octets));
	uint8_t proto;

	if (n == 0)
		return false;
	if (f->is6) {
		struct wire_ip6 ip;

		assert_int_equal(wire_ip6_parse(f->out_octets, n, &ip, NULL), 0);
		l4 = ip.payload;
		proto = ip.proto;
		f->out_tos = ip.tclass;
		f->out_ttl = ip.hops;
		f->out_label = ip.flow;
	} else {
		struct wire_ip4 ip;

		assert_int_equal(wire_ip4_parse(f->out_octets, n, &ip), 0);
		assert_true(ip.checksum_good);
		l4 = ip.payload;
		proto = ip.proto;
		f->out_tos = ip.tos;
		f->out_ttl = ip.ttl;
	}
	if (proto != WIRE_PROTO_TCP)
		FAIL(f, "a packet of protocol %u leaves", proto);
	assert_true(wire_transport_checksum_good(&src, &dst, WIRE_PROTO_TCP, l4.data, l4.len_bytes));
	assert_int_equal(wire_tcp_parse(l4.data, l4.len_bytes, &f->out), 0);
	f->out_len = (uint32_t)f->out.payload.len_bytes;
	if (f->out.flags & WIRE_TCP_SYN) {
		f->our_iss = f->out.seq;
		f->local_port = f->out.src_port;
	}
	return true;
}

static bool options_differ(const struct stack_fixture *f, const struct text_seg *s)
{
	const struct wire_tcp_options *w = &s->t.options, *o = &f->out.options;

	if ((o->has & w->has) != w->has || o->has & s->no)
		return true;
	if ((w->has & WIRE_TCP_HAS_MSS && !s->any_mss && o->mss != w->mss) ||
	    (w->has & WIRE_TCP_HAS_WSCALE && !s->any_ws && o->wscale != w->wscale) ||
	    (w->has & WIRE_TCP_HAS_COOKIE &&
	     (o->cookie_bytes != w->cookie_bytes || memcmp(o->cookie, w->cookie, w->cookie_bytes) != 0)) ||
	    (w->has & WIRE_TCP_HAS_USER_TIMEOUT && o->user_timeout_s != w->user_timeout_s) ||
	    (w->has & WIRE_TCP_HAS_TS &&
	     ((!s->any_tsval && o->ts_val != w->ts_val) || (!s->any_tsecr && o->ts_ecr != w->ts_ecr))))
		return true;
	if (!(w->has & WIRE_TCP_HAS_SACK))
		return false;
	if (o->n_sacks != w->n_sacks)
		return true;
	for (unsigned i = 0; i < w->n_sacks; i++)
		if (o->sacks[i].left != FIX_PEER_ISS + w->sacks[i].left ||
		    o->sacks[i].right != FIX_PEER_ISS + w->sacks[i].right)
			return true;
	return false;
}

static bool differs(const struct stack_fixture *f, const struct text_seg *s)
{
	const struct wire_tcp *t = &f->out;
	uint32_t seq = s->seq_absolute ? s->t.seq : f->our_iss + s->t.seq;

	if (t->flags != s->t.flags || (!s->any_seq && t->seq != seq) || f->out_len != s->len ||
	    t->dst_port != f->peer_port)
		return true;
	if ((s->has_ack && !s->any_ack && t->ack != FIX_PEER_ISS + s->t.ack) ||
	    (s->has_win && !s->any_win && t->window != s->t.window) || (s->has_urg && t->urgent != s->t.urgent) ||
	    (s->has_tos && (f->out_tos & WIRE_ECN_MASK) != s->tos))
		return true;
	for (uint32_t i = 0; i < f->out_len && !s->any_seq; i++)
		if (t->payload.data[i] != pattern((uint64_t)s->t.seq + syn_of(s) + i, true))
			return true;
	return options_differ(f, s);
}

static void expect(struct stack_fixture *f, struct words *w)
{
	struct text_seg s;
	char got[256] = "";

	text_parse(f, w, &s);
	if (!leaves(f))
		FAIL(f, "nothing leaves");
	if (differs(f, &s)) {
		segment_print(f, got, sizeof(got));
		FAIL(f, "this leaves: %s", got);
	}
}

static void quiet(struct stack_fixture *f)
{
	char got[256] = "";

	if (leaves(f)) {
		segment_print(f, got, sizeof(got));
		FAIL(f, "this leaves: %s", got);
	}
}

/* --- names --- */

static const struct {
	const char *name;
	int n;
} errors[] = {{"none", 0},
	      {"EAGAIN", -EAGAIN},
	      {"EPIPE", -EPIPE},
	      {"ECONNRESET", -ECONNRESET},
	      {"ECONNREFUSED", -ECONNREFUSED},
	      {"ETIMEDOUT", -ETIMEDOUT},
	      {"EHOSTUNREACH", -EHOSTUNREACH},
	      {"ENETUNREACH", -ENETUNREACH},
	      {"ENOTCONN", -ENOTCONN},
	      {"EINPROGRESS", -EINPROGRESS},
	      {"EISCONN", -EISCONN},
	      {"EALREADY", -EALREADY},
	      {"EINVAL", -EINVAL},
	      {"EADDRNOTAVAIL", -EADDRNOTAVAIL},
	      {"EADDRINUSE", -EADDRINUSE},
	      {"ENOPROTOOPT", -ENOPROTOOPT},
	      {"ENOBUFS", -ENOBUFS},
	      {"EACCES", -EACCES},
	      {"EBADF", -EBADF}},
  events[] = {{"IN", BERTH_EV_IN},   {"OUT", BERTH_EV_OUT}, {"RDHUP", BERTH_EV_RDHUP},	 {"HUP", BERTH_EV_HUP},
	      {"ERR", BERTH_EV_ERR}, {"PRI", BERTH_EV_PRI}, {"CLOSED", BERTH_EV_CLOSED}, {"nothing", 0}},
  states[] = {{"ESTABLISHED", 1}, {"SYN-SENT", 2},  {"SYN-RECEIVED", 3}, {"FIN-WAIT-1", 4},
	      {"FIN-WAIT-2", 5},  {"TIME-WAIT", 6}, {"CLOSED", 7},	 {"CLOSE-WAIT", 8},
	      {"LAST-ACK", 9},	  {"LISTEN", 10},   {"CLOSING", 11}},
  options[] = {{"nodelay", BERTH_NODELAY},
	       {"cork", BERTH_CORK},
	       {"quickack", BERTH_QUICKACK},
	       {"keepalive", BERTH_KEEPALIVE},
	       {"keepidle", BERTH_KEEPIDLE_S},
	       {"keepintvl", BERTH_KEEPINTVL_S},
	       {"keepcnt", BERTH_KEEPCNT},
	       {"user-timeout", BERTH_USER_TIMEOUT_MS},
	       {"uto", BERTH_UTO},
	       {"linger2", BERTH_LINGER2_S},
	       {"maxseg", BERTH_MAXSEG},
	       {"congestion", BERTH_CONGESTION},
	       {"ecn", BERTH_ECN},
	       {"rcvbuf", BERTH_RCVBUF},
	       {"sndbuf", BERTH_SNDBUF},
	       {"rcvlowat", BERTH_RCVLOWAT},
	       {"defer-accept", BERTH_DEFER_ACCEPT_S},
	       {"fastopen", BERTH_FASTOPEN},
	       {"syncookies", BERTH_SYNCOOKIES},
	       {"timestamps", BERTH_TIMESTAMPS},
	       {"sack", BERTH_SACK},
	       {"window-scaling", BERTH_WINDOW_SCALING},
	       {"syncnt", BERTH_SYNCNT},
	       {"ttl", BERTH_TTL},
	       {"tos", BERTH_TOS},
	       {"reuseaddr", BERTH_REUSEADDR},
	       {"reuseport", BERTH_REUSEPORT},
	       {"pacing", BERTH_PACING}};
#define NAMED(f, table, name) named(f, (const void *)(table), COUNT_OF(table), name)

static int named(struct stack_fixture *f, const void *table, size_t n, const char *name)
{
	const struct {
		const char *name;
		int n;
	} *t = table;

	for (size_t i = 0; i < n; i++)
		if (name != NULL && strcmp(t[i].name, name) == 0)
			return t[i].n;
	FAIL(f, "'%s'?", name ? name : "");
	return 0;
}

static int bits_of(struct stack_fixture *f, struct words *w)
{
	int bits = 0;

	for (const char *p; (p = word(w)) != NULL;)
		bits |= NAMED(f, events, p);
	return bits;
}

static void same(struct stack_fixture *f, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		FAIL(f, "%s is %lld, not %lld", what, (long long)got, (long long)want);
}

/* --- lines --- */

static void line_send(struct stack_fixture *f, struct words *w)
{
	uint8_t buf[65536];
	const char *p = word(w);
	int64_t want, r;
	uint32_t n = 10;

	if (p == NULL)
		FAIL(f, "send what?");
	if (isdigit((unsigned char)*p)) {
		n = (uint32_t)strtoul(p, NULL, 0);
		want = n;
	} else {
		want = NAMED(f, errors, p);
	}
	assert_true(n <= sizeof(buf));
	for (uint32_t i = 0; i < n; i++)
		buf[i] = pattern(1 + f->sent + i, true);
	p = word(w);
	r = berth_sock_send(f->st, f->s, buf, n, p == NULL ? 0 : strcmp(p, "more") == 0 ? BERTH_MORE : BERTH_URGENT);
	same(f, "send()", r, want);
	if (r > 0)
		f->sent += (uint64_t)r;
}

static void line_recv(struct stack_fixture *f, struct words *w)
{
	uint8_t buf[65536];
	const char *p = word(w);
	int64_t want, r;

	if (p == NULL)
		FAIL(f, "recv what?");
	want = isdigit((unsigned char)*p) ? (int64_t)strtoul(p, NULL, 0)
	       : strcmp(p, "eof") == 0	  ? 0
					  : NAMED(f, errors, p);
	r = berth_sock_recv(f->st, f->s, buf, want > 0 ? (uint32_t)want : sizeof(buf));
	same(f, "recv()", r, want);
	for (int64_t i = 0; i < r; i++)
		if (buf[i] != pattern(1 + f->received + (uint64_t)i, false))
			FAIL(f, "octet %lld of the stream is wrong", (long long)(f->received + (uint64_t)i));
	if (r > 0)
		f->received += (uint64_t)r;
}

static void line_listen(struct stack_fixture *f, struct words *w)
{
	struct berth_addr any = {.port = 80};
	uint64_t backlog = w->at < w->n ? number(f, w) : 16;

	if (!f->listener) {
		same(f, "open()", berth_sock_open(f->st, BERTH_TCP, f->is6 ? BERTH_IPV6 : BERTH_IPV4, 1, &f->listener),
		     0);
		if (!f->is6)
			any.ip[10] = any.ip[11] = 0xff;
		same(f, "bind()", berth_sock_bind(f->st, f->listener, &any), 0);
	}
	same(f, "listen()", berth_sock_listen(f->st, f->listener, (unsigned)backlog), 0);
	f->local_port = 80;
}

static void line_open(struct stack_fixture *f)
{
	same(f, "open()", berth_sock_open(f->st, BERTH_TCP, f->is6 ? BERTH_IPV6 : BERTH_IPV4, 2, &f->s), 0);
	f->sent = f->received = 0;
}

static void line_accept(struct stack_fixture *f, int want)
{
	struct berth_addr peer;
	berth_sock s;

	same(f, "accept()", berth_sock_accept(f->st, f->listener, 2, &s, &peer), want);
	if (want != 0)
		return;
	f->s = s;
	f->sent = f->received = 0;
	assert_memory_equal(peer.ip, f->peers.ip, 16);
}

static void line_connect(struct stack_fixture *f, struct words *w)
{
	struct berth_addr to = f->peers;
	const char *p = word(w);

	f->peer_port = to.port = 8080;
	if (!f->s)
		line_open(f);
	same(f, "connect()", berth_sock_connect(f->st, f->s, &to), p ? NAMED(f, errors, p) : -EINPROGRESS);
}

static void run(struct stack_fixture *f, const char *format, const char *text)
{
	char buf[256];

	snprintf(buf, sizeof(buf), format, text);
	stack_line(f, buf);
}

static void rest_of(struct words *w, char *buf, size_t room, const char *otherwise)
{
	size_t n = 0;

	snprintf(buf, room, "%s", w->at < w->n ? "" : otherwise);
	for (const char *p; (p = word(w)) != NULL;)
		n += (size_t)snprintf(buf + n, room - n, "%s ", p);
}

static void line_established(struct stack_fixture *f, struct words *w)
{
	char options_text[200];
	const char *ts;
	unsigned value = 0;

	rest_of(w, options_text, sizeof(options_text), "win 65535 mss 1460");
	ts = strstr(options_text, "ts ");
	if (ts != NULL)
		sscanf(ts, "ts %u", &value);
	f->local_port = 80;
	if (!f->listener)
		stack_line(f, "listen");
	run(f, "< S 0 %s", options_text);
	stack_line(f, "> SA 0 ack 1");
	options_text[0] = '\0';
	if (ts != NULL)
		snprintf(options_text, sizeof(options_text), "ts %u 0", value);
	run(f, "< A 1 ack 1 %s", options_text);
	stack_line(f, "accept");
	berth_stack_events(f->st, (struct berth_event[8]){0}, 8);
}

static void line_connected(struct stack_fixture *f, struct words *w)
{
	char options_text[200];

	rest_of(w, options_text, sizeof(options_text), "win 65535 mss 1460");
	stack_line(f, "connect");
	stack_line(f, "> S 0");
	run(f, "< SA 0 ack 1 %s", options_text);
	stack_line(f, "> A 1 ack 1");
	berth_stack_events(f->st, (struct berth_event[8]){0}, 8);
}

/* Time passes; the stack is called when its deadline says so. Whatever is due to leave stays in it, or is lost. */
static void pass(struct stack_fixture *f, uint64_t ns, bool lost)
{
	uint64_t to = f->now_ns + ns;
	bool moved;
	unsigned n;

	for (int i = 0; i < 100000; i++) {
		uint64_t at = berth_stack_deadline(f->st);

		if (at > to)
			break;
		moved = at > f->now_ns;
		if (moved)
			f->now_ns = at;
		n = berth_stack_tick(f->st, f->now_ns, 256);
		while (lost && stack_fixture_next(f, f->out_octets, sizeof(f->out_octets)) != 0)
			n++;
		if (n == 0 && !moved && berth_stack_deadline(f->st) <= f->now_ns)
			break; /* only output is due: the script's affair */
	}
	f->now_ns = to;
	berth_stack_tick(f->st, to, 256);
}

static void line_count(struct stack_fixture *f, struct words *w)
{
	struct berth_counters n = {.struct_size = sizeof(n)};
	const char *name = word(w);

	berth_stack_counters(f->st, &n);
#define SHOW(x)                                                   \
	if (name != NULL && strcmp(name, #x) == 0) {              \
		same(f, #x, (int64_t)n.x, (int64_t)number(f, w)); \
		return;                                           \
	}
	BERTH_COUNTERS(SHOW)
#undef SHOW
	FAIL(f, "no counter '%s'", name ? name : "");
}

/* icmp NAME SEQ [MTU]: about our segment with that sequence number. */
static void line_icmp(struct stack_fixture *f, struct words *w)
{
	uint8_t buf[128], inner[64];
	const char *name = word(w);
	uint32_t seq = (uint32_t)number(f, w), mtu = w->at < w->n ? (uint32_t)number(f, w) : 0;
	struct port_addr src = port_of(&f->peers), dst = port_of(&f->ours);
	size_t ip, in;
	int n;

	if (f->is6) {
		struct wire_ip6 q = {.src = dst,
				     .dst = src,
				     .hops = 60,
				     .proto = WIRE_PROTO_TCP,
				     .payload.len_bytes = 20};

		n = wire_ip6_emit(&q, inner, sizeof(inner));
	} else {
		struct wire_ip4 q = {.src = dst,
				     .dst = src,
				     .ttl = 60,
				     .proto = WIRE_PROTO_TCP,
				     .payload.len_bytes = 20};

		n = wire_ip4_emit(&q, inner, sizeof(inner));
	}
	assert_true(n > 0);
	in = (size_t)n;
	wire_put16(inner + in, f->local_port);
	wire_put16(inner + in + 2, f->peer_port);
	wire_put32(inner + in + 4, f->our_iss + seq);
	in += 8;
	if (f->is6) {
		struct wire_icmp6 i = {.type = WIRE_ICMP6_UNREACHABLE, .mtu = mtu};

		if (strcmp(name, "big") == 0)
			i.type = WIRE_ICMP6_TOO_BIG;
		else if (strcmp(name, "time") == 0)
			i.type = WIRE_ICMP6_TIME_EXCEEDED;
		else
			i.code = strcmp(name, "port") == 0   ? 4
				 : strcmp(name, "host") == 0 ? 3
							     : strcmp(name, "admin") == 0;
		ip = ip_put(f, buf, sizeof(buf), 8 + in, WIRE_PROTO_ICMP6, 0);
		n = wire_icmp6_emit(&i, buf + ip, sizeof(buf) - ip);
	} else {
		struct wire_icmp4 i = {.type = WIRE_ICMP4_UNREACHABLE, .mtu = (uint16_t)mtu};

		if (strcmp(name, "time") == 0)
			i.type = WIRE_ICMP4_TIME_EXCEEDED;
		else
			i.code = strcmp(name, "port") == 0    ? 3
				 : strcmp(name, "proto") == 0 ? 2
				 : strcmp(name, "host") == 0  ? 1
				 : strcmp(name, "big") == 0   ? 4
				 : strcmp(name, "admin") == 0 ? 13
							      : 0;
		ip = ip_put(f, buf, sizeof(buf), 8 + in, WIRE_PROTO_ICMP4, 0);
		n = wire_icmp4_emit(&i, buf + ip, sizeof(buf) - ip);
	}
	assert_int_equal(n, 8);
	memcpy(buf + ip + 8, inner, in);
	wire_checksum_fill(&src, &dst, f->is6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP4, buf + ip, 8,
			   wire_sum(0, inner, in), in);
	stack_fixture_packet(f, buf, (uint32_t)(ip + 8 + in));
}

static void line_state(struct stack_fixture *f, struct words *w)
{
	struct berth_tcp_info i = {.struct_size = sizeof(i)};
	int want = NAMED(f, states, word(w));

	same(f, "tcp_info()", berth_sock_tcp_info(f->st, f->s, &i), 0);
	same(f, "the state", i.state, want);
}

static void line_info(struct stack_fixture *f, struct words *w)
{
	struct berth_tcp_info i = {.struct_size = sizeof(i)};
	const char *name = word(w);

	same(f, "tcp_info()", berth_sock_tcp_info(f->st, f->s, &i), 0);
#define SHOW(x)                                                   \
	if (name != NULL && strcmp(name, #x) == 0) {              \
		same(f, #x, (int64_t)i.x, (int64_t)number(f, w)); \
		return;                                           \
	}
	SHOW(retransmits)
	SHOW(probes)
	SHOW(backoff)
	SHOW(snd_wscale)
	SHOW(snd_wnd)
	SHOW(user_timeout_ms)
	SHOW(peer_uto_s)
#undef SHOW
	FAIL(f, "no '%s' is looked at", name ? name : "");
}

static void line_used(struct stack_fixture *f, struct words *w)
{
	struct berth_usage u = {.struct_size = sizeof(u)};
	const char *name = word(w);

	same(f, "usage()", berth_stack_usage(f->st, &u), 0);
#define SHOW(x)                                                           \
	if (name != NULL && strcmp(name, #x) == 0) {                      \
		same(f, #x, u.x.used, (int64_t)number(f, w));             \
		same(f, #x ", at most", u.x.peak, (int64_t)number(f, w)); \
		return;                                                   \
	}
	BERTH_USAGE(SHOW)
#undef SHOW
	FAIL(f, "nothing is called '%s'", name ? name : "");
}

static void line_events(struct stack_fixture *f, struct words *w)
{
	struct berth_event v[16];
	int got = 0;
	unsigned n = berth_stack_events(f->st, v, 16);

	for (unsigned i = 0; i < n; i++)
		got |= (int)v[i].mask;
	same(f, "what is told", got, bits_of(f, w));
}

/* f->s is saved, and goes on in a stack that has other keys and another clock. */
static void line_reborn(struct stack_fixture *f)
{
	struct berth_stack_config c = stack_fixture_config();
	struct stack_fixture next;
	int64_t n = berth_sock_save(f->st, f->s, NULL, 0);
	uint8_t *octets;

	assert_true(n > 0);
	octets = malloc((size_t)n);
	assert_non_null(octets);
	same(f, "save()", berth_sock_save(f->st, f->s, octets, (uint32_t)n - 1), -ENOBUFS);
	same(f, "save()", berth_sock_save(f->st, f->s, octets, (uint32_t)n), n);
	same(f, "poll()", berth_sock_poll(f->st, f->s), -EBADF);
	quiet(f);
	assert_true(berth_stack_check(f->st));
	c.secret[0] ^= 0xff;
	stack_fixture_init(&next, f->is6, &c);
	next.now_ns += UINT64_C(7777777777);
	berth_stack_tick(next.st, next.now_ns, 1);
	stack_fixture_free(f);
	f->st = next.st;
	f->mem = next.mem;
	f->iface = next.iface;
	f->now_ns = next.now_ns;
	f->listener = 0;
	same(f, "restore()", berth_sock_restore(f->st, octets, (uint32_t)n, 3, &f->s), 0);
	free(octets);
}

static bool line_socket(struct stack_fixture *f, const char *p, struct words *w)
{
	uint64_t value = 0;
	int o;

	if (strcmp(p, "send") == 0) {
		line_send(f, w);
	} else if (strcmp(p, "recv") == 0) {
		line_recv(f, w);
	} else if (strcmp(p, "shutdown") == 0) {
		const char *how = word(w);
		int bits = (strstr(how, "rd") ? BERTH_SHUT_RD : 0) | (strstr(how, "wr") ? BERTH_SHUT_WR : 0);

		p = word(w);
		same(f, "shutdown()", berth_sock_shutdown(f->st, f->s, bits), p ? NAMED(f, errors, p) : 0);
	} else if (strcmp(p, "close") == 0) {
		same(f, "close()", berth_sock_close(f->st, f->s), 0);
	} else if (strcmp(p, "abort") == 0) {
		same(f, "abort()", berth_sock_abort(f->st, f->s), 0);
	} else if (strcmp(p, "state") == 0) {
		line_state(f, w);
	} else if (strcmp(p, "info") == 0) {
		line_info(f, w);
	} else if (strcmp(p, "used") == 0) {
		line_used(f, w);
	} else if (strcmp(p, "poll") == 0) {
		same(f, "poll()", berth_sock_poll(f->st, f->s), bits_of(f, w));
	} else if (strcmp(p, "error") == 0) {
		same(f, "getsockopt()", berth_sock_get(f->st, f->s, BERTH_SO_ERROR, &value), 0);
		same(f, "SO_ERROR", -(int64_t)value, NAMED(f, errors, word(w)));
	} else if (strcmp(p, "reborn") == 0) {
		line_reborn(f);
	} else if (strcmp(p, "gone") == 0) {
		same(f, "poll()", berth_sock_poll(f->st, f->s), -EBADF);
	} else if (strcmp(p, "set") == 0 || strcmp(p, "lset") == 0) {
		o = NAMED(f, options, word(w));
		value = number(f, w);
		same(f, "setsockopt()",
		     berth_sock_set(f->st, *p == 's' ? f->s : f->listener, (enum berth_option)o, value), 0);
	} else if (strcmp(p, "get") == 0) {
		o = NAMED(f, options, word(w));
		same(f, "getsockopt()", berth_sock_get(f->st, f->s, (enum berth_option)o, &value), 0);
		same(f, "the option", (int64_t)value, (int64_t)number(f, w));
	} else {
		return false;
	}
	return true;
}

static bool line_world(struct stack_fixture *f, const char *p, struct words *w)
{
	struct text_seg s;

	if (strcmp(p, "<") == 0) {
		text_parse(f, w, &s);
		arrives(f, &s);
	} else if (strcmp(p, ">") == 0) {
		expect(f, w);
	} else if (*p == '+') {
		char *end;
		uint64_t n = strtoull(p + 1, &end, 10);

		pass(f, strcmp(end, "us") == 0 ? n * 1000 : n * 1000000, false);
	} else if (strcmp(p, "lost") == 0) {
		pass(f, number(f, w) * 1000000, true);
	} else if (strcmp(p, "quiet") == 0) {
		quiet(f);
	} else if (strcmp(p, "listen") == 0) {
		line_listen(f, w);
	} else if (strcmp(p, "accept") == 0) {
		line_accept(f, 0);
	} else if (strcmp(p, "no") == 0) {
		line_accept(f, -EAGAIN);
	} else if (strcmp(p, "open") == 0) {
		line_open(f);
	} else if (strcmp(p, "bind") == 0) {
		struct berth_addr a = f->ours;

		line_open(f);
		a.port = (uint16_t)number(f, w);
		if (w->at < w->n) /* reuse */
			same(f, "setsockopt()", berth_sock_set(f->st, f->s, BERTH_REUSEADDR, 1), 0);
		same(f, "bind()", berth_sock_bind(f->st, f->s, &a), 0);
	} else if (strcmp(p, "connect") == 0) {
		line_connect(f, w);
	} else if (strcmp(p, "established") == 0) {
		line_established(f, w);
	} else if (strcmp(p, "connected") == 0) {
		line_connected(f, w);
	} else if (strcmp(p, "count") == 0) {
		line_count(f, w);
	} else if (strcmp(p, "events") == 0) {
		line_events(f, w);
	} else if (strcmp(p, "peer-port") == 0) {
		f->peer_port = (uint16_t)number(f, w);
	} else if (strcmp(p, "local-port") == 0) {
		f->local_port = (uint16_t)number(f, w);
	} else if (strcmp(p, "icmp") == 0) {
		line_icmp(f, w);
	} else if (strcmp(p, "close-listener") == 0) {
		same(f, "close()", berth_sock_close(f->st, f->listener), 0);
		f->listener = 0;
	} else {
		return false;
	}
	return true;
}

void stack_line(struct stack_fixture *f, const char *line)
{
	struct words w;
	const char *p;

	split(&w, line);
	p = word(&w);
	if (p == NULL || (!line_world(f, p, &w) && !line_socket(f, p, &w)))
		FAIL(f, "'%s'?", line);
	if (!berth_stack_check(f->st))
		FAIL(f, "an invariant does not hold after '%s'", line);
}

/* --- the stack --- */

struct berth_stack_config stack_fixture_config(void)
{
	struct berth_stack_config c = {.struct_size = sizeof(c)};

	for (unsigned i = 0; i < sizeof(c.secret); i++)
		c.secret[i] = (uint8_t)(i + 1);
	c.n_conns = 32;
	c.n_udp = 8;
	c.n_syn = 16;
	c.n_time_wait = 8;
	c.n_packets = 64;
	c.n_rings = 16;
	c.rx_ring_bytes = c.tx_ring_bytes = 65536;
	c.udp_ring_bytes = 8192;
	return c;
}

void stack_fixture_init(struct stack_fixture *f, bool is6, const struct berth_stack_config *config)
{
	struct berth_stack_config c = config ? *config : stack_fixture_config();
	struct berth_iface i = {.struct_size = sizeof(i),
				.link = BERTH_LINK_IP,
				.flags = BERTH_IF_NO_DAD,
				.mtu_bytes = 1500,
				.name = "test0"};
	struct berth_addr any = {0};
	size_t len = berth_stack_size(&c);

	*f = (struct stack_fixture){.now_ns = UINT64_C(1000000000000), .is6 = is6, .peer_port = 5000, .local_port = 80};
	assert_true(len != 0);
	f->mem = aligned_alloc(64, (len + 63) & ~(size_t)63);
	assert_non_null(f->mem);
	memset(f->mem, 0, len);
	assert_int_equal(berth_stack_init(&f->st, f->mem, len, &c, f->now_ns), 0);
	f->ours = berth_addr4(10, 0, 0, 1, 0);
	f->peers = berth_addr4(10, 0, 0, 2, 0);
	any.ip[10] = any.ip[11] = 0xff;
	if (is6) {
		f->ours = (struct berth_addr){.ip = {0xfd, [15] = 1}};
		f->peers = (struct berth_addr){.ip = {0xfd, [15] = 2}};
		any = (struct berth_addr){0};
	}
	assert_int_equal(berth_iface_add(f->st, &i, &f->iface), 0);
	assert_int_equal(berth_iface_set_up(f->st, f->iface, true), 0);
	assert_int_equal(berth_addr_add(f->st, f->iface, &f->ours, is6 ? 64 : 24), 0);
	assert_int_equal(berth_route_add(f->st, &any, 0, NULL, f->iface, 100), 0);
	while (stack_fixture_next(f, f->out_octets, sizeof(f->out_octets)) != 0)
		; /* what an interface says when it comes up */
}

void stack_fixture_free(struct stack_fixture *f)
{
	free(f->mem);
}

void stack_script(const char *row, bool is6, const struct berth_stack_config *config, const char *const *lines)
{
	static struct stack_fixture f;

	stack_fixture_init(&f, is6, config);
	f.row = row;
	for (f.line = 1; *lines != NULL; lines++, f.line++)
		stack_line(&f, *lines);
	quiet(&f); /* what nobody expected */
	stack_fixture_free(&f);
}

static void row4(void **state)
{
	const struct stack_row *r = *state;

	stack_script(r->name, false, NULL, r->lines);
}

static void row6(void **state)
{
	const struct stack_row *r = *state;

	stack_script(r->name, true, NULL, r->lines);
}

int stack_rows_run(const char *group, const struct stack_row *rows, size_t n, const struct CMUnitTest *more,
		   size_t n_more)
{
	struct CMUnitTest *tests = calloc(2 * n + n_more, sizeof(*tests));
	char(*names)[160] = calloc(n, sizeof(*names));
	int r;

	assert_non_null(tests);
	assert_non_null(names);
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "%s (IPv6)", rows[i].name);
		tests[2 * i] = (struct CMUnitTest){rows[i].name, row4, NULL, NULL, (void *)(uintptr_t)&rows[i]};
		tests[2 * i + 1] = (struct CMUnitTest){names[i], row6, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	}
	for (size_t i = 0; i < n_more; i++)
		tests[2 * n + i] = more[i];
	r = _cmocka_run_group_tests(group, tests, 2 * n + n_more, NULL, NULL);
	free(tests);
	free(names);
	return r;
}
