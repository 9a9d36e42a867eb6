/* src/host/flags.h: a socket's options, which no list of the kernel's tells.
 *
 * They are asked of the socket itself, through a copy of the process's descriptor (pidfd_getfd). That takes the right to trace the
 * process: one's own, or root's. The socket is open once more for some microseconds, and nothing of it is changed.
 */
#ifndef BERTH_HOST_FLAGS_H
#define BERTH_HOST_FLAGS_H

#include "base/base.h"

struct host_flags {
	bool reuseaddr, reuseport, v6only, freebind, transparent;
	bool keepalive, nodelay;	/* TCP */
	bool listens;			/* SO_ACCEPTCONN */
	int32_t defer_accept_s;		/* TCP_DEFER_ACCEPT; 0: no */
	int32_t fastopen;		/* queue of TCP_FASTOPEN; 0: no */
	uint32_t range_low, range_high; /* IP_LOCAL_PORT_RANGE; 0: not set */
};

/* @inode: that the descriptor must lead to, for the process may have closed it meanwhile.
 * Return: 0; -EPERM, not allowed; -ESRCH, process or descriptor is gone, or is another's by now; -ENOSYS, a kernel before 5.6. */
MUST_CHECK int host_flags_read(int32_t pid, int fd, uint64_t inode, struct host_flags *ret);

#endif
