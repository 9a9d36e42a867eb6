/* src/cli/publisher_door.h: what the publisher has: publications, and a door for each port and address of them. */
#ifndef BERTH_CLI_PUBLISHER_DOOR_H
#define BERTH_CLI_PUBLISHER_DOOR_H

#include "cli/publish_spec.h"
#include "cli/publisher_acceptor.h"
#include "cli/publish_udp.h"

#define DOOR_WAITING_MAX 64 /* callers that were accepted and not brought yet */

struct waiting {
	struct waiting *next;
	int fd;
	struct port_addr from;
	uint16_t from_port;
};

struct door {
	struct publication *of;
	struct port_addr addr; /* the machine's */
	uint16_t outer, inner;
	int fd;			 /* -1: a range's that nobody has needed yet */
	enum port_family family; /* of fd */
	bool stuck;		 /* it cannot be of the other */
	bool open;		 /* it listens. UDP: somebody has the port */
	int udp;      /* UDP, of the first address: its number there, which has fd of all addresses; -1: none */
	int said_err; /* why it is not open although it should be, as it was said */
	bool paused;  /* and nobody is accepted at the moment */
	struct waiting *waiting; /* oldest first */
	uint32_t n_waiting;
	struct door *next_open;
	/* Who got the last caller, and gets the next, too, as long as nobody begins or ceases to listen (network_change_seen()). */
	struct {
		bool known;
		uint32_t seen;
		struct port_ref ref;
		struct port_claim claim;
		struct port_addr local; /* under which of the host's addresses */
	} last;
	struct acceptor acceptor; /* of the listener that it was opened for */
};

struct publication {
	struct publication *next;
	struct network_published said; /* its record */
	uint32_t record;
	bool splice; /* that was asked for */
	bool lazy;   /* a long range: a socket is opened when the program listens */
	uint32_t n_doors;
	struct door doors[];
};

struct doors {
	struct network *net;
	struct network_host host;
	int epoll;
	struct door *open;
	uint32_t n_waiting;
	int starved;		 /* what there was no descriptor or memory for is to be tried again: why; 0: nothing */
	struct publish_udp *udp; /* NULL: none was published yet */
	void (*say)(const char *fmt, ...) PRINTF_LIKE(1, 2);
};

/* Hold every port of the spec, or none. Return: it; NULL, and *text says why. */
struct publication *publication_new(struct doors *d, const struct publish_spec *s, char *text, size_t size_bytes);
/* Close them all; its record is the caller's. */
void publication_free(struct doors *d, struct publication *p);
/* At how many of its ports a caller is heard. */
uint32_t publication_n_up(const struct publication *p);
/* Are callers' octets carried, at one of its ports at least? */
bool publication_is_spliced(const struct publication *p);

/* UDP: who has the ports now? bound: whether anybody seems to. True: at how many a caller is heard has changed. */
bool publication_look_udp(struct doors *d, struct publication *p, bool (*bound)(uint32_t port));

/* TCP. Let it listen if the program does. True: it does now, and did not before. */
bool door_try(struct doors *d, struct door *door);
/* Look whether the program still listens; if not, close it, and callers are refused. False: it is closed. */
bool door_check(struct doors *d, struct door *door);
/* Take callers and bring them to the program. Return: 0; -ECONNREFUSED, nobody listens: check it; -EMFILE and its like, no
 * descriptors: come again later. */
MUST_CHECK int door_serve(struct doors *d, struct door *door);
/* Is it one of those? */
bool door_is_starved(int err);
/* Those that could not be brought at once. */
void door_retry(struct doors *d, struct door *door);
void door_pause(struct doors *d, struct door *door, bool on);

#endif
