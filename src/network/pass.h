/* src/network/pass.h: how berth's own system calls get past the second net.
 *
 * `berth run` installs a filter that stops socket calls, so that programs which call the kernel past
 * libc are served (docs/second-net.md). Our own calls, made inside the same programs, are meant for the
 * kernel. They say so in the argument register that the call does not use, the sixth, and the filter
 * lets them through at once. Calls that use all six registers (sendto, recvfrom) pass when they carry
 * no address, so we make none that does.
 *
 * The value depends on the call and on its first argument. A register that still holds it when a signal
 * handler starts, or that was left behind, is thus good for nothing but the same call once more; and
 * raw_call() clears the register after the call.
 *
 * This is no secret and no protection: a program may pass if it wants to. What the net is for is that
 * nothing slips past berth without meaning to.
 */
#ifndef BERTH_NETWORK_PASS_H
#define BERTH_NETWORK_PASS_H

#include <stdint.h>

#define PASS_HIGH UINT32_C(0x62727468)
#define PASS_STEP UINT32_C(0x9e3779b9)
/* The low half is this plus the low half of the call's first argument. */
#define PASS_LOW(nr) ((uint32_t)(nr)*PASS_STEP)

static inline long pass_value(long nr, long first)
{
	return (long)((uint64_t)PASS_HIGH << 32 | (uint32_t)(PASS_LOW(nr) + (uint32_t)first));
}

#endif
