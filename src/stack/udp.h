/* src/stack/udp.h: UDP (RFC 768, 8200 8.1; Linux's udp(7) where those are silent): sockets with two rings of datagrams each. */
#ifndef BERTH_STACK_UDP_H
#define BERTH_STACK_UDP_H

#include "stack/ip.h"

void udp_layout(struct berth_stack *st, struct arena *a);
void udp_init(struct berth_stack *st);
bool udp_check(const struct berth_stack *st);

void udp_input(struct berth_stack *st, const struct packet *p);
void udp_icmp_error(struct berth_stack *st, const struct icmp_note *e);
/* Fill at most n frames of what socket index has queued; returns how many. When it has no more it is out of st->ready. */
unsigned udp_output(struct berth_stack *st, uint32_t index, struct berth_tx *v, unsigned n);

/* What sock.c calls for a UDP socket. */
int udp_open(struct berth_stack *st, int family, uint64_t user, uint32_t *ret_index);
int udp_connect(struct berth_stack *st, uint32_t index, const struct berth_addr *peer);
/* send(2), recv(2) of a connected one. */
int64_t udp_send(struct berth_stack *st, uint32_t index, const void *data, uint32_t len);
int64_t udp_recv(struct berth_stack *st, uint32_t index, void *data, uint32_t len);
int udp_shutdown(struct berth_stack *st, uint32_t index, int how);
int udp_set(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t value); /* -ENOPROTOOPT: not UDP's */
int udp_get(struct berth_stack *st, uint32_t index, enum berth_option o, uint64_t *ret);
/* A pin of ours is undone. */
void udp_unpin(struct berth_stack *st, uint64_t pin);
int udp_poll(struct berth_stack *st, uint32_t index);
int udp_close(struct berth_stack *st, uint32_t index);

#endif
