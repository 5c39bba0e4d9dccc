/*
 * Users whom a setting names, as uids: trusted_users, policy_users.
 */
#ifndef BRIM_UID_LIST_H
#define BRIM_UID_LIST_H

#include <stddef.h>
#include <sys/types.h>

#include "reason.h"

struct uid_list {
	uid_t *uids;
	size_t count;
};

/* Looks the names of a list up in /etc/passwd, for uid_list_free. A name that it does not
 * have is left out, and told to the log as SETTING's (NULL: it is not told). -1 with the
 * reason, and an empty list, without memory or where the file can't be read. */
int uid_list_read(
	struct uid_list *l, const char *setting, const char *names, struct reason *why);

void uid_list_free(struct uid_list *l);

int uid_list_has(const struct uid_list *l, uid_t uid);

#endif
