/* src/link/fault.c: one direction of a bad link.
 *
 * A frame that is put runs through the faults in the order of fault.h at once; what is left of it has a time of arrival and waits in
 * a heap by (time, order of putting). The queue before the link's rate is not a list: busy_ns says until when the link is sending
 * what it has, so the octets that wait are (busy_ns - now) * rate, and a frame that does not fit is dropped at the tail.
 *
 *	now        busy_ns              + delay + jitter = at_ns
 *	 |  waiting  |  this frame's len / rate |
 *
 * Jitter alone keeps the order (at_ns never goes back); reordering is a fault of its own, so that a test has the one without the other.
 *
 * Always true (fault_check())
 *	F1  the heap is one: no parent is later than its child;
 *	F2  frames.n_out is what is in the heap and what is lent;
 *	F3  every frame that was put is counted: taken, lost for a reason, or here.
 */
#include "link/fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "link/fault_router.h"
#include "link/segment.h"
#include "wire/checksum.h"

#define NS_PER_S UINT64_C(1000000000)

enum { R_LOSS, R_BURST, R_JITTER, R_REORDER, R_DUP, R_CORRUPT, R_CE };
static const char *const stream_names[] = {"loss", "burst", "jitter", "reorder", "dup", "corrupt", "ce"};

struct fault {
	struct fault_config c;
	struct fault_counts n;
	struct rng rng[COUNT_OF(stream_names)];
	struct link_frames frames;
	struct fault *back;
	bool burst_bad;
	uint64_t busy_ns;   /* the link sends until then */
	uint64_t latest_ns; /* the latest arrival so far, but for reordered ones */
	uint64_t order;
	struct link_frame **heap;
	uint32_t n_heap, room_heap;
	struct link_frame *lent;
	/* for only_rexmit: of the flow that the rules look at, each direction's link by itself */
	uint32_t seq_highest;
	uint16_t seq_port;
	bool seq_known;
};

struct fault *fault_new(const struct fault_config *c, uint64_t seed, const char *name)
{
	struct fault *f = calloc(1, sizeof(*f));
	char stream[128];

	if (!f)
		return NULL;
	f->c = *c;
	for (size_t i = 0; i < COUNT_OF(stream_names); i++) {
		size_t n = strlen(name) < 100 ? strlen(name) : 100;

		memcpy(stream, name, n);
		stream[n] = '.';
		memcpy(stream + n + 1, stream_names[i], strlen(stream_names[i]) + 1);
		rng_init_stream(&f->rng[i], seed, stream);
	}
	return f;
}

static void free_lent(struct fault *f)
{
	while (f->lent) {
		struct link_frame *r = f->lent;

		f->lent = r->next;
		link_frame_free(&f->frames, r);
	}
}

void fault_flush(struct fault *f)
{
	for (uint32_t i = 0; i < f->n_heap; i++)
		link_frame_free(&f->frames, f->heap[i]);
	f->n.n_lost += f->n_heap;
	f->n_heap = 0;
	f->busy_ns = f->latest_ns = 0;
}

void fault_free(struct fault *f)
{
	if (!f)
		return;
	fault_flush(f);
	free_lent(f);
	link_frames_fini(&f->frames);
	free(f->heap);
	free(f);
}

void fault_set(struct fault *f, const struct fault_config *c)
{
	f->c = *c;
	for (size_t i = 0; i < COUNT_OF(f->c.rules); i++)
		f->c.rules[i].n_seen = 0;
}

const struct fault_config *fault_get(const struct fault *f)
{
	return &f->c;
}

void fault_set_back(struct fault *f, struct fault *back)
{
	f->back = back;
}

/* --- the heap --- */

static bool before(const struct link_frame *a, const struct link_frame *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_add(struct fault *f, struct link_frame *r)
{
	uint32_t i;

	if (f->n_heap == f->room_heap) {
		uint32_t room = f->room_heap ? f->room_heap * 2 : 64;
		struct link_frame **more = realloc(f->heap, room * sizeof(*more));

		if (!more) {
			f->n.n_no_memory++;
			link_frame_free(&f->frames, r);
			return;
		}
		f->heap = more;
		f->room_heap = room;
	}
	i = f->n_heap++;
	for (; i > 0 && before(r, f->heap[(i - 1) / 2]); i = (i - 1) / 2)
		f->heap[i] = f->heap[(i - 1) / 2];
	f->heap[i] = r;
}

static struct link_frame *heap_take(struct fault *f)
{
	struct link_frame *top = f->heap[0], *last = f->heap[--f->n_heap];
	uint32_t i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= f->n_heap)
			break;
		if (child + 1 < f->n_heap && before(f->heap[child + 1], f->heap[child]))
			child++;
		if (!before(f->heap[child], last))
			break;
		f->heap[i] = f->heap[child];
		i = child;
	}
	if (f->n_heap)
		f->heap[i] = last;
	return top;
}

bool fault_check(const struct fault *f)
{
	uint64_t gone = f->n.n_lost + f->n.n_burst_lost + f->n.n_queue_full + f->n.n_too_big + f->n.n_no_memory;
	uint32_t n_lent = 0;

	for (uint32_t i = 1; i < f->n_heap; i++)
		if (before(f->heap[i], f->heap[(i - 1) / 2]))
			return false;
	for (const struct link_frame *r = f->lent; r; r = r->next)
		n_lent++;
	/* F3: frames made by the link itself stand on the left, too; merged ones were taken as part of others */
	if (f->n.n_put + f->n.n_split + f->n.n_fragmented + f->n.n_duplicated + f->n.n_icmp !=
	    f->n.n_taken + f->n.n_merged + gone + f->n_heap)
		return false;
	return f->frames.n_out == f->n_heap + n_lent;
}

/* --- faults, each by itself --- */

static bool is_lost(struct fault *f)
{
	if (f->c.burst_in_ppm) {
		uint32_t ppm = f->burst_bad ? f->c.burst_out_ppm : f->c.burst_in_ppm;

		if (rng_chance_ppm(&f->rng[R_BURST], ppm))
			f->burst_bad = !f->burst_bad;
		if (f->burst_bad && rng_chance_ppm(&f->rng[R_BURST], f->c.burst_loss_ppm)) {
			f->n.n_burst_lost++;
			return true;
		}
	}
	if (f->c.loss_ppm && rng_chance_ppm(&f->rng[R_LOSS], f->c.loss_ppm)) {
		f->n.n_lost++;
		return true;
	}
	return false;
}

/* One octet of an IP packet. ARP has no checksum, and a device's frame that is not on a wire yet has none to notice it. */
static void corrupt(struct fault *f, struct link_frame *r)
{
	struct link_view v;
	uint32_t at;

	if ((r->flags & BERTH_F_NEEDS_CSUM) || r->gso != BERTH_GSO_NONE ||
	    link_view(r->data, r->len, r->link, &v) < 0 || v.family == 0)
		return;
	at = (uint32_t)rng_range(&f->rng[R_CORRUPT], v.ip_at, v.ip_at + v.ip_len - 1);
	r->data[at] ^= (uint8_t)rng_range(&f->rng[R_CORRUPT], 1, 255);
	r->flags &= (uint8_t)~BERTH_F_DATA_VALID;
	f->n.n_corrupted++;
}

static void mark_ce(struct fault *f, struct link_frame *r)
{
	struct link_view v;
	uint8_t *ip;

	if (link_view(r->data, r->len, r->link, &v) < 0 || v.family == 0 || (v.tos & WIRE_ECN_MASK) == WIRE_ECN_NOT_ECT)
		return;
	ip = r->data + v.ip_at;
	if (v.family == 4) {
		ip[1] |= WIRE_ECN_CE;
		wire_put16(ip + 10, 0);
		wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, v.l4_at - v.ip_at)));
	} else {
		ip[1] |= WIRE_ECN_CE << 4; /* the traffic class lies across two octets */
	}
	f->n.n_marked++;
}

/* --- rules --- */

static bool is_rexmit(struct fault *f, const struct wire_tcp *t)
{
	uint32_t end =
		t->seq + (uint32_t)t->payload.len_bytes + !!(t->flags & WIRE_TCP_FIN) + !!(t->flags & WIRE_TCP_SYN);
	bool again;

	if (end == t->seq)
		return false;
	if (!f->seq_known || t->src_port != f->seq_port) {
		f->seq_known = true;
		f->seq_port = t->src_port;
		f->seq_highest = end;
		return false;
	}
	again = (int32_t)(t->seq - f->seq_highest) < 0;
	if ((int32_t)(end - f->seq_highest) > 0)
		f->seq_highest = end;
	return again;
}

static bool rule_matches(const struct fault_rule *u, const struct wire_tcp *t, bool rexmit)
{
	return u->count && (t->flags & u->flags_mask) == u->flags && (!u->with_data || t->payload.len_bytes) &&
	       (!u->only_rexmit || rexmit) && (!u->only_new || !rexmit) && (!u->dst_port || u->dst_port == t->dst_port);
}

/* The first rule that wants this segment; all that match count it. NULL: none does. */
static const struct fault_rule *rule_for(struct fault *f, const struct link_frame *r)
{
	const struct fault_rule *found = NULL;
	struct link_view v;
	bool rexmit;

	if (!f->c.rules[0].count || link_view(r->data, r->len, r->link, &v) < 0 || !v.has_tcp)
		return NULL;
	rexmit = is_rexmit(f, &v.tcp);
	for (size_t i = 0; i < COUNT_OF(f->c.rules); i++) {
		struct fault_rule *u = &f->c.rules[i];

		if (!rule_matches(u, &v.tcp, rexmit))
			continue;
		u->n_seen++;
		if (!found && u->n_seen >= u->first && u->n_seen - u->first < u->count)
			found = u;
	}
	if (found && found->action != FAULT_PASS)
		f->n.n_ruled++;
	return found;
}

/* --- the way through --- */

static uint64_t waiting_bytes(const struct fault *f, uint64_t now_ns)
{
	if (!f->c.rate_bps || f->busy_ns <= now_ns)
		return 0;
	return (uint64_t)((__uint128_t)(f->busy_ns - now_ns) * f->c.rate_bps / NS_PER_S);
}

static void arrive_at(struct fault *f, struct link_frame *r, uint64_t at_ns)
{
	if (f->c.coalesce_ns)
		at_ns += (f->c.coalesce_ns - at_ns % f->c.coalesce_ns) % f->c.coalesce_ns;
	r->at_ns = at_ns;
	r->order = f->order++;
	heap_add(f, r);
}

/* Queue, rate, delay, jitter, reordering: when it arrives. */
static void schedule(struct fault *f, struct link_frame *r, uint64_t extra_ns, uint64_t now_ns)
{
	uint64_t waits = waiting_bytes(f, now_ns), at;

	/* a frame that is longer than the queue goes when nobody waits: else it never would */
	if (f->c.queue_bytes && f->c.rate_bps && waits > 0 && waits + r->len > f->c.queue_bytes) {
		f->n.n_queue_full++;
		link_frame_free(&f->frames, r);
		return;
	}
	if (f->c.ce_queue_bytes && waits > f->c.ce_queue_bytes)
		mark_ce(f, r);
	if (f->busy_ns < now_ns)
		f->busy_ns = now_ns;
	if (f->c.rate_bps)
		f->busy_ns += (uint64_t)((__uint128_t)r->len * NS_PER_S / f->c.rate_bps);
	at = f->busy_ns + f->c.delay_ns + extra_ns;
	if (f->c.jitter_ns)
		at += rng_range(&f->rng[R_JITTER], 0, f->c.jitter_ns);
	f->n.n_delayed += at > now_ns;
	if (f->c.reorder_ppm && rng_chance_ppm(&f->rng[R_REORDER], f->c.reorder_ppm)) {
		f->n.n_reordered++;
		arrive_at(f, r, at + f->c.reorder_ns);
		return;
	}
	if (extra_ns == 0) { /* what a rule holds back is passed by others */
		if (at < f->latest_ns)
			at = f->latest_ns;
		f->latest_ns = at;
	}
	arrive_at(f, r, at);
}

static void last_steps(struct fault *f, struct link_frame *r, uint64_t extra_ns, bool twice, uint64_t now_ns)
{
	struct link_frame *copy = NULL;

	if (f->c.ce_ppm && rng_chance_ppm(&f->rng[R_CE], f->c.ce_ppm))
		mark_ce(f, r);
	if (f->c.dup_ppm && rng_chance_ppm(&f->rng[R_DUP], f->c.dup_ppm))
		twice = true;
	if (twice)
		copy = link_frame_copy(&f->frames, r);
	if (f->c.corrupt_ppm && rng_chance_ppm(&f->rng[R_CORRUPT], f->c.corrupt_ppm))
		corrupt(f, r);
	schedule(f, r, extra_ns, now_ns);
	if (copy) {
		f->n.n_duplicated++;
		schedule(f, copy, extra_ns, now_ns);
	}
}

/* The MTU. true: r may go on. */
static bool fits(struct fault *f, struct link_frame *r, uint64_t now_ns)
{
	struct link_frame *icmp = NULL, *pieces;
	struct link_view v;

	if (!f->c.mtu_bytes || r->len <= f->c.mtu_bytes || link_view(r->data, r->len, r->link, &v) < 0 ||
	    v.family == 0 || v.ip_len <= f->c.mtu_bytes)
		return true;
	if (r->gso != BERTH_GSO_NONE && v.has_tcp &&
	    v.ip_len - (uint32_t)v.tcp.payload.len_bytes + r->gso_size <= f->c.mtu_bytes)
		return true; /* its segments fit */
	pieces = r->gso == BERTH_GSO_NONE ? router_fragment(&f->frames, r, &v, f->c.mtu_bytes) : NULL;
	if (!pieces && f->back && !f->c.mtu_silent)
		icmp = router_too_big(&f->back->frames, r, &v, v.family == 4 ? &f->c.router4 : &f->c.router6,
				      f->c.mtu_bytes);
	if (icmp) {
		f->back->n.n_icmp++;
		icmp->sent_ns = now_ns;
		schedule(f->back, icmp, 0, now_ns);
	}
	f->n.n_too_big++;
	link_frame_free(&f->frames, r);
	while (pieces) {
		struct link_frame *next = pieces->next;

		f->n.n_fragmented++;
		last_steps(f, pieces, 0, false, now_ns);
		pieces = next;
	}
	return false;
}

static void put_one(struct fault *f, struct link_frame *r, uint64_t now_ns)
{
	const struct fault_rule *rule = rule_for(f, r);
	uint64_t extra_ns = 0;
	bool twice = false;

	r->sent_ns = now_ns;
	switch (rule ? rule->action : FAULT_PASS) {
	case FAULT_DROP:
		f->n.n_lost++;
		link_frame_free(&f->frames, r);
		return;
	case FAULT_DUPLICATE:
		twice = true;
		break;
	case FAULT_DELAY:
		extra_ns = rule->delay_ns;
		break;
	case FAULT_CORRUPT:
		corrupt(f, r);
		break;
	case FAULT_MARK_CE:
		mark_ce(f, r);
		break;
	case FAULT_PASS:
		break;
	}
	if (is_lost(f)) {
		link_frame_free(&f->frames, r);
		return;
	}
	if (fits(f, r, now_ns))
		last_steps(f, r, extra_ns, twice, now_ns);
}

static void put(struct fault *f, struct link_frame *r, uint64_t now_ns)
{
	struct link_segments s;

	f->n.n_put++;
	if (!r) {
		f->n.n_no_memory++;
		return;
	}
	if (!f->c.wire) {
		put_one(f, r, now_ns);
		return;
	}
	link_frame_finish(r);
	if (r->gso == BERTH_GSO_NONE || link_segments_init(&s, r) < 0) {
		put_one(f, r, now_ns);
		return;
	}
	f->n.n_split += link_segments_count(&s) - 1;
	for (struct link_frame *one; (one = link_segments_next(&s, &f->frames));)
		put_one(f, one, now_ns);
	link_frame_free(&f->frames, r);
}

void fault_put(struct fault *f, const struct berth_tx *tx, uint64_t now_ns)
{
	put(f, link_frame_from(&f->frames, tx, f->c.link), now_ns);
}

void fault_put_octets(struct fault *f, const uint8_t *data, uint32_t len, uint64_t now_ns)
{
	struct link_frame *r = link_frame_new(&f->frames, len);

	if (r) {
		memcpy(r->data, data, len);
		r->len = len;
		r->link = (uint8_t)f->c.link;
	}
	put(f, r, now_ns);
}

uint64_t fault_deadline(const struct fault *f)
{
	return f->n_heap ? f->heap[0]->at_ns : BERTH_NEVER;
}

unsigned fault_take(struct fault *f, uint16_t iface, struct berth_rx *v, unsigned n, uint64_t now_ns)
{
	struct link_frame **end = &f->lent;
	unsigned taken = 0;

	free_lent(f);
	while (f->n_heap && f->heap[0]->at_ns <= now_ns) {
		struct link_frame *r;

		if (f->c.merge && taken > 0) {
			struct link_frame *next = f->heap[0];

			if (link_merge(&f->frames, end, next)) {
				link_frame_free(&f->frames, heap_take(f));
				f->n.n_merged++;
				link_frame_rx(*end, iface, &v[taken - 1]);
				continue;
			}
		}
		if (taken == n)
			break;
		r = heap_take(f);
		r->next = NULL;
		if (taken > 0)
			end = &(*end)->next;
		*end = r;
		link_frame_rx(r, iface, &v[taken++]);
		f->n.n_taken++;
	}
	return taken;
}

uint32_t fault_n_queued(const struct fault *f)
{
	return f->n_heap;
}

const struct fault_counts *fault_counts(const struct fault *f)
{
	return &f->n;
}
