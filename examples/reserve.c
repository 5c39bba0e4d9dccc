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
choose_name(char *name, size_t room, long long size)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(name, room, "%lld.M%ldP%ld.example,S=%lld", (long long)now.tv_sec,
		now.tv_nsec / 1000, (long)getpid(), size);
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

/* What quotad says to "OK ticket=7", and what becomes of the ticket. */
static int
deliver(struct quota_client *quotad, const struct quota_answer *granted, char **argv,
	const char *name)
{
	const char *ticket = record_get(&granted->fields, "ticket");
	int failed = store(argv[2], argv[3], name);
	struct quota_answer answer;
	struct reason why;

	/* once the message has its name it is there, whatever quotad says to that */
	if (quota_ask(
		    quotad, &answer, &why, "%s %s", failed ? "CANCEL" : "COMMIT", ticket))
		fprintf(stderr, "%s\n", why.text);
	else
		quota_answer_clear(&answer);
	return failed ? 75 : 0;
}

/* reserve ADDRESS FILE MAILDIR [SOCKET [DAEMON_USER]] */
int
main(int argc, char **argv)
{
	const char *socket = argc > 4 ? argv[4] : BRIM_SOCKET;
	const char *user = argc > 5 ? argv[5] : BRIM_DAEMON_USER;
	const char *address = argc > 3 ? record_escape(argv[1]) : NULL;
	struct reason why = {"usage: reserve ADDRESS FILE MAILDIR [SOCKET [USER]]"};
	struct quota_client quotad;
	struct quota_answer answer;
	struct stat file;
	char name[128];

	if (argc > 3 && stat(argv[2], &file))
		return perror(argv[2]), 75;
	if (address)
		choose_name(name, sizeof name, (long long)file.st_size);
	if (!address || quota_connect(&quotad, socket, user, 10, &why) ||
		quota_ask(&quotad, &answer, &why, "RESERVE %s %lld name=%s", address,
			(long long)file.st_size, name))
		return fprintf(stderr, "%s\n", why.text), 75;
	if (answer.kind == QUOTA_OK)
		return deliver(&quotad, &answer, argv, name);
	fprintf(stderr, "%s %s\n", answer.code, answer.outcome.text);
	return verdict_exit_status(answer.outcome.verdict);
}
