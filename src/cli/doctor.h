/* src/cli/doctor.h: the two halves of `berth doctor`: each looks, and leaves its findings. */
#ifndef BERTH_CLI_DOCTOR_H
#define BERTH_CLI_DOCTOR_H

#include "cli/cli.h"
#include "cli/finding.h"

/* What berth stands on: always this machine, as what is tried cannot be canned. */
void doctor_berth(struct cli *cli, struct findings *all);
/* The machine's ports: of the running machine, or of $BERTH_MACHINE_ROOT. */
void doctor_ports(struct cli *cli, struct findings *all);
/* The first numbers of a file of /proc (of root), -1 for those that are not there. Returns how many there were. */
struct host_root;
int doctor_numbers(const struct host_root *root, const char *file, int64_t v[3]);

#endif
