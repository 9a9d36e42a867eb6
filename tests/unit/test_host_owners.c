/* tests/unit/test_host_owners.c: which processes have a socket open: by everything, by number, and sought. */
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

/* --- sought --- */

#define MANY 400 /* descriptors: more than a process has that is looked through */

/* A process of a world: how many descriptors it has besides, and under which number it has the socket (-1: it has not). */
struct member {
	int n_others, number;
};

struct seek_case {
	const char *name;
	bool one;
	struct member r[3]; /* n_others 0: no more */
	unsigned seen;	    /* bits of those that must be found */
	unsigned unseen;    /* of those that must not be, as they need not be looked at */
	bool whole;	    /* everybody had to be looked through */
};

static const struct seek_case seek_cases[] = {
	{"who has few descriptors is found", false, {{1, 5}, {1, -1}}, 1, 0, false},
	{"and with many under a low number", false, {{1, 5}, {MANY, 6}}, 3, 0, false},
	{"many under any number, when it is the only one", false, {{MANY, 90}, {MANY, -1}}, 1, 0, false},
	{"many under the number that another has it under", false, {{1, 300}, {MANY, 300}}, 3, 0, false},
	{"also when that one has many itself", false, {{MANY, 301}, {MANY, 301}, {MANY + 1, 301}}, 7, 0, false},
	{"what may be missed: a high number of its own", false, {{1, 5}, {MANY, 300}}, 1, 2, false},
	{"nobody has it: everybody was looked through", false, {{1, -1}, {MANY, -1}}, 0, 0, true},
	{"one is enough", true, {{1, 5}, {MANY, 300}}, 1, 2, false},
	{"one with many under a low number", true, {{MANY, 9}}, 1, 0, false},
	{"one with many under any number", true, {{1, -1}, {MANY, 300}}, 2, 0, false},
	{"one, and nobody has it", true, {{MANY, -1}}, 0, 0, true},
};

static pid_t start_member(int fd, const struct member *m)
{
	int up[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(up), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(up[1], 999);
		dup2(fd, 998);
		for (int i = 3; i < 998; i++)
			close(i);
		for (int i = 1; i < m->n_others; i++)
			if (dup(2) < 0)
				_exit(1);
		if (m->number >= 0)
			dup2(998, m->number);
		close(998);
		(void)!write(999, "r", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	close(up[0]);
	close(up[1]);
	return pid;
}

/* Since 6.2; before, everybody is looked through. */
static bool counts_are_told(void)
{
	struct stat st;

	return stat("/proc/self/fd", &st) == 0 && st.st_size > 0;
}

static void seek(void **state)
{
	const struct seek_case *c = *state;
	bool many = false;
	int fd = new_socket();
	struct host_sought sought[] = {{0},
				       {.inode = claim_of(fd, 0).owner.inode},
				       {.inode = claim_of(fd, 0).owner.inode}};
	pid_t pids[COUNT_OF(c->r)] = {0};
	struct host_owners s;

	for (size_t i = 0; i < COUNT_OF(c->r) && c->r[i].n_others; i++)
		pids[i] = start_member(fd, &c->r[i]);
	close(fd);
	host_owners_seek(NULL, sought, 3, NULL, 0, c->one, &s);
	for (size_t i = 0; i < COUNT_OF(c->r) && c->r[i].n_others; i++) {
		if (c->seen & 1u << i)
			assert_true(has(&s, sought[1].inode, pids[i]));
		many |= c->r[i].n_others >= MANY;
		if ((c->unseen & 1u << i && counts_are_told()) || c->r[i].number < 0)
			assert_false(has(&s, sought[1].inode, pids[i]));
	}
	if (c->whole || (many && counts_are_told()))
		assert_int_equal(s.is_whole, c->whole);
	host_owners_free(&s);
	for (size_t i = 0; i < COUNT_OF(c->r) && pids[i]; i++)
		stop(pids[i]);
}

static void the_guessed_are_looked_at_first(void **state)
{
	int fd = new_socket();
	struct host_sought sought = {.inode = claim_of(fd, 0).owner.inode};
	int32_t first[] = {start_member(fd, &(struct member){1, 7}), start_member(fd, &(struct member){1, -1})};
	pid_t other = start_member(fd, &(struct member){1, 7});
	struct host_owners s;

	(void)state;
	host_owners_seek(NULL, &sought, 1, first, 2, true, &s);
	assert_true(has(&s, sought.inode, first[0]));
	assert_false(has(&s, sought.inode, other));
	host_owners_free(&s);
	stop(first[0]);
	stop(first[1]);
	stop(other);
	close(fd);
}

/* A server's master has ten thousand descriptors, its worker a few: the master is to be told of, too. */
static void the_parent_is_found_by_the_number(void **state)
{
	int fd = new_socket(), others[MANY];
	struct host_sought sought;
	struct host_owners s;
	pid_t worker;

	(void)state;
	for (int i = 0; i < MANY; i++)
		others[i] = dup(2);
	assert_int_equal(dup2(fd, 900), 900);
	close(fd);
	sought = (struct host_sought){.inode = claim_of(900, 0).owner.inode};
	worker = start_member(900, &(struct member){1, 900});
	host_owners_seek(NULL, &sought, 1, NULL, 0, true, &s);
	assert_true(has(&s, sought.inode, worker));
	assert_true(has(&s, sought.inode, getpid()));
	host_owners_free(&s);
	stop(worker);
	close(900);
	for (int i = 0; i < MANY; i++)
		close(others[i]);
}

/* systemd passes a listener on under another number than its own: parents are looked through. */
static void a_parent_with_another_number_is_found(void **state)
{
	int fd = new_socket(), others[MANY];
	struct host_sought sought = {.inode = claim_of(fd, 0).owner.inode};
	struct host_owners s;
	pid_t worker;

	(void)state;
	for (int i = 0; i < MANY; i++)
		others[i] = dup(2);
	assert_int_equal(dup2(fd, 901), 901);
	close(fd);
	worker = start_member(901, &(struct member){1, 3});
	host_owners_seek(NULL, &sought, 1, NULL, 0, false, &s);
	assert_true(has(&s, sought.inode, worker));
	assert_true(has(&s, sought.inode, getpid()));
	host_owners_free(&s);
	stop(worker);
	close(901);
	for (int i = 0; i < MANY; i++)
		close(others[i]);
}

/* In a child, which becomes somebody else. */
static void a_strangers_socket_is_given_up(void **state)
{
	int fd = new_socket(), st;
	struct host_sought sought = {.inode = claim_of(fd, 0).owner.inode, .has_uid = true, .uid = 0};
	pid_t pid;

	(void)state;
	if (geteuid() != 0 || !counts_are_told())
		skip();
	pid = fork();
	if (pid == 0) {
		struct host_owners s;

		close(fd);
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(77);
		for (int i = 0; i < MANY; i++)
			(void)!dup(2);
		host_owners_seek(NULL, &sought, 1, NULL, 0, true, &s);
		_exit(count(&s, sought.inode) == 0 && !s.is_whole && s.unseen & HOST_UNSEEN_USERS ? 0 : 1);
	}
	waitpid(pid, &st, 0);
	if (WIFEXITED(st) && WEXITSTATUS(st) == 77)
		skip();
	assert_true(WIFEXITED(st) && WEXITSTATUS(st) == 0);
	close(fd);
}

static void what_is_optional_is_not_looked_for_among_many(void **state)
{
	int fd = new_socket(), second = new_socket();
	struct host_sought sought[] = {{.inode = claim_of(fd, 0).owner.inode},
				       {.inode = claim_of(second, 0).owner.inode, .optional = true}};
	pid_t few = start_member(fd, &(struct member){1, 7}), many = start_member(second, &(struct member){MANY, 300}),
	      low;
	struct host_owners s;

	(void)state;
	if (!counts_are_told())
		skip();
	close(fd);
	close(second);
	host_owners_seek(NULL, sought, 2, NULL, 0, true, &s);
	assert_true(has(&s, sought[0].inode, few));
	assert_int_equal(count(&s, sought[1].inode), 0);
	assert_false(s.is_whole);
	host_owners_free(&s);
	stop(few);
	stop(many);
	second = new_socket();
	sought[0].inode = 0;
	sought[1].inode = claim_of(second, 0).owner.inode;
	low = start_member(second, &(struct member){MANY, 9});
	close(second);
	host_owners_seek(NULL, sought, 2, NULL, 0, true, &s);
	assert_true(has(&s, sought[1].inode, low));
	host_owners_free(&s);
	stop(low);
}

/* As many as ls has doors: the same processes as everything read says. */
static void many_sockets_as_everything_read_says(void **state)
{
	enum { N = 120, WORKERS = 12 };
	struct host_sought sought[N];
	int fds[N];
	pid_t workers[WORKERS];
	struct host_owners s, all;

	(void)state;
	for (int i = 0; i < N; i++) {
		fds[i] = new_socket();
		sought[i] = (struct host_sought){.inode = claim_of(fds[i], 0).owner.inode};
	}
	for (int i = 0; i < WORKERS; i++)
		workers[i] = i % 3 ? start(fds[i * 9], i % 2 ? COPY : MOVE)
				   : start_member(fds[i], &(struct member){MANY, 20 + i});
	host_owners_seek(NULL, sought, N, NULL, 0, false, &s);
	host_owners_read(NULL, &all);
	for (int i = 0; i < N; i++) {
		size_t n, k;
		const struct host_owner *a = host_owners_find(&all, sought[i].inode, &n),
					*b = host_owners_find(&s, sought[i].inode, &k);

		assert_int_equal(n, k);
		for (size_t x = 0; x < n; x++)
			assert_int_equal(a[x].pid, b[x].pid);
	}
	assert_true(all.is_whole);
	host_owners_free(&s);
	host_owners_free(&all);
	for (int i = 0; i < WORKERS; i++)
		stop(workers[i]);
	for (int i = 0; i < N; i++)
		close(fds[i]);
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(seek_cases) + 11] = {
		cmocka_unit_test(everything_sees_every_copy),
		cmocka_unit_test(the_number_is_kept_by_fork),
		cmocka_unit_test(without_kcmp_it_is_the_same),
		cmocka_unit_test(a_hint_that_is_wrong_is_told),
		cmocka_unit_test(of_a_crowd_nobody_is_missed),
		cmocka_unit_test(the_guessed_are_looked_at_first),
		cmocka_unit_test(the_parent_is_found_by_the_number),
		cmocka_unit_test(a_parent_with_another_number_is_found),
		cmocka_unit_test(a_strangers_socket_is_given_up),
		cmocka_unit_test(many_sockets_as_everything_read_says),
		cmocka_unit_test(what_is_optional_is_not_looked_for_among_many),
	};

	for (size_t i = 0; i < COUNT_OF(seek_cases); i++)
		tests[11 + i] =
			(struct CMUnitTest){seek_cases[i].name, seek, NULL, NULL, (void *)(uintptr_t)&seek_cases[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
