/* tests/unit/test_host/owners.c: which processes have a socket open, by everything and by number. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/owners.h"

#define CROWD 400 /* so many that threads share them */

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static struct port_claim claim_of(int fd, pid_t pid)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (struct port_claim){.owner = {.inode = st.st_ino, .pid = pid}};
}

/* What a child does to the socket before it waits to be killed. */
enum act { KEEP, MOVE, COPY, REPLACE };

static pid_t start(int fd, enum act act)
{
	int up[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(up), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (act == MOVE || act == COPY)
			dup2(fd, 500);
		if (act == MOVE)
			close(fd);
		if (act == REPLACE)
			dup2(socket(AF_UNIX, SOCK_STREAM, 0), fd);
		(void)!write(up[1], "r", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	close(up[0]);
	close(up[1]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool has(const struct host_owners *s, uint64_t inode, pid_t pid)
{
	size_t n, found = 0;
	const struct host_owner *rows = host_owners_find(s, inode, &n);

	for (size_t i = 0; i < n; i++)
		found += rows[i].pid == pid;
	assert_true(found <= 1);
	return found == 1;
}

static size_t count(const struct host_owners *s, uint64_t inode)
{
	size_t n;

	(void)host_owners_find(s, inode, &n);
	return n;
}

static void everything_sees_every_copy(void **state)
{
	int fd = new_socket();
	struct port_claim c = claim_of(fd, getpid());
	pid_t kept = start(fd, KEEP), moved = start(fd, MOVE), copied = start(fd, COPY), other = start(fd, REPLACE);
	struct host_owners s;

	(void)state;
	host_owners_read(NULL, &s);
	assert_int_equal(count(&s, c.owner.inode), 4);
	assert_true(has(&s, c.owner.inode, getpid()));
	assert_true(has(&s, c.owner.inode, kept));
	assert_true(has(&s, c.owner.inode, moved));
	assert_true(has(&s, c.owner.inode, copied)); /* once, although it has two */
	assert_false(has(&s, c.owner.inode, other));
	assert_int_equal(count(&s, c.owner.inode + (1u << 30)), 0);
	host_owners_free(&s);
	stop(kept);
	stop(moved);
	stop(copied);
	stop(other);
	close(fd);
}

static void by_number(bool kcmp)
{
	int fd = new_socket(), second = new_socket();
	struct port_claim c = claim_of(fd, getpid()), d = claim_of(second, getpid()), none = {0};
	const struct port_claim *claims[] = {&c, &none, &d};
	pid_t kept = start(fd, KEEP), moved = start(fd, MOVE), copied = start(fd, COPY), other = start(fd, REPLACE);
	struct host_owners s;

	assert_int_equal(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, fd) == 0, kcmp);
	assert_int_equal(host_owners_read_number(&s, claims, 3), 0);
	assert_int_equal(count(&s, c.owner.inode), 3);
	assert_true(has(&s, c.owner.inode, getpid()));
	assert_true(has(&s, c.owner.inode, kept));
	assert_true(has(&s, c.owner.inode, copied));
	assert_int_equal(count(&s, d.owner.inode), 5);
	assert_true(has(&s, d.owner.inode, moved));
	assert_true(has(&s, d.owner.inode, other));
	assert_int_equal(s.n, 8);
	host_owners_free(&s);
	stop(kept);
	stop(moved);
	stop(copied);
	stop(other);
	close(fd);
	close(second);
}

static void the_number_is_kept_by_fork(void **state)
{
	(void)state;
	by_number(true);
}

/* In a child, for a filter never comes off. */
static void without_kcmp_it_is_the_same(void **state)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kcmp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {.len = 4, .filter = f};
	int st;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) < 0)
			_exit(77);
		by_number(false); /* a failed assertion ends the child with another code */
		_exit(0);
	}
	waitpid(pid, &st, 0);
	assert_true(WIFEXITED(st));
	if (WEXITSTATUS(st) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(st), 0);
}

/* The pid in a claim is a hint: a server binds and becomes a daemon. */
static void a_hint_that_is_wrong_is_told(void **state)
{
	int fd = new_socket();
	pid_t kept = start(fd, KEEP), other;
	struct port_claim c = claim_of(fd, 0x7ffffff);
	const struct port_claim *claims[] = {&c};
	struct host_owners s;

	(void)state;
	close(fd);
	assert_int_equal(host_owners_read_number(&s, claims, 1), -ENOENT);
	assert_int_equal(s.n, 0);
	c.owner.pid = other = start(-1, KEEP); /* a stranger with the pid of old */
	assert_int_equal(host_owners_read_number(&s, claims, 1), -ENOENT);
	host_owners_read_for(&s, claims, 1);
	assert_int_equal(count(&s, c.owner.inode), 1);
	assert_true(has(&s, c.owner.inode, kept));
	host_owners_free(&s);
	stop(kept);
	stop(other);
}

static void of_a_crowd_nobody_is_missed(void **state)
{
	int fd = new_socket();
	struct port_claim c = claim_of(fd, getpid());
	const struct port_claim *claims[] = {&c};
	static pid_t crowd[CROWD];
	struct host_owners s;

	(void)state;
	for (int i = 0; i < CROWD; i++)
		crowd[i] = start(fd, i % 2 ? KEEP : MOVE);
	for (int round = 0; round < 3; round++) {
		host_owners_read(NULL, &s);
		assert_int_equal(count(&s, c.owner.inode), CROWD + 1);
		host_owners_free(&s);
		assert_int_equal(host_owners_read_number(&s, claims, 1), 0);
		assert_int_equal(count(&s, c.owner.inode), CROWD / 2 + 1);
		for (int i = 0; i < CROWD; i++)
			assert_int_equal(has(&s, c.owner.inode, crowd[i]), i % 2);
		host_owners_free(&s);
	}
	for (int i = 0; i < CROWD; i++)
		stop(crowd[i]);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_sees_every_copy),  cmocka_unit_test(the_number_is_kept_by_fork),
		cmocka_unit_test(without_kcmp_it_is_the_same), cmocka_unit_test(a_hint_that_is_wrong_is_told),
		cmocka_unit_test(of_a_crowd_nobody_is_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
