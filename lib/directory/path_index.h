/*
 * The index of paths in the copy of a user table: one key for each mail=, so that no
 * mailbox gets the path of another, or one inside or around it.
 */
#ifndef BRIM_PATH_INDEX_H
#define BRIM_PATH_INDEX_H

#include "users_db.h"

/* The mailbox whose path is this one, inside it or around it: 1 with KEY (ADDRESS_MAX + 1
 * bytes), 0, -1. */
int path_index_find(struct users *u, const char *path, char *key, struct reason *why);

/* Puts the path of the mailbox's record in; takes it out. A record without one is
 * nothing to do. 0, -1. */
int path_index_put(struct users *u, const struct record *r, struct reason *why);
int path_index_remove(struct users *u, const struct record *r, struct reason *why);

/* Counts the path of the mailbox's record as the index has it. */
void path_index_count(struct totals *t, const struct record *r);

#endif
