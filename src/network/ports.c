/* src/network/ports.c: bind, listen, connect on a host's table, with the dead moved out of the way.
 *
 * Every call is: lock, ask the heart, unlock. Only when the heart refuses is there more to do:
 *
 *     somebody in the way    ask the kernel whether he lives; if not, end his claim and try again
 *     no room, no port left  sweep: end every claim whose socket is gone; then grow if it did not help
 *     damaged                mend and try once more
 *
 * Nobody releases a flow's claim when its socket closes (that would cost every close a lock): a
 * client's table fills with the dead and a sweep empties it. One sweep asks the kernel for all sockets
 * at once, so the table is kept large enough, in proportion to what lives on the machine, for a sweep
 * to cost each connection a fraction of a microsecond.
 *
 * No kernel is asked while a lock is held: claims are copied, the lock given back, the kernel asked, and
 * what is dead is ended only if it is still the same claim of the same socket.
 */
#include "network/internal.h"
#include "network/mailbox.h"

#define ROUNDS_MAX 64	       /* of trying again with one blocker gone; then a sweep does the rest */
#define SWEEPS_MAX 3	       /* of a full range in one call: others take what a sweep frees */
#define GROW_UNSWEPT 128u      /* a table smaller than this grows when it is full, and nobody is asked */
#define SWEEP_CLAIMS_MIN 1024u /* a smaller table that is full grows even when a sweep helped */

enum call { CALL_BIND, CALL_PROBE, CALL_LISTEN, CALL_CONNECT };

struct request {
	enum call call;
	struct port_ref have;
	const struct port_want *want;
	const struct port_addr *local, *peer;
	uint16_t peer_port;
	bool listen;
};

static int ask(struct port_table *t, const struct request *q, struct port_ref *ref, struct port_refusal *no)
{
	uint64_t now = network_now_us();

	switch (q->call) {
	case CALL_BIND:
		return port_table_bind(t, q->have, q->want, now, ref, no);
	case CALL_PROBE:
		return port_table_probe(t, q->want, q->listen, no);
	case CALL_LISTEN:
		*ref = q->have;
		return port_table_listen(t, ref, q->want, now, no);
	case CALL_CONNECT:
		*ref = q->have;
		return port_table_connect(t, ref, q->want, q->local, q->peer, q->peer_port, now, no);
	}
	return -EINVAL;
}

/* --- ending the dead --- */

bool claim_is_reachable(const struct port_claim *c)
{
	return c->state == CLAIM_LISTENING || c->proto == PORT_UDP;
}

static bool same_owner(const struct port_claim *a, const struct port_claim *b)
{
	return a->owner.cookie == b->owner.cookie && a->owner.inode == b->owner.inode;
}

void drop_path(const struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	uint64_t key = mailbox_key(n, c->owner.cookie);

	if (c->state == CLAIM_LISTENING && path_probe(n, host, ref, c) != 1)
		network_path_unlink(n, host, ref, c);
	if (c->proto == PORT_UDP && !mailbox_alive(n, key))
		mailbox_unlink(n, key);
}

/* End a claim found dead, if it is still that one. */
static int end_dead(struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *was)
{
	struct network_lock l;
	struct port_claim c;
	int r = network_lock(n, host, &l);

	TRACE(claim_dead, ref.slot, was->port, was->owner.inode, was->owner.cookie);

	if (r < 0)
		return r;
	r = port_table_get(&l.table, ref, &c);
	if (r == 0 && same_owner(&c, was))
		r = port_table_release(&l.table, ref);
	network_unlock(&l);
	drop_path(n, host, ref, was);
	if (claim_is_reachable(was))
		network_changed(n);
	return 0;
}

/* 0: it was dead and is ended; -EBUSY: it lives. */
static int end_if_dead(struct network *n, uint32_t host, struct port_ref ref, const struct port_claim *c)
{
	bool garbage = owner_is_garbage(n, c);
	enum network_alive owner;
	int path = -ENOENT;

	/* The short cut: a listener whose path answers lives. Where its owner was scribbled over its flags may have been. */
	if (c->state == CLAIM_LISTENING && (garbage || c->flags & PORT_LISTEN_READY)) {
		path = path_probe(n, host, ref, c);
		if (path == 1)
			return -EBUSY;
	}
	owner = garbage ? NETWORK_DEAD : c->owner.inode == 0 ? NETWORK_UNKNOWN : network_owner_alive(n, &c->owner);
	/* Where the kernel cannot be asked (another namespace, an owner somebody scribbled over), a ready
	 * listener that nobody can reach any more does not keep its port. */
	if (owner == NETWORK_ALIVE || (owner == NETWORK_UNKNOWN && path != 0))
		return -EBUSY;
	return end_dead(n, host, ref, c);
}

/* The table is full, or the range. Sweep, and grow if that did not free enough. */
static int make_room(struct network *n, uint32_t host, bool grow)
{
	struct network_lock l;
	uint32_t room = 0, sockets = 0;
	int ended = 0, r;

	r = network_lock(n, host, &l);
	if (r < 0)
		return r;
	room = host_claims_room(&l);
	if (grow && (room < GROW_UNSWEPT || port_table_n_claims(&l.table) < room)) {
		/* No room in a table that is not full? Somebody scribbled over its lists, or others made room. */
		if (port_table_n_claims(&l.table) < room)
			r = port_table_check(&l.table) ? 0 : host_mend(n, host, &l, false);
		else
			r = host_grow(n, host, &l, 2 * room); /* cheaper than asking who lives */
		if (r == -EUCLEAN && host_mend(n, host, &l, false) == 0)
			r = 0;
		network_unlock(&l);
		return r;
	}
	network_unlock(&l);
	ended = sweep_room(n, host, &room, &sockets);

	/* When nothing was left to end, another thread may have swept a moment ago: look again. */
	if (!grow)
		return ended < 0 ? ended : 0;
	r = network_lock(n, host, &l);
	if (r < 0)
		return r;
	/* What counts is how much room there is now: other threads sweep and grow at the same time. A small
	 * table, or one with fewer claims than the machine has sockets, would be swept too often. */
	uint32_t now = port_table_n_claims(&l.table);
	bool often = room < SWEEP_CLAIMS_MIN || room < sockets;

	if (host_claims_room(&l) > room || (!often && now <= room / 2) || (ended == 0 && now < room))
		r = 0;
	else
		r = host_grow(n, host, &l, 2 * host_claims_room(&l));
	network_unlock(&l);
	return r < 0 && ended > 0 ? 0 : r;
}

/* --- the calls --- */

/* A call that met damage half-way may have left its own claim behind. */
static void drop_own(struct port_table *t, const struct request *q)
{
	struct port_ref ref;
	struct port_claim c;
	uint32_t cursor = 0;

	if (q->have.generation != 0 || q->call == CALL_PROBE || q->want->owner.cookie == 0)
		return;
	while (port_table_next(t, &cursor, &ref, &c))
		if (c.owner.cookie == q->want->owner.cookie && c.owner.inode == q->want->owner.inode)
			(void)!port_table_release(t, ref);
}

/* A refusal that names nobody and is not about a full range contradicts itself; one over rights or
 * addresses may come from settings somebody scribbled. */
static bool suspicious(const struct network *n, uint32_t host, int r, const struct port_refusal *no,
		       const struct port_table *t)
{
	if (r == -EACCES || no->rule == PORT_RULE_NOT_LOCAL || no->rule == PORT_RULE_RANGE_FULL)
		return !host_set_up(n, host, t);
	return (r == -EADDRINUSE || r == -EADDRNOTAVAIL) && !no->by_valid && !port_table_check(t);
}

static int run(struct network *n, uint32_t host, const struct request *q, struct port_ref *ret,
	       struct port_refusal *reterr)
{
	unsigned sweeps = 0;
	bool mended = false;
	struct port_refusal no;
	struct network_lock l;
	struct port_want want = *q->want;
	struct request sealed = *q;
	struct port_ref ref;
	int r = -EUCLEAN;

	want.user = owner_sum(n, &want.owner);
	sealed.want = &want;
	/* Growing may take several rounds while others fill what we made; all is bounded. */
	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		no = (struct port_refusal){0};
		ref = PORT_REF_NONE;
		r = network_lock(n, host, &l);
		if (r < 0) {
			no.err = r;
			no.by.owner.pid = r == -ETIMEDOUT ? l.blocker_pid : 0;
			break;
		}
		r = ask(&l.table, &sealed, &ref, &no);
		if (!mended && (r == -EUCLEAN || suspicious(n, host, r, &no, &l.table))) {
			mended = true;
			r = host_mend(n, host, &l, false);
			if (r == 0) {
				drop_own(&l.table, &sealed);
				r = ask(&l.table, &sealed, &ref, &no);
			}
		}
		network_unlock(&l);
		if (r == 0) {
			if (ret)
				*ret = ref;
			return 0;
		}
		if (r == -ENOBUFS) {
			if (make_room(n, host, true) < 0)
				break;
			continue;
		}
		if (r != -EADDRINUSE && r != -EADDRNOTAVAIL && r != -EAGAIN)
			break;
		if (no.by_valid) {
			/* Many dead in a row (a group of SO_REUSEPORT that was killed): all at once. */
			if (round == 8)
				(void)sweep_room(n, host, NULL, NULL);
			if (end_if_dead(n, host, no.by_ref, &no.by) == 0)
				continue;
			break;
		}
		if (no.rule != PORT_RULE_RANGE_FULL || sweeps == SWEEPS_MAX || make_room(n, host, false) < 0)
			break;
		sweeps++;
	}
	if (reterr) {
		no.err = r;
		*reterr = no;
	}
	return r;
}

int network_bind(struct network *n, uint32_t host, struct port_ref have, const struct port_want *want,
		 struct port_ref *ret, struct port_refusal *reterr)
{
	struct request q = {.call = CALL_BIND, .have = have, .want = want};
	int r = run(n, host, &q, ret, reterr);

	if (r == 0 && want->proto == PORT_UDP)
		network_changed(n);
	return r;
}

int network_probe(struct network *n, uint32_t host, const struct port_want *want, bool listen,
		  struct port_refusal *reterr)
{
	struct request q = {.call = CALL_PROBE, .want = want, .listen = listen};

	return run(n, host, &q, NULL, reterr);
}

int network_listen(struct network *n, uint32_t host, struct port_ref *ref, const struct port_want *want,
		   struct port_refusal *reterr)
{
	struct request q = {.call = CALL_LISTEN, .have = *ref, .want = want};

	return run(n, host, &q, ref, reterr);
}

int network_connect(struct network *n, uint32_t host, struct port_ref *ref, const struct port_want *want,
		    const struct port_addr *local, const struct port_addr *peer, uint16_t peer_port,
		    struct port_refusal *reterr)
{
	struct request q = {.call = CALL_CONNECT,
			    .have = *ref,
			    .want = want,
			    .local = local,
			    .peer = peer,
			    .peer_port = peer_port};

	return run(n, host, &q, ref, reterr);
}

int network_listen_ready(struct network *n, uint32_t host, struct port_ref ref)
{
	int r = WITH_TABLE(n, host, port_table_set_flags(t, ref, PORT_LISTEN_READY, PORT_LISTEN_READY));

	if (r == 0)
		network_changed(n);
	return r;
}

static int unlisten(struct port_table *t, struct port_ref ref)
{
	int r = port_table_set_flags(t, ref, PORT_LISTEN_READY, 0);

	return r < 0 ? r : port_table_unlisten(t, ref);
}

int network_unlisten(struct network *n, uint32_t host, struct port_ref ref)
{
	int r = WITH_TABLE(n, host, unlisten(t, ref));

	network_changed(n);
	return r;
}

static int release(struct port_table *t, struct port_ref ref, bool *ret_reachable)
{
	struct port_claim c;

	*ret_reachable = port_table_get(t, ref, &c) == 0 && claim_is_reachable(&c);
	return port_table_release(t, ref);
}

int network_release(struct network *n, uint32_t host, struct port_ref ref)
{
	bool reachable = false;
	int r = WITH_TABLE(n, host, release(t, ref, &reachable));

	if (r == 0 && reachable)
		network_changed(n);
	return r;
}

static int undo(struct port_table *t, struct port_ref ref, bool keep, const struct port_owner *o, uint64_t user,
		bool *ret_reachable)
{
	struct port_claim c;

	*ret_reachable = port_table_get(t, ref, &c) == 0 && claim_is_reachable(&c);
	return port_table_undo(t, ref, keep, o, user);
}

int network_undo(struct network *n, uint32_t host, struct port_ref ref, bool keep, const struct port_owner *o)
{
	bool reachable = false;
	int r = WITH_TABLE(n, host, undo(t, ref, keep, o, owner_sum(n, o), &reachable));

	if (r >= 0 && reachable)
		network_changed(n);
	return r;
}

int network_set_flags(struct network *n, uint32_t host, struct port_ref ref, uint16_t mask, uint16_t flags)
{
	return WITH_TABLE(n, host, port_table_set_flags(t, ref, mask, flags));
}

int network_get_slot(struct network *n, uint32_t host, uint32_t slot, struct port_ref *ret_ref, struct port_claim *ret)
{
	return WITH_TABLE(n, host, port_table_get_slot(t, slot, ret_ref, ret));
}

/* The demultiplexer's choice; if that listener is not ready to be connected to, another of its group. */
static int find_ready(struct port_table *t, const struct port_tuple *tuple, struct port_ref *ret,
		      struct port_claim *ret_claim)
{
	struct port_ref refs[64];
	struct port_claim c;
	uint32_t count;
	/* What a host sends to itself arrives on its loopback, whatever address it has. */
	uint32_t dev = port_table_is_local(t, &tuple->remote) ? NETWORK_DEV_LO : NETWORK_DEV_BERTH0;
	int r = port_demux_listener(t, tuple, dev, ret);

	if (r == 0)
		r = port_table_get(t, *ret, ret_claim);
	if (r < 0)
		return r;
	if (ret_claim->flags & PORT_LISTEN_READY)
		return 0;
	count = port_table_on_port(t, tuple->proto, tuple->local_port, refs, COUNT_OF(refs));
	for (uint32_t i = 0; i < count && i < COUNT_OF(refs); i++)
		if (port_table_get(t, refs[i], &c) == 0 && c.state == CLAIM_LISTENING && c.flags & PORT_LISTEN_READY &&
		    c.dev == ret_claim->dev && port_addr_equal(&c.addr, &ret_claim->addr)) {
			*ret = refs[i];
			*ret_claim = c;
			return 0;
		}
	return -ENOENT;
}

int network_find_listener(struct network *n, uint32_t to_host, const struct port_tuple *tuple, struct port_ref *ret,
			  struct port_claim *ret_claim)
{
	struct port_ref ref;
	struct port_claim c;
	int r = WITH_TABLE(n, to_host, find_ready(t, tuple, &ref, &c));

	if (r == -ENOENT || r == -ESTALE)
		return -ECONNREFUSED;
	if (r < 0)
		return r;
	*ret = ref;
	*ret_claim = c;
	return 0;
}

int network_dead(struct network *n, uint32_t host, struct port_ref ref)
{
	struct port_claim c;
	int r = WITH_TABLE(n, host, port_table_get(t, ref, &c));

	if (r == -ESTALE)
		return 0;
	return r < 0 ? r : end_if_dead(n, host, ref, &c);
}
