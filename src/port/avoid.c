/* src/port/avoid.c: numbers that nobody is given without having asked for them.
 *
 * A port that is chosen for somebody (door/, `berth free`) should be one that every client can reach and that nobody
 * else will want: not one that browsers refuse to fetch from, and not one that has a name, be it registered (RFC 6335) or
 * only seen in practice (5173 is where the next person's vite will be).
 *
 * This file stands alone, without the registry's texts (273 KiB): a client library brings it into other programs. What has
 * a name is a bitmap made beside the registry (named_data.c); tests/unit/test_port_service.c holds the two together.
 */
#include "port/service.h"
#include "port/service_data.h"

bool port_is_named(uint16_t port)
{
	return service_named[port / 64] >> (port % 64) & 1;
}

bool port_is_browser_blocked(uint16_t port)
{
	static const uint16_t blocked[] = {
		1,    7,    9,	  11,	13,   15,   17,	  19,	20,   21,   22,	  23,	25,   37,    42,   43,	 53,
		69,   77,   79,	  87,	95,   101,  102,  103,	104,  109,  110,  111,	113,  115,   117,  119,	 123,
		135,  137,  139,  143,	161,  179,  389,  427,	465,  512,  513,  514,	515,  526,   530,  531,	 532,
		540,  548,  554,  556,	563,  587,  601,  636,	989,  990,  993,  995,	1719, 1720,  1723, 2049, 3659,
		4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
	};
	uint32_t lo = 0, hi = COUNT_OF(blocked);

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (blocked[mid] < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return port == 0 || (lo < COUNT_OF(blocked) && blocked[lo] == port);
}
