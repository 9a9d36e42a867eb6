/* tests/packetdrill/options.c: socket options by their Linux names, for berth's stack. */
#include "world.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

/* Options that are a number here and there. */
static const struct {
	int level, option;
	enum berth_option ours;
} same[] = {
	{SOL_SOCKET, SO_REUSEADDR, BERTH_REUSEADDR},
	{SOL_SOCKET, SO_REUSEPORT, BERTH_REUSEPORT},
	{SOL_SOCKET, SO_BROADCAST, BERTH_BROADCAST},
	{SOL_SOCKET, SO_KEEPALIVE, BERTH_KEEPALIVE},
	{SOL_SOCKET, SO_RCVLOWAT, BERTH_RCVLOWAT},
	{SOL_SOCKET, SO_ERROR, BERTH_SO_ERROR},
	{IPPROTO_IP, IP_TTL, BERTH_TTL},
	{IPPROTO_IP, IP_TOS, BERTH_TOS},
	{IPPROTO_IP, IP_MTU_DISCOVER, BERTH_PMTUDISC},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, BERTH_TTL},
	{IPPROTO_IPV6, IPV6_TCLASS, BERTH_TOS},
	{IPPROTO_IPV6, IPV6_V6ONLY, BERTH_V6ONLY},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER, BERTH_PMTUDISC},
	{IPPROTO_TCP, TCP_NODELAY, BERTH_NODELAY},
	{IPPROTO_TCP, TCP_CORK, BERTH_CORK},
	{IPPROTO_TCP, TCP_QUICKACK, BERTH_QUICKACK},
	{IPPROTO_TCP, TCP_KEEPIDLE, BERTH_KEEPIDLE_S},
	{IPPROTO_TCP, TCP_KEEPINTVL, BERTH_KEEPINTVL_S},
	{IPPROTO_TCP, TCP_KEEPCNT, BERTH_KEEPCNT},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, BERTH_USER_TIMEOUT_MS},
	{IPPROTO_TCP, TCP_LINGER2, BERTH_LINGER2_S},
	{IPPROTO_TCP, TCP_MAXSEG, BERTH_MAXSEG},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, BERTH_NOTSENT_LOWAT},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, BERTH_DEFER_ACCEPT_S},
	{IPPROTO_TCP, TCP_FASTOPEN, BERTH_FASTOPEN},
	{IPPROTO_TCP, TCP_SYNCNT, BERTH_SYNCNT},
};

static int ours(int level, int option)
{
	for (unsigned i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (same[i].level == level && same[i].option == option)
			return (int)same[i].ours;
	return -1;
}

static uint64_t timeval_us(const void *value, uint32_t len)
{
	struct timeval tv = {0};

	if (len >= sizeof(tv))
		memcpy(&tv, value, sizeof(tv));
	return (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
}

_Static_assert(BERTH_NOPTIONS <= 64, "struct fd's chosen");

/* The program's own choice: no sysctl undoes it. */
static int choose(struct world *w, struct fd *f, enum berth_option o, uint64_t value)
{
	f->chosen |= UINT64_C(1) << o;
	return berth_sock_set(w->st, f->sock, o, value);
}

static int set_congestion(struct world *w, struct fd *f, const char *name, uint32_t len)
{
	if (len >= 4 && strncmp(name, "reno", 4) == 0)
		return choose(w, f, BERTH_CONGESTION, BERTH_NEWRENO);
	if (len >= 5 && strncmp(name, "cubic", 5) == 0)
		return choose(w, f, BERTH_CONGESTION, BERTH_CUBIC);
	return -ENOENT;
}

/* Options that a stack without queues of errors, marks and priorities has no use for: what was set is read back. */
static const struct told unused[] = {
	{SOL_SOCKET, SO_PRIORITY, 0},		{SOL_SOCKET, SO_MARK, 0},
	{SOL_SOCKET, SO_OOBINLINE, 0},		{SOL_SOCKET, SO_TIMESTAMP, 0},
	{SOL_SOCKET, SO_DONTROUTE, 0},		{IPPROTO_IP, IP_RECVERR, 0},
	{IPPROTO_IPV6, IPV6_RECVERR, 0},	{IPPROTO_IP, IP_FREEBIND, 0},
	{IPPROTO_TCP, TCP_TIMESTAMP, 0},	{IPPROTO_TCP, TCP_WINDOW_CLAMP, 0},
	{IPPROTO_TCP, TCP_THIN_DUPACK, 0},	{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0}, {IPPROTO_TCP, TCP_INQ, 0},
	{SOL_SOCKET, SO_SNDLOWAT, 1},
};
_Static_assert(sizeof(unused) <= sizeof(((struct fd *)0)->told), "struct fd's told");

static struct told *told(struct fd *f, int level, int option)
{
	for (unsigned i = 0; i < sizeof(unused) / sizeof(unused[0]); i++)
		if (unused[i].level == level && unused[i].option == option) {
			if (f->told[i].level != level || f->told[i].option != option)
				f->told[i] = unused[i];
			return &f->told[i];
		}
	return NULL;
}

static int set_unused(struct fd *f, struct told *t, int number, uint32_t len)
{
	if (len < sizeof(number))
		return -EINVAL;
	if (t->level == SOL_SOCKET && t->option == SO_SNDLOWAT)
		return -ENOPROTOOPT;
	if (t->level == IPPROTO_TCP && (t->option == TCP_FASTOPEN_CONNECT || t->option == TCP_INQ) &&
	    (number < 0 || number > 1))
		return -EINVAL;
	if (t->level == IPPROTO_TCP && t->option == TCP_FASTOPEN_CONNECT)
		f->fastopen_connect = number != 0;
	if (t->level == IPPROTO_TCP && t->option == TCP_INQ)
		f->inq = number != 0;
	t->value = number;
	return 0;
}

int option_set(struct world *w, struct fd *f, int level, int option, const void *value, uint32_t len)
{
	int number = 0, which = ours(level, option);
	uint64_t rate = 0;

	if (len >= sizeof(number))
		memcpy(&number, value, sizeof(number));
	if (level == SOL_SOCKET)
		switch (option) {
		case SO_LINGER:
			memcpy(&f->linger, value, len < sizeof(f->linger) ? len : sizeof(f->linger));
			return 0;
		case SO_RCVTIMEO:
			f->rcv_timeout_us = timeval_us(value, len);
			return 0;
		case SO_SNDTIMEO:
			f->snd_timeout_us = timeval_us(value, len);
			return 0;
		case SO_SNDBUF: /* Linux doubles them for its overhead; what is sent is the number asked for */
			f->sndbuf = number * 2 < 4608 ? 4608 : number * 2;
			return berth_sock_set(w->st, f->sock, BERTH_SNDBUF, (uint64_t)f->sndbuf);
		case SO_RCVBUF:
			f->rcvbuf = number * 2 < 2304 ? 2304 : number * 2;
			return berth_sock_set(w->st, f->sock, BERTH_RCVBUF, (uint64_t)f->rcvbuf / 2);
		case SO_MAX_PACING_RATE:
			memcpy(&rate, value, len < sizeof(rate) ? len : sizeof(rate));
			f->max_pacing = rate;
			return berth_sock_set(w->st, f->sock, BERTH_PACING, rate > 1 ? rate : 0);
		case SO_ZEROCOPY:
			return -EOPNOTSUPP;
		}
	if (level == IPPROTO_TCP && option == TCP_CONGESTION)
		return set_congestion(w, f, value, len);
	if (told(f, level, option) != NULL)
		return set_unused(f, told(f, level, option), number, len);
	if (which < 0)
		return -ENOPROTOOPT;
	if (len < sizeof(number))
		return -EINVAL;
	if (which == BERTH_QUICKACK)
		f->quickack_off = number == 0;
	if (which == BERTH_LINGER2_S) {
		f->linger2_none = number < 0; /* Linux: do not wait in FIN-WAIT-2 at all */
		number = number < 0 || number > 120 ? 0 : number;
	}
	return choose(w, f, (enum berth_option)which, (uint64_t)(int64_t)number);
}

static void info_linux(const struct berth_tcp_info *i, struct tcp_info *t)
{
	memset(t, 0, sizeof(*t));
	t->tcpi_state = i->state;
	t->tcpi_ca_state = i->ca_state;
	t->tcpi_retransmits = i->retransmits;
	t->tcpi_probes = i->probes;
	t->tcpi_backoff = i->backoff;
	t->tcpi_options = (uint8_t)(i->options & 0x3f);
	t->tcpi_snd_wscale = i->snd_wscale & 0xf;
	t->tcpi_rcv_wscale = i->rcv_wscale & 0xf;
	t->tcpi_rto = i->rto_us;
	t->tcpi_ato = i->ato_us;
	t->tcpi_snd_mss = i->snd_mss;
	t->tcpi_rcv_mss = i->rcv_mss;
	t->tcpi_unacked = i->unacked;
	t->tcpi_sacked = i->sacked;
	t->tcpi_lost = i->lost;
	t->tcpi_retrans = i->retrans;
	t->tcpi_last_data_sent = i->last_data_sent_ms;
	t->tcpi_last_data_recv = i->last_data_recv_ms;
	t->tcpi_last_ack_recv = i->last_ack_recv_ms;
	t->tcpi_pmtu = i->pmtu;
	t->tcpi_rtt = i->rtt_us;
	t->tcpi_rttvar = i->rttvar_us;
	t->tcpi_snd_ssthresh = i->snd_ssthresh;
	t->tcpi_snd_cwnd = i->snd_cwnd;
	t->tcpi_advmss = i->advmss;
	t->tcpi_reordering = i->reordering;
	t->tcpi_rcv_rtt = i->rcv_rtt_us;
	t->tcpi_rcv_space = i->rcv_space;
	t->tcpi_total_retrans = i->total_retrans;
	t->tcpi_pacing_rate = i->pacing_rate_bps;
	t->tcpi_max_pacing_rate = UINT64_MAX;
	t->tcpi_bytes_acked = i->bytes_acked;
	t->tcpi_bytes_received = i->bytes_received;
	t->tcpi_segs_out = (uint32_t)i->segs_out;
	t->tcpi_segs_in = (uint32_t)i->segs_in;
	t->tcpi_notsent_bytes = i->notsent_bytes;
	t->tcpi_min_rtt = i->min_rtt_us;
	t->tcpi_data_segs_in = (uint32_t)i->data_segs_in;
	t->tcpi_data_segs_out = (uint32_t)i->data_segs_out;
	t->tcpi_delivery_rate = i->delivery_rate_bps;
	t->tcpi_bytes_sent = i->bytes_sent;
	t->tcpi_bytes_retrans = i->bytes_retrans;
	t->tcpi_dsack_dups = (uint32_t)i->dsack_dups;
	t->tcpi_reord_seen = i->reord_seen;
	t->tcpi_rcv_ooopack = i->rcv_ooopack;
	t->tcpi_snd_wnd = i->snd_wnd;
}

/* As much of from as the caller has room for; the rest of the room is zeroed and counts as ours: packetdrill wants its own
 * structure's length, which may be longer than this machine's header. */
static int give(const void *from, uint32_t n, void *value, uint32_t *len)
{
	memset(value, 0, *len);
	memcpy(value, from, n < *len ? n : *len);
	return 0;
}

static int get_number(int number, void *value, uint32_t *len)
{
	if (*len < sizeof(number))
		return -EINVAL;
	*len = sizeof(number);
	memcpy(value, &number, sizeof(number));
	return 0;
}

static int get_tcp_info(struct world *w, struct fd *f, void *value, uint32_t *len)
{
	struct berth_tcp_info info = {.struct_size = sizeof(info)};
	struct tcp_info t;
	int r = berth_sock_tcp_info(w->st, f->sock, &info);

	if (r < 0)
		return r;
	info_linux(&info, &t);
	return give(&t, sizeof(t), value, len);
}

static int get_mtu(struct world *w, struct fd *f, void *value, uint32_t *len)
{
	struct berth_tcp_info info = {.struct_size = sizeof(info)};

	if (!f->connected)
		return -ENOTCONN;
	if (berth_sock_tcp_info(w->st, f->sock, &info) < 0)
		return -ENOPROTOOPT;
	return get_number((int)info.pmtu, value, len);
}

int option_get(struct world *w, struct fd *f, int level, int option, void *value, uint32_t *len)
{
	static const char *const congestion[] = {"reno", "cubic"};
	uint32_t meminfo[SK_MEMINFO_VARS] = {0};
	int which = ours(level, option), r;
	uint64_t v = 0;

	if (level == IPPROTO_TCP && option == TCP_INFO)
		return get_tcp_info(w, f, value, len);
	if (level == IPPROTO_TCP && option == TCP_CC_INFO) {
		*len = 0;
		return 0;
	}
	if (level == IPPROTO_TCP && option == TCP_CONGESTION) {
		r = berth_sock_get(w->st, f->sock, BERTH_CONGESTION, &v);
		return r < 0 ? r : give(congestion[v % 2], (uint32_t)strlen(congestion[v % 2]) + 1, value, len);
	}
	if (level == SOL_SOCKET)
		switch (option) {
		case SO_MEMINFO:
			meminfo[SK_MEMINFO_RCVBUF] = (uint32_t)f->rcvbuf;
			meminfo[SK_MEMINFO_SNDBUF] = (uint32_t)f->sndbuf;
			return give(meminfo, sizeof(meminfo), value, len);
		case SO_LINGER:
			return give(&f->linger, sizeof(f->linger), value, len);
		case SO_SNDBUF:
			return get_number(f->sndbuf, value, len);
		case SO_RCVBUF:
			return get_number(f->rcvbuf, value, len);
		case SO_TYPE:
			return get_number(f->type, value, len);
		case SO_PROTOCOL:
			return get_number(f->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP, value, len);
		case SO_DOMAIN:
			return get_number(f->domain, value, len);
		case SO_MAX_PACING_RATE:
			return get_number(f->max_pacing > 0 ? (int)f->max_pacing : -1, value, len);
		case SO_ACCEPTCONN:
			return get_number(f->listening, value, len);
		}
	if (level == IPPROTO_TCP && option == TCP_QUICKACK)
		return get_number(f->quickack_off == 0, value, len);
	if (level == IPPROTO_TCP && option == TCP_LINGER2 && f->linger2_none)
		return get_number(-1, value, len);
	if ((level == IPPROTO_IP && option == IP_MTU) || (level == IPPROTO_IPV6 && option == IPV6_MTU))
		return get_mtu(w, f, value, len);
	if (told(f, level, option) != NULL)
		return get_number(told(f, level, option)->value, value, len);
	if (which < 0)
		return -ENOPROTOOPT;
	r = berth_sock_get(w->st, f->sock, (enum berth_option)which, &v);
	return r < 0 ? r : get_number((int)v, value, len);
}
