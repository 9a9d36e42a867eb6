/* fuzz/fuzz_port_table.c: the port table against the plain model, any octets a sensible list of calls.
 *
 * Ports are few (16), addresses few, so that sockets meet. After every call both must have said the
 * same and the table's checker must pass; now and then the table is copied into bigger memory, or
 * repaired, and must go on as if nothing had been.
 *
 * The input's length says which form of table it is; one of the four has few places, and a call that finds none must have changed
 * nothing: it is as if it had not been made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "port/demux.h"
#include "port_model.h"

#define BASE 5000
#define N_PORTS 16
#define N_CLAIMS 64
#define N_PLACES 9

static struct port_addr addrs4[3], addrs6[3];
static _Alignas(64) uint8_t memory[2][512 * 1024];

struct input {
	const uint8_t *p;
	size_t len;
};

static uint8_t take(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->p++;
}

static struct port_want take_want(struct input *in)
{
	uint8_t a = take(in), b = take(in), c = take(in);
	struct port_want w = {.proto = a & 1 ? PORT_UDP : PORT_TCP, .family = a & 2 ? PORT_FAMILY_6 : PORT_FAMILY_4};

	w.flags = (uint16_t)((a >> 2 & 1 ? PORT_REUSEADDR : 0) | (a >> 3 & 1 ? PORT_REUSEPORT : 0) |
			     (a >> 4 & 1 ? PORT_V6ONLY : 0));
	w.uid = a >> 5 & 1;
	w.dev = a >> 6 == 3 ? 1 + (b >> 7) : 0;
	w.addr = w.family == PORT_FAMILY_4 ? addrs4[b % 3] : (b & 0x40) ? addrs4[b % 3] : addrs6[b % 3];
	if (w.family == PORT_FAMILY_6 && port_addr_is4(&w.addr))
		w.flags &= (uint16_t)~PORT_V6ONLY;
	w.port = (uint16_t)(BASE + c % N_PORTS);
	return w;
}

static struct port_table t;
static struct model m, before;

static uint32_t kind_of(const struct port_claim *c)
{
	return c->state == CLAIM_LISTENING ? 1 : c->state == CLAIM_LINGER ? 2 : c->state > CLAIM_LISTENING ? 3 : 4;
}

static bool same_place(const struct port_claim *a, const struct port_claim *b)
{
	const uint16_t flags = PORT_REUSEADDR | PORT_REUSEPORT | PORT_V6ONLY | PORT_AUTOBOUND;

	return a->proto == PORT_TCP && b->proto == PORT_TCP && a->port == b->port &&
	       port_addr_equal(&a->addr, &b->addr) && a->uid == b->uid && a->dev == b->dev && a->family == b->family &&
	       (a->flags & flags) == (b->flags & flags) && kind_of(a) == kind_of(b);
}

/* As table.h counts them. */
static uint32_t places(void)
{
	struct port_claim c[N_CLAIMS];
	struct port_ref ref;
	uint32_t n = 0, different = 0;

	for (uint32_t at = 0; n < N_CLAIMS && port_table_next(&t, &at, &ref, &c[n]); n++) {
		uint32_t i = 0;

		while (i < n && !same_place(&c[i], &c[n]))
			i++;
		different += i == n;
	}
	return different;
}

/* The table's answer was that it had no place: the call was never made. */
static bool no_place(int r)
{
	if (r != -ENOBUFS)
		return false;
	ASSERT(t.n_places == N_PLACES && places() == N_PLACES);
	m = before;
	return true;
}

static void check_claims(void)
{
	struct port_claim c;
	uint32_t n = 0;

	for (int i = 0; i < MODEL_MAX; i++) {
		const struct model_claim *mc = &m.c[i];

		if (!mc->used)
			continue;
		n++;
		ASSERT(port_table_get(&t, mc->ref, &c) == 0 && c.port == mc->w.port && c.proto == mc->w.proto &&
		       c.state == mc->state && port_addr_equal(&c.addr, &mc->w.addr));
	}
	ASSERT(port_table_n_claims(&t) == n && places() <= t.n_places);
}

static int pick(struct input *in)
{
	int start = take(in) % MODEL_MAX;

	for (int k = 0; k < MODEL_MAX; k++)
		if (m.c[(start + k) % MODEL_MAX].used)
			return (start + k) % MODEL_MAX;
	return -1;
}

static void do_bind(struct input *in)
{
	struct port_want w = take_want(in);
	struct port_refusal why = {0};
	struct port_ref ref;
	int i, want, got, probe;

	probe = port_table_probe(&t, &w, false, NULL);
	want = model_bind(&m, &w, &i);
	if (want == -ENOBUFS)
		return;
	got = port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, &why);
	ASSERT(probe == want);
	if (want == 0 && no_place(got))
		return;
	ASSERT(got == want);
	if (got == 0)
		m.c[i].ref = ref;
	else
		ASSERT(why.err == got && why.by_valid && why.by.port == w.port && why.rule != PORT_RULE_NONE);
}

static void do_bind_any(struct input *in)
{
	struct port_want w = take_want(in);
	struct port_claim c;
	struct port_ref ref;
	int r, i;

	w.port = 0;
	r = port_table_bind(&t, PORT_REF_NONE, &w, 0, &ref, NULL);
	if (no_place(r))
		return;
	if (r < 0) {
		ASSERT(r == -EADDRINUSE);
		for (w.port = BASE; w.port < BASE + N_PORTS; w.port++)
			ASSERT(!model_may_choose(&m, &w, false, NULL, NULL, 0));
		return;
	}
	ASSERT(port_table_get(&t, ref, &c) == 0 && c.port >= BASE && c.port < BASE + N_PORTS);
	w.port = c.port;
	ASSERT(model_may_choose(&m, &w, false, NULL, NULL, 0));
	i = model_add(&m, &w, CLAIM_HELD, true);
	if (i < 0)
		ASSERT(port_table_release(&t, ref) == 0);
	else
		m.c[i].ref = ref;
}

static void do_listen(struct input *in)
{
	int i = pick(in);

	if (i < 0)
		return;
	int want = model_listen(&m, i), got = port_table_listen(&t, &m.c[i].ref, &m.c[i].w, 0, NULL);

	ASSERT((want == 0 && no_place(got)) || got == want);
}

static void do_connect_bound(struct input *in)
{
	int i = pick(in), twin, want, got;
	uint8_t x = take(in);

	if (i < 0)
		return;
	struct model_claim *c = &m.c[i];
	bool dual = !port_addr_is4(&c->w.addr) && port_addr_is_any(&c->w.addr) && !(c->w.flags & PORT_V6ONLY);
	bool four = port_addr_is4(&c->w.addr) || (dual && (x & 1));
	struct port_addr local = port_addr_is_any(&c->w.addr) ? (four ? addrs4[1] : addrs6[1]) : c->w.addr;
	struct port_addr peer = four ? addrs4[1 + (x >> 1 & 1)] : addrs6[1 + (x >> 1 & 1)];
	uint16_t peer_port = (uint16_t)(1 + (x >> 2 & 1));
	struct port_want at = c->w;

	if (c->w.proto == PORT_UDP && c->state != CLAIM_HELD)
		return;
	at.addr = local;
	want = c->w.proto == PORT_TCP && c->state != CLAIM_HELD ? -EISCONN : 0;
	twin = model_tuple(&m, &at, &peer, peer_port);
	if (want == 0 && c->w.proto == PORT_TCP && twin >= 0) {
		if (m.c[twin].state == CLAIM_LINGER)
			model_release(&m, twin);
		else
			want = -EADDRNOTAVAIL;
	}
	got = port_table_connect(&t, &c->ref, &c->w, &local, &peer, peer_port, 0, NULL);
	if ((want == 0 || want == -EADDRNOTAVAIL) && no_place(got))
		return;
	ASSERT(got == want);
	if (want == -EADDRNOTAVAIL && c->w.family == PORT_FAMILY_6 && port_addr_is4(&c->w.addr))
		c->w.addr = local; /* one bound to ::ffff:0.0.0.0 keeps what it tried */
	if (want < 0)
		return;
	c->w.addr = local;
	c->peer = peer;
	c->peer_port = peer_port;
	c->state = CLAIM_CONNECTED;
}

static void do_connect(struct input *in)
{
	struct port_want w = take_want(in);
	bool four = port_addr_is4(&w.addr);
	uint8_t x = take(in);
	struct port_addr local = port_addr_is_any(&w.addr) ? (four ? addrs4[1] : addrs6[1]) : w.addr;
	struct port_addr peer = four ? addrs4[1 + (x & 1)] : addrs6[1 + (x & 1)];
	uint16_t peer_port = (uint16_t)(1 + (x >> 1 & 3));
	struct port_ref ref = PORT_REF_NONE;
	struct port_claim c;
	bool udp = w.proto == PORT_UDP;
	int r, i;

	w.port = 0;
	r = port_table_connect(&t, &ref, &w, &local, &peer, peer_port, 0, NULL);
	if (no_place(r))
		return;
	if (r < 0) {
		ASSERT(r == (udp ? -EAGAIN : -EADDRNOTAVAIL));
		for (w.port = BASE; w.port < BASE + N_PORTS; w.port++)
			ASSERT(!model_may_choose(&m, &w, !udp, &local, &peer, peer_port));
		return;
	}
	ASSERT(port_table_get(&t, ref, &c) == 0);
	w.port = c.port;
	ASSERT(model_may_choose(&m, &w, !udp, &local, &peer, peer_port));
	i = model_add(&m, &w, CLAIM_CONNECTED, false);
	if (i < 0) {
		ASSERT(port_table_release(&t, ref) == 0);
		return;
	}
	m.c[i].w.addr = local;
	m.c[i].peer = peer;
	m.c[i].peer_port = peer_port;
	m.c[i].chosen = true;
	m.c[i].ref = ref;
}

static void do_release(struct input *in)
{
	int i = pick(in);

	if (i < 0)
		return;
	ASSERT(port_table_release(&t, m.c[i].ref) == 0);
	ASSERT(port_table_release(&t, m.c[i].ref) == -ESTALE);
	model_release(&m, i);
}

static void do_linger(struct input *in)
{
	int i = pick(in), r;

	if (i < 0 || m.c[i].state != CLAIM_CONNECTED || m.c[i].w.proto == PORT_UDP)
		return;
	r = port_table_linger(&t, m.c[i].ref, 1000 + take(in));
	if (no_place(r))
		return;
	ASSERT(r == 0);
	m.c[i].state = CLAIM_LINGER;
}

static void do_flags(struct input *in)
{
	int i = pick(in), r;
	uint16_t bit = take(in) & 1 ? PORT_REUSEADDR : PORT_REUSEPORT;

	if (i < 0)
		return;
	m.c[i].w.flags ^= bit;
	r = port_table_set_flags(&t, m.c[i].ref, bit, m.c[i].w.flags);
	ASSERT(no_place(r) || r == 0);
}

/* Everything that is there is found, and by the one it belongs to. */
static void do_demux(struct input *in)
{
	int i = pick(in);
	struct port_ref ref;
	struct port_claim c;

	if (i < 0)
		return;
	struct model_claim *mc = &m.c[i];
	struct port_tuple tuple = {mc->w.proto, mc->w.addr, mc->peer, mc->w.port, mc->peer_port};

	if (mc->state == CLAIM_CONNECTED || mc->state == CLAIM_LINGER) {
		ASSERT(port_demux_flow(&t, &tuple, &ref) == 0);
		return;
	}
	tuple.remote = addrs4[2];
	tuple.remote_port = 7;
	if (port_addr_is_any(&tuple.local))
		tuple.local = port_addr_is4(&mc->w.addr) ? addrs4[1] : addrs6[1];
	if (mc->w.proto == PORT_TCP ? mc->state != CLAIM_LISTENING : mc->state != CLAIM_HELD)
		return;
	ASSERT(port_demux_listener(&t, &tuple, mc->w.dev, &ref) == 0);
	ASSERT(port_table_get(&t, ref, &c) == 0 && c.port == mc->w.port && c.proto == mc->w.proto);
	ASSERT(port_addr_is_any(&c.addr) || port_addr_equal(&c.addr, &tuple.local));
	ASSERT(!(port_addr_is_any(&c.addr) && !port_addr_is_any(&mc->w.addr))); /* exact before wildcard */
}

static void do_copy(struct input *in)
{
	struct port_table bigger;
	int other = t.base == memory[0] ? 1 : 0;

	ASSERT(port_table_copy(&bigger, memory[other], sizeof(memory[other]), N_CLAIMS + take(in), &t) == 0 ||
	       t.n_max > N_CLAIMS);
	if (t.n_max <= N_CLAIMS)
		t = bigger;
}

static void set_up(size_t form)
{
	static const struct port_table_form forms[4] = {
		{.n_claims = N_CLAIMS},
		{.n_claims = N_CLAIMS, .n_places = N_PLACES},
		{.n_claims = N_CLAIMS, .lean = true},
		{.n_claims = N_CLAIMS, .n_places = N_PLACES, .lean = true},
	};
	static const uint8_t secret[16] = "fuzz";
	const struct port_settings s = {.range = {BASE, BASE + N_PORTS - 1}, .unprivileged_start = 1024};

	model_init(&m, BASE);
	addrs4[0] = PORT_ADDR_ANY4;
	addrs4[1] = PORT_ADDR_LOOP4;
	addrs4[2] = port_addr_v4(127, 0, 0, 2);
	addrs6[0] = PORT_ADDR_ANY6;
	addrs6[1] = PORT_ADDR_LOOP6;
	addrs6[2] = PORT_ADDR_LOOP6;
	addrs6[2].b[0] = 0xfd;
	ASSERT(port_table_size(N_CLAIMS + 256) <= sizeof(memory[0]));
	ASSERT(port_table_form_init(&t, memory[0], sizeof(memory[0]), &forms[form % 4], secret) == 0);
	ASSERT(port_table_add_local(&t, &addrs6[2], 128) == 0);
	ASSERT(port_table_set_settings(&t, &s) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct input in = {data, len_bytes};

	set_up(len_bytes);
	while (in.len > 0) {
		before = m;
		switch (take(&in) % 16) {
		case 0:
		case 1:
		case 2:
		case 3:
			do_bind(&in);
			break;
		case 4:
			do_bind_any(&in);
			break;
		case 5:
		case 6:
			do_listen(&in);
			break;
		case 7:
		case 8:
			do_connect_bound(&in);
			break;
		case 9:
		case 10:
			do_connect(&in);
			break;
		case 11:
			do_release(&in);
			break;
		case 12:
			do_linger(&in);
			break;
		case 13:
			do_flags(&in);
			break;
		case 14:
			do_demux(&in);
			break;
		default:
			do_copy(&in);
			break;
		}
		ASSERT(port_table_check(&t));
		check_claims();
	}
	return 0;
}
