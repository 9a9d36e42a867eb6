/* src/network/mailbox.c: a mailbox: datagrams in a ring, the lock around it, the doorbell beside it.
 *
 *     file    | struct box: lock, numbers, what the socket is |  ring, a power of two, grows  | tail |
 *     ring    ... | slip, octets | slip, octets | slip, octets | ...     wraps at any octet
 *                 ^ at                                          ^ at + used
 *
 * put: lock, room?, copy in, unlock, ring if the mailbox was empty. take: lock, copy out, take the octet of
 * the doorbell if the mailbox is empty now, unlock. Neither call blocks.
 *
 * The doorbell is rung after the lock is given back: whoever it wakes may run at once, in our place on our
 * processor, and wants the lock. So a receiver that was not woken, but looked by itself, may find
 * the mailbox empty again before the octet came. It waits for it (settle()), as the socket would look readable
 * else; `ringing` says that one is on its way. A ringer that was killed there is found out by time; one that was only
 * stopped, and comes late, finds that he was given up, and has his octet counted again. Whoever does not know whether
 * an octet is there, or still comes, counts it in both numbers (doubt()): then nobody relies on it, and time
 * tells. Who relied on an octet that is not there would leave his datagram to one who sleeps.
 *
 * Who waits in a receive looks for a while and then sleeps, both on a word of the mailbox. A datagram that comes
 * while somebody looks, or wakes a sleeper, is his, and is not rung: nobody else needs to know. What he leaves in
 * he rings for; if nobody was woken after all, the sender does. Who looks says until when, so that one who was
 * killed there keeps no bell from ringing for longer than that.
 *
 * SO_RCVBUF counts as Linux counts: each datagram as the memory its sk_buff would take. What is over
 * the limit is dropped and counted. The ring starts small and doubles up to what the limit can need;
 * its memory is reserved before it is used, so a full disk drops datagrams and kills nobody.
 *
 * Nobody tells that a socket was closed. Ringing tells (ECONNREFUSED); while the mailbox is not empty and
 * nobody takes anything out, senders look now and then (a probe of the path with the wrong socket type).
 *
 * Elsewhere: what the socket is (mailbox_state.c), its beginning and end (mailbox_make.c), the mapping
 * (mailbox_map.c), who gets a datagram (udp.c).
 *
 * All numbers in the file are checked when they are read; a ring that makes no sense is emptied.
 *
 * Always true while the lock is free, in a file nobody scribbled on
 *   M1  cap is a power of two, at < cap, used <= cap, n == 0 exactly if used == 0;
 *   M2  the octets of at .. at + used are n slips with their datagrams, one after the other;
 *   M3  bells octets are in the doorbell, or on their way from one of `ringing`; at least one exactly
 *       if n > 0, but for a datagram that one who looks, or a sleeper just waking, is going to take;
 *   M4  whoever was killed, stopped or given up: bells - ringing octets, or more, are in the doorbell (but for
 *       a receiver who rings for what an error left behind: it is his own doorbell).
 */
#include <linux/futex.h>
#include <string.h>
#include <sys/un.h>

#include "network/mailbox_ring.h"

#define SLIP_ALIGN 8u
#define SIGN_US 1000	/* so long a mailbox that is not emptied is believed to have a socket */
#define RERING_US 20000 /* an octet somebody took past us is rung again after so long */
#define SETTLE_US 5000	/* so long we wait for an octet on its way: its sender may not be running */
#define SETTLE_SPINS 100
#define WATCH_PREEMPTED_NS 15000
#define BELLS_QUEUE 16
#define BUSY_US 20000	   /* nobody rings so long: one of them was killed */
#define WATCH_MAX_US 1000  /* nobody looks for longer: a scribble, or another time namespace */
#define TRUESIZE_HEAD 256  /* struct sk_buff */
#define TRUESIZE_SMALL 576 /* the least room for octets */
#define TRUESIZE_OVER4 379 /* headers, and what an sk_buff keeps behind the octets */
#define TRUESIZE_OVER6 392
#define TRUESIZE_LINEAR_MAX 16384 /* more is in pages */

/* What stands before a datagram's octets in the ring. */
struct slip {
	uint32_t whole; /* octets of the ring this takes, slip included */
	uint32_t charge;
	struct letter m;
};

static uint32_t slip_octets(uint32_t len)
{
	return (uint32_t)((sizeof(struct slip) + len + SLIP_ALIGN - 1) & ~(SLIP_ALIGN - 1));
}

/* The memory of the sk_buff that would hold it on a loopback: what Linux 6.18 counts. */
static uint32_t charge_of(const struct letter *m)
{
	uint32_t room = TRUESIZE_SMALL,
		 want = m->len_bytes + (port_addr_is4(&m->dst) ? TRUESIZE_OVER4 : TRUESIZE_OVER6);

	if (want <= room)
		return TRUESIZE_HEAD + room;
	if (want > TRUESIZE_LINEAR_MAX)
		return TRUESIZE_HEAD + room + m->len_bytes;
	for (room = 1024; room < want;)
		room *= 2;
	return TRUESIZE_HEAD + room;
}

/* --- the doorbell --- */

static int new_socket(int type)
{
	return (int)raw_pass(SYS_socket, AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0);
}

/* Return: 1, rung; 0, it lives but takes no octet now; -ECONNREFUSED, it is gone; others: not to be reached. */
static int ring(const struct network *n, uint64_t key, int from)
{
	char leaf[REACH_LEAF_MAX];
	int r;

	box_path(key, "", leaf);
	r = from >= 0 ? reach_ring(n, from, leaf) : -EBADF;
	if (r < 0 && r != -ECONNREFUSED && r != -ENOENT) {
		/* Our own socket may not send now (shut down, its buffer charged by others): another one may. */
		int fd = new_socket(SOCK_DGRAM);

		if (fd >= 0) {
			r = reach_ring(n, fd, leaf);
			raw_close(fd);
		}
	}
	if (r == 1)
		return 1;
	if (r == -ENOENT)
		return -ECONNREFUSED;
	return r == -EAGAIN || r == -EPIPE || r == -EPERM ? 0 : r;
}

int box_probe(const struct network *n, uint64_t key)
{
	char leaf[REACH_LEAF_MAX];
	int fd = new_socket(SOCK_STREAM), r;

	if (fd < 0)
		return fd;
	box_path(key, "", leaf);
	r = reach_connect(n, fd, leaf);
	raw_close(fd);
	return r == -EPROTOTYPE ? 1 : r == -ECONNREFUSED || r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* Take up to `most` octets out of our own doorbell. Return: how many there were. */
static uint32_t silence(int doorbell, uint32_t most)
{
	uint8_t octet[8];

	for (uint32_t i = 0; i < most; i++)
		if (raw_call(SYS_recvfrom, doorbell, (long)octet, sizeof(octet), MSG_DONTWAIT, 0, 0) < 0)
			return i;
	return most;
}

/* AF_UNIX gives a datagram socket ECONNRESET when its peer, who has unread octets, turns to somebody else. So: a
 * peer for a moment, an octet in it, and it turns away. Nobody else can ring meanwhile: the lock is held. */
void mailbox_mark(const struct network *n, uint64_t key, int doorbell)
{
	struct sockaddr_un theirs = {.sun_family = AF_UNIX};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(theirs);
	int fd = new_socket(SOCK_DGRAM);
	char ours[REACH_LEAF_MAX];

	if (fd < 0)
		return;
	box_path(key, "", ours);
	if (raw_pass(SYS_bind, fd, (long)&theirs, sizeof(theirs.sun_family), 0, 0) == 0 &&
	    raw_pass(SYS_getsockname, fd, (long)&theirs, (long)&len, 0, 0) == 0 &&
	    reach_send_octet(fd, &theirs, len) == 1 &&
	    raw_pass(SYS_connect, doorbell, (long)&theirs, (long)len, 0, 0) == 0) {
		(void)!reach_connect(n, fd, ours);
		(void)raw_pass(SYS_connect, fd, (long)&none, sizeof(none), 0, 0);
		(void)raw_pass(SYS_connect, doorbell, (long)&none, sizeof(none), 0, 0);
	}
	raw_close(fd);
}

/* --- the lock --- */

static uint32_t limit_of(const struct mailbox_state *s)
{
	int32_t v = s->opts_known & (1u << MAILBOX_OPT_RCVBUF) ? s->opts[MAILBOX_OPT_RCVBUF] : MAILBOX_RCVBUF_DEFAULT;

	return v < 0 ? 0 : v > MAILBOX_RCVBUF_MAX ? MAILBOX_RCVBUF_MAX : (uint32_t)v;
}

static void write_back(struct ring *g)
{
	g->b->at = g->at;
	g->b->used = g->used;
	g->b->n = g->n;
	g->b->charge = g->charge;
}

/* The ring's numbers, each read once and checked. A ring that makes no sense is emptied. */
static void attach(struct box_pin *p, const struct network *n, struct ring *ret)
{
	volatile struct box *b = p->b;
	uint32_t cap = b->cap, room;

	if (cap > p->len_bytes - BOX_HEAD_BYTES - BOX_TAIL_BYTES && cap <= 2 * MAILBOX_RCVBUF_MAX &&
	    (cap & (cap - 1)) == 0) {
		(void)!box_widen(n, p);
		b = p->b;
	}
	room = (uint32_t)(p->len_bytes - BOX_HEAD_BYTES - BOX_TAIL_BYTES);
	*ret = (struct ring){.b = p->b,
			     .mem = (uint8_t *)p->b + BOX_HEAD_BYTES,
			     .cap = cap,
			     .at = b->at,
			     .used = b->used,
			     .n = b->n,
			     .charge = b->charge};
	if (cap >= BOX_RING_FIRST && cap <= room && (cap & (cap - 1)) == 0 && ret->at < cap && ret->used <= cap &&
	    (ret->n == 0) == (ret->used == 0) && ret->n <= ret->used / sizeof(struct slip))
		return;
	TRACE(mailbox_damage, cap, ret->at, ret->used, ret->n);
	for (cap = BOX_RING_FIRST; 2 * cap <= room;)
		cap *= 2;
	ret->cap = cap;
	ret->at = ret->used = ret->n = ret->charge = 0;
	p->b->cap = cap;
	write_back(ret);
}

static uint32_t ringers(struct box *b)
{
	return RINGERS(atomic_load(&b->ringing));
}

/* Those who ring were killed, or do not run: who comes late has his octet counted again. Under the lock. */
static void give_up(struct box *b)
{
	atomic_store(&b->ringing, (GIVEN_UP(atomic_load(&b->ringing)) + 1) << 16);
	b->bells = 0;
	b->busy_us = 0;
}

/* An octet is there, or was taken, or never comes: nobody can tell. Under the lock. */
static void doubt(struct box *b)
{
	b->bells += b->bells < BELLS_MAX;
	atomic_fetch_add(&b->ringing, 1);
}

/* Of a mailbox that is pinned. Return: 0, locked; negative errno. */
static int lock_bells(struct box_pin *p)
{
	struct box *b = p->b;
	int r = map_lock_take(&b->lock, p->me, NULL);

	if (r != 1)
		return r;
	/* The last owner died in the middle. */
	if (atomic_load(&b->seq) & 1)
		atomic_fetch_add(&b->seq, 1);
	doubt(b);
	atomic_fetch_add(&b->ringing, b->bells); /* and he may have taken the others */
	return 0;
}

/* Of a mailbox that is pinned. Return: 0, locked and attached; negative errno, unpinned. */
static int box_lock(const struct network *n, struct box_pin *p, struct ring *g)
{
	int r = lock_bells(p);

	if (r < 0)
		box_unpin(p);
	else
		attach(p, n, g);
	return r;
}

int box_open(struct network *n, uint64_t key, struct box_pin *p, struct ring *g)
{
	int r = box_pin(n, key, p);

	return r < 0 ? r : box_lock(n, p, g);
}

void box_close(struct box_pin *p)
{
	map_lock_give(&p->b->lock, p->me);
	box_unpin(p);
}

/* --- octets in and out of the ring --- */

static void ring_write(const struct ring *g, uint32_t at, const void *src, uint32_t len)
{
	uint32_t first;

	at &= g->cap - 1;
	first = len < g->cap - at ? len : g->cap - at;
	memcpy(g->mem + at, src, first);
	memcpy(g->mem, (const uint8_t *)src + first, len - first);
}

static void ring_read(const struct ring *g, uint32_t at, void *dst, uint32_t len)
{
	uint32_t first;

	at &= g->cap - 1;
	first = len < g->cap - at ? len : g->cap - at;
	memcpy(dst, g->mem + at, first);
	memcpy((uint8_t *)dst + first, g->mem, len - first);
}

/* --- growing --- */

int box_reserve(int fd, uint32_t cap)
{
	static const uint8_t ones[BOX_TAIL_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint64_t len = (uint64_t)BOX_HEAD_BYTES + cap;
	int r = file_reserve(fd, len + BOX_TAIL_BYTES);

	if (r == 0 && raw_pwrite(fd, ones, sizeof(ones), len) != sizeof(ones))
		r = -ENOSPC;
	return r;
}

static int reserve(const struct network *n, uint64_t key, uint32_t cap)
{
	char leaf[REACH_LEAF_MAX];
	int fd, r;

	box_path(key, ".box", leaf);
	fd = reach_open(n, leaf, O_RDWR, 0);
	if (fd < 0)
		return fd;
	r = box_reserve(fd, cap);
	raw_close(fd);
	return r;
}

/* Room for `more` octets beside what is in. Return: 0; -ENOBUFS. */
static int make_room(const struct network *n, uint64_t key, struct box_pin *p, struct ring *g, uint32_t more)
{
	uint32_t cap = g->cap, most = limit_of(&p->b->state) + slip_octets(UINT16_MAX);
	int r;

	if (g->used + more <= cap)
		return 0;
	while (cap < g->used + more)
		cap *= 2;
	if (cap > 2 * MAILBOX_RCVBUF_MAX || cap >= 4 * (uint64_t)most)
		return -ENOBUFS;
	if (BOX_HEAD_BYTES + cap + BOX_TAIL_BYTES > p->len_bytes) {
		r = reserve(n, key, cap);
		if (r == 0)
			r = box_widen(n, p);
		if (r < 0 || BOX_HEAD_BYTES + cap + BOX_TAIL_BYTES > p->len_bytes)
			return -ENOBUFS;
		g->b = p->b;
		g->mem = (uint8_t *)p->b + BOX_HEAD_BYTES;
	}
	/* What had wrapped goes behind where the ring ended: it is no longer than that. */
	if (g->at + g->used > g->cap)
		memcpy(g->mem + g->cap, g->mem, g->at + g->used - g->cap);
	g->cap = cap;
	g->b->cap = cap;
	return 0;
}

/* --- put --- */

/* The mailbox is not empty, and nobody was rung for this datagram: does anybody live there? */
static bool looks_dead(const struct network *n, uint64_t key, struct box *b, uint64_t now_us)
{
	if (now_us - b->sign_us < SIGN_US)
		return false;
	b->sign_us = now_us;
	return box_probe(n, key) == 0;
}

int box_wake(struct box *b, int most)
{
	return (int)raw_call(SYS_futex, (long)&b->word, FUTEX_WAKE, most, 0, 0, 0);
}

/* A datagram was put in: is the doorbell to be rung? 1 yes, 0 no, -ECONNREFUSED nobody lives there. */
static int announce(const struct network *n, uint64_t key, struct box_pin *p, bool was_empty)
{
	struct box *b = p->b;
	uint64_t now = network_now_us();
	uint32_t coming = ringers(b);

	if (coming == 0)
		b->busy_us = 0;
	if (b->bells != 0) {
		bool sure = b->bells > coming; /* who is on its way may be killed there */

		if (!was_empty && looks_dead(n, key, b, now))
			return -ECONNREFUSED;
		if (sure && now - b->rang_us < RERING_US)
			return 0;
	}
	b->sign_us = b->rang_us = now;
	p->turn = GIVEN_UP(atomic_fetch_add(&b->ringing, 1)); /* first: between the two we may be killed */
	b->bells += b->bells < BELLS_MAX;
	return 1;
}

/* Return: false, we were given up meanwhile. */
static bool rang(struct box_pin *p)
{
	uint32_t v = atomic_load(&p->b->ringing);

	while (RINGERS(v) != 0 && GIVEN_UP(v) == p->turn)
		if (atomic_compare_exchange_weak(&p->b->ringing, &v, v - 1))
			return true;
	return false;
}

int box_ring(struct network *n, uint64_t key, struct box_pin *p, int from)
{
	int r = ring(n, key, from);

	if ((r != 1 || !rang(p)) && lock_bells(p) >= 0) {
		if (r == 1)
			doubt(p->b); /* it is there, or somebody took it just now */
		else if (rang(p))
			p->b->bells -= p->b->bells != 0;
		map_lock_give(&p->b->lock, p->me);
	}
	return r < 0 ? r : 0;
}

/* There seemed to be a sleeper, and none was woken: he was on his way into or out of sleep, or was killed. */
static int nobody_woke(const struct network *n, uint64_t key, struct box_pin *p, bool was_empty)
{
	int r = lock_bells(p);

	if (r < 0)
		return r;
	r = p->b->n != 0 && p->b->bells == 0 ? announce(n, key, p, was_empty) : 0;
	map_lock_give(&p->b->lock, p->me);
	return r;
}

/* Who floods a mailbox that is full would fight with its reader for the lock, only to be told so again. After a
 * drop it looks first, without the lock; what it reads is perhaps old by a moment, as is what it would have been
 * told. Now and then the long way is gone, which finds out the dead. A hint by key: a wrong one costs a look. */
#define HABITS 256
static _Atomic uint8_t habit_full[HABITS];

static bool still_full(struct box_pin *p, uint64_t key, uint32_t charge)
{
	volatile struct box *b = p->b;
	struct mailbox_state s;
	uint64_t now;
	bool full;

	if (!atomic_load_explicit(&habit_full[key % HABITS], memory_order_relaxed))
		return false;
	s.opts_known = b->state.opts_known;
	s.opts[MAILBOX_OPT_RCVBUF] = b->state.opts[MAILBOX_OPT_RCVBUF];
	now = network_now_us();
	full = b->n != 0 && b->bells > ringers(p->b) && (uint64_t)b->charge + charge > limit_of(&s) &&
	       now - b->sign_us < SIGN_US && now - b->rang_us < RERING_US;
	if (full)
		atomic_fetch_add(&p->b->drops, 1);
	return full;
}

/* Is somebody looking, who will come for what is put in? */
static bool watched(const struct box *b)
{
	uint64_t until = atomic_load(&b->watch_us);

	return until != 0 && until - network_now_us() < WATCH_MAX_US;
}

int mailbox_put(struct network *n, uint64_t key, int from, const struct letter *m, const struct iovec *iov,
		size_t n_iov)
{
	struct slip s = {.charge = charge_of(m), .whole = slip_octets(m->len_bytes), .m = *m};
	struct box_pin p;
	struct ring g;
	uint32_t at, left = m->len_bytes;
	bool was_empty, sleepers;
	int r;

	if (left > UINT16_MAX)
		return -EMSGSIZE;
	r = box_pin(n, key, &p);
	if (r < 0)
		return r;
	if (still_full(&p, key, s.charge)) {
		box_unpin(&p);
		return -ENOBUFS;
	}
	r = box_lock(n, &p, &g);
	if (r < 0)
		return r;
	was_empty = g.n == 0;
	if (!was_empty && (uint64_t)g.charge + s.charge > limit_of(&p.b->state))
		r = -ENOBUFS;
	else
		r = make_room(n, key, &p, &g, s.whole);
	atomic_store_explicit(&habit_full[key % HABITS], r < 0, memory_order_relaxed);
	if (r < 0) {
		int again;

		atomic_fetch_add(&p.b->drops, 1);
		/* Full, and perhaps because he who was to ring was killed: nobody else would. */
		again = was_empty ? -looks_dead(n, key, p.b, network_now_us()) : announce(n, key, &p, false);
		map_lock_give(&p.b->lock, p.me);
		if (again == 1)
			again = box_ring(n, key, &p, from);
		box_unpin(&p);
		return again < 0 ? -ECONNREFUSED : r;
	}
	s.m.drops = p.b->drops;
	at = g.at + g.used;
	ring_write(&g, at, &s, sizeof(s));
	at += sizeof(s);
	for (size_t i = 0; i < n_iov && left; i++) {
		uint32_t part = iov[i].iov_len < left ? (uint32_t)iov[i].iov_len : left;

		if (!part)
			continue;
		ring_write(&g, at, iov[i].iov_base, part);
		at += part;
		left -= part;
	}
	g.used += s.whole;
	g.charge += s.charge;
	g.n++;
	write_back(&g);
	atomic_thread_fence(memory_order_seq_cst); /* n first, then who waits for it */
	sleepers = atomic_load(&p.b->sleepers) != 0;
	r = p.b->bells == 0 && (sleepers || watched(p.b)) ? 0 : announce(n, key, &p, was_empty);
	map_lock_give(&p.b->lock, p.me);
	atomic_fetch_add(&p.b->word, 1);
	if (sleepers && box_wake(p.b, 1) < 1 && r == 0)
		r = nobody_woke(n, key, &p, was_empty);
	if (r == 1)
		r = box_ring(n, key, &p, from);
	box_unpin(&p);
	return r == -ECONNREFUSED ? r : 0; /* it is in: could nobody ring, then who comes next does */
}

/* --- take --- */

/* The mailbox is empty: take the octets; with all, those that nobody counted, too. Return: one more is on its way. */
static bool hush(struct box *b, int doorbell, bool all)
{
	bool coming = ringers(b) != 0; /* asked first: what was rung before can be taken now */
	uint32_t most = b->bells < BELLS_MAX ? b->bells : BELLS_QUEUE, got;

	/* An error that poll() is to show would be taken with them. */
	if (all && b->state.n_errors == 0)
		most = BELLS_QUEUE;
	got = most ? silence(doorbell, most) : 0;

	b->bells = coming && got < b->bells ? b->bells - got : 0;
	if (coming) {
		uint64_t now = network_now_us();

		if (b->busy_us == 0 || b->busy_us > now)
			b->busy_us = now;
		else if (now - b->busy_us > BUSY_US)
			give_up(b);
	}
	return b->bells != 0;
}

/* Wait for the octet, without the lock. */
static void settle(struct box_pin *p, int doorbell)
{
	uint64_t end = 0;

	for (uint32_t i = 0;; i++) {
		bool more;

		if (i < SETTLE_SPINS)
			raw_relax();
		else
			(void)raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		if (i % 8)
			continue;
		if (lock_bells(p) < 0)
			return;
		more = p->b->n == 0 && p->b->bells != 0 && hush(p->b, doorbell, false);
		if (more && i >= SETTLE_SPINS) {
			uint64_t now = network_now_us();

			end = end ? end : now + SETTLE_US;
			if (now > end) {
				give_up(p->b);
				more = false;
			}
		}
		map_lock_give(&p->b->lock, p->me);
		if (!more)
			return;
	}
}

/* The first slip, checked. Return: false, the ring made no sense and is empty now. */
static bool first_slip(struct ring *g, struct slip *ret)
{
	ring_read(g, g->at, ret, sizeof(*ret));
	if (ret->m.len_bytes <= UINT16_MAX && ret->whole == slip_octets(ret->m.len_bytes) && ret->whole <= g->used &&
	    (ret->whole == g->used) == (g->n == 1) && ret->charge == charge_of(&ret->m))
		return true;
	TRACE(mailbox_damage, ret->whole, ret->m.len_bytes, g->used, g->n);
	g->at = g->used = g->n = g->charge = 0;
	write_back(g);
	return false;
}

static void drop_first(struct ring *g, const struct slip *s)
{
	g->at = (g->at + s->whole) & (g->cap - 1);
	g->used -= s->whole;
	g->n--;
	g->charge = g->n == 0 || g->charge < s->charge ? 0 : g->charge - s->charge;
	write_back(g);
}

/* Under the lock; after it, *ret_late: an octet is to be waited for. */
static ssize_t take(struct box_pin *p, struct ring *g, int doorbell, bool peek, struct letter *ret,
		    const struct iovec *iov, size_t n_iov, bool *ret_late)
{
	struct slip s;
	uint32_t at, left;
	ssize_t done = 0;

	if (p->b->state.err != 0)
		return -ECOMM;
	if (g->n == 0 || !first_slip(g, &s)) {
		*ret_late = hush(p->b, doorbell, true);
		return -EAGAIN;
	}
	at = g->at + (uint32_t)sizeof(s);
	left = s.m.len_bytes;
	for (size_t i = 0; i < n_iov && left; i++) {
		uint32_t part = iov[i].iov_len < left ? (uint32_t)iov[i].iov_len : left;

		if (!part)
			continue;
		ring_read(g, at, iov[i].iov_base, part);
		at += part;
		left -= part;
		done += part;
	}
	*ret = s.m;
	ret->family = p->b->state.family == PORT_FAMILY_6 ? PORT_FAMILY_6 : PORT_FAMILY_4;
	if (peek)
		return done;
	drop_first(g, &s);
	if (g->n == 0)
		*ret_late = hush(p->b, doorbell, false);
	return done;
}

static uint64_t now_ns(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Wait for the word to change, awake. When the processor was taken from us meanwhile, somebody else needs it. */
static bool watch(struct box *b, uint32_t limit_ns)
{
	uint32_t word = atomic_load(&b->word);
	uint64_t start = now_ns(), last = start, now;

	atomic_store(&b->watch_us, start / 1000 + limit_ns / 1000 + 1);
	if (*(volatile uint32_t *)&b->n != 0)
		return true;
	for (;;) {
		for (int i = 0; i < 16; i++) {
			if (atomic_load_explicit(&b->word, memory_order_relaxed) != word)
				return true;
			raw_relax();
		}
		now = now_ns();
		if (now - start > limit_ns || now - last > WATCH_PREEMPTED_NS)
			return false;
		last = now;
	}
}

/* As far as can be told without the lock. */
static bool nothing_there(const struct box *b)
{
	return *(volatile const uint32_t *)&b->n == 0 && *(volatile const uint32_t *)&b->bells == 0 &&
	       *(volatile const int32_t *)&b->state.err == 0;
}

ssize_t mailbox_take(struct network *n, uint64_t key, int doorbell, enum mailbox_how how, struct mailbox_look *look,
		     struct letter *ret, const struct iovec *iov, size_t n_iov)
{
	struct box_pin p;
	struct ring g;
	bool late = false, unrung;
	ssize_t r = box_pin(n, key, &p);
	int end = 0;

	if (r < 0)
		return r;
	if (look && nothing_there(p.b)) {
		if (!look->limit_ns) {
			box_unpin(&p);
			return -EAGAIN;
		}
		look->looked = true;
		look->found = watch(p.b, look->limit_ns);
	}
	r = box_lock(n, &p, &g);
	if (r < 0)
		return r;
	if (atomic_load_explicit(&p.b->watch_us, memory_order_relaxed))
		atomic_store_explicit(&p.b->watch_us, 0,
				      memory_order_relaxed); /* ours; another's looks on, and is rung for */
	r = take(&p, &g, doorbell, how == MAILBOX_PEEK, ret, iov, n_iov, &late);
	/* What a sleeper leaves behind, by MSG_PEEK or because he was killed, was never rung for. */
	unrung = r >= 0 && p.b->n != 0 && p.b->bells == 0 && announce(n, key, &p, true) == 1;
	map_lock_give(&p.b->lock, p.me);
	if (unrung)
		(void)box_ring(n, key, &p, doorbell);
	if (late)
		settle(&p, doorbell);
	if (r == -EAGAIN && look && look->looked)
		end = look->interrupted(p.sigmask);
	box_unpin(&p);
	return end ? end : r;
}

int mailbox_sleep(struct network *n, uint64_t key, mailbox_wait_call *wait, void *ctx)
{
	struct box_pin p;
	uint32_t word, v;
	int r = box_hold(n, key, &p);

	if (r < 0)
		return r;
	/* Counted first, looked at then; a sender changes n first and looks at the count then. */
	atomic_fetch_add(&p.b->sleepers, 1);
	word = atomic_load(&p.b->word);
	if (!nothing_there(p.b))
		r = 0;
	else if (*(volatile uint8_t *)&p.b->state.shut & 1 << SHUT_RD)
		r = -ESHUTDOWN;
	else
		r = (int)wait(ctx, &p.b->word, word);
	v = atomic_load(&p.b->sleepers);
	while (v != 0 && !atomic_compare_exchange_weak(&p.b->sleepers, &v, v - 1))
		continue;
	if (r < 0 && *(volatile uint32_t *)&p.b->n != 0)
		r = 0; /* perhaps no bell was rung for it, as we slept: it is for us */
	box_drop(&p);
	return r == -EAGAIN ? 0 : r == -EFAULT ? -EUCLEAN : r;
}

int mailbox_count(struct network *n, uint64_t key, uint32_t *ret_drops, uint32_t *ret_letters, uint32_t *ret_next_len)
{
	struct box_pin p;
	struct ring g;
	struct slip s;
	int r = box_open(n, key, &p, &g);

	if (r < 0)
		return r;
	*ret_drops = p.b->drops;
	*ret_next_len = g.n != 0 && first_slip(&g, &s) ? s.m.len_bytes : 0;
	*ret_letters = g.n;
	box_close(&p);
	return 0;
}
