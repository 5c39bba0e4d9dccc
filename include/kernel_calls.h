/*
 * Calls of the kernel that the C library in use may have no functions for: musl's, which
 * lda is linked with, until 1.2.6. As in the manual pages of their names.
 */
#ifndef BRIM_KERNEL_CALLS_H
#define BRIM_KERNEL_CALLS_H

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#ifndef STATX_TYPE
#include <linux/stat.h>
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#ifndef __GLIBC__
int close_range(unsigned first, unsigned last, int flags);
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int statx(int dir, const char *restrict path, int flags, unsigned what,
	struct statx *restrict found);
#endif

#endif
