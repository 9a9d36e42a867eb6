/* tests/shim/launch.c: start a program under the shim without berth's command line.
 *
 *     launch NETWORK HOST LIBRARY PROGRAM [ARGUMENT...]
 *
 * Opens, or creates, the network and the host in $BERTH_DIR and runs the program in the environment
 * that `berth run` would give it. With -e NETWORK HOST it prints "addr4 addr6" and ends. With LAUNCH_EVENTS
 * in the environment it stays, and prints a line for each refusal the program met: "event CALL ERRNO PORT".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network/network.h"

static struct network net;

/* Returns in the child, which becomes the program; the parent prints what it heard and ends as the child. */
static void with_events(void)
{
	struct network_event e;
	uint64_t cursor = 0;
	char number[16];
	int run = network_run_open(&net), st;
	pid_t pid;

	if (run < 0) {
		fprintf(stderr, "launch: run: %s\n", strerror(-run));
		exit(1);
	}
	snprintf(number, sizeof(number), "%d", run);
	setenv("BERTH_RUN", number, 1);
	pid = fork();
	if (pid == 0)
		return;
	unsetenv("LD_PRELOAD");
	waitpid(pid, &st, 0);
	while (network_event_take(&net, (uint32_t)run, &cursor, &e) == 0)
		printf("event %c %s %u by %d\n", e.call, strerrorname_np(-e.refusal.err), e.want.port,
		       e.refusal.by_valid ? e.refusal.by.owner.pid : 0);
	network_run_close(&net, (uint32_t)run);
	exit(WIFEXITED(st) ? WEXITSTATUS(st) : 128);
}

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
	if (getenv("LAUNCH_EVENTS"))
		with_events();
	execvp(argv[4], argv + 4);
	fprintf(stderr, "launch: %s: %s\n", argv[4], strerror(errno));
	return 127;
}
