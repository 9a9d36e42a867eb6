/* src/cli/place.h: one port of one host, as HOST:PORT[/udp], and who can be reached there at this moment. */
#ifndef BERTH_CLI_PLACE_H
#define BERTH_CLI_PLACE_H

#include "cli/cli.h"

struct place {
	const char *text; /* as it was written */
	char host[NETWORK_NAME_MAX];
	bool by_addr;	/* the host is the one that has addr */
	bool only_addr; /* only what a connection to addr would reach */
	struct port_addr addr;
	uint16_t port;
	enum port_proto proto;
};

/* "web:80", "web:53/udp", "10.77.0.2:80"; "80" and "127.0.0.1:80" are of the host of -H. Return: 0; an exit code, said. */
MUST_CHECK int place_parse(struct cli *cli, const char *text, struct place *ret);
/* Its host in the network that is open. Return: 0; -ENOENT, there is none (yet); others. */
MUST_CHECK int place_host(struct cli *cli, const struct place *t, struct network_host *ret);

struct place_look {
	bool reached;		 /* somebody listens, or has the UDP socket, and lives */
	bool host;		 /* there is such a host */
	bool held;		 /* somebody has the port, and does not listen */
	struct port_claim claim; /* reached: the listener's; held: the holder's */
	bool buried;		 /* a dead one was found: its claim is in dead */
	struct port_claim dead;
};
/* Return: 0; negative errno, the table cannot be read at this moment. A claim found dead is ended. */
MUST_CHECK int place_look(struct cli *cli, const struct place *t, struct place_look *ret);
/* Does this claim answer for the place? */
bool place_meets(const struct place *t, const struct port_claim *c);

#endif
