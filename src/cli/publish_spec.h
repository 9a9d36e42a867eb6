/* src/cli/publish_spec.h: what `-p` and `berth publish` are told: which ports of the machine lead where. */
#ifndef BERTH_CLI_PUBLISH_SPEC_H
#define BERTH_CLI_PUBLISH_SPEC_H

#include "network/publish.h"
#include "port/endpoint.h"

#define PUBLISH_SPLICE "+splice"

struct publish_spec {
	char text[128]; /* as it was written */
	enum port_proto proto;
	uint32_t n_addrs;
	struct port_addr addrs[PUBLISH_ADDRS_MAX];
	bool addr_given;	 /* false: the loopbacks, and one that the machine does not have is left out */
	struct port_range outer; /* 0-0: any free port */
	struct port_range inner;
	bool splice;	/* callers are not handed over, their octets are carried */
	bool automatic; /* -P: outer is tried, another port taken when it is not free */
};

/**
 * publish_spec_parse() - read [ADDR:]OUTER[:INNER][/tcp|/udp][+splice]
 *
 * OUTER and INNER are ports or ranges A-B of the same length; without INNER it is OUTER. OUTER 0 or empty: any free
 * port. ADDR: an IPv4 address, an IPv6 address in brackets, or * for all of both families.
 *
 * Return: 0; -EINVAL, and *reterr says where and what.
 */
MUST_CHECK int publish_spec_parse(const char *text, struct publish_spec *ret, struct port_parse_error *reterr);

#endif
