/* src/dhcp/client.c: the DHCP client's states (RFC 2131, 4.4, figure 5).
 *
 *	STOPPED --> INIT --> SELECTING --> REQUESTING --> BOUND --> RENEWING --> REBINDING
 *		     | ^	 offer	       ACK    |  ^  T1      | ACK  T2	  | ACK
 *		     | |			      |  `----------+-------------'
 *		     | `-- NAK, time, too many tries ---------------'  (the lease is lost)
 *		     `--> REBOOTING: an address from before is asked for first
 *
 * One message is out at a time. It is sent again after 4, 8, 16, 32, 64 seconds, each a second more or less (4.1); in RENEWING and
 * REBINDING after half of the time that is left, but not sooner than a minute (4.4.5). T1 and T2 are the server's if they make sense,
 * else half and seven eighths of the lease, a little earlier by chance.
 *
 * An answer is believed when it carries our transaction number, MAC and client identifier, the server is the one we asked (not while
 * rebinding), the address is the one offered, or ours, and the lease is ten seconds at least. A transaction number is used for one
 * exchange. Servers that refuse again and again make us slower, up to once in a minute.
 *
 * Always true (check())
 *   D1  a lease is there in BOUND, RENEWING and REBINDING and nowhere else;
 *   D2  renew <= rebind <= end;
 *   D3  every state but STOPPED has a deadline, unless the lease never ends.
 */
#include <errno.h>
#include <string.h>

#include "base/siphash.h"
#include "dhcp/message.h"

#define MS_NS UINT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define NEVER UINT64_MAX
#define TIME_MAX (UINT64_MAX / 2)
#define START_DELAY_MS 1000
#define FIRST_WAIT_S 4
#define LAST_WAIT_S 64
#define REQUEST_TRIES 4
#define REBOOT_TRIES 3
#define RENEW_WAIT_MIN_NS (60 * SECOND_NS)
#define DECLINE_WAIT_NS (10 * SECOND_NS)
#define LEASE_MIN_S 10
#define EVENTS_MAX 4

struct berth_dhcp {
	struct siphash_key key;
	uint64_t counter;
	uint64_t now_ns;
	uint32_t flags, start_delay_ms;
	uint8_t mac[6];
	uint8_t client_id_len;
	uint8_t client_id[DHCP_CLIENT_ID_MAX];
	char hostname[64];

	enum berth_dhcp_state state;
	uint32_t last_addr; /* for REBOOTING */
	uint32_t xid;
	unsigned n_sent;	 /* of the message that is out */
	unsigned n_refusals;	 /* in a row */
	bool want_send;		 /* output() has something */
	enum dhcp_type farewell; /* RELEASE or DECLINE to be sent before all else; 0: none */
	uint32_t farewell_addr, farewell_server;
	uint64_t wake_ns;	/* the next thing that time does */
	uint64_t begun_ns;	/* of this exchange: the field "secs" */
	uint64_t first_sent_ns; /* of this REQUEST: the lease counts from here (4.4.1) */
	uint32_t offer_addr, offer_server;
	bool has_lease;
	struct berth_dhcp_lease lease;
	unsigned n_events;
	struct berth_dhcp_event events[EVENTS_MAX];
	struct berth_dhcp_counters n;
};

/* --- chance --- */

static uint64_t draw(struct berth_dhcp *d)
{
	uint64_t n = d->counter++;

	return siphash24(&d->key, &n, sizeof(n));
}

/* Uniform in [0, n); 0 for 0. */
static uint64_t below(struct berth_dhcp *d, uint64_t n)
{
	return n ? draw(d) % n : 0;
}

/* --- states --- */

#define TO(s) (1u << BERTH_DHCP_##s)
static const uint16_t edges[] = {
	[BERTH_DHCP_STOPPED] = TO(STOPPED) | TO(INIT) | TO(REBOOTING),
	[BERTH_DHCP_INIT] = TO(STOPPED) | TO(INIT) | TO(SELECTING) | TO(REBOOTING),
	[BERTH_DHCP_SELECTING] = TO(STOPPED) | TO(INIT) | TO(REQUESTING),
	[BERTH_DHCP_REQUESTING] = TO(STOPPED) | TO(INIT) | TO(BOUND_STATE),
	[BERTH_DHCP_REBOOTING] = TO(STOPPED) | TO(INIT) | TO(BOUND_STATE),
	[BERTH_DHCP_BOUND_STATE] = TO(STOPPED) | TO(INIT) | TO(RENEWING) | TO(REBINDING),
	[BERTH_DHCP_RENEWING] = TO(STOPPED) | TO(INIT) | TO(BOUND_STATE) | TO(REBINDING),
	[BERTH_DHCP_REBINDING] = TO(STOPPED) | TO(INIT) | TO(BOUND_STATE),
};

static bool check(const struct berth_dhcp *d)
{
	bool bound = d->state >= BERTH_DHCP_BOUND_STATE;

	if (d->has_lease != bound)
		return false;
	if (bound && (d->lease.renew_ns > d->lease.rebind_ns || d->lease.rebind_ns > d->lease.ends_ns))
		return false;
	return d->state == BERTH_DHCP_STOPPED || d->wake_ns != NEVER || (bound && d->lease.ends_ns == NEVER);
}

static void event(struct berth_dhcp *d, enum berth_dhcp_what what)
{
	if (what == BERTH_DHCP_RENEWED && d->n_events && d->events[d->n_events - 1].what != BERTH_DHCP_LOST) {
		d->events[d->n_events - 1].lease = d->lease; /* BOUND or RENEWED, not fetched yet: brought up to date */
		return;
	}
	if (what == BERTH_DHCP_LOST && d->n_events && d->events[d->n_events - 1].what == BERTH_DHCP_BOUND) {
		d->n_events--; /* nobody saw it */
		return;
	}
	if (what == BERTH_DHCP_LOST && d->n_events && d->events[d->n_events - 1].what == BERTH_DHCP_RENEWED)
		d->n_events--;
	/* So what waits is at most: LOST, BOUND. */
	ASSERT(d->n_events < EVENTS_MAX);
	d->events[d->n_events++] = (struct berth_dhcp_event){.what = what, .lease = d->lease};
}

static void go(struct berth_dhcp *d, enum berth_dhcp_state to)
{
	ASSERT(edges[d->state] & (1u << to));
	d->state = to;
	d->n_sent = 0;
	d->want_send = false;
}

static void lose(struct berth_dhcp *d)
{
	if (!d->has_lease)
		return;
	event(d, BERTH_DHCP_LOST);
	d->has_lease = false;
}

/* From the start, after a while. */
static void again(struct berth_dhcp *d, uint64_t wait_ns)
{
	lose(d);
	go(d, BERTH_DHCP_INIT);
	d->wake_ns = d->now_ns + wait_ns;
}

/* A new exchange, its first message at once. */
static void begin(struct berth_dhcp *d, enum berth_dhcp_state to)
{
	go(d, to);
	d->xid = (uint32_t)draw(d);
	d->want_send = true;
	d->first_sent_ns = 0;
	d->begun_ns = d->now_ns;
	d->wake_ns = d->now_ns; /* until it is sent */
}

/* --- time --- */

static void refused(struct berth_dhcp *d)
{
	uint64_t wait_s = UINT64_C(1) << (d->n_refusals < 6 ? d->n_refusals : 6);

	d->n_refusals++;
	again(d, wait_s * SECOND_NS / 2 + below(d, wait_s * 1000) * MS_NS);
}

/* When the message that was just sent is sent again. */
static uint64_t next_try(struct berth_dhcp *d)
{
	uint64_t end, half, wait_s;

	if (d->state == BERTH_DHCP_RENEWING || d->state == BERTH_DHCP_REBINDING) {
		end = d->state == BERTH_DHCP_RENEWING ? d->lease.rebind_ns : d->lease.ends_ns;
		half = (end - d->now_ns) / 2;
		half = half < RENEW_WAIT_MIN_NS ? RENEW_WAIT_MIN_NS : half;
		return d->now_ns + half < end ? d->now_ns + half : end;
	}
	wait_s = (uint64_t)FIRST_WAIT_S << (d->n_sent - 1 < 4 ? d->n_sent - 1 : 4);
	wait_s = wait_s > LAST_WAIT_S ? LAST_WAIT_S : wait_s;
	return d->now_ns + (wait_s - 1) * SECOND_NS + below(d, 2000) * MS_NS;
}

static void time_in_lease(struct berth_dhcp *d)
{
	if (d->now_ns >= d->lease.ends_ns) {
		d->n_refusals = 0;
		again(d, 0);
	} else if (d->now_ns >= d->lease.rebind_ns && d->state != BERTH_DHCP_REBINDING) {
		begin(d, BERTH_DHCP_REBINDING);
	} else if (d->now_ns >= d->lease.renew_ns && d->state == BERTH_DHCP_BOUND_STATE) {
		begin(d, BERTH_DHCP_RENEWING);
	} else {
		d->want_send = d->state != BERTH_DHCP_BOUND_STATE;
	}
}

static void due(struct berth_dhcp *d)
{
	switch (d->state) {
	case BERTH_DHCP_STOPPED:
		return;
	case BERTH_DHCP_INIT:
		begin(d, d->last_addr ? BERTH_DHCP_REBOOTING : BERTH_DHCP_SELECTING);
		return;
	case BERTH_DHCP_SELECTING:
		d->want_send = true;
		return;
	case BERTH_DHCP_REQUESTING:
		if (d->n_sent >= REQUEST_TRIES)
			again(d, below(d, 1000) * MS_NS);
		else
			d->want_send = true;
		return;
	case BERTH_DHCP_REBOOTING:
		if (d->n_sent >= REBOOT_TRIES) {
			d->last_addr =
				0; /* nobody knows of it: 3.2, 4 would let us keep it, but we would not know for how long */
			again(d, 0);
		} else {
			d->want_send = true;
		}
		return;
	case BERTH_DHCP_BOUND_STATE:
	case BERTH_DHCP_RENEWING:
	case BERTH_DHCP_REBINDING:
		time_in_lease(d);
		return;
	}
}

static void time_is(struct berth_dhcp *d, uint64_t now_ns)
{
	if (now_ns > TIME_MAX)
		now_ns = TIME_MAX;
	if (now_ns > d->now_ns)
		d->now_ns = now_ns;
	/* Each step waits for output() or moves wake_ns; two or three follow each other at one time (the lease ends, INIT, SELECTING).
	 * A lease ends also while a message waits to be fetched. */
	for (unsigned i = 0; i < 4 && (!d->want_send || d->has_lease) && d->wake_ns <= d->now_ns; i++)
		due(d);
	ASSERT(check(d));
}

/* --- answers --- */

static bool for_us(const struct berth_dhcp *d, const struct dhcp_answer *a)
{
	if (a->xid != d->xid || memcmp(a->mac, d->mac, sizeof(d->mac)) != 0)
		return false;
	/* RFC 6842, 3: a server that echoes the identifier echoes ours. */
	return !a->has_client_id ||
	       (a->client_id_len == d->client_id_len && memcmp(a->client_id, d->client_id, d->client_id_len) == 0);
}

/* RFC 950's classes, for servers that say no mask. */
static uint8_t prefix_of(const struct dhcp_answer *a)
{
	if (a->has_mask)
		return a->prefix_bits;
	return a->yiaddr >> 31 == 0 ? 8 : a->yiaddr >> 30 == 2 ? 16 : 24;
}

static bool lease_ok(const struct dhcp_answer *a)
{
	return a->has_lease && a->lease_s >= LEASE_MIN_S && dhcp_is_host(a->yiaddr) && dhcp_is_host(a->server);
}

static void times(struct berth_dhcp *d, const struct dhcp_answer *a, struct berth_dhcp_lease *l)
{
	uint64_t length = a->lease_s * SECOND_NS, t1 = length / 2, t2 = length / 8 * 7;

	l->begun_ns = d->first_sent_ns;
	if (a->lease_s == UINT32_MAX) {
		l->renew_ns = l->rebind_ns = l->ends_ns = NEVER;
		return;
	}
	if (a->t1_s && a->t2_s && a->t1_s < a->t2_s && a->t2_s < a->lease_s) {
		t1 = a->t1_s * SECOND_NS;
		t2 = a->t2_s * SECOND_NS;
	}
	/* 4.4.5: around a fixed value by chance; earlier only, so that T1 stays before T2 and T2 before the end. */
	l->renew_ns = l->begun_ns + t1 - below(d, t1 / 16);
	l->rebind_ns = l->begun_ns + t2 - below(d, (t2 - t1) / 16);
	l->ends_ns = l->begun_ns + length;
}

static void take_lease(struct berth_dhcp *d, const struct dhcp_answer *a)
{
	bool renewed = d->has_lease;
	struct berth_dhcp_lease l = {.addr = a->yiaddr, .server = a->server, .prefix_bits = prefix_of(a)};

	l.mtu_bytes = a->mtu_bytes;
	l.n_routers = a->n_routers;
	l.n_routes = a->n_routes;
	l.n_dns = a->n_dns;
	memcpy(l.routers, a->routers, sizeof(l.routers));
	memcpy(l.routes, a->routes, sizeof(l.routes));
	memcpy(l.dns, a->dns, sizeof(l.dns));
	memcpy(l.domain, a->domain, sizeof(l.domain));
	times(d, a, &l);
	if (l.ends_ns <= d->now_ns) {
		d->n.refused++; /* the answer took longer than the lease */
		return;
	}
	d->lease = l;
	d->has_lease = true;
	d->last_addr = l.addr;
	d->n_refusals = 0;
	go(d, BERTH_DHCP_BOUND_STATE);
	d->wake_ns = l.renew_ns;
	event(d, renewed ? BERTH_DHCP_RENEWED : BERTH_DHCP_BOUND);
}

static void offered(struct berth_dhcp *d, const struct dhcp_answer *a)
{
	uint64_t begun_ns = d->begun_ns;
	uint32_t xid = d->xid;

	if (d->state != BERTH_DHCP_SELECTING || !lease_ok(a)) {
		d->n.refused++;
		return;
	}
	d->offer_addr = a->yiaddr;
	d->offer_server = a->server;
	begin(d, BERTH_DHCP_REQUESTING); /* 4.4.1: the same number and the same beginning as the DISCOVER's */
	d->xid = xid;
	d->begun_ns = begun_ns;
}

/* Was it asked of this server, and is it about this address? */
static bool expected(const struct berth_dhcp *d, const struct dhcp_answer *a)
{
	switch (d->state) {
	case BERTH_DHCP_REQUESTING:
		return a->server == d->offer_server && (a->type == DHCP_NAK || a->yiaddr == d->offer_addr);
	case BERTH_DHCP_REBOOTING:
		return a->type == DHCP_NAK || a->yiaddr == d->last_addr;
	case BERTH_DHCP_RENEWING:
		return a->server == d->lease.server && (a->type == DHCP_NAK || a->yiaddr == d->lease.addr);
	case BERTH_DHCP_REBINDING:
		return a->type == DHCP_NAK || a->yiaddr == d->lease.addr;
	case BERTH_DHCP_STOPPED:
	case BERTH_DHCP_INIT:
	case BERTH_DHCP_SELECTING:
	case BERTH_DHCP_BOUND_STATE:
		return false;
	}
	return false;
}

void berth_dhcp_input(struct berth_dhcp *d, const uint8_t *data, size_t len_bytes, uint64_t now_ns)
{
	struct dhcp_answer a;

	time_is(d, now_ns);
	d->n.received++;
	if (dhcp_answer_parse(data, len_bytes, &a) < 0) {
		d->n.malformed++;
		return;
	}
	if (d->n_sent == 0 || !for_us(d, &a)) { /* nothing was asked yet, or not by us */
		d->n.not_for_us++;
		return;
	}
	if (a.type == DHCP_OFFER) {
		offered(d, &a);
	} else if (!expected(d, &a)) {
		d->n.refused++;
	} else if (a.type == DHCP_NAK) {
		d->last_addr = 0;
		refused(d);
	} else if (lease_ok(&a)) {
		take_lease(d, &a);
	} else {
		d->n.refused++;
	}
	ASSERT(check(d));
}

/* --- what is sent --- */

static void farewell(struct berth_dhcp *d, struct berth_dhcp_tx *tx)
{
	struct dhcp_ask m = {.type = d->farewell,
			     .xid = (uint32_t)draw(d),
			     .server = d->farewell_server,
			     .mac = d->mac};

	m.client_id = d->client_id;
	m.client_id_len = d->client_id_len;
	if (d->farewell == DHCP_RELEASE) {
		m.ciaddr = tx->src = d->farewell_addr;
		tx->dst = d->farewell_server;
	} else {
		m.requested = d->farewell_addr;
		tx->src = 0;
		tx->dst = UINT32_MAX;
	}
	d->farewell = 0;
	tx->len = (uint32_t)dhcp_ask_emit(&m, tx->data);
}

static void message(struct berth_dhcp *d, struct berth_dhcp_tx *tx)
{
	uint64_t secs = (d->now_ns - d->begun_ns) / SECOND_NS;
	struct dhcp_ask m = {.type = DHCP_REQUEST,
			     .xid = d->xid,
			     .mac = d->mac,
			     .client_id = d->client_id,
			     .hostname = d->hostname};

	m.client_id_len = d->client_id_len;
	m.secs = secs > UINT16_MAX ? UINT16_MAX : (uint16_t)secs;
	m.broadcast = !(d->flags & BERTH_DHCP_UNICAST);
	tx->src = 0;
	tx->dst = UINT32_MAX;
	switch (d->state) { /* RFC 2131, 4.3.6, table 4 */
	case BERTH_DHCP_SELECTING:
		m.type = DHCP_DISCOVER;
		break;
	case BERTH_DHCP_REQUESTING:
		m.requested = d->offer_addr;
		m.server = d->offer_server;
		break;
	case BERTH_DHCP_REBOOTING:
		m.requested = d->last_addr;
		break;
	case BERTH_DHCP_RENEWING:
		tx->dst = d->lease.server;
		FALLTHROUGH;
	case BERTH_DHCP_REBINDING:
		m.ciaddr = tx->src = d->lease.addr;
		m.broadcast = false;
		break;
	case BERTH_DHCP_STOPPED:
	case BERTH_DHCP_INIT:
	case BERTH_DHCP_BOUND_STATE:
		ASSERT(!"there is nothing to say in this state");
	}
	tx->len = (uint32_t)dhcp_ask_emit(&m, tx->data);
}

int berth_dhcp_output(struct berth_dhcp *d, struct berth_dhcp_tx *ret, uint64_t now_ns)
{
	time_is(d, now_ns);
	if (d->farewell) {
		farewell(d, ret);
		d->n.sent++;
		return 1;
	}
	if (!d->want_send)
		return 0;
	message(d, ret);
	d->n.sent++;
	d->n_sent++;
	d->want_send = false;
	if (!d->first_sent_ns)
		d->first_sent_ns = d->now_ns;
	d->wake_ns = next_try(d);
	ASSERT(check(d));
	return 1;
}

/* --- the rest of the interface --- */

size_t berth_dhcp_size(void)
{
	return sizeof(struct berth_dhcp);
}

int berth_dhcp_init(struct berth_dhcp **ret, void *mem, size_t len_bytes, const struct berth_dhcp_config *config,
		    uint64_t now_ns)
{
	static const uint8_t none[16];
	struct berth_dhcp *d = mem;

	if (config->struct_size != sizeof(*config) || (uintptr_t)mem % 8 ||
	    memcmp(config->secret, none, sizeof(none)) == 0 || config->client_id_len > DHCP_CLIENT_ID_MAX ||
	    config->client_id_len == 1 || (config->mac[0] & 1) ||
	    memchr(config->hostname, 0, sizeof(config->hostname)) == NULL ||
	    (config->last_addr && !dhcp_is_host(config->last_addr)))
		return -EINVAL;
	if (len_bytes < sizeof(*d))
		return -ENOMEM;
	memset(d, 0, sizeof(*d));
	d->key = siphash_key_from(config->secret);
	d->now_ns = now_ns < TIME_MAX ? now_ns : TIME_MAX;
	d->flags = config->flags;
	d->start_delay_ms = config->start_delay_ms ? config->start_delay_ms : START_DELAY_MS;
	memcpy(d->mac, config->mac, sizeof(d->mac));
	memcpy(d->hostname, config->hostname, sizeof(d->hostname));
	d->last_addr = config->last_addr;
	d->client_id_len = config->client_id_len;
	memcpy(d->client_id, config->client_id, config->client_id_len);
	if (!config->client_id_len) {
		d->client_id_len = 7;
		d->client_id[0] = 1; /* Ethernet */
		memcpy(d->client_id + 1, config->mac, 6);
	}
	d->state = BERTH_DHCP_STOPPED;
	d->wake_ns = NEVER;
	*ret = d;
	return 0;
}

void berth_dhcp_start(struct berth_dhcp *d, uint64_t now_ns)
{
	time_is(d, now_ns);
	if (d->state != BERTH_DHCP_STOPPED)
		return;
	go(d, BERTH_DHCP_INIT);
	d->wake_ns = d->now_ns + below(d, d->start_delay_ms) * MS_NS;
}

/* The server is told that we do not have the address, and why. */
static void tell(struct berth_dhcp *d, enum dhcp_type why)
{
	d->farewell = why;
	d->farewell_addr = d->lease.addr;
	d->farewell_server = d->lease.server;
	d->last_addr = 0;
}

void berth_dhcp_release(struct berth_dhcp *d, uint64_t now_ns)
{
	time_is(d, now_ns);
	if (d->has_lease)
		tell(d, DHCP_RELEASE);
	berth_dhcp_stop(d);
}

void berth_dhcp_decline(struct berth_dhcp *d, uint64_t now_ns)
{
	time_is(d, now_ns);
	if (!d->has_lease)
		return;
	tell(d, DHCP_DECLINE);
	again(d, DECLINE_WAIT_NS);
}

void berth_dhcp_stop(struct berth_dhcp *d)
{
	lose(d);
	go(d, BERTH_DHCP_STOPPED);
	d->wake_ns = NEVER;
}

uint64_t berth_dhcp_deadline(const struct berth_dhcp *d)
{
	return d->want_send || d->farewell ? d->now_ns : d->wake_ns;
}

void berth_dhcp_tick(struct berth_dhcp *d, uint64_t now_ns)
{
	time_is(d, now_ns);
}

int berth_dhcp_event(struct berth_dhcp *d, struct berth_dhcp_event *ret)
{
	if (!d->n_events)
		return 0;
	*ret = d->events[0];
	d->n_events--;
	memmove(d->events, d->events + 1, d->n_events * sizeof(d->events[0]));
	return 1;
}

enum berth_dhcp_state berth_dhcp_state(const struct berth_dhcp *d)
{
	return d->state;
}

void berth_dhcp_counters(const struct berth_dhcp *d, struct berth_dhcp_counters *ret)
{
	*ret = d->n;
}
