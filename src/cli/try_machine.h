/* src/cli/try_machine.h: does the machine let us? Tried in children that end at once; nothing stays behind. */
#ifndef BERTH_CLI_TRY_MACHINE_H
#define BERTH_CLI_TRY_MACHINE_H

#include "base/base.h"

/* Each: 0, or the negative errno that was met. */
struct try_namespaces {
	int user; /* a user namespace, with rights in it */
	int net;  /* a network namespace: in that, or as root */
	int tun;  /* /dev/net/tun opens */
	int tap;  /* a TAP device in that network namespace, which goes with it */
};
struct try_namespaces try_namespaces(void);
int try_io_uring(void);

/* Loads the library into a program as berth run does, and has the dynamic linker list what it loaded instead of running the
 * program. Return: 0; negative errno; -ELIBBAD, it was not loaded, and reterr_why has the linker's words. */
MUST_CHECK int try_preload(const char *shim, char *reterr_why, size_t size);

#endif
