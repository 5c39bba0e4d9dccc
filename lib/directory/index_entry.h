/*
 * Indexes of the user table: keys below its records (users_file.h), each with the key of
 * the mailbox that it belongs to as its value. Those that begin with FIRST are summed and
 * salvaged by every version; one that does not know what an index is for leaves it alone.
 */
#ifndef BRIM_INDEX_ENTRY_H
#define BRIM_INDEX_ENTRY_H

#include "users_db.h"

/* The value as the mailbox's key (ADDRESS_MAX + 1 bytes): 1, or -1 where it is none. */
int index_entry_owner(
	const struct users *u, const DBT *value, char *key, struct reason *why);

/* Removes the entry if the mailbox of that key has it: it may be another's by now, as of
 * two that change places. 0, -1. */
int index_entry_remove_own(struct users *u, const char *index, size_t size,
	const char *key, struct reason *why);

#endif
