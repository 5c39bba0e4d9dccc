/*
 * Which file system a path is on, found without asking one: by the kernel's list of
 * mounts (proc_pid_mountinfo(5)) and what it has in its cache of paths. A file system
 * whose server hangs keeps for ever whoever asks it anything, if only by the way to a
 * mailbox.
 */
#ifndef BRIM_MOUNTS_H
#define BRIM_MOUNTS_H

#include <stdint.h>

/* Whether calls on a file system of that type ("nfs4", "fuse.sshfs") may never return,
 * since a server or a user's process answers them. */
int mounts_type_may_hang(const char *type);

struct mounts_found {
	int may_hang; /* the path's, or one that is mounted below it */
	int judges; /* the path's judges by uid: no capability helps there (foreign.h) */
	uint64_t group; /* of those that hang together: one device's, or one server's; 0
			   where none may */
};

struct mounts;

/* NULL where the list can't be had: then nothing is known to hang. */
struct mounts *mounts_open(void);
void mounts_close(struct mounts **m);

/* Finds what PATH (absolute) is on; the list is read again when it has changed. What is
 * behind a link that is in no cache is not found. M may be NULL. */
void mounts_find(struct mounts *m, const char *path, struct mounts_found *found);

#endif
