/* examples/stack/echo.h: an echo server and its client, as they are on any link: they know the stack's calls and nothing else.
 *
 * Both are driven by events (berth_stack_events()). The server takes what arrived from where it lies in the receiving ring and writes it
 * into the sending ring: one copy, none of them into memory of its own. What does not fit stays in the receiving ring, so that the
 * peer's window closes: back-pressure comes by itself.
 */
#ifndef EXAMPLES_STACK_ECHO_H
#define EXAMPLES_STACK_ECHO_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <berth/stack.h>

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A stack on memory from the heap, which the caller frees; its secret from the system. */
static inline struct berth_stack *stack_new(void **ret_memory)
{
	struct berth_stack_config c = {.struct_size = sizeof(c), .n_conns = 64, .n_udp = 8};
	FILE *f = fopen("/dev/urandom", "rb");
	struct berth_stack *st = NULL;
	size_t size = berth_stack_size(&c);
	void *memory = aligned_alloc(64, size);

	if (f == NULL || memory == NULL || fread(c.secret, sizeof(c.secret), 1, f) != 1) {
		perror("a stack");
		exit(1);
	}
	fclose(f);
	memset(memory, 0, size);
	if (berth_stack_init(&st, memory, size, &c, clock_ns()) < 0) {
		fprintf(stderr, "a stack cannot be made\n");
		exit(1);
	}
	*ret_memory = memory;
	return st;
}

static inline void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

/* --- the server --- */
static inline berth_sock echo_listen(struct berth_stack *st, uint16_t port)
{
	struct berth_addr any = {.port = port}; /* :: is both families */
	berth_sock s;

	must(berth_sock_open(st, BERTH_TCP, BERTH_IPV6, 0, &s), "socket");
	must(berth_sock_bind(st, s, &any), "bind");
	must(berth_sock_listen(st, s, 16), "listen");
	return s;
}

/* Out of one ring and into the other, as much as fits; then the end of the stream, if that is what came. */
static inline void echo_some(struct berth_stack *st, berth_sock s)
{
	for (;;) {
		struct berth_part in[2];
		int64_t n = berth_sock_rx_peek(st, s, in);
		uint32_t len = in[0].len;

		if (n == -EAGAIN)
			return;
		if (n <= 0) { /* 0: the peer has said all; below: an error. Closing sends what we still have. */
			berth_sock_close(st, s);
			return;
		}
		n = berth_sock_send(st, s, in[0].data, len, 0);
		if (n <= 0)
			return; /* no room: BERTH_EV_OUT comes */
		berth_sock_rx_consume(st, s, (uint32_t)n);
	}
}

static inline void echo_event(struct berth_stack *st, berth_sock listener, const struct berth_event *ev)
{
	berth_sock s;

	if (ev->mask & BERTH_EV_CLOSED)
		return; /* one that we closed is gone now */
	if (ev->sock != listener) {
		echo_some(st, ev->sock);
		return;
	}
	while (berth_sock_accept(st, listener, 0, &s, NULL) == 0)
		echo_some(st, s);
}

#endif
