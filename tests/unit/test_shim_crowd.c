/* tests/unit/test_shim_crowd.c: when a thread looks but shortly before it sleeps, because others want its processor.
 *
 * The deciding part is given made-up counters, in milliseconds. The last test asks the real kernel: two threads on one
 * processor, both busy, must find themselves crowded. That a thread alone does not cannot be tested on a machine that others use.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/crowd.h"

#define MS UINT64_C(1000000)
#define STEPS_MAX 16

/* At `at` the counters say so; then, until `shut` (0: not at all), there are no long looks. */
struct step {
	unsigned at, ran, waited, shut;
};

struct judge_case {
	const char *name;
	struct step steps[STEPS_MAX];
};

static const struct judge_case cases[] = {
	{"the first answer says nothing", {{1, 500, 9000, 0}}},
	{"a thread that waits for nobody looks long", {{1, 1, 0, 0}, {9, 9, 0, 0}, {17, 10, 0, 0}}},
	{"one of ten on a processor stops", {{1, 1, 1, 0}, {9, 2, 8, 13}}},
	{"one of two on a processor stops", {{1, 1, 1, 0}, {9, 5, 5, 13}}},
	{"three on two processors stop", {{1, 0, 0, 0}, {13, 8, 4, 17}}},
	{"a fifth of what it ran is let pass", {{1, 0, 0, 0}, {13, 10, 2, 0}}},
	{"hardly anything in the window is let pass", {{1, 100, 0, 0}, {90, 100, 2, 0}}},
	{"after a pause the next window begins with long looks",
	 {{1, 0, 0, 0}, {9, 1, 7, 13}, {13, 1, 90, 0}, {21, 9, 90, 0}}},
	{"a crowd that lasts is asked after more and more seldom",
	 {{1, 0, 0, 0},
	  {9, 1, 7, 13},
	  {13, 1, 7, 0},
	  {21, 2, 14, 37},
	  {37, 2, 14, 0},
	  {45, 3, 21, 109},
	  {109, 3, 21, 0},
	  {117, 4, 28, 373}}},
	{"one good window and the pause is short again",
	 {{1, 0, 0, 0},
	  {9, 1, 7, 13},
	  {13, 1, 7, 0},
	  {21, 2, 14, 37},
	  {37, 2, 14, 0},
	  {45, 10, 14, 0},
	  {53, 11, 21, 57}}},
	{"what was long ago does not count", {{1, 0, 0, 0}, {101, 1, 99, 0}, {109, 9, 99, 0}}},
	{"counters that went back are another thread's",
	 {{1, 50, 50, 0}, {9, 51, 2, 0}, {17, 1, 9, 0}, {25, 2, 15, 29}}},
};

static void judges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct crowd c = {0};

		for (const struct step *s = cases[i].steps; s < cases[i].steps + STEPS_MAX && s->at; s++) {
			bool ok;

			if (!crowd_open(&c, s->at * MS))
				fail_msg("%s: at %u ms still shut", cases[i].name, s->at);
			crowd_judge(&c, s->at * MS, s->ran * MS, s->waited * MS);
			ok = s->shut ? !crowd_open(&c, s->shut * MS - 1) && crowd_open(&c, s->shut * MS)
				     : crowd_open(&c, s->at * MS);
			if (!ok)
				fail_msg("%s: at %u ms wanted %u, it is shut until %llu us", cases[i].name, s->at,
					 s->shut, (unsigned long long)(c.until_ns / 1000));
		}
	}
}

/* The pause has an end that it does not grow beyond. */
static void longest_pause(void **state)
{
	struct crowd c = {0};
	uint64_t now = MS, waited = 0;

	(void)state;
	for (int i = 0; i < 40; i++) {
		crowd_judge(&c, now, MS, waited);
		now += 8 * MS;
		waited += 8 * MS;
		crowd_judge(&c, now, MS, waited);
		assert_true(c.until_ns > now && c.until_ns - now <= CROWD_SHUT_MAX_NS);
		assert_int_equal(c.until_ns - now, i < 4 ? CROWD_SHUT_MIN_NS << 2 * i : CROWD_SHUT_MAX_NS);
		now = c.until_ns;
	}
}

static const struct {
	const char *text;
	bool ok;
	uint64_t ran, waited;
} texts[] = {
	{"143770 3354682 2\n", true, 143770, 3354682},
	{"1 0 1\n", true, 1, 0},
	{"18446744073709551615 18446744073709551615 9\n", true, UINT64_MAX, UINT64_MAX},
	{"0 3354682 1\n", true, 0, 3354682}, /* began to run a moment ago */
	{"0 0 1\n", true, 0, 0},
	{"0 0 0\n", false, 0, 0},
	{"12 34 5", false, 0, 0},
	{"", false, 0, 0},
	{"\n", false, 0, 0},
	{"12", false, 0, 0},
	{"12 ", false, 0, 0},
	{"12 34", false, 0, 0}, /* cut off: it may have been longer */
	{" 12 34 5\n", false, 0, 0},
	{"12 -3 5\n", false, 0, 0},
	{"a b c\n", false, 0, 0},
};

static void parses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		uint64_t ran = 77, waited = 77;

		if (crowd_parse(texts[i].text, strlen(texts[i].text), &ran, &waited) != texts[i].ok)
			fail_msg("'%s'", texts[i].text);
		assert_true(ran == (texts[i].ok ? texts[i].ran : 77) && waited == (texts[i].ok ? texts[i].waited : 77));
	}
}

static atomic_bool over;

static void *hog(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		;
	return NULL;
}

static bool kernel_counts(void)
{
	char text[96];
	uint64_t a, b;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");
	size_t n = f ? fread(text, 1, sizeof(text), f) : 0;

	if (f)
		fclose(f);
	return crowd_parse(text, n, &a, &b);
}

static void two_on_one_processor(void **state)
{
	uint64_t begin = crowd_clock_ns();
	bool crowded = false;
	cpu_set_t was, one;
	pthread_t other;

	(void)state;
	if (!kernel_counts())
		skip();
	assert_int_equal(crowd_limit(CROWD_LOOK_NS), CROWD_LOOK_NS);
	assert_int_equal(sched_getaffinity(0, sizeof(was), &was), 0);
	CPU_ZERO(&one);
	for (size_t i = 0; !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &was))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pthread_create(&other, NULL, hog, NULL), 0); /* on the same one */
	while (!crowded && crowd_clock_ns() - begin < 20000 * MS)
		crowded = crowd_limit(10 * CROWD_LOOK_NS) == CROWD_LOOK_NS;
	assert_int_equal(crowd_limit(CROWD_LOOK_NS / 2), CROWD_LOOK_NS / 2); /* what is short stays as it is */
	atomic_store(&over, true);
	pthread_join(other, NULL);
	sched_setaffinity(0, sizeof(was), &was);
	assert_true(crowded);
	for (begin = crowd_clock_ns(); crowded && crowd_clock_ns() - begin < 20000 * MS; usleep(1000))
		crowded = crowd_limit(10 * CROWD_LOOK_NS) == CROWD_LOOK_NS;
	assert_false(crowded); /* it ends by itself */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges),
		cmocka_unit_test(longest_pause),
		cmocka_unit_test(parses),
		cmocka_unit_test(two_on_one_processor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
