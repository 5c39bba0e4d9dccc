/*
 * The kernel opens a path that it has in its cache without asking the file system. What
 * that finds on a disk can't hang: this costs a delivery to a local mailbox five calls,
 * and three for each of new, cur and tmp. Before Linux 6.8 the list of all mounts is read
 * for file systems without a device of their own (tmpfs, btrfs, overlay), which takes a
 * fresh process 250 us, and those that FUSE mounts from a device are taken for disks.
 */
#include "file_system.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_calls.h"
#include "mounts.h"

/* statmount(2), since Linux 6.8, which the headers of Debian 12 do not know. */
#define CALL_STATMOUNT 457
#define UNIQUE_ID      0x4000U /* STATX_MNT_ID_UNIQUE */
#define FS_TYPE        0x20    /* STATMOUNT_FS_TYPE */

struct mount_query {
	uint32_t size, spare;
	uint64_t id, what;
};

struct mount_answer {
	uint32_t size, options;
	uint64_t what;
	uint32_t major, minor;
	uint64_t magic;
	uint32_t flags, type; /* where in TEXT it begins */
	char rest[472];
	char text[64];
};

/* Asks for the mount alone: 1, 0, or -1 if the kernel can't tell. */
static int
mount_is_remote(int fd)
{
	struct mount_query query = {.size = sizeof query, .what = FS_TYPE};
	struct mount_answer answer;
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, UNIQUE_ID, &st) ||
		!(st.stx_mask & UNIQUE_ID))
		return -1;
	query.id = st.stx_mnt_id;
	if (syscall(CALL_STATMOUNT, &query, &answer, sizeof answer, 0) ||
		!(answer.what & FS_TYPE) || answer.type >= sizeof answer.text)
		return -1;
	answer.text[sizeof answer.text - 1] = '\0';
	return mounts_type_may_hang(answer.text + answer.type);
}

#define ANY UINT64_MAX /* mounts */

static int
open_cached(int dir, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_CACHED};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

/* A line of mountinfo, proc_pid_mountinfo(5). Mail is not below /proc, where every
 * systemd has an autofs. Nor is it below /run/user, where desktops have a FUSE. */
static int
tells_of_remote(char *line, uint64_t mount)
{
	char *id = line, *on, *type;

	for (int i = 0; line && i < 4; i++)
		strsep(&line, " ");
	on = strsep(&line, " ");
	type = line ? strstr(line, " - ") : NULL;
	if (!on || !type || (mount != ANY && strtoull(id, NULL, 10) != mount))
		return 0;
	type += strlen(" - ");
	type[strcspn(type, " ")] = '\0';
	return mounts_type_may_hang(type) &&
	       (mount != ANY ||
		       (strncmp(on, "/proc/", 6) && strncmp(on, "/run/user/", 10)));
}

/* Whether the mount is remote; of ANY, whether one is. */
static int
list_tells_of_remote(uint64_t mount)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	int answer = 0;

	if (!mounts)
		return 1;
	while (!answer && getline(&line, &size, mounts) > 0)
		answer = tells_of_remote(line, mount);
	free(line);
	fclose(mounts);
	return answer;
}

/* Whether what is open is on a remote mount. *KNOWN is one that is not, ANY where none is
 * known. */
static int
is_remote(int fd, uint64_t *known)
{
	uint64_t mount = ANY;
	struct statx st;
	int answer = -1;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0) {
		if (st.stx_mask & STATX_MNT_ID)
			mount = st.stx_mnt_id;
		if (mount != ANY && mount == *known)
			return 0;
		answer = mount_is_remote(fd);
		if (answer < 0 && st.stx_dev_major) /* a disk, or fuseblk */
			answer = 0;
	}
	if (answer < 0)
		answer = list_tells_of_remote(mount);
	if (answer == 0)
		*known = mount;
	return answer;
}

/* One of them alone may be a mount. That the kernel always has in its cache. */
static int
folder_is_remote(int maildir, uint64_t known)
{
	static const char *const names[] = {"new", "cur", "tmp"};
	int answer = 0;

	for (size_t i = 0; !answer && i < sizeof names / sizeof *names; i++) {
		int fd = open_cached(maildir, names[i]);

		if (fd < 0)
			continue;
		answer = is_remote(fd, &known);
		close(fd);
	}
	return answer;
}

int
file_system_may_hang(const char *path)
{
	uint64_t known = ANY;
	int fd = open_cached(AT_FDCWD, path), answer;

	if (fd < 0) /* only the disk or a server could tell */
		return list_tells_of_remote(ANY);
	answer = is_remote(fd, &known) || folder_is_remote(fd, known);
	close(fd);
	return answer;
}
