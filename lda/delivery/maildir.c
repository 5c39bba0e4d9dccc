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

#include "journal.h"
#include "made.h"
#include "maildir.h"
#include "publish.h"
#include "store.h"
#include "tidy.h"
#include "walk.h"

_Static_assert(MAILDIR_NAME_SIZE <= STORE_NAME_SIZE, "the store has room for the name");

/* A file that has a name, and is no message yet. */
struct draft {
	int dir;
	char name[MAILDIR_NAME_SIZE + sizeof "."];
	atomic_int is_there; /* or may be */
};

/* A descriptor is -1 where it is not open. All is written before STORE_BEGUN is set; what
 * is written later is atomic, since an emergency may come in between. */
struct maildir {
	const char *path; /* the caller's */
	uid_t owner;
	int directory, new;
	struct draft in_tmp; /* where O_TMPFILE is not known */
	struct draft hidden; /* in new/, where tmp/ is on another file system */
	atomic_int file;
	atomic_int is_late;  /* synced once it has its name */
	atomic_int naming;   /* it has, or may have, its name in new/ */
	atomic_int unwanted; /* which has to be removed again */
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
	{EXDEV, VERDICT_MISCONFIGURED, ""},
};

/* An administrative limit of the owner (RFC 3463, X.2.2), but for good it is never: no
 * count stands behind it. */
static int
over_disk_quota(struct outcome *o, const char *what)
{
	outcome_set(o, VERDICT_FULL_FOR_NOW,
		"%s: the disk quota of the mailbox's owner is used up, "
		"a limit of the file system and not of Brim",
		what);
	return -1;
}

/* Sets the outcome for errno; always -1. */
static int
failed(struct outcome *o, const char *what)
{
	const char *error = strerror(errno);
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

/* new/ is made last: where it is, the rest is there and on disk. */
static int
make_folders(int maildir, uid_t owner, struct outcome *o)
{
	if (made_directory(maildir, "tmp", owner) ||
		made_directory(maildir, "cur", owner) || publish_sync(maildir) ||
		made_directory(maildir, "new", owner) || publish_sync(maildir))
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
		if (made_directory(parent, name, owner) || publish_sync(parent))
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
	m->directory = m->new = m->in_tmp.dir = m->hidden.dir = -1;
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
	if (!missing || make_folders(m->directory, m->owner, o))
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

/* An emergency may come while the file is being made, so its name is known before. */
static int
begin_draft(struct store *s, struct draft *d, const char *what, struct outcome *o)
{
	struct maildir *m = s->state;
	uid_t whose;

	m->is_late = 0;
	d->is_there = 1;
	s->phase = STORE_BEGUN;
	m->file = made_file(d->dir, d->name, m->owner, &whose);
	if (m->file >= 0)
		return 0;
	failed(o, what);
	if (whose != m->owner)
		outcome_set(o, o->verdict,
			"%s: what uid %u makes belongs to uid %u there", what,
			(unsigned)m->owner, (unsigned)whose);
	return -1;
}

/* For file systems that have no O_TMPFILE. */
static int
begin_in_tmp(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;

	if (make_folder(m, "tmp", &m->in_tmp.dir, o))
		return -1;
	if (maildir_make_name(m->in_tmp.name, 0))
		return failed(o, "no name for a file in tmp/");
	return begin_draft(s, &m->in_tmp, "no file can be made in tmp/", o);
}

/* It may have to be read again, see copy_to_tmp. */
static int
maildir_begin(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;

	if (s->is_missing && make_mailbox(s, o))
		return -1;
	m->file = openat(m->new, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (m->file < 0 && publish_may_go_on(errno))
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
		if (n == 0)
			errno = EIO; /* FUSE may do so */
		if (n <= 0)
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

/* Where the file system keeps the order, one sync is for the bytes and their name. Errors
 * of the disk are told once, whatever they are (a bad sector of a disk is ENODATA): after
 * one no other call is asked. */
static int
maildir_sync(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;

	if (!m->in_tmp.is_there && journal_keeps_order(m->file)) {
		if (journal_write_out(m->file))
			return failed(o, "the message can't be written out");
		m->is_late = 1;
		return 0;
	}
	return publish_sync_file(m->file) ? failed(o, "the message can't be synced") : 0;
}

/* --- its name -------------------------------------------------------------------- */

static int
copy_bytes(int from, struct store *s, struct outcome *o)
{
	uint64_t left = s->bytes;
	char buffer[16384];
	ssize_t n;

	for (s->bytes = 0; s->bytes < left;) {
		n = pread(from, buffer, sizeof buffer, (off_t)s->bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* it was longer */
		if (n <= 0)
			return failed(o, "the message can't be read again");
		if (maildir_write(s, buffer, (size_t)n, o))
			return -1;
	}
	return 0;
}

/* Where a nameless file can't be given a name (overlayfs: EXDEV; without /proc: ENOENT),
 * its bytes get a file in tmp/. */
static int
copy_to_tmp(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;
	int nameless = m->file;
	int result = begin_in_tmp(s, o);

	if (result == 0)
		result = copy_bytes(nameless, s, o) || maildir_sync(s, o) ? -1 : 0;
	if (m->file != nameless)
		close(nameless);
	return result;
}

/* Where nothing goes from tmp/ to new/ (tmp/ is a mount; a mergerfs that keeps files on
 * the disk of their folder), the bytes get a file in new/, which a dot before its name
 * hides from those who read or count the mailbox. */
static int
copy_to_new(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;
	int in_tmp = m->file;
	int from =
		openat(m->in_tmp.dir, m->in_tmp.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int result = -1;

	m->hidden.dir = m->new;
	m->hidden.name[0] = '.';
	if (from < 0)
		return failed(o, "the message can't be read again");
	if (maildir_make_name(m->hidden.name + 1, 0))
		failed(o, "no name for a file in new/");
	else if (begin_draft(s, &m->hidden, "no file can be made in new/", o) == 0)
		result = copy_bytes(from, s, o) || maildir_sync(s, o) ? -1 : 0;
	close(from);
	if (m->file != in_tmp)
		close(in_tmp);
	return result;
}

/* Async-signal-safe. */
static void
leave(struct draft *d)
{
	if (d->is_there && (unlinkat(d->dir, d->name, 0) == 0 || errno == ENOENT))
		d->is_there = 0;
}

static void
leave_drafts(struct maildir *m)
{
	leave(&m->in_tmp);
	leave(&m->hidden);
}

static struct publish_goal
goal(const struct store *s)
{
	const struct maildir *m = s->state;

	return (struct publish_goal){m->file, s->bytes, m->new, s->name};
}

static int
name_draft(struct store *s, struct draft *d)
{
	const struct publish_goal named = goal(s);
	enum publish_way way;

	if (publish_from_tmp(d->dir, d->name, &named, &way))
		return -1;
	if (way == PUBLISH_MOVE)
		d->is_there = 0;
	return 0;
}

static int
give_name(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;
	const struct publish_goal named = goal(s);

	m->naming = 1;
	if (!m->in_tmp.is_there) {
		if (publish_nameless(&named) == 0)
			return 0;
		if (publish_may_go_on(errno) && copy_to_tmp(s, o))
			return -1;
	}
	if (m->in_tmp.is_there) {
		if (name_draft(s, &m->in_tmp) == 0)
			return 0;
		if (errno == EXDEV) {
			if (copy_to_new(s, o))
				return -1;
			if (name_draft(s, &m->hidden) == 0)
				return 0;
		}
	}
	if (errno == EEXIST)
		m->naming = 0; /* it is the name of somebody else's message */
	return failed(o, "the message can't be given its name");
}

/* An XFS that has just shut itself down, since its log can't be written, syncs a
 * directory with success though its newest names are lost; but it lets nobody look at a
 * file any more (measured: one power cut in five under 20 writers). The look costs 2 us.
 */
static int
sync_names(const struct maildir *m)
{
	struct stat st;

	if (m->is_late && publish_sync(m->file))
		return -1;
	return publish_sync(m->new) || fstat(m->file, &st) ? -1 : 0;
}

/* A call may have failed, and have been done (a server that did not answer in time). */
static void
take_name_back(struct store *s)
{
	struct maildir *m = s->state;

	m->unwanted = 1;
	if (m->naming)
		s->may_be_there = unlinkat(m->new, s->name, 0) && errno != ENOENT;
}

static int
maildir_link(struct store *s, struct outcome *o)
{
	struct maildir *m = s->state;

	if (give_name(s, o) ||
		(sync_names(m) && failed(o, "the message's name can't be synced"))) {
		take_name_back(s);
		return -1;
	}
	leave_drafts(m);
	s->phase = STORE_STORED;
	return 0;
}

/* --- its end --------------------------------------------------------------------- */

/* Its name in new/ tells whether the message is there: nobody else can have made it.
 * While it is linked from tmp/ it has two names. */
static int
maildir_end_now(struct store *s)
{
	struct maildir *m = s->state;
	const struct publish_goal named = goal(s);
	int stored = m->naming && !m->unwanted && publish_is_there(&named) &&
		     sync_names(m) == 0;

	if (m->naming && !stored)
		unlinkat(m->new, s->name, 0);
	leave_drafts(m);
	return stored;
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
	leave_drafts(m); /* the message stored, or not */
	if (s->phase != STORE_STORED) {
		s->phase = STORE_IDLE;
	} else {
		tidy_folders(m->directory, m->owner);
		if (m->in_tmp.dir < 0) /* another kernel, or disk, may have needed it */
			m->in_tmp.dir = walk_open_in(m->directory, "tmp", NULL);
	}
	s->state = NULL;
	close_one(m->file);
	tidy_leftovers(m->in_tmp.dir, "", m->owner);
	if (m->hidden.dir >= 0)
		tidy_leftovers(m->new, ".", m->owner);
	else
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
