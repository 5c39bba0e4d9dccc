/* The ways to a name in new/, and what each failure means. */
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_calls.h"

/* Errors that the next way would meet as well, or that must not be passed over. EEXIST:
 * there is somebody else's file, which plain rename() would replace. */
static const int final[] = {ENOSPC, EDQUOT, EROFS, EIO, ENOMEM, EMFILE, ENFILE, ESTALE,
	ETIMEDOUT, ENOTCONN, EEXIST};

/* What fsync() answers where the file system has no such call: CIFS and vboxsf EINVAL for
 * a directory, servers of 9p and FUSE the others. EBADF: the descriptor is open for
 * certain. */
static const int unknown[] = {EINVAL, ENOSYS, EOPNOTSUPP, EISDIR, EBADF};

#define HAS(list, error) has(list, sizeof(list) / sizeof *(list), error)

static int
has(const int *list, size_t count, int error)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == error)
			return 1;
	return 0;
}

const char *
publish_way_name(enum publish_way way)
{
	static const char *const names[] = {
		[PUBLISH_NAMELESS] = "a nameless file in new/, then link",
		[PUBLISH_MOVE] = "a file in tmp/, then rename without replacing",
		[PUBLISH_LINK] = "a file in tmp/, then link and unlink",
		[PUBLISH_RENAME] = "a file in tmp/, then rename",
		[PUBLISH_HIDDEN] =
			("a hidden file in new/ (tmp/ is on another file system), then "
			 "its name"),
	};

	return names[way];
}

int
publish_may_go_on(int error)
{
	return !HAS(final, error);
}

/* One that was linked has another inode on mergerfs, and another size on gocryptfs for a
 * while (measured); both on none. */
int
publish_is_there(const struct publish_goal *goal)
{
	struct stat there, file;

	if (fstatat(goal->dir, goal->name, &there, AT_SYMLINK_NOFOLLOW) ||
		!S_ISREG(there.st_mode))
		return 0;
	return (uint64_t)there.st_size == goal->bytes ||
	       (fstat(goal->file, &file) == 0 && file.st_ino == there.st_ino &&
		       file.st_dev == there.st_dev);
}

/* After a call that failed: 0 where it was done all the same, else -1 with its errno. */
static int
look_after_failure(const struct publish_goal *goal)
{
	int error = errno;

	if ((error == EEXIST || error == ENOENT) && publish_is_there(goal))
		return 0;
	errno = error;
	return -1;
}

/* Since Linux 6.10 who opened the file may link it by its descriptor; before, that took
 * CAP_DAC_READ_SEARCH (else ENOENT), and the other way needs /proc. */
int
publish_nameless(const struct publish_goal *goal)
{
	char path[sizeof "/proc/self/fd/" + 3 * sizeof goal->file];

	if (linkat(goal->file, "", goal->dir, goal->name, AT_EMPTY_PATH) == 0)
		return 0;
	if (publish_may_go_on(errno)) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", goal->file);
		if (linkat(AT_FDCWD, path, goal->dir, goal->name, AT_SYMLINK_FOLLOW) == 0)
			return 0;
	}
	return look_after_failure(goal);
}

static int
try_way(int tmp, const char *name, const struct publish_goal *goal, enum publish_way way)
{
	if (way == PUBLISH_MOVE)
		return renameat2(tmp, name, goal->dir, goal->name, RENAME_NOREPLACE);
	if (way == PUBLISH_LINK)
		return linkat(tmp, name, goal->dir, goal->name, 0);
	return renameat(tmp, name, goal->dir, goal->name);
}

/* Go's bazil.org/fuse (rclone mount) answers EIO to the link() that its program does not
 * know. A disk that is broken fails the rename(), too. */
static int
may_try_next(const struct publish_goal *goal, enum publish_way way)
{
	int error = errno;
	int result = publish_may_go_on(error) ||
		     (way == PUBLISH_LINK && error == EIO && !publish_is_there(goal));

	errno = error;
	return result;
}

int
publish_from_tmp(
	int tmp, const char *name, const struct publish_goal *goal, enum publish_way *way)
{
	for (*way = PUBLISH_MOVE; *way <= PUBLISH_RENAME; ++*way) {
		if (try_way(tmp, name, goal, *way) == 0)
			return 0;
		if (look_after_failure(goal) == 0) {
			*way = PUBLISH_LINK; /* which call did it is not known */
			return 0;
		}
		if (!may_try_next(goal, *way))
			break;
	}
	return -1;
}

/* syncfs() brings all to disk that the file system has, and every file system has it. */
int
publish_sync(int fd)
{
	if (fsync(fd) == 0)
		return 0;
	return HAS(unknown, errno) ? syncfs(fd) : -1;
}

/* Where FUSE's program has no fsync() the kernel says that it was done; goofys and its
 * like bring the bytes to their server in the flush() that each close() of a descriptor
 * makes, and only that can fail. It costs a disk nothing: those have no flush(). The
 * kernel itself is asked: musl's close() makes a success of EINTR. */
int
publish_sync_file(int file)
{
	int twin;

	if (publish_sync(file))
		return -1;
	twin = dup(file);
	if (twin < 0)
		return -1;
	return syscall(SYS_close, twin) && !HAS(unknown, errno) ? -1 : 0;
}
