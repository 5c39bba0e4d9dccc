/*
 * Numbers as people and settings write them: sizes (512K, 1.5G; powers of 1024), times
 * (300s, 15m, 3d), counts; and sums that can't wrap. Every number that comes from outside
 * is read here. All parsers take the whole text or fail, and say what would be right.
 */
#ifndef BRIM_AMOUNT_H
#define BRIM_AMOUNT_H

#include <stdint.h>

#include "reason.h"

#define AMOUNT_SIZE 24 /* room for any formatted size, count or time */

/* Decimal digits alone, up to 2^64-1. */
int amount_count(const char *text, uint64_t *n, struct reason *why);

/* Writes decimal digits and a NUL, with less work than printf; returns where the NUL is.
 */
char *amount_put(char *to, uint64_t n);

/* A size with a unit: 0, or digits with an optional fraction and B, K, M, G, T or P. A
 * bare number other than 0 is refused, since bytes and kilobytes are taken for each
 * other. */
int amount_size(const char *text, uint64_t *bytes, struct reason *why);

/* A time with a unit, s, m, h, d or w, in seconds; 0 needs none. At most ten years. */
int amount_time(const char *text, uint64_t *seconds, struct reason *why);

/* "1.5G": three significant digits, rounded down, for people. Returns buf. */
const char *amount_show(uint64_t bytes, char buf[AMOUNT_SIZE]);

/* "1536M", "100B": exact, in the largest unit that is, so that it can be read back. */
const char *amount_exact(uint64_t bytes, char buf[AMOUNT_SIZE]);

/* "3d", "90s": exact, in the largest unit that is. */
const char *amount_show_time(uint64_t seconds, char buf[AMOUNT_SIZE]);

#define AMOUNT_OF_SIZE 80

/* "1 account has", "3 accounts have": the number, and the words for one or for many (or
 * none), so that they agree. Returns buf. */
const char *amount_of(
	uint64_t n, const char *one, const char *many, char buf[AMOUNT_OF_SIZE]);

/* The same in a buffer of its own, until the end of the block. */
#define AMOUNT_OF(n, one, many) amount_of((n), (one), (many), (char[AMOUNT_OF_SIZE]){""})

/* Sums that stop at the ends instead of wrapping. */
uint64_t amount_add(uint64_t a, uint64_t b);
uint64_t amount_subtract(uint64_t a, uint64_t b);

#endif
