/*
 * What can be saved of a damaged table: the records of every leaf with a right checksum,
 * wherever it stands and whatever leads to it.
 */
#ifndef BRIM_SALVAGE_H
#define BRIM_SALVAGE_H

#include "users_db.h"

/* A record, or a path with its mailbox's key, as it stands in the table. */
struct salvaged {
	size_t key_size, value_size;
	int in_place; /* its page is where its number says */
	char bytes[]; /* the key, then the value */
};

struct salvage {
	struct salvaged **entries; /* each key once, in order */
	size_t count, room;
	uint64_t generation;  /* 0: not known */
	int knows_totals;     /* the table's own record was there, and counts */
	int unstamped;        /* a page was changed by an older brimadm */
	struct totals totals; /* what the table should have */
};

/* Reads every page of the file of U (its fd, path and stat): 0, -1. */
int salvage_open(struct salvage *s, const struct users *u, struct reason *why);
void salvage_close(struct salvage *s);

#endif
