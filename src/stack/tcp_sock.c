/* src/stack/tcp_sock.c: TCP sockets as the program sees them: made, asked, told options; and TCP's memory.
 *
 * Options that a listener has are its children's too (tcp_inherit()). poll() says what Linux's tcp_poll() would say.
 */
#include <errno.h>
#include <string.h>

#include "stack/tcp_control.h"

#define TTL_DEFAULT 64
#define KEEP_S_MAX 32767 /* as Linux's MAX_TCP_KEEPIDLE */
#define KEEP_CNT_MAX 127

/* --- memory --- */

void tcp_layout(struct berth_stack *st, struct arena *a)
{
	struct tcp_state *t = arena_take(a, sizeof(*t));
	void *conns = arena_take(a, slab_size(st->cfg.n_conns, sizeof(struct tcp_conn)));
	void *bursts = arena_take(a, slab_size(st->cfg.n_bursts, sizeof(struct tcp_burst)));
	void *gaps = arena_take(a, slab_size(st->cfg.n_gaps, sizeof(struct tcp_gaps)));

	if (a->base != NULL) {
		st->tcp = t;
		slab_init(&st->conns, conns, st->cfg.n_conns, sizeof(struct tcp_conn));
		slab_init(&t->bursts, bursts, st->cfg.n_bursts, sizeof(struct tcp_burst));
		slab_init(&t->gaps, gaps, st->cfg.n_gaps, sizeof(struct tcp_gaps));
	}
	tcp_work_layout(st, a, t);
	tcp_rings_layout(st, a);
	tcp_syn_layout(st, a, t);
	tcp_wait_layout(st, a, t);
	tcp_fastopen_layout(a, t);
}

void tcp_init(struct berth_stack *st)
{
	struct tcp_conn *first = (struct tcp_conn *)(void *)st->conns.items;

	wheel_kind(&st->wheel, TIMER_TCP, &first->timer, sizeof(struct tcp_conn));
	st->tcp->orphans = (struct sock_queue){NIL, NIL};
	tcp_rings_init(st);
	tcp_syn_init(st);
	tcp_wait_init(st);
	tcp_fastopen_init(st);
}

uint32_t tcp_index(const struct berth_stack *st, const struct tcp_conn *c)
{
	return (uint32_t)((size_t)((const uint8_t *)c - st->conns.items) / sizeof(struct tcp_conn));
}

struct tcp_conn *tcp_block_new(struct berth_stack *st, uint8_t family, uint32_t *ret_index)
{
	struct tcp_conn *c;
	uint32_t i;

	tcp_orphans_yield(st);
	i = slab_take(&st->conns);
	if (i == NIL) {
		st->n.tcp_no_memory++;
		return NULL;
	}
	c = tcp_at(st, i);
	sock_init(&c->s, BERTH_TCP, family, 0);
	c->s.ttl = TTL_DEFAULT;
	c->state = TCP_CLOSED;
	c->cc = BERTH_CUBIC;
	c->ecn_wish = 2;
	c->pmtu_disc = 1;
	c->mtu_probing = 1;
	c->syncookies = 1;
	tcp_timers_init(c);
	*ret_index = i;
	return c;
}

void tcp_block_free(struct berth_stack *st, struct tcp_conn *c)
{
	uint32_t index = tcp_index(st, c);

	ASSERT(!timer_is_set(&c->timer));
	ASSERT(c->w == NULL || (c->w->gaps == NIL && c->w->burst_first == NIL));
	event_forget(st, index);
	sock_unready(st, index);
	tcp_work_give(st, c);
	slab_give(&st->conns, index);
}

void tcp_inherit(struct tcp_conn *c, const struct tcp_conn *l)
{
	c->s.ttl = l->s.ttl;
	c->s.tos = l->s.tos;
	c->s.bind_iface = l->s.bind_iface;
	c->s.flags |= l->s.flags & (SOCK_REUSEADDR | SOCK_REUSEPORT | SOCK_V6ONLY | SOCK_FREEBIND | SOCK_NODELAY |
				    SOCK_CORK | SOCK_KEEPALIVE | SOCK_PUBLIC);
	c->f |= l->f & (TF_RCVBUF_SET | TF_SNDBUF_SET | TF_QUICKACK);
	c->cc = l->cc;
	c->refuse = l->refuse;
	c->train = l->train;
	c->idle_keep = l->idle_keep;
	c->rcvbuf = l->rcvbuf;
	c->sndbuf = l->sndbuf;
	c->rcvlowat = l->rcvlowat;
	c->notsent_lowat = l->notsent_lowat;
	c->mss_user = l->mss_user;
	c->user_timeout_ms = l->user_timeout_ms;
	c->keep_idle_s = l->keep_idle_s;
	c->keep_intvl_s = l->keep_intvl_s;
	c->keep_cnt = l->keep_cnt;
	c->linger2_s = l->linger2_s;
	c->ecn_wish = l->ecn_wish;
	c->pmtu_disc = l->pmtu_disc;
	c->mtu_probing = l->mtu_probing;
	c->pacing_max_bps = l->pacing_max_bps;
}

int tcp_open(struct berth_stack *st, int family, uint64_t user, uint32_t *ret_index)
{
	struct tcp_conn *c = tcp_block_new(st, (uint8_t)family, ret_index);

	if (c == NULL)
		return -ENOBUFS;
	c->s.user = user;
	return 0;
}

/* --- poll: Linux's tcp_poll(), without the waiting --- */

int tcp_poll(struct berth_stack *st, uint32_t index)
{
	const struct tcp_conn *c = tcp_at(st, index);
	bool rd = c->f & TF_FIN_RCVD || c->s.flags & SOCK_SHUT_RD, wr = c->s.flags & SOCK_SHUT_WR;
	int mask = c->s.err ? BERTH_EV_ERR : 0;

	if (c->state == TCP_LISTEN)
		return c->accept_first != NIL ? BERTH_EV_IN : 0;
	if (c->state == TCP_CLOSED || (rd && wr))
		mask |= BERTH_EV_HUP;
	if (c->state == TCP_SYN_SENT || (c->state == TCP_SYN_RCVD && !(c->f & TF_PASSIVE)))
		return mask;
	if (c->state == TCP_CLOSED) {
		mask |= BERTH_EV_OUT;
		if (c->f & TF_CONNECTED || c->s.err)
			mask |= BERTH_EV_IN | BERTH_EV_RDHUP;
		return mask;
	}
	mask |= tcp_io_poll(c);
	if (rd)
		mask |= BERTH_EV_IN | BERTH_EV_RDHUP;
	if (wr)
		mask |= BERTH_EV_OUT; /* a write says EPIPE at once */
	return mask;
}

/* --- options --- */

static int set_flag(uint32_t *flags, uint32_t bit, uint64_t value)
{
	*flags = value ? *flags | bit : *flags & ~bit;
	return 0;
}

static int set_seconds(struct berth_stack *st, struct tcp_conn *c, uint16_t *field, uint64_t value, uint64_t max)
{
	if (value < 1 || value > max)
		return -EINVAL;
	*field = (uint16_t)value;
	tcp_keep_update(st, c);
	return 0;
}

static int set_u8(uint8_t *field, uint64_t value, uint64_t max)
{
	if (value > max)
		return -EINVAL;
	*field = (uint8_t)value;
	return 0;
}

static int set_buffer(struct tcp_conn *c, uint32_t *field, uint32_t bit, uint64_t value)
{
	if (value > UINT32_C(1) << 30)
		value = UINT32_C(1) << 30;
	if (value != 0 && value < 2048)
		value = 2048; /* as Linux: less makes no stream */
	*field = (uint32_t)value;
	return set_flag(&c->f, bit, value);
}

/* As Linux: less than 88 or more than 32767 is no size. TCP_MSS_FLOOR still holds for what is sent. */
static int set_maxseg(struct berth_stack *st, struct tcp_conn *c, uint64_t value)
{
	if (value != 0 && (value < TCP_MSS_USER_MIN || value > INT16_MAX))
		return -EINVAL;
	c->mss_user = (uint16_t)value;
	if (tcp_state_in(c, TCP_SYNCHRONIZED) && c->w != NULL)
		tcp_mss_update(st, c); /* else when it wakes */
	return 0;
}

static int set_refuse(struct tcp_conn *c, uint8_t bit, uint64_t value)
{
	if (c->state != TCP_CLOSED && c->state != TCP_LISTEN)
		return -EISCONN; /* it was agreed already */
	c->refuse = value ? c->refuse & (uint8_t)~bit : c->refuse | bit;
	return 0;
}

/* Those that change when something may be sent. */
static int set_sending(struct berth_stack *st, struct tcp_conn *c, enum berth_option o, uint64_t value)
{
	uint32_t bit = o == BERTH_NODELAY ? SOCK_NODELAY : SOCK_CORK;

	if (o == BERTH_NOTSENT_LOWAT)
		c->notsent_lowat = (uint32_t)(value > UINT32_MAX ? UINT32_MAX : value);
	else
		(void)set_flag(&c->s.flags, bit, value);
	if (tcp_state_in(c, TCP_SYNCHRONIZED))
		sock_ready(st, tcp_index(st, c));
	return 0;
}

static int set_quickack(struct berth_stack *st, struct tcp_conn *c, uint64_t value)
{
	if (value && c->w != NULL && tcp_state_in(c, TCP_SYNCHRONIZED) && c->rcv_nxt != c->w->rcv_acked) {
		c->f |= TF_ACK_NOW;
		sock_ready(st, tcp_index(st, c));
	}
	if (!value) { /* a dialogue, until acknowledgments find no ride */
		c->quickacks = 0;
		c->ato_pingpong = 1;
	}
	return set_flag(&c->f, TF_QUICKACK, value);
}

static int set_congestion(struct tcp_conn *c, uint64_t value)
{
	if (value != BERTH_NEWRENO && value != BERTH_CUBIC)
		return -EINVAL;
	if (value != c->cc)
		tcp_flight_congestion(c, (uint8_t)value);
	return 0;
}

int tcp_set(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t value)
{
	struct tcp_conn *c = tcp_at(st, index);
	int r;

	switch ((int)o) {
	case BERTH_NODELAY:
	case BERTH_CORK:
	case BERTH_NOTSENT_LOWAT:
		return set_sending(st, c, o, value);
	case BERTH_QUICKACK:
		return set_quickack(st, c, value);
	case BERTH_KEEPALIVE:
		(void)set_flag(&c->s.flags, SOCK_KEEPALIVE, value);
		tcp_keep_update(st, c);
		return 0;
	case BERTH_KEEPIDLE_S:
		return set_seconds(st, c, &c->keep_idle_s, value, KEEP_S_MAX);
	case BERTH_KEEPINTVL_S:
		return set_seconds(st, c, &c->keep_intvl_s, value, KEEP_S_MAX);
	case BERTH_KEEPCNT:
		r = set_u8(&c->keep_cnt, value, KEEP_CNT_MAX);
		return r == 0 && value == 0 ? -EINVAL : r;
	case BERTH_USER_TIMEOUT_MS:
		if (value > INT32_MAX)
			return -EINVAL;
		c->user_timeout_ms = (uint32_t)value;
		return 0;
	case BERTH_LINGER2_S:
		if (value > 120)
			return -EINVAL;
		c->linger2_s = (uint8_t)value;
		return 0;
	case BERTH_MAXSEG:
		return set_maxseg(st, c, value);
	case BERTH_CONGESTION:
		return set_congestion(c, value);
	case BERTH_PACING:
		c->pacing_max_bps = value;
		return 0;
	case BERTH_ECN:
		if (value > 2)
			return -EINVAL;
		c->ecn_wish = value & 3;
		return 0;
	case BERTH_RCVBUF:
		return set_buffer(c, &c->rcvbuf, TF_RCVBUF_SET, value);
	case BERTH_SNDBUF:
		return set_buffer(c, &c->sndbuf, TF_SNDBUF_SET, value);
	case BERTH_RCVLOWAT:
		c->rcvlowat = (uint32_t)(value > INT32_MAX ? INT32_MAX : value);
		return 0;
	case BERTH_DEFER_ACCEPT_S:
		return set_u8(&c->defer_s, value, UINT8_MAX);
	case BERTH_FASTOPEN:
		if (!tcp_state_in(c, TCP_IN(CLOSED) | TCP_IN(LISTEN)))
			return -EINVAL;
		c->fastopen_max = (uint16_t)(value > UINT16_MAX ? UINT16_MAX : value);
		return 0;
	case BERTH_PMTUDISC:
		if (value > 3)
			return -EINVAL;
		c->pmtu_disc = value & 3;
		return 0;
	case BERTH_SYNCOOKIES:
		if (value > 2)
			return -EINVAL;
		c->syncookies = value & 3;
		return 0;
	case BERTH_TIMESTAMPS:
		return set_refuse(c, TF_TS, value);
	case BERTH_SACK:
		return set_refuse(c, TF_SACK, value);
	case BERTH_WINDOW_SCALING:
		return set_refuse(c, TF_WSCALE, value);
	case BERTH_MTU_PROBING:
		if (value > 2)
			return -EINVAL;
		c->mtu_probing = value & 3;
		return 0;
	case BERTH_SYNCNT:
		r = set_u8(&c->syn_retries, value, 127);
		return r == 0 && value == 0 ? -EINVAL : r;
	case BERTH_IDLE_RESTART:
		c->idle_keep = !value;
		return 0;
	case BERTH_SYN_LINEAR:
		return set_u8(&c->syn_linear, value, 127);
	case BERTH_TRAIN:
		return set_u8(&c->train, value, 64);
	case BERTH_UTO:
		if (value > 2)
			return -EINVAL;
		c->refuse = (uint8_t)((c->refuse & ~(SAY_UTO | UTO_YIELDS)) | (value ? SAY_UTO : 0) |
				      (value == 2 ? UTO_YIELDS : 0));
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int tcp_get(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t *ret)
{
	const struct tcp_conn *c = tcp_at(st, index);
	const uint64_t values[BERTH_NOPTIONS] = {
		[BERTH_NODELAY] = (c->s.flags & SOCK_NODELAY) != 0,
		[BERTH_CORK] = (c->s.flags & SOCK_CORK) != 0,
		[BERTH_QUICKACK] = (c->f & TF_QUICKACK) != 0,
		[BERTH_KEEPALIVE] = (c->s.flags & SOCK_KEEPALIVE) != 0,
		[BERTH_KEEPIDLE_S] = c->keep_idle_s ? c->keep_idle_s : TCP_KEEP_IDLE_S,
		[BERTH_KEEPINTVL_S] = c->keep_intvl_s ? c->keep_intvl_s : TCP_KEEP_INTVL_S,
		[BERTH_KEEPCNT] = c->keep_cnt ? c->keep_cnt : TCP_KEEP_CNT,
		[BERTH_USER_TIMEOUT_MS] = c->user_timeout_ms,
		[BERTH_LINGER2_S] = c->linger2_s ? c->linger2_s : TCP_LINGER2_S,
		[BERTH_MAXSEG] = tcp_state_in(c, TCP_SYNCHRONIZED) ? c->mss
				 : c->mss_user			   ? c->mss_user
								   : 536,
		[BERTH_CONGESTION] = c->cc,
		[BERTH_PACING] = c->pacing_max_bps,
		[BERTH_ECN] = c->ecn_wish,
		[BERTH_RCVBUF] = c->f & TF_RCVBUF_SET ? c->rcvbuf : 0,
		[BERTH_SNDBUF] = c->f & TF_SNDBUF_SET ? c->sndbuf : 0,
		[BERTH_RCVLOWAT] = c->rcvlowat ? c->rcvlowat : 1,
		[BERTH_NOTSENT_LOWAT] = c->notsent_lowat,
		[BERTH_DEFER_ACCEPT_S] = c->defer_s,
		[BERTH_FASTOPEN] = c->fastopen_max,
		[BERTH_PMTUDISC] = c->pmtu_disc,
		[BERTH_SYNCOOKIES] = c->syncookies,
		[BERTH_TIMESTAMPS] = !(c->refuse & TF_TS),
		[BERTH_SACK] = !(c->refuse & TF_SACK),
		[BERTH_WINDOW_SCALING] = !(c->refuse & TF_WSCALE),
		[BERTH_SYNCNT] = c->syn_retries ? c->syn_retries : TCP_SYN_RETRIES,
		[BERTH_MTU_PROBING] = c->mtu_probing,
		[BERTH_TRAIN] = c->train,
		[BERTH_IDLE_RESTART] = !c->idle_keep,
		[BERTH_SYN_LINEAR] = c->syn_linear,
		[BERTH_UTO] = !(c->refuse & SAY_UTO)   ? 0
			      : c->refuse & UTO_YIELDS ? 2
						       : 1,
		[BERTH_FASTOPEN_ROOM] = tcp_fastopen_room(st, c),
	};
	/* Asked for, not answered with 0: options of sock.c and of UDP are not TCP's. */
	static const bool ours[BERTH_NOPTIONS] = {
		[BERTH_NODELAY] = true,	      [BERTH_CORK] = true,
		[BERTH_QUICKACK] = true,      [BERTH_KEEPALIVE] = true,
		[BERTH_KEEPIDLE_S] = true,    [BERTH_KEEPINTVL_S] = true,
		[BERTH_KEEPCNT] = true,	      [BERTH_USER_TIMEOUT_MS] = true,
		[BERTH_LINGER2_S] = true,     [BERTH_MAXSEG] = true,
		[BERTH_CONGESTION] = true,    [BERTH_PACING] = true,
		[BERTH_ECN] = true,	      [BERTH_RCVBUF] = true,
		[BERTH_SNDBUF] = true,	      [BERTH_RCVLOWAT] = true,
		[BERTH_NOTSENT_LOWAT] = true, [BERTH_DEFER_ACCEPT_S] = true,
		[BERTH_FASTOPEN] = true,      [BERTH_PMTUDISC] = true,
		[BERTH_SYNCOOKIES] = true,    [BERTH_TIMESTAMPS] = true,
		[BERTH_SACK] = true,	      [BERTH_WINDOW_SCALING] = true,
		[BERTH_SYNCNT] = true,	      [BERTH_MTU_PROBING] = true,
		[BERTH_TRAIN] = true,	      [BERTH_IDLE_RESTART] = true,
		[BERTH_SYN_LINEAR] = true,    [BERTH_UTO] = true,
		[BERTH_FASTOPEN_ROOM] = true,
	};

	if (o == BERTH_SO_ERROR) { /* none that ended it: what the way reported, once, as Linux does */
		*ret = (uint64_t)-c->soft_err;
		tcp_at(st, index)->soft_err = 0;
		return 0;
	}
	if ((unsigned)o >= BERTH_NOPTIONS || !ours[o])
		return -ENOPROTOOPT;
	*ret = values[o];
	return 0;
}

/* --- the checker --- */

static bool conn_check(const struct berth_stack *st, const struct tcp_conn *c)
{
	uint64_t next = NEVER_NS;

	for (int i = 0; i < TCP_NDEADLINES; i++)
		if (tcp_deadline(c, (enum tcp_deadline)i) < next)
			next = tcp_deadline(c, (enum tcp_deadline)i);
	if (next != NEVER_NS && timer_at_ns(&c->timer) >= next + WHEEL_TICK_NS) /* D1 */
		return false;
	if (c->state == TCP_CLOSED && next != NEVER_NS) /* D2 */
		return false;
	if (c->state == TCP_LISTEN && c->w != NULL) /* W1 */
		return false;
	if (c->state == TCP_CLOSED || c->state == TCP_LISTEN)
		return true;
	if (c->w == NULL)
		return tcp_state_in(c, TCP_SYNCHRONIZED) && c->rx.used == 0 && c->tx.held == 0;
	if (!seq_le(c->una, c->w->nxt) || !seq_le(c->w->nxt, c->w->max)) /* C1 */
		return false;
	return tcp_flight_check(st, c) && tcp_rings_check(st, c);
}

/* L2: what a listener counts is on its queue. */
static bool listener_check(struct berth_stack *st, const struct tcp_conn *l)
{
	uint32_t n = 0, prev = NIL;

	for (uint32_t i = l->accept_first; i != NIL; i = tcp_at(st, i)->s.accept_next) {
		if (!slab_used(&st->conns, i) || !(tcp_at(st, i)->f & TF_IN_ACCEPT) || ++n > l->n_accept)
			return false;
		prev = i;
	}
	return n == l->n_accept && l->accept_last == prev;
}

/* L3: orphans are those that wait for BERTH_EV_CLOSED and are not done, in one list. */
static bool orphans_check(struct berth_stack *st, uint32_t n_orphans)
{
	uint32_t n;

	return sock_list_check(st, &st->tcp->orphans, true, SOCK_ORPHAN, &n) && n == n_orphans &&
	       n == st->tcp->n_orphans;
}

bool tcp_check(const struct berth_stack *cst)
{
	struct berth_stack *st = (struct berth_stack *)cst; /* looked at only */
	uint32_t orphans = 0, early = 0;

	for (uint32_t i = 0; i < st->conns.n_max; i++) {
		const struct tcp_conn *c;

		if (!slab_used(&st->conns, i))
			continue;
		c = tcp_at(st, i);
		early += c->state == TCP_SYN_RCVD && c->f & TF_FASTOPEN && c->f & TF_PASSIVE ? 1 : 0;
		orphans += c->f & TF_OWE_CLOSED && c->state != TCP_CLOSED;
		if (!conn_check(st, c) || (c->state == TCP_LISTEN && !listener_check(st, c)))
			return false;
	}
	return orphans_check(st, orphans) && early == st->tcp->n_fastopen && slab_check(&st->conns) &&
	       tcp_work_check(st) && tcp_ring_guards_check(st) && slab_check(&st->tcp->bursts) &&
	       slab_check(&st->tcp->gaps) && tcp_syn_check(st) && tcp_wait_check(st);
}
