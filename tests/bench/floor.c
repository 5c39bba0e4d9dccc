/*
 * The floor under every delivery agent: lda's store step and nothing else. The message
 * from standard input goes into a nameless file in DIRECTORY, which is synced, given its
 * name, and the directory is synced. No recipient, no quota, no check of anything.
 *
 *	floor DIRECTORY
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DONE, NO_DIRECTORY, NO_FILE, NO_MESSAGE, NOT_WRITTEN, NOT_NAMED };

static char buffer[65536];

/* Copies standard input; the size, or -1. */
static ssize_t
copy(int file)
{
	ssize_t n, total = 0;

	while ((n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0) {
		if (write(file, buffer, (size_t)n) != n)
			return -1;
		total += n;
	}
	return n < 0 ? -1 : total;
}

static int
give_name(int file, int directory, ssize_t size)
{
	char path[64], name[128];
	struct timespec now;
	unsigned long long random;

	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return -1;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(name, sizeof name, "%lld.M%ldP%dR%016llx.floor,S=%zd",
		(long long)now.tv_sec, now.tv_nsec / 1000, getpid(), random, size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	return linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW);
}

int
main(int argc, char **argv)
{
	int directory, file;
	ssize_t size;

	if (argc != 2 ||
		(directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return NO_DIRECTORY;
	file = openat(directory, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (file < 0)
		return NO_FILE;
	size = copy(file);
	if (size < 0)
		return NO_MESSAGE;
	if (fsync(file))
		return NOT_WRITTEN;
	if (give_name(file, directory, size) || fsync(directory))
		return NOT_NAMED;
	return DONE;
}
