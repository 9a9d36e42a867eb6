/* src/network/reach.h: files and sockets of the network's folder: by path, or by the supervisor of the tree where the
 * path does not lead there (reach.c).
 *
 * leaf: a name within the folder: "table", "s/...". Each returns 0 (open: a descriptor; ring: 1) or a negative
 * errno.
 */
#ifndef BERTH_NETWORK_REACH_H
#define BERTH_NETWORK_REACH_H

#include <sys/socket.h>

#include "network/network.h"

#define REACH_LEAF_MAX 104
#define REACH_PATH_MAX (NETWORK_PATH_MAX + REACH_LEAF_MAX + 4)
/* O_CLOEXEC and O_NOFOLLOW are added. */
MUST_CHECK int reach_open(const struct network *n, const char *leaf, int flags, unsigned mode);
/* By the supervisor only: the network is the one it knows. */
MUST_CHECK int reach_open_afar(const char *leaf, int flags, unsigned mode);
int reach_unlink(const struct network *n, const char *leaf);
MUST_CHECK int reach_link(const struct network *n, const char *from, const char *to);
MUST_CHECK int reach_bind(const struct network *n, int fd, const char *leaf);
MUST_CHECK int reach_connect(const struct network *n, int fd, const char *leaf); /* may block, as fd does */
MUST_CHECK int reach_ring(const struct network *n, int fd, const char *leaf);	 /* one octet, without waiting */
/* By the supervisor only: the stream socket fd is connected to one that sends back what it is sent. */
bool reach_has_echo(void);
MUST_CHECK int reach_echo(int fd);
MUST_CHECK int reach_take(int fd, bool cloexec); /* ASK_TAKE. -EMFILE: it cannot be done, all is as it was */
/* "s/" and the leaf of a listener's path or a mailbox. */
void reach_in_s(const char *leaf, char ret[REACH_LEAF_MAX]);
/* To a socket that is not in the folder. */
struct sockaddr_un;
MUST_CHECK long reach_send_octet(int fd, const struct sockaddr_un *to, socklen_t len);

#endif
