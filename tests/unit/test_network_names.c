/* tests/unit/test_network_names.c: listener paths and flow names say what they mean, and nothing else does. */
#include "base/rng.h"
#include "network_fixture.h"

#define SEED UINT64_C(0x9a3e)

static struct port_addr random_addr(struct rng *r)
{
	struct port_addr a = {.scope = 0};

	if (rng_u64(r) & 1)
		return port_addr_v4((uint8_t)rng_u64(r), (uint8_t)rng_u64(r), 0, (uint8_t)rng_u64(r));
	for (int i = 0; i < 16; i++)
		a.b[i] = (uint8_t)rng_u64(r);
	return a;
}

static void paths_come_back(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, SEED);
	for (int i = 0; i < 20000; i++) {
		struct port_claim c = {.addr = random_addr(&r),
				       .port = (uint16_t)rng_u64(&r),
				       .uid = (uint32_t)rng_u64(&r),
				       .dev = (uint32_t)rng_range(&r, 0, 9)},
				  got;
		struct port_ref ref = {(uint32_t)rng_u64(&r), (uint32_t)rng_u64(&r)}, got_ref;
		uint32_t host = (uint32_t)rng_range(&r, 0, NETWORK_HOSTS_MAX - 1), got_host;
		char leaf[PATH_LEAF_MAX];

		c.family = rng_u64(&r) & 1 ? PORT_FAMILY_6 : PORT_FAMILY_4;
		c.flags = c.family == PORT_FAMILY_6 && rng_u64(&r) & 1 ? PORT_V6ONLY : 0;
		path_leaf(&net, host, ref, &c, leaf);
		assert_true(path_leaf_parse(&net, leaf, &got_host, &got_ref, &got));
		assert_true(got_host == host && got_ref.slot == ref.slot && got_ref.generation == ref.generation);
		assert_true(port_addr_equal(&got.addr, &c.addr) && got.port == c.port && got.uid == c.uid &&
			    got.dev == c.dev && got.family == c.family && got.flags == c.flags);
		leaf[rng_range(&r, 0, strlen(leaf) - 1)] = (char)rng_u64(&r);
		(void)path_leaf_parse(&net, leaf, &got_host, &got_ref, &got); /* says yes or no, and reads no further */
	}
}

static const char *const not_leaves[] = {"",
					 "-",
					 "x",
					 "1",
					 "1-2-3",
					 "1-2-3-t4-7f000001-50-0",
					 "1-2-3-t4-7f0000-50-0-0",
					 "1-2-3-t4-7f000001-10000-0-0",
					 "1000-2-3-t4-7f000001-50-0-0",
					 "1-2-3-t5-7f000001-50-0-0",
					 "1-2-3-t4-7f000001-50-0-0x",
					 "1-2-3-t4-7f000001-50-0-123456789"};

static void other_files_are_not_ours(void **state)
{
	struct port_claim c;
	struct port_ref ref;
	uint32_t host;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(not_leaves); i++) {
		char leaf[PATH_LEAF_MAX];

		snprintf(leaf, sizeof(leaf), "%s-%08x", not_leaves[i], path_tag(&net));
		if (path_leaf_parse(&net, leaf, &host, &ref, &c))
			fail_msg("'%s'", leaf);
	}
}

static void a_path_of_an_earlier_network_of_the_name_is_not_ours(void **state)
{
	struct network before;
	struct port_claim c = {.family = PORT_FAMILY_4, .addr = PORT_ADDR_LOOP4, .port = 80}, got;
	struct port_ref ref = {1, 1};
	char leaf[PATH_LEAF_MAX], theirs[PATH_LEAF_MAX];
	uint32_t host;

	(void)state;
	before = net;
	before.key[3] ^= 1;
	path_leaf(&before, 0, ref, &c, theirs);
	path_leaf(&net, 0, ref, &c, leaf);
	assert_string_not_equal(leaf, theirs);
	assert_true(path_leaf_parse(&net, leaf, &host, &ref, &got));
	assert_false(path_leaf_parse(&net, theirs, &host, &ref, &got));
}

static void flow_names_come_back(void **state)
{
	struct network other;
	struct rng r;

	(void)state;
	fixture_open("a");
	other = net;
	other.key[3] ^= 1;
	rng_init(&r, SEED);
	for (int i = 0; i < 20000; i++) {
		struct network_name m = {.tuple = {.proto = PORT_TCP,
						   .local = random_addr(&r),
						   .remote = random_addr(&r),
						   .local_port = (uint16_t)rng_u64(&r),
						   .remote_port = (uint16_t)rng_u64(&r)},
					 .client_host =
						 (uint32_t)rng_range(&r, 0, NETWORK_HOSTS_MAX), /* the last: none */
					 .server_host = (uint32_t)rng_range(&r, 0, 4095),
					 .client_slot = (uint32_t)rng_u64(&r),
					 .client_family = PORT_FAMILY_4,
					 .server_family = PORT_FAMILY_6};
		struct network_name got;
		uint8_t name[NETWORK_NAME_OCTETS];
		size_t len = network_name_encode(&net, &m, name);

		assert_true(len > 8 && len <= NETWORK_NAME_OCTETS && name[0] == 0);
		assert_int_equal(network_name_decode(&net, name, len, &got), 0);
		assert_true(port_addr_equal(&got.tuple.local, &m.tuple.local) &&
			    port_addr_equal(&got.tuple.remote, &m.tuple.remote));
		assert_true(got.tuple.local_port == m.tuple.local_port &&
			    got.tuple.remote_port == m.tuple.remote_port && got.client_host == m.client_host &&
			    got.server_host == m.server_host && got.client_slot == m.client_slot &&
			    got.client_family == 4 && got.server_family == 6);
		assert_int_equal(network_name_decode(&other, name, len, &got), -ENOENT);
		assert_int_equal(network_name_decode(&net, name, len - 1, &got), -ENOENT);
		assert_int_equal(network_name_decode(&net, name, rng_range(&r, 0, len - 1), &got), -ENOENT);
	}
}

static void a_publishers_name_is_no_flows(void **state)
{
	struct network_name flow;
	struct network other;
	struct rng r;

	(void)state;
	fixture_open("a");
	other = net;
	other.key[3] ^= 1;
	rng_init(&r, SEED);
	for (int i = 0; i < 2000; i++) {
		struct port_tuple t = {.proto = PORT_TCP,
				       .local = random_addr(&r),
				       .remote = random_addr(&r),
				       .local_port = (uint16_t)rng_u64(&r),
				       .remote_port = (uint16_t)rng_u64(&r)},
				  got;
		uint8_t name[NETWORK_NAME_OCTETS];
		size_t len = network_name_published(&net, &t, name);

		assert_true(len > 8 && len <= NETWORK_NAME_OCTETS && name[0] == 0);
		assert_int_equal(network_name_is_published(&net, name, len, &got), 0);
		assert_true(port_addr_equal(&got.local, &t.local) && port_addr_equal(&got.remote, &t.remote) &&
			    got.local_port == t.local_port && got.remote_port == t.remote_port);
		assert_int_equal(network_name_decode(&net, name, len, &flow), -ENOENT);
		assert_int_equal(network_name_is_published(&other, name, len, &got), -ENOENT);
		assert_int_equal(network_name_is_published(&net, name, len - 1, &got), -ENOENT);
	}
}

static void a_deep_directory_is_reached_all_the_same(void **state)
{
	char deep[400];
	struct port_claim c;
	struct port_ref ref;
	int fd, client;

	(void)state;
	strcpy(deep, fixture_dir);
	for (int i = 0; i < 4; i++) {
		strcat(deep, "/a-directory-with-quite-a-long-name-in-the-way");
		assert_int_equal(mkdir(deep, 0700), 0);
	}
	setenv("BERTH_DIR", deep, 1);
	fixture_open("net");
	fixture_host("a");
	fd = fixture_listen(0, 80, &ref, &c);
	client = fixture_socket();
	assert_int_equal(network_path_connect(&net, client, 0, ref, &c), 0);
	assert_int_equal(path_probe(&net, 0, ref, &c), 1);
	close(client);
	close(fd);
	assert_int_equal(path_probe(&net, 0, ref, &c), 0);
	network_path_unlink(&net, 0, ref, &c);
	assert_int_equal(path_probe(&net, 0, ref, &c), -ENOENT); /* no proof of death: it may be us who cannot see it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_come_back),
		TEST(other_files_are_not_ours),
		TEST(a_path_of_an_earlier_network_of_the_name_is_not_ours),
		TEST(flow_names_come_back),
		TEST(a_publishers_name_is_no_flows),
		TEST(a_deep_directory_is_reached_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
