/* The user table's keys, found and read on from there without libdb. */
#ifndef BRIM_BTREE_GET_H
#define BRIM_BTREE_GET_H

#include "btree_page.h"

enum btree_longer { BTREE_KEY, BTREE_VALUE, BTREE_LONGER };

/* Where a reader stands: all zero before the first use. */
struct btree_place {
	struct btree_page page;
	size_t index;                  /* of the key in the leaf; its value is the next */
	uint64_t leaves;               /* read since the tree's root was */
	uint8_t *longer[BTREE_LONGER]; /* what lies in pages of its own; NULL before */
};

/* Finds the first key at or above KEY that is not deleted: 1 if it's that key, 0 if it's
 * another, -1 with the reason. FOUND and VALUE lie in AT until its next use. */
int btree_seek(const struct users *u, struct btree_place *at, const void *key,
	size_t size, DBT *found, DBT *value, struct reason *why);

/* Finds the key after that: 0, -1. */
int btree_next(const struct users *u, struct btree_place *at, DBT *found, DBT *value,
	struct reason *why);

/* Frees what the place holds. */
void btree_place_end(struct btree_place *at);

#endif
