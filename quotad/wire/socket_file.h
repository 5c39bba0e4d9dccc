/*
 * The file of a socket of our own: made under a lock that keeps a second quotad away,
 * with the mode and group of its service, and removed at the end where it may be.
 *
 * A file that is there already is removed only once the lock is ours, and only if it is a
 * socket that nobody serves. A PERMITTED socket is closed to all others from its first
 * moment, and its directory, which is somebody else's (Postfix's private/), is never
 * made. Where the group can't be given, the socket is its owner's alone.
 */
#ifndef QUOTAD_SOCKET_FILE_H
#define QUOTAD_SOCKET_FILE_H

#include "reason.h"
#include "service.h"

struct socket_file {
	char *path;   /* NULL: none of our own */
	int lock;     /* -1: none */
	int itself;   /* the file, as O_PATH; -1: unknown */
	int was_lost; /* that was told */
};

/* Makes the service's socket, non-blocking: its descriptor, or -1 with the reason. F is
 * to be removed and unlocked either way. */
int socket_file_make(struct socket_file *f, const struct service *s, struct reason *why);

/* Notes the file of a socket that systemd has made. */
void socket_file_note(struct socket_file *f, int fd);

/* Whether PATH is that of the listening socket. */
int socket_file_is(int fd, const char *path);

/* Whether the file was removed, so that nobody can connect any more: 1 once. */
int socket_file_is_lost(struct socket_file *f);

/* Removes the file, if it was made here and may be removed: in a directory of root's, or
 * Postfix's, the daemon can't, and the next start does. */
void socket_file_remove(struct socket_file *f);

/* Gives up the lock. */
void socket_file_unlock(struct socket_file *f);

#endif
