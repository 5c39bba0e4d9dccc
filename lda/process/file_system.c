/*
 * The kernel opens a path that it has in its cache without asking the file system. What
 * that finds on a disk can't hang: this costs a delivery to a local mailbox three calls.
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

/* Where another process or host answers; so do "fuse" and "fuse.NAME". */
static const char *const remote[] = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs",
	"lustre", "gpfs", "beegfs", "virtiofs", "vboxsf", "orangefs", "coda", "ecryptfs",
	"autofs"};

static int
is_remote(const char *type)
{
	if (strncmp(type, "fuse", 4) == 0 && (type[4] == '\0' || type[4] == '.'))
		return 1;
	for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
		if (strcmp(type, remote[i]) == 0)
			return 1;
	return 0;
}

/* The id of the path's mount: 0 if the file system is on a block device; ANY if only the
 * disk or a server could tell. */
#define ANY UINT64_MAX

static uint64_t
find_mount(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_CACHED};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	struct statx st;
	uint64_t mount = ANY;

	if (fd < 0)
		return ANY;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0) {
		if (st.stx_dev_major)
			mount = 0;
		else if (st.stx_mask & STATX_MNT_ID)
			mount = st.stx_mnt_id;
	}
	close(fd);
	return mount;
}

/* A line of mountinfo, proc_pid_mountinfo(5). Mail is not below /proc, where every
 * systemd has an autofs. Nor is it below /run/user, where desktops have a FUSE. */
static int
tells_of_remote(char *line, uint64_t mount)
{
	char *id = strsep(&line, " "), *on, *type;

	for (int i = 0; line && i < 3; i++)
		strsep(&line, " ");
	on = strsep(&line, " ");
	type = line ? strstr(line, " - ") : NULL;
	if (!type || (mount != ANY && strtoull(id, NULL, 10) != mount))
		return 0;
	type += strlen(" - ");
	type[strcspn(type, " ")] = '\0';
	return is_remote(type) &&
	       (mount != ANY ||
		       (strncmp(on, "/proc/", 6) && strncmp(on, "/run/user/", 10)));
}

int
file_system_may_hang(const char *path)
{
	uint64_t mount = find_mount(path);
	char *line = NULL;
	size_t size = 0;
	int answer = 0;
	FILE *mounts;

	if (mount == 0)
		return 0;
	mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts)
		return 1;
	while (!answer && getline(&line, &size, mounts) > 0)
		answer = tells_of_remote(line, mount);
	free(line);
	fclose(mounts);
	return answer;
}
