/* fuzz/pair_link.c: the frames between two stacks: what each gives out and gets, and what the input does with them on their way. */
#include "pair.h"

#include <stdlib.h>
#include <string.h>

#include "link/segment.h"
#include "pair_mutate.h"
#include "wire/checksum.h"

#define MSL (120 * SECOND) /* RFC 9293, 3.4.3: who keeps a frame longer breaks what TCP relies on */
/* One frame may release what every connection has in its ring, in the smallest segments, and UDP's queue; what has no payload
 * is a duplicate acknowledgment for each segment of a super-frame (64), or little. */
#define BARE_MAX (64 + 2 * N_CONNS + 4)
#define ANSWERS_MAX (BARE_MAX + N_CONNS * (RING / 216 + 4) + 2 * RING / 64)
/* Each connection has so many answers to doubtful segments until time goes by (tcp_reset.c), and what is in its rings. */
#define SETTLE_MAX 6000

static uint8_t sent_octets[LOOK_ROOM];

/* --- w.frames out --- */

static uint32_t sum_of(const struct berth_tx *tx)
{
	uint32_t sum = 0, at = 0;

	for (unsigned i = 0; i < tx->n_parts; at += tx->parts[i].len, i++)
		sum = wire_sum_at(sum, at, tx->parts[i].data, tx->parts[i].len);
	return wire_sum_fold(sum);
}

void pair_unpin(struct side *s, unsigned i)
{
	struct pinned p = s->pinned[i];

	ASSERT(sum_of(&p.tx) == p.sum); /* it would be written only now */
	s->pinned[i] = s->pinned[--s->n_pinned];
	berth_stack_unpin(s->st, p.tx.pin);
}

static void push(struct side *s, struct link_frame *f)
{
	if (s->out.n == N_QUEUE) {
		link_frame_free(&w.frames, f);
		return;
	}
	f->sent_ns = w.now_ns;
	s->out.v[s->out.n++] = f;
}

static struct link_frame *take(struct side *s, unsigned i)
{
	struct link_frame *f = s->out.v[i];

	memmove(&s->out.v[i], &s->out.v[i + 1], (--s->out.n - i) * sizeof(f));
	return f;
}

static void look(struct side *s, const struct berth_tx *tx)
{
	struct link_frame *f;
	struct link_view v;

	stack_look(tx, &s->iface, sent_octets, &v);
	if (v.has_tcp ? v.tcp.payload.len_bytes > 0 : v.proto == WIRE_PROTO_UDP || v.fragment)
		s->n_full++;
	else
		s->n_bare++;
	f = link_frame_from(&w.frames, tx, s->iface.link);
	ASSERT(f != NULL);
	pair_say(s, "sends", f);
	push(s, f);
}

void pair_drain(struct side *s)
{
	struct berth_tx tx[8];
	unsigned n, full = 0, pinned;

	do {
		n = berth_stack_output(s->st, tx, COUNT_OF(tx), w.now_ns);
		for (unsigned i = 0; i < n; i++)
			look(s, &tx[i]);
		for (pinned = 0; pinned < n; pinned++) {
			if (tx[pinned].pin == 0)
				continue;
			if (s->n_pinned == N_PINNED)
				pair_unpin(s, 0);
			s->pinned[s->n_pinned++] = (struct pinned){tx[pinned], sum_of(&tx[pinned])};
		}
		ASSERT(++full < 2 * ANSWERS_MAX);
	} while (n > 0);
}

/* --- w.frames in --- */

/* The frame is free afterwards, or one of those that may be repeated. */
static void remember(struct side *from, struct link_frame *f)
{
	unsigned at = from->n_old++ % N_OLD;

	if (from->old[at] != NULL)
		link_frame_free(&w.frames, from->old[at]);
	from->old[at] = f;
}

/* In memory of just its size, so that a read past its end is seen; in one piece, or the payload in two. */
static uint8_t *exact(const struct link_frame *f, bool split, struct berth_rx *ret, struct berth_part parts[2])
{
	uint8_t *octets = malloc(f->len > 0 ? f->len : 1);
	struct link_view v;
	uint32_t at;

	ASSERT(octets != NULL);
	memcpy(octets, f->data, f->len);
	link_frame_rx(f, 0, ret);
	ret->head = octets;
	if (!split || link_view(octets, f->len, f->link, &v) < 0 || !v.has_tcp)
		return octets;
	at = (uint32_t)(v.tcp.payload.data - octets);
	parts[0] = (struct berth_part){octets + at, (f->len - at) / 3};
	parts[1] = (struct berth_part){octets + at + parts[0].len, f->len - at - parts[0].len};
	ret->head_len = at;
	ret->parts = parts;
	ret->n_parts = 2;
	return octets;
}

/* The first n of what is on its way from `from`, in one batch. Nothing waits to be sent at the receiver: what it sends then is the answer. */
static void deliver(struct side *from, unsigned n, bool split)
{
	struct side *to = other(from);
	struct link_frame *f[8];
	struct berth_part parts[8][2];
	struct berth_rx rx[8];
	uint8_t *octets[8];

	n = n < COUNT_OF(f) ? n : COUNT_OF(f);
	n = n < from->out.n ? n : from->out.n;
	pair_drain(to);
	for (unsigned i = 0; i < n; i++) {
		f[i] = take(from, 0);
		if (w.now_ns - f[i]->sent_ns > MSL)
			w.is_forged = true;
		pair_say(to, "gets", f[i]);
		octets[i] = exact(f[i], split, &rx[i], parts[i]);
	}
	to->n_bare = to->n_full = 0;
	berth_stack_input(to->st, rx, n, w.now_ns);
	for (unsigned i = 0; i < n; i++) {
		memset(octets[i], 0x5a, f[i]->len);
		free(octets[i]);
		remember(from, f[i]);
	}
	pair_drain(to);
	ASSERT(to->n_bare <= n * BARE_MAX && to->n_bare + to->n_full <= n * ANSWERS_MAX);
}

/* All that is on its way arrives, and the answers, until both are silent. */
void pair_settle(void)
{
	unsigned n = 0;

	pair_drain(&w.sides[0]);
	pair_drain(&w.sides[1]);
	while (w.sides[0].out.n > 0 || w.sides[1].out.n > 0)
		for (unsigned i = 0; i < 2; i++) {
			unsigned some = w.sides[i].out.n < 8 ? w.sides[i].out.n : 8;

			deliver(&w.sides[i], some, false);
			n += some;
			ASSERT(n <= SETTLE_MAX);
		}
}

/* --- what the link does --- */

static void cut(struct side *s, unsigned i, uint16_t size)
{
	struct link_frame *f = s->out.v[i], *piece;
	struct link_segments parts;

	if (size != 0) {
		f->gso_size = size;
		w.is_forged = true;
	}
	if (link_segments_init(&parts, f) < 0 || link_segments_count(&parts) > N_QUEUE)
		return;
	f = take(s, i);
	while ((piece = link_segments_next(&parts, &w.frames)) != NULL)
		push(s, piece);
	link_frame_free(&w.frames, f);
}

static void merge(struct side *s, unsigned i)
{
	if (i + 1 >= s->out.n)
		return;
	link_frame_finish(s->out.v[i]);
	link_frame_finish(s->out.v[i + 1]);
	if (link_merge(&w.frames, &s->out.v[i], s->out.v[i + 1]))
		link_frame_free(&w.frames, take(s, i + 1));
}

/* Congestion experienced, where the sender can hear of it (RFC 3168). */
static void mark(struct link_frame *f)
{
	struct link_view v;
	uint8_t *ip;

	if (link_view(f->data, f->len, f->link, &v) < 0 || v.family == 0 || (v.tos & 3) == 0)
		return;
	ip = f->data + v.ip_at;
	if (v.family == 6) {
		ip[1] |= 0x30;
		return;
	}
	ip[1] |= 3;
	wire_put16(ip + 10, 0);
	wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, v.l4_at - v.ip_at)));
}

static void copy_to(struct side *s, const struct link_frame *from, uint64_t sent_ns)
{
	struct link_frame *f = link_frame_copy(&w.frames, from);

	ASSERT(f != NULL);
	push(s, f);
	f->sent_ns = sent_ns;
}

void pair_link_step(struct side *s, uint8_t what, uint8_t how)
{
	unsigned i = cursor_get_u8(&w.in);
	const struct link_frame *old = s->old[i % N_OLD];
	struct link_frame *f;

	if (what == 6 && old != NULL && s->out.n < N_QUEUE)
		copy_to(s, old, old->sent_ns);
	if (s->out.n == 0)
		return;
	i %= s->out.n;
	switch (what) {
	case 0: /* this one first */
		f = take(s, i);
		memmove(&s->out.v[1], &s->out.v[0], s->out.n++ * sizeof(f));
		s->out.v[0] = f;
		deliver(s, 1, how & 1);
		break;
	case 1:
		deliver(s, i + 1, how & 1);
		break;
	case 2:
		deliver(s, COUNT_OF(s->out.v), how & 1);
		break;
	case 3:
		link_frame_free(&w.frames, take(s, i));
		break;
	case 4:
		if (s->out.n < N_QUEUE)
			copy_to(s, s->out.v[i], s->out.v[i]->sent_ns);
		break;
	case 5: /* last */
		f = take(s, i);
		s->out.v[s->out.n++] = f;
		break;
	case 7:
		if (how == 0)
			cut(s, i, 0);
		else if (how == 1)
			merge(s, i);
		else
			mark(s->out.v[i]);
		break;
	default:
		break;
	}
}

/* Somebody who is not only bad luck. */
void pair_attack(struct side *s, uint8_t how)
{
	unsigned i = cursor_get_u8(&w.in);
	const struct side *from = i & 128 ? s : other(s);
	const struct link_frame *with = i & 64 ? s->old[i % N_OLD] : NULL;
	struct link_frame *f;

	if (s->out.n == 0)
		return;
	w.is_forged = true;
	f = s->out.v[i % s->out.n];
	if (how == 3 && i & 32) {
		cut(s, i % s->out.n, cursor_get_be16(&w.in) % 2000);
		return;
	}
	if (how == 3) {
		f = pair_icmp_about(&w.in, &w.frames, f);
		if (f != NULL)
			push(other(s), f);
		return;
	}
	if (with == NULL && from->out.n > 0)
		with = from->out.v[i / 8 % from->out.n];
	pair_mutate(&w.in, f, with == f ? NULL : with);
	if (how == 2)
		deliver(s, COUNT_OF(s->out.v), i & 1);
}

/* --- an end of it --- */

void pair_lose(struct side *s)
{
	while (s->out.n > 0)
		link_frame_free(&w.frames, take(s, 0));
}

void pair_forget(struct side *s)
{
	pair_lose(s);
	for (unsigned k = 0; k < N_OLD; k++)
		if (s->old[k] != NULL)
			link_frame_free(&w.frames, s->old[k]);
}

void pair_unpin_all(struct side *s)
{
	while (s->n_pinned > 0)
		pair_unpin(s, 0);
}
