/* src/net2/shim_calls.h: the shim's calls, as the supervisor has them: plain functions (see EXPORT in
 * shim/shim.h). As libc's: -1 and errno on failure. */
#ifndef BERTH_NET2_SHIM_CALLS_H
#define BERTH_NET2_SHIM_CALLS_H

#include <sys/socket.h>

int shim_socket(int domain, int type, int protocol);
int shim_bind(int fd, const struct sockaddr *sa, socklen_t len);
int shim_listen(int fd, int backlog);
int shim_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int shim_connect(int fd, const struct sockaddr *sa, socklen_t len);
int shim_shutdown(int fd, int how);
int shim_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int shim_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
int shim_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int shim_setsockopt(int fd, int level, int name, const void *val, socklen_t len);

#endif
