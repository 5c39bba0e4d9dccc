/* Paths whose mailboxes were removed: keys between the table's own and its records. */
#include "removals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE   (1 + 16)
#define VALUE_SIZE sizeof "generation=18446744073709551615"

static void
make_key(char key[KEY_SIZE + 1], uint64_t place)
{
	snprintf(key, KEY_SIZE + 1, "%c%016" PRIx64, users_key_table[0], place);
}

/* 0 where it is not the key or the value of one. */
static int
take(struct removal *r, const DBT *key, const DBT *value)
{
	char place[KEY_SIZE + 1] = "", text[VALUE_SIZE] = "";

	if (key->size != KEY_SIZE || value->size >= sizeof text)
		return 0;
	memcpy(place, key->data, KEY_SIZE);
	memcpy(text, value->data, value->size);
	return sscanf(place + 1, "%16" SCNx64, &r->place) == 1 &&
	       sscanf(text, "generation=%20" SCNu64, &r->generation) == 1;
}

/* Room for one more. */
static int
grow(const struct users *u, struct removals *r, struct reason *why)
{
	struct removal *grown;

	/* a power of two at a time */
	if ((r->count & (r->count - 1)) != 0)
		return 0;
	grown = reallocarray(r->list, r->count ? 2 * r->count : 1, sizeof *grown);
	if (!grown)
		return reason_no_memory(why, u->path);
	r->list = grown;
	return 0;
}

int
removals_read(struct users *u, struct removals *r, struct reason *why)
{
	char first[KEY_SIZE + 1];
	DBT key, value;
	int result, error;

	*r = (struct removals){0};
	make_key(first, 0);
	result = users_db_seek(u, first, KEY_SIZE, &key, &value, why);
	while (result >= 0 && *(const char *)key.data == users_key_table[0]) {
		result = grow(u, r, why);
		if (result == 0)
			r->count += (size_t)take(&r->list[r->count], &key, &value);
		error = u->cursor->get(u->cursor, &key, &value, DB_NEXT);
		if (error)
			result = users_db_fail(u, error, "read", why);
	}
	if (result >= 0)
		return 0;
	free(r->list);
	*r = (struct removals){0};
	return -1;
}

static int
compare_generations(const void *a, const void *b)
{
	uint64_t x = ((const struct removal *)a)->generation,
		 y = ((const struct removal *)b)->generation;

	return (x > y) - (x < y);
}

/* The oldest go, if there are too many. */
static int
prune(struct users *u, struct reason *why)
{
	char key[KEY_SIZE + 1];
	struct removals r;
	int result = removals_read(u, &r, why);

	if (r.count > REMOVALS_MAX)
		qsort(r.list, r.count, sizeof *r.list, compare_generations);
	for (size_t i = 0; result >= 0 && i + REMOVALS_MAX < r.count; i++) {
		make_key(key, r.list[i].place);
		result = users_db_remove(u, key, KEY_SIZE, why);
	}
	free(r.list);
	return result < 0 ? -1 : 0;
}

int
removals_put(
	struct users *u, const struct removal *list, size_t count, struct reason *why)
{
	char key[KEY_SIZE + 1], value[VALUE_SIZE];

	for (size_t i = 0; i < count; i++) {
		make_key(key, list[i].place);
		snprintf(value, sizeof value, "generation=%" PRIu64, list[i].generation);
		if (users_db_put(u, key, KEY_SIZE, value, why))
			return -1;
	}
	return count ? prune(u, why) : 0;
}

int
users_removed_in(
	struct users *u, uint64_t place, uint64_t *generation, struct reason *why)
{
	char key[KEY_SIZE + 1];
	struct record r;
	int hit;

	make_key(key, place);
	*generation = 0;
	hit = users_get(u, key, &r, why);
	if (hit > 0 && record_number(&r, "generation", 0, generation))
		hit = users_file_damaged(
			u, "the generation of a removal is no number", why);
	record_clear(&r);
	return hit < 0 ? -1 : 0;
}
