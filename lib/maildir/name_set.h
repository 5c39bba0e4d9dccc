/*
 * The set of message names that one count has seen, kept as 64-bit hashes under a key
 * that is new for each count: a user who chooses the names can't hide a message behind
 * another. Grows as needed; without memory it says so, and the count fails.
 */
#ifndef BRIM_SEEN_H
#define BRIM_SEEN_H

#include <stddef.h>

#include "count.h" /* count_seen_has, count_seen_free */

/* An empty set, or NULL without memory or randomness (errno). */
struct count_seen *seen_new(void);

/* Puts the name in, as far as its unique part goes: 1 if it is new, 0 if it was there, -1
 * without memory. */
int seen_add(struct count_seen *s, const char *name);

/* Forgets all names. */
void seen_empty(struct count_seen *s);

#endif
