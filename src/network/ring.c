/* src/network/ring.c: refusals on their way from a program's shim to its `berth run`.
 *
 * A ring of MAP_RUN_EVENTS records per run. A writer draws a number, marks the record as being written,
 * fills it, stamps it with its number plus one; it never waits, the oldest is overwritten. The reader
 * takes what bears the stamp it expects, before and after copying. A writer that died half-way leaves a
 * record without a stamp, which is passed over once a later one is whole. Everything taken is checked:
 * the ring is in memory others can write.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>

#include "network/internal.h"

int network_run_open(struct network *n)
{
	uint64_t sigmask = raw_sigmask_block_all(), me = lock_me();
	struct map_header *hd = map_header(n);
	int r = -EUCLEAN;

	if (!hd)
		goto out;
	r = map_lock_take(&hd->lock, me, NULL);
	if (r < 0)
		goto out;
	r = -ENOSPC;
	for (uint32_t i = 0; i < MAP_RUNS; i++) {
		struct map_run *run = map_run(n, i);

		if (!run)
			break;
		if (atomic_load(&run->used) && !(run->pidns == lock_pidns() && task_is_gone(run->pid, run->opened_ns)))
			continue;
		for (uint32_t e = 0; e < MAP_RUN_EVENTS; e++)
			atomic_store(&run->events[e].stamp, 0);
		atomic_store(&run->head, 0);
		run->pid = raw_getpid();
		run->pidns = lock_pidns();
		run->opened_ns = boot_ns();
		atomic_store(&run->used, 1);
		r = (int)i;
		break;
	}
	map_lock_give(&hd->lock, me);
out:
	raw_sigmask_restore(sigmask);
	return r;
}

void network_run_close(struct network *n, uint32_t run)
{
	struct map_run *r = map_run(n, run);

	if (r)
		atomic_store(&r->used, 0);
}

void network_event_put(struct network *n, uint32_t run, const struct network_event *e)
{
	struct map_run *r = map_run(n, run);
	struct map_event *slot;
	uint64_t at;

	if (!r || !atomic_load(&r->used))
		return;
	at = atomic_fetch_add(&r->head, 1);
	slot = &r->events[at % MAP_RUN_EVENTS];
	atomic_store(&slot->stamp, 0);
	slot->e = *e;
	atomic_store(&slot->stamp, at + 1);
	atomic_fetch_add(&r->bell, 1);
	(void)raw_call(SYS_futex, (long)&r->bell, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

static bool claim_sane(const struct port_claim *c)
{
	return c->proto < PORT_NPROTOS && (c->family == PORT_FAMILY_4 || c->family == PORT_FAMILY_6) &&
	       c->state < CLAIM_NSTATES;
}

/* Compared as integers: octets in an enum need not be one of its values. */
static bool event_sane(struct network_event *e)
{
	uint32_t rule, proto, family;
	uint8_t by_valid;

	memcpy(&rule, &e->refusal.rule, sizeof(rule));
	memcpy(&proto, &e->want.proto, sizeof(proto));
	memcpy(&family, &e->want.family, sizeof(family));
	memcpy(&by_valid, &e->refusal.by_valid, sizeof(by_valid));
	e->comm[sizeof(e->comm) - 1] = '\0';
	e->want.owner.comm[sizeof(e->want.owner.comm) - 1] = '\0';
	e->refusal.by.owner.comm[sizeof(e->refusal.by.owner.comm) - 1] = '\0';
	return rule < PORT_NRULES && proto < PORT_NPROTOS && (family == PORT_FAMILY_4 || family == PORT_FAMILY_6) &&
	       by_valid <= 1 && (!by_valid || claim_sane(&e->refusal.by)) && e->host < NETWORK_HOSTS_MAX &&
	       e->refusal.err <= 0 && e->refusal.err > -4096 && e->call && strchr("blckp", e->call) &&
	       port_policy_refusal_sane(&e->refusal.policy);
}

int network_event_take(struct network *n, uint32_t run, uint64_t *cursor, struct network_event *ret)
{
	struct map_run *r = map_run(n, run);

	if (!r)
		return -EAGAIN;
	for (unsigned tries = 0; tries < 4 * MAP_RUN_EVENTS; tries++) {
		uint64_t head = atomic_load(&r->head);
		struct map_event *slot;
		uint64_t stamp;

		if (*cursor > head)
			*cursor = head; /* scribbled, or a new run in the record */
		if (head - *cursor > MAP_RUN_EVENTS)
			*cursor = head - MAP_RUN_EVENTS;
		if (*cursor == head)
			return -EAGAIN;
		slot = &r->events[*cursor % MAP_RUN_EVENTS];
		stamp = atomic_load(&slot->stamp);
		if (stamp == *cursor + 1) {
			struct network_event e;

			memcpy(&e, &slot->e, sizeof(e));
			atomic_thread_fence(memory_order_acquire);
			++*cursor;
			if (atomic_load(&slot->stamp) == stamp && event_sane(&e)) {
				*ret = e;
				return 0;
			}
			continue;
		}
		if (head == *cursor + 1)
			return -EAGAIN; /* being written */
		++*cursor;
	}
	return -EAGAIN;
}

uint32_t *network_event_word(struct network *n, uint32_t run)
{
	struct map_run *r = map_run(n, run);

	return r ? (uint32_t *)(void *)&r->bell : NULL;
}
