/* src/cli/docker_proxy.c: where a port that docker publishes leads. */
#include "cli/docker_proxy.h"

#include <string.h>

/* The argument after name, of a command line as the process has it. */
static const char *argument(const struct host_process *p, const char *name)
{
	const char *at = p->command, *end = p->command + p->command_len;

	while (at < end) {
		bool found = strcmp(at, name) == 0;

		at += strlen(at) + 1;
		if (found && at < end)
			return at;
	}
	return NULL;
}

bool docker_proxy_leads(const struct host_process *p, const char **ret_ip, const char **ret_port)
{
	*ret_ip = argument(p, "-container-ip");
	*ret_port = argument(p, "-container-port");
	return *ret_ip && *ret_port;
}
