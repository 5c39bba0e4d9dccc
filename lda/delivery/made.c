#include "made.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0.4 seconds at most, where nothing can ever be made. */
#define TRIES        8
#define PAUSE_MS     10
#define PAUSE_MAX_MS 80

static int
make_file(int dir, const char *name)
{
	return openat(
		dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* The same descriptor, or -1. */
static int
keep_own_file(int file, int dir, const char *name, uid_t owner, uid_t *whose)
{
	struct stat st;

	if (fstat(file, &st) == 0) {
		*whose = st.st_uid;
		if (*whose == owner)
			return file;
		unlinkat(dir, name, 0);
		errno = EPERM;
	}
	close(file);
	return -1;
}

/* Whether it is worth another try; waits before it. */
static int
try_again(int number)
{
	int pause = PAUSE_MS << number;

	if (errno != EPERM || number + 1 == TRIES)
		return 0;
	poll(NULL, 0, pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
	errno = EPERM;
	return 1;
}

int
made_file(int dir, const char *name, uid_t owner, uid_t *whose)
{
	int number = 0;
	int file;

	do {
		*whose = owner;
		file = make_file(dir, name);
		if (file >= 0)
			file = keep_own_file(file, dir, name, owner, whose);
	} while (file < 0 && try_again(number++));
	return file;
}

/* 0, or -1. */
static int
make_own_directory(int dir, const char *name, uid_t owner)
{
	struct stat st;

	if (mkdirat(dir, name, 0700))
		return errno == EEXIST ? 0 : -1;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_uid == owner)
		return 0;
	unlinkat(dir, name, AT_REMOVEDIR);
	errno = EPERM;
	return -1;
}

int
made_directory(int dir, const char *name, uid_t owner)
{
	int number = 0;
	int result;

	do
		result = make_own_directory(dir, name, owner);
	while (result && try_again(number++));
	return result;
}
