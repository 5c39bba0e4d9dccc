/*
 * The store that is a Maildir. Directories are held open, and everything is done relative
 * to them: a rename of the mailbox in the middle of a delivery does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir.h"
#include "store.h"
#include "tidy.h"
#include "walk.h"

_Static_assert(MAILDIR_NAME_SIZE <= STORE_NAME_SIZE, "the store has room for the name");

/* A descriptor is -1 where it is not open. All is written before STORE_BEGUN is set; what
 * is written later is atomic, since an emergency may come in between. */
struct maildir {
	const char *path; /* the caller's */
	uid_t owner;
	int directory, new;
	int tmp;                          /* only where tmp/ must be used */
	char tmp_name[MAILDIR_NAME_SIZE]; /* the file's in tmp/, or "" */
	atomic_int file;
	atomic_int unwanted; /* it was linked, and has to be removed again */
};

/* What errno tells about who is at fault; what isn't here is an error of ours. */
static const struct {
	int error;
	enum verdict verdict;
	const char *hint;
} faults[] = {
	{ENOSPC, VERDICT_NO_DISK, ""},
	{EFBIG, VERDICT_NO_DISK, " (is mailbox_size_limit of Postfix too low?)"},
	{EACCES, VERDICT_MISCONFIGURED, ""},
	{EPERM, VERDICT_MISCONFIGURED, ""},
	{EROFS, VERDICT_MISCONFIGURED, ""},
	{ELOOP, VERDICT_MISCONFIGURED, ""},
	{ENOTDIR, VERDICT_MISCONFIGURED, ""},
	{ENOENT, VERDICT_MISCONFIGURED, ""},
};

/* An administrative limit of the owner (RFC 3463, X.2.2), but for good it is never: no
 * count stands behind it. */
static int
over_disk_quota(struct outcome *o, const char *what)
{
	outcome_set(o, VERDICT_FULL_FOR_NOW,
		"%s: the disk quota of the owner (uid %u) is used up, a limit of the "
		"file "
		"system and not of Brim",
		what, (unsigned)geteuid());
	return -1;
}

/* Sets the outcome for errno; always -1. */
static int
failed(struct outcome *o, const char *what)
{
	const char *error = strerrordesc_np(errno);
	enum verdict verdict = VERDICT_TROUBLE;
	const char *hint = "";

	if (errno == EDQUOT)
		return over_disk_quota(o, what);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (faults[i].error == errno) {
			verdict = faults[i].verdict;
			hint = faults[i].hint;
		}
	outcome_set(o, verdict, "%s: %s%s", what, error ? error : "unknown error", hint);
	return -1;
}

/* The directory is the owner's, and nobody else may write to it. */
static int
check_owner(int dir, uid_t owner, const char *what, struct stat *found, struct outcome *o)
{
	struct stat st;

	if (fstat(dir, &st))
		return failed(o, what);
	if (found)
		*found = st;
	if (st.st_uid != owner)
		outcome_set(o, VERDICT_MISCONFIGURED,
			"%s belongs to uid %u, not to uid %u", what, (unsigned)st.st_uid,
			(unsigned)owner);
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
make_maildir(const char *path, uid_t owner, struct outcome *o)
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
	if (check_owner(parent, owner, "the mailbox is missing, and its parent", NULL,
		    o) == 0) {
		if (make_directory(parent, name) || fsync(parent))
			failed(o, "the mailbox can't be made");
		else
			result = 0;
	}
	close(parent);
	return result;
}

/* --- the mailbox ----------------------------------------------------------------- */

/* Opens the Maildir; *missing means that it isn't there. */
static int
open_directory(struct store *s, struct maildir *m, int *missing, struct outcome *o)
{
	struct reason why;
	struct stat st;

	m->directory = walk_open(m->path, &why);
	*missing = m->directory < 0 && errno == ENOENT;
	if (m->directory < 0) {
		failed(o, "");
		outcome_set(o, o->verdict, "the mailbox: %s", why.text);
		return -1;
	}
	if (check_owner(m->directory, m->owner, "the mailbox", &st, o))
		return -1;
	s->directory = walk_identity(&st);
	return 0;
}

/* Opens new/ or tmp/ likewise. */
static int
open_folder(const struct maildir *m, const char *name, int *dir, int *missing,
	struct outcome *o)
{
	char what[48];

	*dir = walk_open_in(m->directory, name, NULL);
	*missing = *dir < 0 && errno == ENOENT;
	if (*dir < 0) {
		snprintf(what, sizeof what, "%s/ of the mailbox can't be opened", name);
		return failed(o, what);
	}
	snprintf(what, sizeof what, "%s/ of the mailbox", name);
	return check_owner(*dir, m->owner, what, NULL, o);
}

static int
maildir_open(struct store *s, const char *path, uid_t owner, struct outcome *o)
{
	struct maildir *m = calloc(1, sizeof *m);

	if (!m) {
		outcome_set(o, VERDICT_TROUBLE, "no memory");
		return -1;
	}
	m->path = path;
	m->owner = owner;
	m->directory = m->new = m->tmp = -1;
	m->file = -1;
	s->state = m;
	if (open_directory(s, m, &s->is_missing, o) ||
		open_folder(m, "new", &m->new, &s->is_missing, o))
		return s->is_missing ? 0 : -1;
	return 0;
}

/* As open_folder, and makes all of them where it is missing. */
static int
make_folder(const struct maildir *m, const char *name, int *dir, struct outcome *o)
{
	int missing;

	if (open_folder(m, name, dir, &missing, o) == 0)
		return 0;
	if (!missing || make_folders(m->directory, o))
		return -1;
	return open_folder(m, name, dir, &missing, o);
}

static int
make_mailbox(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;
	int missing;

	if (m->directory < 0 &&
		(make_maildir(m->path, m->owner, o) || open_directory(s, m, &missing, o)))
		return -1;
	return make_folder(m, "new", &m->new, o);
}

/* --- the file -------------------------------------------------------------------- */

/* For file systems that have no O_TMPFILE. An emergency may come while the file is being
 * made, so its name is known before. */
static int
begin_in_tmp(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;

	if (make_folder(m, "tmp", &m->tmp, o))
		return -1;
	if (maildir_make_name(m->tmp_name, 0)) {
		m->tmp_name[0] = '\0';
		return failed(o, "no name for a file in tmp/");
	}
	s->phase = STORE_BEGUN;
	m->file = openat(m->tmp, m->tmp_name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return m->file < 0 ? failed(o, "no file can be made in tmp/") : 0;
}

static int
maildir_begin(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;

	if (s->is_missing && make_mailbox(s, o))
		return -1;
	m->file = openat(m->new, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (m->file < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return begin_in_tmp(s, o);
	if (m->file < 0)
		return failed(o, "no file can be made in new/");
	s->phase = STORE_BEGUN;
	return 0;
}

static int
maildir_write(struct store *s, const char *data, size_t length, struct outcome *o)
{
	const struct maildir *m = s->state;
	ssize_t n;

	while (length) {
		n = write(m->file, data, length);
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

static int
maildir_choose_name(struct store *s, uint64_t bytes, struct outcome *o)
{
	if (maildir_make_name(s->name, bytes) == 0)
		return 0;
	s->name[0] = '\0';
	return failed(o, "no name for the message");
}

static int
maildir_sync(struct store *s, struct outcome *o)
{
	const struct maildir *m = s->state;

	return fsync(m->file) ? failed(o, "the message can't be synced") : 0;
}

/* A file in tmp/ is moved rather than linked and removed, so that it has one name at any
 * time. The name is random: nothing has it that could be lost. */
static int
give_name(const struct maildir *m, const char *name)
{
	int file = m->file;
	char path[sizeof "/proc/self/fd/" + 3 * sizeof file];

	if (m->tmp_name[0])
		return renameat2(m->tmp, m->tmp_name, m->new, name, RENAME_NOREPLACE);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	return linkat(AT_FDCWD, path, m->new, name, AT_SYMLINK_FOLLOW);
}

/* An XFS that has just shut itself down, since its log can't be written, syncs a
 * directory with success though its newest names are lost; but it lets nobody look at a
 * file any more (measured: one power cut in five under 20 writers). The look costs 2 us.
 */
static int
sync_names(const struct maildir *m)
{
	struct stat st;

	return fsync(m->new) || fstat(m->file, &st) ? -1 : 0;
}

static int
maildir_link(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;

	if (give_name(m, s->name))
		return failed(o, "the message can't be given its name");
	if (sync_names(m) == 0) {
		s->phase = STORE_STORED;
		return 0;
	}
	m->unwanted = 1;
	failed(o, "new/ can't be synced");
	s->may_be_there = unlinkat(m->new, s->name, 0) != 0;
	return -1;
}

/* --- its end --------------------------------------------------------------------- */

/* The link count tells whether the message was linked. A file in tmp/ has one name at any
 * time: if that is missing it has been moved to new/; if it can't be removed it has not.
 */
static int
maildir_end_now(struct store *s)
{
	const struct maildir *m = s->state;
	struct stat st;

	if (m->tmp_name[0] && (unlinkat(m->tmp, m->tmp_name, 0) == 0 || errno != ENOENT))
		return 0;
	if (m->file < 0 || fstat(m->file, &st) || st.st_nlink == 0)
		return 0;
	if (!m->unwanted && sync_names(m) == 0)
		return 1;
	unlinkat(m->new, s->name, 0);
	return 0;
}

static void
close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void
maildir_close(struct store *s)
{
	struct maildir *m = s->state;

	if (!m)
		return;
	if (m->tmp_name[0] && s->phase != STORE_STORED)
		unlinkat(m->tmp, m->tmp_name, 0);
	if (s->phase == STORE_STORED)
		tidy_folders(m->directory);
	else
		s->phase = STORE_IDLE;
	s->state = NULL;
	close_one(m->file);
	tidy_leftovers(m->tmp, m->owner);
	close_one(m->new);
	close_one(m->directory);
	free(m);
}

const struct store_type store_maildir = {
	.open = maildir_open,
	.begin = maildir_begin,
	.write = maildir_write,
	.choose_name = maildir_choose_name,
	.sync = maildir_sync,
	.link = maildir_link,
	.close = maildir_close,
	.end_now = maildir_end_now,
};
