/* src/base/rng.c: numbers that a seed makes, the same everywhere.
 *
 * xoshiro256** (Blackman and Vigna, 2018), its 256 bits filled by SplitMix64, which never gives four
 * zero words in a row (the one state xoshiro must not have). A named stream is a generator of its
 * own whose seed is the keyed hash of the name: two streams share nothing but the seed they came from.
 *
 * The values are a promise: tests/unit/test_rng.c pins some, because a stored seed must replay the
 * same world next year.
 */
#include "base/rng.h"

#include <string.h>

#include "base/siphash.h"

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void rng_init(struct rng *r, uint64_t seed)
{
	for (size_t i = 0; i < COUNT_OF(r->s); i++)
		r->s[i] = splitmix(&seed);
}

void rng_init_stream(struct rng *r, uint64_t seed, const char *name)
{
	struct siphash_key k = {seed, UINT64_C(0x6265727468207267)}; /* any constant; this one forever */

	rng_init(r, siphash13(&k, name, strlen(name)));
}

uint64_t rng_u64(struct rng *r)
{
	uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi)
{
	uint64_t n = hi - lo + 1, x, unfair;

	ASSERT(lo <= hi);
	if (n == 0)
		return rng_u64(r); /* all 64 bits */
	/* 2^64 modulo n values at the top would make the small results likelier: draw again. At worst
	 * half of all draws are refused; 64 in a row will not happen, and if so the bias is no harm. */
	unfair = (UINT64_MAX % n + 1) % n;
	x = rng_u64(r);
	for (int tries = 0; x > UINT64_MAX - unfair && tries < 64; tries++)
		x = rng_u64(r);
	return lo + x % n;
}

bool rng_chance_ppm(struct rng *r, uint32_t ppm)
{
	return rng_range(r, 0, 999999) < ppm;
}
