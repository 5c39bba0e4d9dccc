/*
 * Whether calls on a mailbox's file system may never return. Those of a network (NFS) or
 * of a user's process (FUSE) wait until their server answers, and no signal but SIGKILL
 * ends them (FUSE: not even that, once the server has read the call: measured).
 */
#ifndef BRIM_FILE_SYSTEM_H
#define BRIM_FILE_SYSTEM_H

/* Looks in the kernel's memory alone, so that it never hangs itself. Where it can't tell
 * the answer is 1. */
int file_system_may_hang(const char *path);

#endif
