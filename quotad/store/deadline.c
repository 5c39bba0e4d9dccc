/* One line, a record: the boot, the deadline, and the second of the boot until which ldas
 * of an earlier one may live. */
#include "deadline.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boot_marker.h"
#include "log.h"
#include "record.h"

#define FILE_NAME       "quotad.deadline"
#define LONGEST_SECONDS 900 /* that the settings allow */

struct noted {
	uint64_t seconds, until;
};

/* Of another boot nothing is left. */
static int
read_line(const char *line, size_t length, const char *boot, struct noted *noted)
{
	struct record r;
	const char *its;
	int bad;

	if (record_parse(&r, line, length, 0, NULL))
		return -1;
	its = record_get(&r, "boot");
	bad = !its || record_number(&r, "deadline", LONGEST_SECONDS, &noted->seconds) ||
	      record_number(&r, "until", 0, &noted->until);
	if (!bad && boot_is_other(its, boot))
		*noted = (struct noted){0, 0};
	record_clear(&r);
	return bad ? -1 : 0;
}

static struct noted
read_noted(int run_dir, const char *boot)
{
	const struct noted unknown = {LONGEST_SECONDS, 0};
	struct noted noted = {0, 0};
	int fd = openat(
		run_dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char line[256];
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? noted : unknown;
	n = read(fd, line, sizeof line);
	close(fd);
	if (n <= 0 || read_line(line, (size_t)n - (line[n - 1] == '\n'), boot, &noted))
		return unknown;
	return noted;
}

static void
write_noted(int run_dir, const char *boot, const struct noted *noted)
{
	int fd = openat(run_dir, FILE_NAME,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || dprintf(fd, "boot=%s deadline=%" PRIu64 " until=%" PRIu64 "\n",
			      boot, noted->seconds, noted->until) < 0)
		log_error("the deadline can't be noted in %s: %m", FILE_NAME);
	if (fd >= 0)
		close(fd);
}

uint64_t
deadline_note(int run_dir, const char *boot, uint64_t seconds)
{
	const struct noted before = read_noted(run_dir, boot);
	uint64_t now = boot_marker_now();
	struct noted noted = {seconds, before.until > now ? before.until : 0};

	if (noted.until > now + LONGEST_SECONDS)
		noted.until = 0; /* another boot's */
	if (before.seconds > seconds && now + before.seconds > noted.until)
		noted.until = now + before.seconds;
	write_noted(run_dir, boot, &noted);
	return noted.until ? noted.until - now : 0;
}
