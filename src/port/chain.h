/* src/port/chain.h: hash chains of a port table: their heads, and the singly linked lists that hang there. For index.c and index_group.c. */
#ifndef BERTH_PORT_CHAIN_H
#define BERTH_PORT_CHAIN_H

#include <errno.h>
#include <string.h>

#include "port/internal.h"

static inline uint32_t *hash_head(const struct port_table *t, enum section sec, const void *key, size_t len_bytes)
{
	return &heads(t,
		      sec)[(uint32_t)siphash13(&hdr(t)->key_hash, key, len_bytes) & t->hash_mask[sec - SEC_H_BUCKET]];
}

struct flow_key {
	uint8_t local[16], peer[16];
	uint32_t local_scope, peer_scope;
	uint16_t port, peer_port;
	uint8_t proto, kind, pad[2];
};
static_assert(sizeof(struct flow_key) == 48, "keys are hashed as octets: no padding");

static inline struct flow_key flow_key(enum port_proto proto, const struct port_addr *local, uint16_t port,
				       const struct port_addr *peer, uint16_t peer_port)
{
	struct flow_key k = {.local_scope = local->scope,
			     .peer_scope = peer->scope,
			     .port = port,
			     .peer_port = peer_port,
			     .proto = (uint8_t)proto};

	memcpy(k.local, local->b, 16);
	memcpy(k.peer, peer->b, 16);
	return k;
}

/* The link is a uint32_t at a fixed place of the element. Both return from the function they stand in when there is none. */
#define UNCHAIN(t, head, i, at, link)                            \
	do {                                                     \
		uint32_t *p_ = (head), steps_ = 0;               \
		while (*p_ != (i)) {                             \
			__auto_type e_ = at(t, *p_);             \
			if (e_ == NULL || ++steps_ > (t)->n_max) \
				return -EUCLEAN;                 \
			p_ = &e_->link;                          \
		}                                                \
		*p_ = at(t, i)->link;                            \
	} while (0)

#define POP_FREE(t, field, at, link, ret)    \
	do {                                 \
		uint32_t i_ = hdr(t)->field; \
		__auto_type e_ = at(t, i_);  \
		if (i_ == NIL)               \
			return -ENOBUFS;     \
		if (e_ == NULL)              \
			return -EUCLEAN;     \
		hdr(t)->field = e_->link;    \
		*(ret) = i_;                 \
	} while (0)

#endif
