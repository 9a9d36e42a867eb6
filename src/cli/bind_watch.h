/* src/cli/bind_watch.h: the bind() calls of a command's tree, seen before they are made (bind_watch.c). */
#ifndef BERTH_CLI_BIND_WATCH_H
#define BERTH_CLI_BIND_WATCH_H

#include <linux/seccomp.h>
#include <sys/types.h>

#include "base/base.h"

/* In the process that becomes the command: from now on its bind() calls, and its children's, are asked for at the
 * descriptor returned. Negative errno: -EBUSY, somebody watches this tree already (a `berth run`). */
MUST_CHECK int bind_watch_install(void);
/* A bind() that waits. What was read of its program is that program's as long as SECCOMP_IOCTL_NOTIF_ID_VALID says so. */
typedef void bind_watch_look(void *ctx, int listener, const struct seccomp_notif *n);
/* Something is asked at that descriptor: look at it, then let it go on. False: nobody is left who could ask. */
bool bind_watch_hear(int fd, bind_watch_look *look, void *ctx);
/* A copy of a process's descriptor: the same socket. -1: it may not be had. */
MUST_CHECK int bind_watch_socket(pid_t pid, int fd);

#endif
