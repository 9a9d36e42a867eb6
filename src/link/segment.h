/* src/link/segment.h: a super-frame becomes the frames that a device would have sent, and frames become a super-frame again as a
 * receiving device's GRO makes it. */
#ifndef BERTH_LINK_SEGMENT_H
#define BERTH_LINK_SEGMENT_H

#include "link/frame.h"

struct link_segments {
	const struct link_frame *from;
	struct link_view v;
	uint32_t head; /* octets of all headers */
	uint32_t end;  /* of the IP packet in the frame */
	uint32_t at;   /* the next segment's payload */
	uint32_t size; /* payload of each */
	unsigned n;    /* made so far */
};

/* Begin. Return: 0; -EINVAL, it is no super-frame that can be cut: another protocol than its gso says, fragments, gso_size 0, headers
 * that do not fit the frame (S28). A frame that is smaller than two segments gives one. */
MUST_CHECK int link_segments_init(struct link_segments *s, const struct link_frame *super);
/* The next frame, its checksums complete; NULL: that was all, or no memory (then s->at is before the end). */
struct link_frame *link_segments_next(struct link_segments *s, struct link_frames *f);
/* How many there will be. */
unsigned link_segments_count(const struct link_segments *s);

/* May b be appended to a, as GRO does: the same TCP flow, headers equal but for what counts on, no gap, nothing special in the flags?
 * Both have complete and good checksums (a: or is a super-frame made here). If so b's payload is in a; b stays the caller's.
 * *a may have moved to a larger piece of memory. */
bool link_merge(struct link_frames *f, struct link_frame **a, const struct link_frame *b);

#endif
