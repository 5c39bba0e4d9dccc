/* Which mailboxes a change has removed. */
#include "change_removed.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "difference.h"
#include "mailbox.h"

int
change_removed_note(struct change_removed *c, const struct record *r)
{
	const char *path = record_get(r, "mail");
	struct removed_mailbox *grown = c->list;

	if (!path)
		return 0;
	/* room for a power of two at a time */
	if ((c->count & (c->count - 1)) == 0)
		grown = reallocarray(c->list, c->count ? 2 * c->count : 1, sizeof *grown);
	if (!grown)
		return -1;
	c->list = grown;
	grown[c->count] = (struct removed_mailbox){strdup(r->key), strdup(path)};
	c->count++;
	return grown[c->count - 1].key && grown[c->count - 1].path ? 0 : -1;
}

void
change_removed_undo(struct change_removed *c)
{
	while (c->count > c->sound) {
		c->count--;
		free(c->list[c->count].key);
		free(c->list[c->count].path);
	}
}

void
change_removed_clear(struct change_removed *c)
{
	c->sound = 0;
	change_removed_undo(c);
	free(c->list);
	c->list = NULL;
}

/* --- the whole change ------------------------------------------------------------- */

struct search {
	struct change_removed *found;
	int failed;
};

static void
take(void *arg, const struct record *old, const struct record *new)
{
	struct search *s = arg;

	if (old && !new &&change_removed_note(s->found, old))
		s->failed = 1;
}

/* Keys alone are compared first, which is soon done and finds nothing as a rule. */
static enum change_result
find_all(struct change_removed *c, struct users_edit *e, struct users *old,
	struct reason *why)
{
	struct users *new = users_edit_table(e, why);
	struct search s = {.found = c};
	struct change_counts counts;

	if (!new || difference_find(old, new, NULL, NULL, &counts, why) ||
		(counts.removed && difference_find(old, new, take, &s, &counts, why)))
		return CHANGE_FAILED;
	if (!s.failed)
		return CHANGE_OK;
	reason_set(why, "no memory");
	return CHANGE_FAILED;
}

/* Whether it is removed, and its path no other mailbox's: 1, 0, -1. */
static int
is_removed(struct users_edit *e, const struct removed_mailbox *m, struct reason *why)
{
	char owner[ADDRESS_MAX + 1];
	struct record r;
	const char *path;
	int found = users_edit_get(e, m->key, &r, why);

	record_clear(&r);
	if (found == 0)
		found = users_edit_path_owner(e, m->path, owner, why);
	else if (found > 0)
		return 0;
	if (found <= 0)
		return found < 0 ? -1 : 1;
	found = users_edit_get(e, owner, &r, why);
	path = record_get(&r, "mail");
	if (found > 0)
		found = !path || strcmp(path, m->path) != 0;
	record_clear(&r);
	return found;
}

enum change_result
change_removed_settle(struct change_removed *c, struct users_edit *e, struct users *old,
	struct reason *why)
{
	enum change_result result = old ? find_all(c, e, old, why) : CHANGE_OK;
	uint64_t *places = calloc(c->count + 1, sizeof *places);
	size_t count = 0;
	int removed = 0;

	if (!places && !result) {
		reason_set(why, "no memory");
		result = CHANGE_FAILED;
	}
	for (size_t i = 0; i < c->count && !result; i++) {
		removed = is_removed(e, &c->list[i], why);
		if (removed > 0)
			places[count++] = mailbox_place(c->list[i].path, 0);
		result = removed < 0 ? CHANGE_FAILED : CHANGE_OK;
	}
	if (!result && count && users_edit_put_removed(e, places, count, why))
		result = CHANGE_FAILED;
	free(places);
	return result;
}
