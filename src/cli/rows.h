/* src/cli/rows.h: the claims of a network as rows: who holds which port, in one stable order. */
#ifndef BERTH_CLI_ROWS_H
#define BERTH_CLI_ROWS_H

#include "cli/cli.h"
#include "cli/proc.h"

/* One claim as it was read; who holds it is found out row by row (rows_get()). */
struct row_claim {
	const char *host; /* its name, in rows->hosts */
	uint32_t host_index;
	struct port_ref ref;
	struct port_claim claim;
};

struct row {
	const char *host;
	uint32_t host_index;
	struct port_claim claim;
	struct port_holder holder;
	int32_t pids[PROC_PIDS_MAX];
	uint32_t n_pids;
	char service[32]; /* "" when the number has no name */
};

struct rows {
	struct row_claim *r;
	size_t n;
	struct network_host *hosts;
	uint32_t n_hosts;
	size_t n_hidden; /* connections that were left out */
	struct host_owners sockets;
	struct proc_known known;
	uint64_t now_us;
	const struct port_service_overlay *names;
	const struct host_owners *shared; /* in place of our own reading; NULL: none */
};

struct rows_filter {
	bool one_host; /* only host_index */
	uint32_t host_index;
	bool has_ports; /* only these */
	struct port_range ports;
	bool has_proto;
	enum port_proto proto;
	bool has_addr; /* only claims that a packet to this address would meet */
	struct port_addr addr;
	bool connections; /* outgoing, accepted and lingering, too */
};

/* Sorted by host, port, protocol, address. Return: 0; an exit code, said. */
MUST_CHECK int rows_read(struct cli *cli, const struct rows_filter *f, struct rows *ret);
void rows_free(struct rows *rows);
void rows_get(struct rows *rows, size_t i, struct row *ret);

/* "0.0.0.0 [::]", "127.0.0.1", "[::1]"; a flow adds " -> peer:port". Returns s. */
#define ROWS_ADDRESS_MAX 160
char *rows_address(const struct port_claim *c, char s[ROWS_ADDRESS_MAX]);
/* "listening", "bound", "connected", "accepted", "time-wait" */
const char *rows_state(const struct port_claim *c);
/* How what comes for it gets there: "path", "mailbox", "pumped", "stream"; NULL: nothing comes. */
const char *rows_delivery(const struct port_claim *c);
/* Would a packet to this address meet it? */
bool rows_meets(const struct port_claim *c, const struct port_addr *a);
/* Is it [::] for both families? */
bool rows_is_dual(const struct port_claim *c);

#endif
