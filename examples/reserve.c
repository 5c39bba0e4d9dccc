/*
 * Puts a file into a Maildir if the mailbox has room for it, as an IMAP server's APPEND
 * would: reserve, give the message its name, commit. Run it as the mailbox's user.
 *
 *	cc -o reserve reserve.c $(pkg-config --cflags --libs libbrim)
 *	./reserve alice@example.org message /home/alice/Maildir
 */
#include <brim/brim.h>

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Unique, with the size that every count of the mailbox then believes. */
static void
choose_name(char *name, size_t room, uint64_t size)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(name, room, "%lld.M%ldP%ld.example,S=%llu", (long long)now.tv_sec,
		now.tv_nsec / 1000, (long)getpid(), (unsigned long long)size);
}

/* A program that must not lose mail also syncs the file before and the directory after.
 */
static int
store(const char *file, const char *maildir, const char *name)
{
	char path[4096];
	int n = snprintf(path, sizeof path, "%s/new/%s", maildir, name);

	return n < (int)sizeof path && link(file, path) == 0 ? 0 : -1;
}

/* Once the message has its name it is there, whatever quotad answers to that. */
static int
deliver(struct brim *quotad, const char *address, const char *file, const char *maildir,
	uint64_t size)
{
	char name[128];
	uint64_t ticket;

	choose_name(name, sizeof name, size);
	if (brim_reserve(quotad, address, size, name, &ticket) != BRIM_OK) {
		fprintf(stderr, "%s %s\n", brim_code(quotad), brim_error(quotad));
		return brim_code(quotad)[0] == '5' ? 69 : 75;
	}
	if (store(file, maildir, name) == -1) {
		perror(maildir);
		brim_cancel(quotad, ticket);
		return 75;
	}
	if (brim_commit(quotad, ticket) != BRIM_OK)
		fprintf(stderr, "%s\n", brim_error(quotad));
	return 0;
}

/* reserve ADDRESS FILE MAILDIR [SOCKET [DAEMON_USER]] */
int
main(int argc, char **argv)
{
	const char *socket = argc > 4 ? argv[4] : NULL, *user = argc > 5 ? argv[5] : NULL;
	struct brim *quotad;
	struct stat message;
	int status = 75;

	if (argc < 4)
		return fprintf(stderr, "usage: reserve ADDRESS FILE MAILDIR\n"), 64;
	if (stat(argv[2], &message) == -1)
		return perror(argv[2]), status;
	if (brim_connect(&quotad, socket, user, 10) == BRIM_OK)
		status = deliver(
			quotad, argv[1], argv[2], argv[3], (uint64_t)message.st_size);
	else
		fprintf(stderr, "%s\n", brim_error(quotad));
	brim_close(&quotad);
	return status;
}
