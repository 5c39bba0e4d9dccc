/*
 * How a file that holds a message becomes one of a Maildir, on any file system: each call
 * that one may not know (Linux's manual pages name EINVAL, ENOSYS, EOPNOTSUPP, EPERM,
 * EXDEV and others for that) has a next best one, which is tried at once. An error that
 * tells of the disk itself, full, broken or read-only, is an error.
 *
 * The file has a name of its own in new/ that nobody can guess. So where something of its
 * size has that name the file is there, whatever the call returned: NFS repeats a call
 * whose answer was lost, and the second one fails with EEXIST or ENOENT.
 */
#ifndef BRIM_PUBLISH_H
#define BRIM_PUBLISH_H

#include <stdint.h>

/* Best first. */
enum publish_way {
	PUBLISH_NAMELESS, /* made by O_TMPFILE in new/, given a name by link() */
	PUBLISH_MOVE,     /* moved from tmp/ by renameat2() with RENAME_NOREPLACE */
	PUBLISH_LINK,     /* link() from tmp/; then its name there is removed */
	PUBLISH_RENAME,   /* moved from tmp/ by rename() */
	PUBLISH_HIDDEN,   /* none works from tmp/ (EXDEV): made in new/ behind a dot, then
			     as   from tmp/ */
};

/* The way in a few words, for people. */
const char *publish_way_name(enum publish_way way);

/* Whether a call that failed with this errno may have a next best one. */
int publish_may_go_on(int error);

/* What is to be published, and where. */
struct publish_goal {
	int file; /* it is open */
	uint64_t bytes;
	int dir; /* new/, which is open */
	const char *name;
};

/* Gives a file that was made by O_TMPFILE its name: 0, or -1 with errno. */
int publish_nameless(const struct publish_goal *goal);

/* Brings a file that is NAME in TMP to its new name, by the first way that works: 0, or
 * -1 with errno of the last. Its old name is left where *way is PUBLISH_LINK, and may be
 * left where that is PUBLISH_RENAME: the caller removes it. */
int publish_from_tmp(int tmp, const char *name, const struct publish_goal *goal,
	enum publish_way *way);

/* Whether the file has its new name; async-signal-safe. */
int publish_is_there(const struct publish_goal *goal);

/* Brings a file or a directory to disk, as well as its file system can: 0, or -1 with
 * errno. Async-signal-safe. */
int publish_sync(int fd);

/* The same for a file that is written, with what its file system does at close() alone.
 */
int publish_sync_file(int file);

#endif
