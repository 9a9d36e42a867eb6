/* tests/sim/sim_more.c: worlds without flows: datagrams, doors that nobody opens. */
#include "sim.h"

#include <errno.h>
#include <string.h>

#define PORT 53
#define N_DATAGRAMS 200u
#define LEN_MAX 4000u

/* --- datagrams: whole or not at all --- */

struct talk {
	struct sim_host *h[2];
	struct sim_wire *w;
	berth_sock sock[2];
	int family;
	uint64_t key;
	uint32_t n_sent, n_echoed;
	uint8_t came[2][N_DATAGRAMS]; /* how often each arrived at the server, back at the client */
	uint32_t len[N_DATAGRAMS];
	bool may_double;
	uint64_t pause_ns;
};
static struct talk talk;

/* Two octets that were hit, one in each of two fragments, may leave the checksum what it was. */
static bool is_damage_nobody_sees(const struct sim *s, const uint8_t *p, uint32_t number, uint32_t len)
{
	uint64_t sum = 0, sent = 0;
	unsigned n_wrong = 0;

	for (uint32_t i = 4; i < len; i++) {
		uint8_t octet = app_octet(talk.key + number, i);

		sum += i % 2 ? p[i] : (uint64_t)p[i] << 8;
		sent += i % 2 ? octet : (uint64_t)octet << 8;
		n_wrong += p[i] != octet;
	}
	return s->has_corruption && n_wrong > 1 && sum % 65535 == sent % 65535;
}

static void check_datagram(struct sim *s, int at, const uint8_t *p, uint32_t len)
{
	uint32_t number;

	if (len < 4)
		sim_fail(s, "datagrams are whole", "%u octets", len);
	memcpy(&number, p, sizeof(number));
	if (number >= talk.n_sent || len != talk.len[number])
		sim_fail(s, "datagrams are whole", "number %u of %u octets", number, len);
	for (uint32_t i = 4; i < len; i++)
		if (p[i] != app_octet(talk.key + number, i) && !is_damage_nobody_sees(s, p, number, len))
			sim_fail(s, "datagrams are whole", "number %u: octet %u is wrong", number, i);
	if (++talk.came[at][number] > 1 && !talk.may_double)
		sim_fail(s, "datagrams come once", "number %u came %u times", number, talk.came[at][number]);
}

static void datagram_event(struct sim *s, struct sim_host *h, const struct berth_event *ev)
{
	int me = (int)(ev->user - SIM_USER_OTHER);
	uint8_t data[LEN_MAX + 10];

	for (;;) {
		struct berth_dgram d = {.data = data, .len = sizeof(data), .iface = BERTH_IFACE_ANY};
		int r = berth_sock_udp_recv(h->st, talk.sock[me], &d, 1);

		if (r == -EAGAIN)
			return;
		if (r < 0) { /* what ICMP said, once */
			sim_note(s, "host %u: udp_recv: %s", h->index, strerror(-r));
			continue;
		}
		if (d.len > sizeof(data))
			sim_fail(s, "datagrams are whole", "%u octets", d.len);
		check_datagram(s, me, data, d.len);
		if (me == 1) {
			struct berth_dgram back = {.peer = d.peer, .local = d.local, .data = data, .len = d.len};

			back.local.port = 0;
			back.iface = BERTH_IFACE_ANY;
			memset(&back.local, 0, sizeof(back.local));
			r = berth_sock_udp_send(h->st, talk.sock[1], &back, 1);
			if (r < 0 && r != -EAGAIN && r != -ECONNREFUSED)
				sim_fail(s, "udp_send", "%s", strerror(-r));
			talk.n_echoed += r == 1;
		}
	}
}

static void send_datagrams(struct sim *s, void *ctx)
{
	uint32_t number = talk.n_sent, len = 4 + (uint32_t)((talk.key >> 8) * (number + 1) % (LEN_MAX - 3));
	uint8_t data[LEN_MAX + 4];
	struct berth_dgram d = {.data = data, .len = len, .iface = BERTH_IFACE_ANY};
	int r;

	(void)ctx;
	if (number % 3)
		len = d.len = 4 + len % 100;
	memcpy(data, &number, sizeof(number));
	for (uint32_t i = 4; i < len; i++)
		data[i] = app_octet(talk.key + number, i);
	d.peer = sim_addr(talk.h[1], talk.w, talk.family, PORT);
	talk.len[number] = len;
	talk.n_sent++;
	r = berth_sock_udp_send(talk.h[0]->st, talk.sock[0], &d, 1);
	if (r < 0 && r != -EAGAIN && r != -ECONNREFUSED && r != -EMSGSIZE)
		sim_fail(s, "udp_send", "%s", strerror(-r));
	if (talk.n_sent < N_DATAGRAMS)
		sim_at(s, s->now_ns + talk.pause_ns, send_datagrams, NULL);
}

static void open_udp(struct sim *s, int i)
{
	struct berth_addr any = {.port = i == 1 ? PORT : 0};
	int r = berth_sock_open(talk.h[i]->st, BERTH_UDP, BERTH_IPV6, SIM_USER_OTHER + (uint64_t)i, &talk.sock[i]);

	if (r == 0)
		r = berth_sock_bind(talk.h[i]->st, talk.sock[i], &any);
	if (r < 0)
		sim_fail(s, "setup", "UDP: %s", strerror(-r));
}

SIM_TEST(datagrams)
{
	struct fault_config c = draw_faults(s, sim_once_in(s, "raw_ip", 3) ? BERTH_LINK_IP : BERTH_LINK_ETHERNET);
	uint32_t n_server = 0, n_client = 0;
	uint64_t lost;
	bool is_good;

	memset(&talk, 0, sizeof(talk));
	c.coalesce_ns = 0;
	if (sim_once_in(s, "has_mtu", 3))
		c.mtu_bytes = 1300;
	talk.family = sim_once_in(s, "ipv6", 2) ? 6 : 4;
	talk.key = sim_draw(s, "key", 1, UINT64_C(1) << 40);
	talk.pause_ns = sim_draw(s, "pause_us", 20, 5000) * SIM_US;
	talk.may_double = c.dup_ppm > 0;
	is_good = !c.loss_ppm && !c.burst_in_ppm && !c.corrupt_ppm && !c.rate_bps && !c.mtu_bytes && !c.reorder_ppm &&
		  !c.jitter_ns && talk.pause_ns > 200 * SIM_US;
	s->other_event = datagram_event;
	for (int i = 0; i < 2; i++)
		talk.h[i] = sim_host(s);
	talk.w = sim_wire(s, talk.h, 2, &c);
	for (int i = 0; i < 2; i++) {
		sim_boot(talk.h[i]);
		open_udp(s, i);
	}
	sim_at(s, s->now_ns, send_datagrams, NULL);
	sim_run_for(s, 60 * SIM_S);
	for (uint32_t i = 0; i < N_DATAGRAMS; i++) {
		n_server += talk.came[1][i] > 0;
		n_client += talk.came[0][i] > 0;
	}
	sim_note(s, "%u sent, %u came, %u came back", talk.n_sent, n_server, n_client);
	/* while the neighbour is being asked for, three wait and the others are lost (S19): a round trip's worth, and some lateness */
	lost = 2 * c.delay_ns / talk.pause_ns + 20;
	if (is_good && lost < N_DATAGRAMS)
		sim_expect_ge(s, "datagrams arrive on a good link", n_client, N_DATAGRAMS - lost);
	for (int i = 0; i < 2; i++)
		if (berth_sock_close(talk.h[i]->st, talk.sock[i]) < 0)
			sim_fail(s, "close", "UDP");
	sim_expect_all_over(s);
}

/* --- doors that nobody opens --- */

static berth_sock caller_sock;
static int caller_err;

static void refused_event(struct sim *s, struct sim_host *h, const struct berth_event *ev)
{
	uint64_t err = 0;

	(void)s;
	if (ev->mask & BERTH_EV_CLOSED) {
		h->n_closing--;
		return;
	}
	if (berth_sock_get(h->st, caller_sock, BERTH_SO_ERROR, &err) == 0 && err) {
		caller_err = (int)err;
		h->n_closing++;
		if (berth_sock_close(h->st, caller_sock) < 0)
			sim_fail(s, "close", "refused");
	}
}

static bool is_refused(struct sim *s)
{
	(void)s;
	return caller_err != 0;
}

SIM_TEST(nobody_listens)
{
	struct fault_config c = {.link = BERTH_LINK_ETHERNET, .delay_ns = 10 * SIM_MS};
	struct sim_host *h[2];
	struct sim_wire *w;
	struct berth_addr to;
	bool is_there = s->seed % 2;

	s->row = is_there ? "a closed port" : "a host that is off";
	s->other_event = refused_event;
	caller_err = 0;
	for (int i = 0; i < 2; i++)
		h[i] = sim_host(s);
	w = sim_wire(s, h, 2, &c);
	sim_boot(h[0]);
	if (is_there)
		sim_boot(h[1]);
	to = sim_addr(h[1], w, 4, 99);
	if (berth_sock_open(h[0]->st, BERTH_TCP, BERTH_IPV4, SIM_USER_OTHER, &caller_sock) < 0 ||
	    berth_sock_connect(h[0]->st, caller_sock, &to) != -EINPROGRESS)
		sim_fail(s, "setup", "connect");
	if (!sim_run_until(s, is_refused, s->now_ns + 300 * SIM_S))
		sim_fail(s, "stall", "connect() never ended");
	sim_expect_u64(s, "what connect() says", (uint64_t)caller_err, is_there ? ECONNREFUSED : EHOSTUNREACH);
	sim_expect_all_over(s);
}
