/* src/stack/tcp_cubic.c: CUBIC (RFC 9438), in integers: the same on every compiler.
 *
 *	W_cubic(t) = C * (t - K)^3 + W_max	K = cbrt((W_max - cwnd_epoch) / C)	C = 0.4, beta = 0.7
 *
 * Windows are octets, times milliseconds. t - K is cut at 2^19 ms, so that C * (t - K)^3 fits 64 bits in thousandths of a
 * segment; K is a cube root of an integer, exact to the millisecond. Beside the cubic runs the window that Reno would have (W_est, 4.3), and
 * the larger one counts.
 *
 * The formulas give fractions of segments, and only whole ones are sent. So cwnd is the nearest whole number of segments to the
 * window that is computed (w), not the next lower one: at a window of six, half a segment is much.
 *
 * What a spurious loss took is kept (4.9): W_max, K and the epoch are as they were.
 */
#include "stack/tcp_flight.h"

struct cubic {
	uint32_t epoch_us; /* when this stage of congestion avoidance began; 0: it has not */
	uint32_t k_ms;
	uint32_t w_max;	     /* octets; 0: no loss yet */
	uint32_t cwnd_prior; /* before the last loss */
	uint32_t w;	     /* the window, exactly; its fraction is cwnd_acked / w */
	uint32_t w_est, w_est_rest;
	union {
		struct hystart slow; /* until the first loss */
		struct {
			uint32_t w_max, k_ms;
		} before; /* the last loss */
	};
	bool resume; /* the next epoch goes on where the undone loss interrupted it */
};
_Static_assert(sizeof(struct cubic) <= TCP_CC_PRIVATE, "a congestion control's memory");

#define OFFSET_MAX_MS (1u << 19)

static struct cubic *of(struct tcp_conn *c)
{
	return (struct cubic *)(void *)c->w->cc_private;
}

/* The largest r with r^3 <= n. */
static uint32_t cube_root(uint64_t n)
{
	uint64_t r = 0;

	for (int s = 63; s >= 0; s -= 3) {
		uint64_t step;

		r *= 2;
		step = 3 * r * (r + 1) + 1;
		if (n >> s >= step) {
			n -= step << s;
			r++;
		}
	}
	return (uint32_t)r;
}

static uint32_t whole(const struct tcp_conn *c, uint32_t octets)
{
	return (octets + c->mss / 2u) / c->mss * c->mss;
}

static void init(struct tcp_conn *c)
{
	hystart_init(&of(c)->slow); /* the rest is zeros */
}

/* How long the cubic takes from W_max to `octets` away from it: cbrt(segments / 0.4) s, in ms. */
static uint32_t way_ms(const struct tcp_conn *c, uint64_t octets)
{
	return cube_root(octets * UINT64_C(2500000000) / c->mss);
}

static void epoch_begin(struct tcp_conn *c, struct cubic *q, uint32_t now_us)
{
	uint32_t t_ms = 0;

	if (q->resume) { /* 4.9: K and W_max are back, and so is the time that belongs to this height */
		uint32_t away_ms = way_ms(c, q->w_max > c->cwnd ? q->w_max - c->cwnd : c->cwnd - q->w_max);

		t_ms = c->cwnd > q->w_max ? q->k_ms + away_ms : away_ms < q->k_ms ? q->k_ms - away_ms : 0;
		q->resume = false;
	} else if (q->w_max > c->cwnd) {
		q->k_ms = way_ms(c, q->w_max - c->cwnd);
	} else {
		q->k_ms = 0; /* 4.2: no loss was seen, or more is used than then */
		q->w_max = c->cwnd;
	}
	q->epoch_us = now_us - t_ms * 1000;
	if (q->epoch_us == 0)
		q->epoch_us = 1;
	q->w = q->w_est = c->cwnd;
	q->w_est_rest = 0;
	c->w->cwnd_acked = 0;
}

/* W_cubic at t_ms of the epoch. */
static uint32_t w_cubic(const struct tcp_conn *c, const struct cubic *q, uint32_t t_ms)
{
	uint64_t off = t_ms > q->k_ms ? t_ms - q->k_ms : q->k_ms - t_ms, delta;

	if (off > OFFSET_MAX_MS)
		off = OFFSET_MAX_MS;
	delta = off * off * off * 4 / 10000000 * c->mss / 1000;
	if (t_ms < q->k_ms)
		return delta < q->w_max ? (uint32_t)(q->w_max - delta) : 0;
	return q->w_max + delta < CC_CWND_MAX ? (uint32_t)(q->w_max + delta) : CC_CWND_MAX;
}

/* 4.3: alpha = 3 * (1 - beta) / (1 + beta) = 9/17 until it is as large as before the loss, then 1. */
static void w_est_grow(const struct tcp_conn *c, struct cubic *q, uint32_t octets)
{
	uint64_t per = q->w_est < q->cwnd_prior ? (uint64_t)octets * c->mss * 9 / 17 : (uint64_t)octets * c->mss;
	uint64_t sum = q->w_est_rest + per;

	q->w_est += (uint32_t)(sum / q->w);
	q->w_est_rest = (uint32_t)(sum % q->w);
	if (q->w_est > CC_CWND_MAX)
		q->w_est = CC_CWND_MAX;
}

static void avoid(struct tcp_conn *c, struct cubic *q, const struct cc_ack *a, uint32_t octets)
{
	uint32_t t_ms, target;
	uint64_t sum;

	if (q->epoch_us == 0)
		epoch_begin(c, q, a->now_us);
	w_est_grow(c, q, octets);
	t_ms = (a->now_us - q->epoch_us) / 1000;
	if (w_cubic(c, q, t_ms) < q->w_est) { /* Reno would have more (4.3) */
		if (q->w < q->w_est)
			q->w = q->w_est;
	} else {
		target = w_cubic(c, q, t_ms + c->srtt_us / 1000); /* 4.4, 4.5: where it is to be in a round trip */
		if (target < q->w)
			target = q->w;
		if (target > q->w + q->w / 2)
			target = q->w + q->w / 2;
		sum = c->w->cwnd_acked + (uint64_t)(target - q->w) * octets;
		c->w->cwnd_acked = (uint32_t)(sum % q->w);
		q->w += (uint32_t)(sum / q->w);
	}
	if (q->w > CC_CWND_MAX)
		q->w = CC_CWND_MAX;
	if (c->cwnd < whole(c, q->w))
		c->cwnd = whole(c, q->w);
}

static void on_ack(struct tcp_conn *c, const struct cc_ack *a)
{
	struct cubic *q = of(c);
	uint32_t left = a->octets;

	if (c->ssthresh == CC_SSTHRESH_NONE)
		left = hystart_ack(c, &q->slow, a);
	else if (cc_in_slow_start(c))
		left = cc_slow_start(c, left);
	if (left > 0)
		avoid(c, q, a, left);
}

static uint32_t on_loss(struct tcp_conn *c)
{
	struct cubic *q = of(c);
	uint32_t least = 2u * c->mss, less = whole(c, c->cwnd / 10 * 7 + c->cwnd % 10 * 7 / 10);

	q->before.w_max = q->w_max;
	q->before.k_ms = q->k_ms;
	q->cwnd_prior = c->cwnd;
	q->resume = false;
	/* 4.7, fast convergence: who lost before it came back to where it was leaves room for others. */
	q->w_max = c->cwnd < q->w_max ? c->cwnd / 20 * 17 : c->cwnd;
	q->epoch_us = 0;
	c->w->cwnd_acked = 0;
	return less > least ? less : least; /* 4.6 */
}

static void undo(struct tcp_conn *c)
{
	struct cubic *q = of(c);

	q->w_max = q->before.w_max;
	q->k_ms = q->before.k_ms;
	q->resume = q->w_max != 0;
	q->epoch_us = 0;
	if (c->ssthresh == CC_SSTHRESH_NONE)
		hystart_init(&q->slow); /* it was the first: slow start goes on, in a new round */
}

/* The cubic's clock stands still while there is nothing to send (4.2, and 5.8 for who is limited by the program). */
static void on_idle(struct tcp_conn *c, uint32_t idle_us)
{
	struct cubic *q = of(c);

	if (q->epoch_us)
		q->epoch_us += idle_us;
}

static uint32_t kept(struct tcp_conn *c)
{
	return of(c)->w_max;
}

/* A new epoch towards where the last loss was. */
static void wake(struct tcp_conn *c, uint32_t w_max)
{
	of(c)->w_max = of(c)->cwnd_prior = w_max;
}

const struct tcp_cc_ops cc_cubic = {
	.name = "cubic",
	.init = init,
	.on_ack = on_ack,
	.on_loss = on_loss,
	.on_rto = on_loss,
	.undo = undo,
	.on_idle = on_idle,
	.kept = kept,
	.wake = wake,
};
