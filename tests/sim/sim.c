/* tests/sim/sim.c: the world's clock, its draws, its digest, and how it ends.
 *
 * The loop: the earliest deadline of plans, programs, stacks and links is the time; whoever is due acts, in a fixed order (plans, links
 * by wire and port, programs by flow, hosts); then the next. A host that is due again and again at one time without doing anything
 * is a bug, and so is a world in which nothing is left to happen while somebody still waits.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "stack/stack.h"
#include "stack/tcp.h"

#define STEPS_MAX UINT64_C(40000000) /* of one world: a livelock, whatever its kind */

void sim_hash(struct sim *s, const void *data, size_t len)
{
	struct siphash_key k = {s->digest, s->now_ns};

	s->digest = siphash13(&k, data, len);
}

/* --- draws --- */

static uint64_t given(const struct sim *s, const char *name, uint64_t value, uint64_t span)
{
	for (unsigned i = 0; i < s->n_sets; i++)
		if (strcmp(s->sets[i].name, name) == 0)
			return s->sets[i].value < span ? s->sets[i].value : span;
	return s->is_low ? 0 : value;
}

uint64_t sim_draw(struct sim *s, const char *name, uint64_t lo, uint64_t hi)
{
	char full[48];
	unsigned nth = 1;
	struct rng r;
	uint64_t v;

	ASSERT(lo <= hi && s->n_drawn < COUNT_OF(s->drawn));
	snprintf(full, sizeof(full), "%s", name);
	for (unsigned i = 0; i < s->n_drawn; i++)
		if (strcmp(s->drawn[i].name, full) == 0)
			snprintf(full, sizeof(full), "%s#%u", name, ++nth);
	rng_init_stream(&r, s->seed, full);
	v = given(s, full, rng_range(&r, 0, hi - lo), hi - lo);
	snprintf(s->drawn[s->n_drawn].name, sizeof(s->drawn[0].name), "%s", full);
	s->drawn[s->n_drawn].span = hi - lo;
	s->drawn[s->n_drawn++].value = v;
	sim_note(s, "draw %s = %" PRIu64, full, lo + v);
	return lo + v;
}

bool sim_once_in(struct sim *s, const char *name, unsigned n)
{
	/* the highest of n numbers is "yes": shrinking leads to "no" */
	return sim_draw(s, name, 0, n - 1) == n - 1;
}

/* --- words --- */

void sim_note(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->trace)
		return;
	printf("%12.6f ", (double)s->now_ns / 1e9);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void sim_expect_u64(struct sim *s, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		sim_fail(s, what, "%" PRIu64 ", not %" PRIu64, got, want);
}

void sim_expect_le(struct sim *s, const char *what, uint64_t got, uint64_t max)
{
	if (got > max)
		sim_fail(s, what, "%" PRIu64 " is more than %" PRIu64, got, max);
}

void sim_expect_ge(struct sim *s, const char *what, uint64_t got, uint64_t min)
{
	if (got < min)
		sim_fail(s, what, "%" PRIu64 " is less than %" PRIu64, got, min);
}

/* --- the loop --- */

void sim_at(struct sim *s, uint64_t at_ns, void (*run)(struct sim *s, void *ctx), void *ctx)
{
	ASSERT(s->n_plans < SIM_PLANS_MAX);
	s->plans[s->n_plans].at_ns = at_ns;
	s->plans[s->n_plans].run = run;
	s->plans[s->n_plans++].ctx = ctx;
}

static uint64_t plan_deadline(const struct sim *s)
{
	uint64_t at = BERTH_NEVER;

	for (unsigned i = 0; i < s->n_plans; i++)
		if (s->plans[i].at_ns < at)
			at = s->plans[i].at_ns;
	return at;
}

static void run_plans(struct sim *s)
{
	for (unsigned i = 0; i < s->n_plans;) {
		if (s->plans[i].at_ns > s->now_ns) {
			i++;
			continue;
		}
		void (*run)(struct sim *, void *) = s->plans[i].run;
		void *ctx = s->plans[i].ctx;

		s->n_plans--;
		memmove(&s->plans[i], &s->plans[i + 1], (s->n_plans - i) * sizeof(s->plans[0]));
		run(s, ctx);
		i = 0; /* a plan may have made others */
	}
}

static uint64_t next_time(const struct sim *s)
{
	uint64_t at = plan_deadline(s), t;

	t = app_deadline(s);
	at = t < at ? t : at;
	for (unsigned w = 0; w < s->n_wires; w++)
		for (unsigned p = 0; p < s->wires[w]->n_ports; p++) {
			t = fault_deadline(s->wires[w]->ports[p].to);
			at = t < at ? t : at;
		}
	for (unsigned i = 0; i < s->n_hosts; i++) {
		t = host_deadline(s->hosts[i]);
		at = t < at ? t : at;
	}
	return at < s->now_ns ? s->now_ns : at;
}

static void deliver(struct sim *s)
{
	struct berth_rx gone[1];

	for (unsigned w = 0; w < s->n_wires; w++)
		for (unsigned p = 0; p < s->wires[w]->n_ports; p++) {
			struct sim_wire *wire = s->wires[w];

			if (fault_deadline(wire->ports[p].to) > s->now_ns)
				continue;
			if (wire->ports[p].host && wire->ports[p].host->st)
				host_input(wire->ports[p].host, wire->ports[p].iface);
			else
				while (fault_take(wire->ports[p].to, 0, gone, 1, s->now_ns) > 0)
					if (s->stranger && !wire->ports[p].host)
						s->stranger(s, wire, p, gone[0].head, gone[0].head_len);
		}
}

void sim_check(struct sim *s)
{
	for (unsigned i = 0; i < s->n_hosts; i++)
		if (s->hosts[i]->st && !berth_stack_check(s->hosts[i]->st))
			sim_fail(s, "berth_stack_check", "host %u", i);
	for (unsigned w = 0; w < s->n_wires; w++)
		for (unsigned p = 0; p < s->wires[w]->n_ports; p++)
			ASSERT(fault_check(s->wires[w]->ports[p].to));
}

static void step(struct sim *s)
{
	run_plans(s);
	deliver(s);
	app_timers(s);
	for (unsigned i = 0; i < s->n_hosts; i++)
		host_pump(s->hosts[i]);
	silence_check(s);
	if (s->now_ns >= s->check_ns) {
		sim_check(s);
		s->check_ns = s->now_ns + 200 * SIM_MS; /* of virtual time, and only when something happens */
	}
	if (++s->n_events > STEPS_MAX)
		sim_fail(s, "livelock", "%" PRIu64 " steps", s->n_events);
}

bool sim_run_until(struct sim *s, bool (*done)(struct sim *s), uint64_t end_ns)
{
	while (!done(s)) {
		uint64_t at = next_time(s);

		if (at == BERTH_NEVER)
			sim_fail(s, "stall", "nothing is left to happen, and not all is done");
		if (at > end_ns) {
			s->now_ns = end_ns;
			return false;
		}
		s->now_ns = at;
		step(s);
	}
	return true;
}

static bool never(struct sim *s)
{
	return next_time(s) == BERTH_NEVER;
}

void sim_run_for(struct sim *s, uint64_t ns)
{
	uint64_t end_ns = s->now_ns + ns;

	sim_run_until(s, never, end_ns);
	s->now_ns = end_ns;
}

/* TIME-WAIT and half-open handshakes are over, too. */
static bool no_time_wait(struct sim *s)
{
	for (unsigned i = 0; i < s->n_flows; i++)
		if (s->flows[i]->end[SIM_CLIENT].is_open || s->flows[i]->end[SIM_SERVER].is_open)
			return false; /* a server that heard of its client after the client was gone */
	for (unsigned i = 0; i < s->n_hosts; i++) {
		struct sim_host *h = s->hosts[i];

		if (h->n_closing)
			return false;
		if (h->st && (port_table_n_claims(&h->st->ports) > h->n_listeners || h->st->tcp->syns.n_used > 0))
			return false;
	}
	return wire_frames_on_way(s) == 0;
}

/* What is due is done, also at a host whose program is late; does that leave something to be sent? */
static bool has_more_to_say(struct sim *s)
{
	bool r = false;

	for (unsigned i = 0; i < s->n_hosts; i++) {
		struct berth_stack *st = s->hosts[i]->st;

		if (!st)
			continue;
		(void)berth_stack_tick(st, s->now_ns, 16);
		r |= st->pkts.n_used != 0;
	}
	return r;
}

void sim_expect_all_over(struct sim *s)
{
	for (unsigned i = 0; i < s->n_flows; i++) {
		struct sim_flow *f = s->flows[i];
		struct sim_end *c = &f->end[SIM_CLIENT], *v = &f->end[SIM_SERVER];

		if (f->may_fail || (f->may_not_connect && !c->is_connected))
			continue;
		if (c->err || v->err)
			sim_fail(s, "error", "flow %u: %s, %s", i, strerror(-c->err), strerror(-v->err));
		sim_expect_u64(s, "every octet arrived at the server", v->received, c->sent);
		sim_expect_u64(s, "every octet arrived at the client", c->received, v->sent);
	}
	if (!sim_run_until(s, no_time_wait, s->now_ns + 900 * SIM_S))
		for (unsigned i = 0; i < s->n_hosts; i++)
			host_expect_clean(s->hosts[i]);
	for (unsigned i = 0; i < s->n_flows; i++)
		app_expect_over(s->flows[i]);
	sim_run_for(s, 10 * SIM_S); /* neighbours are done with their questions */
	for (unsigned i = 0; i < 10 && has_more_to_say(s); i++)
		sim_run_for(s, SIM_S); /* a host took another temporary address just now */
	sim_check(s);
	for (unsigned i = 0; i < s->n_hosts; i++)
		host_expect_clean(s->hosts[i]);
}
