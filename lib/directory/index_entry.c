/* Whose an entry of an index is. */
#include "index_entry.h"

#include <string.h>

int
index_entry_owner(const struct users *u, const DBT *value, char *key, struct reason *why)
{
	if (value->size == 0 || value->size > ADDRESS_MAX)
		return users_file_damaged(u, "an index of its mailboxes", why);
	memcpy(key, value->data, value->size);
	key[value->size] = '\0';
	return 1;
}

int
index_entry_remove_own(struct users *u, const char *index, size_t size, const char *key,
	struct reason *why)
{
	DBT found, value;
	int hit = users_db_seek(u, index, size, &found, &value, why);

	if (hit <= 0 || users_file_compare(&value, key, strlen(key)) != 0)
		return hit < 0 ? -1 : 0;
	return users_db_remove(u, index, size, why) < 0 ? -1 : 0;
}
