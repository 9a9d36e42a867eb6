/* src/network/ask.h: what berth's code inside a program asks of the supervisor of its tree.
 *
 * The second net's filter stops socket calls for the supervisor in `berth run` (docs/second-net.md). A
 * setsockopt() on no descriptor at all, with a level of our own, is stopped like any other, so it is a
 * way to ask that needs no path, no descriptor, no environment and no rights: it works after chroot, in
 * other namespaces and as another user, and the kernel says who asks. Where there is no supervisor the
 * kernel's answer is EBADF; where it has died, ENOSYS.
 *
 * Nothing that is asked here gives more than the tree has: paths are those of the network's own folder,
 * and which network that is the supervisor knows by itself.
 */
#ifndef BERTH_NETWORK_ASK_H
#define BERTH_NETWORK_ASK_H

#include "network/network.h"
#include "network/raw.h"

#define ASK_LEVEL 0x62727468

enum ask {
	ASK_HELLO,   /* is somebody there? 0 */
	ASK_JOIN,    /* struct ask_join: the caller and its descendants are of another network or host from now on */
	ASK_COUNTS,  /* struct ask_counts is filled */
	ASK_OPEN,    /* struct ask_path: open a file of the network's folder; the answer is a descriptor */
	ASK_BIND,    /* struct ask_path: bind(2) the descriptor to a path in s/ */
	ASK_CONNECT, /* struct ask_path: connect(2) it to one. May wait */
	ASK_RING,    /* struct ask_path: send one octet to one, from the descriptor */
	ASK_UNLINK,  /* struct ask_path: remove a file */
	ASK_LINK,    /* struct ask_path: leaf gets the name leaf2, too */
	ASK_ECHO,    /* struct ask_path: connect(2) the descriptor to somebody who sends back what it sends */
	ASK_OUTER,   /* struct ask_outer: what comes to a socket of the kernel's is put into a UDP socket's mailbox */
	ASK_TAKE, /* struct ask_path: the kernel's socket that was sent to the descriptor takes its place; mode 1: cloexec */
	ASK_FERRY, /* struct ask_ferry: a stream socket that several processes have goes outside */
};

struct ask_join {
	char dir[NETWORK_PATH_MAX];
	char host[NETWORK_NAME_MAX];
	uint32_t run, has_run, allow_outside, pad;
	struct port_policy_chain policy; /* of the run, and of those it is in */
};

struct ask_path {
	int32_t fd;		    /* BIND, CONNECT, RING, ECHO, TAKE */
	uint32_t mode;		    /* OPEN */
	int64_t flags;		    /* OPEN */
	char leaf[112], leaf2[112]; /* "table", "s/..." */
};

/* outer -1: the answer is a descriptor of the one that fd has, or ENOENT. Else: fd gets this one; EEXIST, it has one. */
struct ask_outer {
	int32_t fd, outer;
};

/* out -1: has another process the socket, too? 1 or 0. Else: what is sent on fd, which bears its flow's name, goes to out and
 * back; out is the kernel's, connected or on its way. */
struct ask_ferry {
	int32_t fd, out;
};

struct ask_counts {
	uint64_t n_served;    /* calls that the supervisor answered */
	uint64_t n_passed_on; /* calls that the kernel did after all: not our sockets */
	uint64_t n_asked;     /* calls of this page */
};

static inline long ask(enum ask what, const void *arg, size_t len_bytes)
{
	return raw_call(SYS_setsockopt, -1, ASK_LEVEL, (long)what, (long)arg, (long)len_bytes, 0);
}

#endif
