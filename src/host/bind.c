/* src/host/bind.c: the kernel's sockets of one port, asked by the heart's rules.
 *
 * A socket becomes a claim as host_socket_claim() says, with three corrections that only the bind rules need:
 *   - a caller whose handshake is not done holds no port (the kernel keeps it beside the listener), and is left out;
 *   - FIN_WAIT2 without a socket is the first half of TIME_WAIT, and shares as that does;
 *   - of many alike (ten thousand accepted connections on one address) the first stands for all.
 *
 * What is not known is tried both ways: every unknown socket as one that set nothing, then as one that set everything, is the
 * asker's own, and is IPv6 only. When the heart answers the same, nothing that is hidden can change it: mostly so, as an asker
 * without flags shares with nobody (R7). Two more things are hidden. UDP asks the newest first, and no list tells the order: it is
 * tried forwards and backwards. And TCP remembers who shared with SO_REUSEPORT (D3), so a refusal of such an asker beside such
 * a holder is not certain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bind.h"
#include "host/flags.h"

#define FLAGS_MAX 64 /* sockets that are asked for their options */

const char *const host_how_name[HOST_NHOWS] = {
	"listens",   "idle",   "outgoing",   "accepted", "connection",
	"time-wait", "orphan", "unaccepted", "udp",	 "udp-connected",
};

/* --- reading --- */

static bool is_half_closed_ghost(const struct host_socket *s)
{
	return s->state == HOST_FIN_WAIT2 && s->inode == 0 && s->timer == HOST_TIMER_TIME_WAIT;
}

static enum host_how how_of(const struct host_socket *s)
{
	if (s->proto == HOST_UDP)
		return s->state == HOST_ESTABLISHED ? HOST_HOW_UDP_CONNECTED : HOST_HOW_UDP;
	if (s->state == HOST_LISTEN)
		return HOST_HOW_LISTENS;
	if (s->state == HOST_BOUND)
		return HOST_HOW_IDLE;
	if (s->state == HOST_TIME_WAIT || is_half_closed_ghost(s))
		return HOST_HOW_TIME_WAIT;
	if (s->inode == 0)
		return s->state == HOST_ESTABLISHED || s->state == HOST_CLOSE_WAIT ? HOST_HOW_UNACCEPTED
										   : HOST_HOW_ORPHAN;
	if (s->is & HOST_IS_ACCEPTED)
		return HOST_HOW_ACCEPTED;
	return s->state == HOST_SYN_SENT ? HOST_HOW_OUTGOING : HOST_HOW_FLOW;
}

static bool is_like(const struct host_bind_row *a, const struct host_bind_row *b)
{
	const struct port_claim *x = &a->claim, *y = &b->claim;

	/* Of those that end at different times the last one counts, and a program is not another. */
	return a->how == b->how && x->state == y->state && x->family == y->family && x->uid == y->uid &&
	       x->dev == y->dev && x->flags == y->flags && a->socket->have == b->socket->have &&
	       port_addr_equal(&x->addr, &y->addr) &&
	       (a->how == HOST_HOW_ACCEPTED || a->how == HOST_HOW_TIME_WAIT || a->how == HOST_HOW_UNACCEPTED ||
		a->how == HOST_HOW_ORPHAN);
}

static void ask_flags(struct host_bind_row *row, const struct host_owners *owners)
{
	const struct host_owner *o;
	struct host_flags f;
	size_t n = 0;

	o = row->socket->inode ? host_owners_find(owners, row->socket->inode, &n) : NULL;
	for (size_t i = 0; i < n && i < 4 && !row->flags_known; i++) {
		if (host_flags_read(o[i].pid, o[i].fd, row->socket->inode, &f) < 0)
			continue;
		row->flags_known = true;
		row->v6only_known = true;
		row->claim.flags |= (uint16_t)((f.reuseaddr ? PORT_REUSEADDR : 0) | (f.reuseport ? PORT_REUSEPORT : 0) |
					       (f.v6only ? PORT_V6ONLY : 0));
	}
}

static void add(struct host_bind *b, const struct host_socket *s, uint64_t now_us)
{
	struct host_bind_row row = {.socket = s, .how = how_of(s), .n_same = 1};

	row.v6only_known = s->family == PORT_FAMILY_4 || (s->have & HOST_HAS_V6ONLY);
	if (s->state == HOST_SYN_RECV && s->inode == 0)
		return;
	(void)host_socket_claim(s, now_us, &row.claim);
	if (row.how == HOST_HOW_TIME_WAIT) {
		row.claim.state = CLAIM_LINGER;
		row.claim.expires_us = now_us + (uint64_t)s->timer_ms * 1000;
	}
	for (size_t i = b->n; i-- > 0 && b->n - i < 8;) /* the list is by address, then peer */
		if (is_like(&b->rows[i], &row)) {
			b->rows[i].n_same++;
			if (row.claim.expires_us != NEVER_US && row.claim.expires_us > b->rows[i].claim.expires_us) {
				b->rows[i].claim.expires_us = row.claim.expires_us;
				b->rows[i].socket = s;
			}
			return;
		}
	b->rows[b->n++] = row;
}

int host_bind_read(const struct host_sockets *s, enum port_proto proto, uint16_t port, const struct host_owners *owners,
		   uint64_t now_us, struct host_bind *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->rows[i].port == port && s->rows[i].proto == (uint8_t)proto;
	*ret = (struct host_bind){.rows = calloc(n ? n : 1, sizeof(ret->rows[0]))};
	if (!ret->rows)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		if (s->rows[i].port == port && s->rows[i].proto == (uint8_t)proto)
			add(ret, &s->rows[i], now_us);
	for (size_t i = 0; i < ret->n; i++)
		ret->rows[i].claim.user = i;
	if (owners)
		host_bind_ask_flags(ret, owners);
	return 0;
}

void host_bind_ask_flags(struct host_bind *b, const struct host_owners *owners)
{
	for (size_t i = 0; i < b->n && i < FLAGS_MAX; i++)
		ask_flags(&b->rows[i], owners);
}

void host_bind_free(struct host_bind *b)
{
	free(b->rows);
	*b = (struct host_bind){0};
}

/* --- asking --- */

/* One way the hidden may be. */
struct guess {
	bool generous; /* unknown sockets share all they can with the asker */
	bool backwards;
	bool v6only; /* unknown ones are IPv6 only */
};

static struct port_claim guessed(const struct host_bind_row *row, const struct port_want *want, const struct guess *g)
{
	struct port_claim c = row->claim;

	if (!row->flags_known && g->generous) {
		c.flags |= PORT_REUSEADDR | PORT_REUSEPORT;
		c.uid = row->socket->inode ? c.uid : want->uid; /* of nobody's socket it may be told wrongly */
	}
	if (!row->v6only_known && g->v6only)
		c.flags |= PORT_V6ONLY;
	if (c.family == PORT_FAMILY_6 && !port_addr_is4(&c.addr) && !port_addr_is_any(&c.addr) &&
	    (row->socket->state == HOST_LISTEN || row->socket->state == HOST_BOUND))
		c.flags |= PORT_V6ONLY; /* as the kernel does at bind */
	return c;
}

static int fill(struct port_table *t, const struct host_bind *b, const struct port_want *want, const struct guess *g)
{
	int r = 0;

	for (size_t i = 0; i < b->n && (r == 0 || r == -EINVAL); i++) {
		struct port_claim c = guessed(&b->rows[g->backwards ? b->n - 1 - i : i], want, g);
		struct port_ref ref;

		r = port_table_put(t, &c, &ref);
	}
	return r == -EINVAL ? 0 : r;
}

static int ask_once(void *mem, size_t len, const struct host_bind *b, const struct port_want *want, bool listen,
		    uint16_t unprivileged_start, const struct guess *g, struct port_refusal *ret)
{
	static const uint8_t secret[16];
	const struct port_settings settings = {.range = {32768, 60999}, .unprivileged_start = unprivileged_start};
	struct port_want w = *want;
	struct port_table t;
	int r = port_table_init(&t, mem, len, b->n ? (uint32_t)b->n : 1, secret);

	if (r < 0)
		return r;
	if (port_table_set_settings(&t, &settings) < 0 && w.port >= unprivileged_start)
		w.flags |= PORT_PRIVILEGED; /* the first unprivileged port is above the heart's range */
	w.flags |= PORT_FREEBIND;
	r = fill(&t, b, &w, g);
	if (r < 0)
		return r;
	*ret = (struct port_refusal){0};
	ret->err = port_table_probe(&t, &w, listen, ret);
	return 0;
}

/* D3: is there somebody whom this asker may share with, whatever the others set? */
static bool may_be_remembered(const struct host_bind *b, const struct port_want *want)
{
	if (want->proto != PORT_TCP || !(want->flags & PORT_REUSEPORT))
		return false;
	for (size_t i = 0; i < b->n; i++)
		if (!b->rows[i].flags_known || (b->rows[i].claim.flags & PORT_REUSEPORT))
			return true;
	return false;
}

int host_bind_ask(const struct host_bind *b, const struct port_want *want, bool listen, uint16_t unprivileged_start,
		  struct host_verdict *ret)
{
	/* The first is what is told: that of sockets which set nothing. */
	static const struct guess guesses[] = {
		{0},
		{.backwards = true},
		{.generous = true, .backwards = true},
		{.generous = true},
		{.v6only = true},
		{.generous = true, .v6only = true},
	};
	size_t len = port_table_size(b->n ? (uint32_t)b->n : 1);
	void *mem = malloc(len);
	struct port_refusal other;
	int r = mem ? 0 : -ENOMEM;

	*ret = (struct host_verdict){.certain = true};
	for (size_t i = 0; i < COUNT_OF(guesses) && r == 0; i++) {
		r = ask_once(mem, len, b, want, listen, unprivileged_start, &guesses[i], i ? &other : &ret->refusal);
		if (r == 0 && i && other.err != ret->refusal.err) {
			ret->certain = false;
			/* Somebody refuses in one of the ways: that one is named. */
			if (ret->refusal.err == 0)
				ret->refusal = other;
		}
	}
	free(mem);
	if (r < 0)
		return r;
	if (ret->refusal.err == -EADDRINUSE && may_be_remembered(b, want))
		ret->certain = false;
	if (ret->refusal.by_valid && ret->refusal.by.user < b->n) {
		ret->row = &b->rows[ret->refusal.by.user];
		ret->refusal.by.flags |= ret->row->claim.flags;
	}
	return 0;
}
