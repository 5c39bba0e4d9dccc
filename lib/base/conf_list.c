/* Lists: their elements, taken apart and decoded. */
#include "conf_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "network.h"
#include "record.h"

#define SEPARATORS " ,\t"
#define LISTED_MAX 1024 /* bytes of an element, escaped: a file's name has 255 */

/* The next element as it is written: *LENGTH bytes, 0 at the end. */
static const char *
list_next(const char *list, size_t *length)
{
	list += strspn(list, SEPARATORS);
	*length = strcspn(list, SEPARATORS);
	return list;
}

/* DECODED has room for an element; 0, or -1 where it is too long or has a bad %XX. */
static int
list_decode(const char *element, size_t length, char decoded[LISTED_MAX])
{
	if (length >= LISTED_MAX)
		return -1;
	memcpy(decoded, element, length);
	decoded[length] = '\0';
	return memchr(element, '%', length) ? record_unescape(decoded) : 0;
}

int
conf_is_path(const char *value)
{
	return value[0] == '/' && strstr(value, "/../") == NULL;
}

int
conf_list_check(const char *list, enum conf_list_of of, struct reason *why)
{
	char decoded[LISTED_MAX];
	struct network network;
	size_t n;

	for (const char *p = list; (p = list_next(p, &n), n); p += n) {
		if ((of != CONF_LIST_NAMES || memchr(p, '%', n)) &&
			list_decode(p, n, decoded))
			return reason_set(why,
				"\"%.*s\" has no place in a list: write a blank in a "
				"name "
				"as %%20, and a %% as %%25",
				n > 80 ? 80 : (int)n, p);
		if (of == CONF_LIST_PATHS && !conf_is_path(decoded))
			return reason_set(
				why, "\"%.80s\" is not an absolute path", decoded);
		if (of == CONF_LIST_NETWORKS &&
			network_parse(&network, decoded, why) == -1)
			return -1;
	}
	return 0;
}

int
conf_list_has(const char *list, const char *name)
{
	char decoded[LISTED_MAX];
	size_t n;

	for (const char *p = list; (p = list_next(p, &n), n); p += n)
		if (list_decode(p, n, decoded) == 0 && strcasecmp(decoded, name) == 0)
			return 1;
	return 0;
}

char *
conf_list_next(const char **list)
{
	size_t n;
	const char *p = list_next(*list, &n);
	char *name;

	*list = p + n;
	errno = 0;
	if (n == 0)
		return NULL;
	name = strndup(p, n);
	if (name && record_unescape(name)) {
		free(name);
		name = strndup(p, n);
	}
	return name;
}
