/*
 * SipHash-1-3 (Aumasson and Bernstein): a 64-bit hash with a key. With a random key
 * nobody who chooses the text can make two texts collide.
 */
#ifndef BRIM_SIPHASH_H
#define BRIM_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

/* The hash of LENGTH bytes of TEXT under the key. */
uint64_t siphash(const struct siphash_key *key, const void *text, size_t length);

#endif
