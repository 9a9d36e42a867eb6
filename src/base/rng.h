/* src/base/rng.h: one seed, many named streams, the same numbers on every machine and compiler.
 *
 * xoshiro256** seeded through SplitMix64. Not for secrets that face an attacker: ports and names use
 * SipHash with a secret key; this drives simulations, tests and tie-breaking.
 */
#ifndef BERTH_BASE_RNG_H
#define BERTH_BASE_RNG_H

#include "base/base.h"

struct rng {
	uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
/* A stream named by what it is for: drawing more from one does not shift another. */
void rng_init_stream(struct rng *r, uint64_t seed, const char *name);
uint64_t rng_u64(struct rng *r);
/* Uniform in [lo, hi], both ends included; lo <= hi. */
uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi);
/* True ppm times in a million. */
bool rng_chance_ppm(struct rng *r, uint32_t ppm);

#endif
