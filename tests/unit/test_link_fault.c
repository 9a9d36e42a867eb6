/* tests/unit/test_link_fault.c: each fault alone does what it says, as often as it says, and the same again from the same seed. */
#include "link_fixture.h"
#include "link/fault.h"
#include "link/pair.h"
#include "wire/icmp.h"

#define MS UINT64_C(1000000)
#define N 2000u

static uint8_t data[LINK_FRAME_MAX];

/* n frames of 1000 octets of payload, one each ms; what arrives is checked for its order and counted. */
struct outcome {
	uint32_t n, n_backwards, n_bad, n_ce;
	uint64_t first_ns, last_ns;
	uint64_t digest;
};

static void drain(struct fault *f, uint64_t now_ns, uint32_t *next_seq, struct outcome *ret)
{
	struct berth_rx rx[8];
	unsigned n;

	while (fault_deadline(f) <= now_ns) {
		uint64_t at = fault_deadline(f);

		n = fault_take(f, 0, rx, COUNT_OF(rx), at);
		assert_true(n > 0);
		for (unsigned i = 0; i < n; i++) {
			struct link_view v;

			ret->n++;
			if (ret->n == 1)
				ret->first_ns = at;
			ret->last_ns = at;
			if (link_view(rx[i].head, rx[i].head_len, fault_get(f)->link, &v) < 0 || !v.has_tcp ||
			    !link_checksum_good(rx[i].head, &v)) {
				ret->n_bad++;
				continue;
			}
			ret->n_ce += (v.tos & 3) == 3;
			ret->n_backwards += v.tcp.seq < *next_seq;
			*next_seq = v.tcp.seq;
			ret->digest = (ret->digest ^ v.tcp.seq ^ at) * UINT64_C(0x100000001b3);
		}
		assert_true(fault_check(f));
	}
}

static struct outcome run(const struct fault_config *c, uint64_t seed, const struct fault_counts *ret_counts[1],
			  struct fault **ret_f)
{
	struct fault *f = fault_new(c, seed, "a>b");
	struct outcome o = {0};
	uint32_t next_seq = 0;

	assert_non_null(f);
	for (uint32_t i = 0; i < N; i++) {
		struct fix x = {c->link, 4, 1000 * i, WIRE_TCP_ACK, 1000, .tos = WIRE_ECN_ECT0};
		struct berth_tx tx;

		drain(f, i * MS, &next_seq, &o);
		fix_tx(&x, data, &tx);
		fault_put(f, &tx, i * MS);
	}
	drain(f, BERTH_NEVER - 1, &next_seq, &o);
	assert_int_equal(fault_n_queued(f), 0);
	ret_counts[0] = fault_counts(f);
	*ret_f = f;
	return o;
}

struct fault_case {
	const char *name;
	struct fault_config c;
	uint32_t lo, hi; /* frames that arrive */
	uint32_t back_lo, back_hi, bad_lo, bad_hi, ce_lo, ce_hi;
	uint64_t first_lo, first_hi;
};

#define E .link = BERTH_LINK_ETHERNET
static const struct fault_case cases[] = {
	{"nothing happens on a good link", {E}, N, N},
	{"delay", {E, .delay_ns = 30 * MS}, N, N, .first_lo = 30 * MS, .first_hi = 30 * MS},
	{"jitter keeps the order",
	 {E, .delay_ns = 10 * MS, .jitter_ns = 9 * MS},
	 N,
	 N,
	 .first_lo = 10 * MS,
	 .first_hi = 19 * MS},
	{"10 % loss", {E, .loss_ppm = 100000}, 1730, 1870},
	{"all is lost", {E, .loss_ppm = 1000000}, 0, 0},
	{"bursts of loss", {E, .burst_in_ppm = 10000, .burst_out_ppm = 90000, .burst_loss_ppm = 1000000}, 1650, 1950},
	{"reordering", {E, .reorder_ppm = 50000, .reorder_ns = 5 * MS}, N, N, .back_lo = 60, .back_hi = 145},
	{"duplicates", {E, .dup_ppm = 100000}, 2130, 2270},
	{"corruption is seen by a checksum", {E, .corrupt_ppm = 100000}, N, N, .bad_lo = 130, .bad_hi = 270},
	{"half the rate fills the queue and loses half", {E, .rate_bps = 527000, .queue_bytes = 20000}, 990, 1040},
	{"a queue without limit loses nothing", {E, .rate_bps = 527000}, N, N},
	{"CE by chance", {E, .ce_ppm = 250000}, N, N, .ce_lo = 420, .ce_hi = 580},
	{"CE when the queue is long",
	 {E, .rate_bps = 527000, .ce_queue_bytes = 50000},
	 N,
	 N,
	 .ce_lo = 1850,
	 .ce_hi = 1950},
	{"a path of 800 octets takes none of them", {E, .mtu_bytes = 800}, 4000, 4000, .bad_lo = 4000, .bad_hi = 4000},
	{"interrupts that wait for 10 ms",
	 {E, .delay_ns = 1, .coalesce_ns = 10 * MS},
	 N,
	 N,
	 .first_lo = 10 * MS,
	 .first_hi = 10 * MS},
	{"... and merge what came meanwhile",
	 {E, .delay_ns = 1, .coalesce_ns = 10 * MS, .merge = true},
	 200,
	 201,
	 .bad_lo = 199,
	 .bad_hi = 201},
	{"a rule drops the third and fourth",
	 {E, .rules = {{.with_data = true, .first = 3, .count = 2}}},
	 N - 2,
	 N - 2},
	{"a rule that matches nothing", {E, .rules = {{.flags_mask = 2, .flags = 2, .first = 1, .count = 9}}}, N, N},
	{"a rule for retransmissions finds none", {E, .rules = {{.only_rexmit = true, .first = 1, .count = N}}}, N, N},
	{"a rule holds one back",
	 {E, .rules = {{.first = 5, .count = 1, .action = FAULT_DELAY, .delay_ns = 5 * MS}}},
	 N,
	 N,
	 .back_lo = 1,
	 .back_hi = 1},
};

static void fault(void **state)
{
	const struct fault_case *c = *state;
	const struct fault_counts *counts, *again;
	struct fault *f, *g, *h;
	struct outcome o = run(&c->c, 1, &counts, &f), p = run(&c->c, 1, &again, &g), q;

	assert_in_range(o.n, c->lo, c->hi);
	assert_in_range(o.n_backwards, c->back_lo, c->back_hi);
	assert_in_range(o.n_bad, c->bad_lo, c->bad_hi);
	assert_in_range(o.n_ce, c->ce_lo, c->ce_hi);
	if (c->first_hi)
		assert_in_range(o.first_ns, c->first_lo, c->first_hi);
	assert_int_equal(counts->n_put, N);
	/* the same seed is the same world, another is another where chance has a say */
	assert_int_equal(o.digest, p.digest);
	assert_memory_equal(counts, again, sizeof(*counts));
	q = run(&c->c, 2, &again, &h);
	if ((c->c.loss_ppm && c->c.loss_ppm < 1000000) || c->c.reorder_ppm || c->c.burst_in_ppm || c->c.jitter_ns)
		assert_int_not_equal(o.digest, q.digest);
	fault_free(f);
	fault_free(g);
	fault_free(h);
}

/* A router in the middle says that a packet is too long; what it says is a sound ICMP error that quotes the packet. */
static void a_router_speaks(void **state)
{
	struct fault_config c = {.link = BERTH_LINK_ETHERNET, .mtu_bytes = 900, .wire = true};
	const int *family = *state;
	struct fix x = {BERTH_LINK_ETHERNET, *family, 5, WIRE_TCP_ACK, 4000, .df = true, .gso_size = 1000};
	struct fault *there, *back;
	struct link_view v;
	struct berth_rx rx[8];
	struct berth_tx tx;
	unsigned n;

	c.router4 = port_addr_v4(10, 9, 9, 9);
	c.router6 = port_addr_from6((uint8_t[16]){0xfd, [15] = 9}, 0);
	there = fault_new(&c, 1, "there");
	back = fault_new(&c, 1, "back");
	fault_set_back(there, back);
	fix_tx(&x, data, &tx);
	fault_put(there, &tx, 0);
	assert_int_equal(fault_counts(there)->n_split, 3);
	assert_int_equal(fault_take(there, 0, rx, 8, BERTH_NEVER - 1), 0);
	n = fault_take(back, 0, rx, 8, BERTH_NEVER - 1);
	assert_int_equal(n, 4); /* one for each segment */
	for (unsigned i = 0; i < n; i++) {
		struct wire_embedded e;
		struct wire_slice quoted;

		assert_int_equal(link_view(rx[i].head, rx[i].head_len, BERTH_LINK_ETHERNET, &v), 0);
		assert_int_equal(v.proto, *family == 4 ? WIRE_PROTO_ICMP4 : WIRE_PROTO_ICMP6);
		assert_true(link_checksum_good(rx[i].head, &v));
		assert_int_equal(rx[i].head[v.l4_at], *family == 4 ? WIRE_ICMP4_UNREACHABLE : WIRE_ICMP6_TOO_BIG);
		assert_int_equal(wire_get16(rx[i].head + v.l4_at + 6), 900);
		assert_true(port_addr_equal(&v.src, *family == 4 ? &c.router4 : &c.router6));
		quoted = (struct wire_slice){rx[i].head + v.l4_at + 8, v.ip_at + v.ip_len - v.l4_at - 8};
		assert_int_equal(wire_embedded_parse(*family == 4 ? PORT_FAMILY_4 : PORT_FAMILY_6, quoted, &e), 0);
		assert_int_equal(e.seq, 5 + 1000 * i);
		assert_int_equal(rx[i].head[5], 1); /* back to A's MAC */
	}
	/* it does not answer its own kind */
	fault_put_octets(there, rx[0].head, rx[0].head_len, 0);
	assert_true(fault_check(there) && fault_check(back));
	fault_free(there);
	fault_free(back);
}

/* A super-frame passes as it is where nobody is a wire, and its checksum stays the receiver's to believe. */
static void devices_pass_super_frames(void **state)
{
	struct fault_config c = {.link = BERTH_LINK_IP, .corrupt_ppm = 1000000, .mtu_bytes = 1500};
	struct fix x = {BERTH_LINK_IP, 4, 5, WIRE_TCP_ACK, 30000, .df = true, .gso_size = 1000};
	struct fault *f = fault_new(&c, 1, "f");
	struct berth_rx rx[2];
	struct berth_tx tx;

	(void)state;
	fix_tx(&x, data, &tx);
	fault_put(f, &tx, 3);
	assert_int_equal(fault_take(f, 7, rx, 2, 3), 1);
	assert_int_equal(rx[0].gso, BERTH_GSO_TCP4);
	assert_int_equal(rx[0].gso_size, 1000);
	assert_int_equal(rx[0].iface, 7);
	assert_int_equal(rx[0].head_len, tx.len);
	assert_true(rx[0].flags & BERTH_F_NEEDS_CSUM);
	assert_memory_equal(rx[0].head + tx.head_len, data + tx.head_len, 30000);
	fault_free(f);
}

static void a_hub_of_three(void **state)
{
	const uint16_t ifaces[3] = {4, 5, 6};
	struct fix x = {BERTH_LINK_IP, 6, 5, WIRE_TCP_ACK, 100};
	struct pair p;
	struct berth_rx rx[4];
	struct berth_tx tx;

	(void)state;
	pair_init(&p, BERTH_LINK_IP, 3, ifaces);
	for (int i = 0; i < 3; i++) {
		fix_tx(&x, data, &tx);
		pair_put(&p, 1, &tx, 1);
		x.seq += 100;
	}
	assert_false(pair_idle(&p));
	assert_int_equal(pair_take(&p, 1, rx, 4), 0);
	assert_int_equal(pair_take(&p, 0, rx, 2), 2);
	assert_int_equal(rx[1].iface, 4);
	assert_int_equal(wire_get32(rx[1].head + 44), 105);
	assert_int_equal(pair_take(&p, 0, rx, 2), 1);
	assert_int_equal(wire_get32(rx[0].head + 44), 205);
	assert_int_equal(pair_take(&p, 2, rx, 4), 3);
	assert_int_equal(rx[2].iface, 6);
	assert_true(pair_idle(&p));
	link_direct(&tx, 9, &rx[0]);
	assert_int_equal(rx[0].iface, 9);
	assert_ptr_equal(rx[0].parts[1].data, tx.parts[1].data);
	pair_fini(&p);
}

int main(void)
{
	static const int four = 4, six = 6;
	struct CMUnitTest tests[COUNT_OF(cases) + 4];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		tests[n++] = (struct CMUnitTest){cases[i].name, fault, NULL, NULL, (void *)(uintptr_t)&cases[i]};
	tests[n++] = (struct CMUnitTest){"a router says too big, IPv4", a_router_speaks, NULL, NULL,
					 (void *)(uintptr_t)&four};
	tests[n++] = (struct CMUnitTest){"a router says too big, IPv6", a_router_speaks, NULL, NULL,
					 (void *)(uintptr_t)&six};
	tests[n++] = (struct CMUnitTest){"devices pass super-frames", devices_pass_super_frames, NULL, NULL, NULL};
	tests[n++] = (struct CMUnitTest){"a hub of three ends", a_hub_of_three, NULL, NULL, NULL};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
