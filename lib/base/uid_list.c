/* Lists of uids. */
#include "uid_list.h"

#include <errno.h>
#include <stdlib.h>

#include "conf.h"
#include "log.h"
#include "privileges.h"

static int
add(struct uid_list *l, const char *setting, const char *name, struct reason *why)
{
	uid_t uid = 0, *grown;
	int found = privileges_find_uid(name, &uid, why);

	if (found == 0 && setting)
		log_warning("%s: no user is named %.64s", setting, name);
	if (found != 1)
		return found;
	grown = reallocarray(l->uids, l->count + 1, sizeof *grown);
	if (!grown)
		return reason_set(why, "no memory");
	l->uids = grown;
	l->uids[l->count++] = uid;
	return 0;
}

int
uid_list_read(
	struct uid_list *l, const char *setting, const char *names, struct reason *why)
{
	char *name;
	int result = 0;

	*l = (struct uid_list){0};
	while (result == 0 && (name = conf_list_next(&names))) {
		result = add(l, setting, name, why);
		free(name);
	}
	if (result == 0 && errno == ENOMEM)
		result = reason_set(why, "no memory");
	if (result == -1)
		uid_list_free(l);
	return result;
}

void
uid_list_free(struct uid_list *l)
{
	free(l->uids);
	*l = (struct uid_list){0};
}

int
uid_list_has(const struct uid_list *l, uid_t uid)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->uids[i] == uid)
			return 1;
	return 0;
}
