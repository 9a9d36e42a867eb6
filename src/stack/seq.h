/* src/stack/seq.h: TCP sequence numbers (RFC 9293, 3.4): 32 bits that go round. Distances are signed, and wrap without
 * undefined behaviour: the subtraction is unsigned, its result is read as two's complement. */
#ifndef BERTH_STACK_SEQ_H
#define BERTH_STACK_SEQ_H

#include "base/base.h"

/* a - b, as far as it makes sense: less than 2^31 apart. */
static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return seq_diff(a, b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return seq_diff(a, b) <= 0;
}

/* lo <= s < hi, going round. For what a peer sends this is the way to ask: a number that is exactly 2^31 away is before and behind, so two
 * comparisons may both be true of it. */
static inline bool seq_in(uint32_t s, uint32_t lo, uint32_t hi)
{
	return s - lo < hi - lo;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? b : a;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

#endif
