/* tests/unit/test_trace.c: the last events, whole and in order; and what an assertion prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/trace.h"

static void keeps_the_newest(void **state)
{
	struct trace_record records[8];
	struct trace_entry got[16];
	struct trace_ring ring;

	(void)state;
	trace_ring_init(&ring, records, 8);
	trace_register(&ring);
	assert_int_equal(trace_last(got, 16), 0);
	for (uint64_t i = 1; i <= 20; i++)
		TRACE(mark, i, 2 * i);
	assert_int_equal(trace_last(got, 16), 8);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(got[i].seq, 13 + i);
		assert_int_equal(got[i].event, TRACE_mark);
		assert_int_equal(got[i].words[0], 13 + i);
		assert_int_equal(got[i].words[1], 2 * (13 + i));
		assert_int_equal(got[i].words[3], 0);
	}
	assert_int_equal(trace_last(got, 3), 3);
	assert_int_equal(got[2].seq, 20);
	trace_register(NULL);
}

static void a_record_being_written_is_left_out(void **state)
{
	struct trace_record records[4];
	struct trace_entry got[4];
	struct trace_ring ring;

	(void)state;
	trace_ring_init(&ring, records, 4);
	trace_register(&ring);
	TRACE(mark, 1);
	TRACE(mark, 2);
	TRACE(mark, 3);
	records[1].seq = 0;
	assert_int_equal(trace_last(got, 4), 2);
	assert_int_equal(got[0].words[0], 1);
	assert_int_equal(got[1].words[0], 3);
	trace_register(NULL);
}

static void prints_a_line(void **state)
{
	struct trace_entry e = {.seq = 9, .event = TRACE_network_grow, .words = {80, 3, (uint64_t)-98}};
	char s[128];
	size_t n = trace_entry_print(&e, s, sizeof(s));

	(void)state;
	assert_int_equal(n, strlen("#9 network_grow host=80 from=3 to=-98\n"));
	assert_memory_equal(s, "#9 network_grow host=80 from=3 to=-98\n", n);
}

static void an_assertion_tells_and_aborts(void **state)
{
	char text[4096];
	size_t n = 0;
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		TRACE(mark, 4242);
		ASSERT(1 + 1 == 3);
		_exit(0);
	}
	close(fds[1]);
	while (n < sizeof(text) - 1 && (got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "expected (1 + 1 == 3) at "));
	assert_non_null(strstr(text, "test_trace.c:"));
	assert_non_null(strstr(text, " mark a=4242 b=0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_newest),
		cmocka_unit_test(a_record_being_written_is_left_out),
		cmocka_unit_test(prints_a_line),
		cmocka_unit_test(an_assertion_tells_and_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
