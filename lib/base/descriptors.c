/*
 * Closing what was inherited. Old sandboxes (a container engine's profile of system calls
 * from before Linux 5.9) answer close_range with EPERM or ENOSYS: then /proc tells what
 * is open, and without /proc each number is tried.
 */
#include "descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kernel_calls.h"

#define MOST_TRIED (1U << 20) /* 60 ms: what an engine's default limit allows */

static int
close_listed(DIR *list, unsigned first, unsigned last)
{
	const unsigned own = (unsigned)dirfd(list);
	const struct dirent *e;

	errno = 0;
	while ((e = readdir(list)) != NULL) {
		unsigned long fd = own;

		if (e->d_name[0] != '.') /* else no number, which may set errno */
			fd = strtoul(e->d_name, NULL, 10);
		if (fd >= first && fd <= last && fd != own)
			close((int)fd);
	}
	return errno == 0 ? 0 : -1;
}

static int
try_each(unsigned first, unsigned last)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return -1;
	if (r.rlim_max <= MOST_TRIED && last >= r.rlim_max)
		last = (unsigned)r.rlim_max;
	else if (last > MOST_TRIED)
		last = MOST_TRIED;
	for (unsigned fd = first; fd <= last; fd++)
		close((int)fd);
	return 0;
}

int
descriptors_close(unsigned first, unsigned last)
{
	DIR *list;
	int result;

	if (first > last || close_range(first, last, 0) == 0)
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return -1;
	list = opendir("/proc/self/fd");
	if (list == NULL)
		return try_each(first, last);
	result = close_listed(list, first, last);
	closedir(list);
	return result;
}
