/* src/cli/why_notes.c: trouble that is no conflict: the bind works, or the server runs, and still it does not do what was meant.
 *
 * Each note is a code, a sentence and, where there is one, the command that mends it; nothing is run here. They are about the port
 * as it is now: its number (privileged, ephemeral, blocked by browsers), who is beside it (the other family's half, a socket
 * that is more exact, a group that shares), who can reach it (loopback only, --from), and where else the number is held
 * (another network namespace, a container behind its proxy, a network of berth's).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/why.h"

#define NAMESPACES_MAX 64
#define NAMESPACES_US UINT64_C(100000) /* no more of them are looked into after this long; one takes some 100 us */

void why_note(struct why *w, const char *code, const char *fix, const char *fmt, ...)
{
	struct why_note *n = &w->notes[w->n_notes];
	va_list ap;

	if (w->n_notes == WHY_NOTES_MAX)
		return;
	w->n_notes++;
	n->code = code;
	snprintf(n->fix, sizeof(n->fix), "%s", fix);
	va_start(ap, fmt);
	vsnprintf(n->text, sizeof(n->text), fmt, ap);
	va_end(ap);
	cli_clean(n->text);
	cli_clean(n->fix);
}

/* A door: what callers or datagrams can come to. */
static bool is_door(const struct host_bind_row *r)
{
	return r->how == HOST_HOW_LISTENS || r->how == HOST_HOW_UDP;
}

static bool is_dual(enum port_family family, const struct port_addr *a, uint16_t flags)
{
	return family == PORT_FAMILY_6 && port_addr_is_any(a) && !port_addr_is4(a) && !(flags & PORT_V6ONLY);
}

static bool takes(enum port_family family, const struct port_addr *a, uint16_t flags, int version)
{
	return port_addr_is4(a) ? version == 4 : version == 6 || is_dual(family, a, flags);
}

static bool row_takes(const struct host_bind_row *r, int version)
{
	return takes((enum port_family)r->claim.family, &r->claim.addr, r->claim.flags, version);
}

static bool want_takes(const struct why *w, int version)
{
	return takes(w->q.want.family, &w->q.want.addr, w->q.want.flags, version);
}

/* --- the number --- */

/* The reserved ports with this one, as the kernel takes them; "": too many to show. */
static const char *reserved_with(const struct why *w, char *s, size_t room)
{
	size_t at = 0;

	for (unsigned p = 1; p <= UINT16_MAX; p++) {
		unsigned from = p;

		while (p <= UINT16_MAX && (host_settings_is_reserved(&w->settings, (uint16_t)p) || p == w->q.want.port))
			p++;
		if (p == from)
			continue;
		if (at + 16 > room)
			return "";
		at += (size_t)snprintf(s + at, room - at, p - from > 1 ? "%s%u-%u" : "%s%u", at ? "," : "", from,
				       p - 1);
	}
	return s;
}

static void note_number(struct why *w)
{
	const struct host_settings *k = &w->settings;
	uint16_t port = w->q.want.port;
	char list[200], fix[256];

	if (w->a.refusal.err == 0 && port < k->ports.unprivileged_start)
		why_note(
			w, "PRIVILEGED_PORT", "",
			"ports below %u need CAP_NET_BIND_SERVICE: it works as asked here, and is EACCES for a program without it",
			k->ports.unprivileged_start);
	if (port >= k->ports.range.first && port <= k->ports.range.last && !host_settings_is_reserved(k, port)) {
		snprintf(fix, sizeof(fix), "sysctl -w net.ipv4.ip_local_reserved_ports=%s",
			 reserved_with(w, list, sizeof(list)));
		why_note(
			w, "EPHEMERAL", list[0] ? fix : "",
			"the kernel may give this port to any outgoing connection (its range is %u-%u), and a server that starts "
			"then is refused",
			k->ports.range.first, k->ports.range.last);
	}
	if (w->q.want.proto == PORT_TCP && port_is_browser_blocked(port))
		why_note(w, "BROWSER_BLOCKED", "", "web browsers refuse to fetch from this port (ERR_UNSAFE_PORT)");
}

/* --- who is beside it --- */

/* Is it another program's than the one that is in the way? */
static bool is_anothers(struct why *w, const struct host_bind_row *r)
{
	char a[160], b[160];

	return w->a.row && strcmp(why_name(w, r, a), why_name(w, w->a.row, b)) != 0;
}

/* A door over the family that the asker does not take, of somebody: 'localhost' may be either. */
static void note_split(struct why *w)
{
	for (int version = 4; version <= 6; version += 2) {
		if (want_takes(w, version))
			continue;
		for (size_t i = 0; i < w->bind.n; i++) {
			const struct host_bind_row *r = &w->bind.rows[i];
			char name[160], at[PORT_ENDPOINT_STR_MAX];

			if (!is_door(r) || !row_takes(r, version))
				continue;
			if (w->a.refusal.err != 0 && !is_anothers(w, r))
				continue;
			why_note(w, "SPLIT", "",
				 "over IPv%d the same number is held by %s (%s): clients of 'localhost' may get either",
				 version, why_name(w, r, name), port_endpoint_print(&r->claim.addr, r->claim.port, at));
			break;
		}
	}
}

static bool overlap(const struct why *w, const struct host_bind_row *r)
{
	return (want_takes(w, 4) && row_takes(r, 4)) || (want_takes(w, 6) && row_takes(r, 6));
}

/* The bind works beside others that overlap: who gets what? */
static void note_beside(struct why *w)
{
	bool udp = w->q.want.proto == PORT_UDP, any = port_addr_is_any(&w->q.want.addr);
	const char *what = udp ? "datagrams" : "connections";
	const struct host_bind_row *same = NULL;
	char name[160], at[PORT_ENDPOINT_STR_MAX];
	size_t n_same = 0;

	for (size_t i = 0; i < w->bind.n && w->a.refusal.err == 0; i++) {
		const struct host_bind_row *r = &w->bind.rows[i];

		if (!is_door(r) || !overlap(w, r))
			continue;
		port_endpoint_print(&r->claim.addr, r->claim.port, at);
		if (port_addr_equal(&r->claim.addr, &w->q.want.addr)) {
			same = r;
			n_same++;
		} else if (any && !port_addr_is_any(&r->claim.addr)) {
			why_note(w, "SPECIFIC_WINS", "", "%s holds %s, and keeps all %s to that address",
				 why_name(w, r, name), at, what);
		} else if (!any && port_addr_is_any(&r->claim.addr)) {
			why_note(w, "SPECIFIC_WINS", "",
				 "%s holds the wildcard %s: %s to your address will be yours, all others its own",
				 why_name(w, r, name), at, what);
		}
	}
	if (!same)
		return;
	if ((w->q.want.flags & PORT_REUSEPORT) && (!udp || !(w->q.want.flags & PORT_REUSEADDR)))
		why_note(w, "SHARED", "",
			 "%zu socket%s there already (%s): the kernel spreads %s over all by caller, so each gets some",
			 n_same, n_same == 1 ? " is" : "s are", why_name(w, same, name), what);
	else if (udp)
		why_note(w, "UDP_LAST_WINS", "",
			 "%s is there already with SO_REUSEADDR: the last to bind gets all datagrams, silently",
			 why_name(w, same, name));
}

/* --- who else is in the way --- */

#define MORE_MAX 64 /* rows that are asked one by one */

static bool is_in_the_way(const struct why *w, const struct host_bind_row *row)
{
	struct host_bind_row copy = *row;
	const struct host_bind one = {.rows = &copy, .n = 1};
	struct host_verdict v;

	copy.claim.user = 0;
	return host_bind_ask(&one, &w->q.want, w->q.listen, w->settings.ports.unprivileged_start, &v) == 0 &&
	       v.refusal.err == -EADDRINUSE;
}

/* A connection of a process with very many descriptors that was not looked for: the listener's, nearly always, which is named. */
static bool is_among_many(struct why *w, const struct host_bind_row *r)
{
	size_t n;

	return r->how == HOST_HOW_ACCEPTED && !machine_owners(&w->m)->is_whole &&
	       !machine_owners_of(&w->m, r->socket->inode, &n);
}

/* One refuses and is named. Others do as well: programs, and what the named one leaves in TIME_WAIT. */
static void note_more(struct why *w)
{
	char first[160], name[160], names[400] = "", last[160] = "";
	uint64_t ends_us = 0;
	size_t n = 0, n_waiting = 0, at = 0;

	if (!w->a.row || w->a.refusal.err != -EADDRINUSE)
		return;
	why_name(w, w->a.row, first);
	for (size_t i = 0; i < w->bind.n && i < MORE_MAX; i++) {
		const struct host_bind_row *r = &w->bind.rows[i];

		if (r == w->a.row || !is_in_the_way(w, r))
			continue;
		if (r->how == HOST_HOW_TIME_WAIT) {
			n_waiting += r->n_same;
			ends_us = r->claim.expires_us > ends_us ? r->claim.expires_us : ends_us;
			continue;
		}
		if (!r->socket->inode || is_among_many(w, r))
			continue;
		why_name(w, r, name);
		if (strcmp(name, first) == 0 || strcmp(name, last) == 0)
			continue;
		memcpy(last, name, sizeof(last));
		if (n++ < 2)
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", name);
	}
	if (n)
		why_note(w, "MORE_HOLDERS", "", "%s%s in the way, too", names,
			 n == 1	  ? " is"
			 : n == 2 ? " are"
				  : " and more are");
	if (n_waiting && w->a.row->how != HOST_HOW_TIME_WAIT)
		why_note(
			w, "TIME_WAIT_TOO", "",
			"%zu closed connection%s in TIME_WAIT would keep the port for another %u s when the holder has ended, but "
			"for a server that sets SO_REUSEADDR if the holder did, too",
			n_waiting, n_waiting == 1 ? "" : "s", (unsigned)((ends_us - w->m.now_us + 999999) / 1000000));
}

static void note_steal(struct why *w)
{
	char name[160];

	if (w->q.want.proto != PORT_UDP)
		return;
	if (w->a.refusal.err == 0 && (w->q.want.flags & PORT_REUSEADDR))
		why_note(
			w, "UDP_STEALABLE", "",
			"a UDP socket with SO_REUSEADDR can be bound over by any user's that has it, which then gets the "
			"datagrams; leave it out, unless it is for multicast");
	for (size_t i = 0; i < w->bind.n && w->a.refusal.err != 0; i++)
		if (w->bind.rows[i].how == HOST_HOW_UDP && (w->bind.rows[i].claim.flags & PORT_REUSEADDR)) {
			why_note(
				w, "UDP_STEALABLE", "",
				"%s has set SO_REUSEADDR on UDP: any user's socket that sets it, too, can take its datagrams",
				why_name(w, &w->bind.rows[i], name));
			return;
		}
}

/* --- who can reach it --- */

static void note_loopback(struct why *w)
{
	const struct host_bind_row *first = NULL;
	char name[160], at[PORT_ENDPOINT_STR_MAX];

	for (size_t i = 0; i < w->bind.n; i++) {
		if (!is_door(&w->bind.rows[i]))
			continue;
		if (!port_addr_is_loopback(&w->bind.rows[i].claim.addr))
			return;
		first = first ? first : &w->bind.rows[i];
	}
	if (first)
		why_note(w, "LOOPBACK_ONLY", "", "%s has it on %s only: no other machine, and no container, reaches it",
			 why_name(w, first, name), port_endpoint_print(&first->claim.addr, first->claim.port, at));
}

/* --from: whom does a caller there meet? First those that are there, then, if it is free, the asker to be. */
static void note_from(struct why *w)
{
	int version = port_addr_is4(&w->q.from) ? 4 : 6;
	bool loopback = port_addr_is_loopback(&w->q.from), other_family = false, only_loopback = false;
	char name[160], at[PORT_ENDPOINT_STR_MAX];
	struct host_links links = {0};
	bool here = loopback;

	if (!here && !w->m.root && host_links_read(NULL, &links) == 0) {
		here = host_addr_is_local(&links, &w->q.from);
		host_links_free(&links);
	}
	for (size_t i = 0; i < w->bind.n; i++) {
		const struct host_bind_row *r = &w->bind.rows[i];

		if (!is_door(r))
			continue;
		port_endpoint_print(&r->claim.addr, r->claim.port, at);
		if (!row_takes(r, version)) {
			other_family = true;
		} else if (port_addr_is_loopback(&r->claim.addr) && !here) {
			only_loopback = true;
		} else {
			why_note(w, "FROM_REACHES", "",
				 "a caller at %s reaches %s by %s, unless a firewall is in between", w->q.from_text,
				 why_name(w, r, name), at);
			return;
		}
	}
	if (only_loopback || (w->a.refusal.err == 0 && port_addr_is_loopback(&w->q.want.addr) && !here))
		why_note(
			w, "FROM_LOOPBACK", "",
			"a caller at %s cannot reach it: it is on a loopback address; 0.0.0.0, [::] or the machine's own address "
			"would be reached",
			w->q.from_text);
	else if (other_family || (w->a.refusal.err == 0 && !want_takes(w, version)))
		why_note(w, "FROM_OTHER_FAMILY", "", "a caller at %s cannot reach it: nothing is there over IPv%d",
			 w->q.from_text, version);
	else
		why_note(w, "FROM_NOBODY", "", "a caller at %s reaches nobody now: nothing %s there", w->q.from_text,
			 w->q.want.proto == PORT_UDP ? "is bound" : "listens");
}

/* --- where else the number is held --- */

struct visit {
	const struct why *w;
	struct host_sockets sockets;
};

static int look(void *ctx)
{
	struct visit *v = ctx;
	const struct host_filter f = {.protos = 1u << v->w->q.want.proto,
				      .states = v->w->q.want.proto == PORT_TCP ? 1u << HOST_LISTEN : 0,
				      .ports = {v->w->q.want.port, v->w->q.want.port}};

	return host_sockets_read(NULL, &f, &v->sockets);
}

static char *namespace_name(struct why *w, const struct host_netns *ns, char s[200])
{
	const struct machine_process *p = ns->pid ? machine_process(&w->m, ns->pid) : NULL;
	char path[HOST_CGROUP_PATH_MAX], name[96] = "";
	struct host_place place = {0};

	if (ns->pid && host_cgroup_of(NULL, ns->pid, path, &place) == 0)
		machine_container(&place, name);
	if (name[0])
		snprintf(s, 200, "the container %s", name);
	else if (ns->name[0])
		snprintf(s, 200, "the network namespace '%s'", ns->name);
	else if (p && p->program[0])
		snprintf(s, 200, "the network namespace of %s (pid %d)", p->program, ns->pid);
	else
		snprintf(s, 200, "the network namespace net:[%llu]", (unsigned long long)ns->inode);
	return s;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Nobody listens here: perhaps the server that somebody misses does elsewhere. */
static void note_namespaces(struct why *w)
{
	struct host_netns_list l;
	uint64_t until = now_us() + NAMESPACES_US;
	bool here = false;
	char name[200];
	size_t i;

	for (i = 0; i < w->bind.n; i++)
		here |= is_door(&w->bind.rows[i]);
	if (here || w->m.root || host_netns_read(NULL, &l) < 0)
		return;
	for (i = 0; i < l.n && i < NAMESPACES_MAX && now_us() < until; i++) {
		struct visit v = {.w = w};

		if (l.ns[i].is_ours || host_netns_do(NULL, &l.ns[i], look, &v) < 0)
			continue;
		if (v.sockets.n)
			why_note(
				w, "OTHER_NAMESPACE", "",
				"it is held inside of %s, which has ports of its own: that is in nobody's way here, and not "
				"reached by this machine's addresses",
				namespace_name(w, &l.ns[i], name));
		host_sockets_free(&v.sockets);
	}
	if (i < l.n)
		why_note(w, "NAMESPACES_LEFT", "", "%zu more network namespaces were not looked into", l.n - i);
	host_netns_free(&l);
}

static void note_published(struct why *w, const struct published_list *published)
{
	char to[PUBLISHED_TO_MAX];

	for (size_t i = 0; published && w->a.row && i < published->n; i++) {
		const struct published *p = &published->r[i];

		if (p->p.proto == w->q.want.proto && w->q.want.port >= p->p.outer.first &&
		    w->q.want.port <= p->p.outer.last && p->p.pid == w->holder.pid) {
			char fix[96];

			snprintf(fix, sizeof(fix), "berth unpublish %u%s", w->q.want.port,
				 w->q.want.proto == PORT_UDP ? "/udp" : "");
			why_note(w, "PUBLISHED_BY_BERTH", fix,
				 "berth publishes it: it leads to %s of a network of berth's", published_to(p, to));
			return;
		}
	}
}

void why_notes(struct why *w, const struct published_list *published)
{
	note_more(w);
	note_number(w);
	note_split(w);
	note_beside(w);
	note_steal(w);
	if (w->q.has_from)
		note_from(w);
	else
		note_loopback(w);
	note_published(w, published);
	why_note_proxy(w);
	note_namespaces(w);
}
