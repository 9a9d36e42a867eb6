/* src/host/diag.c: NETLINK_SOCK_DIAG: the kernel's own list of sockets.
 *
 * A question names a protocol, a family, states as a bitmap, and a small program of comparisons that the kernel runs for each
 * socket: here, whether its port lies in a range. So what is not wanted is never copied out. The answer is a
 * row of datagrams of many messages each, one message a socket: a fixed head and attributes.
 *
 * What the kernel says about it is data: every length is checked before it is believed, an attribute
 * that is too short is left out, a message that makes no sense is counted and skipped. An answer may be torn: the
 * kernel marks it (NLM_F_DUMP_INTR) or drops what we were too slow for (ENOBUFS). Then the question is put again,
 * HOST_DIAG_REPEATS times at most, after sink->again() has taken back what came.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "host/diag.h"

/* Younger than the headers we are built with. */
#define ATTR_SOCKOPT 22
#define ATTR_CGROUP_ID 21
#define KERNEL_BOUND_INACTIVE 13
#define ULP_NAME 1
/* struct inet_diag_sockopt, first and second octet */
enum { OPT_FREEBIND = 1 << 2, OPT_HDRINCL = 1 << 3, OPT_TRANSPARENT = 1 << 5, OPT2_LATE_PORT = 1 << 0 };

/* --- the question --- */

static const uint8_t kernel_proto[HOST_NPROTOS] = {
	[HOST_TCP] = IPPROTO_TCP,
	[HOST_UDP] = IPPROTO_UDP,
	[HOST_RAW] = IPPROTO_RAW,
};

/* The comparison "first <= port <= last": each takes two ops, the second of which holds the number. */
static void put_ports(struct nlmsghdr *nlh, struct port_range r)
{
	const struct inet_diag_bc_op ops[4] = {
		{.code = INET_DIAG_BC_S_GE, .yes = 8, .no = sizeof(ops) + 4},
		{.no = r.first},
		{.code = INET_DIAG_BC_S_LE, .yes = 8, .no = 8 + 4},
		{.no = r.last},
	};

	mnl_attr_put(nlh, INET_DIAG_REQ_BYTECODE, sizeof(ops), ops);
}

/* Our states in the kernel's. TCP's BOUND is a bit of its own: asked for CLOSE it would walk all connections for nothing. */
static uint32_t kernel_states(const struct host_diag_ask *ask)
{
	uint32_t s = ask->states;

	if (s & (1u << HOST_BOUND))
		s = (s & ~(1u << HOST_BOUND)) | 1u << (ask->proto == HOST_TCP ? KERNEL_BOUND_INACTIVE : HOST_CLOSE);
	if (s & (1u << HOST_SYN_RECV))
		s |= 1u << HOST_NEW_SYN_RECV;
	return s;
}

static uint8_t extensions(const struct host_diag_ask *ask)
{
	if (!ask->info)
		return 0;
	return 1 << (INET_DIAG_SKMEMINFO - 1) | 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1);
}

/* The older form of the question, TCP's alone, asks for both families: one walk of the kernel's instead of two. */
static size_t both_families(const struct host_diag_ask *ask, struct nlmsghdr *nlh)
{
	struct inet_diag_req *req;

	nlh->nlmsg_type = TCPDIAG_GETSOCK;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->idiag_states = kernel_states(ask);
	req->idiag_ext = extensions(ask);
	if (ask->ports.last != 0)
		put_ports(nlh, ask->ports);
	return nlh->nlmsg_len;
}

size_t host_diag_question(const struct host_diag_ask *ask, uint32_t seq, void *buf)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *req;

	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	if (ask->family == 0)
		return both_families(ask, nlh);
	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = ask->family == PORT_FAMILY_4 ? AF_INET : AF_INET6;
	req->sdiag_protocol = kernel_proto[ask->proto];
	req->idiag_states = kernel_states(ask);
	req->idiag_ext = extensions(ask);
	if (ask->ports.last != 0)
		put_ports(nlh, ask->ports);
	return nlh->nlmsg_len;
}

/* --- one answer --- */

static struct port_addr to_addr(int family, const __be32 *a, uint32_t dev)
{
	struct port_addr r;

	if (family == AF_INET)
		return port_addr_from4((const uint8_t *)a);
	r = port_addr_from6((const uint8_t *)a, 0);
	if (port_addr_is_linklocal6(&r))
		r.scope = dev;
	return r;
}

static enum host_state to_state(unsigned kernel)
{
	switch (kernel) {
	case HOST_CLOSE:
		return HOST_BOUND;
	case HOST_NEW_SYN_RECV:
		return HOST_SYN_RECV;
	default:
		return kernel < HOST_NSTATES ? (enum host_state)kernel : 0;
	}
}

/* The numbers of struct tcp_info; an older kernel sends a shorter one. */
static void read_info(const struct nlattr *a, struct host_tcp_info *ret)
{
	struct tcp_info t = {0};
	size_t n = mnl_attr_get_payload_len(a);

	memcpy(&t, mnl_attr_get_payload(a), n < sizeof(t) ? n : sizeof(t));
	ret->rtt_us = t.tcpi_rtt;
	ret->rttvar_us = t.tcpi_rttvar;
	ret->min_rtt_us = t.tcpi_min_rtt;
	ret->cwnd = t.tcpi_snd_cwnd;
	ret->ssthresh = t.tcpi_snd_ssthresh;
	ret->mss = t.tcpi_snd_mss;
	ret->unacked = t.tcpi_unacked;
	ret->lost = t.tcpi_lost;
	ret->retransmitted = t.tcpi_total_retrans;
	ret->last_sent_ms = t.tcpi_last_data_sent;
	ret->last_received_ms = t.tcpi_last_data_recv;
	ret->bytes_acked = t.tcpi_bytes_acked;
	ret->bytes_received = t.tcpi_bytes_received;
	ret->delivery_rate = t.tcpi_delivery_rate;
}

static void read_memory(const struct nlattr *a, struct host_socket *s)
{
	uint32_t m[SK_MEMINFO_VARS] = {0};
	size_t n = mnl_attr_get_payload_len(a);

	memcpy(m, mnl_attr_get_payload(a), n < sizeof(m) ? n : sizeof(m));
	s->rmem = m[SK_MEMINFO_RMEM_ALLOC];
	s->rcvbuf = m[SK_MEMINFO_RCVBUF];
	s->wmem = m[SK_MEMINFO_WMEM_QUEUED];
	s->sndbuf = m[SK_MEMINFO_SNDBUF];
	s->drops = m[SK_MEMINFO_DROPS];
	s->have |= HOST_HAS_MEMORY;
}

static void read_options(const struct nlattr *a, struct host_socket *s)
{
	const uint8_t *o = mnl_attr_get_payload(a);

	s->have |= HOST_HAS_OPTIONS;
	s->is |= o[0] & OPT_FREEBIND ? HOST_IS_FREEBIND : 0;
	s->is |= o[0] & OPT_TRANSPARENT ? HOST_IS_TRANSPARENT : 0;
	s->is |= o[0] & OPT_HDRINCL ? HOST_IS_HDRINCL : 0;
	if (mnl_attr_get_payload_len(a) > 1)
		s->is |= o[1] & OPT2_LATE_PORT ? HOST_IS_LATE_PORT : 0;
}

static void read_ulp(const struct nlattr *nest, struct host_socket *s)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == ULP_NAME && mnl_attr_get_payload_len(a) >= 5 &&
					      memcmp(mnl_attr_get_payload(a), "mptcp", 5) == 0) s->is |= HOST_IS_MPTCP;
}

static void read_congestion(const struct nlattr *a, struct host_tcp_info *ret)
{
	size_t n = mnl_attr_get_payload_len(a), most = sizeof(ret->congestion) - 1;

	memset(ret->congestion, 0, sizeof(ret->congestion));
	memcpy(ret->congestion, mnl_attr_get_payload(a), n < most ? n : most);
}

static void read_attribute(const struct nlattr *a, struct host_socket *s, struct host_tcp_info *info)
{
	size_t n = mnl_attr_get_payload_len(a);
	const uint8_t *p = mnl_attr_get_payload(a);

	switch (mnl_attr_get_type(a)) {
	case INET_DIAG_INFO:
		read_info(a, info);
		s->have |= HOST_HAS_INFO;
		break;
	case INET_DIAG_CONG:
		read_congestion(a, info);
		break;
	case INET_DIAG_SKMEMINFO:
		read_memory(a, s);
		break;
	case INET_DIAG_SHUTDOWN:
		if (n >= 1)
			s->is |= (p[0] & 1 ? HOST_IS_SHUT_RD : 0) | (p[0] & 2 ? HOST_IS_SHUT_WR : 0);
		break;
	case INET_DIAG_SKV6ONLY:
		if (n >= 1) {
			s->have |= HOST_HAS_V6ONLY;
			s->is |= p[0] ? HOST_IS_V6ONLY : 0;
		}
		break;
	case INET_DIAG_MARK:
		if (n >= 4) {
			memcpy(&s->mark, p, 4);
			s->have |= HOST_HAS_MARK;
		}
		break;
	case ATTR_CGROUP_ID:
		if (n >= 8) {
			memcpy(&s->cgroup_id, p, 8);
			s->have |= s->cgroup_id ? HOST_HAS_CGROUP : 0;
		}
		break;
	case ATTR_SOCKOPT:
		if (n >= 1)
			read_options(a, s);
		break;
	case INET_DIAG_ULP_INFO:
		read_ulp(a, s);
		break;
	default: /* kernels learn */
		break;
	}
}

int host_diag_parse(const struct nlmsghdr *nlh, enum host_proto proto, struct host_socket *ret,
		    struct host_tcp_info *ret_info)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if ((nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY && nlh->nlmsg_type != TCPDIAG_GETSOCK) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return -EBADMSG;
	if (m->idiag_family != AF_INET && m->idiag_family != AF_INET6)
		return -EBADMSG;
	*ret_info = (struct host_tcp_info){0};
	*ret = (struct host_socket){
		.addr = to_addr(m->idiag_family, m->id.idiag_src, m->id.idiag_if),
		.peer = to_addr(m->idiag_family, m->id.idiag_dst, m->id.idiag_if),
		.port = ntohs(m->id.idiag_sport),
		.peer_port = ntohs(m->id.idiag_dport),
		.proto = (uint8_t)proto,
		.family = m->idiag_family == AF_INET ? PORT_FAMILY_4 : PORT_FAMILY_6,
		.state = (uint8_t)to_state(m->idiag_state),
		.timer = m->idiag_timer <= HOST_TIMER_PROBE ? m->idiag_timer : HOST_TIMER_NONE,
		.retransmits = m->idiag_retrans,
		.timer_ms = m->idiag_timer ? m->idiag_expires : 0,
		.dev = m->id.idiag_if,
		.rqueue = m->idiag_rqueue,
		.wqueue = m->idiag_wqueue,
		.inode = m->idiag_inode,
		.cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
		.have = HOST_HAS_COOKIE | HOST_HAS_QUEUES | HOST_HAS_BACKLOG,
	};
	if (!ret->state)
		return -EBADMSG;
	if (ret->state != HOST_TIME_WAIT && ret->state != HOST_SYN_RECV) {
		ret->uid = m->idiag_uid;
		ret->have |= HOST_HAS_UID;
	}
	mnl_attr_for_each(a, nlh, sizeof(*m)) read_attribute(a, ret, ret_info);
	return 0;
}

/* --- all answers --- */

enum { MORE = 1 }; /* besides 0, done, and negative errno */

struct answer {
	const struct host_diag_ask *ask;
	const struct host_sink *sink;
	struct host_notes *notes;
	uint32_t seq, port_id;
	bool torn, shared;
	int stop;
};

/* The error number in a DONE or an ERROR message. */
static int error_in(const struct nlmsghdr *nlh)
{
	int e = 0;

	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(e))
		memcpy(&e, mnl_nlmsg_get_payload(nlh), sizeof(e));
	else if (nlh->nlmsg_type == NLMSG_ERROR)
		return -EBADMSG;
	return e < 0 && e > -4096 ? e : 0;
}

static int take_row(struct answer *an, const struct nlmsghdr *nlh)
{
	struct host_socket s;
	struct host_tcp_info info;

	if (host_diag_parse(nlh, an->ask->proto, &s, &info) < 0) {
		an->notes->n_bad++;
		return MORE;
	}
	/* Kernels before 6.8 do not know every bit of the filter, and the fallback knows none. */
	if (!(an->ask->states & (1u << s.state)))
		return MORE;
	if (!an->stop)
		an->stop = an->sink->each(an->sink->ctx, &s, s.have & HOST_HAS_INFO ? &info : NULL);
	return an->stop && !an->shared ? 0 : MORE;
}

/* libmnl's own check takes a length of more than 2^31 for a negative one, and so for one that fits. */
bool host_diag_is_whole(const struct nlmsghdr *nlh, int left)
{
	return left >= (int)sizeof(*nlh) && nlh->nlmsg_len >= sizeof(*nlh) && nlh->nlmsg_len <= (uint32_t)left;
}

/* One datagram. Return: 0, all is said; MORE; negative errno. */
static int take(struct answer *an, const void *buf, size_t n)
{
	int left = (int)n, r;

	for (const struct nlmsghdr *nlh = buf; host_diag_is_whole(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != an->seq || (an->port_id && nlh->nlmsg_pid && nlh->nlmsg_pid != an->port_id))
			continue; /* an answer to an earlier question */
		an->torn |= (nlh->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR)
			return error_in(nlh);
		if (nlh->nlmsg_type == NLMSG_NOOP)
			continue;
		r = take_row(an, nlh);
		if (r != MORE)
			return r;
	}
	return MORE;
}

/* One question and its whole answer. -EAGAIN: torn. */
static int ask_once(struct host_diag_wire *w, struct answer *an)
{
	_Alignas(struct nlmsghdr) char buf[HOST_DIAG_BUFFER];
	size_t len;
	ssize_t n;
	int r;

	an->seq = ++w->seq;
	an->port_id = w->port_id;
	an->torn = false;
	len = host_diag_question(an->ask, an->seq, buf);
	n = w->send(w->ctx, buf, len);
	if (n < 0)
		return (int)n;
	do {
		n = w->receive(w->ctx, buf, sizeof(buf));
		if (n == -EINTR) {
			r = MORE;
			continue;
		}
		if (n == -ENOBUFS)
			return -EAGAIN;
		if (n <= 0)
			return n < 0 ? (int)n : -EPROTO;
		r = take(an, buf, (size_t)n);
	} while (r == MORE);
	return r == 0 && an->torn && !an->stop ? -EAGAIN : r;
}

int host_diag_dump(struct host_diag_wire *w, const struct host_diag_ask *ask, const struct host_sink *sink,
		   struct host_notes *notes, int *ret_stop)
{
	struct answer an = {.ask = ask, .sink = sink, .notes = notes, .shared = w->shared};
	int r;

	*ret_stop = 0;
	if (sink->begin)
		sink->begin(sink->ctx);
	for (int i = 0;; i++) {
		r = ask_once(w, &an);
		if (r != -EAGAIN)
			break;
		if (i == HOST_DIAG_REPEATS) {
			notes->torn = true; /* what came last is kept: some is better than none */
			return 0;
		}
		notes->n_repeats++;
		sink->again(sink->ctx);
	}
	*ret_stop = an.stop;
	return r;
}
