/* src/net2/filter.h: which system calls of a tree are stopped. */
#ifndef BERTH_NET2_FILTER_H
#define BERTH_NET2_FILTER_H

#include <linux/filter.h>

#include "base/base.h"

#define FILTER_MAX 256

/* Write the program. Returns its length in instructions. */
unsigned filter_make(struct sock_filter ret[FILTER_MAX]);

/* Install it on this thread, for it and all it will start, for ever. *ret_killable: a served call is
 * interrupted by deadly signals only (Linux 5.19).
 * Return: the listener, a descriptor; -EBUSY, somebody else watches this tree; -EACCES, needs
 * no_new_privs and did not get it; other negative errno. */
MUST_CHECK int filter_install(bool *ret_killable);

/* Of the running kernel. */
bool filter_release_at_least(unsigned major, unsigned minor);

/* Can this machine do it? Return: 0; -ENOSYS, the kernel is too old or built without. */
MUST_CHECK int filter_possible(void);

#endif
