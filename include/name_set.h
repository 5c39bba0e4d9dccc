/*
 * The set of message names that one count has seen, as far as their unique parts go. It
 * is a set of hashes under a key that is new for each count: a user who chooses the names
 * can't hide a message behind another.
 */
#ifndef BRIM_NAME_SET_H
#define BRIM_NAME_SET_H

#include <stdint.h>

struct name_set;

/* An empty set, or NULL without memory or randomness (errno); of the key of LIKE, if that
 * is not NULL: a name has one hash in both. */
struct name_set *name_set_new(const struct name_set *like);
void name_set_free(struct name_set **s);

/* Puts the name in: 1 if it is new, 0 if it was there, -1 without memory. */
int name_set_add(struct name_set *s, const char *name);
int name_set_has(const struct name_set *s, const char *name);
/* The same by the name's hash, for those who ask more than once. */
uint64_t name_set_hash(const struct name_set *s, const char *name);
int name_set_add_hash(struct name_set *s, uint64_t hash);
int name_set_has_hash(const struct name_set *s, uint64_t hash);
/* Forgets all names. */
void name_set_clear(struct name_set *s);

#endif
