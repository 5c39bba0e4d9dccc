/* Names seen by a count: the hash table as a set, with the unique parts as keys. */
#include "name_set.h"

#include <stdlib.h>

#include "hash.h"
#include "maildir.h"

struct name_set {
	struct hash names;
};

struct name_set *
name_set_new(void)
{
	struct name_set *s = calloc(1, sizeof *s);

	if (s && hash_init(&s->names, NULL) == -1) {
		free(s);
		s = NULL;
	}
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

int
name_set_add(struct name_set *s, const char *name)
{
	return hash_add(&s->names, name, maildir_unique_length(name), NULL);
}

int
name_set_has(const struct name_set *s, const char *name)
{
	return hash_has(&s->names, name, maildir_unique_length(name));
}

void
name_set_clear(struct name_set *s)
{
	hash_clear(&s->names);
}
