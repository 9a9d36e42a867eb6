/* src/host/diag.h: NETLINK_SOCK_DIAG: questions, answers, and asking again. Between the files of host/ and its tests. */
#ifndef BERTH_HOST_DIAG_H
#define BERTH_HOST_DIAG_H

#include <linux/netlink.h>
#include <sys/types.h>

#include "host/socket.h"

/* One question: a protocol of a family. */
struct host_diag_ask {
	enum host_proto proto;
	enum port_family family; /* 0: both, of TCP only */
	uint32_t states;	 /* bits; ~0: all */
	struct port_range ports;
	bool info;
};

/* How octets get to the kernel and back. */
struct host_diag_wire {
	ssize_t (*send)(void *ctx, const void *buf, size_t n); /* negative errno */
	ssize_t (*receive)(void *ctx, void *buf, size_t room); /* one datagram; negative errno */
	void *ctx;
	uint32_t port_id; /* ours, of answers; 0: any */
	uint32_t seq;	  /* of the last question */
	bool shared;	  /* others use it after us: an answer is read to its end */
};

#define HOST_DIAG_BUFFER 32768 /* the kernel fills no more at a time */
#define HOST_DIAG_REPEATS 6

/* Does a message lie in the `left` octets that remain? */
bool host_diag_is_whole(const struct nlmsghdr *nlh, int left);
/* The question as a message, in buf (at least 256 octets). Returns its length. */
size_t host_diag_question(const struct host_diag_ask *ask, uint32_t seq, void *buf);
/* A row out of a message of ours. Return: 0; -EBADMSG, it makes no sense. */
MUST_CHECK int host_diag_parse(const struct nlmsghdr *nlh, enum host_proto proto, struct host_socket *ret,
			       struct host_tcp_info *ret_info);
/* Ask, and hand every row to sink; repeat when the kernel says that its answer is torn, or we were too slow for it.
 * Return: 0; what the sink returned, in *ret_stop; -ENOENT, the kernel cannot list this protocol; negative errno. */
MUST_CHECK int host_diag_dump(struct host_diag_wire *w, const struct host_diag_ask *ask, const struct host_sink *sink,
			      struct host_notes *notes, int *ret_stop);

#endif
