/*
 * One look at the directories of a mailbox: the Maildir, its Maildir++ folders, and new
 * and cur of each. The stamp is a digest of device, inode and ctime of all of them and of
 * the folders' names: two looks with the same stamp have nothing between them, if no
 * ctime was younger than the clock's grain at the first one (a second change within a
 * grain leaves the same ctime). Ctime, since mtime is the user's to set.
 *
 * Fails where a directory can't be read or there are more than FOLDERS_MAX folders. What
 * is not a directory, a link to one too, is as good as missing.
 */
#ifndef BRIM_FOLDERS_H
#define BRIM_FOLDERS_H

#include <stddef.h>
#include <stdint.h>

#include "reason.h"

#define FOLDERS_MAX 10000

struct folders {
	int dir;      /* the Maildir; -1 where it is missing */
	char **names; /* of the folders that count, sorted; "." is the Maildir itself */
	size_t count;
	uint64_t stamp;
	uint64_t directory; /* the Maildir, as walk_identity has it; 0 where it is missing
			     */
	int64_t young_ns;   /* until each ctime is older than the grain; 0: all are */
};

/* Looks at the mailbox; IGNORE is a list of folders' names, with or without their dot. 0
 * with *f (folders_clear ends it), or -1 with the reason and nothing to clear. */
int folders_look(
	struct folders *f, const char *path, const char *ignore, struct reason *why);
void folders_clear(struct folders *f);

/* Whether the list of names, with or without their dot, has that folder. */
int folders_is_ignored(const char *ignore, const char *name);

/* Tells the rules apart by which mailboxes are counted: another number for another set of
 * ignored folders, in whatever order, and for another version of these programs where it
 * counts otherwise. Never 0. */
uint64_t folders_rules(const char *ignore);

#endif
