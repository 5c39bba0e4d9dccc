/*
 * The difference of two tables: both are read in key order, in batches, so that neither
 * has to fit into memory.
 */
#include "difference.h"

#include <stdlib.h>
#include <string.h>

#include "address_name.h"
#include "amount.h"

#define BATCH 512 /* records taken from a table at a time */

/* One of the two tables. */
struct side {
	struct users *table;
	int keys_only, ended;
	struct record batch[BATCH];
	size_t count, at;
	char last[ADDRESS_MAX + 1];
};

struct difference {
	struct side old, new;
	void (*each)(void *arg, const struct record *old, const struct record *new);
	void *arg;
	struct change_counts *counts;
	struct reason *why;
};

static int
keep(void *arg, const struct record *r)
{
	struct side *s = arg;
	struct record *to = &s->batch[s->count];

	if (s->keys_only ? record_set_key(to, r->key) : record_copy(to, r))
		return -2;
	s->count++;
	return s->count == BATCH;
}

static void
clear(struct side *s)
{
	for (size_t i = 0; i < s->count; i++)
		record_clear(&s->batch[i]);
	s->count = s->at = 0;
}

/* The record that it stands at, NULL at the end: 0, -1. */
static int
current(struct side *s, const struct record **r, struct reason *why)
{
	int result;

	if (s->at == s->count && !s->ended) {
		if (s->count)
			strcpy(s->last, s->batch[s->count - 1].key);
		clear(s);
		result = users_each(s->table, s->last, keep, s, why);
		if (result == -2)
			return reason_set(why, "no memory");
		if (result < 0)
			return -1;
		s->ended = s->count == 0;
	}
	*r = s->at < s->count ? &s->batch[s->at] : NULL;
	return 0;
}

static int
same_fields(const struct record *old, const struct record *new)
{
	if (old->count != new->count)
		return 0;
	for (size_t i = 0; i < old->count; i++) {
		const char *value = record_get(new, old->fields[i].name);

		if (!value || strcmp(value, old->fields[i].value) != 0)
			return 0;
	}
	return 1;
}

/* An old key that is a new one in today's form: nobody's mail bounces for it. */
static int
is_renamed(struct difference *d, const struct record *old)
{
	char name[ADDRESS_MAX + 1];
	struct record r = {0};
	int found;

	if (address_name(name, old->key, NULL) || strcmp(name, old->key) == 0)
		return 0;
	found = users_get(d->new.table, name, &r, NULL);
	record_clear(&r);
	return found > 0;
}

/* One step along both: whichever key comes first. */
static void
compare(struct difference *d, const struct record *old, const struct record *new)
{
	int order = !old ? 1 : !new ? -1 : strcmp(old->key, new->key);
	int differ = order || (d->each && !same_fields(old, new));

	d->counts->records += order <= 0;
	d->counts->removed += order < 0 && !is_renamed(d, old);
	d->counts->added += order > 0;
	d->counts->changed += !order && differ;
	if (d->each && differ)
		d->each(d->arg, order <= 0 ? old : NULL, order >= 0 ? new : NULL);
	d->old.at += order <= 0;
	d->new.at += order >= 0;
}

static int
walk(struct difference *d)
{
	const struct record *old = NULL, *new = NULL;

	for (;;) {
		if (current(&d->old, &old, d->why) || current(&d->new, &new, d->why))
			return -1;
		if (!old && !new)
			return 0;
		compare(d, old, new);
	}
}

int
difference_find(struct users *old, struct users *new,
	void (*each)(void *arg, const struct record *old, const struct record *new),
	void *arg, struct change_counts *counts, struct reason *why)
{
	struct difference *d = calloc(1, sizeof *d);
	int result;

	*counts = (struct change_counts){0};
	if (!d)
		return reason_set(why, "no memory");
	d->old.table = old;
	d->new.table = new;
	d->old.keys_only = d->new.keys_only = !each;
	d->each = each;
	d->arg = arg;
	d->counts = counts;
	d->why = why;
	result = walk(d);
	clear(&d->old);
	clear(&d->new);
	free(d);
	return result;
}

int
change_check_removed(const struct change_counts *counts, struct reason *why)
{
	if (counts->removed * 10 <= counts->records)
		return 0;
	return reason_set(why, "it would remove %llu of %s, more than a tenth",
		counts->removed, AMOUNT_OF(counts->records, "record", "records"));
}
