/* src/network/mailbox_state.c: what a UDP socket is, kept in its mailbox: addresses, peer, options, errors, groups.
 *
 * All who share the socket, by fork, exec or passing, must find it the same, so it is in the file and not in a
 * process. It changes under the mailbox's lock and is read without: `seq` is odd while it changes, and a reader
 * that meets a change, or one whose maker died over it, takes the lock. A change wakes who waits in a
 * receive, because what he waits for may have changed (shut down, connected, an error came).
 *
 * Its octets are the world's like all others: what cannot be (no such host, no such family, more errors or
 * members than there is room for) is -EUCLEAN, or none.
 */
#include <string.h>

#include "network/mailbox_ring.h"

static bool sane(const struct mailbox_state *s)
{
	return s->host < NETWORK_HOSTS_MAX && (s->family == PORT_FAMILY_4 || s->family == PORT_FAMILY_6) &&
	       s->n_errors <= MAILBOX_ERRORS;
}

int mailbox_load(struct network *n, uint64_t key, struct mailbox_state *ret)
{
	struct box_pin p;
	struct ring g;
	int r = box_hold(n, key, &p);

	if (r < 0)
		return r;
	for (int i = 0; i < 8; i++) {
		uint32_t seq = atomic_load_explicit(&p.b->seq, memory_order_acquire);

		if (seq & 1)
			continue;
		memcpy(ret, &p.b->state, sizeof(*ret));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&p.b->seq, memory_order_relaxed) != seq)
			continue;
		box_drop(&p);
		return sane(ret) ? 0 : -EUCLEAN;
	}
	box_drop(&p);
	r = box_open(n, key, &p, &g); /* somebody changes it just now, or died over it */
	if (r < 0)
		return r;
	memcpy(ret, &p.b->state, sizeof(*ret));
	box_close(&p);
	return sane(ret) ? 0 : -EUCLEAN;
}

static void wake_all(struct box *b)
{
	atomic_fetch_add(&b->word, 1);
	if (atomic_load(&b->sleepers))
		(void)box_wake(b, INT32_MAX);
}

static void store_state(struct box *b, const struct mailbox_state *s)
{
	atomic_fetch_add(&b->seq, 1);
	memcpy(&b->state, s, sizeof(*s));
	atomic_fetch_add(&b->seq, 1);
}

/* Locked, with a copy of the state that makes sense. Return: 0; negative errno, and nothing is locked. */
static int open_state(struct network *n, uint64_t key, struct box_pin *p, struct ring *g, struct mailbox_state *ret)
{
	int r = box_open(n, key, p, g);

	if (r < 0)
		return r;
	memcpy(ret, &p->b->state, sizeof(*ret));
	if (sane(ret))
		return 0;
	box_close(p);
	return -EUCLEAN;
}

/* Unlocked: tell who waits for the mailbox, and who remembers how to send to and from it. */
static void changed(struct network *n, struct box_pin *p, uint32_t host)
{
	wake_all(p->b);
	box_unpin(p);
	network_udp_changed(n, host);
}

int mailbox_change(struct network *n, uint64_t key, int (*change)(void *ctx, struct mailbox_state *s), void *ctx)
{
	struct mailbox_state s;
	struct box_pin p;
	struct ring g;
	int r = open_state(n, key, &p, &g, &s);

	if (r < 0)
		return r;
	r = change(ctx, &s);
	if (r >= 0)
		store_state(p.b, &s);
	map_lock_give(&p.b->lock, p.me);
	if (r >= 0)
		changed(n, &p, s.host);
	else
		box_unpin(&p);
	return r;
}

int mailbox_change_errors(struct network *n, uint64_t key,
			  int (*change)(void *ctx, struct mailbox_state *s, struct mailbox_error e[MAILBOX_ERRORS]),
			  void *ctx)
{
	struct mailbox_state s;
	struct box_pin p;
	struct ring g;
	int r = open_state(n, key, &p, &g, &s);

	if (r < 0)
		return r;
	r = change(ctx, &s, p.b->errors);
	if (r >= 0) {
		uint32_t coming = RINGERS(atomic_load(&p.b->ringing));

		store_state(p.b, &s);
		/* Marking an error emptied the doorbell: the octet belongs there again. Those on their way still come. */
		p.b->bells = g.n ? BELLS_MAX : p.b->bells < coming ? p.b->bells : coming;
		p.turn = GIVEN_UP(atomic_fetch_add(&p.b->ringing, g.n != 0));
	}
	map_lock_give(&p.b->lock, p.me);
	if (r < 0) {
		box_unpin(&p);
		return r;
	}
	if (g.n)
		(void)box_ring(n, key, &p, -1);
	changed(n, &p, s.host);
	return r;
}

int mailbox_change_members(struct network *n, uint64_t key,
			   int (*change)(void *ctx, struct mailbox_member m[MAILBOX_MEMBERS], uint32_t *n_members),
			   void *ctx)
{
	struct mailbox_member m[MAILBOX_MEMBERS];
	uint32_t count;
	struct box_pin p;
	struct ring g;
	int r = box_open(n, key, &p, &g);

	if (r < 0)
		return r;
	count = p.b->n_members;
	if (count > MAILBOX_MEMBERS)
		count = 0;
	memcpy(m, p.b->members, sizeof(m));
	for (uint32_t i = 0; i < count; i++)
		if (m[i].n_sources > MAILBOX_SOURCES)
			m[i].n_sources = 0;
	r = change(ctx, m, &count);
	if (r >= 0) {
		memcpy(p.b->members, m, sizeof(m));
		p.b->n_members = count;
	}
	box_close(&p);
	return r;
}

struct outlet {
	const struct network *n;
	uint64_t key;
};

static int add_outlet(void *ctx, struct mailbox_state *s)
{
	const struct outlet *o = ctx;

	for (int i = 0; i < MAILBOX_OUTLETS; i++)
		if (s->outlets[i] == 0 || !mailbox_alive(o->n, s->outlets[i])) {
			s->outlets[i] = o->key;
			return 0;
		}
	return -ENOSPC;
}

int mailbox_add_outlet(struct network *n, uint64_t key, uint64_t outlet)
{
	struct outlet o = {n, outlet};
	struct mailbox_state s;
	int r = mailbox_load(n, key, &s);

	for (int i = 0; r == 0 && i < MAILBOX_OUTLETS; i++)
		if (s.outlets[i] == outlet)
			return 0;
	return r < 0 ? r : mailbox_change(n, key, add_outlet, &o);
}

struct wish {
	const struct port_addr *group, *src;
};

static int wants(void *ctx, struct mailbox_member m[MAILBOX_MEMBERS], uint32_t *n_members)
{
	const struct wish *w = ctx;

	for (uint32_t i = 0; i < *n_members; i++) {
		bool listed = false;

		if (memcmp(m[i].group.b, w->group->b, 16) != 0)
			continue;
		for (uint32_t s = 0; s < m[i].n_sources; s++)
			listed = listed || memcmp(m[i].sources[s].b, w->src->b, 16) == 0;
		return m[i].include ? listed : !listed;
	}
	return 2;
}

int mailbox_wants(struct network *n, uint64_t key, const struct port_addr *group, const struct port_addr *src)
{
	struct wish w = {group, src};
	int r = mailbox_change_members(n, key, wants, &w);

	return r == 2 ? -1 : r < 0 ? 0 : r;
}
