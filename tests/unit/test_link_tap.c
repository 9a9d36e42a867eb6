/* tests/unit/test_link_tap.c: virtio headers are written whole and believed only as far as the frame bears them out (S28), over a
 * pair of sockets in place of a device; and pcapng blocks are what the format says. */
#include "link_fixture.h"

#include <linux/virtio_net.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "link/pcap.h"
#include "link/tap.h"

static uint8_t data[LINK_FRAME_MAX];

struct header_case {
	const char *name;
	struct tap_header h;
	struct fix x;
	int result;
};

#define T4                                                    \
	{                                                     \
		BERTH_LINK_ETHERNET, 4, 1, WIRE_TCP_ACK, 3000 \
	}
#define NEEDS VIRTIO_NET_HDR_F_NEEDS_CSUM
static const struct header_case headers[] = {
	{"S28: nothing asked for", {0}, T4, 0},
	{"S28: a checksum of TCP", {NEEDS, .csum_start = 34, .csum_offset = 16}, T4, 0},
	{"S28: a checksum that begins in the IP header", {NEEDS, .csum_start = 14, .csum_offset = 16}, T4, -EBADMSG},
	{"S28: a checksum at another place than TCP's", {NEEDS, .csum_start = 34, .csum_offset = 6}, T4, -EBADMSG},
	{"S28: a checksum beyond the frame", {NEEDS, .csum_start = 65535, .csum_offset = 16}, T4, -EBADMSG},
	{"S28: a super-frame", {NEEDS, 1, 54, 1448, 34, 16}, T4, 0},
	{"S28: a super-frame of the other family", {NEEDS, 4, 54, 1448, 34, 16}, T4, -EBADMSG},
	{"S28: a super-frame of an unknown kind", {NEEDS, 2, 54, 1448, 34, 16}, T4, -EBADMSG},
	{"S28: a super-frame of no size", {NEEDS, 1, 54, 0, 34, 16}, T4, -EBADMSG},
	{"S28: TCP called UDP", {NEEDS, 5, 42, 1448, 34, 6}, T4, -EBADMSG},
	{"S28: fragments of UDP are not for us",
	 {0, 3, 42, 1448, 0, 0},
	 {BERTH_LINK_ETHERNET, 4, 1, 0, 3000, .udp = true},
	 -EBADMSG},
	{"S28: UDP, in segments", {NEEDS, 5, 42, 1000, 34, 6}, {BERTH_LINK_ETHERNET, 4, 1, 0, 3000, .udp = true}, 0},
};

static void header(void **state)
{
	const struct header_case *c = *state;
	uint32_t len = fix_put(&c->x, data, sizeof(data));
	struct berth_rx rx = {.iface = 99};

	assert_int_equal(tap_header_check(&c->h, data, len, c->x.link, 3, &rx), c->result);
	if (c->result < 0) {
		assert_int_equal(rx.iface, 99); /* set only on success */
		return;
	}
	assert_int_equal(rx.iface, 3);
	assert_int_equal(rx.gso, c->h.gso);
	assert_int_equal(rx.gso_size, c->h.gso ? c->h.gso_size : 0);
	assert_int_equal(rx.csum_start, c->h.csum_start);
}

static void a_header_is_whole(void **state)
{
	struct fix x = {BERTH_LINK_ETHERNET, 4, 1, WIRE_TCP_ACK, 3000, .gso_size = 1000};
	struct tap_header h, zero = {0};
	struct berth_tx tx;

	(void)state;
	fix_tx(&x, data, &tx);
	memset(&h, 0xff, sizeof(h));
	tap_header_from(&tx, &h);
	assert_int_equal(h.gso, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.hdr_len, 54);
	assert_int_equal(h.csum_start, 34);
	x.gso_size = 0;
	fix_tx(&x, data, &tx);
	tx.csum_start = 9; /* without NEEDS_CSUM it says nothing */
	memset(&h, 0xff, sizeof(h));
	tap_header_from(&tx, &h);
	assert_memory_equal(&h, &zero, sizeof(h));
}

static void through_a_descriptor(void **state)
{
	struct fix x = {BERTH_LINK_ETHERNET, 6, 1, WIRE_TCP_ACK, 2000, .gso_size = 1000};
	struct berth_tx tx[2];
	struct berth_rx rx[4];
	struct tap a, b;
	int fd[2], size = 1 << 20;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(tap_from_fd(fd[0], BERTH_LINK_ETHERNET, &a), 0);
	assert_int_equal(tap_from_fd(fd[1], BERTH_LINK_ETHERNET, &b), 0);
	assert_int_equal(tap_read(&b, 0, rx, 4), -EAGAIN);
	fix_tx(&x, data, &tx[0]);
	tx[1] = tx[0];
	assert_int_equal(tap_write(&a, tx, 2), 2);
	assert_int_equal(write(fd[0], "short", 5), 5); /* not even a virtio header */
	assert_int_equal(tap_read(&b, 5, rx, 4), 2);
	assert_int_equal(b.n_bad_header, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rx[i].head_len, tx[0].len);
		assert_int_equal(rx[i].gso, BERTH_GSO_TCP6);
		assert_int_equal(rx[i].gso_size, 1000);
		assert_int_equal(rx[i].iface, 5);
		assert_memory_equal(rx[i].head, data, tx[0].len);
	}
	tap_close(&a);
	tap_close(&b);
}

/* A frame that a device refuses with EINVAL leaves in pieces. A socket refuses nothing, so the device is one that has given up. */
static void refused_super_frames(void **state)
{
	struct fix x = {BERTH_LINK_ETHERNET, 4, 1, WIRE_TCP_ACK, 2500, .gso_size = 1000};
	struct berth_tx tx;
	struct berth_rx rx[4];
	struct tap a, b;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(tap_from_fd(fd[0], BERTH_LINK_ETHERNET, &a), 0);
	assert_int_equal(tap_from_fd(fd[1], BERTH_LINK_ETHERNET, &b), 0);
	a.gso_off = true;
	fix_tx(&x, data, &tx);
	assert_int_equal(tap_write(&a, &tx, 1), 1);
	assert_int_equal(a.n_resegmented, 1);
	assert_int_equal(tap_read(&b, 0, rx, 4), 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct link_view v;

		assert_int_equal(rx[i].gso, 0);
		assert_int_equal(link_view(rx[i].head, rx[i].head_len, BERTH_LINK_ETHERNET, &v), 0);
		assert_true(v.has_tcp && link_checksum_good(rx[i].head, &v));
		assert_int_equal(v.tcp.seq, 1 + 1000 * i);
	}
	tap_close(&a);
	tap_close(&b);
}

static void pcapng(void **state)
{
	static uint8_t buf[PCAP_BLOCK_MAX];
	const struct berth_part parts[2] = {{(const uint8_t *)"abc", 3}, {(const uint8_t *)"de", 2}};
	struct pcap_packet p = {.iface = 1, .at_ns = UINT64_C(0x100000002), .direction = PCAP_OUT, .comment = "hello"};
	int n;

	(void)state;
	p.parts = parts;
	p.n_parts = 2;
	n = pcap_section(buf, sizeof(buf), "berth");
	assert_int_equal(n % 4, 0);
	assert_int_equal(wire_get32(buf), 0x0a0d0d0a);
	assert_int_equal(wire_get32(buf + 8), 0x1a2b3c4d);
	assert_int_equal(wire_get32(buf + 4), n);
	assert_int_equal(wire_get32(buf + n - 4), n);
	n = pcap_interface(buf, sizeof(buf), BERTH_LINK_IP, "eth0");
	assert_int_equal(wire_get32(buf), 1);
	assert_int_equal(wire_get16(buf + 8), 101);
	assert_int_equal(wire_get32(buf + n - 4), n);
	assert_int_equal(wire_get16(buf + 16), 2); /* if_name, 4 octets, then if_tsresol */
	assert_int_equal(wire_get16(buf + 24), 9);
	assert_int_equal(buf[28], 9);
	n = pcap_put(buf, sizeof(buf), &p);
	assert_int_equal(n, 28 + 8 + 12 + 8 + 4 + 4);
	assert_int_equal(wire_get32(buf + 8), 1);
	assert_int_equal(wire_get32(buf + 12), 1); /* time, high and low */
	assert_int_equal(wire_get32(buf + 16), 2);
	assert_int_equal(wire_get32(buf + 20), 5);
	assert_memory_equal(buf + 28, "abcde\0\0\0", 8);
	assert_int_equal(wire_get16(buf + 36), 1);
	assert_int_equal(wire_get16(buf + 38), 5);
	assert_memory_equal(buf + 40, "hello\0\0\0", 8);
	assert_int_equal(wire_get32(buf + 52), 2);
	for (size_t room = 0; room < (size_t)n; room++)
		assert_int_equal(pcap_put(buf, room, &p), -ENOBUFS);
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(headers) + 4];
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(headers); i++)
		tests[n++] = (struct CMUnitTest){headers[i].name, header, NULL, NULL, (void *)(uintptr_t)&headers[i]};
	tests[n++] = (struct CMUnitTest){"S28: a header is written whole", a_header_is_whole, NULL, NULL, NULL};
	tests[n++] = (struct CMUnitTest){"frames through a descriptor", through_a_descriptor, NULL, NULL, NULL};
	tests[n++] = (struct CMUnitTest){"S28: refused super-frames leave in pieces", refused_super_frames, NULL, NULL,
					 NULL};
	tests[n++] = (struct CMUnitTest){"pcapng blocks", pcapng, NULL, NULL, NULL};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
