/* main.cf and master.cf: staged, kept, put in place, taken back. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io.h"

#define FILE_MAX   (16 << 20)
#define BEFORE     ".brim-before"
#define AFTER      ".brim-after"
#define NAME_BYTES 64
#define SET_BACK   5 /* seconds */

static const char *const names[] = {"main.cf", "master.cf"};

#define NAMES (sizeof names / sizeof *names)

/* A file's bytes and what else must be had back. */
struct content {
	char *bytes;
	size_t length;
	struct stat st;
};

static const char *
with_suffix(const char *name, const char *suffix, char buf[NAME_BYTES])
{
	snprintf(buf, NAME_BYTES, "%s%s", name, suffix);
	return buf;
}

/* --- one file ---------------------------------------------------------------------- */

/* All of an open file; a byte more than is needed is had for a line break. */
static int
read_all(int fd, struct content *c)
{
	ssize_t n;

	if (fstat(fd, &c->st))
		return -1;
	errno = EFBIG;
	if (!S_ISREG(c->st.st_mode) || c->st.st_size > FILE_MAX)
		return -1;
	c->bytes = malloc((size_t)c->st.st_size + 1);
	while (c->bytes && c->length < (size_t)c->st.st_size) {
		n = read(fd, c->bytes + c->length, (size_t)c->st.st_size - c->length);
		if (n <= 0)
			return -1;
		c->length += (size_t)n;
	}
	return c->bytes ? 0 : -1;
}

/* 1 with the content, 0 where there is no such file, -1. */
static int
read_file(int folder, const char *name, struct content *c, struct reason *why)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), failed;

	memset(c, 0, sizeof *c);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno == ELOOP)
		return reason_set(why,
			"%s is a link, and postconf would put a file in its place: make "
			"the settings by hand",
			name);
	if (fd < 0)
		return reason_errno(why, "%s can't be opened", name);
	failed = read_all(fd, c);
	if (failed) {
		reason_errno(why, "%s can't be read", name);
		free(c->bytes);
		c->bytes = NULL;
	}
	close(fd);
	return failed ? -1 : 1;
}

/* Owner, mode and times as in the stat; the bytes on disk. */
static int
finish(int fd, const struct stat *like)
{
	const struct timespec times[] = {like->st_atim, like->st_mtim};

	return fchown(fd, like->st_uid, like->st_gid) ||
	       fchmod(fd, like->st_mode & 07777) || futimens(fd, times) || fsync(fd);
}

static int
write_file(int folder, const char *name, const struct content *c, struct reason *why)
{
	int fd = openat(folder, name,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int failed;

	if (fd < 0)
		return reason_errno(why, "%s can't be made", name);
	failed = io_write_all(fd, c->bytes, c->length) || finish(fd, &c->st);
	if (failed)
		reason_errno(why, "%s can't be written", name);
	close(fd);
	return failed ? -1 : 0;
}

/* 1 if both are there and have the same bytes. */
static int
same(const struct content *a, const struct content *b)
{
	return a->bytes && b->bytes && a->length == b->length &&
	       memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* --- the state ---------------------------------------------------------------------- */

static int
file_state(const struct postfix_files *f, const char *name, enum postfix_state *state,
	struct reason *why)
{
	struct content now, before = {0}, after = {0};
	char buf[NAME_BYTES];
	int result = -1;

	if (read_file(f->fd, name, &now, why) >= 0 &&
		read_file(f->fd, with_suffix(name, BEFORE, buf), &before, why) >= 0 &&
		read_file(f->fd, with_suffix(name, AFTER, buf), &after, why) >= 0) {
		result = 0;
		if (!before.bytes)
			*state = POSTFIX_FREE;
		else if (same(&now, &before) || same(&now, &after))
			*state = POSTFIX_APPLIED;
		else
			*state = POSTFIX_EDITED;
	}
	free(now.bytes);
	free(before.bytes);
	free(after.bytes);
	return result;
}

int
postfix_files_state(
	const struct postfix_files *f, enum postfix_state *state, struct reason *why)
{
	*state = POSTFIX_FREE;
	for (size_t i = 0; i < NAMES; i++) {
		enum postfix_state one = POSTFIX_FREE;

		if (file_state(f, names[i], &one, why))
			return -1;
		if (one > *state)
			*state = one;
	}
	return 0;
}

/* --- staging ------------------------------------------------------------------------ */

static int
copy_staged(
	struct postfix_files *f, const char *name, const char *suffix, struct reason *why)
{
	char buf[NAME_BYTES];
	struct content c;
	int found = read_file(f->fd, with_suffix(name, suffix, buf), &c, why), result;

	if (found == 0 && suffix[0]) /* only the other file has a copy */
		found = read_file(f->fd, name, &c, why);
	if (found == 0)
		return reason_set(why, "there is no %s/%s", f->folder, name);
	if (found < 0)
		return -1;
	if (c.length && c.bytes[c.length - 1] != '\n')
		c.bytes[c.length++] = '\n';
	result = write_file(f->staged_fd, name, &c, why);
	free(c.bytes);
	return result;
}

/* Removes the staged folder, with all that may be in it: what a crash left, too. */
static void
unstage(struct postfix_files *f)
{
	static const char *const suffixes[] = {"", BEFORE, AFTER, ".tmp"};
	char buf[NAME_BYTES];

	if (f->staged_fd < 0)
		f->staged_fd =
			open(f->staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->staged_fd < 0)
		return;
	for (size_t i = 0; i < NAMES; i++)
		for (size_t s = 0; s < sizeof suffixes / sizeof *suffixes; s++)
			unlinkat(
				f->staged_fd, with_suffix(names[i], suffixes[s], buf), 0);
	close(f->staged_fd);
	f->staged_fd = -1;
	rmdir(f->staged);
}

int
postfix_files_stage(struct postfix_files *f, const char *suffix, struct reason *why)
{
	unstage(f);
	if (mkdir(f->staged, 0700))
		return reason_errno(why, "%s can't be made", f->staged);
	f->staged_fd = open(f->staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->staged_fd < 0)
		return reason_errno(why, "%s can't be opened", f->staged);
	for (size_t i = 0; i < NAMES; i++)
		if (copy_staged(f, names[i], suffix, why))
			return -1;
	return 0;
}

void
postfix_files_set_back(const struct postfix_files *f)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_sec -= SET_BACK;
	utimensat(f->staged_fd, names[0], times, 0); /* else postconf waits */
}

/* --- putting in place ------------------------------------------------------ */

static int
move(int from, const char *name, int to, const char *new_name, struct reason *why)
{
	if (renameat(from, name, to, new_name))
		return reason_errno(why, "%s can't be renamed", name);
	return 0;
}

static int
sync_folder(const struct postfix_files *f, struct reason *why)
{
	return fsync(f->fd) ? reason_errno(why, "%s can't be synced", f->folder) : 0;
}

/* Both copies of one file, in the staged folder: its bytes now and those to come, and
 * these with the owner, mode and bytes on disk that postconf does not see to. */
static int
make_copies(const struct postfix_files *f, const char *name, struct reason *why)
{
	struct content now, next = {0};
	char buf[NAME_BYTES];
	int result = -1;

	if (read_file(f->fd, name, &now, why) > 0 &&
		read_file(f->staged_fd, name, &next, why) > 0) {
		next.st = now.st;
		clock_gettime(CLOCK_REALTIME, &next.st.st_mtim);
		result = write_file(f->staged_fd, with_suffix(name, BEFORE, buf), &now,
				 why) ||
					 write_file(f->staged_fd,
						 with_suffix(name, AFTER, buf), &next,
						 why) ||
					 write_file(f->staged_fd, name, &next, why)
				 ? -1
				 : 0;
	}
	free(now.bytes);
	free(next.bytes);
	return result;
}

static int
move_all(const struct postfix_files *f, const char *suffix, struct reason *why)
{
	char buf[NAME_BYTES];

	for (size_t i = 0; i < NAMES; i++) {
		const char *name = with_suffix(names[i], suffix, buf);

		if (move(f->staged_fd, name, f->fd, name, why))
			return -1;
	}
	return sync_folder(f, why);
}

int
postfix_files_commit(const struct postfix_files *f, struct reason *why)
{
	for (size_t i = 0; i < NAMES; i++)
		if (make_copies(f, names[i], why))
			return -1;
	/* each step is on disk before the next: what to compare with, what to take back,
	 * the change */
	return move_all(f, AFTER, why) || move_all(f, BEFORE, why) || move_all(f, "", why)
		       ? -1
		       : 0;
}

int
postfix_files_undo(const struct postfix_files *f, struct reason *why)
{
	char buf[NAME_BYTES];

	for (size_t i = 0; i < NAMES; i++) {
		const char *kept = with_suffix(names[i], BEFORE, buf);

		if (faccessat(f->fd, kept, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
			move(f->fd, kept, f->fd, names[i], why))
			return -1;
	}
	if (sync_folder(f, why))
		return -1;
	for (size_t i = 0; i < NAMES; i++)
		unlinkat(f->fd, with_suffix(names[i], AFTER, buf), 0);
	return sync_folder(f, why);
}

/* --- its life -------------------------------------------------------------- */

static int
lock(const struct postfix_files *f, struct reason *why)
{
	if (flock(f->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK
		       ? reason_set(why, "another brimadm is at work in %s", f->folder)
		       : reason_errno(why, "%s can't be locked", f->folder);
}

int
postfix_files_open(struct postfix_files *f, const char *folder, struct reason *why)
{
	memset(f, 0, sizeof *f);
	f->staged_fd = -1;
	f->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0)
		return reason_errno(why, "%s can't be opened", folder);
	f->folder = strdup(folder);
	if (!f->folder || asprintf(&f->staged, "%s/brim-staged", folder) < 0)
		reason_set(why, "no memory");
	else if (lock(f, why) == 0)
		return 0;
	close(f->fd);
	free(f->folder);
	free(f->staged);
	return -1;
}

void
postfix_files_close(struct postfix_files *f)
{
	unstage(f);
	close(f->fd);
	free(f->folder);
	free(f->staged);
	memset(f, 0, sizeof *f);
	f->fd = f->staged_fd = -1;
}
