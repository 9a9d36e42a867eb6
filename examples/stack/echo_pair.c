/* examples/stack/echo_pair.c: an echo server and its client on an Ethernet cable in memory (src/link/pair.h), virtual time.
 *
 * Time goes from deadline to deadline: an hour of waiting takes no time, and two runs with one secret are the same, bit for bit.
 */
#include "echo.h"
#include "link/pair.h"

#define LEN 300000u

static char said[LEN], heard[LEN];
static struct pair cable;

/* One end: what it has to send, what has come for it, and its timers. Returns whether a frame moved. */
static int drive(struct berth_stack *st, unsigned end, uint64_t now)
{
	struct berth_tx tx[32];
	struct berth_rx rx[32];
	unsigned n_out = berth_stack_output(st, tx, 32, now), n_in;

	pair_put(&cable, end, tx, n_out);
	n_in = pair_take(&cable, end, rx, 32);
	berth_stack_input(st, rx, n_in, now);
	berth_stack_tick(st, now, 64);
	return n_out + n_in > 0;
}

int main(void)
{
	static const uint16_t ifaces[2] = {0, 0};
	struct berth_stack *st[2];
	void *memory[2];
	struct berth_addr server = berth_addr4(10, 0, 0, 2, 7);
	size_t n_said = 0, n_heard = 0;
	berth_sock listener, client;
	uint64_t now = 0;

	pair_init(&cable, BERTH_LINK_ETHERNET, 2, ifaces);
	for (int i = 0; i < 2; i++) {
		struct berth_iface f = {.struct_size = sizeof(f),
					.link = BERTH_LINK_ETHERNET,
					.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
					.flags = BERTH_IF_NO_DAD, /* nobody else is on the cable */
					.mtu_bytes = 1500};
		struct berth_addr own = berth_addr4(10, 0, 0, (uint8_t)(i + 1), 0);
		uint16_t number;

		st[i] = stack_new(&memory[i]);
		must(berth_iface_add(st[i], &f, &number), "interface");
		must(berth_addr_add(st[i], number, &own, 24), "address");
	}
	for (size_t i = 0; i < LEN; i++)
		said[i] = (char)(i * 31 >> 4);
	listener = echo_listen(st[1], 7);
	must(berth_sock_open(st[0], BERTH_TCP, BERTH_IPV4, 0, &client), "socket");
	if (berth_sock_connect(st[0], client, &server) != -EINPROGRESS)
		return 1;
	now = clock_ns();
	while (n_heard < LEN) {
		struct berth_event ev[8];
		unsigned n;
		int64_t r;

		if (!(drive(st[0], 0, now) | drive(st[1], 1, now)) && pair_idle(&cable)) {
			uint64_t a = berth_stack_deadline(st[0]), b = berth_stack_deadline(st[1]);
			uint64_t next = a < b ? a : b;

			now = next > now && next != BERTH_NEVER ? next : now;
		}
		n = berth_stack_events(st[1], ev, 8);
		for (unsigned i = 0; i < n; i++)
			echo_event(st[1], listener, &ev[i]);
		r = berth_sock_send(st[0], client, said + n_said, (uint32_t)(LEN - n_said), 0);
		n_said += r > 0 ? (size_t)r : 0;
		r = berth_sock_recv(st[0], client, heard + n_heard, (uint32_t)(LEN - n_heard));
		n_heard += r > 0 ? (size_t)r : 0;
		if (r < 0 && r != -EAGAIN && r != -ENOTCONN)
			must((int)r, "receive");
	}
	printf("%zu octets went out and came back %s\n", n_heard,
	       memcmp(said, heard, LEN) == 0 ? "the same" : "DIFFERENT");
	pair_fini(&cable);
	free(memory[0]);
	free(memory[1]);
	return memcmp(said, heard, LEN) != 0;
}
