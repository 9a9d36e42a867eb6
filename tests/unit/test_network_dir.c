/* tests/unit/test_network_dir.c: where networks live, and which places are refused. */
#include "network_fixture.h"

static const struct {
	const char *name;
	bool ok;
} names[] = {
	{"default", true},
	{"a", true},
	{"A-1", true},
	{"0", true},
	{"", false},
	{"-a", false},
	{"a-", false},
	{"a.b", false},
	{"a/b", false},
	{"..", false},
	{"a b", false},
	{"a23456789012345678901234567890123456789012345678901234567890123", true},
	{"a234567890123456789012345678901234567890123456789012345678901234", false},
};

static void a_name_is_a_label(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (network_name_ok(names[i].name) != names[i].ok)
			fail_msg("'%s'", names[i].name);
	assert_false(network_name_ok(NULL));
}

static void refused(int err, const char *says)
{
	char got[NETWORK_PATH_MAX];
	struct network_error e = {0};

	assert_int_equal(network_base_dir(false, got, &e), err);
	assert_int_equal(e.err, err);
	if (!strstr(e.what, says) || strchr(e.what, '\n'))
		fail_msg("'%s' does not say '%s'", e.what, says);
}

static void a_directory_is_made_closed(void **state)
{
	char path[128], got[NETWORK_PATH_MAX];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/new", fixture_dir);
	setenv("BERTH_DIR", path, 1);
	refused(-ENOENT, "does not exist");
	umask(0);
	assert_int_equal(network_base_dir(true, got, NULL), 0);
	assert_string_equal(got, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void one_open_to_others_is_refused(void **state)
{
	(void)state;
	assert_int_equal(chmod(fixture_dir, 0710), 0);
	refused(-EACCES, "only you can enter");
	assert_int_equal(chmod(fixture_dir, 0700), 0);
}

static void a_symbolic_link_is_refused(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/link", fixture_dir);
	assert_int_equal(symlink("/tmp", path), 0);
	setenv("BERTH_DIR", path, 1);
	refused(-ELOOP, "symbolic link");
	strcat(path, "/"); /* a final slash would follow it */
	setenv("BERTH_DIR", path, 1);
	refused(-ELOOP, "symbolic link");
}

static void a_file_is_refused(void **state)
{
	char path[128];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", fixture_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	setenv("BERTH_DIR", path, 1);
	refused(-ENOTDIR, "not a directory");
}

static void another_users_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can make one */
	assert_int_equal(chown(fixture_dir, 12345, 12345), 0);
	refused(-EPERM, "belongs to user 12345, not to you (user 0)");
	assert_int_equal(chown(fixture_dir, 0, 0), 0);
}

static void the_networks_own_directory_is_checked_too(void **state)
{
	struct network_error e = {0};
	struct network_options o = {0};
	char path[NETWORK_PATH_MAX];

	(void)state;
	fixture_open("a");
	memcpy(path, net.dir, sizeof(path));
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(network_open(&net, "a", &o, &e), -EACCES);
	assert_int_equal(network_open_dir(&net, path, &e), -EACCES);
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(chmod(fixture_dir, 0755), 0);
	assert_int_equal(network_open_dir(&net, path, &e), -EACCES);
	assert_int_equal(chmod(fixture_dir, 0700), 0);
	assert_int_equal(network_open_dir(&net, path, &e), 0);
	assert_int_equal(network_open_dir(&net, "relative", &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_is_a_label),
		TEST(a_directory_is_made_closed),
		TEST(one_open_to_others_is_refused),
		TEST(a_symbolic_link_is_refused),
		TEST(a_file_is_refused),
		TEST(another_users_is_refused),
		TEST(the_networks_own_directory_is_checked_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
