/* Markers: one line each, a record of the boot's id and an end. */
#include "boot_marker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

#define LONGEST_SECONDS 3600 /* an end that is later is another boot's */

uint64_t
boot_marker_now(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec;
}

int
boot_is_other(const char *its, const char *boot)
{
	return strcmp(its, boot) != 0 && strcmp(its, BOOT_UNKNOWN) != 0 &&
	       strcmp(boot, BOOT_UNKNOWN) != 0;
}

/* A marker of another boot is the only one that is known not to hold, but for its end. */
static int
line_holds(const char *line, size_t length, const char *boot, uint64_t *until)
{
	struct record r;
	const char *its;
	int holds;

	if (record_parse(&r, line, length, 0, NULL))
		return 1;
	its = record_get(&r, "boot");
	holds = !its || !boot_is_other(its, boot);
	if (record_number(&r, "until", 0, until))
		*until = 0;
	if (its && strcmp(boot, BOOT_UNKNOWN) == 0 &&
		*until > boot_marker_now() + LONGEST_SECONDS)
		holds = 0;
	record_clear(&r);
	return holds && (*until == 0 || boot_marker_now() < *until);
}

int
boot_marker_holds(int dir, const char *name, const char *boot, uint64_t *until)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char line[256];
	ssize_t n;

	*until = 0;
	if (fd < 0)
		return errno != ENOENT;
	n = read(fd, line, sizeof line);
	close(fd);
	if (n <= 0)
		return 1;
	return line_holds(line, (size_t)n - (line[n - 1] == '\n'), boot, until);
}

int
boot_marker_write(
	int dir, const char *name, const char *boot, uint64_t until, struct reason *why)
{
	int fd = openat(
		dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int written;

	if (fd < 0)
		return reason_errno(why, "the marker %s can't be made", name);
	written = until ? dprintf(fd, "boot=%s until=%" PRIu64 "\n", boot, until)
			: dprintf(fd, "boot=%s\n", boot);
	if (written < 0)
		reason_errno(why, "the marker %s can't be written", name);
	close(fd);
	return written < 0 ? -1 : 0;
}

int
boot_marker_remove(int dir, const char *name, struct reason *why)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return reason_errno(why, "the marker %s can't be removed", name);
}
