/* src/stack/tcp_fastopen.c: TCP Fast Open (RFC 7413): data with the SYN, for who has been here before.
 *
 * Server (BERTH_FASTOPEN on a listener: how many such connections may be without the end of their handshake). A SYN that asks gets a
 * cookie with the SYN-ACK: a keyed hash of the client's address and the day, so that only who can hear us has one. A SYN with a good
 * cookie makes a connection at once, in SYN-RECEIVED and on the accept queue; its data can be read before the handshake is done.
 * All other SYNs, and those beyond the limit, take the usual way, their data dropped (the client sends it again).
 *
 * Client (BERTH_FASTOPEN 1 before connect()). Without a cookie for the peer the SYN asks for one. With one, what the program writes between
 * connect() and the next berth_stack_output() goes with the SYN, as far as one segment takes it. Sent again, the SYN is a plain one
 * (RFC 7413, 4.1.3.1), and the cookie is forgotten: something on the way may drop such SYNs. What the SYN-ACK does not acknowledge is
 * sent anew.
 *
 *	cookies[]	CLIENT_COOKIES peers; the one learned first makes room
 */
#include <string.h>

#include "stack/tcp_control.h"

#define COOKIE_BYTES 8
#define CLIENT_COOKIES 32
#define DAY_NS (UINT64_C(86400) * NS_PER_S)

struct tcp_fastopen_cookie {
	uint8_t peer[16];
	uint8_t cookie[WIRE_TCP_COOKIE_MAX];
	uint16_t mss; /* the peer's, as its SYN-ACK had it */
	uint8_t n;    /* octets; 0: free */
	uint8_t zero;
};

struct tcp_fastopen_state {
	struct siphash_key key;
	uint32_t next;
	struct tcp_fastopen_cookie cookies[CLIENT_COOKIES];
};

void tcp_fastopen_layout(struct arena *a, struct tcp_state *t)
{
	struct tcp_fastopen_state *o = arena_take(a, sizeof(*o));

	if (t != NULL)
		t->fastopen = o;
}

void tcp_fastopen_init(struct berth_stack *st)
{
	st->tcp->fastopen->key = siphash_key_derive(&st->keys.cookie[0], "fast open");
}

/* --- server --- */

static void make(const struct berth_stack *st, const struct port_addr *client, uint64_t day, uint8_t ret[COOKIE_BYTES])
{
	uint8_t k[24];
	uint64_t h;

	memcpy(k, client->b, 16);
	wire_put32(k + 16, (uint32_t)(day >> 32));
	wire_put32(k + 20, (uint32_t)day);
	h = siphash24(&st->tcp->fastopen->key, k, sizeof(k));
	wire_put32(ret, (uint32_t)(h >> 32));
	wire_put32(ret + 4, (uint32_t)h);
}

void tcp_fastopen_offer(struct berth_stack *st, const struct port_addr *client, struct wire_tcp_options *o)
{
	o->has |= WIRE_TCP_HAS_COOKIE;
	o->cookie_bytes = COOKIE_BYTES;
	make(st, client, st->now_ns / DAY_NS, o->cookie);
}

bool tcp_fastopen_good(struct berth_stack *st, const struct tcp_conn *l, const struct tcp_seg *s)
{
	const struct wire_tcp_options *o = &s->opt;
	uint64_t day = st->now_ns / DAY_NS;
	uint8_t want[COOKIE_BYTES];

	if (!(o->has & WIRE_TCP_HAS_COOKIE) || o->cookie_bytes != COOKIE_BYTES ||
	    st->tcp->n_fastopen >= l->fastopen_max)
		return false;
	for (uint64_t ago = 0; ago < 2 && ago <= day; ago++) {
		make(st, &s->p->src, day - ago, want);
		if (memcmp(want, o->cookie, COOKIE_BYTES) == 0)
			return true;
	}
	return false;
}

/* --- client --- */

static struct tcp_fastopen_cookie *find(struct berth_stack *st, const struct tcp_conn *c)
{
	struct tcp_fastopen_cookie *v = st->tcp->fastopen->cookies;

	for (unsigned i = 0; i < CLIENT_COOKIES; i++)
		if (v[i].n != 0 && memcmp(v[i].peer, c->w->peer.b, 16) == 0)
			return &v[i];
	return NULL;
}

void tcp_fastopen_ask(struct berth_stack *st, const struct tcp_conn *c, struct wire_tcp_options *o)
{
	const struct tcp_fastopen_cookie *k = find(st, c);

	if (!(c->f & TF_FASTOPEN) || c->w->n_rtx != 0)
		return;
	o->has |= WIRE_TCP_HAS_COOKIE;
	o->cookie_bytes = k != NULL ? k->n : 0;
	if (k != NULL)
		memcpy(o->cookie, k->cookie, k->n);
}

uint32_t tcp_fastopen_room(struct berth_stack *st, const struct tcp_conn *c)
{
	const struct tcp_fastopen_cookie *k;
	uint32_t room;

	if (c->state != TCP_SYN_SENT || c->w->nxt != c->iss || !(c->f & TF_FASTOPEN) || c->w->n_rtx != 0)
		return 0;
	k = find(st, c);
	if (k == NULL)
		return 0;
	room = tcp_mss_offer(c->w->route.mtu_bytes, port_addr_is4(&c->w->local), c->mss_user);
	if (k->mss < room)
		room = k->mss;
	return room > WIRE_TCP_OPTIONS_MAX ? room - WIRE_TCP_OPTIONS_MAX
					   : 0; /* so much as Linux: whatever options there are */
}

uint32_t tcp_fastopen_len(struct berth_stack *st, const struct tcp_conn *c)
{
	uint32_t room = tcp_fastopen_room(st, c);

	return c->tx.used < room ? c->tx.used : room;
}

void tcp_fastopen_answered(struct berth_stack *st, struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp_fastopen_cookie *k = find(st, c);

	if (!(c->f & TF_FASTOPEN))
		return;
	if (s->ack == c->iss + 1)
		c->f &= ~(
			uint32_t)TF_FASTOPEN; /* no data was taken with the SYN: a connection like others (tcp_info) */
	if (c->w->n_rtx != 0) {
		if (k != NULL)
			k->n = 0;
		return;
	}
	if (!(s->opt.has & WIRE_TCP_HAS_COOKIE) || s->opt.cookie_bytes < WIRE_TCP_COOKIE_MIN)
		return;
	if (k == NULL) {
		k = &st->tcp->fastopen->cookies[st->tcp->fastopen->next];
		st->tcp->fastopen->next = (st->tcp->fastopen->next + 1) % CLIENT_COOKIES;
	}
	memcpy(k->peer, c->w->peer.b, 16);
	memcpy(k->cookie, s->opt.cookie, s->opt.cookie_bytes);
	k->n = s->opt.cookie_bytes;
	k->mss = c->mss_peer;
}
