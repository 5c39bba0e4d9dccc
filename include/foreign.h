/*
 * File systems that ask another program or another host who may read what: FUSE, NFS and
 * their like. They judge by the caller's uid, so a capability of this kernel does not
 * help there, and what they show is what their owner's process sees.
 */
#ifndef BRIM_FOREIGN_H
#define BRIM_FOREIGN_H

/* Whether PATH is on such a file system; 1, too, where this process may not get there. 0
 * where it is missing. Links are followed. */
int foreign_holds(const char *path);

/* Whether the open directory is. */
int foreign_has(int dir);

/* Whether the open directory is on a FUSE file system that another user than root has
 * mounted, or may have: what it shows as root's is that user's word. */
int foreign_is_users(int dir);

/* Whether each change in the open directory moves its times, as far as is known: 0 on
 * FUSE file systems of other programs than those that are known for it. */
int foreign_keeps_times(int dir);

#endif
