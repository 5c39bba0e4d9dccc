/*
 * Users by name. Apart from the other privileges, since lda asks this and needs no
 * libcap, whose start costs six system calls.
 */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "amount.h"

#define PASSWD "/etc/passwd"

/* The next field of the line as an id: 0, or -1 where it is none. */
static int
take_id(char **line, uint32_t *id)
{
	const char *field = strsep(line, ":");
	uint64_t n;

	if (field == NULL || *line == NULL || amount_count(field, &n, NULL) ||
		n >= UINT32_MAX)
		return -1;
	*id = (uint32_t)n;
	return 0;
}

/* NAME:PASSWORD:UID:GID:..., as passwd(5) has it: whether it is the user's. */
static int
take_line(char *line, const char *name, struct privileges_user *user)
{
	const char *found = strsep(&line, ":");

	if (line == NULL || strcmp(found, name) != 0)
		return 0;
	strsep(&line, ":");
	return take_id(&line, &user->uid) == 0 && take_id(&line, &user->gid) == 0;
}

/* Looks at the lines in TEXT, which ends in NUL. What is left is a line's beginning: it
 * is moved to the front, and its length returned; -1 where the user was found. */
static ssize_t
take_lines(char *text, const char *name, struct privileges_user *user)
{
	char *line = text, *stop;
	size_t left;

	for (; (stop = strchr(line, '\n')) != NULL; line = stop + 1) {
		*stop = '\0';
		if (take_line(line, name, user))
			return -1;
	}
	left = strlen(line);
	memmove(text, line, left + 1);
	return (ssize_t)left;
}

/* The user's entry: 0, or why not, ENOENT where there is none. The file itself, not NSS:
 * a look-up by name must not depend on the network, and a statically linked program can't
 * load NSS's modules. Not stdio either, of which lda uses nothing else: each page costs a
 * fresh process time. */
static int
find_entry(const char *name, struct privileges_user *user)
{
	char text[4096];
	const ssize_t room = sizeof text - sizeof "\n";
	int fd = open(PASSWD, O_RDONLY | O_CLOEXEC), error = ENOENT;
	ssize_t left = 0, n = fd < 0 ? -1 : 1;

	while (n > 0 && left >= 0) {
		if (left == room) { /* a line as long is nobody's: a comment */
			text[0] = '#';
			left = 1;
		}
		n = read(fd, text + left, (size_t)(room - left));
		/* the last line may lack its end */
		strcpy(text + left + (n > 0 ? n : 0), n == 0 ? "\n" : "");
		left = take_lines(text, name, user);
	}
	if (n < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	return left < 0 ? 0 : error;
}

int
privileges_find_user(const char *name, struct privileges_user *user, struct reason *why)
{
	errno = find_entry(name, user);
	if (errno == ENOENT)
		return reason_set(why, "no user %s in %s", name, PASSWD);
	if (errno != 0)
		return reason_errno(why, "%s", PASSWD);
	if (user->uid == 0 || user->gid == 0)
		return reason_set(why, "user %s has root's uid or gid", name);
	return 0;
}

int
privileges_find_uid(const char *name, uid_t *uid, struct reason *why)
{
	struct privileges_user user = {0};

	errno = find_entry(name, &user);
	if (errno == ENOENT)
		return 0;
	if (errno != 0)
		return reason_errno(why, "%s", PASSWD);
	*uid = user.uid;
	return 1;
}
