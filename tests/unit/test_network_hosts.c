/* tests/unit/test_network_hosts.c: names to addresses and back. */
#include "network_fixture.h"

static void a_host_keeps_its_address(void **state)
{
	struct network_host a, b, again;

	(void)state;
	fixture_open("Net");
	a = fixture_host("local");
	b = fixture_host("WEB");
	assert_string_equal(b.name, "web");
	assert_false(port_addr_equal(&a.addr4, &b.addr4));
	fixture_open("Net");
	again = fixture_host("web");
	assert_int_equal(again.index, b.index);
	assert_true(port_addr_equal(&again.addr4, &b.addr4) && port_addr_equal(&again.addr6, &b.addr6));
	assert_int_equal(network_n_hosts(&net), 2);
	assert_int_equal(network_host_get(&net, "nobody", false, &a), -ENOENT);
	assert_int_equal(network_host_get(&net, "no body", true, &a), -EINVAL);
}

static const struct {
	const char *name;
	int err;
} names[] = {
	{"web", 0},
	{"WEB", 0},
	{"web.", 0},
	{"web.net.berth", 0},
	{"Web.NET.Berth.", 0},
	{"web.other.berth", -ENOENT},
	{"web.net", -ENOENT},
	{".net.berth", -ENOENT},
	{"", -ENOENT},
	{".", -ENOENT},
	{"www.web", -ENOENT},
};

static void names_are_found_as_people_write_them(void **state)
{
	struct network_host h;

	(void)state;
	fixture_open("Net");
	fixture_host("web");
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (network_host_by_name(&net, names[i].name, &h) != names[i].err)
			fail_msg("'%s'", names[i].name);
}

static void addresses_lead_to_hosts(void **state)
{
	struct port_addr loop4 = PORT_ADDR_LOOP4, loop6 = PORT_ADDR_LOOP6, far = port_addr_v4(8, 8, 8, 8), gateway;
	struct network_host a, b, h;

	(void)state;
	fixture_open("net");
	a = fixture_host("a");
	b = fixture_host("b");
	gateway = host_addr(&net.net4, 0);
	gateway.b[15]--;
	assert_int_equal(network_host_by_addr(&net, a.index, &b.addr4, &h), 0);
	assert_string_equal(h.name, "b");
	assert_int_equal(network_host_by_addr(&net, a.index, &b.addr6, &h), 0);
	assert_string_equal(h.name, "b");
	assert_int_equal(network_host_by_addr(&net, b.index, &loop4, &h), 0);
	assert_string_equal(h.name, "b");
	assert_int_equal(network_host_by_addr(&net, a.index, &loop6, &h), 0);
	assert_string_equal(h.name, "a");
	assert_int_equal(network_host_by_addr(&net, a.index, &far, &h), -ENOENT);
	assert_int_equal(network_host_by_addr(&net, a.index, &gateway, &h), -ENOENT);
	assert_true(network_covers(&net, &gateway) && network_covers(&net, &a.addr6));
	assert_false(network_covers(&net, &far));
}

static void a_subnet_runs_out(void **state)
{
	struct network_options o = {.create = true, .subnet = "10.77.0.0/29"};
	struct network_host h;
	char name[8];

	(void)state;
	assert_int_equal(network_open(&net, "small", &o, NULL), 0);
	for (int i = 0; i < 5; i++) { /* 8 less the subnet's, the gateway's and the broadcast address */
		snprintf(name, sizeof(name), "h%d", i);
		assert_int_equal(network_host_get(&net, name, true, &h), 0);
	}
	assert_int_equal(h.addr4.b[15], 6);
	assert_int_equal(network_host_get(&net, "h5", true, &h), -ENOSPC);
	assert_int_equal(network_host_get(&net, "h4", true, &h), 0);
}

static void the_file_reads_as_hosts_do(void **state)
{
	struct network_options o = {.create = true, .subnet = "10.77.0.0/24"};
	char path[NETWORK_PATH_MAX + 8], text[4096];
	struct network_host h;
	FILE *f;

	(void)state;
	assert_int_equal(network_open(&net, "net", &o, NULL), 0);
	assert_int_equal(network_host_get(&net, "web", true, &h), 0);
	snprintf(path, sizeof(path), "%s/hosts", net.dir);
	f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_non_null(strstr(text, "\n10.77.0.2\tweb web.net.berth\n"));
}

static void a_scribbled_record_is_restored(void **state)
{
	struct network_host h;

	(void)state;
	fixture_open("net");
	fixture_host("web");
	map_host(&net, 0)->name[1] = 'x';
	assert_int_equal(network_host_at(&net, 0, &h), 0);
	assert_string_equal(h.name, "web");
}

/* Many, so that they are looked at in several goes. */
static void a_scribbled_record_is_found_by_its_name(void **state)
{
	struct network_host h;
	char name[16];

	(void)state;
	fixture_open("net");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "h%d", i);
		fixture_host(name);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "h%d", i);
		assert_int_equal(network_host_get(&net, name, false, &h), 0);
		assert_int_equal(h.index, i);
	}
	strcpy(map_host(&net, 150)->name, "other");
	assert_int_equal(network_host_get(&net, "other", false, &h), -ENOENT);
	assert_int_equal(network_host_get(&net, "h150", false, &h), 0);
	assert_int_equal(h.index, 150);
	strcpy(map_host(&net, 70)->name, "other");
	map_host(&net, 0)->used = 7;
	assert_int_equal(network_host_get(&net, "h70", false, &h), 0);
	assert_int_equal(h.index, 70);
	assert_int_equal(network_host_get(&net, "h0", true, &h), 0);
	assert_int_equal(h.index, 0);
	assert_int_equal(network_host_get(&net, "h199", false, &h), 0);
	assert_int_equal(network_host_get(&net, "h200", false, &h), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_host_keeps_its_address),
		TEST(names_are_found_as_people_write_them),
		TEST(addresses_lead_to_hosts),
		TEST(a_subnet_runs_out),
		TEST(the_file_reads_as_hosts_do),
		TEST(a_scribbled_record_is_restored),
		TEST(a_scribbled_record_is_found_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
