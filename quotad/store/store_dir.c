/* The usage store's directory. */
#include "store_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define KEPT_ASIDE 2

static int
check_directory(int fd, const char *dir, struct reason *why)
{
	struct stat st;

	if (fstat(fd, &st))
		return reason_errno(why, "usage_dir %s", dir);
	if (st.st_uid != geteuid())
		return reason_set(why, "usage_dir %s belongs to uid %u, not to uid %u",
			dir, st.st_uid, geteuid());
	if (st.st_mode & 077)
		return reason_set(why,
			"usage_dir %s is open to others (mode %03o, not 700)", dir,
			st.st_mode & 0777);
	return 0;
}

int
store_dir_open(const char *dir, struct reason *why)
{
	int fd;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return reason_errno(why, "usage_dir %s can't be made", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return reason_errno(why, "usage_dir %s", dir);
	if (check_directory(fd, dir, why) == 0)
		return fd;
	close(fd);
	return -1;
}

int
store_dir_lock(int dir, struct reason *why)
{
	int fd = openat(dir, "lock",
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0)
		return reason_errno(why, "the usage store's lock");
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		reason_set(why, "another quotad has the usage store");
	else
		reason_errno(why, "the usage store's lock");
	close(fd);
	return -1;
}

static int
check_config(int dir, const char *path, struct reason *why)
{
	struct stat st;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return reason_errno(why, "%s in usage_dir", path);
	}
	if (st.st_uid != 0)
		return reason_set(why, "%s in usage_dir belongs to uid %u, not to root",
			path, st.st_uid);
	log_warning("%s in usage_dir is not read: quotad has settings of its own", path);
	return 0;
}

int
store_dir_check_config(int dir, const char *name, struct reason *why)
{
	char *inner;
	int result;

	if (asprintf(&inner, "%s/DB_CONFIG", name) < 0)
		return reason_errno(why, "DB_CONFIG");
	result = check_config(dir, "DB_CONFIG", why) || check_config(dir, inner, why) ? -1
										      : 0;
	free(inner);
	return result;
}

int
store_dir_has(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

int
store_dir_make(int dir, const char *name, struct reason *why)
{
	if (mkdirat(dir, name, 0700) == 0)
		return 0;
	return reason_errno(why, "%s in usage_dir can't be made", name);
}

static int
remove_files(int fd)
{
	DIR *list = fdopendir(fd);
	struct dirent *e;
	int result = 0;

	if (!list) {
		close(fd);
		return -1;
	}
	while ((e = readdir(list)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			unlinkat(dirfd(list), e->d_name, 0))
			result = -1;
	closedir(list);
	return result;
}

int
store_dir_remove(int dir, const char *name, struct reason *why)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int flag = fd >= 0 ? AT_REMOVEDIR : 0;

	if ((fd >= 0 && remove_files(fd)) ||
		(unlinkat(dir, name, flag) && errno != ENOENT))
		return reason_errno(why, "%s in usage_dir can't be removed", name);
	return 0;
}

/* Names with their times sort by age. Returns how many there are, or -1. */
static int
list_aside(int dir, const char *prefix, struct dirent ***list)
{
	int n = scandirat(dir, ".", list, NULL, alphasort), kept = 0;

	for (int i = 0; i < n; i++)
		if (strncmp((*list)[i]->d_name, prefix, strlen(prefix)) == 0)
			(*list)[kept++] = (*list)[i];
		else
			free((*list)[i]);
	return n < 0 ? -1 : kept;
}

static void
remove_oldest_aside(int dir, const char *prefix)
{
	struct dirent **list = NULL;
	struct reason why;
	int n = list_aside(dir, prefix, &list);

	for (int i = 0; i < n; i++) {
		if (i <= n - KEPT_ASIDE && store_dir_remove(dir, list[i]->d_name, &why))
			log_warning("%s", why.text);
		free(list[i]);
	}
	free(list);
}

int
store_dir_set_aside(int dir, const char *name, struct reason *why)
{
	long long now = (long long)time(NULL);
	char *prefix, *aside = NULL;
	int result = -1;

	if (asprintf(&prefix, "%s.bad-", name) < 0)
		return reason_errno(why, "%s in usage_dir", name);
	remove_oldest_aside(dir, prefix);
	if (asprintf(&aside, "%s%lld", prefix, now) < 0)
		aside = NULL;
	if (aside && store_dir_remove(dir, aside, why) == 0 &&
		(result = renameat(dir, name, dir, aside)))
		reason_errno(why, "%s in usage_dir can't be set aside", name);
	free(aside);
	free(prefix);
	return result;
}
