/* src/base/siphash.h: SipHash-1-3 and SipHash-2-4 (Aumasson and Bernstein, 2012), the keyed hash
 * behind every table whose keys a stranger may choose. */
#ifndef BERTH_BASE_SIPHASH_H
#define BERTH_BASE_SIPHASH_H

#include "base/base.h"

struct siphash_key {
	uint64_t k0, k1;
};

struct siphash_key siphash_key_from(const uint8_t secret[16]);

/* A key of its own for each purpose, so that one table's order tells nothing about another's. */
struct siphash_key siphash_key_derive(const struct siphash_key *k, const char *purpose);

uint64_t siphash13(const struct siphash_key *k, const void *data, size_t len_bytes);
uint64_t siphash24(const struct siphash_key *k, const void *data, size_t len_bytes);

#endif
