/* src/cli/kernel_answer.h: would the machine's own kernel refuse a bind, and why: the model, and the proof of "free". */
#ifndef BERTH_CLI_KERNEL_ANSWER_H
#define BERTH_CLI_KERNEL_ANSWER_H

#include "host/bind.h"

struct kernel_answer {
	struct port_refusal refusal;	 /* err 0: it would work */
	const struct host_bind_row *row; /* in the way; NULL: nobody, or nobody that a list tells of */
	bool proved;			 /* the kernel itself said so: a bind, or the address */
	bool certain;			 /* false: it depends on options of the holder's that cannot be seen */
};

/* @real: the kernel may be asked; else (canned files) the model alone answers. Return: 0; -ENOMEM. */
MUST_CHECK int kernel_answer(const struct host_bind *b, const struct port_want *want, bool listen,
			     uint16_t unprivileged_start, bool real, struct kernel_answer *ret);

#endif
