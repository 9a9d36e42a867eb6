/* src/cli/story.c: from rows of one port to who holds it.
 *
 * A server has many sockets: a listener for each family, workers that share them, connections it accepted. A person asks about
 * the server. So rows are gathered by the program that has them: doors first, and connections join the program that has
 * them open, or the listener they came in by when nobody has (TIME_WAIT, not yet accepted). What nobody has and no listener
 * explains is the kernel's, and told as what it is.
 */
#include "cli/story.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_door(const struct port_claim *c, const struct host_socket *s)
{
	return s->state == HOST_LISTEN || s->state == HOST_BOUND || (c->proto != PORT_TCP && c->peer_port == 0);
}

static bool same_holder(struct doors *d, const struct story *s, const struct door *door)
{
	if (s->door.row.claim.proto != door->row.claim.proto || s->door.row.claim.port != door->row.claim.port)
		return false;
	if (s->door.row.holder.pid > 0 && s->door.row.holder.pid == door->row.holder.pid)
		return true;
	if (s->door.socket->inode && door->socket->inode)
		return machine_shares_process(&d->machine, s->door.socket->inode, door->socket->inode) ||
		       (door->held == s->door.held && door->held != HOST_HELD_BY_PROCESS &&
			door->row.claim.uid == s->door.row.claim.uid);
	return !s->door.socket->inode && !door->socket->inode && s->door.held == door->held;
}

/* Did it come in by that holder's listener? */
static bool came_in_by(const struct story *s, const struct door *door)
{
	const struct port_claim *c = &door->row.claim;

	if (s->door.row.claim.proto != c->proto || s->door.row.claim.port != c->port ||
	    s->door.socket->state != HOST_LISTEN)
		return false;
	return door->socket->is & HOST_IS_ACCEPTED || door->socket->state == HOST_SYN_RECV ||
	       door->socket->state == HOST_TIME_WAIT;
}

static struct story *find(struct doors *d, struct stories *all, const struct door *door, bool by_listener)
{
	for (size_t i = 0; i < all->n; i++)
		if (same_holder(d, &all->r[i], door))
			return &all->r[i];
	for (size_t i = 0; i < all->n && by_listener; i++)
		if (came_in_by(&all->r[i], door))
			return &all->r[i];
	return NULL;
}

static struct story *find_or_make(struct doors *d, struct stories *all, const struct door *door, bool by_listener)
{
	struct story *s = find(d, all, door, by_listener);

	if (s)
		return s;
	if (all->n == STORIES_MAX) {
		all->n_left_out++;
		return NULL;
	}
	s = &all->r[all->n++];
	*s = (struct story){.door = *door};
	return s;
}

/* --- connections --- */

struct tally {
	struct port_addr addr;
	uint32_t story;
};

static int by_story_and_peer(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	if (x->story != y->story)
		return x->story < y->story ? -1 : 1;
	return memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));
}

static void keep_most(struct story *s, const struct port_addr *a, uint32_t n)
{
	size_t at = STORY_PEERS_MAX;

	while (at > 0 && s->peers[at - 1].n < n)
		at--;
	for (size_t i = STORY_PEERS_MAX; i-- > at + 1;)
		s->peers[i] = s->peers[i - 1];
	if (at < STORY_PEERS_MAX)
		s->peers[at] = (struct story_peer){*a, n};
}

static void count_peers(const struct doors *d, struct stories *all)
{
	struct tally *t = malloc((d->n ? d->n : 1) * sizeof(*t));
	size_t n = 0;

	if (!t)
		return; /* told without them */
	for (size_t i = 0; i < d->n; i++)
		if (all->of_row[i] && d->machine.sockets.rows[d->r[i].at].peer_port)
			t[n++] = (struct tally){d->machine.sockets.rows[d->r[i].at].peer, all->of_row[i]};
	if (n)
		qsort(t, n, sizeof(*t), by_story_and_peer);
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && by_story_and_peer(&t[i], &t[k]) == 0;)
			k++;
		keep_most(&all->r[t[i].story - 1], &t[i].addr, (uint32_t)(k - i));
	}
	free(t);
}

static void add_connection(struct story *s, const struct host_socket *k)
{
	s->n_connections++;
	s->n_state[k->state < HOST_NSTATES ? k->state : 0]++;
	if (k->state == HOST_TIME_WAIT && k->timer_ms > s->ends_in_ms)
		s->ends_in_ms = k->timer_ms;
}

static void gather(struct doors *d, struct stories *all, bool doors)
{
	struct door door;

	for (size_t i = 0; i < d->n; i++) {
		struct port_claim c;
		struct story *s;
		bool is;

		if (d->r[i].net != 0)
			continue;
		doors_claim(d, &d->r[i], &c);
		is = is_door(&c, &d->machine.sockets.rows[d->r[i].at]);
		if (is != doors)
			continue;
		doors_get(d, i, &door);
		s = find_or_make(d, all, &door, !doors);
		if (!s)
			continue;
		all->of_row[i] = (uint32_t)(s - all->r) + 1;
		if (!is) {
			add_connection(s, door.socket);
			continue;
		}
		if (s->n_doors < STORY_DOORS_MAX)
			s->doors[s->n_doors] = i;
		s->n_doors++;
		if (door.socket->state == HOST_LISTEN && s->door.socket->state != HOST_LISTEN)
			s->door = door;
		s->is_split |= door.split != 0;
	}
}

/* --- the program --- */

static void read_flags(struct doors *d, struct story *s, size_t i, uint64_t inode)
{
	size_t n;
	const struct host_owner *who = machine_owners_of(&d->machine, inode, &n);

	for (size_t k = 0; k < n && !s->flags[i].known && !d->machine.root; k++)
		s->flags[i].known = host_flags_read(who[k].pid, who[k].fd, inode, &s->flags[i].f) == 0;
}

static void read_process(struct doors *d, struct story *s)
{
	int32_t pid = s->door.row.holder.pid;
	struct timespec now;

	if (pid <= 0)
		return;
	s->has_process = host_process_read(d->machine.root, pid, &s->process) == 0;
	if (!s->has_process)
		return;
	s->n_parents = host_process_parents(d->machine.root, pid, s->parents);
	clock_gettime(CLOCK_REALTIME, &now);
	s->started_unix_s = (uint64_t)now.tv_sec - s->process.age_us / 1000000;
	for (size_t i = 0; i < s->n_doors && i < STORY_DOORS_MAX; i++)
		read_flags(d, s, i, d->machine.sockets.rows[d->r[s->doors[i]].at].inode);
	if (s->n_doors == 0)
		read_flags(d, s, 0, s->door.socket->inode);
}

/* Two holders with one address: only SO_REUSEPORT, or UDP's SO_REUSEADDR, lets them. */
static void mark_shared(struct doors *d, struct stories *all)
{
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; k < all->n; k++) {
			struct story *a = &all->r[i];
			const struct port_claim *x = &a->door.row.claim, *y = &all->r[k].door.row.claim;

			a->shares_address |= i != k && a->n_doors && all->r[k].n_doors && x->proto == y->proto &&
					     x->port == y->port && x->family == y->family &&
					     port_addr_equal(&x->addr, &y->addr);
		}
	(void)d;
}

int stories_read(struct cli *cli, struct doors *d, struct stories *ret)
{
	*ret = (struct stories){.r = calloc(STORIES_MAX, sizeof(*ret->r)),
				.of_row = calloc(d->n ? d->n : 1, sizeof(*ret->of_row))};
	if (!ret->r || !ret->of_row) {
		stories_free(ret);
		return cli_fail(cli, 0, "no memory to tell who it is");
	}
	gather(d, ret, true);
	gather(d, ret, false);
	count_peers(d, ret);
	mark_shared(d, ret);
	for (size_t i = 0; i < ret->n; i++) {
		read_process(d, &ret->r[i]);
		story_try(d, &ret->r[i]);
		story_explain(cli, d, &ret->r[i]);
	}
	return 0;
}

void stories_free(struct stories *s)
{
	free(s->r);
	free(s->of_row);
	*s = (struct stories){0};
}
