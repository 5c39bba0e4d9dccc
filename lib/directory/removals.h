/*
 * Paths whose mailboxes were removed, in the copy of a user table: for each the
 * generation that had it no more. Whoever keeps knowledge by the path learns so, however
 * late, that the administrator has ended it. A table keeps REMOVALS_MAX of them, the
 * latest ones.
 */
#ifndef BRIM_REMOVALS_H
#define BRIM_REMOVALS_H

#include "users_db.h"

#define REMOVALS_MAX 10000

struct removal {
	uint64_t place, generation;
};

struct removals {
	struct removal *list;
	size_t count;
};

/* What the table has of them, for the caller to free: 0, -1. */
int removals_read(struct users *u, struct removals *r, struct reason *why);
/* Adds COUNT removals to those of the table: 0, -1. */
int removals_put(
	struct users *u, const struct removal *list, size_t count, struct reason *why);

#endif
