/* src/link/fault.h: one direction of a bad link, in virtual time, from a seed.
 *
 *	put --> [wire: split] --> rules --> loss --> MTU --> queue and rate --> delay, jitter --> reorder, duplicate, corrupt --> take
 *
 * Every kind of fault draws from a stream of its own (base/rng.h): switching one on does not move the others. Time is given with
 * each call; fault_deadline() says when the next frame arrives. Nothing here looks at a clock.
 */
#ifndef BERTH_LINK_FAULT_H
#define BERTH_LINK_FAULT_H

#include "link/frame.h"

/* What is done to the TCP segments that a rule picks. */
enum fault_action { FAULT_DROP, FAULT_DUPLICATE, FAULT_DELAY, FAULT_CORRUPT, FAULT_MARK_CE, FAULT_PASS };

/* "The 3rd segment with data", "the first two retransmissions", "every SYN-ACK": on the wire, after super-frames are split. */
struct fault_rule {
	uint16_t flags_mask, flags; /* tcp.flags & mask == flags */
	bool with_data;		    /* only segments with payload */
	bool only_rexmit;	    /* only what begins below the highest sequence number seen of its flow */
	bool only_new;		    /* only what does not */
	uint16_t dst_port;	    /* 0: any */
	uint32_t first, count;	    /* the first match it acts on, from 1, and on how many; count 0: the rule is off */
	enum fault_action action;
	uint64_t delay_ns; /* FAULT_DELAY */
	uint32_t n_seen;   /* matches so far: the link's own */
};
#define FAULT_RULES_MAX 8

struct fault_config {
	enum berth_link link;
	bool wire; /* super-frames are split, checksums completed, as on a cable. Else they pass, as between virtio devices */
	bool merge;		 /* frames that arrive together are put together as GRO does */
	uint64_t coalesce_ns;	 /* frames arrive at multiples of it: interrupts that are put off; 0: when they come */
	uint64_t delay_ns;	 /* one way */
	uint64_t jitter_ns;	 /* at most so much more; keeps the order */
	uint64_t rate_bps;	 /* octets a second; 0: no limit */
	uint32_t queue_bytes;	 /* waiting to be sent, at most; what does not fit is dropped. 0: no limit */
	uint32_t loss_ppm;	 /* each frame by itself */
	uint32_t burst_in_ppm;	 /* Gilbert: from good to bad, at each frame ... */
	uint32_t burst_out_ppm;	 /* ... from bad to good */
	uint32_t burst_loss_ppm; /* loss while bad */
	uint32_t reorder_ppm;	 /* held back by reorder_ns, others pass it */
	uint64_t reorder_ns;
	uint32_t dup_ppm;
	uint32_t corrupt_ppm; /* one octet from the IP header on, which every checksum notices; the receiver drops it */
	uint32_t ce_ppm;      /* marked Congestion Experienced, where the sender is capable */
	uint32_t ce_queue_bytes; /* marked when more than this waits; 0: never */
	uint32_t mtu_bytes;	 /* of IP; larger packets are dropped (IPv4 without DF: fragmented). 0: no limit */
	bool mtu_silent;	 /* ... without ICMP: a black hole */
	struct port_addr router4, router6; /* who says "fragmentation needed" */
	struct fault_rule rules[FAULT_RULES_MAX];
};

struct fault_counts {
	uint64_t n_put, n_taken, n_lost, n_burst_lost, n_queue_full, n_too_big, n_icmp, n_fragmented, n_duplicated;
	uint64_t n_reordered, n_corrupted, n_marked, n_ruled, n_split, n_merged, n_no_memory;
	uint64_t n_delayed; /* not there at once */
};

struct fault;

/* name: of the direction ("a>b"); part of the streams' names. NULL: no memory. */
struct fault *fault_new(const struct fault_config *c, uint64_t seed, const char *name);
void fault_free(struct fault *f);
/* From now on. What is on its way stays so. Rules count from 0 again. */
void fault_set(struct fault *f, const struct fault_config *c);
const struct fault_config *fault_get(const struct fault *f);
/* Where ICMP goes that this direction's router makes: the other direction. NULL: nowhere. */
void fault_set_back(struct fault *f, struct fault *back);

/* A frame goes in; a copy is made. */
void fault_put(struct fault *f, const struct berth_tx *tx, uint64_t now_ns);
/* The same for octets that no stack made: an attacker's. */
void fault_put_octets(struct fault *f, const uint8_t *data, uint32_t len, uint64_t now_ns);
/* When the next frame arrives; BERTH_NEVER. */
uint64_t fault_deadline(const struct fault *f);
/* At most n frames that have arrived, in order of their arrival; returns how many. They are good until the next fault_take(). */
unsigned fault_take(struct fault *f, uint16_t iface, struct berth_rx *v, unsigned n, uint64_t now_ns);
/* Everything that is on its way is gone. */
void fault_flush(struct fault *f);
uint32_t fault_n_queued(const struct fault *f);
const struct fault_counts *fault_counts(const struct fault *f);
bool fault_check(const struct fault *f);

#endif
