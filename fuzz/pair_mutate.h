/* fuzz/pair_mutate.h: what an attacker on the way does to a frame: fuzz_stack_pair's. */
#ifndef BERTH_FUZZ_PAIR_MUTATE_H
#define BERTH_FUZZ_PAIR_MUTATE_H

#include "base/cursor.h"
#include "link/frame.h"

/* One to three changes of f, as the input says: fields anywhere, numbers, flags, options, lengths, what its descriptor says, payload or ports
 * of other (NULL: none). Afterwards its checksums are right, or the device says that it looked at them; seldom neither. */
void pair_mutate(struct cursor_reader *in, struct link_frame *f, const struct link_frame *other);
/* An ICMP error about `about`, to whoever sent it, with type, code and MTU as the input says; NULL: about is not IP. */
struct link_frame *pair_icmp_about(struct cursor_reader *in, struct link_frames *frames,
				   const struct link_frame *about);

#endif
