/* tests/unit/test_network_policy.c: the network's policy lasts, changes for everybody at once, and garbage in its place
 * opens nothing. */
#include "network/policy.h"
#include "network_fixture.h"

static void set(const char *line)
{
	struct port_policy p;

	assert_int_equal(port_policy_parse(line, &p), 0);
	assert_int_equal(network_policy_set(&net, &p), 0);
}

/* As shim_may_pass() does it. */
static int ask_of(struct network *n, const struct port_policy_chain *run, const char *to,
		  struct port_policy_refusal *ret)
{
	struct network_refused what = {.comm = "prog", .pid = 1, .proto = PORT_TCP, .port = 443};

	assert_int_equal(port_addr_parse(to, &what.addr, NULL), 0);
	what.err = network_policy_ask(n, run, PORT_TCP, &what.addr, 443, &what.by);
	if (what.err < 0)
		network_refused_put(n, &what);
	if (ret)
		*ret = what.by;
	return what.err;
}

static int may(const char *to)
{
	return ask_of(&net, NULL, to, NULL);
}

static struct map_policy *record(void)
{
	return (void *)(map_base(&net) + MAP_POLICY_OFF);
}

static void at_first_everything_may_pass(void **state)
{
	(void)state;
	fixture_open("net");
	assert_int_equal(may("192.0.2.1"), 0);
	assert_int_equal(may("2001:db8::1"), 0);
}

static void a_network_is_made_closed(void **state)
{
	struct port_policy p;
	struct network_options o = {.create = true, .policy = &p};
	struct network_error e;

	(void)state;
	assert_int_equal(port_policy_parse("closed +192.0.2.0/24:443", &p), 0);
	assert_int_equal(network_open(&net, "net", &o, &e), 0);
	assert_int_equal(may("192.0.2.1"), 0);
	assert_int_equal(may("198.51.100.1"), -ENETUNREACH);
}

static void a_change_holds_at_once_and_lasts(void **state)
{
	static struct network other;
	struct network_options o = {.create = false};
	struct network_error e;
	char table[128];
	uint64_t was;

	(void)state;
	fixture_open("net");
	(void)fixture_host("web");
	assert_int_equal(network_open(&other, "net", &o, &e), 0);
	was = network_policy_generation(&other);
	for (int i = 0; i < 5; i++) {
		set("closed +192.0.2.1");
		assert_int_equal(ask_of(&other, NULL, "192.0.2.1", NULL), 0);
		assert_int_equal(ask_of(&other, NULL, "192.0.2.2", NULL), -ENETUNREACH);
		assert_int_not_equal(network_policy_generation(&other), was);
		was = network_policy_generation(&other);
		set("open -192.0.2.1");
		assert_int_equal(ask_of(&other, NULL, "192.0.2.1", NULL), -ECONNREFUSED);
		assert_int_equal(ask_of(&other, NULL, "192.0.2.2", NULL), 0);
		assert_int_not_equal(network_policy_generation(&other), was);
	}
	(void)fixture_host("db"); /* writes the hosts file anew */
	snprintf(table, sizeof(table), "%s/net/table", fixture_dir);
	assert_int_equal(unlink(table), 0);
	assert_int_equal(network_open(&other, "net", &o, &e), 0); /* which makes the table again, from the file */
	assert_int_equal(ask_of(&other, NULL, "192.0.2.1", NULL), -ECONNREFUSED);
}

static void the_gateway_is_asked_by_its_own_address(void **state)
{
	struct port_addr g4, g6, one;
	char s4[PORT_ADDR_STR_MAX], s6[PORT_ADDR_STR_MAX], line[256];
	struct network_host h;

	(void)state;
	fixture_open("net");
	h = fixture_host("web");
	network_gateway(&net, &g4, &g6);
	assert_true(network_is_gateway(&net, &g4) && network_is_gateway(&net, &g6));
	assert_false(network_is_gateway(&net, &h.addr4) || network_is_gateway(&net, &h.addr6));
	assert_true(network_covers(&net, &g4) && network_covers(&net, &g6));
	assert_int_equal(network_host_by_addr(&net, 0, &g4, &h), -ENOENT);
	assert_int_equal(network_host_by_addr(&net, 0, &g6, &h), -ENOENT);
	one = net.net4;
	assert_false(network_is_gateway(&net, &one));
	port_addr_print(&g4, s4);
	port_addr_print(&g6, s6);
	snprintf(line, sizeof(line), "open -%s -%s", s4, s6);
	set(line);
	assert_int_equal(may(s4), -ECONNREFUSED);
	assert_int_equal(may(s6), -ECONNREFUSED);
	assert_int_equal(may("192.0.2.1"), 0);
	/* Loopbacks and wildcards, should one ever be led to the machine. */
	assert_int_equal(may("127.0.0.1"), -ECONNREFUSED);
	assert_int_equal(may("127.0.0.53"), -ECONNREFUSED);
	assert_int_equal(may("0.0.0.0"), -ECONNREFUSED);
	assert_int_equal(may("::1"), -ECONNREFUSED);
	assert_int_equal(may("::"), -ECONNREFUSED);
	assert_int_equal(may("::ffff:127.0.0.1"), -ECONNREFUSED);
}

static void a_run_only_narrows(void **state)
{
	static struct port_policy_chain c;
	struct port_policy_refusal no;

	(void)state;
	fixture_open("net");
	set("closed +192.0.2.0/24");
	assert_int_equal(port_policy_chain_parse("open,closed +192.0.2.1 +198.51.100.1", &c), 0);
	assert_int_equal(ask_of(&net, &c, "192.0.2.1", &no), 0);
	assert_int_equal(ask_of(&net, &c, "192.0.2.2", &no), -ENETUNREACH);
	assert_int_equal(no.by, PORT_POLICY_RUN);
	assert_int_equal(ask_of(&net, &c, "198.51.100.1", &no), -ENETUNREACH);
	assert_int_equal(no.by, PORT_POLICY_NETWORK);
	c.garbled = 1;
	assert_int_equal(ask_of(&net, &c, "192.0.2.1", &no), -ENETUNREACH);
	assert_int_equal(no.by, PORT_POLICY_GARBLED);
}

static void an_older_policy_cannot_be_brought_back(void **state)
{
	(void)state;
	fixture_open("net");
	set("open -198.51.100.1");
	set("closed");
	atomic_store(&record()->word, atomic_load(&record()->word) ^ 1);
	assert_int_equal(may("192.0.2.1"), -ENETUNREACH);
	atomic_fetch_sub(&record()->word, 1);
	assert_int_equal(may("192.0.2.1"), -ENETUNREACH);
}

/* Whatever is scribbled there, closed stays closed: with the hosts file it is mended, without it nothing may pass. */
static void scribble(bool with_hosts)
{
	uint64_t x = 88172645463325252u;
	char path[300];

	fixture_open("net");
	set("open -192.0.2.0/24");
	set("closed");
	if (!with_hosts) {
		snprintf(path, sizeof(path), "%s/net/hosts", fixture_dir);
		assert_int_equal(unlink(path), 0);
	}
	for (int round = 0; round < (with_hosts ? 150 : 600); round++) {
		uint8_t *at = (uint8_t *)record();
		size_t len, from;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		from = round % 3 ? x % 64 : x % sizeof(struct map_policy);
		len = 1 + (x >> 20) % 64;
		if (from + len > sizeof(struct map_policy))
			len = sizeof(struct map_policy) - from;
		memset(at + from, (int)(x >> 40), len);
		if (round % 10 == 9)
			memset(at, round % 20 == 9 ? 0 : 0xff, sizeof(struct map_policy));
		assert_int_equal(may("198.51.100.1"), -ENETUNREACH);
	}
}

static void garbage_is_mended_from_the_hosts_file(void **state)
{
	struct port_policy p;

	(void)state;
	scribble(true);
	assert_int_equal(network_policy_get(&net, &p), 0);
	assert_int_equal(p.closed, 1);
	set("open");
	assert_int_equal(may("192.0.2.1"), 0);
}

static void garbage_without_a_hosts_file_refuses(void **state)
{
	struct port_policy p;

	(void)state;
	scribble(false);
	assert_int_equal(network_policy_get(&net, &p), -EUCLEAN);
}

static void a_hosts_file_with_a_garbled_policy_is_damaged(void **state)
{
	struct network_options o = {.create = false};
	struct network_error e = {.what = ""};
	char cmd[400];

	(void)state;
	fixture_open("net");
	set("closed +192.0.2.1");
	snprintf(cmd, sizeof(cmd), "sed -i 's/^# policy.*/# policy opem/' '%s/net/hosts' && rm '%s/net/table'",
		 fixture_dir, fixture_dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(network_open(&net, "net", &o, &e), -EUCLEAN);
	assert_non_null(strstr(e.what, "damaged"));
}

/* --- what was refused --- */

static uint32_t count_refused(struct network_refused *ret_last)
{
	struct network_refused r;
	uint32_t n = 0, cursor = 0;

	while (network_refused_next(&net, &cursor, &r)) {
		n++;
		*ret_last = r;
	}
	return n;
}

static void refusals_are_counted(void **state)
{
	struct network_refused r;

	(void)state;
	fixture_open("net");
	assert_int_equal(may("192.0.2.1"), 0);
	assert_int_equal(count_refused(&r), 0);
	set("closed -192.0.2.1");
	for (int i = 0; i < 5; i++)
		assert_int_equal(may("192.0.2.1"), -ECONNREFUSED);
	assert_int_equal(count_refused(&r), 1);
	assert_int_equal(r.count, 5);
	assert_string_equal(r.comm, "prog");
	assert_int_equal(r.pid, 1);
	assert_int_equal(r.port, 443);
	assert_int_equal(r.err, -ECONNREFUSED);
	assert_true(r.by.has_rule && r.first_us && r.last_us >= r.first_us);
	set("closed"); /* another rule is another line */
	assert_int_equal(may("192.0.2.1"), -ENETUNREACH);
	assert_int_equal(count_refused(&r), 2);
}

static void there_is_room_for_the_last_ones(void **state)
{
	struct network_refused r;
	uint32_t n, cursor = 0;
	bool newest = false;

	(void)state;
	fixture_open("net");
	set("closed");
	for (unsigned i = 0; i < 5000; i++) {
		char to[32];

		snprintf(to, sizeof(to), "192.0.%u.%u", i >> 8, i & 255);
		assert_int_equal(may(to), -ENETUNREACH);
	}
	n = count_refused(&r);
	assert_in_range(n, MAP_REFUSED / 2, MAP_REFUSED);
	while (network_refused_next(&net, &cursor, &r)) {
		newest |= r.addr.b[14] == 4999 >> 8 && r.addr.b[15] == (4999 & 0xff);
		assert_int_equal(r.count, 1);
	}
	assert_true(newest);
}

static void garbled_refusals_are_passed_over(void **state)
{
	struct map_refused *all;
	struct network_refused r;
	uint64_t x = 88172645463325252u;

	(void)state;
	fixture_open("net");
	set("closed");
	all = (void *)(map_base(&net) + MAP_REFUSED_OFF);
	for (unsigned round = 0; round < 2000; round++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memset((uint8_t *)all + x % (MAP_REFUSED * sizeof(*all) - 64), (int)(x >> 40), 1 + (x >> 20) % 64);
		assert_int_equal(may("192.0.2.1"), -ENETUNREACH);
		uint32_t cursor = 0;
		while (network_refused_next(&net, &cursor, &r))
			assert_string_equal(r.comm, "prog");
	}
	memset(all, 0xff, MAP_REFUSED * sizeof(*all));
	assert_int_equal(may("192.0.2.1"), -ENETUNREACH);
	assert_int_equal(count_refused(&r), 1);
}

/* Four processes at once: nobody waits, and nearly nothing is lost. */
static void many_are_refused_at_once(void **state)
{
	enum { PROCESSES = 4, TIMES = 2000 };
	struct network_refused r;
	uint64_t sum = 0;
	uint32_t cursor = 0;

	(void)state;
	fixture_open("net");
	set("closed");
	for (int p = 0; p < PROCESSES; p++)
		if (fork() == 0) {
			for (unsigned i = 0; i < TIMES; i++) {
				char to[32];

				snprintf(to, sizeof(to), "192.0.2.%u", i % 16);
				if (may(to) != -ENETUNREACH)
					_exit(1);
			}
			_exit(0);
		}
	for (int p = 0; p < PROCESSES; p++) {
		int status;

		assert_true(wait(&status) > 0 && status == 0);
	}
	while (network_refused_next(&net, &cursor, &r))
		sum += r.count;
	assert_in_range(sum, PROCESSES * TIMES - 64, PROCESSES * TIMES);
}

/* Whoever reads while another changes meets one or the other. */
static void readers_meet_a_whole_policy(void **state)
{
	struct port_policy p;
	char line[PORT_POLICY_STR_MAX] = "closed";
	int status, bad = 0;
	pid_t writer;

	(void)state;
	for (int i = 0; i < 50; i++)
		sprintf(line + strlen(line), " +192.0.2.%d", i);
	fixture_open("net");
	set(line);
	writer = fork();
	if (writer == 0) {
		for (int i = 0; i < 150; i++)
			set(i % 2 ? line : "closed +198.51.100.0/24");
		_exit(0);
	}
	while (waitpid(writer, &status, WNOHANG) == 0) {
		if (network_policy_get(&net, &p) != 0 || !p.closed || (p.n_rules != 50 && p.n_rules != 1))
			bad++;
	}
	assert_int_equal(status, 0);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(at_first_everything_may_pass),
		TEST(a_network_is_made_closed),
		TEST(a_change_holds_at_once_and_lasts),
		TEST(the_gateway_is_asked_by_its_own_address),
		TEST(a_run_only_narrows),
		TEST(an_older_policy_cannot_be_brought_back),
		TEST(garbage_is_mended_from_the_hosts_file),
		TEST(garbage_without_a_hosts_file_refuses),
		TEST(a_hosts_file_with_a_garbled_policy_is_damaged),
		TEST(refusals_are_counted),
		TEST(there_is_room_for_the_last_ones),
		TEST(garbled_refusals_are_passed_over),
		TEST(many_are_refused_at_once),
		TEST(readers_meet_a_whole_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
