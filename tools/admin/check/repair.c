/*
 * check: repairs of what users own. Root runs the command some time after the look, and a
 * user may have put a link in the place of any part of a path by then. So root's own
 * rights are used on a path only where no user can turn it; where the recipient can, the
 * command runs with the recipient's rights; where somebody else can, words are given.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "check.h"

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

static enum check_hold
larger(enum check_hold a, enum check_hold b)
{
	return a > b ? a : b;
}

/* A user may have mounted it, and then it says of owners what that user likes. */
static int
is_fuse(const char *directory)
{
	struct statfs fs;

	return statfs(directory, &fs) != 0 || fs.f_type == FUSE_SUPER_MAGIC;
}

/* Who can put another entry in the place of this one (NULL: of none). */
static enum check_hold
hold_of_entry(const struct stat *parent, const struct stat *entry, uid_t uid)
{
	enum check_hold hold = HOLD_OTHERS;

	if (parent->st_uid == 0)
		hold = HOLD_ROOT;
	else if (parent->st_uid == uid)
		hold = HOLD_OWNER;
	if (!(parent->st_mode & OTHERS_WRITE))
		return hold;
	if (!entry || !(parent->st_mode & S_ISVTX))
		return HOLD_OTHERS;
	if (entry->st_uid == uid)
		return larger(hold, HOLD_OWNER);
	return entry->st_uid == 0 ? hold : HOLD_OTHERS;
}

/* Of one part of the path, which ends there, and of where it leads if it is a link. */
static enum check_hold
hold_of_part(char *path, char *slash, uid_t uid, int *missing)
{
	struct stat parent, entry;
	enum check_hold hold;
	char *real;
	int bad;

	*slash = '\0';
	bad = stat(*path ? path : "/", &parent) || is_fuse(*path ? path : "/");
	*slash = '/';
	if (bad || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
		return HOLD_OTHERS;
	*missing = lstat(path, &entry) != 0;
	hold = hold_of_entry(&parent, *missing ? NULL : &entry, uid);
	if (*missing || !S_ISLNK(entry.st_mode))
		return hold;
	real = realpath(path, NULL);
	hold = larger(hold, real ? check_hold(real, uid) : HOLD_OTHERS);
	free(real);
	return hold;
}

enum check_hold
check_hold(const char *path, uid_t uid)
{
	enum check_hold hold = HOLD_ROOT, part;
	char *copy = strdup(path), *next;
	int missing = 0;

	if (!copy || *copy != '/')
		hold = HOLD_OTHERS;
	else
		for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
			copy[n - 1] = '\0';
	for (char *slash = hold == HOLD_ROOT ? copy : NULL; slash && !missing;
		slash = next) {
		next = strchr(slash + 1, '/');
		if (slash[1] == '/' || !slash[1])
			continue;
		if (next)
			*next = '\0';
		part = hold_of_part(copy, slash, uid, &missing);
		if (next)
			*next = '/';
		else if (part == HOLD_OWNER)
			part = HOLD_OWNER_LAST;
		hold = larger(hold, part);
	}
	free(copy);
	return hold;
}

const char *
check_as_user(struct check *c, uid_t uid, gid_t gid, const char *command)
{
	return check_text(c, "setsid -w setpriv --reuid=%u --regid=%u --clear-groups %s",
		(unsigned)uid, (unsigned)gid, command);
}

const char *
check_bare_path(struct check *c, const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return check_quote(c, check_text(c, "%.*s", (int)n, path));
}

const char *
check_look_at(struct check *c, const char *path)
{
	return check_text(c,
		"Look at %s and at what is above it before you change anything: a user "
		"may have put it there.",
		check_quote(c, path));
}

const char *
check_user_command(
	struct check *c, const char *path, uid_t uid, gid_t gid, const char *command)
{
	switch (check_hold(path, uid)) {
	case HOLD_ROOT:
		return command;
	case HOLD_OWNER_LAST:
	case HOLD_OWNER:
		return check_as_user(c, uid, gid, command);
	case HOLD_OTHERS:
		break;
	}
	return check_look_at(c, path);
}

/* --- whole directories ----------------------------------------------------- */

static int
is_maildir(int dir)
{
	static const char *const folders[] = {"new", "cur", "tmp"};
	struct stat st;

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		if (fstatat(dir, folders[i], &st, AT_SYMLINK_NOFOLLOW) ||
			!S_ISDIR(st.st_mode))
			return 0;
	return 1;
}

static int
is_empty(int dir)
{
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	const struct dirent *e = NULL;
	int empty;

	if (!d) {
		if (own >= 0)
			close(own);
		return 0;
	}
	do {
		errno = 0;
		e = readdir(d);
	} while (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	empty = !e && errno == 0;
	closedir(d);
	return empty;
}

const char *
check_give_command(struct check *c, const struct mailbox *m, int dir)
{
	if (check_hold(m->path, m->uid) > HOLD_OWNER_LAST ||
		!(is_maildir(dir) || is_empty(dir)))
		return check_look_at(c, m->path);
	return check_text(c, "chown -hR -P %u:%u %s", (unsigned)m->uid, (unsigned)m->gid,
		check_bare_path(c, m->path));
}

/* The owner of the lowest directory on the path that is there. */
static uid_t
owner_above(const char *path)
{
	char *copy = strdup(path), *slash;
	struct stat st = {0};

	while (copy && stat(copy, &st) && (slash = strrchr(copy, '/')))
		*slash = '\0';
	free(copy);
	return st.st_uid;
}

const char *
check_make_command(struct check *c, const struct mailbox *m)
{
	enum check_hold hold = check_hold(m->path, m->uid);
	const char *path = check_bare_path(c, m->path);

	if (hold == HOLD_ROOT)
		return check_text(c, "install -d -m 700 -o %u -g %u %s", (unsigned)m->uid,
			(unsigned)m->gid, path);
	if (hold != HOLD_OTHERS && owner_above(m->path) == m->uid)
		return check_as_user(
			c, m->uid, m->gid, check_text(c, "mkdir -p -m 700 %s", path));
	return check_look_at(c, m->path);
}

const char *
check_link_repair(struct check *c, const struct mailbox *m)
{
	const char *repair = "Put a directory in the place of the link.";
	char *real = realpath(m->path, NULL);
	int dir = real ? open(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK |
					    O_CLOEXEC)
		       : -1;
	struct stat st;

	if (dir >= 0 && fstat(dir, &st) == 0 && st.st_uid == m->uid &&
		check_hold(real, m->uid) != HOLD_OTHERS &&
		(is_maildir(dir) || is_empty(dir)))
		repair = check_text(c, "%s set %s %s", check_brimadm(c),
			check_quote(c, m->key),
			check_quote(c, check_text(c, "mail=%s/", real)));
	if (dir >= 0)
		close(dir);
	free(real);
	return repair;
}
