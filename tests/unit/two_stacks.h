/* tests/unit/two_stacks.h: two stacks and a cable between them, for tests of what a program sees.
 *
 * a is 10.0.0.1 and fd00::1, b is 10.0.0.2 and fd00::2. Time goes forward when the test says so, or from deadline to deadline.
 */
#ifndef BERTH_TESTS_TWO_STACKS_H
#define BERTH_TESTS_TWO_STACKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <berth/stack.h>

#include "base/base.h"
#include "link/pair.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

struct two {
	struct berth_stack *st[2];
	void *memory[2];
	struct pair cable;
	uint64_t now_ns;
	uint16_t iface[2];
	bool cut;	      /* frames are lost */
	uint64_t n_frames[2]; /* that each sent */
	/* the last frame that was sent, whole, for tests that look at it */
	uint8_t last[70000];
	uint32_t last_len;
	struct berth_tx last_tx;
};

struct two_how {
	enum berth_link link;
	uint32_t flags; /* BERTH_IF_ */
	uint32_t mtu_bytes;
	struct berth_stack_config config; /* what is not 0 counts */
};

static inline struct berth_addr addr6(uint16_t net, uint16_t host, uint16_t port)
{
	struct berth_addr r = {.port = port};

	r.ip[0] = (uint8_t)(net >> 8);
	r.ip[1] = (uint8_t)net;
	r.ip[14] = (uint8_t)(host >> 8);
	r.ip[15] = (uint8_t)host;
	return r;
}

static inline void two_begin(struct two *w, const struct two_how *how)
{
	uint16_t ifaces[2] = {0, 0};

	memset(w, 0, sizeof(*w));
	w->now_ns = 1000 * SECOND;
	for (int i = 0; i < 2; i++) {
		struct berth_stack_config c = how->config;
		struct berth_iface f = {.struct_size = sizeof(f),
					.link = (uint8_t)how->link,
					.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
					.flags = how->flags | BERTH_IF_NO_DAD,
					.mtu_bytes = how->mtu_bytes != 0 ? how->mtu_bytes : 1500};
		struct berth_addr a4 = berth_addr4(10, 0, 0, (uint8_t)(i + 1), 0);
		struct berth_addr a6 = addr6(0xfd00, (uint16_t)(i + 1), 0);
		size_t size;

		c.struct_size = sizeof(c);
		c.n_rings = c.n_rings != 0 ? c.n_rings : 64; /* not 130 MB to be cleared for each test */
		c.n_udp = c.n_udp != 0 ? c.n_udp : 32;
		memset(c.secret, 7 + i, sizeof(c.secret));
		size = berth_stack_size(&c);
		assert_true(size > 0);
		w->memory[i] = aligned_alloc(64, size);
		memset(w->memory[i], 0, size);
		assert_int_equal(berth_stack_init(&w->st[i], w->memory[i], size, &c, w->now_ns), 0);
		assert_int_equal(berth_iface_add(w->st[i], &f, &w->iface[i]), 0);
		assert_int_equal(berth_addr_add(w->st[i], w->iface[i], &a4, 24), 0);
		assert_int_equal(berth_addr_add(w->st[i], w->iface[i], &a6, 64), 0);
		ifaces[i] = w->iface[i];
	}
	pair_init(&w->cable, how->link, 2, ifaces);
}

static inline void two_end(struct two *w)
{
	for (int i = 0; i < 2; i++) {
		assert_true(berth_stack_check(w->st[i]));
		free(w->memory[i]);
	}
	pair_fini(&w->cable);
}

static inline void two_keep(struct two *w, const struct berth_tx *v)
{
	w->last_tx = *v;
	memcpy(w->last, v->head, v->head_len);
	w->last_len = v->head_len;
	for (unsigned i = 0; i < v->n_parts; i++) {
		memcpy(w->last + w->last_len, v->parts[i].data, v->parts[i].len);
		w->last_len += v->parts[i].len;
	}
	assert_int_equal(w->last_len, v->len);
}

/* What each has to send, to the other; true: something moved. */
static inline bool two_exchange(struct two *w)
{
	bool moved = false;

	for (unsigned i = 0; i < 2; i++) {
		struct berth_tx tx[32];
		struct berth_rx rx[32];
		unsigned n = berth_stack_output(w->st[i], tx, 32, w->now_ns);

		assert_in_range(n, 0, 32);
		w->n_frames[i] += n;
		for (unsigned k = 0; k < n; k++)
			two_keep(w, &tx[k]);
		moved = moved || n > 0;
		if (!w->cut)
			pair_put(&w->cable, i, tx, n);
		for (unsigned k = 0; k < n; k++)
			if (tx[k].pin != 0)
				berth_stack_unpin(w->st[i], tx[k].pin);
		while ((n = pair_take(&w->cable, 1 - i, rx, 32)) > 0) {
			berth_stack_input(w->st[1 - i], rx, n, w->now_ns);
			moved = true;
		}
		berth_stack_tick(w->st[i], w->now_ns, 64);
	}
	return moved;
}

/* Until nothing moves, without time going on. */
static inline void two_settle(struct two *w)
{
	int rounds = 0;

	while (two_exchange(w) || berth_stack_deadline(w->st[0]) <= w->now_ns ||
	       berth_stack_deadline(w->st[1]) <= w->now_ns)
		assert_in_range(++rounds, 0, 100000);
}

/* Through all deadlines of the next ns nanoseconds. */
static inline void two_run(struct two *w, uint64_t ns)
{
	uint64_t end = w->now_ns + ns;

	two_settle(w);
	for (int rounds = 0; rounds < 1000000; rounds++) {
		uint64_t a = berth_stack_deadline(w->st[0]), b = berth_stack_deadline(w->st[1]);
		uint64_t next = a < b ? a : b;

		if (next > end)
			break;
		w->now_ns = next > w->now_ns ? next : w->now_ns;
		two_settle(w);
	}
	w->now_ns = end;
	two_settle(w);
}

static inline struct berth_counters two_counters(const struct two *w, int i)
{
	struct berth_counters c = {.struct_size = sizeof(c)};

	berth_stack_counters(w->st[i], &c);
	return c;
}

#endif
