/* src/cli/doors.c: who holds which port, in both worlds, as one list.
 *
 * The machine's sockets (machine.c) and the claims of networks (rows.c) stay where they were read; the list is of
 * references of sixteen octets, which are filtered, sorted and folded. A row's text is made when it is asked for, so that a
 * hundred thousand of them take the room of what the kernel told, and nothing more.
 *
 * A door is what waits for others: a TCP listener, a bound UDP socket. One number may have two of them for one name:
 * 127.0.0.1:3000 and [::1]:3000 are both "localhost:3000", and who has which is seen by nobody. So the wildcard's and
 * the loopback's halves are compared: of one program, they are one door and one row; of two, the door is split.
 */
#include "cli/doors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/explain.h"

#define GROUP_MAX 64 /* doors of one number that are compared with each other */

static const char *const raw_name = "raw";

/* --- what is in a row --- */

static const struct host_socket *socket_of(const struct doors *d, const struct door_ref *r)
{
	return r->net == 0 ? &d->machine.sockets.rows[r->at] : NULL;
}

void doors_claim(struct doors *d, const struct door_ref *r, struct port_claim *ret)
{
	const struct host_socket *s = socket_of(d, r);

	if (!s) {
		*ret = d->networks[r->net - 1].r[r->at].claim;
	} else if (!host_socket_claim(s, d->machine.now_us, ret)) {
		struct host_socket as_udp = *s;

		as_udp.proto = HOST_UDP;
		(void)host_socket_claim(&as_udp, d->machine.now_us, ret);
		ret->proto = HOST_RAW;
	}
}

static const char *state_of(const struct host_socket *s)
{
	switch (s->state) {
	case HOST_ESTABLISHED:
		return s->is & HOST_IS_ACCEPTED ? "accepted" : "connected";
	default:
		return s->state < HOST_NSTATES ? host_state_name[s->state] : "?";
	}
}

const char *doors_state_at(size_t i)
{
	static const char *const names[] = {
		"listening", "bound",	     "connected",  "accepted",	 "time-wait", "close-wait",
		"syn-sent",  "syn-received", "fin-wait-1", "fin-wait-2", "last-ack",  "closing",
	};

	return i < COUNT_OF(names) ? names[i] : NULL;
}

bool doors_state_ok(const char *state, const char **ret_near)
{
	const char *names[HOST_NSTATES + 2], *name;
	size_t n = 0;

	for (size_t i = 0; (name = doors_state_at(i)) != NULL && n < COUNT_OF(names); i++) {
		names[n++] = name;
		if (strcmp(name, state) == 0)
			return true;
	}
	*ret_near = cli_nearest(state, names, n, sizeof(names[0]));
	return false;
}

/* --- which rows --- */

static bool takes(const struct port_claim *c, int family)
{
	if (family == 4)
		return port_addr_is4(&c->addr) || rows_is_dual(c);
	return family != 6 || !port_addr_is4(&c->addr);
}

static bool state_wanted(const struct doors_filter *f, const char *state)
{
	for (size_t i = 0; i < f->n_states; i++)
		if (strcmp(f->states[i], state) == 0)
			return true;
	return f->n_states == 0;
}

static bool has_pid(const struct row *row, int32_t pid)
{
	for (uint32_t i = 0; i < row->n_pids && i < PROC_PIDS_MAX; i++)
		if (row->pids[i] == pid)
			return true;
	return false;
}

/* By what the kernel and the tables tell; who it is comes later, if at all. */
static bool claim_wanted(const struct doors_filter *f, const struct port_claim *c, const char *state)
{
	if (f->rows.has_addr && !rows_meets(c, &f->rows.addr))
		return false;
	if (f->family && !takes(c, f->family))
		return false;
	if (!state_wanted(f, state))
		return false;
	return !f->has_uid || c->uid == f->uid;
}

static bool asks_who(const struct doors_filter *f)
{
	return f->program || f->unit || f->pid;
}

static bool who_wanted(const struct doors_filter *f, const struct door *d)
{
	if (f->program && !strcasestr(d->row.holder.program, f->program))
		return false;
	if (f->unit && !strcasestr(d->unit, f->unit) && !strcasestr(d->container, f->unit))
		return false;
	return !f->pid || has_pid(&d->row, f->pid);
}

static int push(struct doors *d, const struct door_ref *r)
{
	if (d->n == d->room) {
		size_t more = d->room ? d->room * 2 : 128;
		struct door_ref *bigger = realloc(d->r, more * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		d->r = bigger;
		d->room = more;
	}
	d->r[d->n++] = *r;
	return 0;
}

/* Only what needs no process: the others are left out when all are there. */
static int add(struct doors *d, const struct doors_filter *f, struct door_ref r, const char *state)
{
	struct port_claim c;

	if (r.net == 0 && !f->rows.has_addr && !f->family && !f->n_states && !f->has_uid) { /* mostly */
		r.port = socket_of(d, &r)->port;
		r.proto = socket_of(d, &r)->proto;
		return push(d, &r);
	}
	doors_claim(d, &r, &c);
	r.port = c.port;
	r.proto = c.proto;
	if (!claim_wanted(f, &c, state))
		return 0;
	if (f->has_uid && r.net == 0 && !(socket_of(d, &r)->have & HOST_HAS_UID))
		return 0;
	return push(d, &r);
}

static int drop_by_holder(struct doors *d, const struct doors_filter *f)
{
	struct door door;
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		doors_get(d, i, &door);
		if (who_wanted(f, &door))
			d->r[n++] = d->r[i];
	}
	d->n = n;
	return 0;
}

/* --- the machine --- */

static void to_host_filter(const struct doors_filter *f, struct host_filter *ret)
{
	bool connections = f->rows.connections;

	*ret = (struct host_filter){.protos = 1 << HOST_TCP | 1 << HOST_UDP, .info = f->info};
	if (f->rows.has_proto)
		ret->protos = 1u << f->rows.proto;
	if (f->raw)
		ret->protos = (f->rows.has_proto ? 0 : ret->protos) | 1 << HOST_RAW;
	if (f->rows.has_ports)
		ret->ports = f->rows.ports;
	for (size_t i = 0; i < f->n_states; i++)
		connections |= strcmp(f->states[i], "listening") != 0 && strcmp(f->states[i], "bound") != 0;
	if (!connections)
		ret->states = 1 << HOST_LISTEN | 1 << HOST_BOUND;
}

static int add_machine(struct cli *cli, struct doors *d, const struct doors_filter *f)
{
	struct host_filter h;
	int r;

	to_host_filter(f, &h);
	if (h.states == 0 && h.ports.last == 0)
		machine_owners_begin(&d->machine);
	r = machine_read(cli, &d->machine, &h);
	if (r != 0)
		return r;
	d->has_machine = true;
	for (size_t i = 0; i < d->machine.sockets.n && r == 0; i++)
		r = add(d, f, (struct door_ref){.at = (uint32_t)i}, state_of(&d->machine.sockets.rows[i]));
	return r;
}

/* --- networks --- */

static int add_network(struct cli *cli, struct doors *d, const struct doors_filter *f)
{
	struct rows_filter rf = f->rows;
	struct rows *rows = &d->networks[d->n_networks];
	int r;

	if (f->raw && f->rows.has_proto)
		return 0;
	rf.has_addr = false; /* asked below, as of the machine */
	rf.connections |= f->n_states > 0;
	r = rows_read(cli, &rf, rows);
	if (r != 0)
		return r;
	if (f->machine && published_read(cli, &d->published[d->n_networks]) != 0)
		d->published[d->n_networks] = (struct published_list){0}; /* said */
	snprintf(d->names[d->n_networks++], NETWORK_NAME_MAX, "%s", cli->network_name);
	d->n_hidden += rows->n_hidden;
	for (size_t i = 0; i < rows->n && r == 0; i++)
		r = add(d, f, (struct door_ref){.at = (uint32_t)i, .net = (uint16_t)d->n_networks},
			rows_state(&rows->r[i].claim));
	return r;
}

/* Every network but the one that is open. One that cannot be read is told of, and the others are shown. */
static int add_others(struct cli *cli, struct doors *d, const struct doors_filter *f)
{
	static char names[DOORS_NETWORKS_MAX][NETWORK_NAME_MAX];
	static const struct network_options only_open;
	static struct cli other;
	struct network_error e;
	int n = network_list(names, DOORS_NETWORKS_MAX, &e), r = 0;

	for (int i = 0; i < n && i < DOORS_NETWORKS_MAX && r == 0; i++) {
		if ((cli->net.dir[0] && strcmp(names[i], cli->network_name) == 0) ||
		    d->n_networks == DOORS_NETWORKS_MAX)
			continue;
		other = (struct cli){.cmd = cli->cmd, .network_name = names[i]};
		e.what[0] = '\0';
		if (network_open(&other.net, names[i], &only_open, &e) == 0)
			r = add_network(&other, d, f);
		else
			cli_warn(cli, "network '%s' is not shown: %s", names[i],
				 e.what[0] ? e.what : "it cannot be read");
	}
	return r;
}

/* --- order --- */

static int by_port(const void *a, const void *b)
{
	const struct door_ref *x = a, *y = b;

	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	if (x->net != y->net)
		return x->net < y->net ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* --- doors of one number --- */

struct in_group {
	struct door_ref *ref;
	struct port_claim claim;
	uint32_t host;
};

static bool is_door(const struct port_claim *c)
{
	return c->proto == PORT_UDP ? c->peer_port == 0 : c->state == CLAIM_LISTENING;
}

/* Cheaply, as most rows of a long list are connections. */
static bool may_be_door(const struct doors *d, const struct door_ref *r)
{
	const struct host_socket *s = socket_of(d, r);

	return !s || s->state == HOST_LISTEN || (s->proto == HOST_UDP && s->state == HOST_BOUND);
}

static const struct host_owners *owners_of(struct doors *d)
{
	return machine_owners(&d->machine);
}

/* The doors from row i on that have one number in one world. Returns how many rows that are; *ret_n: how many doors of
 * them are in g. */
static size_t read_group(struct doors *d, size_t i, struct in_group g[GROUP_MAX], size_t *ret_n)
{
	size_t k = i, n = 0;
	uint32_t host = 0;

	for (; k < d->n; k++) {
		struct door_ref *r = &d->r[k];
		uint32_t its = r->net ? d->networks[r->net - 1].r[r->at].host_index : 0;

		if (k == i)
			host = its;
		if (r->port != d->r[i].port || r->proto != d->r[i].proto || r->net != d->r[i].net || its != host)
			break;
		if (n < GROUP_MAX && may_be_door(d, r)) {
			g[n] = (struct in_group){.ref = r, .host = its};
			doors_claim(d, r, &g[n].claim);
			n += is_door(&g[n].claim);
		}
	}
	*ret_n = n;
	return k - i;
}

/* What a caller of "localhost", or of the machine's name, may mean. */
static bool is_common(const struct port_claim *c)
{
	return port_addr_is_any(&c->addr) || port_addr_is_loopback(&c->addr);
}

static bool one_program(struct doors *d, const struct in_group *a, const struct in_group *b)
{
	(void)owners_of(d);
	return machine_shares_process(&d->machine, a->claim.owner.inode, b->claim.owner.inode);
}

/* Both families' halves, in different hands. */
static void mark_split(struct doors *d, struct in_group *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			const struct port_claim *a = &g[i].claim, *b = &g[k].claim;

			if (!port_addr_is4(&a->addr) || port_addr_is4(&b->addr) || !is_common(a) || !is_common(b) ||
			    a->dev || b->dev || one_program(d, &g[i], &g[k]))
				continue;
			g[i].ref->split = 4;
			g[k].ref->split = 6;
		}
}

static void mark_splits(struct doors *d)
{
	struct in_group g[GROUP_MAX];
	size_t n, step;

	for (size_t i = 0; i < d->n; i += step) {
		step = read_group(d, i, g, &n);
		if (n > 1)
			mark_split(d, g, n);
	}
}

/* Whose sockets these are will be asked: of a few, the processes are looked for. */
static void seek_owners(struct doors *d, const struct doors_filter *f)
{
	struct host_sought *sought;

	if (d->machine.is_reading || f->pid || f->all_pids || d->n > MACHINE_SEEK_MAX)
		return;
	sought = malloc((d->n ? d->n : 1) * sizeof(*sought));
	for (size_t i = 0; sought && i < d->n; i++) {
		const struct host_socket *s = socket_of(d, &d->r[i]);

		if (s)
			host_socket_sought(s, &sought[i]);
		else
			sought[i] = (struct host_sought){
				.inode = d->networks[d->r[i].net - 1].r[d->r[i].at].claim.owner.inode};
	}
	if (sought && d->n > 0)
		machine_seek(&d->machine, sought, d->n, false);
	free(sought);
}

int doors_read(struct cli *cli, const struct doors_filter *f, struct doors *ret)
{
	int r = 0;

	if (f->machine)
		r = add_machine(cli, ret, f);
	if (r == 0 && f->networks && cli->net.dir[0])
		r = add_network(cli, ret, f);
	if (r == 0 && f->networks && !f->one_network)
		r = add_others(cli, ret, f);
	if (r == -ENOMEM)
		r = cli_fail(cli, r, "cannot list the ports");
	if (r != 0) {
		doors_free(ret);
		return r;
	}
	ret->services = cli_services(cli);
	if (f->machine)
		seek_owners(ret, f);
	for (size_t i = 0; i < ret->n_networks; i++)
		if ((f->machine || ret->n_networks > 1) && ret->networks[i].n > 0)
			ret->networks[i].shared = owners_of(ret);
	if (ret->n_networks > 0 && !f->one_network && ret->n > 0) /* the machine's are in order */
		qsort(ret->r, ret->n, sizeof(ret->r[0]), by_port);
	if (asks_who(f))
		drop_by_holder(ret, f);
	mark_splits(ret);
	return 0;
}

void doors_free(struct doors *d)
{
	for (size_t i = 0; i < d->n_networks; i++) {
		rows_free(&d->networks[i]);
		published_free(&d->published[i]);
	}
	machine_free(&d->machine);
	free(d->r);
	d->r = NULL;
	d->n = d->room = d->n_networks = 0;
}

/* --- folding --- */

/* Have they one program, as a person sees it: a process of both, or workers of one parent? */
static bool one_service(struct doors *d, const struct in_group *a, const struct in_group *b)
{
	const struct machine_process *p, *q;
	int32_t x, y;

	if (a->claim.uid != b->claim.uid || a->ref->split || b->ref->split)
		return false;
	if (one_program(d, a, b))
		return true;
	if (a->ref->net != 0 || machine_pids(&d->machine, a->claim.owner.inode, &x, 1) == 0 ||
	    machine_pids(&d->machine, b->claim.owner.inode, &y, 1) == 0)
		return false;
	p = machine_process(&d->machine, x);
	q = machine_process(&d->machine, y);
	return p && q && strcmp(p->program, q->program) == 0 &&
	       ((p->ppid == q->ppid && p->ppid > 1) || p->ppid == q->pid || q->ppid == p->pid);
}

/* Is b the IPv6 half of a's door? */
static bool are_halves(const struct port_claim *a, const struct port_claim *b)
{
	if (!port_addr_is4(&a->addr) || port_addr_is4(&b->addr) || a->dev != b->dev || rows_is_dual(b))
		return false;
	return (port_addr_is_any(&a->addr) && port_addr_is_any(&b->addr)) ||
	       (port_addr_is_loopback(&a->addr) && port_addr_is_loopback(&b->addr));
}

static void fold_group(struct doors *d, struct in_group *g, size_t n, uint8_t *gone)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++) {
			const struct port_claim *a = &g[i].claim, *b = &g[k].claim;
			bool same = port_addr_equal(&a->addr, &b->addr) && a->family == b->family && a->dev == b->dev;

			if (gone[g[i].ref - d->r] || gone[g[k].ref - d->r] || !same || !one_service(d, &g[i], &g[k]))
				continue;
			gone[g[k].ref - d->r] = 1;
			g[i].ref->n_more++;
		}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			struct door_ref *a = g[i].ref, *b = g[k].ref;

			if (gone[a - d->r] || gone[b - d->r] || a->other || !are_halves(&g[i].claim, &g[k].claim) ||
			    !one_service(d, &g[i], &g[k]))
				continue;
			gone[b - d->r] = 1;
			a->n_more = (uint16_t)(a->n_more > b->n_more ? a->n_more : b->n_more);
			a->other = b->at + 1;
		}
}

void doors_fold(struct doors *d)
{
	uint8_t *gone = calloc(d->n ? d->n : 1, 1);
	struct in_group g[GROUP_MAX];
	size_t n, kept = 0;

	if (!gone)
		return; /* a row for each, then */
	for (size_t i = 0; i < d->n;) {
		size_t step = read_group(d, i, g, &n);

		if (n > 1)
			fold_group(d, g, n, gone);
		i += step;
	}
	for (size_t i = 0; i < d->n; i++)
		if (!gone[i])
			d->r[kept++] = d->r[i];
	d->n = kept;
	free(gone);
}

/* --- one row, whole --- */

static void put_service(struct doors *d, struct row *row)
{
	struct port_service s;

	if (!d->service.valid || d->service.port != row->claim.port || d->service.proto != row->claim.proto) {
		d->service.valid = true;
		d->service.port = row->claim.port;
		d->service.proto = row->claim.proto;
		d->service.name[0] = '\0';
		if (row->claim.proto < PORT_NPROTOS &&
		    port_service_name(row->claim.port, (enum port_proto)row->claim.proto, d->services, &s) == 0)
			snprintf(d->service.name, sizeof(d->service.name), "%s", s.name);
		cli_clean(d->service.name);
	}
	memcpy(row->service, d->service.name, sizeof(row->service));
}

static const char *holder_word(enum host_holder held)
{
	switch (held) {
	case HOST_HELD_TIME_WAIT:
	case HOST_HELD_ORPHAN:
	case HOST_HELD_NOBODY:
		return "(kernel)";
	case HOST_HELD_UNACCEPTED:
		return "(queue)";
	default:
		return "";
	}
}

static void put_place(struct doors *d, struct door *door, const struct host_socket *s)
{
	if (!machine_place(&d->machine, door->row.holder.pid, s, &door->place))
		return;
	snprintf(door->unit, sizeof(door->unit), "%s", door->place.unit);
	cli_clean(door->unit);
	machine_container(&door->place, door->container);
}

/* Is it one that berth publishes? */
static void put_leads_to(struct doors *d, struct door *door)
{
	const struct port_claim *c = &door->row.claim;

	for (size_t i = 0; i < d->n_networks; i++)
		for (size_t k = 0; k < d->published[i].n; k++) {
			const struct published *p = &d->published[i].r[k];

			if (p->p.proto != c->proto || c->port < p->p.outer.first || c->port > p->p.outer.last ||
			    !has_pid(&door->row, p->p.pid))
				continue;
			snprintf(door->leads_to, sizeof(door->leads_to), "%s:%u of network '%s'", p->host,
				 p->p.inner + (unsigned)(c->port - p->p.outer.first), d->names[i]);
			return;
		}
}

static void get_machine(struct doors *d, const struct door_ref *r, struct door *ret)
{
	const struct host_socket *s = socket_of(d, r);
	struct port_holder *h = &ret->row.holder;
	const struct machine_process *p;

	ret->is_machine = true;
	ret->socket = s;
	if (d->machine.sockets.infos && s->have & HOST_HAS_INFO)
		ret->info = &d->machine.sockets.infos[r->at];
	ret->network = "";
	ret->state = state_of(s);
	ret->proto = s->proto < HOST_NPROTOS ? host_proto_name[s->proto] : raw_name;
	ret->row.host = "";
	doors_claim(d, r, &ret->row.claim);
	ret->row.n_pids = machine_pids(&d->machine, s->inode, ret->row.pids, PROC_PIDS_MAX);
	ret->held = host_socket_holder(s, ret->row.n_pids, owners_of(d)->unseen == 0);
	ret->has_uid = (s->have & HOST_HAS_UID) != 0;
	h->age_us = NEVER_US;
	if (ret->has_uid)
		proc_user_known(&d->known, s->uid, h->user);
	if (ret->held == HOST_HELD_BY_PROCESS) {
		h->pid = ret->row.pids[0];
		p = machine_process(&d->machine, h->pid);
		if (p) {
			memcpy(h->program, p->program, sizeof(h->program));
			memcpy(h->command, p->command, sizeof(h->command));
			h->age_us = p->age_us;
		}
	} else {
		snprintf(h->program, sizeof(h->program), "%s", holder_word(ret->held));
		d->any_unseen |= ret->held == HOST_HELD_UNSEEN;
	}
	put_place(d, ret, s);
	put_leads_to(d, ret);
	put_service(d, &ret->row);
}

void doors_get(struct doors *d, size_t i, struct door *ret)
{
	const struct door_ref *r = &d->r[i];

	memset(ret, 0, sizeof(*ret));
	if (r->net == 0) {
		get_machine(d, r, ret);
	} else {
		rows_get(&d->networks[r->net - 1], r->at, &ret->row);
		ret->network = d->names[r->net - 1];
		ret->state = rows_state(&ret->row.claim);
		ret->proto = port_proto_name[ret->row.claim.proto];
		ret->held = ret->row.n_pids			   ? HOST_HELD_BY_PROCESS
			    : ret->row.claim.state == CLAIM_LINGER ? HOST_HELD_TIME_WAIT
								   : HOST_HELD_UNSEEN;
		ret->has_uid = true;
	}
	ret->split = r->split;
	ret->n_more = r->n_more;
	if (r->other) {
		const struct door_ref half = {.at = r->other - 1, .net = r->net};
		struct port_claim c;

		doors_claim(d, &half, &c);
		ret->other = c.addr;
		ret->has_other = true;
	}
}

void doors_say_notes(struct cli *cli, struct doors *d)
{
	char note[MACHINE_NOTE_MAX];
	unsigned at = 0;

	while (d->has_machine && machine_note(&d->machine, d->any_unseen, &at, note)) {
		if (cli->json)
			cli_warn(cli, "%s", note);
		else
			explain_wrap_at(stdout, NULL, 0, note, explain_columns(stdout));
	}
}
