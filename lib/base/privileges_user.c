/*
 * Users by name. Apart from the other privileges, since lda asks this and needs no
 * libcap, whose start costs six system calls.
 */
#include "privileges.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSWD    "/etc/passwd"
#define LINE_STEP 1024 /* bytes; a line of it is rarely longer */

static int
take_user(const struct passwd *p, struct privileges_user *user, struct reason *why)
{
	if (p->pw_uid == 0 || p->pw_gid == 0)
		return reason_set(why, "user %s has root's uid or gid", p->pw_name);
	user->uid = p->pw_uid;
	user->gid = p->pw_gid;
	return 0;
}

/* The next entry of the file into P, its texts into *TEXT, which grows: 0, or why not,
 * ENOENT at the file's end. Unlike fgetpwent, it may be called by many threads. */
static int
read_user(FILE *file, struct passwd *p, char **text, size_t *size)
{
	struct passwd *found;
	char *grown;
	int error = ERANGE;

	/* not even an empty text may be NULL */
	while (*text == NULL ||
		(error = fgetpwent_r(file, p, *text, *size, &found)) == ERANGE) {
		grown = realloc(*text, *size + LINE_STEP);
		if (grown == NULL)
			return ENOMEM;
		*text = grown;
		*size += LINE_STEP;
	}
	return error;
}

/* The user's entry, its texts in *TEXT, which the caller frees in any case: 0, or why
 * not, ENOENT where there is none. The file itself, not NSS: a look-up by name must not
 * depend on the network, and a statically linked program can't load NSS's modules. */
static int
find_entry(const char *name, struct passwd *p, char **text)
{
	char buffer[4096]; /* a fresh process has used this much stack, but not of its
			      heap */
	FILE *file = fopen(PASSWD, "re");
	size_t size = 0;
	int error;

	*text = NULL;
	if (file == NULL) {
		error = errno;
		return error != 0 ? error : EIO;
	}
	setvbuf(file, buffer, _IOFBF, sizeof buffer);
	do
		error = read_user(file, p, text, &size);
	while (error == 0 && strcmp(p->pw_name, name) != 0);
	fclose(file);
	return error;
}

int
privileges_find_user(const char *name, struct privileges_user *user, struct reason *why)
{
	struct passwd p;
	char *text;
	int result;

	errno = find_entry(name, &p, &text);
	if (errno == 0)
		result = take_user(&p, user, why);
	else if (errno != ENOENT)
		result = reason_errno(why, "%s", PASSWD);
	else
		result = reason_set(why, "no user %s in %s", name, PASSWD);
	free(text);
	return result;
}

int
privileges_find_uid(const char *name, uid_t *uid, struct reason *why)
{
	struct passwd p;
	char *text;
	int result = 0, error = find_entry(name, &p, &text);

	errno = error;
	if (error == 0) {
		*uid = p.pw_uid;
		result = 1;
	} else if (error != ENOENT) {
		result = reason_errno(why, "%s", PASSWD);
	}
	free(text);
	return result;
}
