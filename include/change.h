/*
 * One change of the user table: any number of records put and removed, checked, and made
 * all at once or not at all. brimadm changes the directory through this room, and so can
 * whatever feeds it from elsewhere.
 *
 * It works on a copy, under the table's lock. What it refuses leaves the copy as it was;
 * what fails leaves the table as it was. A record that is put must be one that lda can
 * use, and its path no other mailbox's. Aliases are checked when the whole change is in
 * the copy, so that records may come in any order.
 */
#ifndef BRIM_CHANGE_H
#define BRIM_CHANGE_H

#include <stdint.h>
#include <sys/stat.h>

#include "conf.h"
#include "reason.h"
#include "record.h"
#include "users.h"

struct change;

/* All but CHANGE_OK come with a reason. */
enum change_result {
	CHANGE_OK,
	CHANGE_NO_RECORD,     /* of that key */
	CHANGE_REFUSED,       /* a record, or the change as a whole, is at fault */
	CHANGE_TABLE_DAMAGED, /* the table as it is can't be read */
	CHANGE_FAILED         /* lock, copy, disk, memory: only to be aborted */
};

enum change_flags {
	CHANGE_NEW_TABLE = 1,   /* make the table where there is none */
	CHANGE_EACH_ONCE = 2,   /* refuse to put a key that has a record */
	CHANGE_CHECK_ALL = 4,   /* every alias of the table: most of it will change */
	CHANGE_CAN_UNDO = 8,    /* keep what change_undo needs */
	CHANGE_PATHS_LATER = 16 /* a path may be another mailbox's until the whole change
				 * is checked, so that two can change places */
};

/* Waits for the lock (WAITING is called once if another change has it; it may be NULL)
 * and copies the table of these settings, which must stay. NULL with the reason. */
struct change *change_begin(const struct conf *conf, unsigned flags,
	void (*waiting)(void), struct reason *why);

/* The table as it is without the change, until that ends; NULL with the reason. */
struct users *change_table_before(struct change *c, struct reason *why);

/* The key (ADDRESS_MAX + 1 bytes) of what somebody has written: that of its record in the
 * table, if it has one in the form that it was written in before, else the canonical one;
 * refused where that can be none. */
enum change_result users_name(
	struct users *u, char *key, const char *text, struct reason *why);

/* The same, with the change. */
enum change_result change_name(
	struct change *c, char *key, const char *text, struct reason *why);

/* As users_get, with the change. */
int change_get(struct change *c, const char *key, struct record *r, struct reason *why);

/* Puts the record in the place of any of the same key, which is made canonical, as
 * users_name does. A mailbox brings its domain's record with it where there is none. */
enum change_result change_put(struct change *c, struct record *r, struct reason *why);

/* Removes the record of the key. A domain that has addresses is refused: mail
 * for others in it would wait instead of bouncing. */
enum change_result change_remove(struct change *c, const char *key, struct reason *why);

/* Removes every record, to put all anew; a damaged table, too. There is no undo. */
enum change_result change_empty(struct change *c, struct reason *why);

/* What is put from now on stands in that line, for change_check_paths. */
void change_at(struct change *c, unsigned long line);

/* Checks the paths that had to wait; where one is another mailbox's, LINE (may be NULL)
 * gets the line that gave it. change_check_aliases does so as well. */
enum change_result change_check_paths(
	struct change *c, unsigned long *line, struct reason *why);

/* Checks the aliases and catch-alls that the change may have broken. Where they are
 * sound, change_undo goes back to here. */
enum change_result change_check_aliases(struct change *c, struct reason *why);

/* Takes back what was put and removed since the last sound check, or the begin; needs
 * CHANGE_CAN_UNDO. */
enum change_result change_undo(struct change *c, struct reason *why);

/* --- the difference --- */

struct change_counts {
	unsigned long long records; /* of the table as it is */
	unsigned long long added, removed, changed;
};

/* Calls EACH in key order for each record that is not the same: without OLD it is added,
 * without NEW removed. EACH may be NULL: then keys alone are read, and what is changed is
 * not counted. Of a damaged table only how many records it had is told, if it says so,
 * and as removed by how many the new one has fewer; else how many can be seen in it, and
 * how many of them the new one lacks. */
enum change_result change_difference(struct change *c,
	void (*each)(void *arg, const struct record *old, const struct record *new),
	void *arg, struct change_counts *counts, struct reason *why);

/* Refuses to remove more than a tenth of the records, as a source does that was cut off:
 * 0, -1. */
int change_check_removed(const struct change_counts *counts, struct reason *why);

/* --- the end --- */

struct change_made {
	struct stat table; /* the new file */
	uint64_t generation;
};

/* Checks the aliases unless that was done, puts the new table into place with the mode
 * and group of the settings, and frees C. MADE may be NULL. The table is as it was where
 * this is not CHANGE_OK. */
enum change_result change_commit(
	struct change **c, struct change_made *made, struct reason *why);

/* Throws the change away. */
void change_abort(struct change **c);

#endif
