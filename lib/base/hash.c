/* The one hash table: open addressing, at most four of five slots in use. A table of many
 * items that has just grown is still two fifths full: memory is spent on little else. */
#include "hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SIZE 256

static int
make_slots(struct hash *h, size_t size)
{
	h->size = size;
	h->hashes = calloc(size, sizeof *h->hashes);
	h->items = h->has_key ? calloc(size, sizeof *h->items) : NULL;
	if (h->hashes && (h->items || !h->has_key))
		return 0;
	free(h->hashes);
	free(h->items);
	return -1;
}

int
hash_init(
	struct hash *h, int (*has_key)(const void *item, const void *key, size_t length))
{
	*h = (struct hash){.has_key = has_key};
	if (getrandom(&h->key, sizeof h->key, 0) == sizeof h->key &&
		make_slots(h, FIRST_SIZE) == 0)
		return 0;
	*h = (struct hash){0};
	return -1;
}

void
hash_free(struct hash *h)
{
	free(h->hashes);
	free(h->items);
	*h = (struct hash){0};
}

uint64_t
hash_value(const struct hash *h, const void *key, size_t length)
{
	uint64_t hash = siphash(&h->key, key, length);

	return hash ? hash : 1;
}

/* The slot that has the key, or the free one where it belongs. */
static size_t
find_slot(const struct hash *h, uint64_t hash, const void *key, size_t length)
{
	size_t i = hash & (h->size - 1);

	while (h->hashes[i] != 0 &&
		!(h->hashes[i] == hash &&
			(!h->items || h->has_key(h->items[i], key, length))))
		i = (i + 1) & (h->size - 1);
	return i;
}

static size_t
free_slot(const struct hash *h, uint64_t hash)
{
	size_t i = hash & (h->size - 1);

	while (h->hashes[i] != 0)
		i = (i + 1) & (h->size - 1);
	return i;
}

static void
copy_slot(const struct hash *from, size_t i, struct hash *to, size_t j)
{
	to->hashes[j] = from->hashes[i];
	if (from->items && to->items)
		to->items[j] = from->items[i];
}

static int
grow(struct hash *h)
{
	struct hash larger = *h;

	if (make_slots(&larger, 2 * h->size) == -1)
		return -1;
	for (size_t i = 0; i < h->size; i++)
		if (h->hashes[i] != 0)
			copy_slot(h, i, &larger, free_slot(&larger, h->hashes[i]));
	free(h->hashes);
	free(h->items);
	*h = larger;
	return 0;
}

static int
add(struct hash *h, uint64_t hash, const void *key, size_t length, void *item)
{
	size_t i;

	if (h->count >= h->size / 5 * 4 && grow(h) == -1)
		return -1;
	i = find_slot(h, hash, key, length);
	if (h->hashes[i] != 0)
		return 0;
	h->hashes[i] = hash;
	if (h->items)
		h->items[i] = item;
	h->count++;
	return 1;
}

int
hash_add(struct hash *h, const void *key, size_t length, void *item)
{
	return add(h, hash_value(h, key, length), key, length, item);
}

int
hash_set_add(struct hash *h, uint64_t hash)
{
	return add(h, hash, NULL, 0, NULL);
}

void *
hash_find(const struct hash *h, const void *key, size_t length)
{
	size_t i = find_slot(h, hash_value(h, key, length), key, length);

	return h->hashes[i] != 0 ? h->items[i] : NULL;
}

int
hash_has(const struct hash *h, const void *key, size_t length)
{
	return h->hashes[find_slot(h, hash_value(h, key, length), key, length)] != 0;
}

int
hash_set_has(const struct hash *h, uint64_t hash)
{
	return h->hashes[find_slot(h, hash, NULL, 0)] != 0;
}

/* What follows moves up, so that no search ends at the gap before it. */
static void
close_gap(struct hash *h, size_t gap)
{
	size_t mask = h->size - 1;

	for (size_t i = (gap + 1) & mask; h->hashes[i] != 0; i = (i + 1) & mask) {
		size_t wanted = h->hashes[i] & mask;

		if (((i - wanted) & mask) < ((i - gap) & mask))
			continue;
		copy_slot(h, i, h, gap);
		gap = i;
	}
	h->hashes[gap] = 0;
}

void
hash_remove(struct hash *h, const void *key, size_t length)
{
	size_t i = find_slot(h, hash_value(h, key, length), key, length);

	if (h->hashes[i] == 0)
		return;
	close_gap(h, i);
	h->count--;
}

void
hash_clear(struct hash *h)
{
	struct hash few = *h;

	/* Small uses after a large one must not clear all of its slots each time. */
	if (h->size > FIRST_SIZE && h->count < h->size / 64 &&
		make_slots(&few, FIRST_SIZE) == 0) {
		free(h->hashes);
		free(h->items);
		*h = few;
	} else if (h->count > 0) {
		memset(h->hashes, 0, h->size * sizeof *h->hashes);
	}
	h->count = 0;
}

void *
hash_next(const struct hash *h, size_t *at)
{
	while (*at < h->size && h->hashes[*at] == 0)
		++*at;
	return *at < h->size ? h->items[(*at)++] : NULL;
}
