/* tests/host/live.c: what host/ reads of a namespace whose every socket is known, and what ss says of it.
 *
 *     host_live [--user-ns] [CHECK]     77: no network namespace can be made here
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checks.h"
#include "host/host.h"
#include "world.h"

_Atomic int failures;
static struct world world;

/* --- rows and what was made --- */

static char *show(const struct host_socket *s, char t[256])
{
	char a[PORT_ENDPOINT_STR_MAX], b[PORT_ENDPOINT_STR_MAX];

	snprintf(t, 256, "%s %s %s -> %s family %u inode %lu uid %u is %x", host_proto_name[s->proto],
		 host_state_name[s->state], port_endpoint_print(&s->addr, s->port, a),
		 port_endpoint_print(&s->peer, s->peer_port, b), s->family, (unsigned long)s->inode, s->uid, s->is);
	return t;
}

static bool is_row(const struct made *m, const struct host_socket *s)
{
	return m->proto == s->proto && m->state == s->state && m->port == s->port && m->family == s->family &&
	       m->peer_port == s->peer_port && port_addr_equal(&m->addr, &s->addr) &&
	       port_addr_equal(&m->peer, &s->peer) && m->inode == s->inode &&
	       (!m->cookie || !(s->have & HOST_HAS_COOKIE) || m->cookie == s->cookie);
}

/* TIME_WAIT of family 6 shows no wildcard and so on: which flags of a row are told. */
static uint16_t told(const struct host_socket *s)
{
	uint16_t flags = HOST_IS_ACCEPTED;

	flags |= s->have & HOST_HAS_V6ONLY ? HOST_IS_V6ONLY : 0;
	flags |= s->have & HOST_HAS_OPTIONS ? HOST_IS_FREEBIND | HOST_IS_SHUT_WR | HOST_IS_SHUT_RD : 0;
	return flags;
}

/* Every made socket is one row, every row a made socket. text: rows of /proc/net, without what those lack. */
static void compare(const struct host_sockets *s, bool text)
{
	bool used[1024] = {false};
	int n_wrong = 0;
	char t[256];

	WANT(s->n < COUNT_OF(used));
	for (int i = 0; i < world.n; i++) {
		const struct made *m = &world.made[i];
		int found = 0;

		if (text && m->proto == HOST_TCP && m->state == HOST_BOUND)
			continue;
		for (size_t k = 0; k < s->n; k++) {
			if (!is_row(m, &s->rows[k]) || used[k])
				continue;
			used[k] = true;
			found++;
			if ((s->rows[k].is & told(&s->rows[k])) != (m->is & told(&s->rows[k])) ||
			    (s->rows[k].have & HOST_HAS_UID && s->rows[k].uid != m->uid)) {
				printf("    %s (port %u): flags %x uid %u: %s\n", m->what, m->port, m->is, m->uid,
				       show(&s->rows[k], t));
				n_wrong++;
			}
			break;
		}
		if (!found) {
			printf("    not listed: %s, port %u, state %s\n", m->what, m->port, host_state_name[m->state]);
			n_wrong++;
		}
	}
	for (size_t k = 0; k < s->n; k++)
		if (!used[k]) {
			printf("    nobody made: %s\n", show(&s->rows[k], t));
			n_wrong++;
		}
	WANT(n_wrong == 0);
}

static void all_rows_and_no_others(void)
{
	static const struct host_filter all = {0};
	struct host_sockets s;

	WANT(world.n > 50);
	WANT(host_sockets_read(NULL, &all, &s) == 0);
	WANT(s.notes.netlink_err == 0);
	WANT(!s.notes.torn && s.notes.n_bad == 0);
	compare(&s, s.notes.no_bound);
	host_sockets_free(&s);
}

static void time_wait_ends_within_a_minute(void)
{
	static const struct host_filter only = {.states = 1u << HOST_TIME_WAIT};
	struct host_sockets s;

	WANT(host_sockets_read(NULL, &only, &s) == 0);
	WANT(s.n == 2);
	for (size_t i = 0; i < s.n; i++) {
		WANT(s.rows[i].timer == HOST_TIMER_TIME_WAIT);
		WANT(s.rows[i].timer_ms > 0 && s.rows[i].timer_ms <= 60000);
	}
	host_sockets_free(&s);
}

static void details_on_wish(void)
{
	static const struct host_filter f = {.info = true, .protos = 1u << HOST_TCP};
	struct host_sockets s;
	int n_connections = 0, n_mptcp = 0;

	WANT(host_sockets_read(NULL, &f, &s) == 0);
	for (size_t i = 0; i < s.n; i++) {
		if (s.rows[i].state != HOST_ESTABLISHED || !s.rows[i].inode)
			continue;
		n_connections++;
		WANT(s.rows[i].have & HOST_HAS_INFO);
		WANT(s.rows[i].have & HOST_HAS_MEMORY);
		WANT(s.rows[i].rcvbuf > 0 && s.rows[i].sndbuf > 0);
		WANT(s.infos[i].congestion[0] && s.infos[i].mss > 0 && s.infos[i].cwnd > 0);
	}
	WANT(n_connections > 5);
	for (int i = 0; i < world.n; i++)
		n_mptcp += world.made[i].port == 4064;
	for (size_t i = 0; i < s.n; i++)
		n_mptcp -= (s.rows[i].is & HOST_IS_MPTCP) != 0;
	WANT(n_mptcp == 0);
	host_sockets_free(&s);
}

/* --- filters: the same rows as the whole list has --- */

static size_t count(const struct host_sockets *all, const struct host_filter *f)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct host_socket *s = &all->rows[i];

		n += (!f->protos || f->protos & 1u << s->proto) && (!f->states || f->states & 1u << s->state) &&
		     (!f->family || f->family == s->family) &&
		     (!f->ports.last || (s->port >= f->ports.first && s->port <= f->ports.last));
	}
	return n;
}

static void try_filter(const struct host_sockets *all, struct host_filter f)
{
	struct host_sockets s;
	size_t n = count(all, &f);

	WANT(host_sockets_read(NULL, &f, &s) == 0);
	if (s.n != n || count(&s, &f) != n)
		printf("    ports %u-%u protos %x states %x family %d: %zu rows, wanted %zu\n", f.ports.first,
		       f.ports.last, f.protos, f.states, f.family, s.n, n);
	WANT(s.n == n && count(&s, &f) == n);
	host_sockets_free(&s);
}

static void filters_pick_in_the_kernel(void)
{
	static const struct host_filter none = {0};
	struct host_sockets all;

	WANT(host_sockets_read(NULL, &none, &all) == 0);
	for (uint16_t port = 4000; port < 4070; port++)
		try_filter(&all, (struct host_filter){.ports = {port, port}});
	try_filter(&all, (struct host_filter){.ports = {4010, 4040}});
	try_filter(&all, (struct host_filter){.ports = {1, 65535}});
	try_filter(&all, (struct host_filter){.ports = {5000, 6000}});
	for (uint32_t state = 1; state < HOST_NSTATES; state++)
		try_filter(&all, (struct host_filter){.states = 1u << state});
	try_filter(&all, (struct host_filter){.states = 1u << HOST_LISTEN | 1u << HOST_BOUND});
	for (uint32_t proto = 0; proto < HOST_NPROTOS; proto++)
		try_filter(&all, (struct host_filter){.protos = 1u << proto});
	try_filter(&all, (struct host_filter){.family = PORT_FAMILY_4});
	try_filter(&all, (struct host_filter){.family = PORT_FAMILY_6});
	try_filter(&all,
		   (struct host_filter){.family = PORT_FAMILY_6, .protos = 1u << HOST_UDP, .ports = {4021, 4021}});
	host_sockets_free(&all);
}

static int stop_at_once(void *ctx, const struct host_socket *s, const struct host_tcp_info *info)
{
	(void)s;
	(void)info;
	++*(int *)ctx;
	return 17;
}

static void never_again(void *ctx)
{
	(void)ctx;
}

static void a_reader_may_stop(void)
{
	static const struct host_filter all = {0};
	struct host_notes notes;
	int n = 0;
	const struct host_sink sink = {.each = stop_at_once, .again = never_again, .ctx = &n};

	WANT(host_sockets_each(NULL, &all, &sink, &notes) == 17);
	WANT(n == 1);
}

/* --- holders --- */

static void everybody_is_found(void)
{
	static const struct host_filter all = {0};
	struct host_sockets s;
	struct host_owners o;
	int n_wrong = 0;

	WANT(host_sockets_read(NULL, &all, &s) == 0);
	host_owners_read(NULL, &o);
	WANT(o.n_processes > 0);
	for (int i = 0; i < world.n; i++) {
		const struct made *m = &world.made[i];
		size_t n, n_pids = 0;
		const struct host_owner *w = host_owners_find(&o, m->inode, &n);
		const struct host_socket row = {.state = m->state, .inode = m->inode};
		enum host_holder holder = host_socket_holder(&row, n, o.unseen == 0);
		bool right;

		while (n_pids < COUNT_OF(m->pids) && m->pids[n_pids])
			n_pids++;
		right = n == n_pids && (n == 0 || w[0].fd == m->fd);
		for (size_t k = 0; k < n && right; k++)
			right = w[k].pid == m->pids[k];
		/* on a machine where not everybody can be seen, "nobody" is "not seen" */
		right &= holder == m->holder ||
			 (o.unseen && m->holder == HOST_HELD_NOBODY && holder == HOST_HELD_UNSEEN);
		if (!right)
			printf("    %s: %zu holders (%d...), kind %d; wanted %zu (%d...), kind %d\n", m->what, n,
			       n ? w[0].pid : 0, holder, n_pids, m->pids[0], m->holder);
		n_wrong += !right;
	}
	WANT(n_wrong == 0);
	host_owners_free(&o);
	host_sockets_free(&s);
}

static void options_are_told_by_the_sockets(void)
{
	int n_reuseaddr = 0, n_reuseport = 0;
	struct host_flags f;

	for (int i = 0; i < world.n; i++) {
		const struct made *m = &world.made[i];
		int r;

		if (!m->pids[0])
			continue;
		r = host_flags_read(m->pids[0], m->fd, m->inode, &f);
		if (r == -ENOSYS || (r == -EPERM && i == 0)) {
			printf("    (pidfd_getfd is missing or forbidden here)\n");
			return;
		}
		WANT(r == 0);
		WANT(f.reuseaddr == m->reuseaddr && f.reuseport == m->reuseport);
		WANT(f.listens == (m->state == HOST_LISTEN));
		n_reuseaddr += f.reuseaddr;
		n_reuseport += f.reuseport;
	}
	WANT(n_reuseaddr >= 4 && n_reuseport >= 2);
}

/* In a child that is another user: sees all sockets, and none of our processes. */
static void a_user_sees_less_and_is_told(void)
{
	int st = 0;
	pid_t pid;

	if (!world.is_root)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		static const struct host_filter all = {0};
		struct host_sockets s;
		struct host_owners o;
		size_t n = 0;

		for (int fd = 3; fd < 1024; fd++) /* what it inherited it would see */
			close(fd);
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		if (host_sockets_read(NULL, &all, &s) != 0 || s.notes.netlink_err)
			_exit(2);
		host_owners_read(NULL, &o);
		if (!(o.unseen & HOST_UNSEEN_USERS) || o.n_denied == 0)
			_exit(3);
		for (int i = 0; i < world.n; i++) {
			const struct made *m = &world.made[i];
			const struct host_socket row = {.state = m->state, .inode = m->inode};

			(void)host_owners_find(&o, m->inode, &n);
			if (m->uid == 65534 && n != 1) /* its own */
				_exit(4);
			if (m->inode && m->uid == 0 && host_socket_holder(&row, n, o.unseen == 0) != HOST_HELD_UNSEEN)
				_exit(5);
		}
		_exit(s.n == (size_t)world.n ? 0 : 6);
	}
	WANT(waitpid(pid, &st, 0) == pid);
	if (st)
		printf("    status %x\n", st);
	WANT(st == 0);
}

/* A child in namespaces of its own, with a /proc that is mounted with these options, as a user. Ends with what
 * host_owners_read() says is unseen, or 77. */
static void look_from(int namespaces, const char *options, uid_t uid)
{
	struct host_owners o;

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	if (unshare(CLONE_NEWNS | namespaces) < 0)
		_exit(77);
	if (namespaces & CLONE_NEWPID) { /* the next child is the first inside */
		int st;
		pid_t pid = fork();

		if (pid > 0) {
			waitpid(pid, &st, 0);
			_exit(WEXITSTATUS(st));
		}
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, options) < 0)
		_exit(77);
	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		_exit(77);
	prctl(PR_SET_DUMPABLE, 1);
	host_owners_read(NULL, &o);
	_exit((int)o.unseen);
}

static int unseen_from(int namespaces, const char *options, uid_t uid)
{
	int st = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		look_from(namespaces, options, uid);
	return waitpid(pid, &st, 0) == pid && WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static void what_hides_processes_is_named(void)
{
	int r;

	if (!world.is_root)
		return;
	/* In a pid namespace: before Linux 5.8 the option was one for all mounts of the namespace. */
	r = unseen_from(CLONE_NEWPID, "hidepid=2", 65534);
	if (r == 77) {
		printf("    (no mounts here)\n");
		return;
	}
	WANT(r & HOST_UNSEEN_HIDEPID);
	r = unseen_from(CLONE_NEWPID, "hidepid=2", 0); /* nothing is hidden from root */
	WANT(!(r & HOST_UNSEEN_HIDEPID));
	r = unseen_from(0, NULL, 65534);
	WANT(!(r & HOST_UNSEEN_HIDEPID) && r & HOST_UNSEEN_USERS);
	WANT(!(r & HOST_UNSEEN_OUTSIDE) || unseen_from(0, NULL, 0) & HOST_UNSEEN_OUTSIDE);
	r = unseen_from(CLONE_NEWPID, NULL, 0);
	WANT(r & HOST_UNSEEN_OUTSIDE && !(r & HOST_UNSEEN_USERS));
}

/* --- cgroups --- */

#define CGROUP_UNIT "berth-live.service"

/* Where a cgroup of our own can be made; "": nowhere. */
static void make_cgroup(char path[256])
{
	static const char *const mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};

	for (size_t i = 0; i < COUNT_OF(mounts); i++) {
		char procs[128];

		snprintf(procs, sizeof(procs), "%s/cgroup.procs", mounts[i]); /* version 2 has it at its root */
		snprintf(path, 256, "%s/berth-%d.slice", mounts[i], getpid());
		if (access(procs, W_OK) == 0 && mkdir(path, 0755) == 0) {
			strcat(path, "/" CGROUP_UNIT);
			if (mkdir(path, 0755) == 0)
				return;
			*strrchr(path, '/') = '\0';
			rmdir(path);
		}
	}
	path[0] = '\0';
}

static void remove_cgroup(char path[256])
{
	/* A process that has just ended may still be counted. */
	for (int i = 0; rmdir(path) < 0 && i < 400; i++)
		usleep(5000);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

/* A child that goes into the cgroup, makes a socket there and waits. */
static pid_t start_in_cgroup(const char *path, int *ret_up)
{
	char procs[300];
	int up[2], fd;
	pid_t pid;

	if (pipe(up) < 0)
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		union addr a;
		socklen_t len = addr(&a, "127.0.0.1", 4900);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
		fd = open(procs, O_WRONLY);
		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(1);
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (bind(fd, &a.sa, len) < 0 || write(up[1], "r", 1) != 1)
			_exit(2);
		for (;;)
			pause();
	}
	close(up[1]);
	*ret_up = up[0];
	return pid;
}

static void look_at_cgroup(pid_t pid, bool by_handle)
{
	static const struct host_filter f = {.ports = {4900, 4900}};
	char path[HOST_CGROUP_PATH_MAX];
	struct host_cgroups c;
	struct host_sockets s;
	struct host_place p;
	const char *found;

	WANT(host_sockets_read(NULL, &f, &s) == 0);
	WANT(s.n == 1);
	WANT(s.rows[0].have & HOST_HAS_CGROUP);
	host_cgroups_init(&c, NULL);
	c.by_handle &= by_handle;
	found = host_cgroups_path(&c, s.rows[0].cgroup_id);
	WANT(found);
	WANT(c.is_listed == !c.by_handle);
	host_place_parse(found, &p);
	WANT(strcmp(p.unit, CGROUP_UNIT) == 0);
	host_cgroups_fini(&c);
	host_sockets_free(&s);
	WANT(host_cgroup_of(NULL, pid, path, &p) == 0);
	WANT(strcmp(p.unit, CGROUP_UNIT) == 0);
}

static void a_socket_knows_its_unit(void)
{
	char path[256], c;
	pid_t pid;
	int up = -1;

	if (!world.is_root)
		return;
	make_cgroup(path);
	if (!path[0]) {
		printf("    (no cgroup can be made here)\n");
		return;
	}
	pid = start_in_cgroup(path, &up);
	if (pid > 0 && read(up, &c, 1) == 1) {
		look_at_cgroup(pid, true);
		look_at_cgroup(pid, false);
	} else {
		failures++;
	}
	close(up);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	remove_cgroup(path);
}

/* --- other namespaces --- */

struct elsewhere {
	struct host_sockets s;
	struct host_counts counts;
	struct host_settings settings;
	struct host_links links;
};

static int read_elsewhere(void *ctx)
{
	static const struct host_filter all = {.protos = 1u << HOST_TCP};
	struct elsewhere *e = ctx;
	int r;

	host_counts_read(NULL, &e->counts);
	host_settings_read(NULL, &e->settings);
	r = host_links_read(NULL, &e->links);
	return r < 0 ? r : host_sockets_read(NULL, &all, &e->s);
}

static bool is_elsewhere(const struct host_sockets *s)
{
	return s->n == 2 && s->rows[0].port == 4001 && s->rows[1].port == 4099 && s->rows[0].state == HOST_LISTEN &&
	       s->rows[1].state == HOST_LISTEN;
}

/* The namespace of the child that make_elsewhere() made: the last of the world's. */
static const struct host_netns *find_elsewhere(const struct host_netns_list *l, pid_t pid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->ns[i].pid == pid && !l->ns[i].is_ours)
			return &l->ns[i];
	return NULL;
}

static void another_namespace_is_read(void)
{
	static const struct host_filter tcp = {.protos = 1u << HOST_TCP};
	pid_t pid = world.children[world.n_children - 1];
	char net[32];
	struct host_root root = {.net = net, .no_netlink = true};
	struct host_netns_list l;
	const struct host_netns *ns;
	struct elsewhere e = {0};
	struct host_sockets s;

	WANT(host_netns_read(NULL, &l) == 0);
	WANT(l.n >= 2 && l.ns[0].is_ours);
	ns = find_elsewhere(&l, pid);
	WANT(ns && ns->n_processes == 1);

	/* in a thread that goes there, and we are where we were */
	WANT(host_netns_do(NULL, ns, read_elsewhere, &e) == 0);
	WANT(is_elsewhere(&e.s));
	WANT(e.counts.tcp_in_use == 2 && e.counts.udp_in_use == 0);
	WANT(e.settings.has_range);
	WANT(e.links.n_links == 1 && e.links.links[0].is_up);
	host_sockets_free(&e.s);
	host_links_free(&e.links);
	WANT(host_sockets_read(NULL, &tcp, &s) == 0);
	WANT(!is_elsewhere(&s));
	host_sockets_free(&s);

	/* by a socket of there, twice */
	root = (struct host_root){.diag_fd = host_netns_open_diag(NULL, ns)};
	WANT(root.diag_fd >= 0);
	for (int i = 0; i < 2; i++) {
		WANT(host_sockets_read(&root, &tcp, &s) == 0);
		WANT(s.notes.netlink_err == 0);
		WANT(is_elsewhere(&s));
		host_sockets_free(&s);
	}
	close(root.diag_fd);

	/* as text */
	snprintf(net, sizeof(net), "%d/net", pid);
	root = (struct host_root){.net = net, .no_netlink = true};
	WANT(host_sockets_read(&root, &tcp, &s) == 0);
	WANT(is_elsewhere(&s));
	host_sockets_free(&s);
	host_netns_free(&l);
}

/* A shared socket whose reader stopped in the middle is good for the next question. */
static void a_shared_socket_is_read_to_its_end(void)
{
	static const struct host_filter all = {0};
	struct host_notes notes;
	struct host_sockets s;
	struct host_root root;
	struct host_netns_list l;
	int n = 0;
	const struct host_sink sink = {.each = stop_at_once, .again = never_again, .ctx = &n};

	WANT(host_netns_read(NULL, &l) == 0);
	root = (struct host_root){.diag_fd = host_netns_open_diag(NULL, &l.ns[0])};
	WANT(root.diag_fd >= 0);
	WANT(host_sockets_each(&root, &all, &sink, &notes) == 17);
	WANT(host_sockets_read(&root, &all, &s) == 0);
	compare(&s, s.notes.no_bound);
	host_sockets_free(&s);
	close(root.diag_fd);
	host_netns_free(&l);
}

/* A user looks into a namespace that belongs to a user namespace of its own, as of a container without root. */
static void a_users_own_container_is_read(void)
{
	int st = 0;
	pid_t pid;

	if (!world.is_root)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		static const struct host_filter tcp = {.protos = 1u << HOST_TCP};
		struct world inner;
		struct host_netns_list l;
		const struct host_netns *ns;
		struct host_sockets s;
		struct host_root root;
		int up[2];
		pid_t child;
		char c;

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0 || pipe(up) < 0)
			_exit(1);
		prctl(PR_SET_DUMPABLE, 1);
		child = fork();
		if (child == 0) {
			union addr a;
			socklen_t len = addr(&a, "127.0.0.1", 4901);
			int fd;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (world_enter(&inner, true))
				_exit(77);
			prctl(PR_SET_DUMPABLE, 1);
			fd = socket(AF_INET, SOCK_STREAM, 0);
			if (bind(fd, &a.sa, len) < 0 || listen(fd, 1) < 0 || write(up[1], "r", 1) != 1)
				_exit(2);
			for (;;)
				pause();
		}
		close(up[1]);
		if (read(up[0], &c, 1) != 1)
			_exit(77); /* no user namespaces for users here */
		if (host_netns_read(NULL, &l) < 0)
			_exit(3);
		ns = find_elsewhere(&l, child);
		if (!ns)
			_exit(4);
		root = (struct host_root){.diag_fd = host_netns_open_diag(NULL, ns)};
		if (root.diag_fd < 0)
			_exit(5);
		if (host_sockets_read(&root, &tcp, &s) < 0 || s.n != 1 || s.rows[0].port != 4901)
			_exit(6);
		kill(child, SIGKILL);
		_exit(0);
	}
	WANT(waitpid(pid, &st, 0) == pid);
	if (WIFEXITED(st) && WEXITSTATUS(st) == 77) {
		printf("    (no user namespaces for users here)\n");
		return;
	}
	if (st)
		printf("    status %x\n", st);
	WANT(st == 0);
}

static void links_and_addresses(void)
{
	const struct port_addr lo4 = PORT_ADDR_LOOP4, lo6 = PORT_ADDR_LOOP6, other = port_addr_v4(192, 0, 2, 1);
	const struct host_link *lo;
	struct host_links l;

	WANT(host_links_read(NULL, &l) == 0);
	lo = host_link_by_index(&l, 1);
	WANT(lo && strcmp(lo->name, "lo") == 0 && lo->is_up && lo->is_loopback && lo->mtu > 0);
	WANT(!host_link_by_index(&l, 99));
	WANT(l.n_addrs == 2);
	WANT(port_addr_equal(&l.addrs[0].addr, &lo4) && l.addrs[0].prefix_bits == 8 && l.addrs[0].link == 1);
	WANT(port_addr_equal(&l.addrs[1].addr, &lo6) && l.addrs[1].prefix_bits == 128);
	WANT(host_addr_is_local(&l, &lo4) && host_addr_is_local(&l, &lo6) && !host_addr_is_local(&l, &other));
	host_links_free(&l);
}

/* --- sockets that no process has --- */

static void a_message_is_a_clue(void)
{
	struct host_owners o;
	struct host_clues c;
	const struct host_clue *clue;
	const struct host_socket tcp = {.proto = HOST_TCP, .port = 4060}, udp = {.proto = HOST_UDP, .port = 4060};

	host_owners_read(NULL, &o);
	host_clues_read(NULL, &o, &c);
	clue = host_clues_find(&c, &tcp);
	WANT(clue && clue->kind == HOST_CLUE_IN_FLIGHT && !clue->is_certain);
	WANT(clue->pid == getpid() && clue->n_in_flight == 1 && clue->fd > 2);
	WANT(host_clues_find(&c, &udp) == clue);
	host_clues_free(&c);
	host_owners_free(&o);
}

/* A tunnel of the kernel's takes a UDP port; in a namespace of its own, made by ip(8). */
static void a_tunnel_is_found(void)
{
	int st = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		static const struct host_filter f = {.ports = {4790, 4790}};
		struct host_sockets s;
		struct host_owners o;
		struct host_clues c;
		const struct host_clue *clue;
		size_t n;

		if (unshare(CLONE_NEWNET) < 0 ||
		    system("ip link set lo up && ip link add vx9 type vxlan id 5 dstport 4790 dev lo 2>/dev/null && ip link "
			   "set vx9 up 2>/dev/null") != 0)
			_exit(77);
		if (host_sockets_read(NULL, &f, &s) < 0 || s.n == 0)
			_exit(1);
		host_owners_read(NULL, &o);
		host_clues_read(NULL, &o, &c);
		for (size_t i = 0; i < s.n; i++) {
			(void)host_owners_find(&o, s.rows[i].inode, &n);
			if (n || host_socket_holder(&s.rows[i], n, true) != HOST_HELD_NOBODY)
				_exit(2);
			clue = host_clues_find(&c, &s.rows[i]);
			if (!clue || clue->kind != HOST_CLUE_TUNNEL || !clue->is_certain ||
			    strcmp(clue->what, "vxlan vx9") != 0)
				_exit(3);
		}
		_exit(0);
	}
	WANT(waitpid(pid, &st, 0) == pid);
	if (WIFEXITED(st) && WEXITSTATUS(st) == 77) {
		printf("    (no vxlan, or no ip(8), here)\n");
		return;
	}
	if (st)
		printf("    status %x\n", st);
	WANT(st == 0);
}

/* --- without netlink --- */

static void forbid_netlink(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {.len = COUNT_OF(f), .filter = f};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) < 0)
		_exit(77);
}

static void compare_without_netlink(void)
{
	static const struct host_filter all = {0};
	struct host_sockets s;

	WANT(host_sockets_read(NULL, &all, &s) == 0);
	WANT(s.notes.netlink_err == -EPERM);
	WANT(s.notes.no_bound);
	compare(&s, true);
	host_sockets_free(&s);
}

static void where_netlink_is_forbidden_text_does(void)
{
	int st = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		forbid_netlink();
		failures = 0;
		compare_without_netlink();
		fflush(stdout);
		_exit(failures != 0);
	}
	WANT(waitpid(pid, &st, 0) == pid);
	WANT(st == 0 || WEXITSTATUS(st) == 77);
}

/* --- ss --- */

/* "127.0.0.1:80", "[::1]:80", "*:80" (both families), "0.0.0.0%lo:80", "[::]:*" */
static bool parse_ss(char *text, struct port_addr *ret, uint16_t *ret_port)
{
	char *colon = strrchr(text, ':'), *percent;
	int r;

	if (!colon)
		return false;
	*colon = '\0';
	*ret_port = (uint16_t)atoi(colon + 1); /* "*" is 0 */
	percent = strchr(text, '%');
	if (percent)
		memmove(percent, percent + strcspn(percent, "]"), strlen(percent + strcspn(percent, "]")) + 1);
	r = strcmp(text, "*") == 0 ? 0 : port_addr_parse(text, ret, NULL);
	if (strcmp(text, "*") == 0)
		*ret = PORT_ADDR_ANY6;
	return r == 0;
}

static void ss_agrees(void)
{
	static const struct host_filter all = {0};
	FILE *ss = popen("ss -H -tuan 2>/dev/null", "re");
	bool used[1024] = {false};
	struct host_sockets s;
	char line[1024], proto[16], state[32], local[128], peer[128];
	int n_lines = 0, n_wrong = 0;

	WANT(ss);
	WANT(host_sockets_read(NULL, &all, &s) == 0);
	WANT(s.n < COUNT_OF(used));
	while (fgets(line, sizeof(line), ss)) {
		struct port_addr a, b;
		uint16_t port, peer_port;
		bool found = false;

		WANT(sscanf(line, "%15s %31s %*u %*u %127s %127s", proto, state, local, peer) == 4);
		n_lines++;
		WANT(parse_ss(local, &a, &port) && parse_ss(peer, &b, &peer_port));
		for (size_t k = 0; k < s.n && !found; k++) {
			const struct host_socket *r = &s.rows[k];

			found = !used[k] && strcmp(host_proto_name[r->proto], proto) == 0 && r->port == port &&
				r->peer_port == peer_port && port_addr_equal(&r->addr, &a);
			used[k] |= found;
		}
		if (!found)
			printf("    only ss has: %s", line);
		n_wrong += !found;
	}
	if (pclose(ss) != 0 || n_lines == 0) { /* not installed */
		host_sockets_free(&s);
		printf("    (no ss here)\n");
		return;
	}
	for (size_t k = 0; k < s.n; k++) {
		bool only_ours =
			s.rows[k].proto == HOST_RAW || (s.rows[k].proto == HOST_TCP && s.rows[k].state == HOST_BOUND);
		char t[256];

		if (used[k] || only_ours)
			continue;
		printf("    ss does not have: %s\n", show(&s.rows[k], t));
		n_wrong++;
	}
	WANT(n_wrong == 0);
	host_sockets_free(&s);
}

static const struct check checks[] = {
	{"all rows, and no others", all_rows_and_no_others},
	{"TIME_WAIT ends within a minute", time_wait_ends_within_a_minute},
	{"details on wish", details_on_wish},
	{"filters pick in the kernel", filters_pick_in_the_kernel},
	{"a reader may stop", a_reader_may_stop},
	{"everybody is found", everybody_is_found},
	{"options are told by the sockets", options_are_told_by_the_sockets},
	{"a user sees less, and is told", a_user_sees_less_and_is_told},
	{"what hides processes is named", what_hides_processes_is_named},
	{"a socket knows its unit", a_socket_knows_its_unit},
	{"another namespace is read", another_namespace_is_read},
	{"a shared socket is read to its end", a_shared_socket_is_read_to_its_end},
	{"a user's own container is read", a_users_own_container_is_read},
	{"links and addresses", links_and_addresses},
	{"a message is a clue", a_message_is_a_clue},
	{"a tunnel is found", a_tunnel_is_found},
	{"where netlink is forbidden, text does", where_netlink_is_forbidden_text_does},
	{"ss agrees", ss_agrees},
};

int main(int argc, char **argv)
{
	bool user_ns = argc > 1 && strcmp(argv[1], "--user-ns") == 0;
	int ran, r;

	signal(SIGPIPE, SIG_IGN);
	r = world_enter(&world, user_ns);
	if (r)
		return r;
	world_make(&world);
	ran = run_checks(checks, COUNT_OF(checks), argc > 1 + user_ns ? argv[1 + user_ns] : NULL);
	world_end(&world);
	return failures || !ran ? 1 : 0;
}
