/*
 * No two mailboxes have one path, or one inside the other. A change may give a mailbox a
 * path that another still has, as two do that change places, one line at a time: where
 * that may wait, the record is put, its path stands in no index, and whether it is free
 * is asked once the change is whole. So it is with logins, of which no two mailboxes have
 * the same either.
 */
#ifndef BRIM_CHANGE_PATHS_H
#define BRIM_CHANGE_PATHS_H

#include "change.h"

struct change_paths {
	int may_wait;
	unsigned long line; /* of what is put now; for the reason */
	struct waiting_path {
		char *key;
		unsigned long line;
	} * waiting;
	size_t count;
};

/* Puts the record in the place of OLD, if that has a key. What is refused leaves OLD. */
enum change_result change_paths_put(struct change_paths *p, struct users_edit *e,
	const struct record *old, const struct record *r, struct reason *why);

/* Puts each path that waits into the index if it is free now. Where one is not, LINE (may
 * be NULL) gets the line that put it. */
enum change_result change_paths_settle(struct change_paths *p, struct users_edit *e,
	unsigned long *line, struct reason *why);

/* Forgets what waits. */
void change_paths_clear(struct change_paths *p);

#endif
