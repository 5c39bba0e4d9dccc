/*
 * One look at one mailbox: by the scanner's children, and by brimadm for a person, so
 * that both count the same. A count adds up the sizes of the messages in new/ and cur/ of
 * the Maildir and of every folder in it (folders.h) but those ignored; a probe only takes
 * the stamp: a digest of device, inode and ctime of each directory and of their paths.
 *
 * A count is exact if no directory's ctime moved from before its first read to after its
 * last, and each was older than the clock's grain when it was first looked at. Where they
 * move it is tried twice more with watches on all directories (snapshot.h), which makes
 * it exact unless changes come too fast or there are no watches.
 *
 * Every regular file counts, in a count that is not exact once in a folder by the part of
 * its name before ':'. Sizes are those that the names tell, or by files (measure.h has
 * what is believed then). Names, depth and number of folders are bounded; links are not
 * followed.
 */
#ifndef BRIM_COUNT_H
#define BRIM_COUNT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "name_set.h"
#include "reason.h"

struct count_result {
	int exact;
	uint64_t bytes, messages, stamp;
	uint64_t directory; /* that was read, as walk_identity has it; 0: none is there */
	int missing;        /* the Maildir, or its new */
	/* A folder that does not count has messages; looked for where no other has. */
	int ignored;
	/* What was surely there: all of an exact count; else the messages that both of
	 * two passes saw, each counted once over all folders. */
	uint64_t sure_bytes, sure_messages;
	uint64_t by_name; /* messages whose files were not asked for their sizes */
	uint64_t wrong;   /* by files: names that were not believed */
};

/* Counts the mailbox. A missing mailbox is an exact count of nothing. 0 with *seen (freed
 * by name_set_free), or -1 with the reason. */
int count_mailbox(const char *path, const char *ignore, int by_files,
	struct count_result *result, struct name_set **seen, struct reason *why);

/* One directory of a mailbox: new or cur of a folder. */
struct count_part {
	int missing;
	struct timespec changed;  /* its ctime */
	uint64_t messages, bytes; /* as a count has them, which believes the names */
	uint64_t
		named; /* messages whose names tell their size; the files say of others */
	uint64_t named_bytes;
	uint64_t again;   /* names that were seen in the folder before */
	uint64_t larger;  /* files larger than their names say, */
	uint64_t excess;  /* and by how many bytes in all */
	uint64_t smaller; /* files smaller than their names say, uncompressed, */
	uint64_t
		shortfall; /* and by how many bytes in all: what a count by files finds */
};

/* Counts new and cur of one folder (a path from folders_look) in the open MAILBOX: 0, or
 * -1 with the reason. */
int count_parts(int mailbox, const char *folder, struct count_part *new,
	struct count_part *cur, struct reason *why);

/* Takes the stamp alone. */
int count_stamp(
	const char *path, const char *ignore, uint64_t *stamp, struct reason *why);

#endif
