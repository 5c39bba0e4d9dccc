/*
 * The one hash table: items by their keys, or a bare set of keys. Keys are hashed under a
 * random key of the table's own (SipHash), so that nobody who chooses the keys can make
 * the table slow, or hide one key of a set behind another. A set keeps 64-bit hashes
 * alone. The items are their owner's; the table has pointers to them and grows as they
 * come.
 */
#ifndef BRIM_HASH_H
#define BRIM_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "siphash.h"

struct hash {
	struct siphash_key key;
	uint64_t *hashes; /* 0 where a slot is free */
	void **items;     /* NULL: a set */
	int (*has_key)(const void *item, const void *key, size_t length);
	size_t size, count; /* of slots (a power of two) and of those in use */
};

/* Makes an empty table, a set where HAS_KEY is NULL: 0, or -1 without memory or
 * randomness (errno). HAS_KEY tells whether the key is the item's. */
int hash_init(
	struct hash *h, int (*has_key)(const void *item, const void *key, size_t length));
/* Frees the table, not the items. */
void hash_free(struct hash *h);

/* Puts the item in, unless there is one of that key: 1, or 0 if there is, or -1 without
 * memory. In a set ITEM is not used. */
int hash_add(struct hash *h, const void *key, size_t length, void *item);
/* The item of that key, or NULL. */
void *hash_find(const struct hash *h, const void *key, size_t length);
/* Whether the table or set has the key. */
int hash_has(const struct hash *h, const void *key, size_t length);

/* The key's hash, never 0; tables whose members `key` are the same have it in common. In
 * a set it is as good as the key: put in and asked for as above. */
uint64_t hash_value(const struct hash *h, const void *key, size_t length);
int hash_set_add(struct hash *h, uint64_t hash);
int hash_set_has(const struct hash *h, uint64_t hash);

/* Takes the item of that key out, if there is one. */
void hash_remove(struct hash *h, const void *key, size_t length);
/* Takes all out at once. */
void hash_clear(struct hash *h);

/* The next item, in no order, NULL after the last; *AT begins as 0. Nothing may be taken
 * out meanwhile but the item that came last, if *AT is then made one less. What is put in
 * may come or not; where the size has changed the search must begin anew. */
void *hash_next(const struct hash *h, size_t *at);

#endif
