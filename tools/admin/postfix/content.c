/* A file of settings, read and written as a whole. */
#include "content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

#define FILE_MAX (16 << 20)

const char *
content_name(const char *name, const char *suffix, char buf[CONTENT_NAME_BYTES])
{
	snprintf(buf, CONTENT_NAME_BYTES, "%s%s", name, suffix);
	return buf;
}

/* All of an open file; a byte more than is needed is had for a line break. */
static int
read_all(int fd, struct content *c)
{
	ssize_t n;

	if (fstat(fd, &c->st))
		return -1;
	errno = EFBIG;
	if (!S_ISREG(c->st.st_mode) || c->st.st_size > FILE_MAX)
		return -1;
	c->bytes = malloc((size_t)c->st.st_size + 1);
	while (c->bytes && c->length < (size_t)c->st.st_size) {
		n = read(fd, c->bytes + c->length, (size_t)c->st.st_size - c->length);
		if (n <= 0)
			return -1;
		c->length += (size_t)n;
	}
	return c->bytes ? 0 : -1;
}

int
content_read(int folder, const char *name, struct content *c, struct reason *why)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), failed;

	memset(c, 0, sizeof *c);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno == ELOOP)
		return reason_set(why,
			"%s is a link, and postconf would put a file in its place: make "
			"the settings by hand",
			name);
	if (fd < 0)
		return reason_errno(why, "%s can't be opened", name);
	failed = read_all(fd, c);
	if (failed) {
		reason_errno(why, "%s can't be read", name);
		free(c->bytes);
		c->bytes = NULL;
	}
	close(fd);
	return failed ? -1 : 1;
}

/* Owner, mode and times as in the stat; the bytes on disk. */
static int
finish(int fd, const struct stat *like)
{
	const struct timespec times[] = {like->st_atim, like->st_mtim};

	return fchown(fd, like->st_uid, like->st_gid) ||
	       fchmod(fd, like->st_mode & 07777) || futimens(fd, times) || fsync(fd);
}

int
content_write(int folder, const char *name, const struct content *c, struct reason *why)
{
	int fd = openat(folder, name,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int failed;

	if (fd < 0)
		return reason_errno(why, "%s can't be made", name);
	failed = io_write_all(fd, c->bytes, c->length) || finish(fd, &c->st);
	if (failed)
		reason_errno(why, "%s can't be written", name);
	close(fd);
	return failed ? -1 : 0;
}

int
content_same(const struct content *a, const struct content *b)
{
	return a->bytes && b->bytes && a->length == b->length &&
	       memcmp(a->bytes, b->bytes, a->length) == 0;
}

int
content_was_missing(const struct content *before)
{
	return before->bytes && before->length == 0 && (before->st.st_mode & 07777) == 0;
}
