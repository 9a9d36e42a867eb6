/* examples/stack/echo_tun.c: an echo server on a TUN device: a stack around a descriptor, with the system's clock and poll(2).
 *
 *	cc echo_tun.c $(pkg-config --cflags --libs berth-stack) -o echo_tun
 *	ip tuntap add dev t0 mode tun && ip address add 10.9.0.1/24 dev t0 && ip link set t0 up	(root)
 *	./echo_tun t0 10.9.0.2 7 &			or fd09::2, with fd09::1/64 on t0
 *	ping 10.9.0.2; nc 10.9.0.2 7
 *
 * With a fourth argument it writes what passes into that file, for wireshark.
 *
 * The same loop serves any descriptor that carries packets: what changes is how one is opened.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "capture.h"
#include "echo.h"

#define MTU 1500
#define BATCH 32

static FILE *file; /* capture.h; NULL */

static int tun_open(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

/* One packet: headers and payload from where they lie. A device that is full loses it, as a wire would. */
static void put(int fd, const struct berth_tx *tx)
{
	struct iovec v[1 + BERTH_TX_PARTS_MAX] = {{(void *)(uintptr_t)tx->head, tx->head_len}};

	for (unsigned i = 0; i < tx->n_parts; i++)
		v[1 + i] = (struct iovec){(void *)(uintptr_t)tx->parts[i].data, tx->parts[i].len};
	capture(file, tx->head, tx->head_len, tx->parts, tx->n_parts);
	if (writev(fd, v, 1 + tx->n_parts) < 0 && errno != EAGAIN && errno != ENOBUFS)
		perror("write");
}

static void take(int fd, struct berth_stack *st)
{
	static uint8_t room[BATCH][MTU + 100];
	struct berth_rx rx[BATCH];
	unsigned n = 0;

	for (ssize_t len; n < BATCH && (len = read(fd, room[n], sizeof(room[n]))) > 0; n++) {
		rx[n] = (struct berth_rx){.head = room[n], .head_len = (uint32_t)len};
		capture(file, room[n], (uint32_t)len, NULL, 0);
	}
	berth_stack_input(st, rx, n, clock_ns());
}

/* Sleep until the device has something, or the stack wants time. */
static void rest(int fd, struct berth_stack *st)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t at = berth_stack_deadline(st), now = clock_ns();
	int ms = at <= now					 ? 0
		 : at == BERTH_NEVER || at - now > 3600000000000 ? 3600000
								 : (int)((at - now + 999999) / 1000000);

	poll(&p, 1, ms);
}

/* Of either family: IPv4 is the end of an address whose beginning says so. */
static bool address(const char *text, struct berth_addr *ret)
{
	*ret = (struct berth_addr){0};
	if (inet_pton(AF_INET6, text, ret->ip) == 1)
		return true;
	*ret = berth_addr4(0, 0, 0, 0, 0);
	return inet_pton(AF_INET, text, ret->ip + 12) == 1;
}

int main(int argc, char **argv)
{
	struct berth_iface f = {.struct_size = sizeof(f), .link = BERTH_LINK_IP, .mtu_bytes = MTU};
	struct berth_addr own, all4 = berth_addr4(0, 0, 0, 0, 0), all6 = {0};
	struct berth_stack *st;
	berth_sock listener;
	uint16_t number;
	void *memory;
	int fd;

	if (argc < 4 || argc > 5 || !address(argv[2], &own)) {
		fprintf(stderr, "usage: %s DEVICE ADDRESS PORT [FILE]\n", argv[0]);
		return 2;
	}
	if (argc == 5 && (file = capture_open(argv[4], BERTH_LINK_IP)) == NULL) {
		perror(argv[4]);
		return 1;
	}
	st = stack_new(&memory);
	fd = tun_open(argv[1]);
	must(berth_iface_add(st, &f, &number), "interface");
	must(berth_addr_add(st, number, &own, 24), "address");
	must(berth_route_add(st, &all4, 0, NULL, number, 0), "route"); /* everything goes this way */
	must(berth_route_add(st, &all6, 0, NULL, number, 0), "route");
	listener = echo_listen(st, (uint16_t)atoi(argv[3]));
	printf("echo on %s port %s\n", argv[2], argv[3]);
	fflush(stdout);
	for (;;) {
		struct berth_tx tx[BATCH];
		struct berth_event ev[BATCH];
		unsigned n;

		do {
			n = berth_stack_output(st, tx, BATCH, clock_ns());
			for (unsigned i = 0; i < n; i++)
				put(fd, &tx[i]);
		} while (n == BATCH);
		n = berth_stack_events(st, ev, BATCH);
		for (unsigned i = 0; i < n; i++)
			echo_event(st, listener, &ev[i]);
		if (n > 0)
			continue; /* what they did may have made frames */
		rest(fd, st);
		take(fd, st);
		berth_stack_tick(st, clock_ns(), 256);
	}
}
