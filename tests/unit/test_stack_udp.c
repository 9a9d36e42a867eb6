/* tests/unit/test_stack_udp.c: UDP between two stacks, as a program sees it. */
#include "two_stacks.h"

#include <errno.h>

#include "stack/udp.h"
#include "wire/checksum.h"
#include "wire/ip4.h"

static struct two w;

static const struct two_how ethernet = {.link = BERTH_LINK_ETHERNET};
static const struct two_how offloads = {.link = BERTH_LINK_ETHERNET, .flags = BERTH_IF_TX_CSUM | BERTH_IF_USO};
static const struct two_how bare_ip = {.link = BERTH_LINK_IP};

static berth_sock udp(int i, int family)
{
	berth_sock s;

	assert_int_equal(berth_sock_open(w.st[i], BERTH_UDP, family, 70 + (uint64_t)i, &s), 0);
	return s;
}

static berth_sock udp_at_port(int i, int family, struct berth_addr a)
{
	berth_sock s = udp(i, family);

	assert_int_equal(berth_sock_bind(w.st[i], s, &a), 0);
	return s;
}

static struct berth_dgram to(struct berth_addr a, const void *data, uint32_t len)
{
	struct berth_dgram d = {.peer = a, .len = len, .iface = BERTH_IFACE_ANY};

	memcpy(&d.data, &data, sizeof(data));
	return d;
}

static int send_to(int i, berth_sock s, struct berth_addr a, const void *data, uint32_t len)
{
	struct berth_dgram d = to(a, data, len);

	return berth_sock_udp_send(w.st[i], s, &d, 1);
}

/* The next datagram's length, or an error. */
static int64_t take(int i, berth_sock s, void *data, uint32_t room, struct berth_dgram *ret)
{
	struct berth_dgram d = {.data = data, .len = room};
	int r = berth_sock_udp_recv(w.st[i], s, &d, 1);

	if (ret != NULL)
		*ret = d;
	return r < 0 ? r : (int64_t)d.len;
}

static uint8_t big[70000], got[70000];

static void fill_big(void)
{
	for (uint32_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
}

/* --- sizes, ways and families: what is sent arrives --- */
struct size_case {
	const char *name;
	const struct two_how *how;
	int family;
	uint32_t len;
	uint64_t n_frames; /* of data; 0: not looked at */
};
static const struct size_case size_cases[] = {
	{"an empty datagram arrives as one", &ethernet, BERTH_IPV4, 0, 1},
	{"one octet", &ethernet, BERTH_IPV4, 1, 1},
	{"an odd length over IPv6", &ethernet, BERTH_IPV6, 999, 1},
	{"what just fits into IPv4's MTU", &ethernet, BERTH_IPV4, 1472, 1},
	{"one more is two fragments", &ethernet, BERTH_IPV4, 1473, 2},
	{"what just fits into IPv6's MTU", &ethernet, BERTH_IPV6, 1452, 1},
	{"one more is two fragments of IPv6", &ethernet, BERTH_IPV6, 1453, 2},
	{"eight thousand octets in fragments", &ethernet, BERTH_IPV4, 8000, 6},
	{"the largest that there is", &ethernet, BERTH_IPV4, 65507, 45},
	{"the largest over IPv6", &ethernet, BERTH_IPV6, 65527, 46},
	{"checksums that the device completes", &offloads, BERTH_IPV4, 700, 1},
	{"and of IPv6", &offloads, BERTH_IPV6, 701, 1},
	{"fragments are summed here even so", &offloads, BERTH_IPV4, 5001, 4},
	{"without link headers", &bare_ip, BERTH_IPV4, 300, 1},
	{"IPv6 without link headers, fragmented", &bare_ip, BERTH_IPV6, 3000, 3},
};

static void run_size(void **state)
{
	const struct size_case *c = *state;
	bool is4 = c->family == BERTH_IPV4;
	struct berth_addr at = is4 ? berth_addr4(10, 0, 0, 2, 53) : addr6(0xfd00, 2, 53);
	struct berth_event ev;
	struct berth_dgram d;
	berth_sock a, b;
	uint64_t before;

	fill_big();
	two_begin(&w, c->how);
	a = udp(0, c->family);
	b = udp_at_port(1, c->family, at);
	/* The neighbours get to know each other. */
	assert_int_equal(send_to(0, a, at, "hello", 5), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, NULL), 5);
	assert_int_equal(berth_stack_events(w.st[1], &ev, 1), 1);
	before = w.n_frames[0];
	assert_int_equal(send_to(0, a, at, big, c->len), 1);
	two_settle(&w);
	assert_int_equal(w.n_frames[0] - before, c->n_frames);
	assert_int_equal(berth_stack_events(w.st[1], &ev, 1), 1);
	assert_true(ev.sock == b && ev.user == 71 && ev.mask == BERTH_EV_IN);
	assert_int_equal(take(1, b, got, sizeof(got), &d), c->len);
	assert_memory_equal(got, big, c->len);
	assert_memory_equal(d.local.ip, at.ip, 16);
	assert_int_equal(d.local.port, 53);
	assert_true(d.peer.port >= 32768);
	/* And back to where it came from. */
	assert_int_equal(send_to(1, b, d.peer, big, c->len), 1);
	two_settle(&w);
	assert_int_equal(take(0, a, got, sizeof(got), &d), c->len);
	assert_int_equal(d.peer.port, 53);
	assert_int_equal(take(1, b, got, sizeof(got), NULL), -EAGAIN);
	assert_int_equal(two_counters(&w, 1).dropped_checksum, 0);
	two_end(&w);
}

static void what_cannot_be_sent(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_dgram d;
	berth_sock a, six;

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	six = udp(0, BERTH_IPV6);
	assert_int_equal(send_to(0, a, (struct berth_addr){0}, "x", 1), -EDESTADDRREQ);
	assert_int_equal(send_to(0, a, berth_addr4(10, 0, 0, 2, 0), "x", 1), -EINVAL);
	assert_int_equal(send_to(0, a, addr6(0xfd00, 2, 53), "x", 1), -EAFNOSUPPORT);
	assert_int_equal(send_to(0, a, berth_addr4(192, 0, 2, 1, 53), "x", 1), -ENETUNREACH);
	assert_int_equal(send_to(0, a, at, big, 65508), -EMSGSIZE);
	assert_int_equal(send_to(0, a, at, NULL, 1), -EFAULT);
	assert_int_equal(send_to(0, a, berth_addr4(255, 255, 255, 255, 53), "x", 1), -EACCES);
	assert_int_equal(send_to(0, a, berth_addr4(10, 0, 0, 255, 53), "x", 1), -EACCES);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_PMTUDISC, 2), 0);
	assert_int_equal(send_to(0, a, at, big, 1473), -EMSGSIZE);
	assert_int_equal(send_to(0, a, at, big, 1472), 1);
	assert_int_equal(berth_sock_set(w.st[0], six, BERTH_V6ONLY, 1), 0);
	assert_int_equal(send_to(0, six, at, "x", 1), -ENETUNREACH);
	d = to(at, "x", 1);
	d.local = berth_addr4(10, 0, 0, 9, 0);
	assert_true(berth_sock_udp_send(w.st[0], a, &d, 1) < 0);
	d = to(at, big, 3000);
	d.gso_size = 1473;
	assert_int_equal(berth_sock_udp_send(w.st[0], a, &d, 1), -EMSGSIZE);
	d.gso_size = 10; /* 300 datagrams */
	assert_int_equal(berth_sock_udp_send(w.st[0], a, &d, 1), -EINVAL);
	assert_int_equal(berth_sock_shutdown(w.st[0], a, BERTH_SHUT_WR), -ENOTCONN);
	assert_int_equal(berth_sock_connect(w.st[0], a, &at), 0);
	assert_int_equal(berth_sock_shutdown(w.st[0], a, BERTH_SHUT_WR), 0);
	assert_int_equal(send_to(0, a, at, "x", 1), -EPIPE);
	two_end(&w);
}

/* --- connected sockets --- */
static void a_connected_socket_hears_its_peer_alone(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53), here, there;
	berth_sock a, b, other;

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	other = udp_at_port(1, BERTH_IPV4, berth_addr4(10, 0, 0, 2, 54));
	assert_int_equal(berth_sock_names(w.st[0], a, NULL, &there), -ENOTCONN);
	assert_int_equal(berth_sock_connect(w.st[0], a, &at), 0);
	assert_int_equal(berth_sock_names(w.st[0], a, &here, &there), 0);
	assert_int_equal(there.port, 53);
	assert_int_equal(here.ip[15], 1);
	assert_int_equal(berth_sock_send(w.st[0], a, "question", 8, 0), 8);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 100, NULL), 8);
	assert_int_equal(send_to(1, other, here, "not you", 7), 1);
	assert_int_equal(send_to(1, b, here, "answer", 6), 1);
	two_settle(&w);
	assert_int_equal(berth_sock_recv(w.st[0], a, got, 100), 6);
	assert_memory_equal(got, "answer", 6);
	assert_int_equal(berth_sock_recv(w.st[0], a, got, 100), -EAGAIN);
	assert_int_equal(two_counters(&w, 0).udp_no_port, 1);
	/* Away from that peer: its port was connect()'s choice, and goes with it. */
	assert_int_equal(berth_sock_connect(w.st[0], a, NULL), 0);
	assert_int_equal(berth_sock_names(w.st[0], a, &here, NULL), 0);
	assert_int_equal(here.port, 0);
	assert_int_equal(berth_sock_send(w.st[0], a, "x", 1, 0), -EDESTADDRREQ);
	two_end(&w);
}

static void a_refusal_reaches_the_connected_and_nobody_else(void **state)
{
	struct berth_addr nobody = berth_addr4(10, 0, 0, 2, 99);
	struct berth_event ev;
	berth_sock a, loose;
	uint64_t err;

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	loose = udp(0, BERTH_IPV4);
	assert_int_equal(berth_sock_connect(w.st[0], a, &nobody), 0);
	assert_int_equal(berth_sock_send(w.st[0], a, "x", 1, 0), 1);
	assert_int_equal(send_to(0, loose, nobody, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(berth_stack_events(w.st[0], &ev, 1), 1);
	assert_true(ev.sock == a && ev.mask == BERTH_EV_ERR && ev.err == -ECONNREFUSED);
	assert_int_equal(berth_sock_poll(w.st[0], a) & BERTH_EV_ERR, BERTH_EV_ERR);
	assert_int_equal(berth_sock_recv(w.st[0], a, got, 1), -ECONNREFUSED);
	assert_int_equal(berth_sock_recv(w.st[0], a, got, 1), -EAGAIN);
	assert_int_equal(berth_sock_get(w.st[0], loose, BERTH_SO_ERROR, &err), 0);
	assert_int_equal(err, 0);
	assert_int_equal(berth_stack_events(w.st[0], &ev, 1), 0);
	two_end(&w);
}

/* --- trains --- */
struct train_case {
	const char *name;
	const struct two_how *how;
	uint32_t len;
	uint16_t gso_size;
	bool wanted; /* the receiver takes trains */
	uint64_t n_frames;
	uint32_t n_taken; /* calls it takes to read all */
};
static const struct train_case train_cases[] = {
	{"a train is cut where the interface cannot", &ethernet, 5000, 1000, false, 5, 5},
	{"its last datagram may be shorter", &ethernet, 4321, 1000, false, 5, 5},
	{"one frame where it can", &offloads, 5000, 1000, false, 1, 5},
	{"and one record for who wants trains", &offloads, 5000, 1000, true, 1, 1},
	{"the longest train", &offloads, 64 * 1000, 1000, true, 1, 1},
	{"a train of one is a datagram", &offloads, 900, 1000, true, 1, 1},
	{"an even one of 64 small ones", &offloads, 64 * 2, 2, false, 1, 64},
};

static void run_train(void **state)
{
	const struct train_case *c = *state;
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_dgram d;
	uint32_t sum = 0, n = 0;
	berth_sock a, b;
	uint64_t before;

	fill_big();
	two_begin(&w, c->how);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(send_to(0, a, at, "hello", 5), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, NULL), 5);
	before = w.n_frames[0];
	d = to(at, big, c->len);
	d.gso_size = c->gso_size;
	assert_int_equal(berth_sock_udp_send(w.st[0], a, &d, 1), 1);
	two_settle(&w);
	assert_int_equal(w.n_frames[0] - before, c->n_frames);
	for (; sum < c->len; n++) {
		d = (struct berth_dgram){.data = got + sum, .len = (uint32_t)sizeof(got) - sum, .gso_size = c->wanted};
		assert_int_equal(berth_sock_udp_recv(w.st[1], b, &d, 1), 1);
		if (!c->wanted)
			assert_int_equal(d.len, c->len - sum < c->gso_size ? c->len - sum : c->gso_size);
		assert_int_equal(d.gso_size, c->wanted && c->len > c->gso_size ? c->gso_size : 0);
		sum += d.len;
	}
	assert_int_equal(n, c->n_taken);
	assert_memory_equal(got, big, c->len);
	assert_int_equal(take(1, b, got, 9, NULL), -EAGAIN);
	two_end(&w);
}

/* --- queues --- */
static void a_full_queue_drops_and_counts(void **state)
{
	struct two_how how = {.link = BERTH_LINK_IP, .config = {.udp_ring_bytes = 4096}};
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	berth_sock a, b;
	int n = 0;

	(void)state;
	two_begin(&w, &how);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(send_to(0, a, at, &i, sizeof(i)), 1);
		two_settle(&w);
	}
	assert_int_equal(two_counters(&w, 1).udp_queue_full, 8); /* 4096 octets: 32 records of 64 and 64 */
	for (int i; take(1, b, &i, sizeof(i), NULL) == sizeof(i); n++)
		assert_int_equal(i, n); /* the old ones stay */
	assert_int_equal(n, 32);
	/* The ring goes round many times with odd sizes. */
	fill_big();
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t len = i * 37 % 1400;

		assert_int_equal(send_to(0, a, at, big + i, len), 1);
		two_settle(&w);
		assert_int_equal(take(1, b, got, sizeof(got), NULL), len);
		assert_memory_equal(got, big + i, len);
	}
	two_end(&w);
}

static void a_sender_is_told_when_there_is_room_again(void **state)
{
	struct two_how how = {.link = BERTH_LINK_IP, .config = {.udp_ring_bytes = 4096}};
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_event ev[4];
	berth_sock a;
	int n = 0;

	(void)state;
	two_begin(&w, &how);
	a = udp(0, BERTH_IPV4);
	while (send_to(0, a, at, big, 100) == 1)
		n++;
	assert_int_equal(n, 4096 / 192);
	assert_int_equal(berth_sock_poll(w.st[0], a) & BERTH_EV_OUT, 0);
	assert_int_equal(berth_stack_events(w.st[0], ev, 4), 0);
	two_settle(&w);
	assert_int_equal(berth_stack_events(w.st[0], ev, 4), 1);
	assert_true(ev[0].sock == a && ev[0].mask & BERTH_EV_OUT);
	assert_int_equal(send_to(0, a, at, big, 100), 1);
	two_end(&w);
}

/* Ring full, and the neighbour does not answer: what gives way makes room, and that is said. */
static void a_sender_is_told_when_what_was_sent_cannot_go(void **state)
{
	struct berth_addr nobody = berth_addr4(10, 0, 0, 99, 53);
	struct berth_event ev;
	berth_sock a;
	bool told = false;
	int r;

	(void)state;
	fill_big();
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	do
		r = send_to(0, a, nobody, big, 1000);
	while (r == 1);
	assert_int_equal(r, -EAGAIN);
	for (int i = 0; i < 20 && !told; i++) {
		two_settle(&w);
		w.now_ns += SECOND;
		berth_stack_tick(w.st[0], w.now_ns, 100);
		while (berth_stack_events(w.st[0], &ev, 1) == 1)
			told |= (ev.mask & BERTH_EV_OUT) != 0;
	}
	assert_true(told);
	assert_int_equal(send_to(0, a, nobody, big, 1000), 1);
	two_end(&w);
}

/* Between two fragments the link's MTU grows: the rest is still fragments, and not octets of the next datagram. */
static void an_mtu_that_grows_between_fragments(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	uint64_t octets = 0;
	struct berth_tx tx;
	berth_sock a, b;

	(void)state;
	fill_big();
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(send_to(0, a, at, "hello", 5), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, NULL), 5);
	assert_int_equal(send_to(0, a, at, big, 8000), 1);
	assert_int_equal(send_to(0, a, at, big, 100), 1);
	for (int i = 0; berth_stack_output(w.st[0], &tx, 1, w.now_ns) == 1; i++) {
		for (unsigned k = 0; k < tx.n_parts; k++)
			octets += tx.parts[k].len;
		if (i == 1)
			assert_int_equal(berth_iface_set_mtu(w.st[0], w.iface[0], 9000), 0);
	}
	assert_int_equal(octets, 8100);
	two_end(&w);
}

static void a_short_room_truncates(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	berth_sock a, b;

	(void)state;
	two_begin(&w, &bare_ip);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(send_to(0, a, at, "abcdef", 6), 1);
	assert_int_equal(send_to(0, a, at, "next", 4), 1);
	two_settle(&w);
	memset(got, 0, 8);
	assert_int_equal(take(1, b, got, 3, NULL), 6); /* the length says what is missing */
	assert_memory_equal(got, "abc\0\0", 5);
	assert_int_equal(take(1, b, got, 0, NULL), 4);
	assert_int_equal(take(1, b, got, 3, NULL), -EAGAIN);
	two_end(&w);
}

/* --- S19: a neighbour that does not answer is in nobody's way --- */
static void an_unknown_neighbour_lets_others_pass(void **state)
{
	struct two_how how = {.link = BERTH_LINK_ETHERNET, .config = {.udp_ring_bytes = 8192}};
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53), dead = berth_addr4(10, 0, 0, 77, 53);
	berth_sock a, b;

	(void)state;
	two_begin(&w, &how);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(send_to(0, a, at, "hello", 5), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, NULL), 5);
	for (int i = 0; i < 500; i++) { /* far more to the dead one than the ring holds */
		assert_int_equal(send_to(0, a, dead, big, 1000), 1);
		assert_int_equal(send_to(0, a, at, &i, sizeof(i)), 1);
		two_settle(&w);
		assert_int_equal(take(1, b, got, 9, NULL), sizeof(i));
		assert_memory_equal(got, &i, sizeof(i));
	}
	assert_true(berth_stack_check(w.st[0]));
	two_run(&w, 60 * SECOND);
	assert_int_equal(berth_stack_deadline(w.st[0]) > w.now_ns, 1);
	assert_int_equal(take(1, b, got, 9, NULL), -EAGAIN);
	two_end(&w);
}

static void what_waited_for_a_neighbour_arrives(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	berth_sock a, b;

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	fill_big();
	assert_int_equal(send_to(0, a, at, "one", 3), 1);
	assert_int_equal(send_to(0, a, at, big, 6000), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, sizeof(got), NULL), 3);
	assert_int_equal(take(1, b, got, sizeof(got), NULL), 6000);
	assert_memory_equal(got, big, 6000);
	two_end(&w);
}

/* --- many receivers --- */
static void a_group_gets_a_copy_each(void **state)
{
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 5353), group = berth_addr4(239, 1, 2, 3, 5353);
	berth_sock a, b[3];

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	for (int i = 0; i < 3; i++) {
		b[i] = udp(1, BERTH_IPV4);
		assert_int_equal(berth_sock_set(w.st[1], b[i], BERTH_REUSEADDR, 1), 0);
		assert_int_equal(berth_sock_bind(w.st[1], b[i], &any), 0);
	}
	assert_int_equal(berth_sock_join(w.st[1], b[0], &group, 0), 0);
	assert_int_equal(berth_sock_join(w.st[1], b[0], &group, 0), -EADDRINUSE);
	assert_int_equal(berth_sock_join(w.st[1], b[1], &group, 0), 0);
	assert_int_equal(berth_sock_join(w.st[1], b[1], &any, 0), -EINVAL);
	two_run(&w, 30 * SECOND); /* reports */
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_MULTICAST_IFACE, 1), 0);
	assert_int_equal(send_to(0, a, group, "all", 3), 1);
	two_settle(&w);
	assert_int_equal(take(1, b[0], got, 9, NULL), 3);
	assert_int_equal(take(1, b[1], got, 9, NULL), 3);
	assert_int_equal(take(1, b[2], got, 9, NULL), 3); /* did not join, but the host did */
	assert_int_equal(berth_sock_set(w.st[1], b[2], BERTH_MULTICAST_ALL, 0), 0);
	assert_int_equal(berth_sock_leave(w.st[1], b[0], &group, 0), 0);
	assert_int_equal(berth_sock_leave(w.st[1], b[0], &group, 0), -EADDRNOTAVAIL);
	assert_int_equal(send_to(0, a, group, "all", 3), 1);
	two_settle(&w);
	assert_int_equal(take(1, b[0], got, 9, NULL), 3);
	assert_int_equal(take(1, b[1], got, 9, NULL), 3);
	assert_int_equal(take(1, b[2], got, 9, NULL), -EAGAIN);
	assert_int_equal(berth_sock_close(w.st[1], b[1]), 0); /* leaves by itself */
	assert_int_equal(send_to(0, a, group, "all", 3), 1);
	two_settle(&w);
	assert_int_equal(take(1, b[0], got, 9, NULL), -EAGAIN); /* the host is in it no more */
	assert_int_equal(take(1, b[2], got, 9, NULL), -EAGAIN);
	two_end(&w);
}

/* Who hears a group, as Linux 6.18 does it (IP_MULTICAST_ALL, IPV6_MULTICAST_ALL): the host's interface is in the group. */
struct hears_case {
	const char *name;
	int family;
	bool is6;      /* the group */
	int joined;    /* -1 not, else the interface */
	int all;       /* -1: as it is from the start */
	uint64_t want; /* what the option says */
	bool hears;
};
static const struct hears_case hears_cases[] = {
	{"a group that another socket joined", BERTH_IPV4, false, -1, -1, 1, true},
	{"that another joined, IP_MULTICAST_ALL 0", BERTH_IPV4, false, -1, 0, 0, false},
	{"joined, IP_MULTICAST_ALL 0", BERTH_IPV4, false, 0, 0, 0, true},
	{"joined on another interface, IP_MULTICAST_ALL 0", BERTH_IPV4, false, 1, 0, 0, false},
	{"joined on another interface", BERTH_IPV4, false, 1, 1, 1, true},
	{"IPv6: a group that another socket joined", BERTH_IPV6, true, -1, -1, 1, true},
	{"IPv6: that another joined, IPV6_MULTICAST_ALL 0", BERTH_IPV6, true, -1, 0, 0, false},
	{"IPv6: joined, IPV6_MULTICAST_ALL 0", BERTH_IPV6, true, 0, 0, 0, true},
	{"IPv6: joined on another interface is enough", BERTH_IPV6, true, 1, 0, 0, true},
	{"IPv4's group on a socket of both families, not joined", BERTH_IPV6, false, -1, 1, 1, false},
	{"IPv4's group on a socket of both families, joined", BERTH_IPV6, false, 0, 0, 0, true},
};

static void run_hears(void **state)
{
	const struct hears_case *c = *state;
	struct berth_addr any = {.port = 5353}, group4 = berth_addr4(239, 1, 2, 3, 5353),
			  group6 = {.ip = {0xff, 0x05, [15] = 0xfb}, .port = 5353}, group = c->is6 ? group6 : group4;
	struct berth_iface second = {.struct_size = sizeof(second), .mtu_bytes = 1500, .flags = BERTH_IF_NO_DAD};
	int family = c->is6 ? BERTH_IPV6 : BERTH_IPV4;
	berth_sock a, other, s;
	uint16_t iface;
	uint64_t all;

	two_begin(&w, &ethernet);
	assert_int_equal(berth_iface_add(w.st[1], &second, &iface), 0);
	a = udp(0, family);
	other = udp(1, family);
	s = udp(1, c->family);
	assert_int_equal(berth_sock_set(w.st[1], s, BERTH_REUSEADDR, 1), 0);
	assert_int_equal(berth_sock_bind(w.st[1], s, &any), 0);
	assert_int_equal(berth_sock_join(w.st[1], other, &group, w.iface[1]), 0);
	if (c->joined >= 0)
		assert_int_equal(berth_sock_join(w.st[1], s, &group, c->joined == 0 ? w.iface[1] : iface), 0);
	if (c->all >= 0)
		assert_int_equal(berth_sock_set(w.st[1], s, BERTH_MULTICAST_ALL, (uint64_t)c->all), 0);
	assert_int_equal(berth_sock_get(w.st[1], s, BERTH_MULTICAST_ALL, &all), 0);
	assert_int_equal(all, c->want);
	two_run(&w, 30 * SECOND);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_MULTICAST_IFACE, 1), 0);
	assert_int_equal(send_to(0, a, group, "all", 3), 1);
	two_settle(&w);
	assert_int_equal(take(1, s, got, 9, NULL), c->hears ? 3 : -EAGAIN);
	two_end(&w);
}

static void our_own_groups_hear_us(void **state)
{
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 5353), group = berth_addr4(239, 1, 2, 3, 5353);
	berth_sock a;

	(void)state;
	two_begin(&w, &ethernet);
	a = udp_at_port(0, BERTH_IPV4, any);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_MULTICAST_IFACE, 1), 0);
	assert_int_equal(berth_sock_join(w.st[0], a, &group, BERTH_IFACE_ANY), 0);
	assert_int_equal(send_to(0, a, group, "me too", 6), 1);
	two_settle(&w);
	assert_int_equal(take(0, a, got, 9, NULL), 6);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_MULTICAST_LOOP, 0), 0);
	assert_int_equal(send_to(0, a, group, "not me", 6), 1);
	two_settle(&w);
	assert_int_equal(take(0, a, got, 9, NULL), -EAGAIN);
	two_end(&w);
}

static void a_broadcast_needs_permission_and_reaches_all(void **state)
{
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 67), all = berth_addr4(10, 0, 0, 255, 67);
	berth_sock a, b[2];

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	for (int i = 0; i < 2; i++) {
		b[i] = udp(1, BERTH_IPV4);
		assert_int_equal(berth_sock_set(w.st[1], b[i], BERTH_REUSEADDR, 1), 0);
		assert_int_equal(berth_sock_bind(w.st[1], b[i], &any), 0);
	}
	assert_int_equal(send_to(0, a, all, "x", 1), -EACCES);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_BROADCAST, 1), 0);
	assert_int_equal(send_to(0, a, all, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, b[0], got, 9, NULL), 1);
	assert_int_equal(take(1, b[1], got, 9, NULL), 1);
	/* Nobody answers a broadcast with an error (S11). */
	all.port = 68;
	assert_int_equal(send_to(0, a, all, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(two_counters(&w, 1).icmp_out, 0);
	two_end(&w);
}

/* --- checksums --- */
struct sum_case {
	const char *name;
	bool is6;
	int what; /* 0 as it is, 1 zero, 2 wrong */
	bool arrives;
};
static const struct sum_case sum_cases[] = {
	{"a good checksum over IPv4", false, 0, true},	       {"none at all over IPv4 is fine", false, 1, true},
	{"a wrong one over IPv4 is dropped", false, 2, false}, {"a good one over IPv6", true, 0, true},
	{"none over IPv6 is refused", true, 1, false},	       {"a wrong one over IPv6 is dropped", true, 2, false},
};

static void run_sum(void **state)
{
	const struct sum_case *c = *state;
	struct berth_addr at = c->is6 ? addr6(0xfd00, 2, 53) : berth_addr4(10, 0, 0, 2, 53);
	uint32_t l4 = c->is6 ? 40 : 20;
	struct berth_rx rx = {.head = w.last, .iface = 0};
	struct berth_part part;
	berth_sock a, b;

	two_begin(&w, &bare_ip);
	a = udp(0, c->is6 ? BERTH_IPV6 : BERTH_IPV4);
	b = udp_at_port(1, c->is6 ? BERTH_IPV6 : BERTH_IPV4, at);
	w.cut = true;
	assert_int_equal(send_to(0, a, at, "checksummed", 11), 1);
	two_settle(&w);
	assert_int_equal(w.last_len, l4 + 8 + 11);
	if (c->what == 1)
		w.last[l4 + 6] = w.last[l4 + 7] = 0;
	if (c->what == 2)
		w.last[l4 + 7] ^= 1;
	/* In two pieces, cut at an odd octet of the payload. */
	part = (struct berth_part){w.last + l4 + 11, w.last_len - l4 - 11};
	rx.head_len = l4 + 11;
	rx.parts = &part;
	rx.n_parts = 1;
	berth_stack_input(w.st[1], &rx, 1, w.now_ns);
	assert_int_equal(take(1, b, got, 99, NULL), c->arrives ? 11 : -EAGAIN);
	assert_int_equal(two_counters(&w, 1).dropped_checksum, !c->arrives);
	if (c->arrives)
		assert_memory_equal(got, "checksummed", 11);
	two_end(&w);
}

static void the_length_field_says_what_is_data(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_rx rx = {.head = w.last};
	static const struct {
		uint16_t len;
		int64_t want;
	} rows[] = {{19, 11}, {12, 4}, {8, 0}, {7, -EAGAIN}, {0, -EAGAIN}, {20, -EAGAIN}, {65535, -EAGAIN}};
	berth_sock a, b;

	(void)state;
	two_begin(&w, &bare_ip);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_NO_CHECKSUM, 1), 0);
	w.cut = true;
	assert_int_equal(send_to(0, a, at, "checksummed", 11), 1);
	two_settle(&w);
	assert_int_equal(w.last[26] | w.last[27], 0); /* sent without one */
	rx.head_len = w.last_len;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		w.last[24] = (uint8_t)(rows[i].len >> 8);
		w.last[25] = (uint8_t)rows[i].len;
		berth_stack_input(w.st[1], &rx, 1, w.now_ns);
		assert_int_equal(take(1, b, got, 99, NULL), rows[i].want);
	}
	two_end(&w);
}

/* --- ourselves --- */
static void a_datagram_to_ourselves_never_leaves(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 1, 53), lo = berth_addr4(127, 0, 0, 1, 53);
	berth_sock a, b;
	uint64_t before;

	(void)state;
	fill_big();
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(0, BERTH_IPV4, berth_addr4(0, 0, 0, 0, 53));
	two_run(&w, 30 * SECOND); /* what IP says by itself */
	before = w.n_frames[0];
	assert_int_equal(send_to(0, a, at, big, 20000), 1);
	assert_int_equal(send_to(0, a, lo, "loop", 4), 1);
	two_settle(&w);
	assert_int_equal(take(0, b, got, sizeof(got), NULL), 20000);
	assert_memory_equal(got, big, 20000);
	assert_int_equal(take(0, b, got, sizeof(got), NULL), 4);
	assert_int_equal(w.n_frames[0], before);
	two_end(&w);
}

/* --- pins: what was given out stays until it is undone, also when the socket is closed --- */
static void pinned_octets_stay(void **state)
{
	struct two_how how = {.link = BERTH_LINK_IP,
			      .config = {.flags = BERTH_STACK_PIN, .udp_ring_bytes = 4096, .n_udp = 1}};
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_tx tx[64];
	unsigned n, sent = 0;
	berth_sock a, other;

	(void)state;
	two_begin(&w, &how);
	a = udp(0, BERTH_IPV4);
	fill_big();
	while (send_to(0, a, at, big + sent * 100, 100) == 1)
		sent++;
	assert_int_equal(sent, 21);
	n = berth_stack_output(w.st[0], tx, 64, w.now_ns);
	assert_int_equal(n, 21);
	assert_int_equal(send_to(0, a, at, big, 100), -EAGAIN); /* all pinned */
	berth_stack_unpin(w.st[0], tx[1].pin);
	berth_stack_unpin(w.st[0], tx[1].pin); /* once too often */
	berth_stack_unpin(w.st[0], tx[2].pin ^ 1);
	assert_int_equal(send_to(0, a, at, big, 100), -EAGAIN); /* the first is in front of it */
	berth_stack_unpin(w.st[0], tx[0].pin);
	assert_int_equal(send_to(0, a, at, big, 100), 1);
	assert_true(berth_stack_check(w.st[0]));
	assert_int_equal(berth_sock_close(w.st[0], a), 0);
	assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV4, 0, &other), -ENOBUFS);
	assert_int_equal(berth_stack_output(w.st[0], tx, 1, w.now_ns), 1);
	berth_stack_unpin(w.st[0], tx[0].pin);
	for (unsigned i = 2; i < n; i++) {
		assert_memory_equal(tx[i].parts[0].data, big + i * 100, 100);
		berth_stack_unpin(w.st[0], tx[i].pin);
	}
	assert_int_equal(berth_sock_open(w.st[0], BERTH_UDP, BERTH_IPV4, 0, &other), 0);
	two_end(&w);
}

static void what_was_sent_leaves_after_close(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	berth_sock a, b;

	(void)state;
	two_begin(&w, &ethernet); /* the neighbour is unknown yet, too */
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(send_to(0, a, at, "last words", 10), 1);
	assert_int_equal(berth_sock_close(w.st[0], a), 0);
	assert_int_equal(berth_sock_close(w.st[0], a), -EBADF);
	assert_int_equal(send_to(0, a, at, "x", 1), -EBADF);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 99, NULL), 10);
	two_end(&w);
}

/* --- who gets it: reuse groups, connected before not, and bound devices --- */
static void a_reuse_group_shares_by_flow(void **state)
{
	struct berth_addr at = berth_addr4(0, 0, 0, 0, 53), to_b = berth_addr4(10, 0, 0, 2, 53);
	berth_sock b[4];
	int n[4] = {0};

	(void)state;
	two_begin(&w, &bare_ip);
	for (int i = 0; i < 4; i++) {
		b[i] = udp(1, BERTH_IPV4);
		assert_int_equal(berth_sock_set(w.st[1], b[i], BERTH_REUSEPORT, 1), 0);
		assert_int_equal(berth_sock_bind(w.st[1], b[i], &at), 0);
	}
	for (int k = 0; k < 200; k++) {
		berth_sock a = udp(0, BERTH_IPV4);

		assert_int_equal(send_to(0, a, to_b, "x", 1), 1);
		assert_int_equal(send_to(0, a, to_b, "x", 1), 1); /* of one flow: to the same */
		two_settle(&w);
		for (int i = 0; i < 4; i++) {
			int64_t r = take(1, b[i], got, 9, NULL);

			if (r != 1)
				continue;
			assert_int_equal(take(1, b[i], got, 9, NULL), 1);
			n[i]++;
		}
		assert_int_equal(berth_sock_close(w.st[0], a), 0);
	}
	assert_int_equal(n[0] + n[1] + n[2] + n[3], 200);
	for (int i = 0; i < 4; i++)
		assert_in_range(n[i], 20, 90);
	two_end(&w);
}

static void the_connected_goes_before_the_others(void **state)
{
	struct berth_addr here = berth_addr4(10, 0, 0, 1, 4000), at = berth_addr4(0, 0, 0, 0, 53),
			  to_b = berth_addr4(10, 0, 0, 2, 53);
	berth_sock a, b, loose;

	(void)state;
	two_begin(&w, &bare_ip);
	a = udp_at_port(0, BERTH_IPV4, here);
	b = udp(1, BERTH_IPV4);
	loose = udp(1, BERTH_IPV4);
	assert_int_equal(berth_sock_set(w.st[1], b, BERTH_REUSEADDR, 1), 0);
	assert_int_equal(berth_sock_set(w.st[1], loose, BERTH_REUSEADDR, 1), 0);
	assert_int_equal(berth_sock_bind(w.st[1], b, &at), 0);
	assert_int_equal(berth_sock_bind(w.st[1], loose, &at), 0);
	assert_int_equal(berth_sock_connect(w.st[1], b, &here), 0);
	assert_int_equal(send_to(0, a, to_b, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, NULL), 1);
	/* Disconnected it is bound as before, and the one bound last hears. */
	assert_int_equal(berth_sock_connect(w.st[1], b, NULL), 0);
	assert_int_equal(berth_sock_names(w.st[1], b, &to_b, NULL), 0);
	assert_int_equal(to_b.port, 53);
	to_b = berth_addr4(10, 0, 0, 2, 53);
	assert_int_equal(send_to(0, a, to_b, "y", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, loose, got, 9, NULL), 1);
	assert_int_equal(take(1, b, got, 9, NULL), -EAGAIN);
	two_end(&w);
}

/* A connected socket that is bound to an interface hears nothing from another one (SO_BINDTODEVICE): who is bound to none does. */
static void a_bound_interface_counts_for_the_connected(void **state)
{
	struct berth_iface second = {.struct_size = sizeof(second), .mtu_bytes = 1500, .flags = BERTH_IF_NO_DAD};
	struct berth_addr a4 = berth_addr4(10, 0, 0, 9, 0), at = berth_addr4(10, 0, 0, 9, 53),
			  any = berth_addr4(0, 0, 0, 0, 53), here = berth_addr4(10, 0, 0, 1, 4000);
	berth_sock a, bound, loose;
	uint16_t iface;

	(void)state;
	two_begin(&w, &bare_ip);
	assert_int_equal(berth_iface_add(w.st[1], &second, &iface), 0);
	assert_int_equal(berth_addr_add(w.st[1], iface, &a4, 24), 0);
	a = udp_at_port(0, BERTH_IPV4, here);
	bound = udp(1, BERTH_IPV4);
	assert_int_equal(berth_sock_set(w.st[1], bound, BERTH_BIND_IFACE, iface + 1u), 0);
	assert_int_equal(berth_sock_set(w.st[1], bound, BERTH_REUSEADDR, 1), 0);
	assert_int_equal(berth_sock_bind(w.st[1], bound, &at), 0);
	assert_int_equal(berth_sock_connect(w.st[1], bound, &here), 0);
	assert_int_equal(send_to(0, a, at, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, bound, got, 9, NULL), -EAGAIN);
	loose = udp(1, BERTH_IPV4);
	assert_int_equal(berth_sock_set(w.st[1], loose, BERTH_REUSEADDR, 1), 0);
	assert_int_equal(berth_sock_bind(w.st[1], loose, &any), 0);
	assert_int_equal(send_to(0, a, at, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, bound, got, 9, NULL), -EAGAIN);
	assert_int_equal(take(1, loose, got, 9, NULL), 1);
	two_end(&w);
}

static void a_dual_stack_socket_has_both_families(void **state)
{
	struct berth_addr any = {.port = 53}, four = berth_addr4(10, 0, 0, 2, 53), six = addr6(0xfd00, 2, 53);
	struct berth_dgram d;
	berth_sock a, b;

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV6);
	b = udp_at_port(1, BERTH_IPV6, any);
	assert_int_equal(send_to(0, a, four, "four", 4), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, &d), 4);
	assert_memory_equal(d.local.ip, four.ip, 16);
	assert_int_equal(send_to(1, b, d.peer, "back", 4), 1);
	assert_int_equal(send_to(0, a, six, "sixes", 5), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, &d), 5);
	assert_memory_equal(d.local.ip, six.ip, 16);
	assert_int_equal(take(0, a, got, 9, NULL), 4);
	two_end(&w);
}

/* --- fields of IP --- */
static void ttl_and_tos_are_the_datagrams_or_the_sockets(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_dgram d;
	berth_sock a, b;

	(void)state;
	two_begin(&w, &bare_ip);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_TTL, 9), 0);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_TOS, 0xb8), 0);
	assert_int_equal(send_to(0, a, at, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, &d), 1);
	assert_true(d.ttl == 9 && d.tos == 0xb8);
	d = to(at, "x", 1);
	d.ttl = 77;
	d.tos = 3; /* CE: a program may, as a test of ECN does */
	assert_int_equal(berth_sock_udp_send(w.st[0], a, &d, 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, &d), 1);
	assert_true(d.ttl == 77 && d.tos == 3 && d.iface == 0);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_TTL, 0), 0); /* the default again */
	assert_int_equal(send_to(0, a, at, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, &d), 1);
	assert_int_equal(d.ttl, 64);
	two_end(&w);
}

struct df_case {
	const char *name;
	uint64_t pmtudisc;
	uint32_t len;
	int result;
	bool df; /* of the first frame */
};
static const struct df_case df_cases[] = {
	{"never: fits, and may be cut on the way", 0, 100, 1, false},
	{"never: cut here", 0, 3000, 1, false},
	{"want: fits, and must not be cut", 1, 100, 1, true},
	{"want: cut here", 1, 3000, 1, false},
	{"do: fits", 2, 100, 1, true},
	{"do: too large", 2, 3000, -EMSGSIZE, false},
	{"probe: fits", 3, 100, 1, true},
	{"probe: larger than the interface's", 3, 3000, -EMSGSIZE, false},
};

static void run_df(void **state)
{
	const struct df_case *c = *state;
	struct berth_tx tx[8];
	berth_sock a;

	two_begin(&w, &bare_ip);
	a = udp(0, BERTH_IPV4);
	two_run(&w, 30 * SECOND);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_PMTUDISC, c->pmtudisc), 0);
	assert_int_equal(send_to(0, a, berth_addr4(10, 0, 0, 2, 53), big, c->len), c->result);
	if (c->result == 1) {
		assert_true(berth_stack_output(w.st[0], tx, 8, w.now_ns) > 0);
		assert_int_equal((tx[0].head[6] & 0x40) != 0, c->df);
		assert_int_equal((tx[0].head[6] & 0x20) != 0, c->len > 1472);
	}
	two_end(&w);
}

/* --- S30 --- */
static void s30_octets_behind_a_ring_are_noticed(void **state)
{
	struct udp_sock *u;
	uint8_t *at[4];
	berth_sock s;

	(void)state;
	two_begin(&w, &bare_ip);
	s = udp(0, BERTH_IPV4);
	u = udp_at(w.st[0], (uint32_t)s & ~SOCK_ID_UDP);
	at[0] = u->rx.data + u->rx.size;
	at[1] = u->tx.data - 1;
	at[2] = u->tx.data + u->tx.size;
	at[3] = u->tx.data + u->tx.size + RING_GUARD - 1;
	assert_true(berth_stack_check(w.st[0]));
	for (unsigned i = 0; i < COUNT_OF(at); i++) {
		*at[i] = 0x80;
		assert_false(berth_stack_check(w.st[0]));
		*at[i] = 0;
		assert_true(berth_stack_check(w.st[0]));
	}
	two_end(&w);
}

/* --- flow labels --- */
static const struct two_how trains_by_device = {.link = BERTH_LINK_IP, .flags = BERTH_IF_TX_CSUM | BERTH_IF_USO};

/* Sends, and takes the frames that leave: all must have one label, which is returned. */
static uint32_t label_from(struct berth_addr local, berth_sock s, struct berth_addr at, uint32_t len, uint16_t gso_size,
			   unsigned n_frames)
{
	struct berth_dgram d = to(at, big, len);
	struct berth_tx tx[8];
	uint32_t label = 0;

	d.local = local;
	d.gso_size = gso_size;
	d.tos = 0xb8;
	assert_int_equal(berth_sock_udp_send(w.st[0], s, &d, 1), 1);
	assert_int_equal(berth_stack_output(w.st[0], tx, 8, w.now_ns), n_frames);
	for (unsigned i = 0; i < n_frames; i++) {
		uint32_t word = wire_get32(tx[i].head);

		assert_int_equal(word >> 20, 0x6b8);
		assert_int_equal(tx[i].gso != BERTH_GSO_NONE, gso_size != 0);
		assert_true(i == 0 || label == (word & 0xfffff));
		label = word & 0xfffff;
	}
	assert_int_not_equal(label, 0);
	return label;
}

static uint32_t label_of(berth_sock s, struct berth_addr at, uint32_t len, uint16_t gso_size, unsigned n_frames)
{
	return label_from((struct berth_addr){.port = 0}, s, at, len, gso_size, n_frames);
}

static void rfc_6437_a_flow_has_one_label(void **state)
{
	struct berth_addr at = addr6(0xfd00, 2, 53), others[] = {addr6(0xfd00, 2, 54), addr6(0xfd00, 3, 53)};
	struct berth_addr from[] = {addr6(0xfd00, 1, 5000), addr6(0xfd00, 1, 5001), addr6(0xfd01, 1, 5000)};
	uint32_t label, labels[5];
	berth_sock s[3];

	(void)state;
	fill_big();
	two_begin(&w, &trains_by_device);
	assert_int_equal(berth_addr_add(w.st[0], w.iface[0], &from[2], 64), 0);
	for (int i = 0; i < 3; i++)
		s[i] = udp_at_port(0, BERTH_IPV6, from[i]);
	label = labels[0] = label_of(s[0], at, 10, 0, 1);
	for (int i = 0; i < 2; i++)
		labels[1 + i] = label_of(s[0], others[i], 10, 0, 1);
	for (int i = 1; i < 3; i++)
		labels[2 + i] = label_of(s[i], at, 10, 0, 1);
	for (int i = 0; i < 5; i++)
		for (int k = 0; k < i; k++)
			assert_int_not_equal(labels[i], labels[k]);
	/* Whatever was sent in between, however it leaves, and whoever sends it next. */
	assert_int_equal(label_of(s[0], at, 1400, 0, 1), label);
	assert_int_equal(label_of(s[0], at, 4000, 0, 3), label);
	assert_int_equal(label_of(s[0], at, 4000, 1000, 1), label);
	assert_int_equal(berth_iface_set_mtu(w.st[0], w.iface[0], 1400), 0);
	assert_int_equal(label_of(s[0], at, 10, 0, 1), label);
	assert_int_equal(berth_sock_close(w.st[0], s[0]), 0);
	s[0] = udp_at_port(0, BERTH_IPV6, from[0]);
	assert_int_equal(label_of(s[0], at, 10, 0, 1), label);
	two_end(&w);
}

/* A socket whose port changes while its destination does not. */
static void rfc_6437_another_port_is_another_flow(void **state)
{
	struct berth_addr at = addr6(0xfd00, 2, 53), ours = addr6(0xfd00, 1, 0);
	uint32_t label;
	berth_sock s;

	(void)state;
	two_begin(&w, &trains_by_device);
	s = udp(0, BERTH_IPV6);
	assert_int_equal(berth_sock_connect(w.st[0], s, &at), 0);
	label = label_of(s, at, 10, 0, 1);
	assert_int_equal(berth_sock_connect(w.st[0], s, NULL), 0);
	assert_int_not_equal(label_from(ours, s, at, 10, 0, 1), label);
	two_end(&w);
}

/* --- S13: "too big" is believed of datagrams that left lately, and no others (RFC 5927, RFC 8201) --- */
struct too_big_case {
	const char *name;
	bool is6;
	const struct two_how *how; /* NULL: nothing is left to the device */
	uint32_t len;		   /* 0: 1400 */
	uint32_t mtu;		   /* what the router says; 0: 1000, IPv6 1300 */
	bool old_router;	   /* it says none */
	uint16_t gso_size;
	bool no_label;
	bool other_quote;  /* 200 octets of IPv4, 8 of UDP over IPv6; else 8 of UDP (RFC 792), 1000 of IPv6 */
	uint32_t at;	   /* octet of the quotation that is changed, from the IP header on; 0: none */
	uint64_t wait_ns;  /* from the datagram to the error */
	bool by_iface;	   /* the socket is bound to its interface, and not connected */
	uint8_t type;	   /* another error, of IPv6: its code is 4 of "unreachable" (port), 1 of "parameter problem" */
	bool may_cut;	   /* the socket's datagrams may be cut: no router says this of them */
	uint32_t nth;	   /* of the train's frames, as the device cut it */
	uint32_t believed; /* the path's MTU after it */
};
static const struct two_how csum_by_device = {.link = BERTH_LINK_IP, .flags = BERTH_IF_TX_CSUM};
static const struct too_big_case too_big_cases[] = {
	{"S13: too big: a datagram of ours", .believed = 1000},
	{"S13: too big: quoted in full", .other_quote = true, .believed = 1000},
	{"S13: too big: the floor", .mtu = 100, .believed = 552},
	{"S13: too big: a router that says no MTU", .old_router = true, .believed = 1006},
	{"S13: too big: from a port that nobody has", .at = 21, .believed = 1500},
	{"S13: too big: to a port that nothing went to", .at = 23, .believed = 1500},
	{"S13: too big: another identification", .at = 5, .believed = 1500},
	{"S13: too big: another length of UDP", .at = 25, .believed = 1500},
	{"S13: too big: another length of IP", .at = 3, .believed = 1500},
	{"S13: too big: what was sent fits what is claimed", .mtu = 1428, .believed = 1500},
	{"S13: too big: larger than what was sent", .mtu = 9000, .believed = 1500},
	{"S13: too big: a small datagram, which every link takes", .len = 500, .mtu = 520, .believed = 1500},
	{"S13: too big: long ago", .wait_ns = 10 * SECOND, .believed = 1500},
	{"S13: too big: two seconds ago", .wait_ns = 2 * SECOND, .believed = 1000},
	{"S13: too big: what may be cut", .may_cut = true, .believed = 1500},
	{"S13: too big: a socket of one interface", .by_iface = true, .believed = 1000},
	{"S13: too big: checksums are the device's", .how = &csum_by_device, .believed = 1000},
	{"S13: too big: a train's first datagram", .how = &trains_by_device, .len = 14000, .gso_size = 1400,
	 .believed = 1000},
	{"S13: too big: a train's ninth datagram", .how = &trains_by_device, .len = 14000, .gso_size = 1400, .nth = 8,
	 .believed = 1000},
	{"S13: too big: a train's, another length", .how = &trains_by_device, .len = 14000, .gso_size = 1400, .at = 25,
	 .believed = 1500},
	{"S13: too big: IPv6", .is6 = true, .believed = 1300},
	{"S13: too big: IPv6, below what every link takes (RFC 8201, 4)", .is6 = true, .mtu = 1279, .believed = 1500},
	{"S13: too big: IPv6, a number without sense", .is6 = true, .mtu = UINT32_MAX, .believed = 1500},
	{"S13: too big: IPv6, who cuts by himself, too: routers do not", .is6 = true, .may_cut = true,
	 .believed = 1300},
	{"S13: too big: IPv6, no whole quotation", .is6 = true, .other_quote = true, .believed = 1500},
	{"S13: too big: IPv6, another port", .is6 = true, .at = 43, .believed = 1500},
	{"S13: too big: IPv6, another length", .is6 = true, .at = 45, .believed = 1500},
	{"S13: too big: IPv6, another checksum", .is6 = true, .at = 47, .believed = 1500},
	{"S13: too big: IPv6, other octets", .is6 = true, .at = 49, .believed = 1500},
	{"S13: too big: IPv6, checksums are the device's", .is6 = true, .how = &csum_by_device, .believed = 1300},
	{"S13: too big: IPv6, the device's checksums, other octets", .is6 = true, .how = &csum_by_device, .at = 49,
	 .believed = 1500},
	{"S13: too big: IPv6, a fragment", .is6 = true, .len = 4000, .believed = 1300},
	{"S13: too big: IPv6, a fragment with another checksum", .is6 = true, .len = 4000, .at = 55, .believed = 1500},
	{"S13: too big: IPv6, long ago", .is6 = true, .wait_ns = 10 * SECOND, .believed = 1500},
	{"S13: too big: IPv6, another flow label", .is6 = true, .at = 3, .believed = 1500},
	{"S13: too big: IPv6, no flow label", .is6 = true, .no_label = true, .believed = 1500},
	{"S13: too big: IPv6, a fragment with another flow label", .is6 = true, .len = 4000, .at = 2, .believed = 1500},
	{"S13: too big: IPv6, a train's, the device's checksums", .is6 = true, .how = &trains_by_device, .len = 14000,
	 .gso_size = 1400, .believed = 1300},
	{"S13: too big: IPv6, a train's, another flow label", .is6 = true, .how = &trains_by_device, .len = 14000,
	 .gso_size = 1400, .at = 1, .believed = 1500},
	{"S13: refused: IPv6", .is6 = true, .type = 1, .len = 20, .believed = 1500},
	{"S13: refused: IPv6, another flow label", .is6 = true, .type = 1, .len = 20, .at = 3, .believed = 1500},
	{"S13: no such protocol: IPv6", .is6 = true, .type = 4, .len = 20, .believed = 1500},
	{"S13: no such protocol: IPv6, no flow label", .is6 = true, .type = 4, .len = 20, .no_label = true,
	 .believed = 1500},
};

/* What a router on the way says of the frame that is in w.last, of quoted octets. */
static void say_error(bool is6, uint8_t type, uint8_t code, uint32_t mtu, uint32_t quoted)
{
	uint32_t l4 = is6 ? 40 : 20, len = l4 + 8 + quoted;
	static uint8_t icmp[1500];
	struct berth_rx rx = {.head = icmp, .head_len = len};
	struct port_addr src, dst;
	uint8_t *p = icmp + l4;

	memset(icmp, 0, sizeof(icmp));
	if (is6)
		memcpy(icmp, (uint8_t[8]){0x60, 0, 0, 0, (uint8_t)((len - 40) >> 8), (uint8_t)(len - 40), 58, 64}, 8);
	else
		memcpy(icmp,
		       (uint8_t[16]){0x45, 0, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0,
				     254},
		       16);
	memcpy(is6 ? icmp + 24 : icmp + 16, is6 ? w.last + 8 : w.last + 12, is6 ? 16 : 4); /* to whom it quotes */
	if (is6)
		memcpy(icmp + 8, (uint8_t[16]){0xfd, [15] = 0xfe}, 16);
	p[0] = type;
	p[1] = code;
	wire_put32(p + 4, mtu);
	memcpy(p + 8, w.last, quoted);
	src = is6 ? port_addr_from6(icmp + 8, 0) : port_addr_v4(10, 0, 0, 254);
	dst = is6 ? port_addr_from6(icmp + 24, 0) : port_addr_v4(icmp[16], icmp[17], icmp[18], icmp[19]);
	wire_checksum_fill(&src, &dst, is6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP4, p, len - l4, 0, 0);
	if (!is6)
		wire_put16(icmp + 10, wire_checksum(wire_sum(0, icmp, 20)));
	berth_stack_input(w.st[0], &rx, 1, w.now_ns);
}

static void say_too_big(bool is6, uint32_t mtu, uint32_t quoted)
{
	say_error(is6, is6 ? 2 : 3, is6 ? 0 : 4, mtu, quoted);
}

/* The nth frame that a device makes of the super-frame in w.last. */
static void cut_super(bool is6, uint32_t nth, uint32_t gso_size)
{
	uint32_t l4 = is6 ? 40 : 20;

	if (is6) {
		wire_put16(w.last + 4, (uint16_t)(8 + gso_size));
	} else {
		wire_put16(w.last + 2, (uint16_t)(28 + gso_size));
		wire_put16(w.last + 4, (uint16_t)(wire_get16(w.last + 4) + nth));
	}
	wire_put16(w.last + l4 + 4, (uint16_t)(8 + gso_size));
	wire_put16(w.last + l4 + 6, 0x1234); /* a checksum that we never saw */
	memcpy(w.last + l4 + 8, big + nth * gso_size, gso_size);
	w.last_len = l4 + 8 + gso_size;
}

static void run_too_big(void **state)
{
	const struct too_big_case *c = *state;
	struct berth_addr at = c->is6 ? addr6(0xfd00, 2, 53) : berth_addr4(10, 0, 0, 2, 53);
	struct port_addr peer = port_addr_from6(at.ip, 0);
	uint32_t quoted = c->is6 ? (c->other_quote ? 48 : 1000) : (c->other_quote ? 200 : 28);
	uint32_t mtu = c->mtu != 0 ? c->mtu : c->is6 ? 1300 : 1000, n = 0;
	struct berth_dgram d = to(at, big, c->len != 0 ? c->len : 1400);
	uint64_t err, rejected;
	struct berth_tx tx[8];
	berth_sock a;
	bool heard;

	fill_big();
	two_begin(&w, c->how != NULL ? c->how : &bare_ip);
	two_run(&w, 30 * SECOND);
	a = udp(0, c->is6 ? BERTH_IPV6 : BERTH_IPV4);
	if (c->by_iface)
		assert_int_equal(berth_sock_set(w.st[0], a, BERTH_BIND_IFACE, w.iface[0] + 1u), 0);
	else
		assert_int_equal(berth_sock_connect(w.st[0], a, &at), 0);
	if (c->may_cut)
		assert_int_equal(berth_sock_set(w.st[0], a, BERTH_PMTUDISC, 0), 0);
	d.gso_size = c->gso_size;
	assert_int_equal(berth_sock_udp_send(w.st[0], a, &d, 1), 1);
	assert_in_range(berth_stack_output(w.st[0], tx, 8, w.now_ns), 1, 8);
	two_keep(&w, &tx[0]);
	if (c->gso_size != 0)
		cut_super(c->is6, c->nth, c->gso_size);
	else if (tx[0].flags & BERTH_F_NEEDS_CSUM)
		wire_put16(w.last + (c->is6 ? 46 : 26), 0x1234); /* the device's */
	w.now_ns += c->wait_ns;
	berth_stack_tick(w.st[0], w.now_ns, 100);
	if (c->at != 0)
		w.last[c->at] ^= 1;
	if (c->no_label)
		wire_put32(w.last, wire_get32(w.last) & 0xfff00000);
	rejected = two_counters(&w, 0).icmp_rejected;
	if (c->type != 0)
		say_error(true, c->type, c->type == 1 ? 4 : 1, 0, w.last_len);
	else
		say_too_big(c->is6, c->old_router ? 0 : mtu, quoted);
	assert_int_equal(pmtu_get(w.st[0], &peer, 1500), c->believed);
	heard = c->type != 0 ? c->at == 0 && !c->no_label : c->believed != 1500;
	assert_int_equal(two_counters(&w, 0).icmp_rejected - rejected, !heard);
	assert_int_equal(berth_sock_get(w.st[0], a, BERTH_SO_ERROR, &err), 0);
	assert_int_equal(err, !heard || c->by_iface || c->may_cut ? 0
			      : c->type == 0			  ? EMSGSIZE
			      : c->type == 1			  ? ECONNREFUSED
								  : ENOPROTOOPT);
	/* What follows is cut to size. */
	d = to(at, big, 1420);
	assert_int_equal(berth_sock_udp_send(w.st[0], a, &d, 1), 1);
	two_settle(&w);
	while (c->believed < 1500 && berth_sock_udp_send(w.st[0], a, &d, 1) == 1 &&
	       berth_stack_output(w.st[0], &tx[0], 1, w.now_ns) == 1 && n++ < 2)
		assert_in_range(tx[0].len, 1, c->believed);
	two_end(&w);
}

/* A second socket whose datagram was too big for what is known by then is told, too. */
static void too_big_is_said_to_each_socket(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct berth_tx tx[2][4];
	berth_sock a[2];
	uint64_t err;

	(void)state;
	fill_big();
	two_begin(&w, &bare_ip);
	two_run(&w, 30 * SECOND);
	for (int i = 0; i < 2; i++) {
		a[i] = udp(0, BERTH_IPV4);
		assert_int_equal(berth_sock_connect(w.st[0], a[i], &at), 0);
		assert_int_equal(berth_sock_send(w.st[0], a[i], big, 1400, 0), 1400);
		assert_int_equal(berth_stack_output(w.st[0], tx[i], 4, w.now_ns), 1);
	}
	for (int i = 0; i < 2; i++) {
		two_keep(&w, &tx[i][0]);
		say_too_big(false, 1000, 28);
		assert_int_equal(berth_sock_get(w.st[0], a[i], BERTH_SO_ERROR, &err), 0);
		assert_int_equal(err, EMSGSIZE);
	}
	two_end(&w);
}

/* Far more large datagrams than are remembered one by one: then the memory believes rather than forgets. */
static void a_flood_of_our_own_hides_no_error(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	struct port_addr peer = port_addr_from6(at.ip, 0);
	static uint8_t early[1500];
	struct berth_tx tx[4];
	berth_sock a;

	(void)state;
	fill_big();
	two_begin(&w, &bare_ip);
	two_run(&w, 30 * SECOND);
	a = udp(0, BERTH_IPV4);
	assert_int_equal(berth_sock_connect(w.st[0], a, &at), 0);
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(berth_sock_send(w.st[0], a, big, 1400, 0), 1400);
		assert_int_equal(berth_stack_output(w.st[0], tx, 4, w.now_ns), 1);
		if (i == 0) {
			two_keep(&w, &tx[0]);
			memcpy(early, w.last, 100);
		}
	}
	memcpy(w.last, early, 100);
	say_too_big(false, 1000, 28);
	assert_int_equal(pmtu_get(w.st[0], &peer, 1500), 1000);
	two_end(&w);
}

/* An interface that goes takes the memberships along: the next one of its number has none. */
static void a_membership_ends_with_its_interface(void **state)
{
	struct berth_addr any = berth_addr4(0, 0, 0, 0, 5353), group = berth_addr4(239, 1, 2, 3, 5353);
	struct berth_iface again = {.struct_size = sizeof(again), .mtu_bytes = 1500, .flags = BERTH_IF_NO_DAD};
	struct port_addr g = port_addr_v4(239, 1, 2, 3);
	uint16_t iface;
	berth_sock b;

	(void)state;
	two_begin(&w, &bare_ip);
	b = udp_at_port(1, BERTH_IPV4, any);
	assert_int_equal(berth_sock_join(w.st[1], b, &group, w.iface[1]), 0);
	assert_int_equal(berth_iface_remove(w.st[1], w.iface[1]), 0);
	assert_int_equal(berth_iface_add(w.st[1], &again, &iface), 0);
	assert_int_equal(iface, w.iface[1]);
	assert_int_equal(berth_sock_join(w.st[1], b, &group, iface), 0);
	assert_true(group_is_member(w.st[1], iface, &g));
	two_end(&w);
}

static void a_group_of_ipv6(void **state)
{
	struct berth_addr any = {.port = 5353}, group = {.ip = {0xff, 0x05, [15] = 0xfb}, .port = 5353};
	berth_sock a, b;

	(void)state;
	two_begin(&w, &ethernet);
	a = udp(0, BERTH_IPV6);
	b = udp_at_port(1, BERTH_IPV6, any);
	assert_int_equal(berth_sock_join(w.st[1], b, &group, 0), 0);
	two_run(&w, 30 * SECOND);
	assert_int_equal(berth_sock_set(w.st[0], a, BERTH_MULTICAST_IFACE, 1), 0);
	assert_int_equal(send_to(0, a, group, "all", 3), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, NULL), 3);
	two_end(&w);
}

static void nothing_arrives_after_shutdown(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53), here;
	berth_sock a, b;

	(void)state;
	two_begin(&w, &bare_ip);
	a = udp_at_port(0, BERTH_IPV4, berth_addr4(10, 0, 0, 1, 4000));
	b = udp_at_port(1, BERTH_IPV4, at);
	here = berth_addr4(10, 0, 0, 1, 4000);
	assert_int_equal(berth_sock_connect(w.st[1], b, &here), 0);
	assert_int_equal(berth_sock_shutdown(w.st[1], b, BERTH_SHUT_RD), 0);
	assert_true(berth_sock_poll(w.st[1], b) & BERTH_EV_RDHUP);
	assert_int_equal(send_to(0, a, at, "x", 1), 1);
	two_settle(&w);
	assert_int_equal(take(1, b, got, 9, NULL), 9); /* no datagram: the room is as it was */
	assert_int_equal(berth_sock_recv(w.st[1], b, got, 9), 0);
	two_end(&w);
}

static void a_receive_buffer_can_be_smaller(void **state)
{
	struct berth_addr at = berth_addr4(10, 0, 0, 2, 53);
	berth_sock a, b;
	uint64_t v;

	(void)state;
	two_begin(&w, &bare_ip);
	a = udp(0, BERTH_IPV4);
	b = udp_at_port(1, BERTH_IPV4, at);
	assert_int_equal(berth_sock_set(w.st[1], b, BERTH_RCVBUF, 1000), 0);
	assert_int_equal(berth_sock_get(w.st[1], b, BERTH_RCVBUF, &v), 0);
	assert_int_equal(v, 1000);
	for (int i = 0; i < 10; i++)
		assert_int_equal(send_to(0, a, at, big, 300), 1);
	two_settle(&w);
	assert_int_equal(two_counters(&w, 1).udp_queue_full, 8); /* two of 384 */
	while (take(1, b, got, sizeof(got), NULL) > 0)
		;
	assert_int_equal(send_to(0, a, at, big, 5000), 1); /* one may always be there */
	two_settle(&w);
	assert_int_equal(take(1, b, got, sizeof(got), NULL), 5000);
	two_end(&w);
}

#define ROWS(cases, run)                                                             \
	for (size_t i = 0; i < COUNT_OF(cases); i++)                                 \
		tests[n++] = (struct CMUnitTest)                                     \
		{                                                                    \
			cases[i].name, run, NULL, NULL, (void *)(uintptr_t)&cases[i] \
		}

int main(void)
{
	static const struct CMUnitTest plain[] = {
		cmocka_unit_test(what_cannot_be_sent),
		cmocka_unit_test(a_connected_socket_hears_its_peer_alone),
		cmocka_unit_test(a_refusal_reaches_the_connected_and_nobody_else),
		cmocka_unit_test(a_full_queue_drops_and_counts),
		cmocka_unit_test(a_sender_is_told_when_there_is_room_again),
		cmocka_unit_test(a_sender_is_told_when_what_was_sent_cannot_go),
		cmocka_unit_test(an_mtu_that_grows_between_fragments),
		cmocka_unit_test(a_short_room_truncates),
		{"S19: an unknown neighbour lets others pass", an_unknown_neighbour_lets_others_pass, NULL, NULL, NULL},
		cmocka_unit_test(what_waited_for_a_neighbour_arrives),
		cmocka_unit_test(a_group_gets_a_copy_each),
		cmocka_unit_test(our_own_groups_hear_us),
		{"S11: a broadcast needs permission, reaches all, and is answered by none",
		 a_broadcast_needs_permission_and_reaches_all, NULL, NULL, NULL},
		{"S1: the length field says what is data, and never more than there is",
		 the_length_field_says_what_is_data, NULL, NULL, NULL},
		cmocka_unit_test(a_datagram_to_ourselves_never_leaves),
		cmocka_unit_test(pinned_octets_stay),
		cmocka_unit_test(what_was_sent_leaves_after_close),
		cmocka_unit_test(a_reuse_group_shares_by_flow),
		cmocka_unit_test(the_connected_goes_before_the_others),
		cmocka_unit_test(a_bound_interface_counts_for_the_connected),
		cmocka_unit_test(a_dual_stack_socket_has_both_families),
		cmocka_unit_test(ttl_and_tos_are_the_datagrams_or_the_sockets),
		cmocka_unit_test(s30_octets_behind_a_ring_are_noticed),
		cmocka_unit_test(rfc_6437_a_flow_has_one_label),
		cmocka_unit_test(rfc_6437_another_port_is_another_flow),
		cmocka_unit_test(too_big_is_said_to_each_socket),
		cmocka_unit_test(a_flood_of_our_own_hides_no_error),
		cmocka_unit_test(a_membership_ends_with_its_interface),
		cmocka_unit_test(a_group_of_ipv6),
		cmocka_unit_test(nothing_arrives_after_shutdown),
		cmocka_unit_test(a_receive_buffer_can_be_smaller),
	};
	struct CMUnitTest tests[COUNT_OF(plain) + COUNT_OF(size_cases) + COUNT_OF(train_cases) + COUNT_OF(sum_cases) +
				COUNT_OF(df_cases) + COUNT_OF(too_big_cases) + COUNT_OF(hears_cases)];
	size_t n = COUNT_OF(plain);

	memcpy(tests, plain, sizeof(plain));
	ROWS(size_cases, run_size);
	ROWS(train_cases, run_train);
	ROWS(sum_cases, run_sum);
	ROWS(df_cases, run_df);
	ROWS(too_big_cases, run_too_big);
	ROWS(hears_cases, run_hears);
	return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
