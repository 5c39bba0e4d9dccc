/*
 * One look at the directories of a mailbox: the Maildir, the directories in it at any
 * depth, and new and cur of each. A directory that has them is a folder: Maildir++ has
 * ".A.B" in the Maildir, Dovecot's LAYOUT=fs "A/B". Others (indexes, scripts) are looked
 * at for folders in them; new, cur and tmp are not looked into.
 *
 * The stamp is a digest of device, inode and ctime of all of them and of their paths: two
 * looks with the same stamp have nothing between them, if no ctime was younger than the
 * clock's grain at the first one (a second change within a grain leaves the same ctime).
 * Ctime, since mtime is the user's to set.
 *
 * Fails where a directory can't be read, or there are more than FOLDERS_MAX, or deeper
 * ones than FOLDERS_DEPTH, rather than hide what is there. What is not a directory, a
 * link to one too, is as good as missing.
 */
#ifndef BRIM_FOLDERS_H
#define BRIM_FOLDERS_H

#include <stddef.h>
#include <stdint.h>

#include "reason.h"

#define FOLDERS_MAX   10000 /* directories in the Maildir, at all depths */
#define FOLDERS_DEPTH 256
#define FOLDERS_LINKS 100 /* that are told of */

struct folder {
	char *path;  /* below the Maildir; "." is the Maildir itself */
	int ignored; /* its messages don't count; those of folders in it do */
};

struct folders {
	int dir; /* the Maildir; -1 where it is missing */
	struct folder *list;
	size_t count;
	char **links; /* in the place of a folder, or of its new or cur */
	size_t link_count;
	uint64_t stamp;
	uint64_t set;       /* a digest of their paths and inodes alone */
	uint64_t directory; /* the Maildir, as walk_identity has it; 0 where it is missing
			     */
	int missing;        /* the Maildir, or its new */
	int64_t young_ns;   /* until each ctime is older than the grain; 0: all are */
};

/* Looks at the mailbox; IGNORE is a list of folders' paths, with or without the dot that
 * they begin with. 0 with *f (folders_clear ends it), or -1 with the reason and nothing
 * to clear. */
int folders_look(
	struct folders *f, const char *path, const char *ignore, struct reason *why);
void folders_clear(struct folders *f);

/* Whether that list has the folder. */
int folders_is_ignored(const char *ignore, const char *path);

/* Tells the rules apart by which mailboxes are counted: another number for another set of
 * ignored folders, in whatever order, and for another version of these programs where it
 * counts otherwise. Never 0. */
uint64_t folders_rules(const char *ignore);

#endif
