/* Names seen by a count: an open-addressing table of hashes, 0 where a slot is free. */
#include "name_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "maildir.h"
#include "siphash.h"

#define FIRST_SLOTS 4096 /* a power of two, as the number of slots always is */

struct count_seen {
	struct siphash_key key;
	uint64_t *slots;
	size_t size, used;
};

struct count_seen *
seen_new(void)
{
	struct count_seen *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->size = FIRST_SLOTS;
	s->slots = calloc(s->size, sizeof *s->slots);
	if (s->slots && getrandom(&s->key, sizeof s->key, 0) == sizeof s->key)
		return s;
	count_seen_free(&s);
	return NULL;
}

static uint64_t
hash_name(const struct count_seen *s, const char *name)
{
	uint64_t hash = siphash(&s->key, name, maildir_unique_length(name));

	return hash ? hash : 1;
}

/* The slot that holds the hash, or the free one where it belongs. */
static uint64_t *
find_slot(uint64_t *slots, size_t size, uint64_t hash)
{
	size_t i = hash & (size - 1);

	while (slots[i] != 0 && slots[i] != hash)
		i = (i + 1) & (size - 1);
	return &slots[i];
}

static int
grow(struct count_seen *s)
{
	size_t size = 4 * s->size;
	uint64_t *slots = calloc(size, sizeof *slots);

	if (!slots)
		return -1;
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i])
			*find_slot(slots, size, s->slots[i]) = s->slots[i];
	free(s->slots);
	s->slots = slots;
	s->size = size;
	return 0;
}

int
seen_add(struct count_seen *s, const char *name)
{
	uint64_t hash = hash_name(s, name), *slot;

	if (s->used >= s->size / 2 && grow(s))
		return -1;
	slot = find_slot(s->slots, s->size, hash);
	if (*slot == hash)
		return 0;
	*slot = hash;
	s->used++;
	return 1;
}

void
seen_empty(struct count_seen *s)
{
	uint64_t *small;

	/* many small folders after a large one must not clear its slots each time */
	if (s->size > FIRST_SLOTS && s->used < s->size / 64 &&
		(small = calloc(FIRST_SLOTS, sizeof *small))) {
		free(s->slots);
		s->slots = small;
		s->size = FIRST_SLOTS;
	} else if (s->used > 0) {
		memset(s->slots, 0, s->size * sizeof *s->slots);
	}
	s->used = 0;
}

int
count_seen_has(const struct count_seen *s, const char *name)
{
	return *find_slot(s->slots, s->size, hash_name(s, name)) != 0;
}

void
count_seen_free(struct count_seen **s)
{
	if (!*s)
		return;
	free((*s)->slots);
	free(*s);
	*s = NULL;
}
