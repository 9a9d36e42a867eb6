/* tests/unit/test_network_map.c: making, opening, listing, removing, and a file that was tampered with. */
#include "network_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#if defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

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
	char speaks[32];
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
	snprintf(speaks, sizeof(speaks), "speaks %d", NETWORK_FORMAT_VERSION);
	if (!strstr(e.what, "format 7") || !strstr(e.what, speaks))
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

/* Who listened before still does, also when the file was cut to nothing. */
static void a_short_file_forgets_no_listener(void **state)
{
	static const off_t lens[] = {0, 1, 4096, 5000, 600000};

	(void)state;
	open_default();
	fixture_host("web");
	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		uint16_t port = (uint16_t)(80 + i);
		struct port_claim c;
		struct port_ref ref;
		int fd = fixture_listen(0, port, &ref, &c), other = fixture_socket();
		struct port_want w = fixture_want(other, port);

		assert_int_equal(truncate(table_path, lens[i]), 0);
		assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, NULL), -EADDRINUSE);
		close(fd);
		close(other);
	}
}

/* The question that looks as well (network_ask()) says no while the file is cut, and yes again once anybody mended it. */
static void asking_tells_a_cut_file(void **state)
{
	int fd = fixture_socket(), st;
	struct network_host h;
	uint64_t cookie, same;

	(void)state;
	open_default();
	fixture_host("web");
	(void)network_ask(&net, fd, &cookie); /* the first may say no */
	assert_true(cookie != 0 && network_ask(&net, fd, &same) && same == cookie);
	for (int i = 0; i < 3; i++) {
		static const off_t lens[] = {0, 4096, 524288};

		assert_int_equal(truncate(table_path, lens[i]), 0);
		assert_false(network_ask(&net, fd, &same) || network_ask(&net, fd, &same));
		assert_int_equal(same, cookie);
		if (fork() == 0)
			_exit(network_host_by_name(&net, "web", &h) != 0);
		assert_true(wait(&st) > 0 && st == 0);
		(void)network_ask(&net, fd, &same);
		assert_true(network_ask(&net, fd, &same) && same == cookie);
		assert_int_equal(network_host_by_name(&net, "web", &h), 0);
		assert_true(network_ask(&net, fd, &same) && same == cookie);
	}
	assert_false(network_ask(&net, -1, &same) || same);
	close(fd);
}

/* A file that ends in the middle of a page, and may not be made longer. */
static void a_file_that_ends_in_a_page(void **state)
{
	int st;

	(void)state;
	open_default();
	fixture_host("web");
	assert_int_equal(truncate(table_path, (off_t)MAP_LEN_FIRST + 5000), 0);
	if (fork() == 0) {
		struct rlimit most = {MAP_LEN_FIRST + 8192, MAP_LEN_FIRST + 8192};
		struct network_host h;

		setrlimit(RLIMIT_FSIZE, &most);
		st = network_open(&net, "default", &(struct network_options){0}, NULL);
		_exit(st < 0 ? -st : network_host_by_name(&net, "web", &h) != 0);
	}
	assert_true(wait(&st) > 0);
	assert_int_equal(st, 0);
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

/* Bind so many ports from `first`, with one socket for all: what counts is the table. Returns the last answer. */
static int bind_many(uint32_t host, uint16_t first, uint32_t count)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct port_want w = {.family = PORT_FAMILY_4, .addr = PORT_ADDR_ANY4, .port = (uint16_t)(first + i)};
		struct port_ref ref;

		r = network_owner_of(&net, fd, &w.owner);
		if (r == 0)
			r = network_bind(&net, host, PORT_REF_NONE, &w, &ref, NULL);
	}
	close(fd);
	return r;
}

/* In a child; what it returns is its exit status, negative errno as the number. */
static void assert_in_child(int (*f)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int r = f();

		_exit(r < 0 ? -r : r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("killed by signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int shut_out(void)
{
	return geteuid() == 0 ? setuid(65534) : chmod(fixture_dir, 0);
}

static int grow_shut_out(void)
{
	struct stat st;

	if (shut_out() < 0 || stat(net.dir, &st) == 0)
		return EPERM;
	return bind_many(0, 1, 5000);
}

static void a_table_grows_under_one_who_may_not_enter_the_folder(void **state)
{
	(void)state;
	open_default();
	fixture_host("web");
	assert_int_equal(bind_many(0, 60000, 1), 0);
	assert_in_child(grow_shut_out);
	assert_int_equal(chmod(fixture_dir, 0700), 0);
	assert_int_equal(bind_many(0, 50000, 1), 0);
}

static int grow_here(uint32_t claims)
{
	struct network_lock l;
	int r = network_lock(&net, 0, &l);

	if (r == 0) {
		r = host_grow(&net, 0, &l, claims);
		network_unlock(&l);
	}
	return r;
}

static int follow_shut_out(void)
{
	int go[2], gone[2];
	char c = 0;

	if (pipe(go) < 0 || pipe(gone) < 0)
		return errno;
	if (fork() == 0) { /* the grower keeps its rights */
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		_exit(grow_here(1u << 16) == 0 && write(gone[1], &c, 1) == 1 ? 0 : 1);
	}
	if (shut_out() < 0 || write(go[1], &c, 1) != 1)
		return EPERM;
	close(gone[1]);
	if (read(gone[0], &c, 1) != 1)
		return ECHILD;
	return bind_many(0, 1, 10);
}

static void one_who_may_not_enter_follows_a_growth_by_others(void **state)
{
	(void)state;
	open_default();
	fixture_host("web");
	assert_int_equal(bind_many(0, 60000, 1), 0);
	assert_in_child(follow_shut_out);
	assert_int_equal(chmod(fixture_dir, 0700), 0);
	assert_true(map_len(&net) == MAP_VIEW_FIRST);
	assert_int_equal(bind_many(0, 50000, 1), 0);
	assert_true(map_len(&net) > MAP_VIEW_FIRST);
}

static void beyond_its_first_length_the_file_is_made_longer(void **state)
{
	(void)state;
	open_default();
	fixture_host("web");
	assert_int_equal(bind_many(0, 60000, 1), 0);
	assert_int_equal(grow_here(3u << 18), 0); /* more than MAP_LEN_SPARSE at a stroke */
	assert_true(map_len(&net) > MAP_LEN_SPARSE);
	open_default();
	assert_int_equal(bind_many(0, 50000, 1), 0);
}

static int in_little_address_space(void)
{
	struct network_options o = {0};
	struct network_error e = {0};
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages;
	struct rlimit as;
	int r;

	if (!f || fscanf(f, "%lu", &pages) != 1)
		return ENOENT;
	as.rlim_cur = as.rlim_max = pages * PAGE_BYTES + (8 << 20); /* less than a view */
	if (setrlimit(RLIMIT_AS, &as) < 0)
		return errno;
	r = network_open(&net, "default", &o, &e);
	return r < 0 ? r : bind_many(0, 1, 100);
}

static void little_address_space_is_enough(void **state)
{
	(void)state;
	if (SANITIZED)
		return; /* it needs terabytes itself; cmocka 1.1.7 says "not ok" of what is skipped */
	open_default();
	fixture_host("web");
	assert_in_child(in_little_address_space);
}

static int on_a_small_disk(void)
{
	struct network_options o = {.create = true};
	struct network_error e = {0};
	struct network_host h;
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("small", fixture_dir, "tmpfs", 0, "size=4m,mode=0700") < 0)
		return 0; /* not for us to try */
	r = network_open(&net, "default", &o, &e);
	if (r == 0)
		r = network_host_get(&net, "web", true, &h);
	if (r == 0)
		r = bind_many(0, 1, 30000);
	return r == -ENOBUFS ? 0 : r == 0 ? 99 : r;
}

static void a_full_disk_is_an_error_and_not_a_signal(void **state)
{
	(void)state;
	assert_in_child(on_a_small_disk);
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
		TEST(a_short_file_forgets_no_listener),
		TEST(asking_tells_a_cut_file),
		TEST(a_file_that_ends_in_a_page),
		TEST(a_missing_table_is_made_anew),
		TEST(a_damaged_hosts_file_cannot_be_mended),
		TEST(a_table_grows_under_one_who_may_not_enter_the_folder),
		TEST(one_who_may_not_enter_follows_a_growth_by_others),
		TEST(beyond_its_first_length_the_file_is_made_longer),
		TEST(little_address_space_is_enough),
		TEST(a_full_disk_is_an_error_and_not_a_signal),
		TEST(without_descriptors_there_is_an_error_and_then_not),
		TEST(remove_refuses_while_somebody_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
