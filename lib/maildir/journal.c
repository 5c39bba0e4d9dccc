#include "journal.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SMALL   64
#define LINK    512  /* more than a device's path in /sys has */
#define OPTIONS 2048 /* some four times what they are */

/* The disk's name, as ext4's folder in /proc has it. */
static int
find_name(dev_t disk, char name[NAME_MAX + 1])
{
	char path[SMALL], target[LINK];
	const char *last;
	ssize_t n;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(disk), minor(disk));
	n = readlink(path, target, sizeof target);
	if (n < 0 || n == sizeof target)
		return -1;
	target[n] = '\0';
	last = strrchr(target, '/');
	return last && snprintf(name, NAME_MAX + 1, "%s", last + 1) <= NAME_MAX ? 0 : -1;
}

/* The mount's options have no line that begins with "data=" where there is no journal. In
 * the other two modes the order of some changes is another. */
static int
is_ordered(const char *disk)
{
	char path[SMALL + NAME_MAX], options[OPTIONS];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/fs/ext4/%s/options", disk);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, options, sizeof options - 1);
	close(fd);
	if (n < 0)
		return 0;
	options[n] = '\0';
	return strstr(options, "\ndata=ordered\n") != NULL;
}

/* The journal is named after the disk and its inode, which is 8. One on a disk of its own
 * has no number: its commit leaves the bytes in the cache of the files' disk, where
 * blocks are set aside before they are written (as is usual), so it keeps the name alone
 * (measured in 14 of 40 power cuts, lda having been held up between link and fsync). */
static int
is_on_same_disk(const char *disk)
{
	char path[SMALL + NAME_MAX];

	snprintf(path, sizeof path, "/proc/fs/jbd2/%s-8", disk);
	return access(path, F_OK) == 0;
}

/* Once bytes are there, a failure is the disk's, and told once: so the call is tried
 * before, with nothing to do. */
static int
can_write_out(int file)
{
	return sync_file_range(file, 0, 0, 0) == 0;
}

int
journal_keeps_order(int file)
{
	char disk[NAME_MAX + 1];
	struct statfs of;
	struct stat st;

	return fstatfs(file, &of) == 0 && of.f_type == EXT4_SUPER_MAGIC &&
	       fstat(file, &st) == 0 && find_name(st.st_dev, disk) == 0 &&
	       is_ordered(disk) && is_on_same_disk(disk) && can_write_out(file);
}

int
journal_write_out(int file)
{
	return sync_file_range(file, 0, 0,
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			SYNC_FILE_RANGE_WAIT_AFTER);
}
