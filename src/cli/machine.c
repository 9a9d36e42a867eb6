/* src/cli/machine.c: the machine's own ports, read once for a command.
 *
 * Sockets come from host/ with the question's ports and states asked of the kernel. Who has them open is read only if
 * somebody wants to know, of a few sockets by looking for their processes (host/seek.c), else once for all, and beside the sockets where it is certain that they will (a list of connections:
 * both take the kernel long); a process once for all its sockets. A process may end between any two of these:
 * then its number is told and nothing else.
 */
#include "cli/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/container.h"

const char *machine_top(void)
{
	const char *top = secure_getenv("BERTH_MACHINE_ROOT");

	return top ? top : "";
}

const struct host_root *machine_root(void)
{
	static struct host_root root;
	static char proc[512], cgroup[512], run[512];
	const char *top = machine_top();

	if (!*top)
		return NULL;
	snprintf(proc, sizeof(proc), "%s/proc", top);
	snprintf(cgroup, sizeof(cgroup), "%s/cgroup", top);
	snprintf(run, sizeof(run), "%s/run", top);
	root = (struct host_root){.proc = proc, .cgroup = cgroup, .run = run, .no_netlink = true};
	return &root;
}

/* /proc/net does not tell IPV6_V6ONLY. A listening [::] beside a listening 0.0.0.0 must have it. */
static void infer_v6only(struct host_sockets *s)
{
	for (size_t i = 0, from = 0; i < s->n; i++) {
		struct host_socket *six = &s->rows[i];

		if (s->rows[from].port != six->port)
			from = i;
		if (six->state != HOST_LISTEN || six->have & HOST_HAS_V6ONLY || !host_socket_is_dual(six))
			continue;
		for (size_t k = from; k < s->n && s->rows[k].port == six->port; k++)
			if (s->rows[k].state == HOST_LISTEN && s->rows[k].family == PORT_FAMILY_4 &&
			    port_addr_is_any(&s->rows[k].addr))
				six->is |= HOST_IS_V6ONLY;
	}
}

int machine_read(struct cli *cli, struct machine *m, const struct host_filter *f)
{
	int r;

	if (!m->is_reading)
		m->root = machine_root();
	m->now_us = network_now_us();
	r = host_sockets_read(m->root, f, &m->sockets);
	if (r == 0 && m->sockets.notes.netlink_err != 0)
		infer_v6only(&m->sockets);
	return r < 0 ? cli_fail(cli, r, "cannot read the machine's ports, neither by netlink nor from /proc/net") : 0;
}

void machine_free(struct machine *m)
{
	if (m->is_reading)
		(void)machine_owners(m);
	host_sockets_free(&m->sockets);
	if (m->has_owners)
		host_owners_free(&m->owners);
	free(m->sought);
	if (m->has_cgroups)
		host_cgroups_fini(&m->cgroups);
	for (size_t i = 0; i < m->room; i++)
		free(m->known[i]);
	free(m->known);
	*m = (struct machine){0};
}

static struct host_cgroups *machine_cgroups(struct machine *m)
{
	if (!m->has_cgroups)
		host_cgroups_init(&m->cgroups, m->root);
	m->has_cgroups = true;
	return &m->cgroups;
}

static void *read_owners(void *arg)
{
	struct machine *m = arg;

	host_owners_read(m->root, &m->owners);
	return NULL;
}

void machine_owners_begin(struct machine *m)
{
	m->root = machine_root();
	m->is_reading = pthread_create(&m->reader, NULL, read_owners, m) == 0;
}

const struct host_owners *machine_owners(struct machine *m)
{
	if (m->is_reading) {
		pthread_join(m->reader, NULL);
		m->is_reading = false;
		m->has_owners = true;
	}
	if (!m->has_owners) {
		m->root = machine_root();
		host_owners_read(m->root, &m->owners);
		m->has_owners = true;
	}
	return &m->owners;
}

const struct host_owners *machine_all_owners(struct machine *m)
{
	if (m->has_owners && !m->owners.is_whole) {
		host_owners_free(&m->owners);
		m->has_owners = false;
	}
	return machine_owners(m);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void seek(struct machine *m, const struct host_sought *sought, size_t n, const int32_t *first, size_t n_first,
		 bool one)
{
	m->root = machine_root();
	if (m->has_owners || m->is_reading || n > MACHINE_SEEK_MAX)
		return;
	m->sought = malloc((n ? n : 1) * sizeof(*m->sought));
	if (!m->sought)
		return;
	for (size_t i = 0; i < n; i++)
		m->sought[i] = sought[i].inode;
	qsort(m->sought, n, sizeof(*m->sought), by_number);
	m->n_sought = n;
	host_owners_seek(m->root, sought, n, first, n_first, one, &m->owners);
	m->has_owners = true;
}

void machine_seek(struct machine *m, const struct host_sought *sought, size_t n, bool one)
{
	seek(m, sought, n, NULL, 0, one);
}

/* The cgroups that made them are told by the kernel, and mostly the socket is still there. */
static size_t guess(struct machine *m, const struct host_socket *const *rows, size_t n, int32_t pids[HOST_FIRST_MAX])
{
	uint64_t last = 0;
	size_t at = 0;

	for (size_t i = 0; i < n && at < HOST_FIRST_MAX; i++) {
		if (!(rows[i]->have & HOST_HAS_CGROUP) || rows[i]->cgroup_id == last)
			continue;
		last = rows[i]->cgroup_id;
		at += host_cgroups_pids(machine_cgroups(m), last, pids + at, HOST_FIRST_MAX - at);
	}
	return at;
}

void machine_seek_one(struct machine *m, const struct host_socket *const *rows, size_t n_needed, size_t n)
{
	struct host_sought *sought = malloc((n ? n : 1) * sizeof(*sought));
	int32_t first[HOST_FIRST_MAX];

	if (!sought)
		return;
	for (size_t i = 0; i < n; i++)
		host_socket_sought(rows[i], &sought[i]);
	for (size_t i = n_needed; i < n; i++)
		sought[i].optional = true;
	seek(m, sought, n, first, guess(m, rows, n, first), true);
	free(sought);
}

const struct host_owner *machine_owners_of(struct machine *m, uint64_t inode, size_t *ret_n)
{
	const struct host_owners *o = machine_owners(m);

	if (!o->is_whole && m->sought && !bsearch(&inode, m->sought, m->n_sought, sizeof(inode), by_number))
		o = machine_all_owners(m);
	return host_owners_find(o, inode, ret_n);
}

/* --- processes --- */

static size_t place_of(const struct machine *m, int32_t pid)
{
	size_t at = ((uint32_t)pid * 2654435761u) & (m->room - 1);

	while (m->known[at] && m->known[at]->pid != pid)
		at = (at + 1) & (m->room - 1);
	return at;
}

static bool grow(struct machine *m)
{
	struct machine old = *m;

	m->room = old.room ? old.room * 2 : 64;
	m->known = calloc(m->room, sizeof(*m->known));
	if (!m->known) {
		m->known = old.known;
		m->room = old.room;
		return false;
	}
	for (size_t i = 0; i < old.room; i++)
		if (old.known[i])
			m->known[place_of(m, old.known[i]->pid)] = old.known[i];
	free(old.known);
	return true;
}

struct machine_process *machine_process(struct machine *m, int32_t pid)
{
	struct machine_process *p;
	struct host_process h;
	size_t at;

	if (m->n_known * 2 >= m->room && !grow(m))
		return NULL;
	at = place_of(m, pid);
	if (m->known[at])
		return m->known[at];
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct machine_process){.pid = pid, .age_us = NEVER_US};
	if (host_process_read(m->root, pid, &h) == 0) {
		p->ppid = h.ppid;
		p->age_us = h.age_us;
		snprintf(p->program, sizeof(p->program), "%.31s", h.comm);
		host_process_command(&h, p->command, sizeof(p->command));
		cli_clean(p->program);
		cli_clean(p->command);
	}
	m->known[at] = p;
	m->n_known++;
	return p;
}

bool machine_place(struct machine *m, int32_t pid, const struct host_socket *s, struct host_place *ret)
{
	struct machine_process *p = pid > 0 ? machine_process(m, pid) : NULL;
	char path[HOST_CGROUP_PATH_MAX];
	const char *found;

	if (p && !p->asked_place) {
		p->asked_place = true;
		p->has_place = host_cgroup_of(m->root, pid, path, &p->place) == 0;
	}
	if (p && p->has_place) {
		*ret = p->place;
		return true;
	}
	if (p || !s || !(s->have & HOST_HAS_CGROUP))
		return false;
	found = host_cgroups_path(machine_cgroups(m), s->cgroup_id);
	if (found)
		host_place_parse(found, ret);
	return found != NULL;
}

char *machine_container_name(const struct host_place *p, char s[80])
{
	if (!container_name(p, s))
		host_place_short(p, s);
	return s;
}

void machine_container(const struct host_place *p, char s[96])
{
	char name[80];

	s[0] = '\0';
	if (p->container[0])
		snprintf(s, 96, "%s:%s",
			 (unsigned)p->runtime < HOST_NRUNTIMES ? host_runtime_name[p->runtime] : "container",
			 machine_container_name(p, name));
	cli_clean(s);
}

/* Is b to be named before a? */
static bool before(struct machine *m, int32_t a, int32_t b)
{
	const struct machine_process *x = machine_process(m, a), *y = machine_process(m, b);

	if (!x || !y)
		return false;
	if (x->ppid == b || y->ppid == a)
		return x->ppid == b;
	if (y->age_us == NEVER_US || x->age_us == NEVER_US)
		return x->age_us == NEVER_US && y->age_us != NEVER_US;
	return y->age_us > x->age_us;
}

uint32_t machine_pids(struct machine *m, uint64_t inode, int32_t *pids, uint32_t max)
{
	const struct host_owner *rows;
	size_t n = 0, best = 0;

	if (inode == 0)
		return 0;
	rows = machine_owners_of(m, inode, &n);
	for (size_t i = 0; i < n && i < max; i++) {
		pids[i] = rows[i].pid;
		if (i > 0 && before(m, pids[best], pids[i]))
			best = i;
	}
	if (best > 0) {
		int32_t first = pids[best];

		memmove(pids + 1, pids, best * sizeof(pids[0]));
		pids[0] = first;
	}
	return (uint32_t)n;
}

bool machine_shares_process(struct machine *m, uint64_t inode_a, uint64_t inode_b)
{
	size_t n, k, i = 0, j = 0;
	const struct host_owner *a, *b;

	(void)machine_owners_of(m, inode_a, &n); /* either may make it read everything */
	b = machine_owners_of(m, inode_b, &k);
	a = machine_owners_of(m, inode_a, &n);
	while (i < n && j < k) {
		if (a[i].pid == b[j].pid)
			return true;
		if (a[i].pid < b[j].pid)
			i++;
		else
			j++;
	}
	return false;
}

/* --- what could not be seen --- */

static bool note_owners(const struct machine *m, char s[MACHINE_NOTE_MAX])
{
	uint32_t unseen = m->owners.unseen;

	if (unseen & HOST_UNSEEN_NO_PROC)
		snprintf(s, MACHINE_NOTE_MAX, "/proc cannot be read, so no program has a name here");
	else if (unseen & HOST_UNSEEN_USERS)
		snprintf(
			s, MACHINE_NOTE_MAX,
			geteuid() == 0
				? "programs without a name are of %u process%s that even root may not look into here"
				: "programs without a name are other users' (%u process%s could not be looked into): root "
				  "would see their names",
			m->owners.n_denied, m->owners.n_denied == 1 ? "" : "es");
	else if (unseen & HOST_UNSEEN_HIDEPID)
		snprintf(
			s, MACHINE_NOTE_MAX,
			"/proc hides other users' processes here (hidepid): root would see the names of those programs");
	else if (unseen & HOST_UNSEEN_OUTSIDE)
		snprintf(
			s, MACHINE_NOTE_MAX,
			"only this container's processes can be seen: programs outside of it have no name, for root neither");
	else
		return false;
	return true;
}

static bool note_sockets(const struct machine *m, char s[MACHINE_NOTE_MAX])
{
	const struct host_notes *n = &m->sockets.notes;

	if (n->netlink_err != 0)
		snprintf(
			s, MACHINE_NOTE_MAX,
			"read from /proc/net, as netlink could not be asked (%s): TCP sockets that are bound and do not "
			"listen are missing",
			strerror(-n->netlink_err));
	else if (n->no_bound)
		snprintf(
			s, MACHINE_NOTE_MAX,
			"this kernel does not tell of TCP sockets that are bound and do not listen (6.8 and later do)");
	else
		return false;
	return true;
}

bool machine_note(struct machine *m, bool any_unseen, unsigned *at, char s[MACHINE_NOTE_MAX])
{
	for (;;) {
		switch ((*at)++) {
		case 0:
			if (any_unseen && m->has_owners && note_owners(m, s))
				return true;
			break;
		case 1:
			if (note_sockets(m, s))
				return true;
			break;
		case 2:
			if (m->sockets.notes.torn) {
				snprintf(
					s, MACHINE_NOTE_MAX,
					"sockets came and went faster than the kernel could list them: some may be missing");
				return true;
			}
			break;
		default:
			return false;
		}
	}
}
