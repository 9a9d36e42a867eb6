/* src/wire/eth.c: Ethernet II frames (RFC 894), with one 802.1Q tag or none, and ARP (RFC 826).
 *
 * A second tag, a provider's tag and 802.3 frames with LLC are told from garbage and refused. Padding stays in the payload: only
 * the IP header knows where it begins (S1).
 *
 * Cost: one comparison of lengths for each header. Elsewhere: whose frame it is (stack/).
 */
#include "wire/eth.h"

#include <errno.h>
#include <string.h>

#define ETH_SERVICE_TAG 0x88a8 /* 802.1ad */
#define ETH_TYPE_MIN 0x0600    /* below it is a length */

#define ARP_ETHERNET 1

int wire_eth_parse(const uint8_t *data, size_t len_bytes, struct wire_eth *ret)
{
	struct wire_eth e = {.tagged = false};
	size_t at = WIRE_ETH_LEN;

	if (len_bytes < WIRE_ETH_LEN)
		return -EBADMSG;
	e.type = wire_get16(data + 12);
	if (e.type == WIRE_ETH_VLAN) {
		if (len_bytes < WIRE_ETH_TAGGED_LEN)
			return -EBADMSG;
		e.tagged = true;
		e.tag = wire_get16(data + 14);
		e.type = wire_get16(data + 16);
		at = WIRE_ETH_TAGGED_LEN;
	}
	if (e.type < ETH_TYPE_MIN || e.type == WIRE_ETH_VLAN || e.type == ETH_SERVICE_TAG)
		return -EPROTONOSUPPORT;
	memcpy(e.dst, data, WIRE_MAC_LEN);
	memcpy(e.src, data + 6, WIRE_MAC_LEN);
	e.payload = (struct wire_slice){data + at, len_bytes - at};
	*ret = e;
	return 0;
}

int wire_eth_emit(const struct wire_eth *e, uint8_t *buf, size_t len_bytes)
{
	int len = e->tagged ? WIRE_ETH_TAGGED_LEN : WIRE_ETH_LEN;

	ASSERT(e->type >= ETH_TYPE_MIN);
	if (len_bytes < (size_t)len)
		return -ENOBUFS;
	memcpy(buf, e->dst, WIRE_MAC_LEN);
	memcpy(buf + 6, e->src, WIRE_MAC_LEN);
	if (e->tagged) {
		wire_put16(buf + 12, WIRE_ETH_VLAN);
		wire_put16(buf + 14, e->tag);
	}
	wire_put16(buf + len - 2, e->type);
	return len;
}

bool wire_mac_is_multicast(const uint8_t mac[WIRE_MAC_LEN])
{
	return mac[0] & 1;
}

bool wire_mac_is_broadcast(const uint8_t mac[WIRE_MAC_LEN])
{
	static const uint8_t all[WIRE_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	return memcmp(mac, all, sizeof(all)) == 0;
}

void wire_mac_of_group(const struct port_addr *group, uint8_t ret_mac[WIRE_MAC_LEN])
{
	ASSERT(port_addr_is_multicast(group));
	if (port_addr_is4(group)) {
		ret_mac[0] = 0x01;
		ret_mac[1] = 0x00;
		ret_mac[2] = 0x5e;
		ret_mac[3] = group->b[13] & 0x7f; /* 23 of the 28 bits: groups share addresses */
		memcpy(ret_mac + 4, group->b + 14, 2);
		return;
	}
	ret_mac[0] = 0x33;
	ret_mac[1] = 0x33;
	memcpy(ret_mac + 2, group->b + 12, 4);
}

int wire_arp_parse(const uint8_t *data, size_t len_bytes, struct wire_arp *ret)
{
	struct wire_arp a = {.op = 0};

	if (len_bytes < 8)
		return -EBADMSG;
	if (wire_get16(data) != ARP_ETHERNET || wire_get16(data + 2) != WIRE_ETH_IP4)
		return -EPROTONOSUPPORT;
	if (data[4] != WIRE_MAC_LEN || data[5] != 4 || len_bytes < WIRE_ARP_LEN)
		return -EBADMSG;
	a.op = wire_get16(data + 6);
	if (a.op != WIRE_ARP_REQUEST && a.op != WIRE_ARP_REPLY)
		return -EPROTONOSUPPORT;
	memcpy(a.sender_mac, data + 8, WIRE_MAC_LEN);
	a.sender = port_addr_from4(data + 14);
	memcpy(a.target_mac, data + 18, WIRE_MAC_LEN);
	a.target = port_addr_from4(data + 24);
	*ret = a;
	return 0;
}

int wire_arp_emit(const struct wire_arp *a, uint8_t *buf, size_t len_bytes)
{
	ASSERT(port_addr_is4(&a->sender) && port_addr_is4(&a->target));
	if (len_bytes < WIRE_ARP_LEN)
		return -ENOBUFS;
	wire_put16(buf, ARP_ETHERNET);
	wire_put16(buf + 2, WIRE_ETH_IP4);
	buf[4] = WIRE_MAC_LEN;
	buf[5] = 4;
	wire_put16(buf + 6, a->op);
	memcpy(buf + 8, a->sender_mac, WIRE_MAC_LEN);
	memcpy(buf + 14, a->sender.b + 12, 4);
	memcpy(buf + 18, a->target_mac, WIRE_MAC_LEN);
	memcpy(buf + 24, a->target.b + 12, 4);
	return WIRE_ARP_LEN;
}
