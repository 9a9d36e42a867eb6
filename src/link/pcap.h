/* src/link/pcap.h: pcapng, as Wireshark reads it (draft-ietf-opsawg-pcapng): octets into the caller's memory, to be written to a file
 * one after the other: pcap_section(), pcap_interface() for each interface, then packets.
 *
 * Return of all: octets put, or -ENOBUFS when they do not fit (PCAP_BLOCK_MAX fits a packet of any length with the longest comment).
 * Numbers are big-endian in the file; its magic number says so. Times are nanoseconds (if_tsresol 9).
 */
#ifndef BERTH_LINK_PCAP_H
#define BERTH_LINK_PCAP_H

#include "link/frame.h"

#define PCAP_COMMENT_MAX 1024
#define PCAP_BLOCK_MAX (LINK_FRAME_MAX + PCAP_COMMENT_MAX + 128)

enum pcap_direction { PCAP_UNKNOWN = 0, PCAP_IN = 1, PCAP_OUT = 2 }; /* epb_flags */

struct pcap_packet {
	uint32_t iface; /* in the order of pcap_interface() calls, from 0 */
	uint64_t at_ns;
	enum pcap_direction direction;
	const struct berth_part *parts; /* of the frame, in order */
	unsigned n_parts;
	const char *comment; /* the connection's state, say; NULL: none. Cut at PCAP_COMMENT_MAX */
};

MUST_CHECK int pcap_section(uint8_t *buf, size_t room, const char *application);
MUST_CHECK int pcap_interface(uint8_t *buf, size_t room, enum berth_link link, const char *name);
MUST_CHECK int pcap_put(uint8_t *buf, size_t room, const struct pcap_packet *p);

#endif
