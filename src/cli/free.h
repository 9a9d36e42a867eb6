/* src/cli/free.h: the parts of `berth free`. */
#ifndef BERTH_CLI_FREE_H
#define BERTH_CLI_FREE_H

#include <berth/port.h>
#include <sys/resource.h>

#include "cli/cli.h"

#define FREE_MAX 10000u /* ports at a time */
#define FREE_NAMES_MAX 64u

struct free_order {
	unsigned n, flags;	  /* BERTH_PORT_... */
	struct port_range range;  /* 0-0: any */
	struct berth_port *ports; /* n of them, once they are held */
	struct rlimit files;	  /* RLIMIT_NOFILE as we were called */

	/* with a command */
	const char *names[FREE_NAMES_MAX]; /* of variables, besides PORT */
	unsigned n_names;
	bool no_braces, listen_fds, listening, explain, any_server;
	const char *address; /* of the descriptors; NULL: all */

	/* without */
	uint64_t lease_s; /* 0: none */
	pid_t with;	  /* 0: of no process */
};

/* The host a program of a `berth run` has its ports on; NULL: the machine. */
const char *free_host(void);
/* Hold them. Return: 0; an exit code, said: how many are free, and what became of the others. */
MUST_CHECK int free_reserve(struct cli *cli, struct free_order *o);
/* Run the command while they are held. Return: its exit code, or ours. */
int free_command(struct cli *cli, struct free_order *o, char **argv);

/* --- leases: ports held by a process of their own (lease.c) --- */
/* It has them when this returns. Return: 0 and its pid; an exit code, said. */
MUST_CHECK int lease_start(struct cli *cli, const struct free_order *o, pid_t *ret);

/* --- what the two say to each other, over a socket with an abstract name: such names are the network namespace's, as
 * ports are, and gone with the process. --- */
#define LEASE_MAGIC 0x62667231u
/* "berth-free-UID-WORLD-": whose, and of which ports: the machine's, or a host's. */
#define LEASE_NAME_MAX 64
void lease_name_prefix(uid_t uid, char s[LEASE_NAME_MAX]);

enum lease_op { LEASE_LIST, LEASE_DROP };
struct lease_request {
	uint32_t magic, op;
	uint32_t port; /* LEASE_DROP; 0: all */
	uint32_t protos;
};
struct lease_port {
	uint16_t port, protos; /* BERTH_PORT_TCP, BERTH_PORT_UDP */
};
struct lease_answer {
	uint32_t magic, n; /* ports that follow, LEASE_LIST; that were dropped, LEASE_DROP */
	uint64_t left_ms;  /* UINT64_MAX: no end but that of `with` */
	int32_t with;
	char by[20]; /* who called berth */
};

/* --- and who asks for them (leases.c) --- */
struct lease_row {
	struct lease_port port;
	struct lease_answer lease;
	pid_t pid; /* who holds it */
};
/* Those of this user (root: everybody's), sorted by port; the caller frees them. Return: 0; an exit code, said. */
MUST_CHECK int leases_read(struct cli *cli, bool quiet, struct lease_row **ret, size_t *ret_n);
int leases_list(struct cli *cli);
/* "61023", "61023/udp", "all" */
int leases_drop(struct cli *cli, const char *what);

#endif
