/* tests/sim/sim_cross.c: two programs that call each other at the same time (RFC 9293, 3.5, figure 8), also with octets in their SYNs
 * (RFC 7413), which then are nobody's listener's. */
#include <errno.h>
#include <string.h>

#include "sim.h"

struct caller {
	struct sim_host *h;
	berth_sock sock;
	bool is_connected, got_eof, is_closed, fast;
	uint32_t received, said;
};
static struct caller callers[2];

#define WORDS "hello, who is there?"
#define N_WORDS 20

/* What is left of the words. */
static void say(struct sim *s, struct caller *c)
{
	int64_t n = berth_sock_send(c->h->st, c->sock, &WORDS[c->said], N_WORDS - c->said, 0);

	if (n < 0)
		sim_fail(s, "send() takes what it is given", "%s", strerror((int)-n));
	c->said += (uint32_t)n;
}

static void caller_event(struct sim *s, struct sim_host *h, const struct berth_event *ev)
{
	int me = (int)(ev->user - SIM_USER_OTHER);
	struct caller *c;
	uint8_t data[64];
	uint64_t err = 0;
	int64_t n;

	if (ev->mask & BERTH_EV_CLOSED) {
		h->n_closing--;
		return;
	}
	if (me >= 2) /* learn_cookies() looks itself */
		return;
	c = &callers[me];
	if (c->is_closed)
		sim_fail(s, "events", "after close()");
	if (!c->is_connected && ev->mask & (BERTH_EV_OUT | BERTH_EV_ERR)) {
		if (berth_sock_get(h->st, c->sock, BERTH_SO_ERROR, &err) < 0 || err)
			sim_fail(s, "both connect", "caller %d: %s", me, strerror((int)err));
		c->is_connected = true;
		if (c->said < N_WORDS)
			say(s, c);
		sim_expect_u64(s, "send() takes what it is given", c->said, N_WORDS);
		if (berth_sock_shutdown(h->st, c->sock, BERTH_SHUT_WR) < 0)
			sim_fail(s, "shutdown", "caller %d", me);
	}
	while (c->is_connected && (n = berth_sock_recv(h->st, c->sock, data, sizeof(data))) > 0) {
		if (c->received + (uint64_t)n > N_WORDS || memcmp(data, &WORDS[c->received], (size_t)n) != 0)
			sim_fail(s, "what was said is heard", "caller %d heard something else", me);
		c->received += (uint32_t)n;
	}
	if (c->is_connected && n == 0) {
		c->got_eof = true;
		c->is_closed = true;
		h->n_closing++;
		if (berth_sock_close(h->st, c->sock) < 0)
			sim_fail(s, "close", "caller %d", me);
	} else if (c->is_connected && n != -EAGAIN) {
		sim_fail(s, "both connect", "caller %d: %s", me, strerror((int)-n));
	}
}

static void call(struct sim *s, void *ctx)
{
	struct caller *c = ctx;
	int me = (int)(c - callers), r;
	int family = s->row ? 6 : 4;
	struct berth_addr from = sim_addr(c->h, s->wires[0], family, 7000),
			  to = sim_addr(callers[!me].h, s->wires[0], family, 7000);

	r = berth_sock_open(c->h->st, BERTH_TCP, family == 4 ? BERTH_IPV4 : BERTH_IPV6, SIM_USER_OTHER + (uint64_t)me,
			    &c->sock);
	if (r == 0)
		r = berth_sock_bind(c->h->st, c->sock, &from);
	if (r == 0 && c->fast)
		r = berth_sock_set(c->h->st, c->sock, BERTH_FASTOPEN, 1);
	if (r == 0)
		r = berth_sock_connect(c->h->st, c->sock, &to);
	if (r != -EINPROGRESS)
		sim_fail(s, "connect", "caller %d: %s", me, strerror(-r));
	if (c->fast)
		say(s, c);
}

static bool both_closed(struct sim *s)
{
	(void)s;
	return callers[0].is_closed && callers[1].is_closed;
}

/* Each calls a listener of the other's once, for its cookie. */
static void learn_cookies(struct sim *s)
{
	struct sim_host *h[2] = {callers[0].h, callers[1].h};
	berth_sock listener[2], out[2], in;
	int family = s->row ? 6 : 4, kind = family == 4 ? BERTH_IPV4 : BERTH_IPV6, r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		struct berth_addr at = sim_addr(h[i], s->wires[0], family, 80);

		r = berth_sock_open(h[i]->st, BERTH_TCP, kind, SIM_USER_OTHER + 2, &listener[i]);
		if (r == 0)
			r = berth_sock_bind(h[i]->st, listener[i], &at);
		if (r == 0)
			r = berth_sock_set(h[i]->st, listener[i], BERTH_FASTOPEN, 4);
		if (r == 0)
			r = berth_sock_listen(h[i]->st, listener[i], 4);
	}
	for (int i = 0; i < 2 && r == 0; i++) {
		struct berth_addr to = sim_addr(h[!i], s->wires[0], family, 80);

		r = berth_sock_open(h[i]->st, BERTH_TCP, kind, SIM_USER_OTHER + 2, &out[i]);
		if (r == 0)
			r = berth_sock_set(h[i]->st, out[i], BERTH_FASTOPEN, 1);
		if (r == 0 && berth_sock_connect(h[i]->st, out[i], &to) != -EINPROGRESS)
			r = -EIO;
	}
	if (r < 0)
		sim_fail(s, "setup", "cookies: %s", strerror(-r));
	sim_run_for(s, 5 * SIM_S);
	for (int i = 0; i < 2; i++) {
		if (berth_sock_accept(h[i]->st, listener[i], SIM_USER_OTHER + 2, &in, NULL) == 0) {
			h[i]->n_closing++;
			r = berth_sock_close(h[i]->st, in);
		}
		h[i]->n_closing += 2;
		if (r < 0 || berth_sock_close(h[i]->st, out[i]) < 0 || berth_sock_close(h[i]->st, listener[i]) < 0)
			sim_fail(s, "close", "cookies");
	}
	sim_run_for(s, 70 * SIM_S);
}

SIM_TEST(both_call_at_once)
{
	struct fault_config c = {.link = BERTH_LINK_IP};
	struct sim_host *h[2];
	uint64_t gap_ns;
	bool fast;

	memset(callers, 0, sizeof(callers));
	s->is_attacked = true; /* the observer knows one client and one server */
	s->other_event = caller_event;
	c.delay_ns = sim_draw(s, "delay_us", 1000, 100000) * SIM_US;
	if (sim_once_in(s, "has_loss", 3))
		c.loss_ppm = (uint32_t)sim_draw(s, "loss_ppm", 0, 30000);
	if (sim_once_in(s, "ipv6", 2))
		s->row = "IPv6";
	gap_ns = sim_draw(s, "gap_us", 0, 900) * SIM_US; /* less than the way: the SYNs cross */
	fast = sim_once_in(s, "fast_open", 2);
	for (int i = 0; i < 2; i++)
		h[i] = callers[i].h = sim_host(s);
	sim_wire(s, h, 2, &c);
	for (int i = 0; i < 2; i++)
		sim_boot(h[i]);
	if (fast) {
		learn_cookies(s);
		callers[0].fast = true;
		callers[1].fast = !sim_once_in(s, "one_is_slow", 3);
	}
	sim_at(s, s->now_ns, call, &callers[0]);
	sim_at(s, s->now_ns + gap_ns, call, &callers[1]);
	if (!sim_run_until(s, both_closed, s->now_ns + 300 * SIM_S))
		sim_fail(s, "stall", "simultaneous open");
	for (int i = 0; i < 2; i++)
		sim_expect_u64(s, "what was said is heard", callers[i].received, 20);
	sim_expect_all_over(s);
}
