/* src/cli/why.c: one question about a port of the machine's, answered.
 *
 *     sockets of that port (netlink, filtered by it) --> host/bind.c, the heart's rules --> kernel_answer.c, a bind as proof
 *     the one in the way --> its process, unit, and what kind of holder it is --> port/explain.c, sentences and advice
 *     what else will hurt --> why_notes.c
 *
 * /proc is walked only when somebody is on that port. The heart's sentences speak of a network's host; here they are turned to the
 * machine, and three of its guesses are replaced by what the kernel can be asked: whether SO_REUSEADDR or SO_REUSEPORT would help
 * against a holder whose options cannot be seen (a bind that does not listen), which port near by is free (a bind), and how a
 * low port is allowed.
 */
#include "cli/why.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/kernel_probe.h"

enum { NEAR_TRIES = 256, SEEK_MAX = 64 /* sockets of the port */ };

static bool is_real(const struct why *w)
{
	return w->m.root == NULL;
}

/* --- a free port near by --- */

static uint16_t find_near(const struct why *w)
{
	struct port_want want = w->q.want;
	unsigned lowest = (want.flags & PORT_PRIVILEGED) ? 1 : w->settings.ports.unprivileged_start, tries = 0;

	want.flags &= (uint16_t) ~(PORT_REUSEADDR | PORT_REUSEPORT);
	for (unsigned p = want.port + 1u; is_real(w) && p <= UINT16_MAX && tries < NEAR_TRIES; p++) {
		if (p < lowest || port_is_browser_blocked((uint16_t)p))
			continue;
		tries++;
		want.port = (uint16_t)p;
		if (kernel_probe_bind(&want) == 0)
			return (uint16_t)p;
	}
	return 0;
}

/* --- the holder --- */

char *why_name(struct why *w, const struct host_bind_row *row, char s[160])
{
	const struct machine_process *p;
	int32_t pids[PROC_PIDS_MAX];

	if (machine_pids(&w->m, row->socket->inode, pids, PROC_PIDS_MAX) > 0) {
		p = machine_process(&w->m, pids[0]);
		snprintf(s, 160, "%s (pid %d)", p && p->program[0] ? p->program : "a program", pids[0]);
	} else if (row->socket->inode && (row->socket->have & HOST_HAS_UID)) {
		char user[32];

		snprintf(s, 160, "a program of user %s", proc_user(row->socket->uid, user));
	} else {
		snprintf(s, 160, "the kernel");
	}
	return s;
}

static void find_holder(struct why *w)
{
	const struct host_socket *s = w->a.row->socket;
	const struct machine_process *p;
	int32_t pids[PROC_PIDS_MAX];
	uint32_t n = machine_pids(&w->m, s->inode, pids, PROC_PIDS_MAX);

	if (n == 0 && s->inode && w->a.row->how == HOST_HOW_ACCEPTED && !machine_owners(&w->m)->is_whole) {
		(void)machine_all_owners(&w->m);
		n = machine_pids(&w->m, s->inode, pids, PROC_PIDS_MAX);
	}
	w->held = host_socket_holder(s, n, s->inode && machine_owners(&w->m)->unseen == 0);
	w->any_unseen = w->held == HOST_HELD_UNSEEN;
	if (s->have & HOST_HAS_UID)
		proc_user(s->uid, w->holder.user);
	if (n == 0)
		return;
	w->holder.pid = pids[0];
	p = machine_process(&w->m, pids[0]);
	if (p) {
		memcpy(w->holder.program, p->program, sizeof(w->holder.program));
		memcpy(w->holder.command, p->command, sizeof(w->holder.command));
	}
}

static void find_unit(struct why *w)
{
	struct host_place place;
	char container[96];

	if (!machine_place(&w->m, w->holder.pid, w->a.row->socket, &place))
		return;
	machine_container(&place, container);
	if (container[0])
		snprintf(w->unit, sizeof(w->unit), "%s%s%s", container, place.unit[0] ? " in " : "", place.unit);
	else
		snprintf(w->unit, sizeof(w->unit), "%s", place.unit);
	cli_clean(w->unit);
}

/* Of an open socket that no process was seen to have. */
static void say_nobodys(struct why *w)
{
	const struct host_clue *clue;
	struct host_clues clues;

	if (w->held == HOST_HELD_UNSEEN) {
		snprintf(w->is, sizeof(w->is),
			 geteuid() == 0 ? "of a process that even root may not look into here"
					: "of a process that you may not look into: sudo berth why names it");
		return;
	}
	host_clues_read(w->m.root, machine_all_owners(&w->m), &clues);
	clue = host_clues_find(&clues, w->a.row->socket);
	if (!clue)
		snprintf(w->is, sizeof(w->is),
			 "a socket that no process has open: the kernel's own, or one on its way in a message");
	else if (clue->kind == HOST_CLUE_IN_FLIGHT)
		snprintf(
			w->is, sizeof(w->is),
			"a socket on its way in a message that pid %d has not read, most likely: no process has it open",
			clue->pid);
	else
		snprintf(w->is, sizeof(w->is), "a socket of the kernel's own%s: %s; no process has it open",
			 clue->is_certain ? "" : ", most likely", clue->what);
	cli_clean(w->is);
	host_clues_free(&clues);
}

static void say_what_it_is(struct why *w)
{
	const struct host_bind_row *row = w->a.row;
	const struct host_socket *s = row->socket;
	char peer[PORT_ENDPOINT_STR_MAX], more[48] = "";
	bool chosen = s->port >= w->settings.ports.range.first && s->port <= w->settings.ports.range.last;

	port_endpoint_print(&s->peer, s->peer_port, peer);
	if (row->n_same > 1)
		snprintf(more, sizeof(more), ", and %zu more like it", row->n_same - 1);
	switch (row->how) {
	case HOST_HOW_LISTENS:
	case HOST_HOW_UDP:
		break;
	case HOST_HOW_IDLE:
		snprintf(
			w->is, sizeof(w->is),
			"bound, and neither listening nor connected: lists of listeners (ss -l, netstat) do not show it");
		break;
	case HOST_HOW_OUTGOING:
	case HOST_HOW_FLOW:
		snprintf(
			w->is, sizeof(w->is),
			chosen ? "a connection to %s, most likely outgoing, whose own end has this port, as it is in the range "
				 "the kernel chooses from; lists of listeners do not show it"
			       : "a connection with %s that has this port at its own end, and no listener beside it: an outgoing "
				 "one, or one whose listener is gone",
			peer);
		break;
	case HOST_HOW_ACCEPTED:
		snprintf(w->is, sizeof(w->is), "a connection from %s that a listener took%s", peer, more);
		break;
	case HOST_HOW_TIME_WAIT:
		snprintf(w->is, sizeof(w->is), "a closed connection with %s in TIME_WAIT%s", peer, more);
		break;
	case HOST_HOW_ORPHAN:
		snprintf(w->is, sizeof(w->is),
			 "a connection that its program has closed: the kernel sends what is left, and waits for %s%s",
			 peer, more);
		break;
	case HOST_HOW_UNACCEPTED:
		snprintf(w->is, sizeof(w->is), "a connection from %s that a listener has not accepted yet%s", peer,
			 more);
		break;
	case HOST_HOW_UDP_CONNECTED:
		snprintf(w->is, sizeof(w->is), "a UDP socket connected to %s: a client's, mostly", peer);
		break;
	}
	if (w->held == HOST_HELD_UNSEEN || w->held == HOST_HELD_NOBODY) {
		char before[sizeof(w->is)];

		memcpy(before, w->is, sizeof(before));
		say_nobodys(w);
		if (before[0]) {
			size_t n = strlen(w->is);

			snprintf(w->is + n, sizeof(w->is) - n, "; %.200s", before);
		}
	}
}

static void say_when_it_ends(struct why *w)
{
	const struct host_bind_row *row = w->a.row;
	const char *who = w->holder.program[0] ? w->holder.program : "its program";
	const char *proto = w->q.want.proto == PORT_UDP ? "/udp" : "";

	switch (row->how) {
	case HOST_HOW_TIME_WAIT:
		snprintf(w->ends, sizeof(w->ends), "by itself, in %u s",
			 (unsigned)((row->claim.expires_us - w->m.now_us + 999999) / 1000000));
		break;
	case HOST_HOW_ORPHAN:
		snprintf(w->ends, sizeof(w->ends), "by itself, when the peer has taken it or no longer answers");
		break;
	case HOST_HOW_OUTGOING:
	case HOST_HOW_FLOW:
	case HOST_HOW_ACCEPTED:
		snprintf(w->ends, sizeof(w->ends), "when %.31s closes the connection; a TIME_WAIT of 60 s may follow",
			 who);
		break;
	case HOST_HOW_UNACCEPTED:
		snprintf(w->ends, sizeof(w->ends), "when the listener has accepted and closed it, or is itself closed");
		break;
	default:
		snprintf(w->ends, sizeof(w->ends), "when %.31s closes it or ends; how to stop it: berth who %u%s", who,
			 w->q.want.port, proto);
	}
}

/* --- sentences --- */

static void replace(char *s, size_t room, const char *from, const char *to)
{
	char *at = strstr(s, from), rest[512];

	if (!at)
		return;
	snprintf(rest, sizeof(rest), "%s", at + strlen(from));
	snprintf(at, room - (size_t)(at - s), "%s%s", to, rest);
}

/* Would a flag help against a holder whose options are hidden? The kernel is asked by a bind that does not listen. */
static uint16_t flags_that_help(const struct why *w)
{
	static const uint16_t flags[] = {PORT_REUSEADDR, PORT_REUSEPORT};
	uint16_t help = 0;

	if (!is_real(w) || w->q.want.proto != PORT_TCP || w->a.refusal.err != -EADDRINUSE ||
	    (w->q.want.uid != geteuid() && geteuid() != 0))
		return 0;
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		struct port_want want = w->q.want;

		if (want.flags & flags[i])
			continue;
		want.flags |= flags[i];
		if (kernel_probe_bind(&want) == 0)
			help |= flags[i];
	}
	return help;
}

static void try_low_port(struct why *w)
{
	struct port_explanation *x = &w->x;
	size_t n = 0;

	memset(x->try_, 0, sizeof(x->try_));
	if (w->near)
		snprintf(x->try_[n++], sizeof(x->try_[0]), "use port %u: it is free", w->near);
	snprintf(
		x->try_[n++], sizeof(x->try_[0]),
		"give the program the right: setcap cap_net_bind_service=+ep FILE, or AmbientCapabilities= in its unit");
	snprintf(x->try_[n++], sizeof(x->try_[0]),
		 "let everybody have it: sysctl -w net.ipv4.ip_unprivileged_port_start=%u", w->q.want.port);
}

/* The heart's advice to bind another address is about the one in the way. Here all who are on the port are asked. */
static void try_other_address(struct why *w)
{
	const struct port_addr candidates[] = {PORT_ADDR_LOOP4, PORT_ADDR_LOOP6, port_addr_v4(127, 0, 0, 2)};
	char(*t)[160] = w->x.try_, at[PORT_ENDPOINT_STR_MAX];
	size_t n = COUNT_OF(w->x.try_), i = 0;

	while (i < n && strncmp(t[i], "bind ", 5) != 0)
		i++;
	for (size_t k = 0; i < n && k < COUNT_OF(candidates); k++) {
		struct port_want want = w->q.want;
		struct kernel_answer a;

		want.addr = candidates[k];
		want.family = port_addr_is4(&want.addr) ? PORT_FAMILY_4 : PORT_FAMILY_6;
		want.flags &= (uint16_t)~PORT_V6ONLY;
		if (kernel_answer(&w->bind, &want, w->q.listen, w->settings.ports.unprivileged_start, is_real(w), &a) <
			    0 ||
		    a.refusal.err != 0 || !a.certain)
			continue;
		snprintf(t[i], sizeof(t[i]), "bind %s: it is free", port_endpoint_print(&want.addr, want.port, at));
		return;
	}
	if (i < n)
		memmove(t[i], t[i + 1 < n ? i + 1 : i], (n - 1 - i) * sizeof(t[0]));
	if (i < n)
		t[n - 1][0] = '\0';
}

static void say_uncertain(struct why *w)
{
	struct port_explanation *x = &w->x;

	snprintf(
		x->why, sizeof(x->why),
		"UDP sockets share only when both set the same option, and what the holder has set cannot be seen%s [R6, R7]",
		geteuid() == 0 ? "" : " (root could)");
}

/* Whatever the holder has set: it is another user's. */
static bool is_of_another_user(const struct why *w)
{
	const struct host_bind_row *row = w->a.row;

	return (w->q.want.flags & PORT_REUSEPORT) && row && !row->flags_known && (row->socket->have & HOST_HAS_UID) &&
	       row->socket->inode && row->socket->uid != w->q.want.uid;
}

static void say_nothing_seen(struct why *w)
{
	struct port_explanation *x = &w->x;

	if (w->m.sockets.notes.no_bound || w->m.sockets.notes.netlink_err)
		snprintf(
			x->why, sizeof(x->why),
			"the kernel refuses, and shows nobody on this port: a socket that is bound and does nothing, most likely, "
			"which is not told here");
	else
		snprintf(
			x->why, sizeof(x->why),
			"the kernel refuses, and shows nobody on this port: it has just come or gone, or a rule outside of ports "
			"refuses");
}

static void explain(struct why *w)
{
	struct port_refusal r = w->a.refusal;

	w->holder.age_us = NEVER_US;
	if (w->a.row) {
		find_holder(w);
		find_unit(w);
		say_what_it_is(w);
		say_when_it_ends(w);
		if (!w->a.row->flags_known)
			r.by.flags |= flags_that_help(w);
		if (r.by.state == CLAIM_LINGER) { /* the explanation counts from an age */
			r.by.since_us = w->m.now_us;
			w->holder.age_us = 0;
		}
	}
	if (r.err == -EADDRINUSE || r.err == -EACCES)
		w->near = find_near(w);
	port_explain(&w->q.want, &r, w->a.row ? &w->holder : NULL, w->near, &w->x);
	if (r.err == -EACCES)
		try_low_port(w);
	else if (r.err == -EADDRINUSE)
		try_other_address(w);
	if (r.err == -EADDRINUSE && !w->a.certain)
		say_uncertain(w);
	else if (r.err == -EADDRINUSE && is_of_another_user(w))
		snprintf(
			w->x.why, sizeof(w->x.why),
			"SO_REUSEPORT shares a port between sockets of one user only, and the holder is another's [R4]");
	else if (r.err == -EADDRINUSE && !w->a.row)
		say_nothing_seen(w);
	if (w->a.row && w->holder.pid <= 0 && r.by.state != CLAIM_LINGER)
		snprintf(w->x.who, sizeof(w->x.who), "%s%s",
			 w->held == HOST_HELD_UNSEEN ? "a program of user " : "no process that could be seen",
			 w->held == HOST_HELD_UNSEEN ? w->holder.user : "");
	if (w->a.row && w->a.row->how == HOST_HOW_FLOW) /* whose, the claim does not know */
		replace(w->x.what, sizeof(w->x.what), "an outgoing connection", "a connection");
	replace(w->x.what, sizeof(w->x.what), "this host", "this machine");
	replace(w->x.why, sizeof(w->x.why), "its own host", "its own machine");
	for (size_t i = 0; i < COUNT_OF(w->x.try_); i++)
		replace(w->x.try_[i], sizeof(w->x.try_[i]), "this host", "this machine");
	cli_clean(w->x.who);
}

/* --- asking --- */

/* Who has them. Connections that a listener took come last: they may be anywhere among a server's ten thousand
 * descriptors, and its listener answers for them. Only if one is itself in the way, everything is read (find_holder()). */
static void seek_holders(struct why *w)
{
	const struct host_socket *rows[SEEK_MAX];
	size_t n = 0, n_needed = 0;

	for (int taken = 0; taken < 2; taken++) {
		for (size_t i = 0; i < w->bind.n && n < SEEK_MAX; i++)
			if (w->bind.rows[i].socket->inode && (w->bind.rows[i].how == HOST_HOW_ACCEPTED) == taken)
				rows[n++] = w->bind.rows[i].socket;
		n_needed = taken ? n_needed : n;
	}
	machine_seek_one(&w->m, rows, n_needed, n);
	host_bind_ask_flags(&w->bind, machine_owners(&w->m));
}

int why_ask(struct cli *cli, const struct why_asked *q, const struct published_list *published, struct why *ret)
{
	const struct host_filter f = {.protos = 1u << q->want.proto, .ports = {q->want.port, q->want.port}};
	bool any = false;
	int r;

	*ret = (struct why){.q = *q};
	r = machine_read(cli, &ret->m, &f);
	if (r != 0)
		return r;
	host_settings_read(ret->m.root, &ret->settings);
	for (size_t i = 0; i < ret->m.sockets.n && !any; i++)
		any = ret->m.sockets.rows[i].inode != 0;
	r = host_bind_read(&ret->m.sockets, q->want.proto, q->want.port, NULL, ret->m.now_us, &ret->bind);
	if (r == 0 && any && !ret->m.root)
		seek_holders(ret);
	if (r == 0)
		r = kernel_answer(&ret->bind, &ret->q.want, q->listen, ret->settings.ports.unprivileged_start,
				  is_real(ret), &ret->a);
	if (r < 0) {
		why_free(ret);
		return cli_fail(cli, r, "cannot answer");
	}
	explain(ret);
	why_notes(ret, published);
	return 0;
}

void why_free(struct why *w)
{
	host_bind_free(&w->bind);
	machine_free(&w->m);
}
