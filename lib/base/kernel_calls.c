/* Calls of the kernel, where the C library has no functions for them. */
#include "kernel_calls.h"

#ifndef __GLIBC__
#include <sys/syscall.h>

int
close_range(unsigned first, unsigned last, int flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int
statx(int dir, const char *restrict path, int flags, unsigned what,
	struct statx *restrict found)
{
	return (int)syscall(SYS_statx, dir, path, flags, what, found);
}
#endif
