/* tests/unit/test_host_system.c: settings, counts and namespaces from canned trees; options from our own sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "host/flags.h"
#include "host/netns.h"
#include "host/settings.h"
#include "host_fixture.h"

static const struct host_root root = {.proc = canned_root, .run = canned_root};

/* --- settings --- */

static void settings_are_read(void **state)
{
	struct host_settings s;

	(void)state;
	canned_file("sys/net/ipv4/ip_local_port_range", "10000\t20000\n");
	canned_file("sys/net/ipv4/ip_unprivileged_port_start", "80\n");
	canned_file("sys/net/ipv4/ip_local_reserved_ports", "8080,9000-9002\n");
	canned_file("sys/net/ipv4/tcp_tw_reuse", "2\n");
	canned_file("sys/net/core/somaxconn", "4096\n");
	canned_file("sys/net/ipv6/bindv6only", "0\n");
	canned_file("sys/net/ipv4/tcp_fin_timeout", "words\n");
	canned_file("sys/fs/nr_open", "1048576\n");
	host_settings_read(&root, &s);
	assert_true(s.has_range && s.has_unprivileged);
	assert_int_equal(s.ports.range.first, 10000);
	assert_int_equal(s.ports.range.last, 20000);
	assert_int_equal(s.ports.unprivileged_start, 80);
	assert_int_equal(s.n_reserved, 4);
	assert_true(host_settings_is_reserved(&s, 8080));
	assert_true(host_settings_is_reserved(&s, 9002));
	assert_false(host_settings_is_reserved(&s, 9003));
	assert_int_equal(s.tw_reuse, 2);
	assert_int_equal(s.somaxconn, 4096);
	assert_int_equal(s.bindv6only, 0);
	assert_int_equal(s.fin_timeout_s, HOST_UNSET);
	assert_int_equal(s.max_orphans, HOST_UNSET);
	assert_int_equal(s.nr_open, 1048576);
	assert_false(s.is_reserved_cut);
}

static void what_cannot_be_read_is_the_kernels_default(void **state)
{
	struct host_settings s;

	(void)state;
	canned_file("sys/net/ipv4/ip_local_port_range", "20000 10000\n"); /* no kernel says so */
	host_settings_read(&root, &s);
	assert_false(s.has_range || s.has_unprivileged);
	assert_int_equal(s.ports.range.first, 32768);
	assert_int_equal(s.ports.range.last, 60999);
	assert_int_equal(s.ports.unprivileged_start, 1024);
	assert_int_equal(s.n_reserved, 0);
	assert_int_equal(s.autobind_reuse, HOST_UNSET);
}

static const struct reserved_case {
	const char *text;
	int want, n;
} reserved[] = {
	{"", 0, 0},
	{"\n", 0, 0},
	{"1\n", 0, 1},
	{"1,3-5\n", 0, 4},
	{"0-65535", 0, 65536},
	{"65536", -EINVAL, 0},
	{"5-4", -EINVAL, 0},
	{"1,x", -EINVAL, 1},
	{"-5", -EINVAL, 0},
	{"1-", -EINVAL, 0},
	{"1-99999", -EINVAL, 0},
	{"7 8", 0, 2},
	{"1,-3", -EINVAL, 1},
	{"1--3", -EINVAL, 0},
};

static void reserved_ports_are_a_bitmap(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(reserved); i++) {
		uint64_t bits[1024] = {0};
		int n = 0;

		print_message("# '%s'\n", reserved[i].text);
		assert_int_equal(host_reserved_parse(reserved[i].text, bits), reserved[i].want);
		for (size_t k = 0; k < 1024; k++)
			n += __builtin_popcountll(bits[k]);
		assert_int_equal(n, reserved[i].n);
	}
}

static void counts_are_read(void **state)
{
	struct host_counts c;

	(void)state;
	canned_file("net/sockstat",
		    "sockets: used 19\nTCP: inuse 2 orphan 3 tw 4 alloc 308 mem 382\nUDP: inuse 1 mem 206\n"
		    "UDPLITE: inuse 9\nRAW: inuse 5\nFRAG: inuse 0 memory 0\n");
	canned_file("net/sockstat6", "TCP6: inuse 7\nUDP6: inuse 8\n");
	host_counts_read(&root, &c);
	assert_int_equal(c.tcp_in_use, 2);
	assert_int_equal(c.tcp_orphans, 3);
	assert_int_equal(c.tcp_time_wait, 4);
	assert_int_equal(c.tcp_allocated, 308);
	assert_int_equal(c.tcp_memory_pages, 382);
	assert_int_equal(c.udp_in_use, 1);
	assert_int_equal(c.udp_memory_pages, 206);
	assert_int_equal(c.raw_in_use, 5);
	assert_int_equal(c.tcp6_in_use, 7);
	assert_int_equal(c.udp6_in_use, 8);
	assert_int_equal(c.raw6_in_use, HOST_UNSET);
}

/* --- namespaces --- */

static void namespaces_are_listed_once(void **state)
{
	struct host_netns_list l;
	struct stat st;
	char full[128];

	(void)state;
	canned_link("self/ns/net", "net:[700]");
	canned_link("30/ns/net", "net:[500]");
	canned_link("9/ns/net", "net:[500]");
	canned_link("10/ns/net", "net:[700]");
	canned_link("11/ns/net", "mnt:[800]");
	canned_file("12/comm", "no namespace is told");
	canned_file("netns/blue", "");
	canned_file("docker/netns/abc", "");
	assert_int_equal(host_netns_read(&root, &l), 0);
	assert_int_equal(l.n, 4);
	assert_true(l.ns[0].is_ours);
	assert_int_equal(l.ns[0].inode, 700);
	assert_int_equal(l.ns[0].n_processes, 1);
	assert_int_equal(l.ns[1].inode, 500);
	assert_int_equal(l.ns[1].pid, 9);
	assert_int_equal(l.ns[1].n_processes, 2);
	assert_false(l.ns[1].is_ours);
	/* names without a process */
	snprintf(full, sizeof(full), "%s/netns/blue", canned_root);
	assert_int_equal(stat(full, &st), 0);
	for (size_t i = 2; i < 4; i++) {
		bool blue = l.ns[i].inode == st.st_ino;

		assert_string_equal(l.ns[i].name, blue ? "blue" : "abc");
		assert_int_equal(l.ns[i].is_docker, !blue);
		assert_int_equal(l.ns[i].pid, 0);
	}
	host_netns_free(&l);
}

static int never(void *ctx)
{
	(void)ctx;
	fail();
	return 0;
}

static void a_namespace_that_is_gone(void **state)
{
	struct host_netns ns = {.inode = 1, .pid = 0x7ffffff};

	(void)state;
	assert_int_equal(host_netns_do(NULL, &ns, never, NULL), -ESRCH);
	assert_int_equal(host_netns_open_diag(NULL, &ns), -ESRCH);
	ns.pid = getpid(); /* the process has moved on */
	assert_int_equal(host_netns_do(NULL, &ns, never, NULL), -ESRCH);
	ns = (struct host_netns){.inode = 1, .name = "no-such-name"};
	assert_int_equal(host_netns_do(NULL, &ns, never, NULL), -ESRCH);
}

/* --- options --- */

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void options_are_asked_of_the_socket(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), one = 1, r;
	struct host_flags f;

	(void)state;
	assert_true(fd >= 0 && udp >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(setsockopt(udp, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	r = host_flags_read(getpid(), fd, inode_of(fd), &f);
	if (r == -ENOSYS || r == -EPERM)
		skip(); /* an old kernel, or a container's filter */
	assert_int_equal(r, 0);
	assert_true(f.reuseaddr && f.v6only && f.listens && f.nodelay);
	assert_false(f.reuseport || f.freebind || f.transparent || f.keepalive);
	assert_int_equal(host_flags_read(getpid(), udp, inode_of(udp), &f), 0);
	assert_true(f.reuseport);
	assert_false(f.reuseaddr || f.v6only || f.listens || f.nodelay);
	assert_int_equal(f.defer_accept_s, 0);
	/* the number leads elsewhere by now */
	assert_int_equal(host_flags_read(getpid(), udp, inode_of(fd), &f), -ESRCH);
	assert_int_equal(host_flags_read(getpid(), 1000, 1, &f), -ESRCH);
	assert_int_equal(host_flags_read(0x7ffffff, 3, 1, &f), -ESRCH);
	close(fd);
	close(udp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(settings_are_read, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_the_kernels_default, canned_begin, canned_end),
		cmocka_unit_test(reserved_ports_are_a_bitmap),
		cmocka_unit_test_setup_teardown(counts_are_read, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(namespaces_are_listed_once, canned_begin, canned_end),
		cmocka_unit_test(a_namespace_that_is_gone),
		cmocka_unit_test(options_are_asked_of_the_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
