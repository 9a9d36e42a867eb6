/* tests/unit/test_network_map.c: making, opening, listing, removing, and a file that was tampered with. */
#include "network_fixture.h"

#include <sys/resource.h>

static char table_path[NETWORK_PATH_MAX + 8];

static void open_default(void)
{
	fixture_open("default");
	snprintf(table_path, sizeof(table_path), "%s/table", net.dir);
}

static void poke(size_t at, const void *octets, size_t len)
{
	int fd = open(table_path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets, len, (off_t)at), len);
	close(fd);
}

static void a_network_is_made_once_and_found_again(void **state)
{
	struct network_options o = {0};
	struct network_error e = {0};
	struct network_info a, b;
	char names[4][NETWORK_NAME_MAX];

	(void)state;
	assert_int_equal(network_open(&net, "default", &o, &e), -ENOENT);
	assert_int_equal(network_list(names, 4, &e), 0);
	open_default();
	network_get_info(&net, &a);
	open_default();
	network_get_info(&net, &b);
	assert_memory_equal(&a.net6, &b.net6, sizeof(a.net6));
	assert_int_equal(a.prefix4_bits, 116);
	assert_int_equal(a.net6.b[0], 0xfd);
	assert_true(a.created_unix_s > 1600000000);
	assert_int_equal(network_list(names, 4, &e), 1);
	assert_string_equal(names[0], "default");
}

static const struct {
	const char *subnet;
	int err;
} subnets[] = {
	{"10.77.0.0/24", 0},	    {"192.168.9.0/30", 0},     {"10.0.0.0/8", 0},	{"10.77.0.1/24", -EINVAL},
	{"10.77.0.0", -EINVAL},	    {"10.77.0.0/31", -EINVAL}, {"10.77.0.0/", -EINVAL}, {"127.0.0.0/24", -EINVAL},
	{"224.0.0.0/24", -EINVAL},  {"fd00::/64", -EINVAL},    {"x/24", -EINVAL},	{"10.77.0.0/24x", -EINVAL},
	{"10.77.0.0/200", -EINVAL},
};

static void a_subnet_may_be_given(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(subnets); i++) {
		struct network_options o = {.create = true, .subnet = subnets[i].subnet};
		struct network_error e = {0};
		char name[16];

		snprintf(name, sizeof(name), "n%zu", i);
		if (network_open(&net, name, &o, &e) != subnets[i].err)
			fail_msg("%s: %s", subnets[i].subnet, e.what);
	}
}

static void another_version_is_refused_by_name(void **state)
{
	struct network_error e = {0};
	struct map_fixed f;
	int fd;

	(void)state;
	open_default();
	fd = open(table_path, O_RDONLY);
	assert_int_equal(pread(fd, &f, sizeof(f), 0), sizeof(f));
	close(fd);
	f.version = 7;
	f.sum = map_fixed_sum(&f);
	poke(0, &f, sizeof(f));
	assert_int_equal(network_open_dir(&net, "/nonexistent/x", &e), -ENOENT);
	assert_int_equal(network_open(&net, "default", &(struct network_options){0}, &e), -EPROTO);
	if (!strstr(e.what, "format 7") || !strstr(e.what, "speaks 1"))
		fail_msg("%s", e.what);
}

static void garbage_in_the_header_is_mended(void **state)
{
	uint8_t rubbish[200];
	struct network_host h;

	(void)state;
	open_default();
	fixture_host("web");
	memset(rubbish, 0xa5, sizeof(rubbish));
	poke(0, rubbish, sizeof(rubbish));
	assert_int_equal(network_host_by_name(&net, "web", &h), 0); /* one who has it open */
	poke(0, rubbish, sizeof(rubbish));
	open_default(); /* one who opens it */
	assert_int_equal(network_host_by_name(&net, "web", &h), 0);
	assert_int_equal(h.index, 0);
}

static void a_short_file_is_made_whole(void **state)
{
	static const off_t lens[] = {0, 1, 100, 4096, 5000, 600000};

	(void)state;
	open_default();
	fixture_host("web");
	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		struct port_ref ref;
		int fd = fixture_socket();
		struct port_want w = fixture_want(fd, 80);

		assert_int_equal(truncate(table_path, lens[i]), 0);
		assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, NULL), 0);
		assert_int_equal(truncate(table_path, lens[i]), 0);
		open_default();
		assert_int_equal(network_n_hosts(&net), 1);
		close(fd);
	}
}

static void a_missing_table_is_made_anew(void **state)
{
	struct network_host h;

	(void)state;
	open_default();
	fixture_host("web");
	assert_int_equal(unlink(table_path), 0);
	open_default();
	assert_int_equal(network_host_by_name(&net, "web", &h), 0);
}

static void a_damaged_hosts_file_cannot_be_mended(void **state)
{
	struct network_error e = {0};
	char path[NETWORK_PATH_MAX + 8];

	(void)state;
	open_default();
	snprintf(path, sizeof(path), "%s/hosts", net.dir);
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(unlink(table_path), 0);
	assert_int_equal(network_open(&net, "default", &(struct network_options){0}, &e), -EUCLEAN);
	assert_non_null(strstr(e.what, "damaged"));
}

static void without_descriptors_there_is_an_error_and_then_not(void **state)
{
	struct network_error e = {0};
	struct rlimit old, none;

	(void)state;
	open_default();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int r = network_open(&net, "default", &(struct network_options){0}, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, -EMFILE);
	assert_non_null(strstr(e.what, "no descriptors left"));
	open_default();
}

static void remove_refuses_while_somebody_lives(void **state)
{
	struct network_error e = {0};
	struct port_claim c;
	struct port_ref ref;
	struct stat st;
	int fd;

	(void)state;
	open_default();
	fixture_host("web");
	fd = fixture_listen(0, 80, &ref, &c);
	assert_int_equal(network_remove("default", false, &e), -EBUSY);
	close(fd);
	assert_int_equal(network_remove("default", false, &e), 0);
	assert_int_equal(stat(net.dir, &st), -1);
	assert_int_equal(network_remove("default", false, &e), -ENOENT);
	open_default();
	fixture_host("web");
	fd = fixture_listen(0, 80, &ref, &c);
	assert_int_equal(network_remove("default", true, &e), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_network_is_made_once_and_found_again),
		TEST(a_subnet_may_be_given),
		TEST(another_version_is_refused_by_name),
		TEST(garbage_in_the_header_is_mended),
		TEST(a_short_file_is_made_whole),
		TEST(a_missing_table_is_made_anew),
		TEST(a_damaged_hosts_file_cannot_be_mended),
		TEST(without_descriptors_there_is_an_error_and_then_not),
		TEST(remove_refuses_while_somebody_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
