/*
 * check: each mailbox as lda would find it, and the file systems that mail and table are
 * on. Of each mailbox two numbers and its key are kept, to find those that share a place.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "check.h"
#include "foreign.h"
#include "privileges.h"
#include "walk.h"

#define LEAST_PERCENT 2 /* of a file system's room and inodes */

struct check_disk {
	dev_t device;
};

struct check_place {
	dev_t device;
	ino_t inode;
	uid_t uid; /* the recipient's */
	char *key;
};

/* --- file systems ---------------------------------------------------------- */

/* Whether it has not been looked at before. */
static int
is_new_disk(struct check *c, dev_t device)
{
	struct check_disk *more;

	for (size_t i = 0; i < c->disk_count; i++)
		if (c->disks[i].device == device)
			return 0;
	more = realloc(c->disks, (c->disk_count + 1) * sizeof *more);
	if (!more) {
		c->failed = 1;
		return 0;
	}
	c->disks = more;
	more[c->disk_count++].device = device;
	return 1;
}

/* The highest directory above PATH that is on this device: where it is mounted. */
static const char *
mount_point(struct check *c, const char *path, dev_t device)
{
	char *real = realpath(path, NULL), *slash;
	const char *found;
	struct stat st;

	while (real && (slash = strrchr(real, '/')) && slash > real) {
		*slash = '\0';
		if (lstat(real, &st) || st.st_dev != device) {
			*slash = '/';
			break;
		}
	}
	if (real && strrchr(real, '/') == real && lstat("/", &st) == 0 &&
		st.st_dev == device)
		real[1] = '\0';
	found = check_text(c, "%s", real ? real : path);
	free(real);
	return found;
}

static unsigned
per_cent(uint64_t free_part, uint64_t all)
{
	return all ? (unsigned)((double)free_part * 100 / (double)all) : 100;
}

/* Programs of Go's bazil.org/fuse (rclone mount) tell a round number of inodes, and that
 * none is free, though they need none. */
static int
counts_inodes(const struct statvfs *fs)
{
	return fs->f_favail || fs->f_files % 1000000;
}

static void
check_room(struct check *c, const char *path, dev_t device, const struct statvfs *fs)
{
	unsigned room = per_cent(fs->f_bavail, fs->f_blocks),
		 inodes = per_cent(fs->f_favail, fs->f_files);
	const char *point;

	if (room < LEAST_PERCENT) {
		point = mount_point(c, path, device);
		check_found(c, CHECK_DISK_ROOM, point,
			check_text(c, "Make room there: du -x %s shows where it went.",
				check_quote(c, point)),
			"%u %% of its room is left", room);
	}
	if (inodes < LEAST_PERCENT && counts_inodes(fs)) {
		point = mount_point(c, path, device);
		check_found(c, CHECK_DISK_INODES, point,
			check_text(c,
				"Remove files there: du -x --inodes %s counts them.",
				check_quote(c, point)),
			"%u %% of its inodes are left", inodes);
	}
}

static void
check_disk(struct check *c, const char *path)
{
	struct statvfs fs;
	struct stat st;
	const char *point;

	if (stat(path, &st) || !is_new_disk(c, st.st_dev) || statvfs(path, &fs))
		return;
	if (fs.f_flag & ST_RDONLY) {
		point = mount_point(c, path, st.st_dev);
		check_found(c, CHECK_DISK_READ_ONLY, point,
			check_hold(point, CHECK_EVERYBODY) == HOLD_ROOT
				? check_text(c, "mount -o remount,rw %s",
					  check_quote(c, point))
				: check_look_at(c, point),
			"it is read-only");
		return;
	}
	check_room(c, path, st.st_dev, &fs);
}

void
check_stores(struct check *c)
{
	const char *const files[] = {c->a->conf.users_db, c->a->conf.usage_dir};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char *directory = strdup(files[i]), *slash;

		slash = directory ? strrchr(directory, '/') : NULL;
		if (slash && slash > directory) {
			*slash = '\0';
			check_disk(c, directory);
		}
		free(directory);
	}
}

/* --- one mailbox ----------------------------------------------------------- */

/* lda would make it, if its parent is the recipient's own. */
static void
check_missing(struct check *c, const struct mailbox *m)
{
	char name[NAME_MAX + 1];
	struct stat st;
	struct reason why;
	int parent = walk_open_parent(m->path, name, &why);
	int sound = parent >= 0 && fstat(parent, &st) == 0;

	if (!sound)
		check_found(c, CHECK_MAILBOX_MISSING, m->key, check_make_command(c, m),
			"%s is missing; its parent: %s", m->path, why.text);
	else if (st.st_uid != m->uid || st.st_mode & (S_IWGRP | S_IWOTH))
		check_found(c, CHECK_MAILBOX_MISSING, m->key, check_make_command(c, m),
			"%s is missing; its parent belongs to uid %u, with mode %04o",
			m->path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
	if (parent >= 0)
		close(parent);
}

static const char repair_file_system[] =
	"Look at its file system: unmount it, or bring back what serves it.";

/* What a disk that breaks answers, and a server that is gone (FUSE's: ENOTCONN). */
static int
is_of_file_system(int error)
{
	static const int errors[] = {EIO, ENODEV, ENXIO, ENOTCONN, ECONNREFUSED,
		ECONNABORTED, ECONNRESET, ESTALE, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH,
		ENETDOWN, ENETUNREACH, EREMOTEIO, EUCLEAN, ENOKEY};

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (error == errors[i])
			return 1;
	return 0;
}

static void
cant_open(struct check *c, const struct mailbox *m, const struct reason *why)
{
	int error = errno;

	if (error == ENOENT)
		check_missing(c, m);
	else if (error == ELOOP)
		check_found(c, CHECK_MAILBOX_LINK, m->key, check_link_repair(c, m), "%s",
			why->text);
	else if (is_of_file_system(error))
		check_found(c, CHECK_MAILBOX_OPEN, m->key, repair_file_system, "%s",
			why->text);
	else if (error == EACCES) /* NFS, FUSE, a user namespace */
		check_found(c, CHECK_MAILBOX_OPEN, m->key,
			check_text(c,
				"Let uid %u look into it, and all directories above it: "
				"namei -l %s shows them.",
				(unsigned)m->uid, check_quote(c, m->path)),
			"%s, to root and to uid %u", why->text, (unsigned)m->uid);
	else
		check_found(c, CHECK_MAILBOX_OPEN, m->key,
			check_text(c,
				"Put a directory in its place, or set another: "
				"%s set %s mail=PATH/.",
				check_brimadm(c), check_quote(c, m->key)),
			"%s", why->text);
}

/* What lda looks at: the mailbox itself and its folders, where they are. */
static const char *const parts[] = {"", "new", "cur", "tmp"};

static int
stat_part(int dir, const char *name, struct stat *st)
{
	return *name ? fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) : fstat(dir, st);
}

/* 1 if it was reported. */
static int
check_owner(struct check *c, const struct mailbox *m, int dir)
{
	struct stat st;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (stat_part(dir, parts[i], &st) || S_ISLNK(st.st_mode) ||
			st.st_uid == m->uid)
			continue;
		check_found(c, CHECK_MAILBOX_OWNER, m->key, check_give_command(c, m, dir),
			"%s%s belongs to uid %u, not to %u", m->path, parts[i],
			(unsigned)st.st_uid, (unsigned)m->uid);
		return 1;
	}
	return 0;
}

static void
check_part(
	struct check *c, const struct mailbox *m, const char *name, const struct stat *st)
{
	const char *path = check_text(c, "%s%s", m->path, name);

	if (S_ISLNK(st->st_mode))
		check_found(c, CHECK_MAILBOX_LINK, m->key,
			"Put a directory in the place of the link.", "%s is a link",
			path);
	else if (!S_ISDIR(st->st_mode))
		check_found(c, CHECK_MAILBOX_OPEN, m->key,
			check_user_command(c, path, m->uid, m->gid,
				check_text(c, "rm -f %s", check_quote(c, path))),
			"%s is not a directory", path);
	else if (st->st_mode & (S_IWGRP | S_IWOTH) || (st->st_mode & 0700) != 0700)
		check_found(c, CHECK_MAILBOX_MODE, m->key,
			check_user_command(c, path, m->uid, m->gid,
				check_text(c, "chmod u+rwx,go-w %s",
					check_bare_path(c, path))),
			"the mode of %s is %04o", path, (unsigned)st->st_mode & 07777);
}

/* Room for one more place: 0, or -1 without memory. */
static int
make_room(struct check *c)
{
	size_t room = c->place_room ? 2 * c->place_room : 256;
	struct check_place *more;

	if (c->place_count < c->place_room)
		return 0;
	more = realloc(c->places, room * sizeof *more);
	if (!more)
		return -1;
	c->places = more;
	c->place_room = room;
	return 0;
}

static void
keep_place(struct check *c, const struct mailbox *m, const struct stat *st)
{
	struct check_place *p;

	c->failed |= make_room(c) != 0;
	if (c->failed)
		return;
	p = &c->places[c->place_count];
	*p = (struct check_place){st->st_dev, st->st_ino, m->uid, strdup(m->key)};
	if (p->key)
		c->place_count++;
	else
		c->failed = 1;
}

/* The first mailbox that takes quotad a capability to read. */
static void
check_readable(struct check *c, const struct mailbox *m)
{
	static const char *const counted[] = {"", "new", "cur"};
	const struct privileges_user daemon = {c->daemon_uid, c->daemon_gid};
	struct reason why;
	int is_closed = 0;

	if (c->unread || c->daemon_uid == 0 || m->uid == c->daemon_uid)
		return;
	if (privileges_act_as(&daemon, &why) == 0)
		for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
			const char *path = check_text(c, "%s%s", m->path, counted[i]);

			is_closed |= faccessat(AT_FDCWD, path, R_OK | X_OK, AT_EACCESS) &&
				     errno == EACCES;
		}
	c->failed |= privileges_act_as(NULL, &why) != 0;
	if (is_closed)
		c->unread = strdup(m->key);
}

/* That of new/ alone may be a mount. */
static void
check_disks(struct check *c, const struct mailbox *m, int dir)
{
	struct stat st, new;

	check_disk(c, m->path);
	if (fstat(dir, &st) == 0 && stat_part(dir, "new", &new) == 0 &&
		S_ISDIR(new.st_mode) && new.st_dev != st.st_dev)
		check_disk(c, check_text(c, "%snew", m->path));
}

static void
check_directory(struct check *c, const struct mailbox *m, int dir)
{
	const size_t before = c->found[0] + c->found[1];
	struct stat st;

	if (check_owner(c, m, dir) == 0)
		for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
			if (stat_part(dir, parts[i], &st) == 0)
				check_part(c, m, parts[i], &st);
	if (fstat(dir, &st) == 0)
		keep_place(c, m, &st);
	check_reach(c, CHECK_MAILBOX_WAY, m->key, m->path, m->uid, m->gid);
	check_disks(c, m, dir);
	if (c->found[0] + c->found[1] == before && fstat(dir, &st) == 0)
		check_elsewhere(c, m, &st);
}

static void
check_mailbox(struct check *c, const struct mailbox *m)
{
	struct reason why;
	int dir;

	if (m->over_quota == CONF_DEFER)
		c->defers = 1;
	else if (!c->has_longest || m->over_quota > c->longest) {
		c->longest = m->over_quota;
		c->has_longest = 1;
	}
	if (m->state == MAILBOX_DISABLED || m->state == MAILBOX_MOVED)
		return; /* it takes no mail */
	c->waits |= m->smtp_full_waits != 0;
	if (!probe_answers(&c->probe, m->path)) {
		check_found(c, CHECK_MAILBOX_OPEN, m->key, repair_file_system,
			"the file system of %s does not answer", m->path);
		return;
	}
	if (check_unmounted(c, m))
		return;
	if (!c->foreign && m->uid != c->daemon_uid && foreign_holds(m->path))
		c->foreign = strdup(m->key);
	dir = walk_open(m->path, &why);
	if (dir >= 0) {
		check_directory(c, m, dir);
		check_folders(c, m);
		check_readable(c, m);
		close(dir);
	} else if (errno != EACCES || !check_owner_sees(m)) {
		cant_open(c, m, &why);
	}
	check_disk_kind(c, m);
	if (c->a->option[OPTION_PROBE])
		check_delivery(c, m);
}

/* --- records --------------------------------------------------------------- */

/* The record of the key's domain: 1, 0 without one. It is freed in any case. */
static int
find_domain(struct check *c, const char *key, struct record *domain)
{
	const char *at = address_domain_key(key);
	struct reason why;

	memset(domain, 0, sizeof *domain);
	return at && users_get(c->users, at, domain, &why) > 0;
}

static const char *
repair_record(struct check *c, const struct record *r)
{
	uint64_t uid;

	if (record_number(r, "uid", 0, &uid) == 0 && uid >= 100 && uid < UINT32_MAX &&
		uid < c->a->conf.min_uid)
		return check_setting(
			c, "min_uid", check_text(c, "%llu", (unsigned long long)uid));
	return check_text(c, "Set what is wrong: %s set %s FIELD=VALUE.",
		check_brimadm(c), check_quote(c, r->key));
}

static void
check_record(struct check *c, const struct record *r)
{
	struct record domain;
	struct mailbox m;
	struct reason why;
	int has = find_domain(c, r->key, &domain);

	if (mailbox_from_record(&m, r, has ? &domain : NULL, &c->a->conf, &why)) {
		check_found(c, CHECK_RECORD, r->key, repair_record(c, r), "%s", why.text);
	} else {
		if (!c->some_account && !strchr(m.key, '@') && strcmp(m.key, "root") != 0)
			c->some_account = strdup(m.key);
		check_mailbox(c, &m);
		mailbox_clear(&m);
	}
	record_clear(&domain);
}

static int
take_record(void *arg, const struct record *r)
{
	struct check *c = arg;

	if (mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX) {
		c->has_accounts |= !strchr(r->key, '@');
		check_step(c);
		check_record(c, r);
	}
	return 0;
}

/* --- all of them, or one --------------------------------------------------- */

static int
by_place(const void *a, const void *b)
{
	const struct check_place *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Mail for one user is not led to another's mailbox: who is right is not known. */
static const char *
repair_shared(
	struct check *c, const struct check_place *first, const struct check_place *other)
{
	const char *brimadm = check_brimadm(c), *key = check_quote(c, other->key);

	if (first->uid != other->uid)
		return check_text(c,
			"Set another directory for the one that it does not belong to: "
			"%s set KEY mail=PATH/.",
			brimadm);
	return check_text(c, "%s remove %s && %s alias %s %s", brimadm, key, brimadm, key,
		check_quote(c, first->key));
}

static void
check_shared(struct check *c)
{
	if (c->place_count)
		qsort(c->places, c->place_count, sizeof *c->places, by_place);
	for (size_t i = 1; i < c->place_count; i++) {
		const struct check_place *first = &c->places[i - 1],
					 *other = &c->places[i];

		if (by_place(first, other) == 0)
			check_found(c, CHECK_MAILBOX_SHARED, other->key,
				repair_shared(c, first, other),
				"its directory is that of %s, too", first->key);
	}
}

static void
check_one(struct check *c)
{
	struct outcome o;
	struct mailbox m;

	c->mailboxes = 1;
	if (mailbox_find(&m, c->users, &c->a->conf, c->address, &o)) {
		check_found(c, CHECK_RECIPIENT, c->address,
			check_text(c, "See where it leads: %s simulate %s.",
				check_brimadm(c), check_quote(c, c->address)),
			"%s %s", verdict_code(o.verdict), o.text);
		return;
	}
	check_mailbox(c, &m);
	mailbox_clear(&m);
}

void
check_mailboxes(struct check *c)
{
	struct reason why = {""};

	if (c->address)
		check_one(c);
	else if (users_each(c->users, "", take_record, c, &why))
		check_found(c, CHECK_TABLE_DAMAGED, c->a->conf.users_db,
			check_text(c, "Load the last dump: %s load --replace FILE.",
				check_brimadm(c)),
			"%s", why.text);
	else
		check_shared(c);
	check_unmounted_end(c);
}

void
check_mailboxes_free(struct check *c)
{
	free(c->foreign);
	free(c->unread);
	probe_end(&c->probe);
	for (size_t i = 0; i < c->place_count; i++)
		free(c->places[i].key);
	free(c->places);
	free(c->disks);
	free(c->some_account);
}
