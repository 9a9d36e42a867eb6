/* src/base/siphash.c: SipHash with c rounds a word and d at the end (Aumasson and Bernstein, 2012).
 *
 * The message is read as little-endian 64-bit words; the last word holds what is left and, in its top
 * octet, the length modulo 256. 2-4 is the authors' choice, 1-3 the quicker one that hash tables use:
 * it hides the key just as well from someone who sees only which bucket was slow.
 */
#include "base/siphash.h"

#include <string.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline uint64_t le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

/* Always inlined, so that the numbers of rounds are constants: half of what the stack's connections cost the heart is hashing. */
#define ALWAYS static inline __attribute__((always_inline))

ALWAYS void rounds(struct state *s, int n)
{
	for (int i = 0; i < n; i++) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 = rotl(s->v2, 32);
	}
}

ALWAYS void absorb(struct state *s, uint64_t word, int n_rounds)
{
	s->v3 ^= word;
	rounds(s, n_rounds);
	s->v0 ^= word;
}

ALWAYS uint64_t siphash(const struct siphash_key *k, const void *data, size_t len_bytes, int c, int d)
{
	struct state s = {
		k->k0 ^ UINT64_C(0x736f6d6570736575),
		k->k1 ^ UINT64_C(0x646f72616e646f6d),
		k->k0 ^ UINT64_C(0x6c7967656e657261),
		k->k1 ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *p = data;
	size_t n_words = len_bytes / 8, left = len_bytes % 8;
	uint64_t last = (uint64_t)len_bytes << 56;

	for (size_t i = 0; i < n_words; i++, p += 8)
		absorb(&s, le64(p), c);
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	absorb(&s, last, c);
	s.v2 ^= 0xff;
	rounds(&s, d);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct siphash_key siphash_key_from(const uint8_t secret[16])
{
	return (struct siphash_key){le64(secret), le64(secret + 8)};
}

struct siphash_key siphash_key_derive(const struct siphash_key *k, const char *purpose)
{
	uint8_t block[9];
	uint64_t h = siphash24(k, purpose, strlen(purpose));
	struct siphash_key ret;

	for (size_t i = 0; i < 8; i++)
		block[i] = (uint8_t)(h >> (8 * i));
	block[8] = 0;
	ret.k0 = siphash24(k, block, sizeof(block));
	block[8] = 1;
	ret.k1 = siphash24(k, block, sizeof(block));
	return ret;
}

uint64_t siphash13(const struct siphash_key *k, const void *data, size_t len_bytes)
{
	return siphash(k, data, len_bytes, 1, 3);
}

uint64_t siphash24(const struct siphash_key *k, const void *data, size_t len_bytes)
{
	return siphash(k, data, len_bytes, 2, 4);
}
