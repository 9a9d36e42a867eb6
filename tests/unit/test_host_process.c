/* tests/unit/test_host_process.c: processes and their sockets, from canned /proc trees and from our own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/owners.h"
#include "host/process.h"
#include "host_fixture.h"

static const struct host_root root = {.proc = canned_root};

#define STAT(pid, comm, ppid, flags) \
	pid " (" comm ") S " ppid " 1 1 0 -1 " flags " 0 0 0 0 0 0 0 0 20 0 1 0 5000 0 0 18446744073709551615\n"

static void a_process(const char *pid, const char *stat)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/stat", pid);
	canned_file(path, stat);
	snprintf(path, sizeof(path), "%s/status", pid);
	canned_file(path, "Name:\tx\nUmask:\t0022\nUid:\t1000\t1001\t1000\t1000\nGid:\t1\t1\t1\t1\n");
}

static void all_is_read(void **state)
{
	struct host_process p;
	char s[64];

	(void)state;
	a_process("10", STAT("10", "a) S 7 (b", "4", "4194304"));
	canned_octets("10/cmdline", "python3\0-m\0http.server\0", 23);
	canned_link("10/cwd", "/home/x (deleted)");
	canned_link("10/exe", "/usr/bin/python3");
	canned_link("10/ns/net", "net:[4026531840]");
	assert_int_equal(host_process_read(&root, 10, &p), 0);
	assert_string_equal(p.comm, "a) S 7 (b");
	assert_int_equal(p.ppid, 4);
	assert_int_equal(p.uid, 1000);
	assert_int_equal(p.euid, 1001);
	assert_int_equal(p.start_ticks, 5000);
	assert_int_equal(p.n_arguments, 3);
	assert_string_equal(p.command, "python3");
	assert_string_equal(host_process_command(&p, s, sizeof(s)), "python3 -m http.server");
	assert_string_equal(host_process_command(&p, s, 12), "python3 ...");
	assert_string_equal(p.cwd, "/home/x");
	assert_true(p.is_cwd_deleted);
	assert_string_equal(p.exe, "/usr/bin/python3");
	assert_false(p.is_exe_deleted);
	assert_int_equal(p.netns, UINT64_C(4026531840));
	assert_false(p.is_kernel_thread);
	assert_false(p.is_command_cut);
}

static void a_long_command_is_cut(void **state)
{
	static char text[10000];
	struct host_process p;
	char s[2048];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	a_process("11", STAT("11", "x", "1", "0"));
	canned_octets("11/cmdline", text, sizeof(text));
	assert_int_equal(host_process_read(&root, 11, &p), 0);
	assert_true(p.is_command_cut);
	assert_int_equal(p.command[sizeof(p.command) - 1], '\0');
	host_process_command(&p, s, 100);
	assert_int_equal(strlen(s), 99);
	assert_string_equal(s + 96, "...");
}

static void names_are_read_once(void **state)
{
	struct host_names k = {0};
	const struct host_name *n;
	char path[32], text[400];

	(void)state;
	for (int i = 1; i <= 300; i++) {
		snprintf(path, sizeof(path), "%d/comm", i * 64);
		snprintf(text, sizeof(text), "p%d\n", i);
		canned_file(path, text);
	}
	memset(text, 'y', sizeof(text));
	canned_octets("64/cmdline", text, sizeof(text));
	canned_octets("128/cmdline", "a\0b c\0", 6);
	for (int round = 0; round < 2; round++) {
		for (int i = 1; i <= 300; i++) {
			n = host_names_get(&k, &root, i * 64);
			assert_non_null(n);
			snprintf(text, sizeof(text), "p%d", i);
			assert_string_equal(n->comm, text);
			assert_int_equal(n->pid, i * 64);
		}
		canned_file("192/comm", "another\n"); /* is not looked at again */
	}
	assert_int_equal(k.n, 300);
	n = host_names_get(&k, &root, 64);
	assert_int_equal(strlen(n->command), sizeof(n->command) - 1);
	assert_string_equal(n->command + sizeof(n->command) - 4, "...");
	assert_string_equal(host_names_get(&k, &root, 128)->command, "a b c");
	assert_string_equal(host_names_get(&k, &root, 5)->comm, ""); /* ended */
	host_names_free(&k);
}

static void a_kernel_thread_has_no_command(void **state)
{
	struct host_process p;
	char s[8];

	(void)state;
	a_process("12", STAT("12", "nfsd", "2", "2129984"));
	canned_file("12/cmdline", "");
	assert_int_equal(host_process_read(&root, 12, &p), 0);
	assert_true(p.is_kernel_thread);
	assert_int_equal(p.n_arguments, 0);
	assert_string_equal(host_process_command(&p, s, sizeof(s)), "");
	assert_string_equal(p.exe, "");
}

static void who_is_gone_is_gone(void **state)
{
	struct host_process p;

	(void)state;
	assert_int_equal(host_process_read(&root, 13, &p), -ESRCH);
	canned_file("13/stat", ""); /* as the kernel answers when it ended just now */
	assert_int_equal(host_process_read(&root, 13, &p), -ESRCH);
	canned_file("13/stat", "13 (x");
	assert_int_equal(host_process_read(&root, 13, &p), -ESRCH);
	canned_file("13/stat", STAT("13", "x", "1", "0"));
	assert_int_equal(host_process_read(&root, 13, &p), -ESRCH); /* no status */
}

static void parents_are_a_chain(void **state)
{
	struct host_parent chain[HOST_PARENTS_MAX];

	(void)state;
	a_process("40", STAT("40", "server", "30", "0"));
	a_process("30", STAT("30", "bash", "20", "0"));
	a_process("20", STAT("20", "sshd", "1", "0"));
	a_process("1", STAT("1", "systemd", "0", "0"));
	assert_int_equal(host_process_parents(&root, 40, chain), 3);
	assert_int_equal(chain[0].pid, 30);
	assert_string_equal(chain[0].comm, "bash");
	assert_int_equal(chain[2].pid, 1);
	assert_string_equal(chain[2].comm, "systemd");
	assert_int_equal(chain[2].uid, 1000);
	assert_int_equal(host_process_parents(&root, 1, chain), 0);
	assert_int_equal(host_process_parents(&root, 77, chain), 0);
	/* files that tell of a ring */
	a_process("1", STAT("1", "ring", "40", "0"));
	assert_int_equal(host_process_parents(&root, 40, chain), HOST_PARENTS_MAX);
}

static void ourselves(void **state)
{
	struct host_process p;
	char cwd[512];

	(void)state;
	assert_int_equal(host_process_read(NULL, getpid(), &p), 0);
	assert_int_equal(p.ppid, getppid());
	assert_int_equal(p.uid, getuid());
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_string_equal(p.cwd, cwd);
	assert_non_null(strstr(p.exe, "test_host_process"));
	assert_true(p.netns > 0);
	assert_true(p.age_us < UINT64_C(3600) * 1000000);
}

/* --- whose is a socket --- */

static void canned_sockets(void **state)
{
	struct host_owners o;
	const struct host_owner *r;
	size_t n;

	(void)state;
	canned_link("100/fd/0", "/dev/null");
	canned_link("100/fd/9", "socket:[500]");
	canned_link("100/fd/3", "socket:[500]");
	canned_link("100/fd/4", "pipe:[501]");
	canned_link("200/fd/7", "socket:[500]");
	canned_link("200/fd/8", "socket:[18446744073709551615]");
	canned_link("200/fd/x", "socket:[600]");
	canned_link("200/fd/12", "socket:[");
	canned_link("self/fd/3", "socket:[700]");
	canned_file("300/comm", "no folder of descriptors: it ended");
	host_owners_read(&root, &o);
	assert_int_equal(o.n, 3);
	assert_int_equal(o.n_processes, 3);
	assert_int_equal(o.n_denied, 0);
	assert_int_equal(o.unseen, 0);
	r = host_owners_find(&o, 500, &n);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].pid, 100);
	assert_int_equal(r[0].fd, 3);
	assert_int_equal(r[1].pid, 200);
	assert_int_equal(r[1].fd, 7);
	(void)host_owners_find(&o, UINT64_MAX, &n);
	assert_int_equal(n, 1);
	(void)host_owners_find(&o, 700, &n);
	assert_int_equal(n, 0);
	host_owners_free(&o);
}

static void no_proc_is_told(void **state)
{
	static const struct host_root nowhere = {.proc = "/nonexistent"};
	struct host_owners o;

	(void)state;
	host_owners_read(&nowhere, &o);
	assert_int_equal(o.n, 0);
	assert_int_equal(o.unseen, HOST_UNSEEN_NO_PROC);
	host_owners_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_is_read, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(a_long_command_is_cut, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(names_are_read_once, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(a_kernel_thread_has_no_command, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(who_is_gone_is_gone, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(parents_are_a_chain, canned_begin, canned_end),
		cmocka_unit_test(ourselves),
		cmocka_unit_test_setup_teardown(canned_sockets, canned_begin, canned_end),
		cmocka_unit_test(no_proc_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
