/* File systems that judge by uid, by their numbers. */
#include "foreign.h"

#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static const unsigned long kinds[] = {
	FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
	SMB_SUPER_MAGIC, V9FS_MAGIC, CEPH_SUPER_MAGIC, AFS_FS_MAGIC, AFS_SUPER_MAGIC,
	CODA_SUPER_MAGIC, 0x0bd00bd0, /* Lustre */
	0x19830326,                   /* BeeGFS */
};

static int
is_foreign(const struct statfs *fs)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if ((unsigned long)fs->f_type == kinds[i])
			return 1;
	return 0;
}

/* A disk has a device's number; most others have one that no device has, and only of
 * those it is asked what they are. */
int
foreign_holds(const char *path)
{
	struct statfs fs;
	struct stat st;

	if (stat(path, &st))
		return errno == EACCES || errno == EPERM;
	if (major(st.st_dev) != 0)
		return 0;
	if (statfs(path, &fs))
		return errno == EACCES || errno == EPERM;
	return is_foreign(&fs);
}

int
foreign_has(int dir)
{
	struct statfs fs;

	return fstatfs(dir, &fs) == 0 && is_foreign(&fs);
}

/* Whether a line of mountinfo (proc(5)) is of that device, and of root's mount. */
static int
is_roots_mount(const char *line, dev_t device)
{
	const char *options = strstr(line, " - ");
	unsigned int ids[2];

	return sscanf(line, "%*d %*d %u:%u", &ids[0], &ids[1]) == 2 &&
	       makedev(ids[0], ids[1]) == device && options &&
	       strstr(options, ",user_id=0,");
}

int
foreign_is_users(int dir)
{
	FILE *mounts;
	char *line = NULL;
	size_t size = 0;
	int is_users = 1;
	struct statfs fs;
	struct stat st;

	if (fstatfs(dir, &fs) || fstat(dir, &st))
		return 1;
	if (fs.f_type != FUSE_SUPER_MAGIC)
		return 0;
	mounts = fopen("/proc/self/mountinfo", "re");
	while (mounts && is_users && getline(&line, &size, mounts) > 0)
		is_users = !is_roots_mount(line, st.st_dev);
	free(line);
	if (mounts)
		fclose(mounts);
	return is_users;
}

/* Whether a line of mountinfo names a program that passes on the times of a disk's
 * directories, or keeps such times itself. A program that joins several disks (mergerfs,
 * mhddfs, unionfs-fuse) tells those of one of them, and what stands before a cloud's
 * store (rclone, s3fs) what it remembers. "fuse" is bindfs. */
static int
tells_of_keeper(const char *line)
{
	static const char *const types[] = {"fuse", "fuseblk", "virtiofs", "fuse.bindfs",
		"fuse.ceph-fuse", "fuse.cryfs", "fuse.encfs", "fuse.ext2", "fuse.fuse2fs",
		"fuse.fuse-overlayfs", "fuse.glusterfs", "fuse.gocryptfs",
		"fuse.securefs", "fuse.sshfs", "fuse.vmhgfs-fuse"};
	const char *type = strstr(line, " - ");
	size_t length;

	if (!type)
		return 0;
	type += strlen(" - ");
	length = strcspn(type, " ");
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strlen(types[i]) == length && memcmp(types[i], type, length) == 0)
			return 1;
	return 0;
}

/* Of what is mounted in several places any line tells. */
static int
device_keeps_times(dev_t device)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	unsigned int ids[2];
	char *line = NULL;
	size_t size = 0;
	int answer = 0;

	while (mounts && getline(&line, &size, mounts) > 0)
		if (sscanf(line, "%*d %*d %u:%u", &ids[0], &ids[1]) == 2 &&
			makedev(ids[0], ids[1]) == device) {
			answer = tells_of_keeper(line);
			break;
		}
	free(line);
	if (mounts)
		fclose(mounts);
	return answer;
}

int
foreign_keeps_times(int dir)
{
	static dev_t known;
	static int answer = -1;
	struct statfs fs;
	struct stat st;

	if (fstatfs(dir, &fs) || fstat(dir, &st) || fs.f_type != FUSE_SUPER_MAGIC)
		return 1;
	if (answer < 0 || known != st.st_dev) {
		known = st.st_dev;
		answer = device_keeps_times(known);
	}
	return answer;
}
