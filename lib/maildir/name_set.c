/* Names seen by a count: the hash table as a set, with the unique parts as keys. */
#include "name_set.h"

#include <stdlib.h>

#include "hash.h"
#include "maildir.h"

struct name_set {
	struct hash names;
};

struct name_set *
name_set_new(const struct name_set *like)
{
	struct name_set *s = calloc(1, sizeof *s);

	if (s && hash_init(&s->names, NULL) == -1) {
		free(s);
		s = NULL;
	}
	if (s && like)
		s->names.key = like->names.key;
	return s;
}

void
name_set_free(struct name_set **s)
{
	if (!*s)
		return;
	hash_free(&(*s)->names);
	free(*s);
	*s = NULL;
}

uint64_t
name_set_hash(const struct name_set *s, const char *name)
{
	return hash_value(&s->names, name, maildir_unique_length(name));
}

int
name_set_add(struct name_set *s, const char *name)
{
	return name_set_add_hash(s, name_set_hash(s, name));
}

int
name_set_has(const struct name_set *s, const char *name)
{
	return name_set_has_hash(s, name_set_hash(s, name));
}

int
name_set_add_hash(struct name_set *s, uint64_t hash)
{
	return hash_set_add(&s->names, hash);
}

int
name_set_has_hash(const struct name_set *s, uint64_t hash)
{
	return hash_set_has(&s->names, hash);
}

void
name_set_clear(struct name_set *s)
{
	hash_clear(&s->names);
}
