/* tests/unit/test_tcp_gaps.c: src/stack/tcp_gaps.c, by tables and beside a model that is an array of octets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "stack/tcp_data.h"

#define NXT UINT32_C(0xffffff00) /* so that numbers go round within each case */

struct step {
	int32_t from, to; /* to > from: an interval arrives; to == 0: everything before from is in order */
	bool refused;
	int32_t dup_from, dup_to;
};

struct gaps_case {
	const char *name;
	struct step steps[40];
	int32_t want[80]; /* left, right, ... 0 */
	int32_t recent[9];
};

static const struct gaps_case cases[] = {
	{"one interval", {{10, 20}}, {10, 20}, {10}},
	{"two that are apart stay apart, the newest is first", {{10, 20}, {30, 40}}, {10, 20, 30, 40}, {30, 10}},
	{"one that comes before another goes before it", {{30, 40}, {10, 20}}, {10, 20, 30, 40}, {10, 30}},
	{"what touches on the right joins", {{10, 20}, {20, 30}}, {10, 30}, {20}},
	{"what touches on the left joins", {{20, 30}, {10, 20}}, {10, 30}, {10}},
	{"one that closes a hole joins both", {{10, 20}, {30, 40}, {20, 30}}, {10, 40}, {20}},
	{"one that covers all of them is one", {{10, 20}, {30, 40}, {50, 60}, {5, 70, false, 10, 20}}, {5, 70}, {5}},
	{"the same again is a duplicate", {{10, 20}, {10, 20, false, 10, 20}}, {10, 20}, {10}},
	{"a part again is a duplicate of that part", {{10, 20}, {12, 15, false, 12, 15}}, {10, 20}, {12}},
	{"an overlap on the right is a duplicate of what overlaps",
	 {{10, 20}, {15, 25, false, 15, 20}},
	 {10, 25},
	 {15}},
	{"an overlap on the left is a duplicate of what overlaps", {{10, 20}, {5, 15, false, 10, 15}}, {5, 20}, {5}},
	{"a duplicate that begins in a hole is that of the first piece",
	 {{10, 20}, {30, 40}, {5, 35, false, 10, 20}},
	 {5, 40},
	 {5}},
	{"the ninth that changed is forgotten as recent, not as received",
	 {{10, 11}, {20, 21}, {30, 31}, {40, 41}, {50, 51}, {60, 61}, {70, 71}, {80, 81}, {90, 91}},
	 {10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 60, 61, 70, 71, 80, 81, 90, 91},
	 {90, 80, 70, 60, 50, 40, 30, 20}},
	{"an old one that changes is the newest again", {{10, 20}, {30, 40}, {20, 25}}, {10, 25, 30, 40}, {20, 30}},
	{"order that reaches the first takes it", {{10, 20}, {30, 40}, {10, 0}}, {30, 40}, {30}},
	{"order that reaches into the first takes all of it", {{10, 20}, {30, 40}, {15, 0}}, {30, 40}, {30}},
	{"order that passes the first takes it, too", {{10, 20}, {30, 40}, {25, 0}}, {30, 40}, {30}},
	{"order that stops before the first takes none", {{10, 20}, {9, 0}}, {10, 20}, {10}},
	{"numbers that go round do not matter", {{250, 260}, {262, 270}, {260, 262}}, {250, 270}, {260}},
};

static void run_case(void **state)
{
	const struct gaps_case *c = *state;
	struct tcp_gaps g = {0};
	uint32_t nxt = NXT, n = 0;

	for (const struct step *s = c->steps; s->from; s++) {
		struct wire_tcp_sack dup = {0};

		if (!s->to) {
			nxt = tcp_gaps_advance(&g, NXT + (uint32_t)s->from);
			continue;
		}
		assert_int_equal(tcp_gaps_add(&g, NXT + (uint32_t)s->from, NXT + (uint32_t)s->to, &dup), !s->refused);
		assert_int_equal(dup.right - dup.left, s->dup_to - s->dup_from);
		if (s->dup_to)
			assert_int_equal(dup.left, NXT + (uint32_t)s->dup_from);
		assert_true(tcp_gaps_check(&g, nxt));
	}
	assert_true(g.n == 0 || tcp_gaps_check(&g, nxt));
	for (; c->want[2 * n]; n++) {
		assert_int_equal(g.v[n].left, NXT + (uint32_t)c->want[2 * n]);
		assert_int_equal(g.v[n].right, NXT + (uint32_t)c->want[2 * n + 1]);
	}
	assert_int_equal(g.n, n);
	for (n = 0; c->recent[n]; n++)
		assert_int_equal(g.recent[n], NXT + (uint32_t)c->recent[n]);
	assert_int_equal(g.n_recent, n);
}

/* S15: however small the segments, there are 32 intervals; what touches one is still taken. */
static void full(void **state)
{
	struct tcp_gaps g = {0};
	struct wire_tcp_sack dup;

	(void)state;
	for (uint32_t i = 0; i < TCP_GAPS_MAX; i++)
		assert_true(tcp_gaps_add(&g, NXT + 10 + 2 * i, NXT + 11 + 2 * i, &dup));
	assert_false(tcp_gaps_add(&g, NXT + 1000, NXT + 1001, &dup));
	assert_false(tcp_gaps_add(&g, NXT + 2, NXT + 3, &dup));
	assert_int_equal(g.n, TCP_GAPS_MAX);
	assert_true(tcp_gaps_check(&g, NXT));
	assert_true(tcp_gaps_add(&g, NXT + 11, NXT + 12, &dup));
	assert_int_equal(g.n, TCP_GAPS_MAX - 1);
	assert_true(tcp_gaps_add(&g, NXT + 1000, NXT + 1001, &dup));
	assert_true(tcp_gaps_check(&g, NXT));
}

/* The model: one octet for each number, 1 where something arrived. */
#define SPAN 400
struct model {
	uint8_t got[SPAN];
	uint32_t nxt;
};

static uint32_t model_runs(const struct model *m)
{
	uint32_t n = 0;

	for (uint32_t i = m->nxt; i < SPAN; i++)
		n += m->got[i] && (i == 0 || !m->got[i - 1]);
	return n;
}

static void same(const struct tcp_gaps *g, const struct model *m, uint32_t base)
{
	uint32_t n = 0;

	for (uint32_t i = m->nxt; i < SPAN; i++) {
		if (m->got[i] && !m->got[i - 1])
			assert_int_equal(g->v[n].left, base + i);
		if (m->got[i] && (i + 1 == SPAN || !m->got[i + 1]))
			assert_int_equal(g->v[n++].right, base + i + 1);
	}
	assert_int_equal(g->n, n);
}

static void model_add(struct rng *r, struct tcp_gaps *g, struct model *m, uint32_t base)
{
	uint32_t from = (uint32_t)rng_range(r, m->nxt + 1, SPAN - 2), len = (uint32_t)rng_range(r, 1, 12), to, left = 0,
		 right;
	struct wire_tcp_sack dup;
	struct model before = *m;
	bool took;

	to = from + len < SPAN ? from + len : SPAN - 1;
	for (left = from; left < to && !m->got[left]; left++)
		;
	for (right = left; right < to && m->got[right]; right++)
		;
	memset(m->got + from, 1, to - from);
	took = tcp_gaps_add(g, base + from, base + to, &dup);
	if (model_runs(m) > TCP_GAPS_MAX) {
		assert_false(took);
		*m = before;
		return;
	}
	assert_true(took);
	assert_int_equal(dup.right - dup.left, right - left);
	if (right > left)
		assert_int_equal(dup.left, base + left);
	assert_int_equal(g->recent[0], base + from);
}

static void model_advance(struct rng *r, struct tcp_gaps *g, struct model *m, uint32_t base)
{
	uint32_t drawn = m->nxt + (uint32_t)rng_range(r, 1, 8), to = drawn;

	if (to >= SPAN - 2)
		return;
	memset(m->got + m->nxt, 1, to - m->nxt);
	while (to < SPAN - 1 && m->got[to])
		to++;
	assert_int_equal(tcp_gaps_advance(g, base + drawn), base + to);
	m->nxt = to;
}

static void beside_a_model(void **state)
{
	struct rng r;

	(void)state;
	rng_init(&r, 20261121);
	for (int world = 0; world < 300; world++) {
		struct tcp_gaps g = {0};
		struct model m = {.nxt = 1, .got = {1}};
		uint32_t base = (uint32_t)rng_u64(&r);

		for (int i = 0; i < 200 && m.nxt < SPAN - 20; i++) {
			if (rng_chance_ppm(&r, 900000))
				model_add(&r, &g, &m, base);
			else
				model_advance(&r, &g, &m, base);
			same(&g, &m, base);
			assert_true(g.n == 0 || tcp_gaps_check(&g, base + m.nxt));
		}
	}
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(cases) + 2];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		tests[n++] = (struct CMUnitTest){cases[i].name, run_case, NULL, NULL, (void *)&cases[i]};
	tests[n++] = (struct CMUnitTest){"S15: 32 intervals, however small the segments", full, NULL, NULL, NULL};
	tests[n++] = (struct CMUnitTest){"any order of arrivals, beside a model of one octet each", beside_a_model,
					 NULL, NULL, NULL};
	return cmocka_run_group_tests_name("tcp_gaps", tests, NULL, NULL);
}
