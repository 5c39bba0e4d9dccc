/* The directories of a mailbox, listed and stamped. */
#include "folders.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "siphash.h"
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

/* The stamp is a chain: each hash is half of the key of the next. */
static void
stamp(struct folders *f, const void *data, size_t length)
{
	struct siphash_key key = {f->stamp, 0x6272696d};

	f->stamp = siphash(&key, data, length);
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
	stamp(f, facts, sizeof facts);
}

static int
look_at_part(struct folders *f, int folder, const char *part, struct reason *why)
{
	struct stat st;

	if (fstatat(folder, part, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		stamp_directory(f, S_ISDIR(st.st_mode) ? &st : NULL);
		return 0;
	}
	stamp_directory(f, NULL);
	return errno == ENOENT ? 0 : reason_errno(why, "can't look at %s", part);
}

/* A folder itself, then its parts. */
static int
look_at_folder(struct folders *f, int folder, const char *name, struct reason *why)
{
	struct stat st;

	if (fstat(folder, &st))
		return reason_errno(why, "can't look at folder %s", name);
	stamp(f, name, strlen(name));
	stamp_directory(f, &st);
	if (look_at_part(f, folder, "new", why) || look_at_part(f, folder, "cur", why))
		return -1;
	return 0;
}

static int
look_into(struct folders *f, const char *name, struct reason *why)
{
	int folder = walk_open_in(f->dir, name, why), result;

	if (folder < 0) {
		stamp(f, name, strlen(name));
		stamp_directory(f, NULL);
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
	}
	result = look_at_folder(f, folder, name, why);
	close(folder);
	return result;
}

static int
add_name(struct folders *f, const char *name, struct reason *why)
{
	/* room for a power of two at a time */
	if ((f->count & (f->count - 1)) == 0) {
		size_t room = f->count ? 2 * f->count : 1;
		char **grown = reallocarray(f->names, room, sizeof *grown);

		if (!grown)
			return reason_errno(why, "no memory for the list of folders");
		f->names = grown;
	}
	f->names[f->count] = strdup(name);
	if (!f->names[f->count])
		return reason_errno(why, "no memory for the list of folders");
	f->count++;
	return 0;
}

int
folders_is_ignored(const char *ignore, const char *name)
{
	return ignore && (conf_list_has(ignore, name) || conf_list_has(ignore, name + 1));
}

#define COUNTING_VERSION 2 /* to be raised where the same mailbox counts otherwise */

/* The order of the names, and their case, mean nothing. Without memory the rules are some
 * others: then mailboxes are counted once more. */
uint64_t
folders_rules(const char *ignore)
{
	static const struct siphash_key key = {0x6272696d, COUNTING_VERSION};
	uint64_t rules = siphash(&key, "", 0);
	char *name;

	while ((name = conf_list_next(&ignore)) != NULL) {
		for (char *p = name; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		rules += siphash(&key, name, strlen(name));
		free(name);
	}
	return rules ? rules : 1;
}

static int
is_folder(int dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_name[0] != '.' || strcmp(e->d_name, ".") == 0 ||
		strcmp(e->d_name, "..") == 0)
		return 0;
	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static int
list_entries(struct folders *f, DIR *dir, const char *ignore, struct reason *why)
{
	struct dirent *e;

	while (errno = 0, (e = readdir(dir))) {
		if (!is_folder(f->dir, e) || folders_is_ignored(ignore, e->d_name))
			continue;
		if (f->count > FOLDERS_MAX)
			return reason_set(why, "more than %d folders", FOLDERS_MAX);
		if (add_name(f, e->d_name, why))
			return -1;
	}
	return errno ? reason_errno(why, "can't list the folders") : 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
list_folders(struct folders *f, const char *ignore, struct reason *why)
{
	int copy = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir) {
		reason_errno(why, "can't list the folders");
		if (copy >= 0)
			close(copy);
		return -1;
	}
	result = list_entries(f, dir, ignore, why);
	closedir(dir);
	qsort(f->names, f->count, sizeof *f->names, compare_names);
	return result;
}

static int
look(struct folders *f, const char *ignore, struct reason *why)
{
	struct stat st;

	if (fstat(f->dir, &st))
		return reason_errno(why, "can't look at the mailbox");
	f->directory = walk_identity(&st);
	if (look_at_folder(f, f->dir, ".", why) || add_name(f, ".", why) ||
		list_folders(f, ignore, why))
		return -1;
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->names[i], ".") != 0 && look_into(f, f->names[i], why))
			return -1;
	return 0;
}

int
folders_look(struct folders *f, const char *path, const char *ignore, struct reason *why)
{
	memset(f, 0, sizeof *f);
	f->dir = walk_open(path, why);
	if (f->dir < 0) {
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
		free(f->names[i]);
	free(f->names);
	if (f->dir >= 0)
		close(f->dir);
	memset(f, 0, sizeof *f);
	f->dir = -1;
}
