/* src/cli/judge_ports.c: what the numbers of the machine's ports mean.
 *
 * Two things go wrong with ephemeral ports and are found late. A service on a number of the range loses it while it restarts,
 * to whatever connects out at that moment, and cannot bind until that connection ends. And connect() slows down a hundred times
 * when half of the range goes to one destination, long before it fails. The rest are queues that fill.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/judge.h"

#define PERCENT(n, of) ((of) > 0 ? (unsigned)((double)(n)*100 / (double)(of)) : 0)
#define RANGE_NAME "net.ipv4.ip_local_port_range"
#define RESERVED_NAME "net.ipv4.ip_local_reserved_ports"

enum {
	RANGE_LEAST = 10000, /* ports */
	USED_NOTE = 75,	     /* per cent of the range: bind(0) */
	USED_TROUBLE = 90,
	DESTINATION_NOTE = 40, /* per cent of the range: connect(), before the cliff at 50 */
	FIRST_HALF_CLIFF = 99, /* per cent of the half that connect() tries first */
	TIME_WAIT_NOTE = 25,   /* per cent of the range */
	TIME_WAIT_TROUBLE = 50,
	NEARLY_FULL = 90, /* per cent, of a table whose being full loses something */
	FILLING = 50,
	SOMAXCONN_GOOD = 4096, /* the kernel's default since 5.4 */
	QUEUE_SMALL = 8,       /* so few waiting say nothing */
	SHOWN_MAX = 3,
};

/* Bits as "80,8000-8010". False: it does not fit. */
static bool print_ports(const uint64_t bits[1024], char *s, size_t room)
{
	size_t n = 0;

	s[0] = '\0';
	for (uint32_t p = 1, last; p <= UINT16_MAX; p = last + 1) {
		last = p;
		if (!(bits[p / 64] >> (p % 64) & 1))
			continue;
		while (last < UINT16_MAX && bits[(last + 1) / 64] >> ((last + 1) % 64) & 1)
			last++;
		n += (size_t)snprintf(s + n, room - n, last == p ? "%s%u" : "%s%u-%u", n ? "," : "", p, last);
		if (n + 16 > room)
			return false;
	}
	return true;
}

/* The line that reserves more, what is reserved already kept. */
static void reserve(struct finding *f, const struct host_settings *s, const uint64_t more[1024])
{
	char text[3000];
	uint64_t bits[1024];

	for (size_t i = 0; i < COUNT_OF(bits); i++)
		bits[i] = s->reserved[i] | more[i];
	if (!s->is_reserved_cut && print_ports(bits, text, sizeof(text)))
		finding_sysctl(f, RESERVED_NAME, "%s", text);
}

static void put(struct finding *f, const char *text)
{
	size_t n = strlen(f->value);

	snprintf(f->value + n, sizeof(f->value) - n, "%s", text);
}

/* Those of one kind: their names into the value, their ports into bits. Returns how many. */
static size_t listeners_of(struct finding *f, const struct host_settings *s, const struct judge_listener *l, size_t n,
			   bool is_service, uint64_t bits[1024])
{
	size_t found = 0;
	char one[160];

	for (size_t i = 0; i < n; i++) {
		if (l[i].is_service != is_service || l[i].port < s->ports.range.first ||
		    l[i].port > s->ports.range.last || host_settings_is_reserved(s, l[i].port))
			continue;
		bits[l[i].port / 64] |= UINT64_C(1) << (l[i].port % 64);
		if (found++ >= SHOWN_MAX)
			continue;
		snprintf(one, sizeof(one), "%s%s on %u/%s", found > 1 ? "; " : "", l[i].who, l[i].port,
			 l[i].proto == PORT_UDP ? "udp" : "tcp");
		put(f, one);
	}
	if (found > SHOWN_MAX) {
		snprintf(one, sizeof(one), "; and %zu more", found - SHOWN_MAX);
		put(f, one);
	}
	return found;
}

void judge_services(struct findings *all, const struct host_settings *s, const struct judge_listener *l, size_t n,
		    size_t n_all, bool root_helps, const uint64_t also[1024])
{
	struct finding *f = finding_new(all, FINDING_PORTS, "range-service");
	uint64_t bits[1024] = {0};
	size_t n_unseen = 0;

	if (also)
		memcpy(bits, also, sizeof(bits));

	for (size_t i = 0; i < n; i++)
		n_unseen += l[i].is_unseen;
	if (listeners_of(f, s, l, n, true, bits)) {
		finding_means(
			f, FINDING_TROUBLE,
			"The kernel may give this number, in %u-%u, to any outgoing connection while the service restarts; it "
			"then cannot bind until that connection ends, which may be hours. Reserved numbers are never given out, and "
			"can still be bound.",
			s->ports.range.first, s->ports.range.last);
		reserve(f, s, bits);
	} else {
		finding_value(f, "no service listens in %u-%u unreserved (%zu port%s listened on)",
			      s->ports.range.first, s->ports.range.last, n_all, n_all == 1 ? "" : "s");
	}
	f = finding_new(all, FINDING_PORTS, "range-listener");
	if (listeners_of(f, s, l, n, false, bits)) {
		finding_means(
			f, FINDING_NOTE,
			"In %u-%u, not reserved, and of no unit%s: right if the program let the kernel choose the number; if it "
			"always wants this one, it may find it taken by an outgoing connection, and should have it reserved.",
			s->ports.range.first, s->ports.range.last,
			n_unseen == 0 ? ""
			: root_helps  ? " that can be seen (root would see)"
				      : " that can be seen");
		f->root_helps = n_unseen > 0 && root_helps;
		reserve(f, s, bits);
	} else {
		finding_value(f, "no other program listens in %u-%u unreserved", s->ports.range.first,
			      s->ports.range.last);
	}
}

void judge_range(struct findings *all, const struct host_settings *s, uint32_t usable)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "range");
	const struct port_range *r = &s->ports.range;

	if (!s->has_range) {
		finding_unseen(f, false, RANGE_NAME " cannot be read; taken for %u-%u", r->first, r->last);
		return;
	}
	finding_value(f, "%u-%u, %u reserved: %u ports to give out", r->first, r->last, s->n_reserved, usable);
	if (usable < RANGE_LEAST) {
		finding_means(
			f, FINDING_NOTE,
			"So many connections at a time can be made to one destination from one address, and half of them "
			"quickly; Linux's own range has 28,232.");
		finding_sysctl(f, RANGE_NAME, "32768 60999");
	} else if (r->first % 2 == r->last % 2) {
		finding_means(
			f, FINDING_NOTE,
			"Both ends are %s; the kernel shares the range out to bind() and connect() by odd and even, and wants "
			"ends that differ.",
			r->first % 2 ? "odd" : "even");
		finding_sysctl(f, RANGE_NAME, "%u %u", r->first, r->last == UINT16_MAX ? r->last - 1 : r->last + 1);
	}
}

void judge_range_use(struct findings *all, const struct range_use *u)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "range-used");
	char addr[PORT_ADDR_STR_MAX];
	bool is_udp = u->used_udp > u->addr_used;
	uint32_t most = is_udp ? u->used_udp : u->addr_used;
	unsigned percent = PERCENT(most, u->usable);

	finding_value(f, "TCP %u of %u ports (%u %%), at most %u on one address (%s); UDP %u", u->used, u->usable,
		      PERCENT(u->used, u->usable), u->addr_used, port_addr_print(&u->addr, addr), u->used_udp);
	if (percent >= USED_NOTE)
		finding_means(
			f, percent >= USED_TROUBLE ? FINDING_TROUBLE : FINDING_NOTE,
			"%u %% of the range is taken for %s that let%s the kernel choose; at 100 %% %s. See who with: berth ls -m -a",
			percent, is_udp ? "UDP sockets" : "a bind()", is_udp ? "" : "s",
			is_udp ? "bind() fails with EADDRINUSE, and sending with EAGAIN"
			       : "it fails with EADDRINUSE, and from 99 % it takes a hundred times as long");
}

/* A wider range, and what listens in it reserved. Nothing, when it is as wide as it gets. */
static void widen(struct finding *f, const struct host_settings *s, uint64_t ports[1024])
{
	static const uint16_t lows[] = {16384, 10240, 2048};
	uint16_t low = s->ports.range.first;
	bool any = false;

	for (size_t i = 0; i < COUNT_OF(lows) && low == s->ports.range.first; i++)
		if (lows[i] < low && lows[i] >= s->ports.unprivileged_start)
			low = lows[i];
	if (low == s->ports.range.first && s->ports.range.last >= UINT16_MAX - 1)
		return;
	finding_sysctl(f, RANGE_NAME, "%u %u", low, low % 2 ? UINT16_MAX - 1 : UINT16_MAX);
	for (uint32_t p = 0; p < low; p++)
		ports[p / 64] &= ~(UINT64_C(1) << (p % 64));
	for (size_t i = 0; i < 1024; i++)
		any |= (ports[i] & ~s->reserved[i]) != 0;
	if (any)
		reserve(f, s, ports);
}

bool judge_destination(struct findings *all, const struct range_use *u, const struct host_settings *s,
		       uint64_t ports[1024])
{
	struct finding *f = finding_new(all, FINDING_PORTS, "range-half");
	const struct range_destination *d = &u->worst;
	unsigned percent = PERCENT(d->n, u->usable), first = PERCENT(d->n_first, u->first_half);
	char local[PORT_ADDR_STR_MAX], peer[PORT_ADDR_STR_MAX];

	if (d->n == 0) {
		finding_value(f, "no connection goes out from the range");
		return false;
	}
	port_addr_print(&d->local, local);
	port_addr_print(&d->peer, peer);
	finding_value(
		f,
		port_addr_is4(&d->peer)
			? "%u of %u ports (%u %%) from %s to %s:%u; of the half tried first %u of %u (%u %%); %u in TIME_WAIT"
			: "%u of %u ports (%u %%) from %s to [%s]:%u; of the half tried first %u of %u (%u %%); %u in TIME_WAIT",
		d->n, u->usable, percent, local, peer, d->peer_port, d->n_first, u->first_half, first, d->n_time_wait);
	if (percent >= NEARLY_FULL)
		finding_means(
			f, FINDING_TROUBLE,
			"Nearly every port to this destination is used: at 100 %% connect() fails with EADDRNOTAVAIL. Connections "
			"that are kept and used again, another local address, or a wider range help.");
	else if (first >= FIRST_HALF_CLIFF)
		finding_means(
			f, FINDING_TROUBLE,
			"The cliff at 50 %%: connect() tries all %s ports of the range first, finds them used, and takes a hundred times "
			"as long for each new connection. Connections that are kept, another local address, IP_LOCAL_PORT_RANGE in the "
			"program, or a wider range help.",
			s->ports.range.first % 2 ? "odd" : "even");
	else if (percent >= DESTINATION_NOTE)
		finding_means(
			f, FINDING_NOTE,
			"At half of the range each new connection to this destination takes a hundred times as long, as connect() "
			"tries all %s ports first.",
			s->ports.range.first % 2 ? "odd" : "even");
	if (f->state != FINDING_GOOD)
		widen(f, s, ports);
	return *f->now != '\0';
}

void judge_time_wait(struct findings *all, const struct range_use *u, const struct host_settings *s)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "time-wait");
	unsigned percent = PERCENT(u->time_wait_client, u->usable);
	char most[32] = "not shown";

	if (s->max_tw_buckets >= 0)
		snprintf(most, sizeof(most), "%d", s->max_tw_buckets);
	finding_value(f, "%u in TIME_WAIT (tcp_max_tw_buckets %s), %u of them on ports of the range (%u %%)",
		      u->time_wait, most, u->time_wait_client, percent);
	if (percent >= TIME_WAIT_NOTE) {
		bool eased = s->tw_reuse == 1;

		finding_means(
			f, percent >= TIME_WAIT_TROUBLE && !eased ? FINDING_TROUBLE : FINDING_NOTE,
			"Connections closed from here hold their port for 60 s, so some %u a second are made and closed: keep them open and "
			"use them again%s.",
			u->time_wait_client / 60,
			eased ? "; tcp_tw_reuse=1 eases it already" : ", or let connect() take over a port after 1 s");
		if (!eased)
			finding_sysctl(f, "net.ipv4.tcp_tw_reuse", "1");
	} else if (s->max_tw_buckets >= 0 && PERCENT(u->time_wait, s->max_tw_buckets) >= NEARLY_FULL) {
		finding_means(
			f, FINDING_NOTE,
			"When that many are there, further ones end at once, and a late segment may meet a new connection.");
		finding_sysctl(f, "net.ipv4.tcp_max_tw_buckets", "%lld",
			       4LL * (s->max_tw_buckets > 4096 ? s->max_tw_buckets : 4096));
	}
}

void judge_tw_reuse(struct findings *all, const struct host_settings *s, int32_t timestamps)
{
	static const char *const words[] = {"no connect() takes over a port in TIME_WAIT",
					    "connect() may take over a port that is in TIME_WAIT for 1 s",
					    "only over the loopback connect() takes over a port in TIME_WAIT"};
	struct finding *f = finding_new(all, FINDING_PORTS, "tw-reuse");

	if (s->tw_reuse < 0 || s->tw_reuse > 2) {
		finding_unseen(f, false, "net.ipv4.tcp_tw_reuse is not shown here");
		return;
	}
	finding_value(f, "net.ipv4.tcp_tw_reuse=%d: %s", s->tw_reuse, words[s->tw_reuse]);
	if (s->tw_reuse > 0 && timestamps == 0) {
		finding_means(f, FINDING_NOTE, "Without TCP timestamps it does nothing.");
		finding_sysctl(f, "net.ipv4.tcp_timestamps", "1");
	}
}

void judge_backlog(struct findings *all, const struct judge_queue *worst, uint32_t n_full, int32_t somaxconn)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "backlog");

	if (!worst) {
		finding_value(f, "nobody waits to be accepted, as far as queues are shown");
		return;
	}
	finding_value(f, "the fullest queue: %s on %u/tcp, %u waiting to be accepted of %u; %u full at this moment",
		      worst->who, worst->port, worst->waiting, worst->most, n_full);
	if (n_full > 0)
		finding_means(
			f, FINDING_TROUBLE,
			"Callers of a full queue wait and try again, for seconds to minutes: the program does not accept, or not "
			"fast enough. %s",
			somaxconn >= 0 && worst->most >= (uint32_t)somaxconn
				? "Its queue is as long as somaxconn allows; it must be started again after this."
				: "The length is the program's own (listen()'s backlog, in its configuration).");
	else if (worst->waiting >= QUEUE_SMALL && PERCENT(worst->waiting, worst->most) >= FILLING)
		finding_means(f, FINDING_NOTE,
			      "More than half full: the program accepts slowly, or the queue is short.");
	if (f->state != FINDING_GOOD && somaxconn >= 0 && worst->most >= (uint32_t)somaxconn)
		finding_sysctl(f, "net.core.somaxconn", "%d",
			       somaxconn < SOMAXCONN_GOOD ? SOMAXCONN_GOOD : somaxconn * 4);
}

void judge_somaxconn(struct findings *all, int32_t somaxconn, uint32_t n_cut)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "somaxconn");

	if (somaxconn < 0) {
		finding_unseen(f, false, "net.core.somaxconn is not shown here");
		return;
	}
	finding_value(f, "net.core.somaxconn=%d; %u listener%s as long a queue as that", somaxconn, n_cut,
		      n_cut == 1 ? " has" : "s have");
	if (somaxconn >= SOMAXCONN_GOOD)
		return;
	finding_means(
		f, FINDING_NOTE,
		"No listener's queue is longer, whatever the program asks for: beyond it callers are dropped and try again, and "
		"inside berth a non-blocking connect fails. Programs take a new value when they start.");
	finding_sysctl(f, "net.core.somaxconn", "%d", SOMAXCONN_GOOD);
}

void judge_overflows(struct findings *all, int64_t overflows, int64_t drops)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "listen-overflow");

	if (overflows < 0 || drops < 0) {
		finding_unseen(f, false, "/proc/net/netstat does not tell of it");
		return;
	}
	finding_value(f, "ListenOverflows %lld, ListenDrops %lld since the start", (long long)overflows,
		      (long long)drops);
	if (overflows > 0)
		finding_means(
			f, FINDING_NOTE,
			"So often a caller met a full queue, and had to try again after a second or more. Look again later: if it "
			"grows, the finding `backlog` names who is full.");
	else if (drops > 0)
		finding_means(f, FINDING_NOTE,
			      "Callers were dropped though no queue was full: memory, a filter, or a bad address.");
}

void judge_orphans(struct findings *all, int32_t orphans, int32_t most)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "orphans");

	if (orphans < 0) {
		finding_unseen(f, false, "/proc/net/sockstat does not tell of it");
		return;
	}
	if (most < 0) {
		finding_unseen(
			f, false,
			"%d connections that no program has; tcp_max_orphans is not shown in this network namespace",
			orphans);
		return;
	}
	finding_value(f, "%d connections that no program has any more, of %d (tcp_max_orphans)", orphans, most);
	if (PERCENT(orphans, most) >= FILLING) {
		finding_means(
			f, PERCENT(orphans, most) >= NEARLY_FULL ? FINDING_TROUBLE : FINDING_NOTE,
			"When that many are there the kernel resets further ones, and what was not sent yet is lost.");
		finding_sysctl(f, "net.ipv4.tcp_max_orphans", "%lld", 2LL * most);
	}
}

void judge_tcp_memory(struct findings *all, int32_t pages, const int64_t limits[3])
{
	struct finding *f = finding_new(all, FINDING_PORTS, "tcp-memory");

	if (pages < 0) {
		finding_unseen(f, false, "/proc/net/sockstat does not tell of it");
		return;
	}
	if (limits[2] <= 0) {
		finding_unseen(f, false, "%d pages; net.ipv4.tcp_mem is not shown in this network namespace", pages);
		return;
	}
	finding_value(f, "%d pages for TCP; pressure from %lld, at most %lld (net.ipv4.tcp_mem)", pages,
		      (long long)limits[1], (long long)limits[2]);
	if (pages < limits[1])
		return;
	finding_means(
		f, PERCENT(pages, limits[2]) >= NEARLY_FULL ? FINDING_TROUBLE : FINDING_NOTE,
		"Under pressure the kernel makes windows small, and at the end it drops data: programs do not read what came "
		"(berth ls -m -a --json: receive_queue), or the limit is low.");
	finding_sysctl(f, "net.ipv4.tcp_mem", "%lld %lld %lld", (long long)limits[0] * 2, (long long)limits[1] * 2,
		       (long long)limits[2] * 2);
}

void judge_unprivileged(struct findings *all, const struct host_settings *s)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "privileged-ports");
	unsigned start = s->ports.unprivileged_start;

	if (!s->has_unprivileged)
		finding_unseen(f, false, "net.ipv4.ip_unprivileged_port_start cannot be read; taken for %u", start);
	else if (start == 0)
		finding_value(f, "none: every user may bind every port");
	else
		finding_value(f, "0-%u take root or CAP_NET_BIND_SERVICE (not on berth's hosts)", start - 1);
	if (s->has_unprivileged && start > 1024) {
		finding_means(f, FINDING_NOTE,
			      "More than Linux's own 0-1023: servers of plain users on common ports are refused.");
		finding_sysctl(f, "net.ipv4.ip_unprivileged_port_start", "1024");
	}
}

void judge_conntrack(struct findings *all, int64_t count, int64_t most)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "conntrack");

	if (most < 0) {
		finding_value(f, "connection tracking is not in use, or not in this network namespace");
		return;
	}
	if (count < 0) {
		finding_unseen(f, true, "how many connections are tracked is not shown, of %lld", (long long)most);
		return;
	}
	finding_value(f, "%lld connections tracked of %lld (nf_conntrack_max)", (long long)count, (long long)most);
	if (most == 0 || PERCENT(count, most) < USED_NOTE)
		return;
	finding_means(f, PERCENT(count, most) >= NEARLY_FULL ? FINDING_TROUBLE : FINDING_NOTE,
		      "When the table is full packets of new connections are dropped, whatever port they are for.");
	finding_sysctl(f, "net.netfilter.nf_conntrack_max", "%lld", (long long)most * 2);
}

void judge_machine_files(struct findings *all, int64_t open, int64_t most)
{
	struct finding *f = finding_new(all, FINDING_PORTS, "machine-files");

	if (open < 0 || most <= 0) {
		finding_unseen(f, false, "fs.file-nr cannot be read");
		return;
	}
	if (most > INT32_MAX)
		finding_value(f, "%lld files open on the machine, without a limit", (long long)open);
	else
		finding_value(f, "%lld files open on the machine, of %lld (fs.file-max)", (long long)open,
			      (long long)most);
	if (PERCENT(open, most) < USED_NOTE)
		return;
	finding_means(f, PERCENT(open, most) >= NEARLY_FULL ? FINDING_TROUBLE : FINDING_NOTE,
		      "At the limit socket(), accept() and open() fail with ENFILE in every program.");
	finding_sysctl(f, "fs.file-max", "%lld", (long long)most * 2);
}
