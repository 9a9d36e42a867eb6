/* src/cli/name.h: what `berth name` is made of: finding names, who uses their ports here, showing both. */
#ifndef BERTH_CLI_NAME_H
#define BERTH_CLI_NAME_H

#include "cli/cli.h"
#include "port/endpoint.h"

/* --- finding (name_rows.c) --- */
struct name_rows {
	struct port_service *r;
	size_t n, room;
	bool out_of_memory; /* something is missing */
};
/* The names of all ports of the range, in order of the ports; each once. Return: how many ports of it have none. */
uint32_t name_rows_of(struct name_rows *rows, struct port_range ports, int proto, const struct port_service_overlay *o);
/* What is called exactly so. */
void name_rows_called(struct name_rows *rows, const char *name, int proto, const struct port_service_overlay *o);
/* Names and descriptions in which text occurs, best first: a name, an alias, the beginning of a name, the
 * inside of one, a word of a description. */
void name_rows_search(struct name_rows *rows, const char *text, int proto, const struct port_service_overlay *o);
/* Names a few slips away, the nearest first. Return: how many. */
#define NAME_NEAR_MAX 3
size_t name_near(const char *typed, const struct port_service_overlay *o, char ret[NAME_NEAR_MAX][32]);
void name_rows_free(struct name_rows *rows);

/* --- who uses them here (name_use.c, machine_use.c) --- */
struct name_use {
	uint16_t port;
	enum port_proto proto;
	bool machine;			/* the machine's own kernel; else a host of a network */
	char network[NETWORK_NAME_MAX]; /* "" for the machine, as host */
	char host[NETWORK_NAME_MAX];
	struct port_addr addr;
	char program[32]; /* "" when not known */
	int32_t pid;	  /* 0 when not known */
};
struct name_uses {
	struct name_use *r;
	size_t n, room;
};
/* Who waits for others on these ports: in the network of -n, or without it in all of this user's and on the machine. */
void name_uses_read(struct cli *cli, struct port_range ports, struct name_uses *ret);
void name_uses_add(struct name_uses *uses, const struct name_use *u);
void name_uses_free(struct name_uses *uses);
/* The machine's part. */
void machine_uses_add(struct name_uses *uses, struct port_range ports);

/* --- showing (name_print.c) --- */
#define NAME_HERE_MAX 512
/* "web (nginx), lab/web (nginx), machine (sshd)" for one port, over both protocols when proto < 0. False: nobody. */
bool name_here(const struct cli *cli, uint16_t port, int proto, const struct name_uses *uses, char out[NAME_HERE_MAX]);
/* A table, in the terminal's width; max 0: all rows. */
void name_print(struct cli *cli, const struct name_rows *rows, const struct name_uses *uses, size_t max);
/* Objects for docs/json.md, appended to an array. */
void name_to_json(json_t *array, const char *asked, const struct name_rows *rows, const struct name_uses *uses);

#endif
