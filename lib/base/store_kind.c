/* What the path of a mailbox tells about it, as Postfix and its friends write it. */
#include "store_kind.h"

#include <string.h>

int
store_kind_of(const char *path, enum store_kind *kind, struct reason *why)
{
	size_t length = strlen(path);

	if (length < 2 || path[length - 1] != '/')
		return reason_set(why,
			"\"%.100s\" does not end in /: only Maildirs are delivered to",
			path);
	*kind = STORE_KIND_MAILDIR;
	return 0;
}
