/* tests/shim/launch.c: start a program under the shim without berth's command line.
 *
 *     launch NETWORK HOST LIBRARY PROGRAM [ARGUMENT...]
 *
 * Opens, or creates, the network and the host in $BERTH_DIR and runs the program in the environment
 * that `berth run` would give it. With -e NETWORK HOST it prints "addr4 addr6" and ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network/network.h"

static struct network net;

int main(int argc, char **argv)
{
	struct network_options o = {.create = true};
	struct network_error err = {0};
	struct network_host host;
	char four[PORT_ADDR_STR_MAX], six[PORT_ADDR_STR_MAX];
	bool ask = argc == 4 && !strcmp(argv[1], "-e");
	int r;

	if (!ask && argc < 5) {
		fprintf(stderr, "usage: launch NETWORK HOST LIBRARY PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	if (ask)
		argv++;
	r = network_open(&net, argv[1], &o, &err);
	if (r < 0) {
		fprintf(stderr, "launch: %s\n", err.what);
		return 1;
	}
	r = network_host_get(&net, argv[2], true, &host);
	if (r < 0) {
		fprintf(stderr, "launch: host '%s': %s\n", argv[2], strerror(-r));
		return 1;
	}
	if (ask)
		return printf("%s %s\n", port_addr_print(&host.addr4, four), port_addr_print(&host.addr6, six)) < 0;
	setenv("BERTH_NETWORK_DIR", net.dir, 1);
	setenv("BERTH_HOST", argv[2], 1);
	setenv("LD_PRELOAD", argv[3], 1);
	execvp(argv[4], argv + 4);
	fprintf(stderr, "launch: %s: %s\n", argv[4], strerror(errno));
	return 127;
}
