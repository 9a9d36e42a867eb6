/* tests/unit/test_port_golden.c: the heart against Linux's answers, all 1,645 measured rows.
 *
 * tests/data/bind_matrix.csv was measured on Linux 6.18 (docs/linux-bind.md says how to read it). Each
 * row stands for sixteen pairs of sockets: the first's flags by column, the second's by letter, in the
 * order none, A (SO_REUSEADDR), P (SO_REUSEPORT), AP. '.' bind (and listen) works, 'b' bind is refused,
 * 'l' bind works and listen is refused, '?' was not measured. One test per section and form of the table (forms.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forms.h"

#define PORT 5000
#define N_SLOTS 64

static const uint16_t flag_sets[4] = {0, PORT_REUSEADDR, PORT_REUSEPORT, PORT_REUSEADDR | PORT_REUSEPORT};

struct sock {
	const char *name;
	enum port_family family;
	struct port_addr addr;
	uint16_t flags;
};

static struct port_addr a4, b4, a6, b6;

static struct sock sock_of(const char *name)
{
	const struct sock all[] = {
		{"4*", PORT_FAMILY_4, PORT_ADDR_ANY4, 0},
		{"4A", PORT_FAMILY_4, a4, 0},
		{"4B", PORT_FAMILY_4, b4, 0},
		{"6*", PORT_FAMILY_6, PORT_ADDR_ANY6, 0},
		{"6*o", PORT_FAMILY_6, PORT_ADDR_ANY6, PORT_V6ONLY},
		{"6A", PORT_FAMILY_6, a6, 0},
		{"6Ao", PORT_FAMILY_6, a6, PORT_V6ONLY},
		{"6B", PORT_FAMILY_6, b6, 0},
		{"M*", PORT_FAMILY_6, PORT_ADDR_ANY4, 0},
		{"MA", PORT_FAMILY_6, a4, 0},
	};

	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i];
	fail_msg("no such address in the test: %s", name);
	abort();
}

static struct port_want want_of(const char *proto, const char *addr, const char *dev, uint32_t uid, uint16_t flags)
{
	struct sock s = sock_of(addr);

	return (struct port_want){
		.proto = strcmp(proto, "udp") == 0 ? PORT_UDP : PORT_TCP,
		.family = s.family,
		.addr = s.addr,
		.port = PORT,
		.flags = s.flags | flags,
		.uid = uid,
		.dev = strcmp(dev, "lo") == 0	 ? 1
		       : strcmp(dev, "br0") == 0 ? 2
						 : 0,
	};
}

static void *memory;

static void fresh(struct port_table *t)
{
	static const uint8_t secret[16] = "golden table 16";

	assert_int_equal(form_init(t, memory, N_SLOTS, secret), 0);
	assert_int_equal(port_table_add_local(t, &a4, 128), 0);
	assert_int_equal(port_table_add_local(t, &b4, 128), 0);
	assert_int_equal(port_table_add_local(t, &a6, 128), 0);
	assert_int_equal(port_table_add_local(t, &b6, 128), 0);
}

/* The first socket, brought into its state. */
static void set_up(struct port_table *t, const struct port_want *w, const char *state, struct port_ref *ref)
{
	bool four = port_addr_is4(&w->addr) || strchr(state, '4') != NULL;
	struct port_addr local = port_addr_is_any(&w->addr) ? (four ? a4 : a6) : w->addr;
	struct port_addr peer = four ? b4 : b6;
	struct port_owner nobody = {0};
	struct port_ref child;

	assert_int_equal(port_table_bind(t, PORT_REF_NONE, w, 0, ref, NULL), 0);
	switch (state[0]) {
	case 'B':
		return;
	case 'L':
		assert_int_equal(port_table_listen(t, ref, w, 0, NULL), 0);
		return;
	case 'C':
	case 'T':
		assert_int_equal(port_table_connect(t, ref, w, &local, &peer, 9, 0, NULL), 0);
		break;
	case 'A':
	case 'S':
		assert_int_equal(port_table_listen(t, ref, w, 0, NULL), 0);
		assert_int_equal(port_table_accept(t, *ref, &local, &peer, 9, &nobody, 0, &child), 0);
		assert_int_equal(port_table_release(t, *ref), 0);
		*ref = child;
		break;
	default:
		fail_msg("no such state: %s", state);
	}
	if (state[0] == 'T' || state[0] == 'S')
		assert_int_equal(port_table_linger(t, *ref, 60000000), 0);
}

static char answer(struct port_table *t, const struct port_want *w, bool both, const struct port_want *first_want,
		   struct port_ref first)
{
	struct port_refusal why = {0};
	struct port_ref second;
	bool probed = port_table_probe(t, w, false, NULL) == 0;
	int r = port_table_bind(t, PORT_REF_NONE, w, 0, &second, &why);

	assert_int_equal(probed, r == 0);
	if (r < 0) {
		assert_int_equal(r, -EADDRINUSE);
		assert_int_not_equal(why.rule, PORT_RULE_NONE);
		assert_true(why.by_valid);
		assert_int_equal(why.by.port, PORT);
		return 'b';
	}
	if (both)
		assert_int_equal(port_table_listen(t, &first, first_want, 0, NULL), 0);
	if (w->proto == PORT_TCP && port_table_listen(t, &second, w, 0, &why) < 0) {
		assert_int_equal(why.err, -EADDRINUSE);
		assert_true(why.by_valid);
		return 'l';
	}
	return '.';
}

struct row {
	char section[8], proto1[4], state[4], addr1[4], dev1[4], proto2[4], addr2[4], dev2[4], uid2[8];
	char r[4][8];
};

static uint32_t run_row(const struct row *row, uint32_t line)
{
	uint32_t n = 0;

	for (int f1 = 0; f1 < 4; f1++) {
		for (int f2 = 0; f2 < 4; f2++) {
			struct port_want w1 = want_of(row->proto1, row->addr1, row->dev1, 0, flag_sets[f1]);
			struct port_want w2 =
				want_of(row->proto2, row->addr2, row->dev2, (uint32_t)atoi(row->uid2), flag_sets[f2]);
			struct port_table t;
			struct port_ref first;
			char got, want = row->r[f1][f2];

			if (want == '?')
				continue;
			fresh(&t);
			set_up(&t, &w1, row->state, &first);
			got = answer(&t, &w2, strcmp(row->state, "BL") == 0, &w1, first);
			if (got != want)
				fail_msg(
					"line %u, flags %d then %d: %s %s %s, then %s %s uid %s: Linux says '%c', we say '%c'",
					line, f1, f2, row->proto1, row->addr1, row->state, row->proto2, row->addr2,
					row->uid2, want, got);
			assert_true(port_table_check(&t));
			n++;
		}
	}
	return n;
}

static uint32_t rows_seen, pairs_seen;

static void section(const char *name)
{
	FILE *f = fopen(BERTH_TEST_DATA "/bind_matrix.csv", "re");
	char text[256];
	uint32_t line = 1, rows = 0;

	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	while (fgets(text, sizeof(text), f) != NULL) {
		struct row row = {0};

		line++;
		assert_int_equal(
			sscanf(text,
			       "%7[^,],%3[^,],%3[^,],%3[^,],%3[^,],%3[^,],%3[^,],%3[^,],%7[^,],%7[^,],%7[^,],%7[^,],%7[^\n]",
			       row.section, row.proto1, row.state, row.addr1, row.dev1, row.proto2, row.addr2, row.dev2,
			       row.uid2, row.r[0], row.r[1], row.r[2], row.r[3]),
			13);
		if (strcmp(row.section, name) != 0)
			continue;
		pairs_seen += run_row(&row, line);
		rows++;
	}
	fclose(f);
	rows_seen += rows;
	assert_true(rows > 0);
}

static void the_main_table(void **state)
{
	(void)state;
	section("main");
}

static void tcp_and_udp_never_meet(void **state)
{
	(void)state;
	section("cross");
}

static void another_user(void **state)
{
	(void)state;
	section("uid");
}

static void bound_to_a_device(void **state)
{
	(void)state;
	section("dev");
}

static void every_row_was_run(void **state)
{
	(void)state;
	assert_int_equal(rows_seen, 1645);
	print_message("# golden table: %u rows, %u pairs\n", rows_seen, pairs_seen);
	rows_seen = pairs_seen = 0;
}

int main(void)
{
	static const uint8_t v6a[16] = {0xfd, 0, 1, [15] = 1}, v6b[16] = {0xfd, 0, 1, [15] = 2};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_main_table),    cmocka_unit_test(tcp_and_udp_never_meet),
		cmocka_unit_test(another_user),	     cmocka_unit_test(bound_to_a_device),
		cmocka_unit_test(every_row_was_run),
	};
	int r;

	a4 = port_addr_v4(10, 1, 0, 1);
	b4 = port_addr_v4(10, 1, 0, 2);
	a6 = port_addr_from6(v6a, 0);
	b6 = port_addr_from6(v6b, 0);
	memory = aligned_alloc(64, (port_table_size(N_SLOTS) + 63) & ~(size_t)63);
	r = FORMS_RUN("port golden table", tests);
	free(memory);
	return r;
}
