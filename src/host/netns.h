/* src/host/netns.h: the other network namespaces of the machine, and reading inside them.
 *
 * Each has its own 65,536 ports: containers, `ip netns`, services with PrivateNetwork=. A socket in another one is in nobody's
 * way here, but it may be what somebody looks for.
 */
#ifndef BERTH_HOST_NETNS_H
#define BERTH_HOST_NETNS_H

#include "host/root.h"

struct host_netns {
	uint64_t inode;	      /* its name: "net:[4026531840]" */
	int32_t pid;	      /* the lowest of its processes that can be seen; 0: none */
	uint32_t n_processes; /* that can be seen */
	char name[64];	      /* `ip netns` or docker gave it one; "" */
	bool is_ours;	      /* of the calling thread */
	bool is_docker;	      /* the name is docker's */
};

struct host_netns_list {
	struct host_netns *ns; /* ours first, then by inode */
	size_t n, room;
	uint32_t n_denied; /* processes whose namespace is not told to us */
};
/* Return: 0; negative errno. */
MUST_CHECK int host_netns_read(const struct host_root *root, struct host_netns_list *ret);
void host_netns_free(struct host_netns_list *l);

/**
 * host_netns_do() - call run(ctx) inside another network namespace
 *
 * In a thread of its own, so that nothing else moves: there everything of host/ reads that namespace (sockets, links,
 * settings, counts), and what run() leaves in ctx is good afterwards.
 *
 * Return: what run() returned; -EPERM, not allowed (host_netns_open_diag() may still be); -ESRCH, it is gone.
 */
MUST_CHECK int host_netns_do(const struct host_root *root, const struct host_netns *ns, int (*run)(void *ctx),
			     void *ctx);

/* A socket for struct host_root.diag_fd, also into a namespace of a container that this user runs without root. The caller closes
 * it. Where even that is not allowed, struct host_root.net = "PID/net" still reads text. Return: descriptor; -EPERM; -ESRCH. */
MUST_CHECK int host_netns_open_diag(const struct host_root *root, const struct host_netns *ns);

#endif
