/*
 * The file of a daemon's socket: made under a lock that keeps a second daemon away, with
 * its mode and group, and removed at the end where it may be.
 *
 * A file that is there already is removed only once the lock is ours, and only if it is a
 * socket that nobody serves. A socket that is not for anyone is closed to all others from
 * its first moment. Where the group can't be given, it is its owner's alone.
 */
#ifndef BRIM_SOCKET_FILE_H
#define BRIM_SOCKET_FILE_H

#include <sys/types.h>

#include "reason.h"

struct socket_place {
	const char *path;
	const char *daemon; /* whose it is, for messages; NAME.socket is systemd's unit */
	int for_anyone;     /* mode 0666; else */
	mode_t mode;        /* this one, */
	gid_t group;        /* and this group; (gid_t)-1: that of whoever makes it */
	int makes_directory; /* where it is missing: mode 0755 */
};

struct socket_file {
	char *path;   /* NULL: none of our own */
	int lock;     /* -1: none */
	int itself;   /* the file, as O_PATH; -1: unknown */
	int was_lost; /* that was told */
};

/* Makes the socket, non-blocking: its descriptor, or -1 with the reason. F is to be
 * removed and unlocked either way. */
int socket_file_make(
	struct socket_file *f, const struct socket_place *place, struct reason *why);

/* Notes the file of a socket that systemd has made. */
void socket_file_note(struct socket_file *f, int fd);

/* Whether PATH is that of the listening socket. */
int socket_file_is(int fd, const char *path);

/* Whether the file was removed, so that nobody can connect any more: 1 once. */
int socket_file_is_lost(struct socket_file *f);

/* Removes the file, if it was made here and may be removed: in a directory of root's, or
 * Postfix's, a daemon can't, and the next start does. */
void socket_file_remove(struct socket_file *f);

/* Gives up the lock. */
void socket_file_unlock(struct socket_file *f);

#endif
