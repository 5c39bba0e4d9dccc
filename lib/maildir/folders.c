/* The directories of a mailbox, listed and stamped. */
#include "folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "fold.h"
#include "kernel_calls.h"
#include "siphash.h"
#include "utf7.h"
#include "walk.h"

#define SECOND 1000000000LL

static int64_t
nanoseconds(const struct timespec *t)
{
	return t->tv_sec * SECOND + t->tv_nsec;
}

/* The step in which the kernel's ctimes move, doubled; whole seconds are a file system
 * that keeps no more. */
static int64_t
grain_of(const struct timespec *ctime)
{
	static int64_t grain;
	struct timespec step;

	if (ctime->tv_nsec == 0)
		return 2 * SECOND;
	if (grain == 0)
		grain = clock_getres(CLOCK_REALTIME_COARSE, &step)
				? SECOND / 50
				: 2 * nanoseconds(&step);
	return grain;
}

/* A ctime far ahead of the clock is not young: no change now can be given the same. */
static void
note_age(struct folders *f, const struct timespec *ctime)
{
	struct timespec now = {0};
	int64_t age, grain = grain_of(ctime);

	clock_gettime(CLOCK_REALTIME, &now);
	age = nanoseconds(&now) - nanoseconds(ctime);
	if (age > -grain && age < grain && grain - age > f->young_ns)
		f->young_ns = grain - age;
}

/* A chain: each hash is half of the key of the next. */
static void
stamp(uint64_t *chain, const void *data, size_t length)
{
	struct siphash_key key = {*chain, 0x6272696d};

	*chain = siphash(&key, data, length);
}

/* What statx answers where it is not to be had: an older kernel, or a sandbox that does
 * not know it (EPERM, of container engines before 2018). glibc, which then asks fstatat
 * itself, takes no AT_STATX_FORCE_SYNC: EINVAL. */
static const int no_statx[] = {ENOSYS, EINVAL, EPERM, EOPNOTSUPP};

/* The device, inode, type and ctime as they are now, of DIR itself where NAME is empty. A
 * file system that asks a program or a server (FUSE, NFS) would tell fstat what it heard
 * a while ago: then mail that was removed elsewhere still fills the mailbox. */
static int
stat_now(int dir, const char *name, struct stat *st)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
	struct statx x;

	memset(st, 0, sizeof *st);
	if (statx(dir, name, flags | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x)) {
		for (size_t i = 0; i < sizeof no_statx / sizeof *no_statx; i++)
			if (errno == no_statx[i])
				return fstatat(dir, name, st, flags);
		return -1;
	}
	st->st_dev = makedev(x.stx_dev_major, x.stx_dev_minor);
	st->st_ino = x.stx_ino;
	st->st_mode = x.stx_mode;
	st->st_ctim.tv_sec = x.stx_ctime.tv_sec;
	st->st_ctim.tv_nsec = x.stx_ctime.tv_nsec;
	return 0;
}

/* A directory's part of the stamp; ST is NULL where it is missing. */
static void
stamp_directory(struct folders *f, const struct stat *st)
{
	uint64_t facts[4] = {0};

	if (st) {
		facts[0] = st->st_dev;
		facts[1] = st->st_ino;
		facts[2] = (uint64_t)st->st_ctim.tv_sec;
		facts[3] = (uint64_t)st->st_ctim.tv_nsec;
		note_age(f, &st->st_ctim);
	}
	stamp(&f->stamp, facts, sizeof facts);
}

/* The path of what is in the folder; NULL without memory. */
static char *
path_below(const char *folder, const char *name)
{
	char *path;

	if (strcmp(folder, ".") == 0)
		return strdup(name);
	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static int
note_link(struct folders *f, const char *folder, const char *name, struct reason *why)
{
	char **grown;

	if (f->link_count == FOLDERS_LINKS)
		return 0;
	grown = reallocarray(f->links, f->link_count + 1, sizeof *grown);
	if (!grown)
		return reason_errno(why, "no memory for the list of folders");
	f->links = grown;
	grown[f->link_count] = path_below(folder, name);
	if (!grown[f->link_count])
		return reason_errno(why, "no memory for the list of folders");
	f->link_count++;
	return 0;
}

static int
look_at_part(struct folders *f, int folder, const char *name, const char *part,
	struct reason *why)
{
	struct stat st;

	if (stat_now(folder, part, &st) == 0) {
		stamp_directory(f, S_ISDIR(st.st_mode) ? &st : NULL);
		return S_ISLNK(st.st_mode) ? note_link(f, name, part, why) : 0;
	}
	if (errno != ENOENT)
		return reason_errno(why, "can't look at %s", part);
	f->missing |= strcmp(name, ".") == 0 && strcmp(part, "new") == 0;
	stamp_directory(f, NULL);
	return 0;
}

#define COUNTING_VERSION 4 /* to be raised where the same mailbox counts otherwise */

/* The next name of the list, to be freed, without slashes at its ends; NULL: no more. */
static char *
next_ignored(const char **ignore)
{
	char *name = conf_list_next(ignore);
	size_t first = name ? strspn(name, "/") : 0, length = name ? strlen(name) : 0;

	while (length > first && name[length - 1] == '/')
		length--;
	if (name) {
		memmove(name, name + first, length - first);
		name[length - first] = '\0';
	}
	return name;
}

static int
is_ascii(const char *name)
{
	while (*name && (unsigned char)*name < 0x80)
		name++;
	return *name == '\0';
}

/* The order of the names, and their case, mean nothing. Without memory the rules are some
 * others: then mailboxes are counted once more. */
uint64_t
folders_rules(const char *ignore)
{
	static const struct siphash_key key = {0x6272696d, COUNTING_VERSION},
					utf8_key = {0x6272696d, COUNTING_VERSION + 1};
	uint64_t rules = siphash(&key, "", 0);
	char *name;

	while ((name = next_ignored(&ignore)) != NULL) {
		char folded[PATH_MAX];

		if (fold_text(folded, sizeof folded, name, strlen(name)) >= 0)
			rules += siphash(is_ascii(folded) ? &key : &utf8_key, folded,
				strlen(folded));
		free(name);
	}
	return rules ? rules : 1;
}

/* --- the tree ---------------------------------------------------------------------- */

static int
is_listed(const char *ignore, const char *path)
{
	char key[PATH_MAX], listed[PATH_MAX];
	int found = 0;
	char *name;

	if (fold_text(key, sizeof key, path, strlen(path)) < 0)
		return 0;
	while (!found && (name = next_ignored(&ignore)) != NULL) {
		if (fold_text(listed, sizeof listed, name, strlen(name)) >= 0)
			found = strcmp(listed, key) == 0 ||
				(key[0] == '.' && strcmp(listed, key + 1) == 0);
		free(name);
	}
	return found;
}

/* The list may have a folder as it is on disk, or as people see it. */
int
folders_is_ignored(const char *ignore, const char *path)
{
	char seen[PATH_MAX];

	if (!ignore || !ignore[0])
		return 0;
	return is_listed(ignore, path) ||
	       (strchr(path, '&') && utf7_decode(seen, sizeof seen, path) == 0 &&
		       is_listed(ignore, seen));
}

static int
is_too_deep(const char *path)
{
	int depth = 1;

	for (; (path = strchr(path, '/')); path++)
		depth++;
	return depth > FOLDERS_DEPTH;
}

/* Takes the path. */
static int
add(struct folders *f, char *path, const char *ignore, struct reason *why)
{
	/* room for a power of two at a time */
	if (path && (f->count & (f->count - 1)) == 0) {
		size_t room = f->count ? 2 * f->count : 1;
		struct folder *grown = reallocarray(f->list, room, sizeof *grown);

		if (!grown) {
			free(path);
			path = NULL;
		} else {
			f->list = grown;
		}
	}
	if (!path)
		return reason_errno(why, "no memory for the list of folders");
	f->list[f->count++] = (struct folder){path, folders_is_ignored(ignore, path)};
	return 0;
}

/* A directory in a folder: it may be one, or hold some. */
static int
add_below(struct folders *f, const char *parent, const char *name, const char *ignore,
	struct reason *why)
{
	char *path = path_below(parent, name);

	if (f->count > FOLDERS_MAX)
		reason_set(why, "more than %d folders", FOLDERS_MAX);
	else if (path && (is_too_deep(path) || strlen(path) >= PATH_MAX))
		reason_set(why,
			"folders more than %d deep, or with too long a path: %.200s",
			FOLDERS_DEPTH, path);
	else
		return add(f, path, ignore, why);
	free(path);
	return -1;
}

/* Its own directories, which are no folders of theirs: tmp, where nothing counts, too. */
static int
is_part(const char *name)
{
	return strcmp(name, "new") == 0 || strcmp(name, "cur") == 0 ||
	       strcmp(name, "tmp") == 0;
}

static mode_t
type_of(int dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return DTTOIF(e->d_type);
	return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) ? 0
								 : st.st_mode & S_IFMT;
}

static int
take_entry(struct folders *f, const struct folder *folder, int dir,
	const struct dirent *e, const char *ignore, struct reason *why)
{
	const char *name = e->d_name;
	mode_t type;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_part(name))
		return 0;
	type = type_of(dir, e);
	if (S_ISDIR(type))
		return add_below(f, folder->path, name, ignore, why);
	return S_ISLNK(type) ? note_link(f, folder->path, name, why) : 0;
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct folder *)a)->path, ((const struct folder *)b)->path);
}

/* Adds what is in the folder to the list. */
static int
list_folder(struct folders *f, const struct folder *folder, DIR *dir, const char *ignore,
	struct reason *why)
{
	size_t first = f->count;
	struct dirent *e;

	while (errno = 0, (e = readdir(dir)))
		if (take_entry(f, folder, dirfd(dir), e, ignore, why))
			return -1;
	/* ENOENT: removed while it was read; the next look will tell */
	if (errno && errno != ENOENT)
		return reason_errno(why, "can't list the folders");
	if (f->count > first)
		qsort(f->list + first, f->count - first, sizeof *f->list, compare_paths);
	return 0;
}

/* --- one folder -------------------------------------------------------------------- */

/* The folder itself, what is in it, then its parts. Of one that is ignored nothing
 * matters but what is in it, and that has ctimes of its own. */
static int
look_at_folder(struct folders *f, const struct folder *folder, DIR *dir,
	const char *ignore, struct reason *why)
{
	uint64_t identity;
	struct stat st;

	if (stat_now(dirfd(dir), "", &st))
		return reason_errno(why, "can't look at folder %.200s", folder->path);
	identity = walk_identity(&st);
	stamp(&f->set, &identity, sizeof identity);
	if (folder->ignored)
		return list_folder(f, folder, dir, ignore, why);
	stamp_directory(f, &st); /* before it is read */
	return list_folder(f, folder, dir, ignore, why) ||
			       look_at_part(f, dirfd(dir), folder->path, "new", why) ||
			       look_at_part(f, dirfd(dir), folder->path, "cur", why)
		       ? -1
		       : 0;
}

/* The list grows meanwhile, and its elements move. */
static int
look_into(struct folders *f, struct folder folder, const char *ignore, struct reason *why)
{
	int fd = walk_open_below(f->dir, folder.path, why), result;
	DIR *dir;

	stamp(&f->stamp, folder.path, strlen(folder.path));
	stamp(&f->set, folder.path, strlen(folder.path));
	if (fd < 0) {
		stamp_directory(f, NULL);
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
	}
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return reason_errno(why, "can't list the folders");
	}
	result = look_at_folder(f, &folder, dir, ignore, why);
	closedir(dir);
	return result;
}

static int
look(struct folders *f, const char *ignore, struct reason *why)
{
	struct stat st;

	if (fstat(f->dir, &st))
		return reason_errno(why, "can't look at the mailbox");
	f->directory = walk_identity(&st);
	if (add(f, strdup("."), NULL, why))
		return -1;
	for (size_t i = 0; i < f->count; i++)
		if (look_into(f, f->list[i], ignore, why))
			return -1;
	return 0;
}

int
folders_look(struct folders *f, const char *path, const char *ignore, struct reason *why)
{
	memset(f, 0, sizeof *f);
	f->dir = walk_open(path, why);
	if (f->dir < 0) {
		f->missing = errno == ENOENT;
		stamp_directory(f, NULL);
		return errno == ENOENT ? 0 : -1;
	}
	if (look(f, ignore, why) == 0)
		return 0;
	folders_clear(f);
	return -1;
}

void
folders_clear(struct folders *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->list[i].path);
	for (size_t i = 0; i < f->link_count; i++)
		free(f->links[i]);
	free(f->list);
	free(f->links);
	if (f->dir >= 0)
		close(f->dir);
	memset(f, 0, sizeof *f);
	f->dir = -1;
}
