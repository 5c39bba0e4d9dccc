/* A look-up in the user table without libdb, for a process that does two or three. */
#ifndef BRIM_USERS_LOOK_H
#define BRIM_USERS_LOOK_H

#include "btree_page.h"

enum users_look {
	USERS_LOOK_DAMAGED = -1, /* with the reason */
	USERS_LOOK_ABSENT,       /* the key above it was seen */
	USERS_LOOK_FOUND,
	USERS_LOOK_UNUSUAL, /* what libdb alone knows how to read was on the way */
};

/* Finds KEY; its VALUE lies in P. */
enum users_look users_look(const struct users *u, const char *key, struct users_page *p,
	struct users_item *value, struct reason *why);

#endif
