/*
 * The way to a mailbox. A link on it is followed if root owns it and it stands in a
 * directory that root owns and nobody else may write to (homes on other disks), on no
 * FUSE file system of a user's, where these are that user's word; any other link is
 * refused, and inside a mailbox none is followed. One walker for lda and scanner.
 */
#ifndef BRIM_WALK_H
#define BRIM_WALK_H

#include <stdint.h>
#include <sys/stat.h>

#include "reason.h"

/* Opens the directory PATH (absolute) for reading: a descriptor, or -1 with errno (ENOENT
 * where it is missing, ELOOP where a link was refused) and the reason. */
int walk_open(const char *path, struct reason *why);

/* Opens the directory that holds PATH's last part, which is copied to NAME (NAME_MAX + 1
 * bytes; the part may be missing). */
int walk_open_parent(const char *path, char *name, struct reason *why);

/* Opens the directory NAME in DIR, following no link. */
int walk_open_in(int dir, const char *name, struct reason *why);

/* The same for a path with parts below DIR, as folders_look names it. */
int walk_open_below(int dir, const char *path, struct reason *why);

/* Tells one open directory from another, whatever paths lead there: a hash of its device
 * and inode, which means nothing in another boot. Never 0. A file system without a disk
 * of its own gets a device's number that another had before, and a user's FUSE has the
 * inodes that the user likes: there the owner is part of it, so that no directory passes
 * for another user's. */
uint64_t walk_identity(const struct stat *st);

/* This process reads what is UID's alone, whoever the file system says is the owner. */
void walk_believe_owner(uid_t uid);

#endif
