/* tests/unit/test_port_demux.c: what arrives, to the right claim. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forms.h"
#include "port/demux.h"

#define N 4096
static void *memory;

static struct port_addr addr(const char *text)
{
	struct port_addr a;

	assert_int_equal(port_addr_parse(text, &a, NULL), 0);
	return a;
}

static void fresh(struct port_table *t)
{
	static const uint8_t secret[16] = "unit test demux";
	struct port_addr a = addr("10.0.0.1"), b = addr("10.0.0.2"), c = addr("fd00::1");

	assert_int_equal(form_init(t, memory, N, secret), 0);
	assert_int_equal(port_table_add_local(t, &a, 128), 0);
	assert_int_equal(port_table_add_local(t, &b, 128), 0);
	assert_int_equal(port_table_add_local(t, &c, 128), 0);
}

/* A socket: "tcp4 0.0.0.0", "udp6 ::", flags, device. TCP listens. */
static struct port_ref open_(struct port_table *t, const char *kind, const char *at, uint16_t flags, uint32_t dev)
{
	struct port_want w = {.proto = kind[0] == 'u' ? PORT_UDP : PORT_TCP,
			      .family = kind[3] == '4' ? PORT_FAMILY_4 : PORT_FAMILY_6,
			      .addr = addr(at),
			      .port = 5000,
			      .flags = flags,
			      .dev = dev};
	struct port_ref ref;

	assert_int_equal(port_table_bind(t, PORT_REF_NONE, &w, 0, &ref, NULL), 0);
	if (w.proto == PORT_TCP)
		assert_int_equal(port_table_listen(t, &ref, &w, 0, NULL), 0);
	return ref;
}

static struct port_tuple packet(enum port_proto proto, const char *to, uint16_t from_port)
{
	struct port_tuple p = {.proto = proto, .local = addr(to), .local_port = 5000, .remote_port = from_port};

	p.remote = port_addr_is4(&p.local) ? addr("10.9.9.9") : addr("fd99::9");
	return p;
}

#define P PORT_REUSEPORT
#define A PORT_REUSEADDR

static void the_most_specific_wins(void **state)
{
	static const struct {
		const char *name, *kind[3], *at[3];
		uint16_t flags;
		const char *to;
		int winner; /* -1: nobody */
	} rows[] = {
		{"the wildcard takes every address", {"tcp4"}, {"0.0.0.0"}, 0, "10.0.0.2", 0},
		{"exact before wildcard", {"tcp4", "tcp4"}, {"0.0.0.0", "10.0.0.1"}, P, "10.0.0.1", 1},
		{"another address falls to the wildcard", {"tcp4", "tcp4"}, {"0.0.0.0", "10.0.0.1"}, P, "10.0.0.2", 0},
		{"another address alone is nobody's", {"tcp4"}, {"10.0.0.1"}, 0, "10.0.0.2", -1},
		{"a dual-stack wildcard takes IPv4", {"tcp6"}, {"::"}, 0, "10.0.0.1", 0},
		{"and IPv6", {"tcp6"}, {"::"}, 0, "fd00::1", 0},
		{"an IPv6-only one does not", {"tcp6"}, {"::"}, PORT_V6ONLY, "10.0.0.1", -1},
		{"an IPv4 wildcard goes before a dual one", {"tcp6", "tcp4"}, {"::", "0.0.0.0"}, P, "10.0.0.1", 1},
		{"and takes no IPv6", {"tcp6", "tcp4"}, {"::", "0.0.0.0"}, P, "fd00::1", 0},
		{"a mapped address is IPv4", {"tcp6"}, {"::ffff:10.0.0.1"}, 0, "10.0.0.1", 0},
		{"UDP: the one bound last, of two that share by SO_REUSEADDR",
		 {"udp4", "udp4"},
		 {"0.0.0.0", "0.0.0.0"},
		 A,
		 "10.0.0.1",
		 1},
		{"UDP: exact before the one bound last", {"udp4", "udp4"}, {"10.0.0.1", "0.0.0.0"}, A, "10.0.0.1", 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct port_ref refs[3], got;
		struct port_table t;

		fresh(&t);
		for (int k = 0; k < 3 && rows[i].kind[k] != NULL; k++)
			refs[k] = open_(&t, rows[i].kind[k], rows[i].at[k], rows[i].flags, 0);
		struct port_tuple p = packet(rows[i].kind[0][0] == 'u' ? PORT_UDP : PORT_TCP, rows[i].to, 7);
		int r = port_demux(&t, &p, 0, &got);

		if (r != (rows[i].winner < 0 ? -ENOENT : 0) || (r == 0 && got.slot != refs[rows[i].winner].slot))
			fail_msg("%s", rows[i].name);
	}
}

static void a_device_is_preferred_and_must_match(void **state)
{
	struct port_table t;
	struct port_ref plain, lo, got;
	struct port_tuple p = packet(PORT_TCP, "10.0.0.1", 7);

	(void)state;
	fresh(&t);
	plain = open_(&t, "tcp4", "0.0.0.0", P, 0);
	lo = open_(&t, "tcp4", "0.0.0.0", P, 1);
	assert_int_equal(port_demux(&t, &p, 1, &got), 0);
	assert_int_equal(got.slot, lo.slot);
	assert_int_equal(port_demux(&t, &p, 2, &got), 0);
	assert_int_equal(got.slot, plain.slot);
}

static void a_flow_goes_before_its_listener(void **state)
{
	struct port_table t;
	struct port_ref l, child, got;
	struct port_owner nobody = {0};
	struct port_tuple p = packet(PORT_TCP, "10.0.0.1", 7);

	(void)state;
	fresh(&t);
	l = open_(&t, "tcp4", "0.0.0.0", 0, 0);
	assert_int_equal(port_table_accept(&t, l, &p.local, &p.remote, p.remote_port, &nobody, 0, &child), 0);
	assert_int_equal(port_demux(&t, &p, 0, &got), 0);
	assert_int_equal(got.slot, child.slot);
	p.remote_port++;
	assert_int_equal(port_demux(&t, &p, 0, &got), 0);
	assert_int_equal(got.slot, l.slot);
	p.local_port = 0;
	assert_int_equal(port_demux(&t, &p, 0, &got), -ENOENT);
}

#define GROUP 8
#define FLOWS 2000

static void spread(const struct port_table *t, uint32_t slot_of[FLOWS])
{
	for (uint16_t f = 0; f < FLOWS; f++) {
		struct port_tuple p = packet(PORT_TCP, "10.0.0.1", (uint16_t)(1000 + f));
		struct port_ref got;

		assert_int_equal(port_demux_listener(t, &p, 0, &got), 0);
		slot_of[f] = got.slot;
	}
}

/* Rendezvous: growth moves flows to the newcomer only, about 1 in n+1; leaving moves the leaver's. */
static void a_group_is_even_and_stable(void **state)
{
	static uint32_t before[FLOWS], after[FLOWS];
	uint32_t count[N] = {0}, moved = 0;
	struct port_ref refs[GROUP + 1];
	struct port_table t;

	(void)state;
	fresh(&t);
	for (int i = 0; i < GROUP; i++) /* REUSEADDR on some: the same group all the same */
		refs[i] = open_(&t, "tcp4", "0.0.0.0", i % 2 ? P : P | A, 0);
	spread(&t, before);
	for (int f = 0; f < FLOWS; f++)
		count[before[f]]++;
	for (int i = 0; i < GROUP; i++)
		assert_in_range(count[refs[i].slot], FLOWS / GROUP * 7 / 10, FLOWS / GROUP * 13 / 10);
	refs[GROUP] = open_(&t, "tcp4", "0.0.0.0", P, 0);
	spread(&t, after);
	for (int f = 0; f < FLOWS; f++) {
		if (after[f] == before[f])
			continue;
		assert_int_equal(after[f], refs[GROUP].slot);
		moved++;
	}
	assert_in_range(moved, FLOWS / (GROUP + 1) * 7 / 10, FLOWS / (GROUP + 1) * 13 / 10);
	assert_int_equal(port_table_release(&t, refs[3]), 0);
	spread(&t, before);
	for (int f = 0; f < FLOWS; f++)
		assert_true(before[f] == after[f] || after[f] == refs[3].slot);
}

static void every_flow_of_many_is_found(void **state)
{
	struct port_want w = {.proto = PORT_TCP, .family = PORT_FAMILY_4, .addr = PORT_ADDR_ANY4};
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.9.9.9");
	static struct port_ref refs[N];
	struct port_table t;
	struct port_claim c;

	(void)state;
	fresh(&t);
	for (int i = 0; i < N; i++) {
		refs[i] = PORT_REF_NONE;
		assert_int_equal(port_table_connect(&t, &refs[i], &w, &local, &peer, (uint16_t)(1 + i % 50), 0, NULL),
				 0);
	}
	assert_true(port_table_check(&t));
	for (int i = 0; i < N; i++) {
		struct port_tuple p = {PORT_TCP, local, peer, 0, (uint16_t)(1 + i % 50)};
		struct port_ref got;

		assert_int_equal(port_table_get(&t, refs[i], &c), 0);
		p.local_port = c.port;
		assert_int_equal(port_demux_flow(&t, &p, &got), 0);
		assert_int_equal(got.slot, refs[i].slot);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(port_table_release(&t, refs[(i * 7) % N]), 0);
	assert_true(port_table_check(&t));
	assert_int_equal(port_table_n_claims(&t), 0);
}

/* Batches of every size, of flows that are there, are not, linger, and are another protocol's: the same as one by one. */
static void a_batch_finds_what_one_by_one_finds(void **state)
{
	struct port_want w = {.proto = PORT_TCP, .family = PORT_FAMILY_4, .addr = PORT_ADDR_ANY4};
	struct port_addr local = addr("10.0.0.1"), peer = addr("10.9.9.9");
	struct port_tuple all[200];
	struct port_table t;

	(void)state;
	fresh(&t);
	for (unsigned i = 0; i < COUNT_OF(all); i++) {
		struct port_ref ref = PORT_REF_NONE;
		struct port_claim c;

		w.proto = i % 5 == 0 ? PORT_UDP : PORT_TCP;
		w.user = 1000 + i;
		assert_int_equal(port_table_connect(&t, &ref, &w, &local, &peer, (uint16_t)(1 + i % 50), 0, NULL), 0);
		assert_int_equal(port_table_get(&t, ref, &c), 0);
		all[i] = (struct port_tuple){w.proto, local, peer, c.port, c.peer_port};
		if (i % 3 == 0)
			assert_int_equal(port_table_linger(&t, ref, 99), 0);
		if (i % 7 == 0)
			assert_int_equal(port_table_release(&t, ref), 0);
		if (i % 11 == 0)
			all[i].remote_port++;
	}
	for (unsigned n = 0; n <= PORT_DEMUX_BATCH; n++) {
		struct port_ref got[PORT_DEMUX_BATCH], one;
		uint64_t users[PORT_DEMUX_BATCH];
		unsigned from = n * 5 % 160, found = 0;

		assert_in_range(port_demux_batch(&t, all + from, n, got, users), 0, 8);
		for (unsigned i = 0; i < n; i++) {
			struct port_claim c;

			if (port_demux_flow(&t, &all[from + i], &one) < 0)
				one = PORT_REF_NONE;
			assert_int_equal(got[i].slot, one.slot);
			assert_int_equal(got[i].generation, one.generation);
			if (one.generation == 0)
				continue;
			found++;
			assert_int_equal(port_table_get(&t, one, &c), 0);
			assert_int_equal(users[i], c.user);
		}
		if (n >= 16)
			assert_in_range(found, n / 4, n);
	}
}

static void the_callers_word_changes_with_its_claim_only(void **state)
{
	struct port_ref a, stale;
	struct port_table t;
	uint64_t user = 0;

	(void)state;
	fresh(&t);
	a = open_(&t, "tcp4", "0.0.0.0", 0, 0);
	assert_int_equal(port_table_set_user(&t, a, 0x40000007), 0);
	assert_int_equal(port_table_get_user(&t, a, &user), 0);
	assert_int_equal(user, 0x40000007);
	stale = (struct port_ref){a.slot, a.generation + 1};
	assert_int_equal(port_table_set_user(&t, stale, 9), -ESTALE);
	assert_int_equal(port_table_get_user(&t, stale, &user), -ESTALE);
	assert_int_equal(user, 0x40000007);
	assert_int_equal(port_table_release(&t, a), 0);
	assert_int_equal(port_table_get_user(&t, a, &user), -ESTALE);
	assert_true(port_table_check(&t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_specific_wins),
		cmocka_unit_test(a_device_is_preferred_and_must_match),
		cmocka_unit_test(a_flow_goes_before_its_listener),
		cmocka_unit_test(a_group_is_even_and_stable),
		cmocka_unit_test(every_flow_of_many_is_found),
		cmocka_unit_test(a_batch_finds_what_one_by_one_finds),
		cmocka_unit_test(the_callers_word_changes_with_its_claim_only),
	};
	int r;

	memory = aligned_alloc(64, port_table_size(N));
	r = FORMS_RUN("port demux", tests);
	free(memory);
	return r;
}
