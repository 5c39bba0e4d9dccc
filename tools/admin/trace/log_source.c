/* Pieces of whole lines, from files and from what gzip, its like and journalctl print. */
#include "log_source.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rotated.h"

#define PIECE (256 * 1024)

/* --- pieces ----------------------------------------------------------------------- */

/* What of the buffer is not handed out yet. */
struct piece {
	char buffer[PIECE + 1];
	size_t filled;
	int skips; /* the rest of a line that was too long */
};

/* Drops what belongs to a line that was handed out in part. */
static void
drop_rest(struct piece *p)
{
	const char *stop = memchr(p->buffer, '\n', p->filled);
	size_t length = stop ? (size_t)(stop - p->buffer) + 1 : p->filled;

	p->skips = stop == NULL;
	p->filled -= length;
	memmove(p->buffer, p->buffer + length, p->filled);
}

/* Hands out the lines that are whole; all of it where IS_END, or where one line fills it.
 */
static int
hand_out(struct piece *p, const struct log_reader *to, int is_end)
{
	char *stop = memrchr(p->buffer, '\n', p->filled), *nul;
	size_t length = stop ? (size_t)(stop - p->buffer) + 1 : p->filled;
	int result;

	if (!stop && p->filled < PIECE && !is_end)
		return 0;
	for (nul = p->buffer;
		(nul = memchr(nul, '\0', length - (size_t)(nul - p->buffer)));)
		*nul = ' ';
	if (!stop) {
		p->skips = !is_end;
		p->buffer[length] = '\n';
		result = length ? to->take(to->arg, p->buffer, length + 1) : 0;
		p->filled = 0;
		return result;
	}
	result = to->take(to->arg, p->buffer, length);
	p->filled -= length;
	memmove(p->buffer, p->buffer + length, p->filled);
	return result || !is_end ? result : hand_out(p, to, 1);
}

static int
read_pieces(int fd, const struct log_reader *to)
{
	struct piece *p = malloc(sizeof *p);
	int result = p ? 0 : -1;
	ssize_t n = 1;

	if (p)
		p->filled = 0, p->skips = 0;
	while (result == 0 && n > 0) {
		do
			n = read(fd, p->buffer + p->filled, PIECE - p->filled);
		while (n < 0 && errno == EINTR);
		p->filled += n > 0 ? (size_t)n : 0;
		if (p->skips)
			drop_rest(p);
		if (n >= 0)
			result = hand_out(p, to, n == 0);
	}
	free(p);
	return n < 0 ? -1 : result;
}

/* --- programs --------------------------------------------------------------------- */

/* Starts it with its output in a pipe: the end to read from, or -1 with errno. */
static int
start(const char *const *argv, pid_t *child)
{
	posix_spawn_file_actions_t actions;
	int ends[2], failed;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	failed = posix_spawn_file_actions_init(&actions);
	if (!failed) {
		failed = posix_spawn_file_actions_adddup2(
			&actions, ends[1], STDOUT_FILENO);
		if (!failed)
			failed = posix_spawnp(child, argv[0], &actions, NULL,
				(char *const *)(const void *)argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(ends[1]);
	if (!failed)
		return ends[0];
	close(ends[0]);
	errno = failed;
	return -1;
}

/* Reads what it prints to its end: 1, 0 where it is not installed, or -1. */
static int
read_program(const char *const *argv, const struct log_reader *to, struct reason *why)
{
	int status = 0, result;
	pid_t child = -1;
	int fd = start(argv, &child);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return reason_errno(why, "%s can't be run", argv[0]);
	result = read_pieces(fd, to);
	close(fd);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return reason_errno(why, "%s can't be waited for", argv[0]);
	if (result)
		return reason_set(why, "what %s prints can't be read", argv[0]);
	if (status)
		return reason_set(why, "%s failed", argv[0]);
	return 1;
}

/* --- sources ---------------------------------------------------------------------- */

/* One file: 0, -1 with the reason, or 1 where it is not there. TO is a log_reader. */
static int
read_file(const char *path, void *to, struct reason *why)
{
	const char *const unpacker = rotated_unpacker(path);
	const char *const argv[] = {unpacker, "-dc", "--", path, NULL};
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = -1;

	if (fd < 0 && errno == ENOENT)
		return 1;
	if (fd < 0)
		return reason_errno(why, "%s can't be read", path);
	if (!unpacker) {
		result = read_pieces(fd, to);
		if (result)
			reason_errno(why, "%s can't be read", path);
		close(fd);
		return result;
	}
	close(fd);
	result = read_program(argv, to, why);
	if (result == 0)
		reason_set(why, "%s can't be read: %s is not installed", path, unpacker);
	return result == 1 ? 0 : -1;
}

int
log_source_file(const char *path, const struct log_reader *to, struct reason *why)
{
	struct log_reader reader = *to;
	int result = 0;

	if (!rotated_unpacker(path))
		result = rotated_each(path, read_file, &reader, why);
	if (result >= 0)
		result = read_file(path, &reader, why);
	if (result > 0) {
		errno = ENOENT;
		reason_errno(why, "%s can't be read", path);
	}
	return result ? -1 : 0;
}

int
log_source_journal(const struct log_reader *to, struct reason *why)
{
	static const char *const argv[] = {"journalctl", "--no-pager", "--quiet", "--all",
		"--output=json",
		"--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_HOSTNAME,_UID",
		"SYSLOG_FACILITY=2", "+", "_SYSTEMD_UNIT=quotad.service", "+",
		"_SYSTEMD_UNIT=brim-release.service", NULL};

	if (access("/run/systemd/journal", F_OK) && access("/var/log/journal", F_OK))
		return 0;
	return read_program(argv, to, why);
}
