/*
 * Calls of the kernel that the C library in use may have no functions for, or functions
 * of older structures: musl, which lda is linked with. As in the manual pages of their
 * names.
 */
#ifndef BRIM_KERNEL_CALLS_H
#define BRIM_KERNEL_CALLS_H

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef __GLIBC__
/* Names of our own: musl 1.2.5 has a statx() that knows no mount, 1.2.6 renameat2(). */
#define close_range     kernel_close_range
#define renameat2       kernel_renameat2
#define statx           kernel_statx
#define statx_timestamp kernel_statx_timestamp
#include <linux/stat.h>

int close_range(unsigned first, unsigned last, int flags);
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int statx(int dir, const char *restrict path, int flags, unsigned what,
	struct statx *restrict found);
#endif

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#endif
