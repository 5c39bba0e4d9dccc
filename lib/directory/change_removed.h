/*
 * Mailboxes that a change removes: their paths are noted in the table, so that what is
 * known of them elsewhere ends. A mailbox is removed if its key has no record and its
 * path no mailbox when the change is whole: one that is renamed, is an alias now, or was
 * put again, is not.
 */
#ifndef BRIM_CHANGE_REMOVED_H
#define BRIM_CHANGE_REMOVED_H

#include "change.h"

struct change_removed {
	struct removed_mailbox {
		char *key, *path;
	} * list;
	size_t count;
	size_t sound; /* so many were there at the last sound check */
};

/* The record is taken out of the table: 0, or -1 without memory. */
int change_removed_note(struct change_removed *c, const struct record *r);

/* Those since the last sound check are back again. */
void change_removed_undo(struct change_removed *c);

/* Notes all that are removed in the copy. OLD: every record was taken out of that table;
 * NULL: those alone that were noted. */
enum change_result change_removed_settle(struct change_removed *c, struct users_edit *e,
	struct users *old, struct reason *why);

void change_removed_clear(struct change_removed *c);

#endif
