/* src/cli/doctor_ports.c: `berth doctor`'s look at the machine's ports.
 *
 * All TCP and UDP sockets are read once (host/), and counted. Who has a socket open is asked only if one is named: it walks
 * all of /proc. Nothing is tried here, and nothing changed. What the numbers mean is judge_ports.c's.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/judge.h"
#include "cli/machine.h"
#include "port/service.h"

#define NETSTAT_BYTES 16384
#define LISTENERS_MAX 512 /* in the range: more are not looked at one by one */

int doctor_numbers(const struct host_root *root, const char *file, int64_t v[3])
{
	char path[512], text[128];
	long long n[3] = {-1, -1, -1};
	int got = 0;

	snprintf(path, sizeof(path), "%s/%s", host_root_proc(root), file);
	if (host_slurp(AT_FDCWD, path, text, sizeof(text)) > 0)
		got = sscanf(text, "%lld %lld %lld", &n[0], &n[1], &n[2]);
	for (int i = 0; i < 3; i++)
		v[i] = n[i];
	return got < 0 ? 0 : got;
}

/* /proc/net/netstat: a line of names, then one of numbers, both beginning with the same word. -1: it has no such name. */
static int64_t netstat_number(const char *text, const char *group, const char *name)
{
	size_t n = strlen(group), at = 0;
	const char *names = NULL, *numbers = NULL;

	for (const char *p = text; *p && !numbers; p += strcspn(p, "\n") + (p[strcspn(p, "\n")] == '\n')) {
		if (strncmp(p, group, n) != 0 || p[n] != ':')
			continue;
		if (names)
			numbers = p + n + 1;
		else
			names = p + n + 1;
	}
	if (!numbers)
		return -1;
	for (;;) {
		names += strspn(names, " ");
		numbers += strspn(numbers, " ");
		if (*names == '\n' || !*names || *numbers == '\n' || !*numbers)
			return -1;
		at = strcspn(names, " \n");
		if (at == strlen(name) && strncmp(names, name, at) == 0)
			return strtoll(numbers, NULL, 10);
		names += at;
		numbers += strcspn(numbers, " \n");
	}
}

static void overflows(struct findings *all, const struct host_root *root)
{
	char path[512], *text = malloc(NETSTAT_BYTES);

	snprintf(path, sizeof(path), "%s/%s/netstat", host_root_proc(root), host_root_net(root));
	if (!text || host_slurp(AT_FDCWD, path, text, NETSTAT_BYTES) <= 0)
		judge_overflows(all, -1, -1);
	else
		judge_overflows(all, netstat_number(text, "TcpExt", "ListenOverflows"),
				netstat_number(text, "TcpExt", "ListenDrops"));
	free(text);
}

/* "postgres (postgresql.service)". Returns whether it is a service: of a unit that is started again, or a container's. */
static bool name_holder(struct machine *m, const struct host_socket *s, char *who, size_t size, bool *ret_unseen)
{
	struct host_place place = {0};
	char container[96] = "", name[40];
	int32_t pids[16], pid = machine_pids(m, s->inode, pids, COUNT_OF(pids)) > 0 ? pids[0] : 0;
	struct machine_process *p = pid ? machine_process(m, pid) : NULL;
	bool known = machine_place(m, pid, s, &place), is_unit;
	size_t n = strlen(place.unit);

	*ret_unseen = !p;
	is_unit = known && n > 8 && strcmp(place.unit + n - 8, ".service") == 0;
	if (known && place.container[0])
		machine_container(&place, container);
	/* A user's own manager and what a desktop starts are units, too, but nothing starts those on a port of their own. */
	is_unit = is_unit && place.manager != HOST_MANAGER_USER && strncmp(place.unit, "user@", 5) != 0;
	if (p && p->program[0])
		snprintf(name, sizeof(name), "%.31s", p->program);
	else if (p)
		snprintf(name, sizeof(name), "pid %d", pid); /* it has just ended */
	else
		snprintf(name, sizeof(name), "%s", machine_owners(m)->unseen ? "another user's program" : "the kernel");
	if (container[0] || is_unit)
		snprintf(who, size, "%s (%.50s)", name, container[0] ? container : place.unit);
	else
		snprintf(who, size, "%s", name);
	cli_clean(who);
	return container[0] || is_unit;
}

/* Does anything wait for callers there that did not get the number from the kernel, as far as one can tell? UDP sockets of
 * the range are mostly clients', so only those with a name count. */
static bool waits_on_purpose(const struct host_socket *s)
{
	struct port_service name;

	if (s->proto == HOST_TCP)
		return s->state == HOST_LISTEN;
	return s->proto == HOST_UDP && s->peer_port == 0 && port_service_name(s->port, PORT_UDP, NULL, &name) == 0;
}

/* One more: of the sockets of one port (both families, the workers of one server) a service's is the one to name. */
static size_t add_listener(struct machine *m, const struct host_socket *r, bool is_same, struct judge_listener *l,
			   size_t n)
{
	struct judge_listener one = {.port = r->port, .proto = r->proto == HOST_UDP ? PORT_UDP : PORT_TCP};

	one.is_service = name_holder(m, r, one.who, sizeof(one.who), &one.is_unseen);
	if (!is_same)
		l[n++] = one;
	else if (l[n - 1].port == one.port && one.is_service && !l[n - 1].is_service)
		l[n - 1] = one;
	return n;
}

static void services(struct findings *all, struct machine *m, const struct host_settings *s, const uint64_t also[1024])
{
	struct judge_listener *l = calloc(LISTENERS_MAX, sizeof(*l));
	size_t n = 0, n_all = 0;
	uint32_t last = 0;

	for (size_t i = 0; l && i < m->sockets.n; i++) { /* by port, then protocol */
		const struct host_socket *r = &m->sockets.rows[i];
		uint32_t this = (uint32_t)r->port << 2 | r->proto;
		bool is_same = this == last;

		if (!(r->proto == HOST_TCP ? r->state == HOST_LISTEN : r->peer_port == 0))
			continue;
		last = this;
		n_all += !is_same;
		if (r->port < s->ports.range.first || r->port > s->ports.range.last ||
		    (n == LISTENERS_MAX && !is_same) || host_settings_is_reserved(s, r->port) || !waits_on_purpose(r))
			continue;
		n = add_listener(m, r, is_same, l, n);
	}
	judge_services(all, s, l, n, n_all, geteuid() != 0, also);
	free(l);
}

static void queues(struct findings *all, struct machine *m, const struct host_settings *s)
{
	const struct host_socket *worst = NULL;
	struct judge_queue q = {0};
	uint32_t n_full = 0, n_cut = 0;
	bool unseen;

	if (m->sockets.notes.netlink_err != 0) { /* /proc/net has how many wait, not how many may */
		finding_unseen(finding_new(all, FINDING_PORTS, "backlog"), false,
			       "without netlink the kernel does not tell how long queues may be");
		judge_somaxconn(all, s->somaxconn, 0);
		return;
	}
	for (size_t i = 0; i < m->sockets.n; i++) {
		const struct host_socket *r = &m->sockets.rows[i];

		if (r->proto != HOST_TCP || r->state != HOST_LISTEN || !(r->have & HOST_HAS_QUEUES))
			continue;
		n_full += r->rqueue > r->wqueue;
		n_cut += s->somaxconn >= 0 && r->wqueue == (uint32_t)s->somaxconn;
		/* The fuller one, as parts of the whole; a queue of none at all counts as one of one. */
		if (!worst || (uint64_t)r->rqueue * (worst->wqueue + 1u) > (uint64_t)worst->rqueue * (r->wqueue + 1u))
			worst = r;
	}
	if (worst && worst->rqueue > 0) {
		q = (struct judge_queue){.port = worst->port, .waiting = worst->rqueue, .most = worst->wqueue};
		(void)name_holder(m, worst, q.who, sizeof(q.who), &unseen);
		judge_backlog(all, &q, n_full, s->somaxconn);
	} else {
		judge_backlog(all, NULL, 0, s->somaxconn);
	}
	judge_somaxconn(all, s->somaxconn, n_cut);
}

/* What takes a list of sockets. */
static void from_sockets(struct findings *all, struct machine *m, const struct host_settings *s)
{
	uint64_t *ports = calloc(1024, sizeof(*ports));
	struct range_use use;
	bool widened;

	if (!ports || range_use_measure(s, m->sockets.rows, m->sockets.n, &use) < 0) {
		finding_unseen(finding_new(all, FINDING_PORTS, "range-used"), false, "there is no memory to count");
		free(ports);
		return;
	}
	for (size_t i = 0; i < m->sockets.n; i++) {
		const struct host_socket *r = &m->sockets.rows[i];

		if (waits_on_purpose(r))
			ports[r->port / 64] |= UINT64_C(1) << (r->port % 64);
	}
	judge_range(all, s, use.usable);
	judge_range_use(all, &use);
	widened = judge_destination(all, &use, s, ports);
	judge_time_wait(all, &use, s);
	services(all, m, s, widened ? ports : NULL);
	free(ports);
	queues(all, m, s);
}

void doctor_ports(struct cli *cli, struct findings *all)
{
	static const struct host_filter f = {.protos = 1 << HOST_TCP | 1 << HOST_UDP};
	const struct host_root *root = machine_root();
	struct host_settings *s = malloc(sizeof(*s));
	struct machine m = {0};
	struct host_counts counts;
	int64_t v[3], most[3];

	(void)cli;
	if (!s)
		return;
	host_settings_read(root, s);
	host_counts_read(root, &counts);
	m.root = root;
	m.now_us = network_now_us();
	if (host_sockets_read(root, &f, &m.sockets) < 0)
		finding_unseen(finding_new(all, FINDING_PORTS, "sockets"), false,
			       "the machine's sockets cannot be listed, neither by netlink nor from /proc/net");
	else
		from_sockets(all, &m, s);
	(void)doctor_numbers(root, "sys/net/ipv4/tcp_timestamps", v);
	judge_tw_reuse(all, s, (int32_t)v[0]);
	overflows(all, root);
	judge_orphans(all, counts.tcp_orphans, s->max_orphans);
	(void)doctor_numbers(root, "sys/net/ipv4/tcp_mem", v);
	judge_tcp_memory(all, counts.tcp_memory_pages, v);
	judge_unprivileged(all, s);
	(void)doctor_numbers(root, "sys/net/netfilter/nf_conntrack_count", v);
	(void)doctor_numbers(root, "sys/net/netfilter/nf_conntrack_max", most);
	judge_conntrack(all, v[0], most[0]);
	if (doctor_numbers(root, "sys/fs/file-nr", v) == 3)
		judge_machine_files(all, v[0], v[2]);
	else
		judge_machine_files(all, -1, -1);
	machine_free(&m);
	free(s);
}
