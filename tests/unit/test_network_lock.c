/* tests/unit/test_network_lock.c: a lock that neither death nor arrest nor rubbish can lose. */
#include <pthread.h>
#include <sys/prctl.h>

#include "network_fixture.h"

static void signals_wait_while_it_is_held(void **state)
{
	struct network_lock l;
	sigset_t now;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	assert_int_equal(network_lock(&net, 0, &l), 0);
	sigprocmask(SIG_BLOCK, NULL, &now);
	assert_true(sigismember(&now, SIGTERM) && sigismember(&now, SIGALRM));
	network_unlock(&l);
	sigprocmask(SIG_BLOCK, NULL, &now);
	assert_false(sigismember(&now, SIGTERM));
	assert_int_equal(network_lock(&net, 17, &l), -ENOENT);
	assert_int_equal(network_lock(&net, NETWORK_HOSTS_MAX, &l), -EUCLEAN);
}

static pid_t holder(void)
{
	int p[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		struct network_lock l;

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
		if (network_lock(&net, 0, &l) < 0 || write(p[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(p[0], &c, 1), 1);
	close(p[0]);
	close(p[1]);
	return pid;
}

static void a_dead_owners_lock_is_taken_over(void **state)
{
	struct network_lock l;
	uint64_t start;
	pid_t pid;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	for (int reap = 0; reap < 2; reap++) { /* a zombie is dead, too */
		pid = holder();
		kill(pid, SIGKILL);
		if (reap)
			waitpid(pid, NULL, 0);
		start = network_now_us();
		assert_int_equal(network_lock(&net, 0, &l), 0);
		assert_true(port_table_check(&l.table));
		network_unlock(&l);
		assert_true(network_now_us() - start < 1000000);
		if (!reap)
			waitpid(pid, NULL, 0);
	}
}

static void a_stopped_owner_is_named(void **state)
{
	struct network_lock l;
	struct port_refusal no;
	struct port_want w;
	struct port_ref ref;
	uint64_t start;
	pid_t pid;
	int fd;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	fd = fixture_socket();
	w = fixture_want(fd, 80);
	pid = holder();
	kill(pid, SIGSTOP);
	start = network_now_us();
	assert_int_equal(network_bind(&net, 0, PORT_REF_NONE, &w, &ref, &no), -ETIMEDOUT);
	assert_int_equal(no.by.owner.pid, pid);
	assert_in_range(network_now_us() - start, 4500000, 7000000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(network_lock(&net, 0, &l), 0);
	network_unlock(&l);
	close(fd);
}

static void a_reused_tid_is_no_owner(void **state)
{
	struct network_lock l;
	struct map_host *h;
	int p[2];
	pid_t pid;

	(void)state;
	fixture_open("net");
	fixture_host("a");
	assert_int_equal(network_lock(&net, 0, &l), 0);
	network_unlock(&l);
	assert_int_equal(pipe(p), 0);
	pid = fork(); /* alive, but younger than the lock says it was taken */
	if (pid == 0) {
		char c;

		close(p[1]);
		_exit(read(p[0], &c, 1) == 0 ? 0 : 1);
	}
	close(p[0]);
	h = map_host(&net, 0);
	atomic_store(&h->lock.since_ns, 1000000000);
	atomic_store(&h->lock.word, (uint64_t)lock_pidns() << 32 | (uint32_t)pid);
	assert_int_equal(network_lock(&net, 0, &l), 0);
	network_unlock(&l);
	close(p[1]);
	waitpid(pid, NULL, 0);
}

static void rubbish_in_the_word_is_passed_over(void **state)
{
	static const uint64_t words[] = {1,
					 UINT64_MAX,
					 UINT64_C(0xf000000000000000),
					 0x7fffffff,
					 UINT64_C(0xdeadbeef12345678),
					 UINT64_C(0x80000000)};

	(void)state;
	fixture_open("net");
	fixture_host("a");
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		struct network_lock l;
		uint64_t start = network_now_us();

		atomic_store(&map_host(&net, 0)->lock.word, words[i]);
		assert_int_equal(network_lock(&net, 0, &l), 0);
		network_unlock(&l);
		assert_true(network_now_us() - start < 2000000);
	}
}

static uint64_t counter;

static void *count(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++) {
		struct network_lock l;

		if (network_lock(&net, 0, &l) < 0)
			return &counter; /* not NULL: it failed */
		*(volatile uint64_t *)&counter += 1;
		network_unlock(&l);
	}
	return NULL;
}

static void threads_exclude_each_other(void **state)
{
	pthread_t t[4];

	(void)state;
	fixture_open("net");
	fixture_host("a");
	counter = 0;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count, NULL), 0);
	for (int i = 0; i < 4; i++) {
		void *r;

		pthread_join(t[i], &r);
		assert_null(r);
	}
	assert_int_equal(counter, 80000);
}

static void *name_of(void *arg)
{
	(void)arg;
	return (uint32_t)lock_me() == (uint32_t)gettid() ? NULL : (void *)1;
}

/* Who takes the lock is remembered by each thread; children and other threads are not their parents. */
static void each_task_has_its_own_name(void **state)
{
	uint64_t me = lock_me();

	(void)state;
	assert_int_equal((uint32_t)me, gettid());
	for (int i = 0; i < 3; i++) {
		pthread_t t;
		void *r;
		int st;
		pid_t pid = fork();

		if (pid == 0) {
			if (fork() == 0)
				_exit(name_of(NULL) != NULL);
			wait(&st);
			_exit(st != 0 || name_of(NULL) != NULL || lock_me() == me || name_of(NULL) != NULL);
		}
		assert_int_equal(waitpid(pid, &st, 0), pid);
		assert_int_equal(st, 0);
		pthread_create(&t, NULL, name_of, NULL);
		pthread_join(t, &r);
		assert_null(r);
	}
	assert_int_equal(lock_me(), me);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(signals_wait_while_it_is_held),	  TEST(a_dead_owners_lock_is_taken_over),
		TEST(a_stopped_owner_is_named),		  TEST(a_reused_tid_is_no_owner),
		TEST(rubbish_in_the_word_is_passed_over), TEST(threads_exclude_each_other),
		TEST(each_task_has_its_own_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
