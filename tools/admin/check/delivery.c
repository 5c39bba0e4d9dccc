/*
 * check: what a delivery's calls answer in a mailbox (--probe), and what is known of the
 * file system that it is on without trying.
 */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "check.h"
#include "trial.h"

#define NOTHING_TO_DO "Nothing is to be done."

#define MAGIC_9P       0x01021997
#define MAGIC_FAT      0x4d44
#define MAGIC_EXFAT    0x2011bab0
#define MAGIC_NTFS     0x5346544e
#define MAGIC_NTFS3    0x7366746e
#define MAGIC_ECRYPTFS 0xf15f
#define MAGIC_CIFS     0xff534d42
#define MAGIC_SMB2     0xfe534d42
#define MAGIC_FUSE     0x65735546

#define NO_OWNERS                                                                        \
	"it has no owners and no colon in names, which a Maildir needs: it is no place " \
	"for one"

static const struct disk_kind {
	unsigned long magic;
	const char *name, *known;
} disk_kinds[] = {
	{NFS_SUPER_MAGIC, "NFS",
		"a message is published from tmp/; where root is nobody there "
		"(root_squash), quotad counts as the owner of the mailbox"},
	{MAGIC_FUSE, "FUSE",
		"what it can do is its program's to say; without allow_other its owner "
		"alone sees it, and quotad counts as that owner"},
	{MAGIC_ECRYPTFS, "eCryptfs",
		"a message is published from tmp/; while its owner has not logged in "
		"mail waits, or lies where the owner does not look"},
	{MAGIC_9P, "9p", "a message is published from tmp/; what syncs is its server's"},
	{MAGIC_CIFS, "SMB", "it has a colon in names only with mapposix or mapchars"},
	{MAGIC_SMB2, "SMB", "it has a colon in names only with mapposix or mapchars"},
	{MAGIC_FAT, "FAT", NO_OWNERS},
	{MAGIC_EXFAT, "exFAT", NO_OWNERS},
	{MAGIC_NTFS, "NTFS", NO_OWNERS},
	{MAGIC_NTFS3, "NTFS", NO_OWNERS},
};

/* As root sees it, or else its owner; 0: not known. */
static unsigned long
find_magic(const struct mailbox *m)
{
	struct statfs fs;
	struct trial t;

	if (statfs(m->path, &fs) == 0)
		return (unsigned long)fs.f_type & 0xffffffff;
	if (errno != EACCES)
		return 0;
	trial_run(&t, m, 0);
	return t.magic;
}

/* Once for each kind. */
void
check_disk_kind(struct check *c, const struct mailbox *m)
{
	const unsigned long magic = find_magic(m);

	for (size_t i = 0; i < sizeof disk_kinds / sizeof *disk_kinds; i++) {
		const struct disk_kind *k = &disk_kinds[i];

		if (k->magic != magic || c->disk_kinds & 1U << i)
			continue;
		c->disk_kinds |= 1U << i;
		check_found(c, CHECK_DISK_KIND, m->key,
			check_text(c, "Try it: %s check --probe %s.", check_brimadm(c),
				check_quote(c, m->key)),
			"%s is on %s: %s", m->path, k->name, k->known);
	}
}

int
check_owner_sees(const struct mailbox *m)
{
	const int error = errno;
	struct trial t;

	trial_run(&t, m, 0);
	errno = error;
	return t.failed == TRIAL_PASSED;
}

/* "by fsync", or what is in its place. */
static const char *
synced_by(struct check *c, int error)
{
	return error ? check_text(c, "by syncfs (fsync: %s)", strerror(error))
		     : "by fsync";
}

static void
tell_passed(struct check *c, const struct mailbox *m, const struct trial *t)
{
	check_found(c, CHECK_PROBE, m->key, NOTHING_TO_DO,
		"lda would publish by %s; the file is synced %s, new/ %s; as uid %u a "
		"file was written there and removed",
		publish_way_name(t->way), synced_by(c, t->sync_error),
		synced_by(c, t->sync_new_error), (unsigned)m->uid);
}

/* A sentence about what to do where the step failed. */
static const char *
repair_failed(struct check *c, const struct mailbox *m, enum trial_step step)
{
	const char *brimadm = check_brimadm(c), *key = check_quote(c, m->key);

	if (step == TRIAL_KILLED)
		return check_text(c,
			"Try again: %s check --probe %s; it removes what this one left.",
			brimadm, key);
	return check_text(c, "See what else %s check %s finds, and %s.", brimadm, key,
		step == TRIAL_SILENT ? "bring back what serves the file system"
				     : "what the file system can do");
}

static void
tell_failed(struct check *c, const struct mailbox *m, const struct trial *t)
{
	const char *error = t->why.text[0] ? t->why.text
			    : t->error     ? strerror(t->error)
					   : NULL;

	if (t->error == EDQUOT)
		check_found(c, CHECK_PROBE_QUOTA, m->key,
			check_text(c,
				"Raise its disk quota, or free some: quota -u '#%u' "
				"shows it.",
				(unsigned)m->uid),
			"%s: %s", trial_step_name(t->failed), error);
	else
		check_found(c, CHECK_PROBE_FAILED, m->key, repair_failed(c, m, t->failed),
			"as uid %u: %s%s%s", (unsigned)m->uid, trial_step_name(t->failed),
			error ? ": " : "", error ? error : "");
}

void
check_delivery(struct check *c, const struct mailbox *m)
{
	struct trial t;

	trial_run(&t, m, 1);
	if (t.failed == TRIAL_PASSED)
		tell_passed(c, m, &t);
	else
		tell_failed(c, m, &t);
	if (t.was_removed)
		check_found(c, CHECK_PROBE_REMOVED, m->key, NOTHING_TO_DO,
			"%s left in new/ or tmp/ of %s by an earlier probe that was "
			"killed, and removed now",
			AMOUNT_OF(t.was_removed, "file was", "files were"), m->path);
	if (t.is_left)
		check_found(c, CHECK_PROBE_LEFT, m->key,
			"Remove the file whose name begins with a dot.",
			"the file that was tried, or one that an earlier probe left, "
			"could not be removed from new/ or tmp/ of %s",
			m->path);
}
