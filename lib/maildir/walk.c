/*
 * Paths to mailboxes, walked so that no user can lead the walk astray. The kernel does it
 * in one call where there is no link on the way, which is the common case; only a path
 * with a link in it is walked part by part.
 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "foreign.h"
#include "siphash.h"

#define LINKS_MAX 20 /* more on one way are a loop */

/* The kernel looks at the size first: EINVAL, where the call gets to it. */
static int
is_blocked(void)
{
	return syscall(SYS_openat2, -1, "", NULL, (size_t)0) < 0 && errno != EINVAL;
}

/* ENOSYS where openat2 is not there, which is found once in a process: Linux before 5.6,
 * a process that may only read, or a sandbox older than the call, which may answer
 * anything (EPERM: engines and systemd-nspawn with libseccomp before 2.5). */
static int
open_without_links(int dir, const char *path)
{
	static atomic_int blocked;
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1, error = ENOSYS;

	if (!blocked) {
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
		error = errno;
		if (fd >= 0 || error == ENOENT || error == ELOOP || error == ENOTDIR)
			return fd;
		blocked = is_blocked();
	}
	errno = blocked ? ENOSYS : error;
	return -1;
}

/* As openat2 has it, a link is ELOOP. */
static int
open_no_link(int dir, const char *part, int flags)
{
	int fd = openat(dir, part, flags | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd >= 0 || errno != ENOTDIR)
		return fd;
	errno = fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)
			? ELOOP
			: ENOTDIR;
	return -1;
}

/* PART has no slash in it, or is the slash; without openat2 this does as much. */
static int
open_part(int dir, const char *part)
{
	int fd = open_without_links(dir, part);

	return fd < 0 && errno == ENOSYS ? open_no_link(dir, part, O_RDONLY) : fd;
}

/* Why a link was not followed. */
enum refusal { NOT_ROOTS, PLACE_NOT_ROOTS, PLACE_WRITABLE, USERS_WORD, LOOP };

static const char *const refusals[] = {
	[NOT_ROOTS] = "is not root's",
	[PLACE_NOT_ROOTS] = "stands in a directory that is not root's",
	[PLACE_WRITABLE] = "stands in a directory that others than root may write to",
	[USERS_WORD] = "is on a FUSE file system that a user has mounted",
	[LOOP] = "leads into a loop",
};

/* The way that is left: a string of its own, and how far it has been walked. */
struct way {
	const char *whole; /* for reasons */
	char *text;
	char *part;  /* the one to be taken now */
	char *next;  /* what is left behind it */
	int dir;     /* where the walk stands; -1 before it begins */
	int links;   /* followed so far */
	int refused; /* one was not followed, and *why tells it */
	struct reason *why;
};

static void
step_to(struct way *w, int dir)
{
	if (w->dir >= 0)
		close(w->dir);
	w->dir = dir;
}

/* Cuts the next part off the way: 1, or 0 at its end. */
static int
next_part(struct way *w)
{
	while (*w->next == '/')
		w->next++;
	w->part = w->next;
	w->next += strcspn(w->next, "/");
	if (*w->next)
		*w->next++ = '\0';
	return *w->part != '\0';
}

static int
refuse(struct way *w, enum refusal refusal)
{
	w->refused = 1;
	reason_set(w->why, "the link %.80s on the way to %.200s %s", w->part, w->whole,
		refusals[refusal]);
	errno = ELOOP;
	return -1;
}

/* Root's link in a directory that nobody but root can change. */
static int
may_follow(struct way *w, const struct stat *link)
{
	struct stat st;

	if (fstat(w->dir, &st))
		return -1;
	if (link->st_uid != 0)
		return refuse(w, NOT_ROOTS);
	if (st.st_uid != 0)
		return refuse(w, PLACE_NOT_ROOTS);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(w, PLACE_WRITABLE);
	return foreign_is_users(w->dir) ? refuse(w, USERS_WORD) : 0;
}

static char *
read_link(int dir, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof target);

	if (n < 0)
		return NULL;
	if (n == (ssize_t)sizeof target) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return strndup(target, (size_t)n);
}

/* Puts the link's target in front of what is left of the way. */
static int
follow(struct way *w)
{
	char *target = read_link(w->dir, w->part), *longer;
	int root;

	if (!target)
		return -1;
	if (asprintf(&longer, "%s/%s", target, w->next) < 0)
		longer = NULL;
	root = longer && target[0] == '/' ? open_part(AT_FDCWD, "/") : -2;
	free(target);
	if (!longer || root == -1) {
		free(longer);
		return -1;
	}
	free(w->text);
	w->text = w->next = longer;
	if (root >= 0)
		step_to(w, root);
	return 0;
}

static int
take_link(struct way *w)
{
	struct stat st;

	if (fstatat(w->dir, w->part, &st, AT_SYMLINK_NOFOLLOW))
		return -1;
	if (!S_ISLNK(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	if (++w->links > LINKS_MAX)
		return refuse(w, LOOP);
	return may_follow(w, &st) ? -1 : follow(w);
}

static int
take_part(struct way *w)
{
	/* The way needs the right to search alone, so no O_RDONLY here. */
	int dir = openat(w->dir, w->part, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir >= 0) {
		step_to(w, dir);
		return 0;
	}
	return errno == ENOTDIR || errno == ELOOP ? take_link(w) : -1;
}

static int
walk_on(struct way *w)
{
	while (next_part(w))
		if (take_part(w))
			return -1;
	return open_part(w->dir, ".");
}

static int
walk_by_parts(const char *path, struct reason *why)
{
	struct way w = {.whole = path, .text = strdup(path), .dir = -1, .why = why};
	int result = -1;

	w.next = w.text;
	if (w.text)
		w.dir = open_part(AT_FDCWD, "/");
	if (w.dir >= 0)
		result = walk_on(&w);
	if (result < 0 && !w.refused)
		reason_errno(why, "the directory %.200s can't be opened", path);
	step_to(&w, -1);
	free(w.text);
	return result;
}

int
walk_open(const char *path, struct reason *why)
{
	int dir;

	if (path[0] != '/') {
		errno = EINVAL;
		return reason_set(why, "%.200s is not an absolute path", path);
	}
	dir = open_without_links(AT_FDCWD, path);
	if (dir >= 0)
		return dir;
	if (errno == ELOOP || errno == ENOSYS)
		return walk_by_parts(path, why);
	return reason_errno(why, "the directory %.200s can't be opened", path);
}

/* Where the last part of the path begins and how long it is, slashes behind it aside. */
static size_t
find_last(const char *path, size_t *start)
{
	size_t end = strlen(path);

	while (end && path[end - 1] == '/')
		end--;
	for (*start = end; *start && path[*start - 1] != '/';)
		--*start;
	return end - *start;
}

int
walk_open_parent(const char *path, char *name, struct reason *why)
{
	size_t start, length = find_last(path, &start);
	char *parent;
	int dir;

	if (length == 0 || length > NAME_MAX || start == 0 ||
		strspn(path + start, ".") == length) {
		errno = EINVAL;
		return reason_set(why, "%.200s names no directory to be made", path);
	}
	parent = strndup(path, start);
	if (!parent)
		return reason_errno(why, "%.200s", path);
	*stpncpy(name, path + start, length) = '\0';
	dir = walk_open(parent, why);
	free(parent);
	return dir;
}

int
walk_open_in(int dir, const char *name, struct reason *why)
{
	int fd = -1;

	if (strchr(name, '/') || strcmp(name, "..") == 0)
		errno = EINVAL;
	else
		fd = open_part(dir, name);
	if (fd < 0)
		return reason_errno(why, "the directory %.200s can't be opened", name);
	return fd;
}

/* The same, part by part. The way needs the right to search alone. */
static int
open_by_parts(int dir, char *path)
{
	int here = dir;
	char *part;

	while (here >= 0 && (part = strsep(&path, "/"))) {
		int next = open_no_link(here, part, path ? O_PATH : O_RDONLY);
		int error = errno;

		if (here != dir)
			close(here);
		errno = error;
		here = next;
	}
	return here;
}

int
walk_open_below(int dir, const char *path, struct reason *why)
{
	int fd = open_without_links(dir, path);
	char *copy;

	if (fd < 0 && errno == ENOSYS) {
		copy = strdup(path);
		fd = copy ? open_by_parts(dir, copy) : -1;
		free(copy);
	}
	if (fd < 0)
		return reason_errno(why, "the directory %.200s can't be opened", path);
	return fd;
}

static uid_t only_owner = (uid_t)-1;

void
walk_believe_owner(uid_t uid)
{
	only_owner = uid;
}

/* Under a key that every program has: "Brim directory 1". */
uint64_t
walk_identity(const struct stat *st)
{
	static const struct siphash_key key = {0x726964206d697242, 0x312079726f746365};
	uint64_t facts[] = {st->st_dev, st->st_ino, 0}, identity;

	if (major(st->st_dev) == 0)
		facts[2] = only_owner == (uid_t)-1 ? st->st_uid : only_owner;
	identity = siphash(&key, facts, sizeof facts);

	return identity ? identity : 1;
}
