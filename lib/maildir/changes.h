/*
 * What changes in the directories of a mailbox while they are read, by inotify. A name
 * with an event is looked at after the last read, until no event is pending: then what
 * was read and looked at is what there was at one moment.
 *
 * The kernel queues the event of a change before it unlocks the directory. So whoever has
 * seen a change by its name, and then reads on in the directory (which waits for the
 * lock), finds the event in the queue.
 *
 * Fails where watches are not to be had, and on file systems that others change too (NFS,
 * FUSE), since their changes make no events here.
 */
#ifndef LIB_MAILDIR_CHANGES_H
#define LIB_MAILDIR_CHANGES_H

#include <stddef.h>
#include <stdint.h>

/* What a directory is: a folder may hold folders, as the Maildir does; new and cur of the
 * folder number N are WATCHED_PARTS + 2 N and one more. */
enum { WATCHED_MAILDIR, WATCHED_FOLDER, WATCHED_PARTS };

struct changes {
	int fd;           /* of inotify */
	unsigned *places; /* by watch; 0 is none, else one more than its place */
	size_t size;
};

enum changes_found {
	CHANGES_NONE, /* no event was pending */
	CHANGES_SOME,
	CHANGES_LOST /* events are lost, or it is not the same directories any more */
};

/* 0, or -1 where there is no inotify; then there is nothing to close. */
int changes_open(struct changes *c);
void changes_close(struct changes *c);

/* Watches the open directory, before its first read: 0, or -1. The same directory may be
 * watched again in the same place, and nowhere else. */
int changes_watch(struct changes *c, int dir, unsigned place);

/* Whether the open directory is the one that is watched in that place. */
int changes_is_watched(struct changes *c, int dir, unsigned place);

/* Reads all that is pending, and calls EACH for every name of a message that it is about.
 * EACH returns 0, or -1: then the rest is lost. */
enum changes_found changes_read(struct changes *c,
	int (*each)(void *arg, unsigned place, const char *name), void *arg);

#endif
