/*
 * What a delivery makes in a mailbox belongs to the mailbox's owner.
 *
 * That does not go without saying. A server may make files as whoever asks, and mix up
 * who that is: gocryptfs 2.3 changes the ids of all its threads for each file that one of
 * them makes. Of files that are made at the same time some then are refused (EPERM), and
 * some are root's, which the owner could not read (measured, eight at a time: 29 and 4 in
 * a hundred). Both are over in a moment, so another try is made.
 */
#ifndef LDA_MADE_H
#define LDA_MADE_H

#include <sys/types.h>

/* A new file, open for writing; else -1 with errno: EPERM if it was removed since *WHOSE
 * is not OWNER. */
int made_file(int dir, const char *name, uid_t owner, uid_t *whose);

/* 0 if the directory is there, since another delivery may be making it now; else -1 with
 * errno, likewise. */
int made_directory(int dir, const char *name, uid_t owner);

#endif
