/* src/cli/published.h: the published ports of a network, to be shown or looked through (published.c). */
#ifndef BERTH_CLI_PUBLISHED_H
#define BERTH_CLI_PUBLISHED_H

#include "cli/cli.h"
#include "network/publish.h"

struct published {
	uint32_t record;
	struct network_published p;
	char host[NETWORK_NAME_MAX];
};

struct published_list {
	struct published *r;
	size_t n;
};

/* Sorted by the machine's port, then protocol. Return: 0; an exit code, said. */
MUST_CHECK int published_read(struct cli *cli, struct published_list *ret);
void published_free(struct published_list *list);
/* "127.0.0.1:8080", as -p reads it: 0.0.0.0 is written out, since '*' is both families there. */
char *published_door(const struct port_addr *addr, uint16_t port, char s[PORT_ENDPOINT_STR_MAX]);
/* "127.0.0.1:8080 [::1]:8080", "127.0.0.1:8000-8010" */
#define PUBLISHED_WHERE_MAX 400
char *published_where(const struct network_published *p, char s[PUBLISHED_WHERE_MAX]);
/* "web:80", "web:80-90/udp", "web:80/tcp+splice" */
#define PUBLISHED_TO_MAX 96
char *published_to(const struct published *p, char s[PUBLISHED_TO_MAX]);
/* A table for people; the keys of docs/json.md. Of one host only, or all: NETWORK_HOSTS_MAX. */
int published_print(struct cli *cli, const struct published_list *list, uint32_t host);
int published_print_json(struct cli *cli, const struct published_list *list, uint32_t host);

#endif
