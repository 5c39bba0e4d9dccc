/* A look-up in the user table without libdb, for a process that does two or three. */
#ifndef BRIM_BTREE_GET_H
#define BRIM_BTREE_GET_H

#include "btree_page.h"

enum btree_result {
	BTREE_DAMAGED = -1, /* with the reason */
	BTREE_ABSENT,       /* the key above it was seen */
	BTREE_FOUND,
	BTREE_UNUSUAL, /* what libdb alone knows how to read was on the way */
};

/* Finds KEY of SIZE bytes. FOUND is it, or with BTREE_ABSENT the next above; it and its
 * VALUE lie in P. */
enum btree_result btree_get(const struct users *u, const void *key, size_t size,
	struct btree_page *p, struct btree_item *found, struct btree_item *value,
	struct reason *why);

#endif
