/* Sizes of messages: by name, by file, and which of the two is believed. */
#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir.h"

/* How files begin that Dovecot has compressed (its zlib plugin; lz4 has a header of its
 * own) or encrypted (mail-crypt), and the same by other programs. */
static const struct {
	const char *bytes;
	size_t length;
} beginnings[] = {
	{"\x1f\x8b", 2},         /* gzip */
	{"BZh", 3},              /* bzip2 */
	{"\xfd\x37\x7aXZ\0", 6}, /* xz */
	{"\x5d\0\0", 3},         /* lzma */
	{"\x28\xb5\x2f\xfd", 4}, /* zstd */
	{"\x04\x22\x4d\x18", 4}, /* lz4 */
	{"Dovecot-LZ4\r\x2a\x9b\xc5", 15},
	{"CRYPTED\x03\x07", 9},
};

/* Opens a regular file and nothing else, whatever has its name by now: no FIFO, no
 * device. A lease that its owner holds must not keep us waiting either. */
static int
open_regular(int dir, const char *name)
{
	int handle = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -1;
	char path[40];
	struct stat st;

	if (handle < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", handle);
	if (fstat(handle, &st) == 0 && S_ISREG(st.st_mode))
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	close(handle);
	return fd;
}

/* Whether the file's size says nothing about the message's, since its content is
 * compressed, or may be: what can't be read is given the larger of both numbers. */
static int
may_be_compressed(int dir, const char *name)
{
	int fd = open_regular(dir, name);
	char head[16] = "";
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return 1;
	for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
		if ((size_t)n >= beginnings[i].length &&
			memcmp(head, beginnings[i].bytes, beginnings[i].length) == 0)
			return 1;
	return 0;
}

static int
ask_file(int dir, const char *name, int by_files, struct measured *m, struct reason *why)
{
	struct stat st;
	uint64_t size;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT
			       ? 0
			       : reason_errno(why, "can't look at message %.200s", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	m->by_name = m->named && !by_files;
	if (m->by_name)
		return 1;
	size = (uint64_t)st.st_size;
	if (!m->named || size >= m->told || !may_be_compressed(dir, name))
		m->bytes = size;
	return 1;
}

int
measure(int dir, const char *name, unsigned char type, int by_files, struct measured *m,
	struct reason *why)
{
	memset(m, 0, sizeof *m);
	if (name[0] == '.' || (type != DT_REG && type != DT_UNKNOWN))
		return 0;
	m->named = maildir_size(name, &m->told);
	m->bytes = m->told;
	m->by_name = 1;
	/* a name that tells a size is enough where the directory tells a regular file */
	if (m->named && !by_files && type == DT_REG)
		return 1;
	return ask_file(dir, name, by_files, m, why);
}
