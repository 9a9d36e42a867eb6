/* src/host/clues.c: what may hold a socket that no process has.
 *
 * Tunnels: vxlan and geneve tell their port to everybody (link.c); WireGuard tells it over generic netlink, and to root alone.
 * Services: a port that is a service's by custom, and that service's module or folder is there. That is likely and
 * no more. Messages: unix_diag tells which AF_UNIX sockets have something unread, and fdinfo of such a one how many
 * descriptors are among it (scm_fds, Linux 5.11).
 */
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/clues.h"
#include "host/link.h"
#include "host/netlink.h"

/* linux/wireguard.h, which is younger than some headers */
enum { WG_GET_DEVICE = 0, WG_IFNAME = 2, WG_LISTEN_PORT = 6 };
#define UNIX_LISTENS 10 /* TCP_LISTEN, which AF_UNIX uses too */
#define MESSAGES_MAX 4096

static void add(struct host_clues *c, const struct host_clue *clue)
{
	if (c->n == c->room) {
		size_t more = c->room ? c->room * 2 : 16;
		struct host_clue *rows = realloc(c->rows, more * sizeof(*rows));

		if (!rows)
			return;
		c->rows = rows;
		c->room = more;
	}
	c->rows[c->n++] = *clue;
}

/* --- tunnels --- */

static int take_family(void *ctx, const struct nlmsghdr *nlh)
{
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct genlmsghdr))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID &&
								 mnl_attr_get_payload_len(a) >= 2) *
		(uint16_t *)ctx = mnl_attr_get_u16(a);
	return 0;
}

static int take_wireguard(void *ctx, const struct nlmsghdr *nlh)
{
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct genlmsghdr))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) if (mnl_attr_get_type(a) == WG_LISTEN_PORT &&
								 mnl_attr_get_payload_len(a) >= 2) *
		(uint16_t *)ctx = mnl_attr_get_u16(a);
	return 0;
}

/* Ask generic netlink's family one thing about `name`. */
static int ask_generic(uint16_t family, uint8_t command, uint16_t flags, uint16_t attribute, const char *name,
		       int (*each)(void *, const struct nlmsghdr *), uint16_t *ret)
{
	_Alignas(struct nlmsghdr) char buf[128] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g;

	nlh->nlmsg_type = family;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->cmd = command;
	g->version = 1;
	mnl_attr_put_strz(nlh, attribute, name);
	return host_netlink_ask(NETLINK_GENERIC, nlh, each, NULL, ret);
}

/* 0: not told. */
static uint16_t wireguard_port(const char *name)
{
	uint16_t family = 0, port = 0;

	if (ask_generic(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK, CTRL_ATTR_FAMILY_NAME, "wireguard", take_family,
			&family) < 0 ||
	    !family)
		return 0;
	if (ask_generic(family, WG_GET_DEVICE, NLM_F_DUMP, WG_IFNAME, name, take_wireguard, &port) < 0)
		return 0;
	return port;
}

static void read_tunnels(const struct host_root *root, struct host_clues *c)
{
	struct host_links l;

	if (host_links_read(root, &l) < 0)
		return;
	for (size_t i = 0; i < l.n_links; i++) {
		const struct host_link *link = &l.links[i];
		bool is_wireguard = strcmp(link->kind, "wireguard") == 0;
		struct host_clue clue = {.kind = HOST_CLUE_TUNNEL, .proto = HOST_UDP, .port = link->port};

		if (is_wireguard)
			clue.port = wireguard_port(link->name);
		clue.is_certain = clue.port != 0;
		snprintf(clue.what, sizeof(clue.what), "%s %s", link->kind, link->name);
		if (is_wireguard || clue.port)
			add(c, &clue);
	}
	host_links_free(&l);
}

/* --- services --- */

static const struct service {
	uint8_t proto;
	uint16_t port;
	const char *what,
		*proof; /* a path that is there when the service is; below /proc when it does not begin with '/' */
} services[] = {
	{HOST_TCP, 2049, "the NFS server (nfsd)", "fs/nfsd/threads"},
	{HOST_UDP, 2049, "the NFS server (nfsd)", "fs/nfsd/threads"},
	{HOST_TCP, 445, "the SMB server (ksmbd)", "/sys/module/ksmbd"},
	{HOST_TCP, 3260, "the iSCSI target", "/sys/module/iscsi_target_mod"},
	{HOST_TCP, 4420, "the NVMe over TCP target", "/sys/module/nvmet_tcp"},
	{HOST_TCP, 21064, "the lock manager of a cluster (dlm)", "/sys/module/dlm"},
	{HOST_TCP, 7777, "the cluster file system ocfs2", "/sys/module/ocfs2_nodemanager"},
	{HOST_UDP, 7001, "the AFS client (rxrpc)", "/sys/module/rxrpc"},
	{HOST_UDP, 6118, "TIPC", "/sys/module/tipc"},
	{HOST_UDP, 51820, "WireGuard", "/sys/module/wireguard"},
	{HOST_UDP, 4789, "vxlan", "/sys/module/vxlan"},
	{HOST_UDP, 8472, "vxlan", "/sys/module/vxlan"},
	{HOST_UDP, 6081, "geneve", "/sys/module/geneve"},
	/* last: NFS's lock manager takes any port */
	{HOST_NPROTOS, 0, "the lock manager of NFS (lockd)", "/sys/module/lockd"},
};

static void read_services(const struct host_root *root, struct host_clues *c)
{
	for (size_t i = 0; i < COUNT_OF(services); i++) {
		const struct service *s = &services[i];
		struct host_clue clue = {.kind = HOST_CLUE_KERNEL, .proto = s->proto, .port = s->port};
		char path[512];

		if (s->proof[0] == '/')
			snprintf(path, sizeof(path), "%s", s->proof);
		else
			snprintf(path, sizeof(path), "%s/%s", host_root_proc(root), s->proof);
		snprintf(clue.what, sizeof(clue.what), "%s", s->what);
		if (access(path, F_OK) == 0)
			add(c, &clue);
	}
}

/* --- messages --- */

struct unread {
	uint64_t inodes[MESSAGES_MAX]; /* of AF_UNIX sockets that have something unread */
	size_t n;
};

static int take_unread(void *ctx, const struct nlmsghdr *nlh)
{
	struct unread *u = ctx;
	const struct unix_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) || m->udiag_state == UNIX_LISTENS)
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		const struct unix_diag_rqlen *q = mnl_attr_get_payload(a);

		if (mnl_attr_get_type(a) == UNIX_DIAG_RQLEN && mnl_attr_get_payload_len(a) >= sizeof(*q) &&
		    q->udiag_rqueue > 0 && u->n < MESSAGES_MAX)
			u->inodes[u->n++] = m->udiag_ino;
	}
	return 0;
}

static void nothing_unread(void *ctx)
{
	((struct unread *)ctx)->n = 0;
}

/* Descriptors in the messages that wait for this one. */
static uint32_t count_in_flight(const struct host_root *root, const struct host_owner *o)
{
	char path[512], text[1024];
	const char *at;
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/%d/fdinfo/%d", host_root_proc(root), o->pid, o->fd);
	if (host_slurp(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	at = strstr(text, "scm_fds:");
	return at && sscanf(at + 8, "%u", &n) == 1 ? n : 0;
}

static void read_messages(const struct host_root *root, const struct host_owners *o, struct host_clues *c)
{
	_Alignas(struct nlmsghdr) char buf[128] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct unix_diag_req *req;
	struct unread *u = calloc(1, sizeof(*u));

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = AF_UNIX;
	req->udiag_states = ~0u;
	req->udiag_show = UDIAG_SHOW_RQLEN;
	if (u && host_netlink_ask(NETLINK_SOCK_DIAG, nlh, take_unread, nothing_unread, u) == 0)
		for (size_t i = 0; i < u->n; i++) {
			struct host_clue clue = {.kind = HOST_CLUE_IN_FLIGHT, .proto = HOST_NPROTOS};
			size_t n;
			const struct host_owner *who = host_owners_find(o, u->inodes[i], &n);

			clue.n_in_flight = n ? count_in_flight(root, who) : 0;
			if (!clue.n_in_flight)
				continue;
			clue.pid = who->pid;
			clue.fd = who->fd;
			add(c, &clue);
		}
	free(u);
}

void host_clues_read(const struct host_root *root, const struct host_owners *o, struct host_clues *ret)
{
	*ret = (struct host_clues){0};
	read_tunnels(root, ret);
	if (!(root && root->no_netlink))
		read_messages(root, o, ret);
	read_services(root, ret);
}

/* Certain before likely, its own port before any port, and then as they were read. */
static int worth(const struct host_clue *c, const struct host_socket *s)
{
	if ((c->proto != HOST_NPROTOS && c->proto != s->proto) || (c->port && c->port != s->port))
		return 0;
	return 1 + (c->is_certain ? 4 : 0) + (c->port ? 2 : 0);
}

const struct host_clue *host_clues_find(const struct host_clues *c, const struct host_socket *s)
{
	const struct host_clue *best = NULL;

	for (size_t i = 0; i < c->n; i++)
		if (worth(&c->rows[i], s) > (best ? worth(best, s) : 0))
			best = &c->rows[i];
	return best;
}

void host_clues_free(struct host_clues *c)
{
	free(c->rows);
	*c = (struct host_clues){0};
}
