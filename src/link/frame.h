/* src/link/frame.h: a frame on its way: a copy of what a stack gave out, with the moment at which it arrives.
 *
 * A struct link_frame is one piece of memory. Frames come from the heap and go back to a list of their own (link_frame_free()), so a
 * simulation that runs for hours asks the heap only while more frames are on their way than ever before.
 */
#ifndef BERTH_LINK_FRAME_H
#define BERTH_LINK_FRAME_H

#include <berth/stack.h>

#include "port/addr.h"
#include "wire/tcp.h"
#include "wire/wire.h"

/* The largest frame: a super-frame of 64 KiB of IP behind an Ethernet header. */
#define LINK_FRAME_MAX (65535 + 18)

struct link_frame {
	struct link_frame *next; /* of whoever has it */
	uint64_t at_ns;		 /* when it arrives */
	uint64_t order;		 /* among frames that arrive at the same time */
	uint64_t sent_ns;	 /* when it was put on the link */
	uint32_t len, room;
	uint8_t gso, flags; /* as struct berth_tx's */
	uint16_t gso_size, hdr_len;
	uint16_t csum_start, csum_offset;
	uint8_t link; /* enum berth_link */
	uint8_t data[];
};

/* Frames that are free, by size. Zeroed: none. */
struct link_frames {
	struct link_frame *free[2]; /* small (2 KiB) and large */
	uint32_t n_out;		    /* taken and not given back */
};

/* room octets at least; NULL: no memory. */
struct link_frame *link_frame_new(struct link_frames *f, uint32_t room);
/* A copy of head and parts; NULL: no memory, or tx is longer than LINK_FRAME_MAX. */
struct link_frame *link_frame_from(struct link_frames *f, const struct berth_tx *tx, enum berth_link link);
struct link_frame *link_frame_copy(struct link_frames *f, const struct link_frame *from);
void link_frame_free(struct link_frames *f, struct link_frame *frame);
void link_frames_fini(struct link_frames *f); /* what is on the lists; asserts that none is out */

/* The frame as its receiver gets it: all of it is head. Good as long as the frame is. */
void link_frame_rx(const struct link_frame *frame, uint16_t iface, struct berth_rx *ret);
/* The same without a copy, straight from a stack's output: good until the next call on that stack other than output. For benchmarks. */
void link_direct(const struct berth_tx *tx, uint16_t iface, struct berth_rx *ret);

/* What is in a frame, as far as a link looks: offsets of the headers, and TCP's header when it is a whole TCP segment. */
struct link_view {
	uint16_t ip_at, l4_at; /* 0 for ip_at on LINK_IP; l4_at 0: unknown */
	uint8_t family;	       /* 4, 6; 0: not IP (ARP) */
	uint8_t proto;
	bool fragment; /* of IP: no transport header is looked at */
	bool df;
	bool has_options; /* IPv4 options, IPv6 extension headers */
	uint8_t ttl, tos;
	uint32_t ip_len; /* of IP, header included: octets of the frame behind it are padding */
	struct port_addr src, dst;
	bool has_tcp;
	struct wire_tcp tcp;
};
/* Return: 0; -EBADMSG, not even an IP or ARP packet by its first octets. A frame that is not IP has family 0. */
MUST_CHECK int link_view(const uint8_t *data, uint32_t len, enum berth_link link, struct link_view *ret);

/* Complete a checksum that was left to the device (BERTH_F_NEEDS_CSUM): as if the frame went over a real wire. */
void link_frame_finish(struct link_frame *frame);
/* IPv4's header checksum and the transport's, anew, after a link has written into a frame. A checksum of UDP that is 0 stays 0. */
void link_frame_checksums(struct link_frame *frame);
/* Does the transport's checksum, complete, hold? True for what has none. */
bool link_checksum_good(const uint8_t *data, const struct link_view *v);

#endif
