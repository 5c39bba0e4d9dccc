/*
 * A mailbox as it was at one moment, though others change it while it is read: every
 * entry that was read, but for those whose names had an event (changes.h), which are as
 * they were found when they were looked at afterwards.
 */
#ifndef LIB_MAILDIR_SNAPSHOT_H
#define LIB_MAILDIR_SNAPSHOT_H

#include <stdint.h>

#include "folders.h"
#include "measure.h"
#include "name_set.h"

/* How long it waits for a moment in which nothing changes. */
#define SNAPSHOT_SETTLE_MS 1000

struct snapshot;

struct snapshot_sum {
	uint64_t bytes, messages;
	uint64_t by_name, wrong; /* of those that were looked at afterwards */
};

/* Watches the Maildir, before anybody lists its folders. NULL where that is not to be
 * had.
 */
struct snapshot *snapshot_begin(const char *path);
void snapshot_end(struct snapshot **s);

/* Watches all directories, before the first of them is read: 0, or -1 where that is not
 * to be had. FOLDERS must live until the last snapshot_settle. */
int snapshot_watch(struct snapshot *s, const struct folders *folders);

/* A message that was read in new (PART 0) or cur (1) of the folder number FOLDER. */
void snapshot_note(struct snapshot *s, size_t folder, int part, const char *name,
	const struct measured *m);

/* Takes what has happened meanwhile, now and then, so that no event is lost. */
void snapshot_catch_up(struct snapshot *s);

/* After the last read: looks at the names with events until none is pending. 1 with the
 * sum and their names in SEEN, or 0 where no such moment came in time. */
int snapshot_settle(struct snapshot *s, int by_files, struct name_set *seen,
	struct snapshot_sum *sum);

#endif
