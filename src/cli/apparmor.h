/* src/cli/apparmor.h: does an AppArmor profile hold a program back? */
#ifndef BERTH_CLI_APPARMOR_H
#define BERTH_CLI_APPARMOR_H

#include "base/base.h"

#define APPARMOR_NAME_MAX 128
/* "/usr/sbin/named (enforce)": the name, when what the profile forbids is refused. False: "unconfined",
 * (complain), another security module's words. */
bool apparmor_parse(const char *label, char ret_name[APPARMOR_NAME_MAX]);
/* The profile that holds process pid, and not us as well. */
bool apparmor_holds(int32_t pid, char ret_name[APPARMOR_NAME_MAX]);

#endif
