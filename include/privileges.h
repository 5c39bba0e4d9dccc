/*
 * What a process may do: from root to an ordinary user with the capabilities that its job
 * needs, for good. Every step is checked afterwards, and that root can't be had back.
 */
#ifndef BRIM_PRIVILEGES_H
#define BRIM_PRIVILEGES_H

#include <sys/types.h>

#include "reason.h"

struct privileges_user {
	uid_t uid;
	gid_t gid;
};

/* Looks the user up in /etc/passwd; refuses uid 0 and gid 0. */
int privileges_find_user(
	const char *name, struct privileges_user *user, struct reason *why);

/* As root: becomes the user with no group but its own, no capability but, where
 * READ_SEARCH is set, CAP_DAC_READ_SEARCH; bounding and ambient sets emptied, securebits
 * locked, no_new_privs. The check that it held is part of it. */
int privileges_become(
	const struct privileges_user *user, int read_search, struct reason *why);

/* Gives the last capability up, too. */
int privileges_drop_all(struct reason *why);

#endif
