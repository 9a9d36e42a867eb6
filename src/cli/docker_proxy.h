/* src/cli/docker_proxy.h: docker's helper that holds a published port of the machine; its command line says where it leads. */
#ifndef BERTH_CLI_DOCKER_PROXY_H
#define BERTH_CLI_DOCKER_PROXY_H

#include "host/process.h"

#define DOCKER_PROXY "docker-proxy"

/* Its -container-ip and -container-port, in p, as it has them: whoever prints them makes them harmless. False: it has not both. */
bool docker_proxy_leads(const struct host_process *p, const char **ret_ip, const char **ret_port);

#endif
