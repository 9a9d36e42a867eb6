/* examples/stack/echo_by_hand.c: an echo server and a client, two stacks in one process, frames handed over by hand.
 *
 *	cc echo_by_hand.c $(pkg-config --cflags --libs berth-stack) && ./a.out
 *
 * The whole of what drives a stack is in carry(): what one gives out is what the other takes in. echo_tun.c has the same loop around a
 * device, echo_pair.c around a cable that keeps frames.
 */
#include "echo.h"

static char said[100000], heard[sizeof(said)];

/* Frames of one stack into the other; true if there were any. A part of a berth_tx stays good until the next call on its stack. */
static int carry(struct berth_stack *from, struct berth_stack *to, uint64_t now)
{
	struct berth_tx tx[32];
	struct berth_rx rx[32];
	unsigned n = berth_stack_output(from, tx, 32, now);

	for (unsigned i = 0; i < n; i++)
		rx[i] = (struct berth_rx){.head = tx[i].head,
					  .head_len = tx[i].head_len,
					  .parts = tx[i].parts,
					  .n_parts = tx[i].n_parts,
					  .flags = tx[i].flags,
					  .gso = tx[i].gso,
					  .gso_size = tx[i].gso_size,
					  .csum_start = tx[i].csum_start,
					  .csum_offset = tx[i].csum_offset};
	berth_stack_input(to, rx, n, now);
	berth_stack_tick(from, now, 64);
	return n > 0;
}

int main(void)
{
	struct berth_stack *st[2];
	void *memory[2];
	struct berth_addr server = berth_addr4(10, 0, 0, 2, 7);
	size_t n_said = 0, n_heard = 0;
	berth_sock listener, client;
	uint64_t now;

	for (int i = 0; i < 2; i++) {
		struct berth_iface f = {.struct_size = sizeof(f), .link = BERTH_LINK_IP, .mtu_bytes = 1500};
		struct berth_addr own = berth_addr4(10, 0, 0, (uint8_t)(i + 1), 0);
		uint16_t number;

		st[i] = stack_new(&memory[i]);
		must(berth_iface_add(st[i], &f, &number), "interface");
		must(berth_addr_add(st[i], number, &own, 24), "address");
	}
	for (size_t i = 0; i < sizeof(said); i++)
		said[i] = (char)('a' + i % 26);
	listener = echo_listen(st[1], 7);
	must(berth_sock_open(st[0], BERTH_TCP, BERTH_IPV4, 0, &client), "socket");
	if (berth_sock_connect(st[0], client, &server) != -EINPROGRESS)
		return 1;
	for (now = clock_ns(); n_heard < sizeof(said); now += 1000000) { /* our own time: a millisecond a round */
		struct berth_event ev[8];
		unsigned n;
		int64_t r;

		while (carry(st[0], st[1], now) | carry(st[1], st[0], now))
			;
		n = berth_stack_events(st[1], ev, 8);
		for (unsigned i = 0; i < n; i++)
			echo_event(st[1], listener, &ev[i]);
		r = berth_sock_send(st[0], client, said + n_said, (uint32_t)(sizeof(said) - n_said), 0);
		n_said += r > 0 ? (size_t)r : 0;
		r = berth_sock_recv(st[0], client, heard + n_heard, (uint32_t)(sizeof(heard) - n_heard));
		n_heard += r > 0 ? (size_t)r : 0;
		if (r < 0 && r != -EAGAIN && r != -ENOTCONN)
			must((int)r, "receive");
	}
	printf("%zu octets went out and came back %s\n", n_heard,
	       memcmp(said, heard, sizeof(said)) == 0 ? "the same" : "DIFFERENT");
	free(memory[0]);
	free(memory[1]);
	return memcmp(said, heard, sizeof(said)) != 0;
}
