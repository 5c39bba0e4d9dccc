/*
 * A look-up in the user table without libdb: one page a level is read, from the root
 * down, and checked before it is believed. A child's level is its parent's less one, so
 * there is an end to it.
 *
 * Absence takes the next key above, as it does through libdb; it may stand in a leaf
 * further on. A value that lies in pages of its own, and whatever else a table of ours
 * hardly has, is left to libdb.
 */
#include "btree_get.h"

#include <string.h>

#define EMPTY_LEAVES_MAX 8    /* in a row; libdb frees a leaf with its last key */
#define BOUND_MAX        1024 /* libdb puts longer keys into pages of their own */

/* Keys that the pages below a branch must lie between, as the branch says. */
struct bound {
	int is_there;
	uint16_t size;
	uint8_t data[BOUND_MAX];
};

struct lookup {
	const struct users *u;
	struct btree_page *p;
	const uint8_t *key;
	size_t size;
	struct reason *why;
	struct bound least, above; /* at or above the one, below the other */
};

/* What happened on the way to the place; FOUND means only that it was reached. */
static enum btree_result
compare_at(const struct lookup *l, size_t index, int *order)
{
	struct btree_item item;

	if (btree_page_item(l->u, l->p, index, &item, l->why))
		return BTREE_DAMAGED;
	if (item.type != BTREE_ITEM_PLAIN)
		return BTREE_UNUSUAL;
	*order = btree_page_order(&item, l->key, l->size);
	return BTREE_FOUND;
}

/* The first place from LOW on, in steps of STEP, whose item is at or (ABOVE) above the
 * key; entries if there is none. */
static enum btree_result
search(const struct lookup *l, size_t low, size_t step, int above, size_t *place)
{
	size_t end = l->p->entries;

	while (low < end) {
		size_t middle = low + (end - low) / step / 2 * step;
		int order = 0;
		enum btree_result result = compare_at(l, middle, &order);

		if (result != BTREE_FOUND)
			return result;
		if (order < 0 || (order == 0 && above))
			low = middle + step;
		else
			end = middle;
	}
	*place = low;
	return BTREE_FOUND;
}

static int
read_level(const struct lookup *l, uint32_t number, int level)
{
	return btree_page_read(l->u, number, l->p, l->why) ||
			       btree_page_check(l->u, l->p, level, l->why)
		       ? -1
		       : 0;
}

static void
set_bound(struct bound *b, const struct btree_item *separator)
{
	b->is_there = separator->type == BTREE_ITEM_PLAIN && separator->size <= BOUND_MAX;
	b->size = b->is_there ? separator->size : 0;
	memcpy(b->data, separator->data, b->size);
}

/* Keeps the bounds of the child at INDEX; where the branch has none its own hold. */
static int
set_bounds(struct lookup *l, size_t index)
{
	struct btree_item item;

	if (index > 0) {
		if (btree_page_item(l->u, l->p, index, &item, l->why))
			return -1;
		set_bound(&l->least, &item);
	}
	if (index + 1 < l->p->entries) {
		if (btree_page_item(l->u, l->p, index + 1, &item, l->why))
			return -1;
		set_bound(&l->above, &item);
	}
	return 0;
}

/* Whether the page's first and last key lie where the way to it says: a page with the
 * keys of another would hide all of its own. A branch's first key means nothing. */
static int
check_bounds(const struct lookup *l)
{
	const size_t is_branch = l->p->type == BTREE_PAGE_BRANCH;
	const size_t first = is_branch, last = l->p->entries - 1 - !is_branch;
	struct btree_item item;

	if (l->p->entries <= first)
		return 0;
	if (btree_page_item(l->u, l->p, first, &item, l->why))
		return -1;
	if (l->least.is_there && item.type == BTREE_ITEM_PLAIN &&
		btree_page_order(&item, l->least.data, l->least.size) < 0)
		return btree_page_damaged(
			l->u, l->p->number, "has keys of another", l->why);
	if (btree_page_item(l->u, l->p, last, &item, l->why))
		return -1;
	if (l->above.is_there && item.type == BTREE_ITEM_PLAIN &&
		btree_page_order(&item, l->above.data, l->above.size) >= 0)
		return btree_page_damaged(
			l->u, l->p->number, "has keys of another", l->why);
	return 0;
}

/* From a branch to the child whose keys the key is among. The first child's separator
 * means nothing. */
static enum btree_result
descend(struct lookup *l)
{
	struct btree_item separator;
	size_t above;
	enum btree_result result = search(l, 1, 1, 1, &above);

	if (result != BTREE_FOUND)
		return result;
	if (btree_page_item(l->u, l->p, above - 1, &separator, l->why) ||
		set_bounds(l, above - 1) ||
		read_level(l, separator.child, l->p->level - 1) || check_bounds(l))
		return BTREE_DAMAGED;
	return BTREE_FOUND;
}

static enum btree_result
reach_leaf(struct lookup *l)
{
	enum btree_result result = BTREE_FOUND;

	if (read_level(l, l->u->root, 0))
		return BTREE_DAMAGED;
	while (result == BTREE_FOUND && l->p->type == BTREE_PAGE_BRANCH)
		result = descend(l);
	return result;
}

/* To the leaf after this one, whose keys are all below the one that is looked for. */
static int
next_leaf(const struct lookup *l)
{
	uint32_t here = l->p->number, next = l->p->next;

	if (next == 0)
		return reason_set(
			l->why, "%s: damaged: its last key is missing", l->u->path);
	if (read_level(l, next, 1))
		return -1;
	return l->p->previous == here
		       ? 0
		       : btree_page_damaged(
				 l->u, next, "is not its neighbours' neighbour", l->why);
}

/* The first key at or above the one that is looked for; it may be a leaf further on. */
static enum btree_result
reach_key(struct lookup *l, size_t *place)
{
	enum btree_result result = reach_leaf(l);

	for (int i = 0; result == BTREE_FOUND && i < EMPTY_LEAVES_MAX; i++) {
		result = search(l, 0, 2, 0, place);
		if (result != BTREE_FOUND || *place < l->p->entries)
			return result;
		if (next_leaf(l))
			return BTREE_DAMAGED;
	}
	return result == BTREE_FOUND ? BTREE_UNUSUAL : result;
}

enum btree_result
btree_get(const struct users *u, const void *key, size_t size, struct btree_page *p,
	struct btree_item *found, struct btree_item *value, struct reason *why)
{
	struct lookup l = {.u = u, .p = p, .key = key, .size = size, .why = why};
	size_t place = 0;
	enum btree_result result = reach_key(&l, &place);

	if (result != BTREE_FOUND)
		return result;
	if (btree_page_item(u, p, place, found, why) ||
		btree_page_item(u, p, place + 1, value, why))
		return BTREE_DAMAGED;
	/* one that is deleted and still there proves nothing, nor does it hide another */
	if (found->type != BTREE_ITEM_PLAIN || value->type & BTREE_ITEM_DELETED)
		return BTREE_UNUSUAL;
	if (btree_page_order(found, l.key, size))
		return BTREE_ABSENT;
	return value->type == BTREE_ITEM_PLAIN ? BTREE_FOUND : BTREE_UNUSUAL;
}
