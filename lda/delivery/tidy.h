/*
 * What a delivery puts right in a Maildir when it closes it: folders that are missing,
 * and files that killed deliveries have left. The message is in its place by
 * then, so a failure is nobody's concern: the next delivery tries again.
 */
#ifndef LDA_TIDY_H
#define LDA_TIDY_H

#include <sys/types.h>

/* Makes cur/ and tmp/ in the open Maildir where they are missing: a backup may have kept
 * no empty folders, and readers take a Maildir without them for none. */
void tidy_folders(int maildir, uid_t owner);

/* Removes from tmp/ or new/, which is open and is closed by this, what OWNER's deliveries
 * on this host have left there: regular files with the name of an unfinished one behind
 * PREFIX that nobody has used for 36 hours, as maildir(5) of qmail allows. A bounded
 * number at a time. DIR may be -1. */
void tidy_leftovers(int dir, const char *prefix, uid_t owner);

#endif
