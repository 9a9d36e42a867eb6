/* src/cli/doors.h: who holds which port, in both worlds: the machine's own kernel and berth's networks, as one list. */
#ifndef BERTH_CLI_DOORS_H
#define BERTH_CLI_DOORS_H

#include "cli/machine.h"
#include "cli/published.h"
#include "cli/rows.h"

#define DOORS_STATES_MAX 16
#define DOORS_NETWORKS_MAX 64

struct doors_filter {
	bool machine;		 /* the machine's own */
	bool one_network;	 /* the open one, cli->net, and no other */
	bool networks;		 /* berth's: the open one, or all of this user's */
	bool all_pids;		 /* every process that has a socket is shown: none may be missed (host/seek.c) */
	bool info;		 /* memory and congestion, too */
	bool raw;		 /* raw sockets, too; with rows.has_proto: only those */
	struct rows_filter rows; /* ports, protocol, address, host; connections */
	int family;		 /* 4, 6; 0: both. By the addresses it takes: a dual-stack one is of both */
	const char *states[DOORS_STATES_MAX];
	size_t n_states;
	const char *program, *unit; /* NULL: any; a part of the name is enough */
	bool has_uid;
	uint32_t uid;
	int32_t pid; /* 0: any */
};

/* Which one: of the machine, or of a network. */
struct door_ref {
	uint32_t at;
	uint16_t net; /* 0: the machine; else its number + 1 */
	uint16_t port;
	uint8_t proto;
	uint8_t split;	 /* 4, 6: the half of a split door; 0: none */
	uint16_t n_more; /* further sockets that this row stands for */
	uint32_t other;	 /* number + 1 of the row that is the other half of this one's door, of the same program */
};

struct doors {
	struct door_ref *r;
	size_t n, room;
	struct machine machine;
	bool has_machine;
	struct rows networks[DOORS_NETWORKS_MAX];
	char names[DOORS_NETWORKS_MAX][NETWORK_NAME_MAX];
	struct published_list published[DOORS_NETWORKS_MAX]; /* the machine's ports that lead to them */
	size_t n_networks;
	size_t n_hidden; /* connections of networks that were left out */
	const struct port_service_overlay *services;
	struct proc_known known; /* names of users */
	struct {		 /* the last name that was looked up */
		bool valid;
		uint16_t port;
		uint8_t proto;
		char name[32];
	} service;
	bool any_unseen; /* a door that was got has a holder that could not be seen */
};

/* One, with everything that is known of it. */
struct door {
	struct row row; /* host "" and NULL: the machine */
	bool is_machine;
	bool has_uid, has_age;
	const char *proto, *state;
	const char *network;		  /* ""; the machine */
	const struct host_socket *socket; /* of the machine only */
	const struct host_tcp_info *info; /* of it, when it was asked for and is known; NULL */
	enum host_holder held;
	struct port_addr other; /* of the other half, when has_other */
	bool has_other;
	int split;
	unsigned n_more;
	char unit[160], container[96]; /* "" */
	struct host_place place;       /* what they come from */
	char leads_to[160];	       /* berth publishes it: "web:80 of network 'default'"; "" */
};

/* Read both. In order: with one_network by host, port, protocol, address; else by port, protocol, world, address.
 * Return: 0; an exit code, said. */
MUST_CHECK int doors_read(struct cli *cli, const struct doors_filter *f, struct doors *ret);
void doors_free(struct doors *d);
void doors_get(struct doors *d, size_t i, struct door *ret);
/* Sockets of one program that are one door to a person (both families' halves; a reuse group) become one row. */
void doors_fold(struct doors *d);
/* The names of states, one after the other; NULL: that was all. */
const char *doors_state_at(size_t i);
/* Is it a state that some row may have? */
bool doors_state_ok(const char *state, const char **ret_near);
/* The claim of a row; raw sockets' has a protocol that no network has. */
void doors_claim(struct doors *d, const struct door_ref *r, struct port_claim *ret);

/* What could not be seen, below the rows (with --json on standard error). */
void doors_say_notes(struct cli *cli, struct doors *d);

#endif
