/* tests/unit/test_dhcp.c: the DHCP client against a server that the test plays: right, silent, wrong and hostile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dhcp/message.h"

#define SEC(n) ((uint64_t)((n)*1000000000.0))
#define US 0x0a000042u
#define SERVER 0x0a000001u
#define OTHER_SERVER 0x0a000002u

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};

struct sent {
	uint64_t at_ns;
	struct berth_dhcp_tx tx;
};

struct world {
	struct berth_dhcp *d;
	void *mem;
	uint64_t now;
	unsigned n_sent;
	struct sent sent[256];
};

static void open_with(struct world *w, uint32_t last_addr, uint8_t secret)
{
	struct berth_dhcp_config c = {.struct_size = sizeof(c),
				      .last_addr = last_addr,
				      .hostname = "boat",
				      .start_delay_ms = 1000};

	memset(c.secret, secret, sizeof(c.secret));
	memcpy(c.mac, mac, 6);
	w->mem = calloc(1, berth_dhcp_size());
	w->now = SEC(100);
	w->n_sent = 0;
	assert_int_equal(berth_dhcp_init(&w->d, w->mem, berth_dhcp_size(), &c, w->now), 0);
}

static void open_world(struct world *w)
{
	open_with(w, 0, 5);
}

static void drain(struct world *w)
{
	while (w->n_sent < 256 && berth_dhcp_output(w->d, &w->sent[w->n_sent].tx, w->now))
		w->sent[w->n_sent++].at_ns = w->now;
}

static void pass(struct world *w, uint64_t ns)
{
	uint64_t end = w->now + ns;

	drain(w);
	while (berth_dhcp_deadline(w->d) <= end) {
		if (berth_dhcp_deadline(w->d) > w->now)
			w->now = berth_dhcp_deadline(w->d);
		berth_dhcp_tick(w->d, w->now);
		drain(w);
	}
	w->now = end;
	berth_dhcp_tick(w->d, w->now);
	drain(w);
}

/* --- reading what the client says, and saying what a server says, without the code under test --- */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static const uint8_t *option(const struct berth_dhcp_tx *tx, uint8_t code, unsigned *len)
{
	for (uint32_t at = 240; at < tx->len && tx->data[at] != 255; at += tx->data[at] ? 2u + tx->data[at + 1] : 1)
		if (tx->data[at] == code) {
			*len = tx->data[at + 1];
			return &tx->data[at + 2];
		}
	*len = 0;
	return NULL;
}

static uint32_t option32(const struct berth_dhcp_tx *tx, uint8_t code)
{
	unsigned len;
	const uint8_t *p = option(tx, code, &len);

	return len == 4 ? get32(p) : 0;
}

static int type_of(const struct berth_dhcp_tx *tx)
{
	unsigned len;
	const uint8_t *p = option(tx, 53, &len);

	return len == 1 ? *p : -1;
}

static const struct berth_dhcp_tx *last(const struct world *w)
{
	assert_true(w->n_sent > 0);
	return &w->sent[w->n_sent - 1].tx;
}

struct answer {
	uint8_t data[1200];
	size_t len;
};

static void add(struct answer *a, uint8_t code, const void *data, size_t len)
{
	a->data[a->len++] = code;
	a->data[a->len++] = (uint8_t)len;
	memcpy(a->data + a->len, data, len);
	a->len += len;
}

static void add32(struct answer *a, uint8_t code, uint32_t v)
{
	uint8_t b[4];

	put32(b, v);
	add(a, code, b, 4);
}

static struct answer answer_to(const struct berth_dhcp_tx *tx, uint8_t type, uint32_t yiaddr, uint32_t server)
{
	struct answer a = {.len = 240};

	a.data[0] = 2;
	a.data[1] = 1;
	a.data[2] = 6;
	memcpy(a.data + 4, tx->data + 4, 4);
	put32(a.data + 16, yiaddr);
	memcpy(a.data + 28, mac, 6);
	put32(a.data + 236, 0x63825363);
	add(&a, 53, &type, 1);
	if (server)
		add32(&a, 54, server);
	return a;
}

static struct answer good(const struct world *w, uint8_t type, uint32_t lease_s)
{
	struct answer a = answer_to(last(w), type, US, SERVER);

	add32(&a, 51, lease_s);
	add32(&a, 1, 0xffffff00);
	add32(&a, 3, SERVER);
	return a;
}

static void hear(struct world *w, struct answer *a)
{
	uint8_t *copy;

	a->data[a->len++] = 255;
	copy = malloc(a->len); /* so that sanitizers see a read past the end */
	memcpy(copy, a->data, a->len);
	berth_dhcp_input(w->d, copy, a->len, w->now);
	free(copy);
	drain(w);
}

static void hear_good(struct world *w, uint8_t type, uint32_t lease_s)
{
	struct answer a = good(w, type, lease_s);

	hear(w, &a);
}

static struct berth_dhcp_lease bind_it(struct world *w, uint32_t lease_s)
{
	struct berth_dhcp_event ev;

	berth_dhcp_start(w->d, w->now);
	pass(w, SEC(1));
	hear_good(w, DHCP_OFFER, lease_s);
	hear_good(w, DHCP_ACK, lease_s);
	assert_int_equal(berth_dhcp_state(w->d), BERTH_DHCP_BOUND_STATE);
	assert_int_equal(berth_dhcp_event(w->d, &ev), 1);
	assert_int_equal(ev.what, BERTH_DHCP_BOUND);
	assert_int_equal(berth_dhcp_event(w->d, &ev), 0);
	return ev.lease;
}

static void no_event(struct world *w)
{
	struct berth_dhcp_event ev;

	assert_int_equal(berth_dhcp_event(w->d, &ev), 0);
}

static void an_event(struct world *w, enum berth_dhcp_what what)
{
	struct berth_dhcp_event ev;

	assert_int_equal(berth_dhcp_event(w->d, &ev), 1);
	assert_int_equal(ev.what, what);
	assert_int_equal(ev.lease.addr, US);
}

/* --- the story, in order --- */

static void from_nothing_to_a_lease(void **state)
{
	static struct world w;
	struct berth_dhcp_lease l;
	unsigned len;

	(void)state;
	open_world(&w);
	pass(&w, SEC(100));
	assert_int_equal(w.n_sent, 0); /* stopped */
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(1));
	assert_int_equal(w.n_sent, 1);
	assert_int_equal(type_of(last(&w)), DHCP_DISCOVER);
	assert_int_equal(last(&w)->dst, 0xffffffff);
	assert_int_equal(last(&w)->src, 0);
	assert_true(last(&w)->len >= 300);
	assert_int_equal(last(&w)->data[10], 0x80); /* answers to everybody */
	assert_memory_equal(option(last(&w), 61, &len), "\1\2\0\0\0\0\11", 7);
	assert_memory_equal(option(last(&w), 12, &len), "boat", 4);
	assert_non_null(option(last(&w), 55, &len));
	assert_int_equal(option32(last(&w), 50), 0);
	hear_good(&w, DHCP_OFFER, 3600);
	assert_int_equal(berth_dhcp_state(w.d), BERTH_DHCP_REQUESTING);
	assert_int_equal(type_of(last(&w)), DHCP_REQUEST);
	assert_int_equal(option32(last(&w), 50), US);
	assert_int_equal(option32(last(&w), 54), SERVER);
	assert_int_equal(get32(last(&w)->data + 12), 0); /* ciaddr: table 5 */
	assert_memory_equal(w.sent[0].tx.data + 4, last(&w)->data + 4, 4);
	no_event(&w);
	hear_good(&w, DHCP_ACK, 3600);
	struct berth_dhcp_event ev;

	assert_int_equal(berth_dhcp_event(w.d, &ev), 1);
	l = ev.lease;
	assert_int_equal(l.addr, US);
	assert_int_equal(l.server, SERVER);
	assert_int_equal(l.prefix_bits, 24);
	assert_int_equal(l.n_routers, 1);
	assert_int_equal(l.routers[0], SERVER);
	assert_true(l.renew_ns <= w.now + SEC(1800) && l.renew_ns > w.now + SEC(1600));
	assert_true(l.rebind_ns <= w.now + SEC(3150) && l.rebind_ns > w.now + SEC(3000));
	assert_int_equal(l.ends_ns, w.now + SEC(3600));
	free(w.mem);
}

static void nobody_answers(void **state)
{
	static const double least[] = {3, 7, 15, 31, 63, 63, 63}, most[] = {5, 9, 17, 33, 65, 65, 65};
	static struct world w;

	(void)state;
	open_world(&w);
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(3600));
	assert_true(w.n_sent > 50 && w.n_sent < 70);
	for (unsigned i = 0; i < COUNT_OF(least); i++) {
		uint64_t gap = w.sent[i + 1].at_ns - w.sent[i].at_ns;

		assert_true(gap >= SEC(least[i]) && gap <= SEC(most[i]));
		assert_int_equal(type_of(&w.sent[i].tx), DHCP_DISCOVER);
		assert_memory_equal(w.sent[i].tx.data + 4, w.sent[0].tx.data + 4, 4);
	}
	assert_true(w.sent[5].tx.data[9] > 100); /* "secs" */
	no_event(&w);
	free(w.mem);
}

static void the_server_goes_silent_after_its_offer(void **state)
{
	static struct world w;

	(void)state;
	open_world(&w);
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(1));
	hear_good(&w, DHCP_OFFER, 3600);
	pass(&w, SEC(70));
	assert_int_equal(type_of(last(&w)), DHCP_DISCOVER); /* after four tries from the start */
	assert_memory_not_equal(last(&w)->data + 4, w.sent[0].tx.data + 4, 4);
	assert_int_equal(type_of(&w.sent[1].tx), DHCP_REQUEST);
	assert_int_equal(type_of(&w.sent[4].tx), DHCP_REQUEST);
	free(w.mem);
}

static void renewed_by_its_server(void **state)
{
	static struct world w;
	struct berth_dhcp_lease l;
	struct berth_dhcp_event ev;

	(void)state;
	open_world(&w);
	l = bind_it(&w, 3600);
	w.n_sent = 0;
	pass(&w, l.renew_ns - w.now - 1);
	assert_int_equal(w.n_sent, 0);
	pass(&w, SEC(1));
	assert_int_equal(w.n_sent, 1);
	assert_int_equal(type_of(last(&w)), DHCP_REQUEST);
	assert_int_equal(last(&w)->dst, SERVER);
	assert_int_equal(last(&w)->src, US);
	assert_int_equal(get32(last(&w)->data + 12), US);
	assert_int_equal(option32(last(&w), 50), 0); /* table 5: neither */
	assert_int_equal(option32(last(&w), 54), 0);
	hear_good(&w, DHCP_ACK, 7200);
	assert_int_equal(berth_dhcp_event(w.d, &ev), 1);
	assert_int_equal(ev.what, BERTH_DHCP_RENEWED);
	assert_true(ev.lease.ends_ns > w.now + SEC(7100));
	free(w.mem);
}

static void its_server_is_gone_and_another_renews(void **state)
{
	static struct world w;
	struct berth_dhcp_lease l;
	struct answer a;

	(void)state;
	open_world(&w);
	l = bind_it(&w, 3600);
	w.n_sent = 0;
	pass(&w, l.rebind_ns - w.now - 1);
	/* 4.4.5: half of what is left, not below a minute */
	assert_true(w.n_sent >= 3 && w.n_sent <= 8);
	for (unsigned i = 1; i < w.n_sent; i++)
		assert_true(w.sent[i].at_ns - w.sent[i - 1].at_ns >= SEC(60));
	pass(&w, SEC(1));
	assert_int_equal(berth_dhcp_state(w.d), BERTH_DHCP_REBINDING);
	assert_int_equal(last(&w)->dst, 0xffffffff);
	assert_int_equal(get32(last(&w)->data + 12), US);
	a = answer_to(last(&w), DHCP_ACK, US, OTHER_SERVER);
	add32(&a, 51, 3600);
	hear(&w, &a);
	an_event(&w, BERTH_DHCP_RENEWED);
	free(w.mem);
}

static void the_lease_ends(void **state)
{
	static struct world w;
	struct berth_dhcp_lease l;

	(void)state;
	open_world(&w);
	l = bind_it(&w, 3600);
	pass(&w, l.ends_ns - w.now - 1);
	no_event(&w);
	pass(&w, 1);
	an_event(&w, BERTH_DHCP_LOST);
	pass(&w, SEC(1));
	assert_true(berth_dhcp_state(w.d) == BERTH_DHCP_REBOOTING || berth_dhcp_state(w.d) == BERTH_DHCP_SELECTING);
	free(w.mem);
}

static void the_lease_ends_also_when_nobody_fetches_messages(void **state)
{
	static struct world w;
	struct berth_dhcp_lease l;

	(void)state;
	open_world(&w);
	l = bind_it(&w, 3600);
	berth_dhcp_tick(w.d, l.renew_ns);
	berth_dhcp_tick(w.d, l.rebind_ns);
	assert_int_equal(berth_dhcp_state(w.d), BERTH_DHCP_REBINDING);
	berth_dhcp_tick(w.d, l.ends_ns);
	an_event(&w, BERTH_DHCP_LOST);
	free(w.mem);
}

static void an_answer_that_took_longer_than_its_lease(void **state)
{
	static struct world w;
	struct answer a;

	(void)state;
	open_world(&w);
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(1));
	hear_good(&w, DHCP_OFFER, 10);
	a = good(&w, DHCP_ACK, 10);
	pass(&w, SEC(11));
	hear(&w, &a);
	assert_int_equal(berth_dhcp_state(w.d), BERTH_DHCP_REQUESTING);
	no_event(&w);
	free(w.mem);
}

static void a_lease_without_end(void **state)
{
	static struct world w;
	struct berth_dhcp_lease l;

	(void)state;
	open_world(&w);
	l = bind_it(&w, 0xffffffff);
	assert_true(l.ends_ns == UINT64_MAX);
	assert_true(berth_dhcp_deadline(w.d) == UINT64_MAX);
	w.n_sent = 0;
	pass(&w, SEC(1e9));
	assert_int_equal(w.n_sent, 0);
	free(w.mem);
}

static void refused_everywhere(void **state)
{
	static const struct {
		const char *name;
		int when; /* 0 requesting, 1 renewing, 2 rebinding, 3 rebooting */
	} rows[] = {{"requesting", 0}, {"renewing", 1}, {"rebinding", 2}, {"rebooting", 3}};

	(void)state;
	for (unsigned i = 0; i < COUNT_OF(rows); i++) {
		static struct world w;
		struct berth_dhcp_lease l;
		struct answer a;

		open_with(&w, rows[i].when == 3 ? US : 0, 5);
		if (rows[i].when == 1 || rows[i].when == 2) {
			l = bind_it(&w, 3600);
			pass(&w, (rows[i].when == 1 ? l.renew_ns : l.rebind_ns) - w.now);
		} else {
			berth_dhcp_start(w.d, w.now);
			pass(&w, SEC(1));
			if (rows[i].when == 0)
				hear_good(&w, DHCP_OFFER, 3600);
		}
		a = answer_to(last(&w), DHCP_NAK, 0, SERVER);
		hear(&w, &a);
		assert_int_equal(berth_dhcp_state(w.d), BERTH_DHCP_INIT);
		if (rows[i].when == 1 || rows[i].when == 2)
			an_event(&w, BERTH_DHCP_LOST);
		no_event(&w);
		pass(&w, SEC(3));
		assert_int_equal(type_of(last(&w)), DHCP_DISCOVER); /* not the old address again */
		assert_int_equal(option32(last(&w), 50), 0);
		free(w.mem);
	}
}

static void who_refuses_again_and_again_makes_us_slow(void **state)
{
	static struct world w;
	uint64_t begun;

	(void)state;
	open_world(&w);
	berth_dhcp_start(w.d, w.now);
	begun = w.now;
	for (unsigned i = 0; i < 20; i++) {
		struct answer a;

		w.n_sent = 0;
		while (!w.n_sent)
			pass(&w, SEC(0.1));
		hear_good(&w, DHCP_OFFER, 3600);
		a = answer_to(last(&w), DHCP_NAK, 0, SERVER);
		hear(&w, &a);
	}
	assert_true(w.now - begun > SEC(13 * 32));
	free(w.mem);
}

static void an_address_from_before_is_asked_for_first(void **state)
{
	static struct world w;

	(void)state;
	open_with(&w, US, 5);
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(1));
	assert_int_equal(type_of(last(&w)), DHCP_REQUEST);
	assert_int_equal(option32(last(&w), 50), US);
	assert_int_equal(option32(last(&w), 54), 0);
	assert_int_equal(get32(last(&w)->data + 12), 0);
	hear_good(&w, DHCP_ACK, 3600);
	an_event(&w, BERTH_DHCP_BOUND);
	free(w.mem);
	open_with(&w, US, 5);
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(40)); /* three tries, then from nothing */
	assert_int_equal(type_of(last(&w)), DHCP_DISCOVER);
	free(w.mem);
}

static void declined_and_released(void **state)
{
	static struct world w;

	(void)state;
	open_world(&w);
	bind_it(&w, 3600);
	w.n_sent = 0;
	berth_dhcp_decline(w.d, w.now);
	drain(&w);
	an_event(&w, BERTH_DHCP_LOST);
	assert_int_equal(w.n_sent, 1);
	assert_int_equal(type_of(last(&w)), DHCP_DECLINE);
	assert_int_equal(option32(last(&w), 50), US);
	assert_int_equal(option32(last(&w), 54), SERVER);
	assert_int_equal(last(&w)->dst, 0xffffffff);
	pass(&w, SEC(9.9)); /* 3.1, 5: ten seconds at least */
	assert_int_equal(w.n_sent, 1);
	pass(&w, SEC(0.2));
	assert_int_equal(type_of(last(&w)), DHCP_DISCOVER);
	hear_good(&w, DHCP_OFFER, 3600);
	hear_good(&w, DHCP_ACK, 3600);
	an_event(&w, BERTH_DHCP_BOUND);
	w.n_sent = 0;
	berth_dhcp_release(w.d, w.now);
	pass(&w, SEC(100));
	an_event(&w, BERTH_DHCP_LOST);
	assert_int_equal(w.n_sent, 1);
	assert_int_equal(type_of(last(&w)), DHCP_RELEASE);
	assert_int_equal(last(&w)->dst, SERVER);
	assert_int_equal(get32(last(&w)->data + 12), US);
	assert_int_equal(berth_dhcp_state(w.d), BERTH_DHCP_STOPPED);
	free(w.mem);
}

static void a_lease_that_nobody_saw_is_not_lost(void **state)
{
	static struct world w;
	struct answer a;

	(void)state;
	open_world(&w);
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(1));
	hear_good(&w, DHCP_OFFER, 3600);
	hear_good(&w, DHCP_ACK, 3600);
	pass(&w, SEC(1801));
	a = answer_to(last(&w), DHCP_NAK, 0, SERVER);
	hear(&w, &a);
	no_event(&w);
	free(w.mem);
}

/* --- answers that are not believed --- */

struct hostile {
	const char *name;
	int state; /* 0 an OFFER, 1 an ACK to a REQUEST, 2 an ACK while renewing */
	void (*spoil)(struct answer *a);
};
static void s_xid(struct answer *a)
{
	a->data[5] ^= 1;
}
static void s_mac(struct answer *a)
{
	a->data[30] ^= 1;
}
static void s_op(struct answer *a)
{
	a->data[0] = 1;
}
static void s_hlen(struct answer *a)
{
	a->data[2] = 16;
}
static void s_cookie(struct answer *a)
{
	a->data[236] ^= 1;
}
static void s_addr_other(struct answer *a)
{
	put32(a->data + 16, US + 1);
}
static void s_addr_none(struct answer *a)
{
	put32(a->data + 16, 0);
}
static void s_addr_loop(struct answer *a)
{
	put32(a->data + 16, 0x7f000001);
}
static void s_addr_group(struct answer *a)
{
	put32(a->data + 16, 0xe0000001);
}
static void s_addr_all(struct answer *a)
{
	put32(a->data + 16, 0xffffffff);
}
static void s_server_other(struct answer *a)
{
	put32(a->data + 245, OTHER_SERVER);
}
static void s_server_none(struct answer *a)
{
	put32(a->data + 245, 0);
}
static void s_server_group(struct answer *a)
{
	put32(a->data + 245, 0xe0000001);
}
static void s_lease_none(struct answer *a)
{
	a->data[249] = 200;
}
static void s_lease_short(struct answer *a)
{
	put32(a->data + 251, 9);
}
static void s_lease_zero(struct answer *a)
{
	put32(a->data + 251, 0);
}
static void s_client_id(struct answer *a)
{
	add(a, 61, "\1\2\0\0\0\0\12", 7);
}
static void s_length(struct answer *a)
{
	a->data[a->len - 5] = 250; /* the last option's length reaches past the end */
}
static void s_type(struct answer *a)
{
	a->data[242] = 77;
}
static void s_short(struct answer *a)
{
	a->len = 200;
}
static const struct hostile hostiles[] = {
	{"an offer for another transaction", 0, s_xid},
	{"an offer for another machine", 0, s_mac},
	{"a request is no offer", 0, s_op},
	{"another hardware length", 0, s_hlen},
	{"no cookie", 0, s_cookie},
	{"an offer of no address", 0, s_addr_none},
	{"an offer of a loopback address", 0, s_addr_loop},
	{"an offer of a group", 0, s_addr_group},
	{"an offer of everybody's address", 0, s_addr_all},
	{"an offer of a server without an address", 0, s_server_none},
	{"an offer of a server that is a group", 0, s_server_group},
	{"an offer without a lease", 0, s_lease_none},
	{"an offer of nine seconds", 0, s_lease_short},
	{"an offer of no time", 0, s_lease_zero},
	{"an offer for another client identifier (RFC 6842)", 0, s_client_id},
	{"an option longer than the message", 0, s_length},
	{"a message of unknown type", 0, s_type},
	{"a message that is cut", 0, s_short},
	{"an ACK of another address than the one offered", 1, s_addr_other},
	{"an ACK of another server", 1, s_server_other},
	{"an ACK for another transaction", 1, s_xid},
	{"an ACK of no time", 1, s_lease_zero},
	{"renewing: an ACK of another address", 2, s_addr_other},
	{"renewing: an ACK of another server", 2, s_server_other},
	{"renewing: an ACK of nine seconds", 2, s_lease_short},
};

static void run_hostile(void **state)
{
	const struct hostile *h = *state;
	static struct world w;
	struct berth_dhcp_lease l;
	struct answer a;
	enum berth_dhcp_state before;

	open_world(&w);
	if (h->state == 2) {
		l = bind_it(&w, 3600);
		pass(&w, l.renew_ns - w.now);
	} else {
		berth_dhcp_start(w.d, w.now);
		pass(&w, SEC(1));
		if (h->state == 1)
			hear_good(&w, DHCP_OFFER, 3600);
	}
	before = berth_dhcp_state(w.d);
	a = good(&w, h->state ? DHCP_ACK : DHCP_OFFER, 3600);
	h->spoil(&a);
	hear(&w, &a);
	assert_int_equal(berth_dhcp_state(w.d), before);
	no_event(&w);
	/* The right one is taken all the same. */
	hear_good(&w, h->state ? DHCP_ACK : DHCP_OFFER, 3600);
	assert_int_not_equal(berth_dhcp_state(w.d), before);
	free(w.mem);
}

/* --- options --- */

static struct berth_dhcp_lease lease_with(void (*put)(struct answer *a))
{
	static struct world w;
	struct berth_dhcp_event ev;
	struct answer a;

	open_world(&w);
	berth_dhcp_start(w.d, w.now);
	pass(&w, SEC(1));
	hear_good(&w, DHCP_OFFER, 3600);
	a = answer_to(last(&w), DHCP_ACK, US, SERVER);
	add32(&a, 51, 3600);
	put(&a);
	hear(&w, &a);
	assert_int_equal(berth_dhcp_event(w.d, &ev), 1);
	/* times as the tests below want them: from now */
	ev.lease.renew_ns -= w.now;
	ev.lease.rebind_ns -= w.now;
	free(w.mem);
	return ev.lease;
}

static void p_mask_holes(struct answer *a)
{
	add32(a, 1, 0xff00ff00);
}
static void p_mask_long(struct answer *a)
{
	add(a, 1, "\377\377\377\0\0", 5);
}
static void p_many_routers(struct answer *a)
{
	uint8_t v[40];

	for (unsigned i = 0; i < 10; i++)
		put32(v + 4 * i, i == 1 ? 0xe0000001 : SERVER + i);
	add(a, 3, v, sizeof(v));
}
static void p_odd_routers(struct answer *a)
{
	add(a, 3, "\12\0\0\1\12", 5);
}
static void p_domain_bad(struct answer *a)
{
	add(a, 15, "x;rm -rf\n", 9);
}
static void p_domain_good(struct answer *a)
{
	add(a, 15, "lan.example", 12); /* with its NUL */
}
static void p_mtu_small(struct answer *a)
{
	add(a, 26, "\0\104", 2);
}
static void p_mtu(struct answer *a)
{
	add(a, 26, "\5\334", 2);
}
static void p_routes(struct answer *a)
{
	add(a, 121,
	    "\0\12\0\0\1"
	    "\30\300\0\2\0\0\0\0"
	    "\31\300\0\3\377\12\0\0\2",
	    5 + 8 + 9);
}
static void p_routes_bad(struct answer *a)
{
	add(a, 121,
	    "\0\12\0\0\1"
	    "\41\300\0\2\0\0\0\0",
	    5 + 8);
}
static void p_routes_in_two(struct answer *a)
{
	add(a, 121, "\0\12\0", 3);
	add(a, 121, "\0\1", 2);
}
static void p_times(struct answer *a)
{
	add32(a, 58, 100);
	add32(a, 59, 200);
}
static void p_times_swapped(struct answer *a)
{
	add32(a, 58, 200);
	add32(a, 59, 100);
}
static void p_times_late(struct answer *a)
{
	add32(a, 58, 5000);
	add32(a, 59, 6000);
}
static void p_overload(struct answer *a)
{
	add(a, 52, "\3", 1);
	memcpy(a->data + 108, "\3\4\12\0\0\5\377", 7);
	memcpy(a->data + 44, "\6\4\12\0\0\6\377", 7);
}

static void options_are_read_as_far_as_they_make_sense(void **state)
{
	struct berth_dhcp_lease l;

	(void)state;
	assert_int_equal(lease_with(p_mask_holes).prefix_bits, 8); /* 10/8 by its class: the mask is none */
	assert_int_equal(lease_with(p_mask_long).prefix_bits, 8);
	l = lease_with(p_many_routers);
	assert_int_equal(l.n_routers, 4);
	assert_int_equal(l.routers[1], SERVER + 2);
	assert_int_equal(lease_with(p_odd_routers).n_routers, 0);
	assert_string_equal(lease_with(p_domain_bad).domain, "");
	assert_string_equal(lease_with(p_domain_good).domain, "lan.example");
	assert_int_equal(lease_with(p_mtu_small).mtu_bytes, 0);
	assert_int_equal(lease_with(p_mtu).mtu_bytes, 1500);
	l = lease_with(p_routes);
	assert_int_equal(l.n_routes, 3);
	assert_int_equal(l.routes[0].prefix_bits, 0);
	assert_int_equal(l.routes[0].gateway, SERVER);
	assert_int_equal(l.routes[1].net, 0xc0000200);
	assert_int_equal(l.routes[1].gateway, 0);
	assert_int_equal(l.routes[2].net, 0xc0000380);
	assert_int_equal(lease_with(p_routes_bad).n_routes, 1);
	l = lease_with(p_routes_in_two);
	assert_int_equal(l.n_routes, 1);
	assert_int_equal(l.routes[0].gateway, SERVER);
	l = lease_with(p_times);
	assert_true(l.renew_ns <= SEC(100) && l.renew_ns > SEC(90) && l.rebind_ns <= SEC(200) &&
		    l.rebind_ns > SEC(190));
	assert_true(lease_with(p_times_swapped).renew_ns > SEC(1000));
	assert_true(lease_with(p_times_late).renew_ns < SEC(1801));
	l = lease_with(p_overload);
	assert_int_equal(l.routers[0], 0x0a000005);
	assert_int_equal(l.dns[0], 0x0a000006);
}

/* Two clients with two keys do not do the same at the same time. */
static void chance_is_from_the_key(void **state)
{
	static struct world a, b, c;

	(void)state;
	open_with(&a, 0, 5);
	open_with(&b, 0, 6);
	open_with(&c, 0, 5);
	berth_dhcp_start(a.d, a.now);
	berth_dhcp_start(b.d, b.now);
	berth_dhcp_start(c.d, c.now);
	pass(&a, SEC(100));
	pass(&b, SEC(100));
	pass(&c, SEC(100));
	assert_memory_not_equal(a.sent[0].tx.data + 4, b.sent[0].tx.data + 4, 4);
	assert_true(a.sent[1].at_ns != b.sent[1].at_ns);
	assert_memory_equal(a.sent, c.sent, sizeof(a.sent[0])); /* and the same key does the same */
	free(a.mem);
	free(b.mem);
	free(c.mem);
}

static void bad_configurations(void **state)
{
	struct berth_dhcp_config good_c = {.struct_size = sizeof(good_c), .secret = {1}, .mac = {2}}, c;
	struct berth_dhcp *d;
	void *mem = calloc(1, berth_dhcp_size());

	(void)state;
#define REFUSED(change)                                                                        \
	do {                                                                                   \
		c = good_c;                                                                    \
		c.change;                                                                      \
		assert_int_equal(berth_dhcp_init(&d, mem, berth_dhcp_size(), &c, 0), -EINVAL); \
	} while (0)
	REFUSED(struct_size = 1);
	REFUSED(secret[0] = 0);
	REFUSED(mac[0] = 1);
	REFUSED(client_id_len = 32);
	REFUSED(client_id_len = 1);
	REFUSED(last_addr = 0x7f000001);
	c = good_c;
	memset(c.hostname, 'x', sizeof(c.hostname));
	assert_int_equal(berth_dhcp_init(&d, mem, berth_dhcp_size(), &c, 0), -EINVAL);
	assert_int_equal(berth_dhcp_init(&d, mem, berth_dhcp_size() - 1, &good_c, 0), -ENOMEM);
	assert_int_equal(berth_dhcp_init(&d, mem, berth_dhcp_size(), &good_c, 0), 0);
	free(mem);
}

int main(void)
{
	static struct CMUnitTest tests[COUNT_OF(hostiles) + 24];
	const struct CMUnitTest others[] = {
		cmocka_unit_test(from_nothing_to_a_lease),
		cmocka_unit_test(nobody_answers),
		cmocka_unit_test(the_server_goes_silent_after_its_offer),
		cmocka_unit_test(renewed_by_its_server),
		cmocka_unit_test(its_server_is_gone_and_another_renews),
		cmocka_unit_test(the_lease_ends),
		cmocka_unit_test(the_lease_ends_also_when_nobody_fetches_messages),
		cmocka_unit_test(an_answer_that_took_longer_than_its_lease),
		cmocka_unit_test(a_lease_without_end),
		cmocka_unit_test(refused_everywhere),
		cmocka_unit_test(who_refuses_again_and_again_makes_us_slow),
		cmocka_unit_test(an_address_from_before_is_asked_for_first),
		cmocka_unit_test(declined_and_released),
		cmocka_unit_test(a_lease_that_nobody_saw_is_not_lost),
		cmocka_unit_test(options_are_read_as_far_as_they_make_sense),
		cmocka_unit_test(chance_is_from_the_key),
		cmocka_unit_test(bad_configurations),
	};
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(hostiles); i++)
		tests[n++] =
			(struct CMUnitTest){hostiles[i].name, run_hostile, NULL, NULL, (void *)(uintptr_t)&hostiles[i]};
	for (size_t i = 0; i < COUNT_OF(others); i++)
		tests[n++] = others[i];
	return _cmocka_run_group_tests("dhcp", tests, n, NULL, NULL);
}
