/*
 * A count of a Maildir beside a bare read of its directories, in turn.
 *
 *	scan MAILDIR ROUNDS
 *
 * Prints a line a round: readdir_ns= count_ns= messages= exact=.
 */
#include <dirent.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "count.h"

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
read_directory(const char *maildir, const char *name)
{
	uint64_t entries = 0;
	char *path;
	DIR *d;

	if (asprintf(&path, "%s/%s", maildir, name) < 0)
		err(1, "asprintf");
	d = opendir(path);
	if (d == NULL)
		err(1, "%s", path);
	while (readdir(d))
		entries++;
	closedir(d);
	free(path);
	return entries;
}

static void
round_of(const char *maildir)
{
	struct count_result result;
	struct name_set *seen;
	struct reason why;
	uint64_t began = now_ns(), between, entries;

	entries = read_directory(maildir, "new") + read_directory(maildir, "cur");
	between = now_ns();
	if (count_mailbox(maildir, "", 0, &result, &seen, &why))
		errx(1, "%s", why.text);
	printf("readdir_ns=%" PRIu64 " count_ns=%" PRIu64 " messages=%" PRIu64
	       " exact=%d\n",
		between - began, now_ns() - between, result.messages, result.exact);
	if (result.messages > entries)
		errx(1, "more messages than entries");
	name_set_free(&seen);
}

int
main(int argc, char **argv)
{
	int rounds = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 0;

	if (rounds < 1)
		errx(2, "usage: scan MAILDIR ROUNDS");
	for (int i = 0; i < rounds; i++)
		round_of(argv[1]);
	return 0;
}
