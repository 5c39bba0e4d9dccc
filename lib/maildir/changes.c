/* Changes of directories: inotify, and which of its events matter. */
#include "changes.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define ENDS  (IN_DELETE_SELF | IN_MOVE_SELF)

/* File systems that nobody changes but through this kernel. */
static int
is_local(int dir)
{
	static const unsigned long kinds[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
		F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, RAMFS_MAGIC,
		REISERFS_SUPER_MAGIC, NILFS_SUPER_MAGIC, ECRYPTFS_SUPER_MAGIC,
		0x2fc12fc1, /* ZFS */
		0x3153464a, /* JFS */
		0xca451a4e, /* bcachefs */
	};
	struct statfs fs;

	if (fstatfs(dir, &fs))
		return 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if ((unsigned long)fs.f_type == kinds[i])
			return 1;
	return 0;
}

int
changes_open(struct changes *c)
{
	memset(c, 0, sizeof *c);
	c->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return c->fd < 0 ? -1 : 0;
}

void
changes_close(struct changes *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->places);
	memset(c, 0, sizeof *c);
	c->fd = -1;
}

static int
make_room(struct changes *c, size_t watch)
{
	size_t size = c->size ? c->size : 16;
	unsigned *grown;

	while (size <= watch)
		size *= 2;
	if (size == c->size)
		return 0;
	grown = reallocarray(c->places, size, sizeof *grown);
	if (!grown)
		return -1;
	memset(grown + c->size, 0, (size - c->size) * sizeof *grown);
	c->places = grown;
	c->size = size;
	return 0;
}

/* The watch of an open directory, which is the same one if it is watched already. */
static int
add_watch(const struct changes *c, int dir)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
	return inotify_add_watch(c->fd, path, NAMES | ENDS | IN_ONLYDIR);
}

int
changes_watch(struct changes *c, int dir, unsigned place)
{
	int watch = is_local(dir) ? add_watch(c, dir) : -1;

	if (watch < 0 || make_room(c, (size_t)watch))
		return -1;
	if (c->places[watch] == 0)
		c->places[watch] = place + 1;
	return c->places[watch] == place + 1 ? 0 : -1;
}

int
changes_is_watched(struct changes *c, int dir, unsigned place)
{
	int watch = add_watch(c, dir);

	return watch >= 0 && (size_t)watch < c->size && c->places[watch] == place + 1;
}

/* Whether the set of directories that count may be another one now. What happens to files
 * beside them (a server's indexes) does not matter. */
static int
is_of_a_directory(unsigned place, const struct inotify_event *e)
{
	return place < WATCHED_PARTS && (e->mask & IN_ISDIR) &&
	       strcmp(e->name, "tmp") != 0;
}

static int
take(const struct changes *c, const struct inotify_event *e,
	int (*each)(void *arg, unsigned place, const char *name), void *arg)
{
	unsigned place;

	if ((e->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | ENDS)) || e->wd < 0 ||
		(size_t)e->wd >= c->size || c->places[e->wd] == 0 || e->len == 0)
		return -1;
	place = c->places[e->wd] - 1;
	if (is_of_a_directory(place, e))
		return -1;
	return place >= WATCHED_PARTS ? each(arg, place, e->name) : 0;
}

/* The longest event there is. */
#define EVENT_MAX (sizeof(struct inotify_event) + NAME_MAX + 1)

enum changes_found
changes_read(struct changes *c, int (*each)(void *arg, unsigned place, const char *name),
	void *arg)
{
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	enum changes_found found = CHANGES_NONE;
	ssize_t n;

	/* Where there was room for another event, none was pending any more. What has
	 * come since is another call's: a client as fast as we are must not keep us here.
	 */
	do {
		n = read(c->fd, buffer, sizeof buffer);
		if (n < 0 && errno == EAGAIN)
			return found;
		if (n <= 0)
			return CHANGES_LOST;
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buffer + at);

			if (take(c, e, each, arg))
				return CHANGES_LOST;
			at += (ssize_t)(sizeof *e + e->len);
		}
		found = CHANGES_SOME;
	} while ((size_t)n > sizeof buffer - EVENT_MAX);
	return found;
}
