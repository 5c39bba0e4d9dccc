/*
 * The store that is a Maildir. Directories are held open, and everything is done relative
 * to them: a rename of the mailbox in the middle of a delivery does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process/emergency.h"
#include "store.h"
#include "walk.h"

/* What errno says about who is at fault; what isn't here is trouble. */
static const struct {
	int error;
	enum verdict verdict;
	const char *hint;
} faults[] = {
	{ENOSPC, VERDICT_NO_DISK, ""},
	{EDQUOT, VERDICT_NO_DISK, ""},
	{EFBIG, VERDICT_NO_DISK, " (is mailbox_size_limit of Postfix too low?)"},
	{EACCES, VERDICT_MISCONFIGURED, ""},
	{EPERM, VERDICT_MISCONFIGURED, ""},
	{EROFS, VERDICT_MISCONFIGURED, ""},
	{ELOOP, VERDICT_MISCONFIGURED, ""},
	{ENOTDIR, VERDICT_MISCONFIGURED, ""},
	{ENOENT, VERDICT_MISCONFIGURED, ""},
};

/* Sets the outcome for errno; always -1. */
static int
failed(struct outcome *o, const char *what)
{
	const char *error = strerrordesc_np(errno);
	enum verdict verdict = VERDICT_TROUBLE;
	const char *hint = "";

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (faults[i].error == errno) {
			verdict = faults[i].verdict;
			hint = faults[i].hint;
		}
	outcome_set(o, verdict, "%s: %s%s", what, error ? error : "unknown error", hint);
	return -1;
}

void
store_init(struct store *s)
{
	s->directory = s->new = s->tmp = s->file = -1;
	s->tmp_name[0] = s->name[0] = '\0';
	s->bytes = 0;
	s->may_be_there = 0;
}

/* The directory is this user's, and nobody else may write to it. */
static int
check_ours(int dir, const char *what, struct outcome *o)
{
	struct stat st;

	if (fstat(dir, &st))
		return failed(o, what);
	if (st.st_uid != geteuid())
		outcome_set(o, VERDICT_MISCONFIGURED,
			"%s belongs to uid %u, not to uid %u", what, (unsigned)st.st_uid,
			(unsigned)geteuid());
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		outcome_set(o, VERDICT_MISCONFIGURED,
			"%s may be written to by others (mode %04o)", what,
			(unsigned)st.st_mode & 07777);
	else
		return 0;
	return -1;
}

/* --- a missing mailbox ----------------------------------------------------------- */

/* Another delivery may be making the same mailbox now. */
static int
make_directory(int dir, const char *name)
{
	return mkdirat(dir, name, 0700) && errno != EEXIST ? -1 : 0;
}

/* new/ is made last: where it is, the rest is there and on disk. */
static int
make_folders(int maildir, struct outcome *o)
{
	if (make_directory(maildir, "tmp") || make_directory(maildir, "cur") ||
		fsync(maildir) || make_directory(maildir, "new") || fsync(maildir))
		return failed(o, "the folders of the mailbox can't be made");
	return 0;
}

static int
make_maildir(const char *path, struct outcome *o)
{
	char name[NAME_MAX + 1];
	struct reason why;
	int parent = walk_open_parent(path, name, &why);
	int result = -1;

	if (parent < 0) {
		failed(o, "the mailbox is missing, and so is its parent");
		outcome_set(o, o->verdict, "the mailbox is missing; its parent: %s",
			why.text);
		return -1;
	}
	if (check_ours(parent, "the mailbox is missing, and its parent", o) == 0) {
		if (make_directory(parent, name) || fsync(parent))
			failed(o, "the mailbox can't be made");
		else
			result = 0;
	}
	close(parent);
	return result;
}

static int
open_directory(struct store *s, const char *path, struct outcome *o)
{
	struct reason why;

	s->directory = walk_open(path, &why);
	if (s->directory < 0 && errno == ENOENT) {
		if (make_maildir(path, o))
			return -1;
		s->directory = walk_open(path, &why);
	}
	if (s->directory >= 0)
		return check_ours(s->directory, "the mailbox", o);
	failed(o, "");
	outcome_set(o, o->verdict, "the mailbox: %s", why.text);
	return -1;
}

int
store_open(struct store *s, const char *path, struct outcome *o)
{
	if (open_directory(s, path, o))
		return -1;
	s->new = walk_open_in(s->directory, "new", NULL);
	if (s->new < 0 && errno == ENOENT) {
		if (make_folders(s->directory, o))
			return -1;
		s->new = walk_open_in(s->directory, "new", NULL);
	}
	if (s->new < 0)
		return failed(o, "new/ of the mailbox can't be opened");
	return check_ours(s->new, "new/ of the mailbox", o);
}

/* --- the file -------------------------------------------------------------------- */

static int
open_tmp(struct store *s, struct outcome *o)
{
	s->tmp = walk_open_in(s->directory, "tmp", NULL);
	if (s->tmp < 0 && errno == ENOENT) {
		if (make_folders(s->directory, o))
			return -1;
		s->tmp = walk_open_in(s->directory, "tmp", NULL);
	}
	if (s->tmp < 0)
		return failed(o, "tmp/ of the mailbox can't be opened");
	return check_ours(s->tmp, "tmp/ of the mailbox", o);
}

/* For file systems that have no O_TMPFILE. */
static int
begin_in_tmp(struct store *s, struct outcome *o)
{
	if (open_tmp(s, o))
		return -1;
	if (maildir_make_name(s->tmp_name, 0)) {
		s->tmp_name[0] = '\0';
		return failed(o, "no name for a file in tmp/");
	}
	emergency_watch_tmp(s->tmp, s->tmp_name);
	s->file = openat(s->tmp, s->tmp_name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return s->file < 0 ? failed(o, "no file can be made in tmp/") : 0;
}

int
store_begin(struct store *s, struct outcome *o)
{
	s->file = openat(s->new, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (s->file < 0 && errno != EOPNOTSUPP && errno != EISDIR)
		return failed(o, "no file can be made in new/");
	if (s->file < 0 && begin_in_tmp(s, o))
		return -1;
	emergency_watch(s->file, s->new);
	return 0;
}

int
store_write(struct store *s, const char *data, size_t length, struct outcome *o)
{
	ssize_t n;

	while (length) {
		n = write(s->file, data, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(o, "the message can't be written");
		data += n;
		length -= (size_t)n;
		s->bytes += (size_t)n;
	}
	return 0;
}

int
store_choose_name(struct store *s, struct outcome *o)
{
	if (maildir_make_name(s->name, s->bytes) == 0)
		return 0;
	s->name[0] = '\0';
	return failed(o, "no name for the message");
}

int
store_sync(struct store *s, struct outcome *o)
{
	return fsync(s->file) ? failed(o, "the message can't be synced") : 0;
}

/* A file in tmp/ is moved rather than linked and removed, so that it has one name at any
 * time. The name is random: nothing has it that could be lost. */
static int
give_name(struct store *s)
{
	char path[sizeof "/proc/self/fd/" + 3 * sizeof s->file];

	if (s->tmp_name[0])
		return renameat2(s->tmp, s->tmp_name, s->new, s->name, RENAME_NOREPLACE);
	snprintf(path, sizeof path, "/proc/self/fd/%d", s->file);
	return linkat(AT_FDCWD, path, s->new, s->name, AT_SYMLINK_FOLLOW);
}

int
store_link(struct store *s, struct outcome *o)
{
	if (give_name(s))
		return failed(o, "the message can't be given its name");
	if (fsync(s->new) == 0) {
		emergency_delivered();
		s->tmp_name[0] = '\0';
		return 0;
	}
	failed(o, "new/ can't be synced");
	s->may_be_there = unlinkat(s->new, s->name, 0) != 0;
	return -1;
}

static void
close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
store_close(struct store *s)
{
	if (s->tmp_name[0])
		unlinkat(s->tmp, s->tmp_name, 0);
	s->tmp_name[0] = '\0';
	close_one(&s->file);
	close_one(&s->tmp);
	close_one(&s->new);
	close_one(&s->directory);
}
