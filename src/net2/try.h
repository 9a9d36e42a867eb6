/* src/net2/try.h: does this machine let us do what the second net does? Tried, not asked. */
#ifndef BERTH_NET2_TRY_H
#define BERTH_NET2_TRY_H

#include "base/base.h"

/* Each: 0, or the negative errno with which the kernel refused. */
/* Putting a filter with a listener on a child. -EBUSY: inside a tree that somebody watches. */
MUST_CHECK int try_filter(bool *ret_killable);
/* Getting a descriptor from a child, as from the programs that are served. */
MUST_CHECK int try_getfd(void);
/* Reading a child's memory. */
MUST_CHECK int try_memory(void);
/* Linux at least major.minor. */
bool try_release(unsigned major, unsigned minor);

#endif
