/* The index of paths: keys that lie between the table's first key and its records. */
#include "path_index.h"

#include <stdlib.h>
#include <string.h>

#include "index_entry.h"

/* The index's key for the path: \001, then the path without '/' at its end; there is room
 * for a byte more. */
static char *
index_key(const char *path, size_t *size, struct reason *why)
{
	size_t length = strlen(path);
	char *key;

	while (length && path[length - 1] == '/')
		length--;
	key = malloc(length + 2);
	if (!key) {
		reason_no_memory(why, path);
		return NULL;
	}
	key[0] = users_key_first[0];
	memcpy(key + 1, path, length);
	*size = length + 1;
	return key;
}

/* How many bytes at their beginning are the same. */
static size_t
common_bytes(const DBT *found, const char *index, size_t size)
{
	const char *data = found->data;
	size_t i = 0;

	while (i < size && i < found->size && data[i] == index[i])
		i++;
	return i;
}

/* Steps from where the index's key would be to the one before it: what that has in common
 * with the key, into COMMON. */
static int
look_before(struct users *u, const char *index, size_t size, size_t *common,
	struct reason *why)
{
	DBT found = {0}, value = {0};
	int error = u->cursor->get(u->cursor, &found, &value, DB_PREV);

	if (error)
		return users_db_fail(u, error, "look-up", why);
	*common = common_bytes(&found, index, size);
	return 0;
}

/* The path, and each that it lies in, from the innermost: a key that begins this one
 * also begins all keys between the two, so the one before tells how long it may be.
 * INSIDE gets whether some key begins with this one. */
static int
find_around(struct users *u, const char *index, size_t size, int *inside, char *key,
	struct reason *why)
{
	size_t whole = size, common = 0;
	DBT found, value;
	int hit;

	*inside = 0;
	while (size > 1) {
		hit = users_db_seek(u, index, size, &found, &value, why);
		if (hit)
			return hit > 0 ? index_entry_owner(u, &value, key, why) : -1;
		if (size == whole)
			*inside = common_bytes(&found, index, size) == size;
		if (look_before(u, index, size, &common, why))
			return -1;
		do
			size--;
		while (size > 1 && (size > common || index[size] != '/'));
	}
	return 0;
}

/* A path that begins with the key and '/', for which there is room behind it. */
static int
find_inside(struct users *u, char *index, size_t size, char *key, struct reason *why)
{
	DBT found, value;
	int hit;

	index[size++] = '/';
	hit = users_db_seek(u, index, size, &found, &value, why);
	if (hit == 0)
		hit = common_bytes(&found, index, size) == size;
	return hit > 0 ? index_entry_owner(u, &value, key, why) : hit;
}

int
path_index_find(struct users *u, const char *path, char *key, struct reason *why)
{
	size_t size;
	char *index = index_key(path, &size, why);
	int hit, inside;

	if (!index)
		return -1;
	hit = find_around(u, index, size, &inside, key, why);
	if (hit == 0 && (inside || size == 1))
		hit = find_inside(u, index, size, key, why);
	free(index);
	return hit;
}

static int
change(struct users *u, const struct record *r, int put, struct reason *why)
{
	const char *path = record_get(r, "mail");
	size_t size;
	char *index;
	int result;

	if (!path)
		return 0;
	index = index_key(path, &size, why);
	if (!index)
		return -1;
	/* "/" alone would be the table's first key */
	result = size == 1 ? 0
		 : put     ? users_db_put(u, index, size, r->key, why)
			   : index_entry_remove_own(u, index, size, r->key, why);
	free(index);
	return result < 0 ? -1 : 0;
}

int
path_index_put(struct users *u, const struct record *r, struct reason *why)
{
	return change(u, r, 1, why);
}

int
path_index_remove(struct users *u, const struct record *r, struct reason *why)
{
	return change(u, r, 0, why);
}

void
path_index_count(struct totals *t, const struct record *r)
{
	const char *path = record_get(r, "mail");
	size_t size;
	char *index = path ? index_key(path, &size, NULL) : NULL;

	if (index && size > 1)
		totals_add(t, index, size, r->key, strlen(r->key));
	free(index);
}
