/* check: brim-release, without which mail that waits for room comes late. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "privileges.h"

#define USER    "brim-release"
#define PROGRAM "/usr/sbin/postqueue" /* unless it is told another */

static const char *
start(struct check *c)
{
	const char *file = c->a->conf_file;
	struct privileges_user user;

	if (check_has_systemd())
		return "systemctl enable --now brim-release.socket";
	return check_text(c, "%s%ssetsid brim-release%s%s >/dev/null 2>&1 </dev/null &",
		privileges_find_user(USER, &user, NULL) ? check_add_user(c, USER) : "",
		privileges_find_user(USER, &user, NULL) ? " && " : "", file ? " -c " : "",
		file ? check_quote(c, file) : "");
}

/* The program that the brim-release of that process was told to run, if it was. Of
 * systemd, which has the socket before it, nothing is known. */
static const char *
find_program(struct check *c, pid_t pid)
{
	const char *path = check_text(c, "/proc/%d/cmdline", (int)pid), *found = PROGRAM;
	FILE *from = pid > 1 ? fopen(path, "re") : NULL;
	char *word = NULL;
	size_t size = 0;
	int is_next = 0;

	while (from && getdelim(&word, &size, '\0', from) >= 0) {
		if (is_next)
			found = check_text(c, "%s", word);
		is_next = strcmp(word, "-p") == 0;
	}
	free(word);
	if (from)
		fclose(from);
	return found;
}

static void
check_program(struct check *c, const char *program)
{
	const char *other = check_text(
		c, "%s/postqueue", check_postfix_value(c, "command_directory"));
	const char *what = NULL;
	struct stat st;

	if (lstat(program, &st))
		what = strerror(errno);
	else if (S_ISLNK(st.st_mode))
		what = "it is a link, and none is followed";
	else if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXOTH))
		what = "it is not a program that everybody may run";
	if (!what)
		return;
	check_found(c, CHECK_RELEASE_POSTQUEUE, program,
		lstat(other, &st) == 0 && strcmp(other, program) != 0
			? check_text(c, "Start brim-release with -p %s.",
				  check_quote(c, other))
			: "Install the postqueue of Postfix again.",
		"%s", what);
}

/* Postfix alone can be asked to deliver one message. */
void
check_release(struct check *c)
{
	const char *path = c->a->conf.release_socket;
	pid_t pid;

	if (!c->has_postfix || (!c->waits && !c->a->conf.smtp_full_waits))
		return;
	errno = 0;
	pid = check_listener(path);
	if (pid)
		check_program(c, find_program(c, pid));
	else
		check_found(c, CHECK_RELEASE_DOWN, path, start(c),
			"smtp_full is wait, and no brim-release listens there%s%s",
			errno ? ": " : "", errno ? strerror(errno) : "");
}
