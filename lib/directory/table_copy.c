/*
 * Sharing the blocks where the file system can, letting the kernel copy else. A copy and
 * a read-through take about the same time, so a thread does the one.
 */
#include "table_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io.h"

struct copy {
	int from, to;
	off_t size;
	int error; /* errno of what failed */
};

static int
copy_by_hand(const struct copy *c)
{
	char buffer[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(c->from, buffer, sizeof buffer, at)) > 0) {
		if (io_write_all(c->to, buffer, (size_t)n))
			return -1;
		at += n;
	}
	return n < 0 ? -1 : 0;
}

static int
copy_bytes(const struct copy *c)
{
	off_t from = 0;

	if (ioctl(c->to, FICLONE, c->from) == 0)
		return 0;
	while (from < c->size) {
		ssize_t n = copy_file_range(
			c->from, &from, c->to, NULL, (size_t)(c->size - from), 0);

		if (n == 0)
			return 0;
		if (n < 0 && from == 0 && errno != ENOSPC && errno != EIO)
			return copy_by_hand(c);
		if (n < 0)
			return -1;
	}
	return 0;
}

void
table_copy_begin_sync(int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static void *
run_copy(void *arg)
{
	struct copy *c = arg;

	if (copy_bytes(c))
		c->error = errno ? errno : EIO;
	else
		table_copy_begin_sync(c->to);
	return NULL;
}

int
table_copy(
	struct users *from, int to, int *sound, struct reason *damage, struct reason *why)
{
	struct copy c = {.from = from->fd, .to = to, .size = from->stat.st_size};
	pthread_t thread;
	int apart = pthread_create(&thread, NULL, run_copy, &c) == 0;

	if (!apart)
		run_copy(&c);
	*sound =
		users_file_check(from, damage) == 0 && btree_verify(from, 0, damage) == 0;
	if (apart)
		pthread_join(thread, NULL);
	errno = c.error;
	return c.error ? reason_errno(why, "%s.new: copy", from->path) : 0;
}
