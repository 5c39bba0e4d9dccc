/*
 * Users by name. Apart from the other privileges, since lda asks this and needs no
 * libcap, whose start costs six system calls.
 */
#include "privileges.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define PASSWD "/etc/passwd"

static int
take_user(const struct passwd *p, struct privileges_user *user, struct reason *why)
{
	if (p->pw_uid == 0 || p->pw_gid == 0)
		return reason_set(why, "user %s has root's uid or gid", p->pw_name);
	user->uid = p->pw_uid;
	user->gid = p->pw_gid;
	return 0;
}

/* The file itself, not NSS: a look-up by name must not depend on the network, and a
 * statically linked program can't load NSS's modules. */
int
privileges_find_user(const char *name, struct privileges_user *user, struct reason *why)
{
	FILE *file = fopen(PASSWD, "re");
	const struct passwd *p;
	int result;

	if (file == NULL)
		return reason_errno(why, "%s", PASSWD);
	errno = 0;
	while ((p = fgetpwent(file)) != NULL && strcmp(p->pw_name, name) != 0)
		errno = 0;
	if (p != NULL)
		result = take_user(p, user, why);
	else if (errno != 0 && errno != ENOENT)
		result = reason_errno(why, "%s", PASSWD);
	else
		result = reason_set(why, "no user %s in %s", name, PASSWD);
	fclose(file);
	return result;
}
