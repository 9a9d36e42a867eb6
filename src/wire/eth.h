/* src/wire/eth.h: Ethernet II frames, and ARP for IPv4 on them. */
#ifndef BERTH_WIRE_ETH_H
#define BERTH_WIRE_ETH_H

#include "port/addr.h"
#include "wire/wire.h"

#define WIRE_ETH_LEN 14
#define WIRE_ETH_TAGGED_LEN 18
#define WIRE_MAC_LEN 6

#define WIRE_ETH_IP4 0x0800
#define WIRE_ETH_ARP 0x0806
#define WIRE_ETH_VLAN 0x8100
#define WIRE_ETH_IP6 0x86dd

/* A frame without its checksum, which no device hands over. */
struct wire_eth {
	uint8_t dst[WIRE_MAC_LEN], src[WIRE_MAC_LEN];
	bool tagged;		   /* one 802.1Q tag */
	uint16_t tag;		   /* priority, DEI and VLAN number; 0 unless tagged */
	uint16_t type;		   /* of the payload */
	struct wire_slice payload; /* with whatever padding the frame has */
};

/* -EPROTONOSUPPORT: 802.3 with a length in place of the type, or a second tag. */
MUST_CHECK int wire_eth_parse(const uint8_t *data, size_t len_bytes, struct wire_eth *ret);
MUST_CHECK int wire_eth_emit(const struct wire_eth *e, uint8_t *buf, size_t len_bytes);

bool wire_mac_is_multicast(const uint8_t mac[WIRE_MAC_LEN]); /* broadcast is one */
bool wire_mac_is_broadcast(const uint8_t mac[WIRE_MAC_LEN]);
/* Where a multicast address goes: 01:00:5e:... (RFC 1112, 6.4) or 33:33:... (RFC 2464, 7). */
void wire_mac_of_group(const struct port_addr *group, uint8_t ret_mac[WIRE_MAC_LEN]);

#define WIRE_ARP_LEN 28
#define WIRE_ARP_REQUEST 1
#define WIRE_ARP_REPLY 2

struct wire_arp {
	uint16_t op;
	uint8_t sender_mac[WIRE_MAC_LEN], target_mac[WIRE_MAC_LEN];
	struct port_addr sender, target; /* sender 0.0.0.0: a probe (RFC 5227) */
};

/* -EPROTONOSUPPORT: not IPv4 on Ethernet, or neither request nor reply. What lies behind the 28 octets is padding. */
MUST_CHECK int wire_arp_parse(const uint8_t *data, size_t len_bytes, struct wire_arp *ret);
MUST_CHECK int wire_arp_emit(const struct wire_arp *a, uint8_t *buf, size_t len_bytes);

#endif
