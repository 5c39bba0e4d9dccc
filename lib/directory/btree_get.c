/*
 * A look-up in the user table without libdb: one page a level is read, from the root
 * down, and checked before it is believed. A child's level is its parent's less one, so
 * there is an end to it; and no leaf comes after as many as the file has pages.
 *
 * Absence takes the next key above that is not deleted, as it does through libdb; it may
 * stand in a leaf further on, behind some that are empty. Keys and values that lie in
 * pages of their own are read where they are met.
 */
#include "btree_get.h"

#include <stdlib.h>
#include <string.h>

#define BOUND_MAX 1024 /* libdb puts longer keys into pages of their own */

/* Keys that the pages below a branch must lie between, as the branch says. */
struct bound {
	int is_there;
	uint16_t size;
	uint8_t data[BOUND_MAX];
};

struct lookup {
	const struct users *u;
	struct btree_place *at;
	struct btree_page *p; /* AT's */
	const uint8_t *key;
	size_t size;
	struct reason *why;
	struct bound least, above; /* at or above the one, below the other */
};

/* The item's bytes, which lie in a buffer of AT's where they aren't in the page. */
static int
get_bytes(const struct users *u, struct btree_place *at, const struct btree_item *item,
	enum btree_longer which, DBT *bytes, struct reason *why)
{
	const int type = item->type & ~BTREE_ITEM_DELETED;
	uint8_t **to = &at->longer[which];

	*bytes = (DBT){.data = (void *)item->data, .size = item->size};
	if (type == BTREE_ITEM_PLAIN)
		return 0;
	if (type != BTREE_ITEM_LONG)
		return btree_page_damaged(
			u, at->page.number, "has an item of no known kind", why);
	if (!*to && !(*to = malloc(BTREE_LONG_MAX)))
		return reason_no_memory(why, u->path);
	*bytes = (DBT){.data = *to, .size = item->length};
	return btree_page_long(u, item, *to, NULL, NULL, why);
}

static int
compare_at(const struct lookup *l, size_t index, int *order)
{
	struct btree_item item;
	DBT bytes;

	if (btree_page_item(l->u, l->p, index, &item, l->why) ||
		get_bytes(l->u, l->at, &item, BTREE_KEY, &bytes, l->why))
		return -1;
	*order = users_file_compare(&bytes, l->key, l->size);
	return 0;
}

/* The first place from LOW on, in steps of STEP, whose item is at or (ABOVE) above the
 * key; entries if there is none. */
static int
search(const struct lookup *l, size_t low, size_t step, int above, size_t *place)
{
	size_t end = l->p->entries;

	while (low < end) {
		size_t middle = low + (end - low) / step / 2 * step;
		int order = 0;

		if (compare_at(l, middle, &order))
			return -1;
		if (order < 0 || (order == 0 && above))
			low = middle + step;
		else
			end = middle;
	}
	*place = low;
	return 0;
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
static int
descend(struct lookup *l)
{
	struct btree_item separator;
	size_t above;

	if (search(l, 1, 1, 1, &above) ||
		btree_page_item(l->u, l->p, above - 1, &separator, l->why) ||
		set_bounds(l, above - 1) ||
		read_level(l, separator.child, l->p->level - 1) || check_bounds(l))
		return -1;
	return 0;
}

static int
reach_leaf(struct lookup *l)
{
	if (read_level(l, l->u->root, 0))
		return -1;
	while (l->p->type == BTREE_PAGE_BRANCH)
		if (descend(l))
			return -1;
	return 0;
}

/* To the beginning of the leaf after this one. */
static int
next_leaf(const struct users *u, struct btree_place *at, struct reason *why)
{
	struct btree_page *p = &at->page;
	const uint32_t here = p->number, next = p->next;

	if (next == 0)
		return users_file_damaged(u, "its last key is missing", why);
	if (++at->leaves > (uint64_t)u->stat.st_size / BTREE_PAGE_SIZE)
		return users_file_damaged(u, "its leaves go round in a circle", why);
	if (btree_page_read(u, next, p, why) || btree_page_check(u, p, 1, why))
		return -1;
	at->index = 0;
	return p->previous == here ? 0
				   : btree_page_damaged(u, next,
					     "is not its neighbours' neighbour", why);
}

/* Takes the key at the place, or the first after it that is not deleted. One that is, and
 * still there, proves nothing. */
static int
take(const struct users *u, struct btree_place *at, DBT *found, DBT *value,
	struct reason *why)
{
	struct btree_page *p = &at->page;
	struct btree_item key, its_value = {.type = BTREE_ITEM_DELETED};

	for (; its_value.type & BTREE_ITEM_DELETED; at->index += 2) {
		while (at->index >= p->entries)
			if (next_leaf(u, at, why))
				return -1;
		if (btree_page_item(u, p, at->index + 1, &its_value, why))
			return -1;
	}
	at->index -= 2;
	if (btree_page_item(u, p, at->index, &key, why) ||
		get_bytes(u, at, &key, BTREE_KEY, found, why) ||
		get_bytes(u, at, &its_value, BTREE_VALUE, value, why))
		return -1;
	return 0;
}

int
btree_seek(const struct users *u, struct btree_place *at, const void *key, size_t size,
	DBT *found, DBT *value, struct reason *why)
{
	struct lookup l = {
		.u = u, .at = at, .p = &at->page, .key = key, .size = size, .why = why};
	int order;

	at->leaves = 0;
	if (reach_leaf(&l) || search(&l, 0, 2, 0, &at->index) ||
		take(u, at, found, value, why))
		return -1;
	order = users_file_compare(found, key, size);
	if (order < 0)
		return users_file_damaged(u, "a key stands out of order", why);
	return order == 0;
}

int
btree_next(const struct users *u, struct btree_place *at, DBT *found, DBT *value,
	struct reason *why)
{
	at->index += 2;
	return take(u, at, found, value, why);
}

void
btree_place_end(struct btree_place *at)
{
	for (size_t i = 0; i < BTREE_LONGER; i++) {
		free(at->longer[i]);
		at->longer[i] = NULL;
	}
}
