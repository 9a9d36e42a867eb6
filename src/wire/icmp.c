/* src/wire/icmp.c: ICMP for IPv4 (RFC 792) and IPv6 (RFC 4443).
 *
 * Both have a type, a code, a checksum and one word whose meaning is the type's; what follows is data of an echo or the packet an
 * error complains about. No message is shorter than 8 octets here (S3): an answer made from a shorter one would read past it.
 *
 * Cost: 8 octets read. Elsewhere: the quoted packet (embedded.c), ND (nd.c), MLD (group.c), who believes an error (stack/).
 */
#include "wire/icmp.h"

#include <errno.h>

static bool is_echo4(uint8_t type)
{
	return type == WIRE_ICMP4_ECHO || type == WIRE_ICMP4_ECHO_REPLY;
}

static bool is_echo6(uint8_t type)
{
	return type == WIRE_ICMP6_ECHO || type == WIRE_ICMP6_ECHO_REPLY;
}

bool wire_icmp4_is_error(uint8_t type)
{
	return type == WIRE_ICMP4_UNREACHABLE || type == WIRE_ICMP4_TIME_EXCEEDED ||
	       type == WIRE_ICMP4_PARAMETER_PROBLEM || type == 4 ||
	       type == 5; /* source quench and redirect: never answered either */
}

bool wire_icmp6_is_error(uint8_t type)
{
	return type < 128;
}

int wire_icmp4_parse(const uint8_t *data, size_t len_bytes, struct wire_icmp4 *ret)
{
	struct wire_icmp4 i = {.type = 0};

	if (len_bytes < WIRE_ICMP_LEN)
		return -EBADMSG;
	i.type = data[0];
	i.code = data[1];
	i.checksum = wire_get16(data + 2);
	i.payload = (struct wire_slice){data + WIRE_ICMP_LEN, len_bytes - WIRE_ICMP_LEN};
	switch (i.type) {
	case WIRE_ICMP4_ECHO:
	case WIRE_ICMP4_ECHO_REPLY:
		i.id = wire_get16(data + 4);
		i.seq = wire_get16(data + 6);
		break;
	case WIRE_ICMP4_UNREACHABLE:
		if (i.code == WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED)
			i.mtu = wire_get16(data + 6);
		break;
	case WIRE_ICMP4_PARAMETER_PROBLEM:
		i.pointer = data[4];
		break;
	case WIRE_ICMP4_TIME_EXCEEDED:
		break;
	default:
		return -EPROTONOSUPPORT;
	}
	*ret = i;
	return 0;
}

int wire_icmp4_emit(const struct wire_icmp4 *i, uint8_t *buf, size_t len_bytes)
{
	if (len_bytes < WIRE_ICMP_LEN)
		return -ENOBUFS;
	buf[0] = i->type;
	buf[1] = i->code;
	wire_put16(buf + 2, i->checksum);
	wire_put32(buf + 4, 0);
	if (is_echo4(i->type)) {
		wire_put16(buf + 4, i->id);
		wire_put16(buf + 6, i->seq);
	} else if (i->type == WIRE_ICMP4_UNREACHABLE && i->code == WIRE_ICMP4_UNREACHABLE_FRAG_NEEDED) {
		wire_put16(buf + 6, i->mtu);
	} else if (i->type == WIRE_ICMP4_PARAMETER_PROBLEM) {
		buf[4] = i->pointer;
	}
	return WIRE_ICMP_LEN;
}

int wire_icmp6_parse(const uint8_t *data, size_t len_bytes, struct wire_icmp6 *ret)
{
	struct wire_icmp6 i = {.type = 0};

	if (len_bytes < WIRE_ICMP_LEN)
		return -EBADMSG;
	i.type = data[0];
	i.code = data[1];
	i.checksum = wire_get16(data + 2);
	if (wire_icmp6_is_error(i.type) || is_echo6(i.type))
		i.payload = (struct wire_slice){data + WIRE_ICMP_LEN, len_bytes - WIRE_ICMP_LEN};
	switch (i.type) {
	case WIRE_ICMP6_ECHO:
	case WIRE_ICMP6_ECHO_REPLY:
		i.id = wire_get16(data + 4);
		i.seq = wire_get16(data + 6);
		break;
	case WIRE_ICMP6_TOO_BIG:
		i.mtu = wire_get32(data + 4);
		break;
	case WIRE_ICMP6_PARAMETER_PROBLEM:
		i.pointer = wire_get32(data + 4);
		break;
	case WIRE_ICMP6_MLD_QUERY:
	case WIRE_ICMP6_MLD_REPORT1:
	case WIRE_ICMP6_MLD_DONE:
	case WIRE_ICMP6_MLD_REPORT2:
	case WIRE_ICMP6_ND_RS:
	case WIRE_ICMP6_ND_RA:
	case WIRE_ICMP6_ND_NS:
	case WIRE_ICMP6_ND_NA:
	case WIRE_ICMP6_ND_REDIRECT:
		break;
	default:
		if (!wire_icmp6_is_error(i.type))
			return -EPROTONOSUPPORT;
	}
	*ret = i;
	return 0;
}

int wire_icmp6_emit(const struct wire_icmp6 *i, uint8_t *buf, size_t len_bytes)
{
	ASSERT(wire_icmp6_is_error(i->type) || is_echo6(i->type));
	if (len_bytes < WIRE_ICMP_LEN)
		return -ENOBUFS;
	buf[0] = i->type;
	buf[1] = i->code;
	wire_put16(buf + 2, i->checksum);
	wire_put32(buf + 4, 0);
	if (is_echo6(i->type)) {
		wire_put16(buf + 4, i->id);
		wire_put16(buf + 6, i->seq);
	} else if (i->type == WIRE_ICMP6_TOO_BIG) {
		wire_put32(buf + 4, i->mtu);
	} else if (i->type == WIRE_ICMP6_PARAMETER_PROBLEM) {
		wire_put32(buf + 4, i->pointer);
	}
	return WIRE_ICMP_LEN;
}
